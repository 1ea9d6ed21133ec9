//! `hookseal tls identity`: the certificates that we present.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use crate::api_client::Client;
use crate::cli::tls::calls::{TRANSPORT, call, forced, segment};
use crate::cli::tls::files::{read, read_text};

/// What to do with the certificates that we present.
#[derive(Subcommand, Debug)]
pub(super) enum Identity {
    /// List the identities.
    List,
    /// Show one.
    Show {
        /// Its name
        name: String,
    },
    /// Show how far its rotation is: each certificate, and which one each endpoint accepted last.
    Rotation {
        /// Its name
        name: String,
    },
    /// Make a key, and print the request for a CA.
    Request {
        /// The identity's name
        name: String,
        /// Common name of the certificate
        #[arg(long)]
        common_name: String,
    },
    /// Install the certificate that a CA made of a request.
    Install {
        /// The identity's name
        name: String,
        /// The certificate's number
        number: u32,
        /// A PEM file with the chain, our own certificate first
        file: PathBuf,
    },
    /// Upload a certificate with its key: two PEM files, or a PKCS#12 file.
    Upload {
        /// The identity's name
        name: String,
        /// A PEM file with the chain, our own certificate first
        #[arg(long, value_name = "FILE", requires = "key")]
        certificate: Option<PathBuf>,
        /// A PEM file with the key
        #[arg(long, value_name = "FILE", requires = "certificate")]
        key: Option<PathBuf>,
        /// A PKCS#12 file with both
        #[arg(long, value_name = "FILE", conflicts_with_all = ["certificate", "key"])]
        #[arg(required_unless_present = "certificate")]
        pkcs12: Option<PathBuf>,
        /// A file with the password of the PKCS#12 file
        #[arg(long, value_name = "FILE", requires = "pkcs12")]
        password_file: Option<PathBuf>,
    },
    /// Present a certificate from now on: the receivers were told of it.
    Distribute {
        /// The identity's name
        name: String,
        /// The certificate's number
        number: u32,
    },
    /// Present a certificate no more.
    Retire {
        /// The identity's name
        name: String,
        /// The certificate's number
        number: u32,
        /// Even if no newer one was accepted by a receiver
        #[arg(long)]
        force: bool,
    },
    /// Delete an identity with its keys.
    Delete {
        /// Its name
        name: String,
    },
}

// === impl Identity ===

impl Identity {
    /// Does it, and says what came of it.
    pub(super) async fn carry_out(&self, client: &Client) -> anyhow::Result<String> {
        let of = |name: &str| format!("{TRANSPORT}/client-identity/{}", segment(name));
        let numbered = |name: &str, number| format!("{}/certificates/{number}", of(name));
        let (method, path, body) = match self {
            Self::List => {
                let path = format!("{TRANSPORT}/client-identity");
                (Method::GET, path, Value::Null)
            }
            Self::Show { name } => (Method::GET, of(name), Value::Null),
            Self::Rotation { name } => {
                let path = format!("{}/rotation", of(name));
                (Method::GET, path, Value::Null)
            }
            Self::Request { name, common_name } => {
                let body = json!({ "commonName": common_name });
                (Method::POST, format!("{}/requests", of(name)), body)
            }
            Self::Install { name, number, file } => {
                let body = json!({ "certificate": read_text(file)? });
                (Method::PUT, numbered(name, *number), body)
            }
            Self::Upload {
                name,
                certificate,
                key,
                pkcs12,
                password_file,
            } => {
                let body = match (certificate, key, pkcs12) {
                    (Some(certificate), Some(key), _) => {
                        let (certificate, key) = (read_text(certificate)?, read_text(key)?);
                        json!({ "certificate": certificate, "privateKey": key })
                    }
                    (_, _, Some(pkcs12)) => {
                        let password = password_file.as_deref().map(read_text).transpose()?;
                        let password = password.unwrap_or_default();
                        let password = password.trim_end_matches(['\r', '\n']);
                        json!({ "pkcs12": STANDARD.encode(read(pkcs12)?), "password": password })
                    }
                    _ => anyhow::bail!("give --certificate and --key, or --pkcs12"),
                };
                (Method::POST, format!("{}/certificates", of(name)), body)
            }
            Self::Distribute { name, number } => {
                let path = format!("{}/distribute", numbered(name, *number));
                (Method::POST, path, json!({}))
            }
            Self::Retire {
                name,
                number,
                force,
            } => {
                let path = format!("{}/retire", numbered(name, *number));
                (Method::POST, forced(path, *force), json!({}))
            }
            Self::Delete { name } => (Method::DELETE, of(name), Value::Null),
        };
        call(client, method, &path, &body).await
    }
}
