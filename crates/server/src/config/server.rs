//! Settings of the listeners.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::byte_size::ByteSize;
use crate::config::error::ConfigError;
use crate::config::public_url::PublicUrl;
use crate::config::section::section;

section! {
    /// Where the server listens and how much it takes on.
    pub struct ServerSection in "server" {
        /// Address and port of the HTTP API; port 0 takes a free one. Plaintext is refused on
        /// anything but loopback: set `tls_cert` and `tls_key`, or `allow_plaintext`.
        listen: SocketAddr = "127.0.0.1:8071";
        /// Address and port of `/metrics`, `/health/live` and `/health/ready`. Speaks plain HTTP
        /// and asks for no token: keep it where only monitoring reaches it.
        admin_listen: SocketAddr = "127.0.0.1:8072";
        /// Where clients reach the API, for links that it gives out. Absent: where it listens.
        public_url: Option<PublicUrl>, such as "https://hooks.example.com";
        /// PEM file with the API listener's certificate chain, its own certificate first. Read
        /// again when it changes. Absent: the API listener speaks plaintext.
        tls_cert: Option<PathBuf>, such as "tls/chain.pem";
        /// PEM file with the private key of `tls_cert`. Read again when it changes. Absent: the
        /// API listener speaks plaintext.
        tls_key: Option<PathBuf>, such as "tls/key.pem";
        /// Whether the API listener may speak plaintext on an address that is not loopback: for
        /// use behind a proxy that ends TLS, on a network that you trust with tokens and payloads.
        allow_plaintext: bool = "false";
        /// Longest payload of a message, in bytes; beyond it the API answers 413.
        payload_bytes_max: ByteSize = "1MiB", from "1KiB" to "16MiB";
        /// How long one API request may take, from its headers to its answer.
        request_timeout: Duration = "30s", from "1s" to "10m";
        /// Most connections to the API at the same time; more wait in the system's queue.
        connections_max: usize = "4096", from "1" to "1000000";
        /// How long stopping may take: requests and attempts that are under way are finished
        /// within it, the others are handed back to the store.
        shutdown_timeout: Duration = "20s", from "1s" to "10m";
    }
}

// === impl ServerSection ===

impl ServerSection {
    /// The files for TLS, if the API listener speaks it.
    pub fn tls_files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.tls_cert.as_ref().zip(self.tls_key.as_ref())
    }

    pub(super) fn check(&self, errors: &mut Vec<ConfigError>) {
        match (&self.tls_cert, &self.tls_key) {
            (Some(_), None) => errors.push(ConfigError::unusable(
                "server.tls_key",
                "must be set as well, since server.tls_cert is",
            )),
            (None, Some(_)) => errors.push(ConfigError::unusable(
                "server.tls_cert",
                "must be set as well, since server.tls_key is",
            )),
            (None, None) if !self.listen.ip().is_loopback() && !self.allow_plaintext => {
                errors.push(ConfigError::unusable(
                    "server.listen",
                    format!(
                        "{} is not loopback and there is no TLS: tokens and payloads would be \
                         readable on the way; set server.tls_cert and server.tls_key, or \
                         server.allow_plaintext = true behind a proxy that ends TLS",
                        self.listen
                    ),
                ));
            }
            _ => {}
        }
    }
}
