//! A web server that publishes lists and answers, well or badly, and counts who comes.

use std::collections::HashMap;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is found at a path.
#[derive(Clone, Debug)]
pub(super) enum Page {
    Ok(Vec<u8>),
    Status(u16),
    Redirect(String),
    /// Chunks without end.
    Endless,
    /// A Content-Length, and never so much.
    Announced(u64),
    /// Never an answer.
    Silence,
    /// The connection ends at once.
    Close,
}

/// A clone is the same one.
#[derive(Clone)]
pub(super) struct Web {
    addr: SocketAddr,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    requests: watch::Sender<Vec<(String, String)>>,
}

impl Web {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self {
            addr: listener.local_addr().unwrap(),
            pages: Arc::default(),
            requests: watch::channel(Vec::new()).0,
        };
        let serving = web.clone();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let web = serving.clone();
                // A client that has gone is no matter of the server's.
                tokio::spawn(async move { web.serve(tcp).await.ok() });
            }
        });
        web
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(super) fn port(&self) -> u16 {
        self.addr.port()
    }

    pub(super) fn put(&self, path: &str, page: Page) {
        self.pages.lock().insert(path.to_owned(), page);
    }

    pub(super) fn hits(&self, path: &str) -> usize {
        let requests = self.requests.borrow();
        requests.iter().filter(|(asked, _)| asked == path).count()
    }

    /// Waits until somebody has asked so many times.
    pub(super) async fn until_hits(&self, path: &str, hits: usize) {
        let mut requests = self.requests.subscribe();
        let enough = |requests: &Vec<(String, String)>| {
            requests.iter().filter(|(asked, _)| asked == path).count() >= hits
        };
        requests.wait_for(enough).await.unwrap();
    }

    /// The head of the last request for a path.
    pub(super) fn last_request(&self, path: &str) -> String {
        let requests = self.requests.borrow();
        let last = requests.iter().rev().find(|(asked, _)| asked == path);
        last.unwrap().1.clone()
    }

    async fn serve(&self, mut tcp: TcpStream) -> std::io::Result<()> {
        let (mut path, mut head) = read_head(&mut tcp).await?;
        // It is a proxy, too, which leads to itself only.
        if head.starts_with("CONNECT") {
            self.requests
                .send_modify(|requests| requests.push((path, head)));
            tcp.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            (path, head) = read_head(&mut tcp).await?;
        }
        let page = self.pages.lock().get(&path).cloned();
        self.requests
            .send_modify(|requests| requests.push((path, head)));
        let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}\r\n");
        match page.unwrap_or(Page::Status(404)) {
            Page::Ok(body) => {
                let length = format!("Content-Length: {}\r\n", body.len());
                tcp.write_all(head("200 OK", &length).as_bytes()).await?;
                tcp.write_all(&body).await?;
            }
            Page::Status(status) => {
                let empty = head(&format!("{status} So"), "Content-Length: 0\r\n");
                tcp.write_all(empty.as_bytes()).await?;
            }
            Page::Redirect(to) => {
                let to = format!("Location: {to}\r\nContent-Length: 0\r\n");
                tcp.write_all(head("302 Found", &to).as_bytes()).await?;
            }
            Page::Endless => {
                let chunked = "Transfer-Encoding: chunked\r\n";
                tcp.write_all(head("200 OK", chunked).as_bytes()).await?;
                let chunk = [b"10000\r\n".as_slice(), &[0x30; 0x10000], b"\r\n"].concat();
                loop {
                    tcp.write_all(&chunk).await?;
                }
            }
            Page::Announced(length) => {
                let length = format!("Content-Length: {length}\r\n");
                tcp.write_all(head("200 OK", &length).as_bytes()).await?;
                std::future::pending().await
            }
            Page::Silence => std::future::pending().await,
            Page::Close => {}
        }
        tcp.shutdown().await
    }
}

/// The path and all of the next request's head.
async fn read_head(tcp: &mut TcpStream) -> std::io::Result<(String, String)> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if tcp.read_buf(&mut request).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&request).into_owned();
    let path = head.split([' ', '?']).nth(1).unwrap().to_owned();
    Ok((path, head))
}

/// Drives all of them at the same time.
pub(super) async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<Pin<Box<F>>> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(ready) = future.as_mut().poll(cx)
            {
                *output = Some(ready);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
