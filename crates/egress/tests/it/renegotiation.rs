//! A server that asks for a certificate within a TLS 1.2 session, after it has read the request.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::policy::TlsVersion;
use hookseal_testkit::test_ca::TestCa;
use tempfile::TempDir;

use crate::client::{Client, check_tls_failure};
use crate::tls_receiver::leaf;

/// `openssl s_server`, which asks for another handshake when it has got a request.
struct Asking {
    child: Child,
    port: u16,
    _folder: TempDir,
}

// === impl Asking ===

impl Asking {
    /// `None` if there is no OpenSSL.
    fn start(ca: &TestCa) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let files = leaf(ca).write(folder.path(), "server").unwrap();
        let mut command = Command::new("openssl");
        command
            .args(["s_server", "-tls1_2", "-accept", "127.0.0.1:0", "-cert"])
            .arg(&files.chain)
            .arg("-key")
            .arg(&files.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        let mut input = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let mut said = String::new();
        until(&mut output, &mut said, "ACCEPT 127.0.0.1:", "\n");
        let (_, port) = said.rsplit_once(':').unwrap();
        let port = port.trim().parse().unwrap();
        std::thread::spawn(move || {
            until(&mut output, &mut said, "POST /hook", "\n");
            // Renegotiate, and ask for a client certificate.
            let _asked = input.write_all(b"R\n");
            let _rest = std::io::copy(&mut output, &mut std::io::sink());
            drop(input);
        });
        Some(Self {
            child,
            port,
            _folder: folder,
        })
    }
}

/// Reads until there is `words` and `end` behind it, or nothing more.
fn until(output: &mut impl Read, said: &mut String, words: &str, end: &str) {
    let mut byte = [0];
    while !said
        .split_once(words)
        .is_some_and(|(_, rest)| rest.contains(end))
    {
        match output.read(&mut byte) {
            Ok(1) => said.push(char::from(byte[0])),
            _ => return,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

#[tokio::test]
async fn another_handshake_within_the_session() {
    let ca = TestCa::new("Root").unwrap();
    let Some(server) = Asking::start(&ca) else {
        assert!(std::env::var_os("CI").is_none(), "openssl is not installed");
        eprintln!("SKIPPED openssl: it is not installed");
        return;
    };
    let mut client = Client::trusting(&ca.root_pem());
    client.set_policy(|policy| policy.tls_min_version = TlsVersion::Tls12);
    let url = format!("https://hooks.test:{}/hook", server.port);
    let exchanged = client.post(&url).await;
    let words = [
        "another TLS handshake",
        "it has to ask during the handshake",
    ];
    check_tls_failure(&exchanged, TlsFailure::RenegotiationDemanded, &words);
}
