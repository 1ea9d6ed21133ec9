//! A TLS server that counts the bytes that came over TLS, and answers requests with 200.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookseal_testkit::real_server::OpensslServer;
use hookseal_testkit::wait::until;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::server::Server;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// A server that counts.
pub(crate) enum Counting {
    /// Made of rustls.
    Rustls(Server, Arc<Counts>),
    /// OpenSSL's, for what rustls does not do, with the folder of its files.
    Openssl {
        server: OpensslServer,
        _folder: TempDir,
    },
}

#[derive(Default)]
pub(crate) struct Counts {
    bytes: AtomicUsize,
    connections_ended: AtomicUsize,
}

// === impl Counting ===

impl Counting {
    /// With rustls.
    pub(crate) async fn rustls(acceptor: TlsAcceptor) -> Self {
        let counts = Arc::new(Counts::default());
        let counting = Arc::clone(&counts);
        let server = Server::start(move |stream, _| {
            let (acceptor, counts) = (acceptor.clone(), Arc::clone(&counting));
            async move {
                serve(acceptor, stream, &counts).await;
                counts.connections_ended.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await;
        Self::Rustls(server, counts)
    }

    /// With OpenSSL: these options, and files of this folder.
    pub(crate) async fn openssl(folder: TempDir, options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let server = OpensslServer::start(&options, folder.path()).await.unwrap();
        Self::Openssl {
            server,
            _folder: folder,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        match self {
            Self::Rustls(server, _) => server.addr.port(),
            Self::Openssl { server, .. } => server.address().port(),
        }
    }

    /// How many bytes came, once the server is done with a connection.
    pub(crate) async fn bytes(&self) -> usize {
        until("the server is done", async || {
            Ok(match self {
                Self::Rustls(_, counts) => {
                    let is_done = counts.connections_ended.load(Ordering::SeqCst) > 0;
                    is_done.then(|| counts.bytes.load(Ordering::SeqCst))
                }
                Self::Openssl { server, .. } => {
                    let is_done = server.bytes() > 0 || server.handshakes_failed() > 0;
                    is_done.then(|| server.bytes())
                }
            })
        })
        .await
        .unwrap()
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, counts: &Counts) {
    let Ok(mut stream) = acceptor.accept(stream).await else {
        return;
    };
    let mut request = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut request).await {
        counts.bytes.store(request.len(), Ordering::SeqCst);
        if request.ends_with(super::BODY) {
            let _written = stream.write_all(ANSWER).await;
            let _closed = stream.shutdown().await;
            return;
        }
    }
}
