//! What `hookseal tls` asks the API for.

use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use hookseal_pki::certificate::SpkiSha256;

use crate::api_client::Client;
use crate::cli::tls::files::{read, read_text};

const TRANSPORT: &str = "/api/v1/transport";

/// What to do with an endpoint's pins.
#[derive(Subcommand, Debug)]
pub(super) enum Pins {
    /// List them.
    List,
    /// Look which keys the server shows now; with `--confirm`, pin one of them.
    Learn {
        /// The key to pin, as `learn` printed it: sha256/…
        #[arg(long, value_name = "PIN")]
        confirm: Option<String>,
        /// For people
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Add one: sha256/…, or a PEM file with a certificate, a certificate request or a public key.
    Add {
        /// The pin, or the file
        #[arg(value_name = "PIN or FILE")]
        pin: String,
        /// For people
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Put one into a state.
    Set {
        /// The pin, or the hex digits of its SHA-256
        pin: String,
        /// The state
        state: PinState,
        /// Even if the server was not seen with it
        #[arg(long)]
        force: bool,
    },
    /// Remove one.
    Remove {
        /// The pin, or the hex digits of its SHA-256
        pin: String,
        /// Even if nothing would match any more
        #[arg(long)]
        force: bool,
    },
}

/// Where a pin stands.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum PinState {
    /// For a key to come.
    Staged,
    /// For the key that the server is meant to have.
    Active,
    /// To be removed soon.
    Retiring,
}

/// Where a root stands.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(super) enum AnchorState {
    /// In use.
    Active,
    /// To go once no endpoint needs it.
    Retiring,
}

/// What to do with sets of private roots.
#[derive(Subcommand, Debug)]
pub(super) enum Anchors {
    /// List the sets.
    List,
    /// Show one, and how many endpoints need each root.
    Show {
        /// Its name
        name: String,
    },
    /// Make or replace one.
    Set {
        /// Its name
        name: String,
        /// A PEM file with the roots
        file: PathBuf,
        /// Even if endpoints need a root that would go
        #[arg(long)]
        force: bool,
    },
    /// Add roots to one.
    Add {
        /// Its name
        name: String,
        /// A PEM file with the roots
        file: PathBuf,
    },
    /// Mark a root as one that is to go, or take that back.
    Mark {
        /// The set's name
        name: String,
        /// SHA-256 of the root's certificate, in hexadecimal
        sha256: String,
        /// The state
        state: AnchorState,
    },
    /// Remove a root.
    Remove {
        /// The set's name
        name: String,
        /// SHA-256 of the root's certificate, in hexadecimal
        sha256: String,
        /// Even if endpoints need it
        #[arg(long)]
        force: bool,
    },
    /// Delete a set.
    Delete {
        /// Its name
        name: String,
    },
}

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

/// What to do with named policies.
#[derive(Subcommand, Debug)]
pub(super) enum Policy {
    /// List them.
    List,
    /// Show one.
    Show {
        /// Its name
        name: String,
    },
    /// Make or replace one.
    Set {
        /// Its name; the one called default lies under all others
        name: String,
        /// A JSON file, such as {"tlsMinVersion": "1.3", "trust": "private", "trustAnchors": "x"}
        file: PathBuf,
    },
    /// Delete one.
    Delete {
        /// Its name
        name: String,
    },
}

/// Everything that is known of an endpoint's transport security.
pub(super) async fn explain(client: &Client, endpoint: &str) -> anyhow::Result<Value> {
    let path = format!("{TRANSPORT}/explain?endpoint={}", segment(endpoint));
    Ok(client.read(&path).await?)
}

/// Makes a handshake and says what it showed, and whether it was good.
pub(super) async fn probe(client: &Client, endpoint: &str) -> anyhow::Result<(String, bool)> {
    let path = format!("{}/transport/probe", endpoint_path(client, endpoint).await?);
    let report: Value = client.create(&path, Bytes::from_static(b"{}")).await?;
    let is_good = report.get("result").and_then(Value::as_str) == Some("ok");
    Ok((pretty(&report), is_good))
}

/// Shows what an endpoint says of transport security, or changes its own layer.
pub(super) async fn endpoint(
    client: &Client,
    endpoint: &str,
    change: Option<&Path>,
) -> anyhow::Result<String> {
    let path = format!("{}/transport", endpoint_path(client, endpoint).await?);
    match change {
        None => call(client, Method::GET, &path, &Value::Null).await,
        Some(file) => {
            let body = serde_json::from_slice(&read(file)?)?;
            call(client, Method::PATCH, &path, &body).await
        }
    }
}

/// JSON for people.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

// === impl Pins ===

impl Pins {
    /// Does it, and says what came of it.
    pub(super) async fn carry_out(
        &self,
        client: &Client,
        endpoint: &str,
    ) -> anyhow::Result<String> {
        let pins = format!("{}/pins", endpoint_path(client, endpoint).await?);
        let (method, path, body) = match self {
            Self::List => (Method::GET, pins, Value::Null),
            Self::Learn { confirm, note } => {
                let body = match confirm {
                    Some(pin) => json!({ "confirm": pin, "note": note }),
                    None => json!({}),
                };
                (Method::POST, format!("{pins}/learn"), body)
            }
            Self::Add { pin, note } => (Method::POST, pins, given_pin(pin, note)?),
            Self::Set { pin, state, force } => {
                let body = json!({ "state": value_name(*state), "force": force });
                (Method::PATCH, format!("{pins}/{}", pin_id(pin)?), body)
            }
            Self::Remove { pin, force } => {
                let path = forced(format!("{pins}/{}", pin_id(pin)?), *force);
                (Method::DELETE, path, Value::Null)
            }
        };
        call(client, method, &path, &body).await
    }
}

/// What stands for a pin in a path: the hex digits of its SHA-256.
fn pin_id(pin: &str) -> anyhow::Result<String> {
    match SpkiSha256::parse(pin) {
        Ok(key) => Ok(key
            .as_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()),
        Err(_) if pin.len() == 64 && pin.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(pin.to_ascii_lowercase())
        }
        Err(error) => Err(anyhow::anyhow!("{pin}: {error}")),
    }
}

/// A pin in its text form goes as it is; anything else is a file.
fn given_pin(pin: &str, note: &str) -> anyhow::Result<Value> {
    if pin.starts_with("sha256/") || pin.starts_with("pin-sha256=") {
        return Ok(json!({ "pin": pin, "note": note }));
    }
    let pem = read_text(pin.as_ref())?;
    let kind = if pem.contains("BEGIN CERTIFICATE REQUEST") {
        "csr"
    } else if pem.contains("BEGIN PUBLIC KEY") {
        "publicKey"
    } else {
        "certificate"
    };
    let mut body = json!({ "note": note });
    if let Some(fields) = body.as_object_mut() {
        fields.insert(kind.to_owned(), pem.into());
    }
    Ok(body)
}

// === impl Anchors ===

impl Anchors {
    /// Does it, and says what came of it.
    pub(super) async fn carry_out(&self, client: &Client) -> anyhow::Result<String> {
        let of = |name: &str| format!("{TRANSPORT}/trust-anchors/{}", segment(name));
        let (method, path, body) = match self {
            Self::List => {
                let path = format!("{TRANSPORT}/trust-anchors");
                (Method::GET, path, Value::Null)
            }
            Self::Show { name } => (Method::GET, of(name), Value::Null),
            Self::Set { name, file, force } => {
                let body = json!({ "pem": read_text(file)? });
                (Method::PUT, forced(of(name), *force), body)
            }
            Self::Add { name, file } => {
                let body = json!({ "pem": read_text(file)? });
                (Method::POST, format!("{}/anchors", of(name)), body)
            }
            Self::Mark {
                name,
                sha256,
                state,
            } => {
                let path = format!("{}/anchors/{}", of(name), segment(sha256));
                (Method::PATCH, path, json!({ "state": value_name(*state) }))
            }
            Self::Remove {
                name,
                sha256,
                force,
            } => {
                let path = format!("{}/anchors/{}", of(name), segment(sha256));
                (Method::DELETE, forced(path, *force), Value::Null)
            }
            Self::Delete { name } => (Method::DELETE, of(name), Value::Null),
        };
        call(client, method, &path, &body).await
    }
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

// === impl Policy ===

impl Policy {
    /// Does it, and says what came of it.
    pub(super) async fn carry_out(&self, client: &Client) -> anyhow::Result<String> {
        let of = |name: &str| format!("{TRANSPORT}/policy/{}", segment(name));
        let (method, path, body) = match self {
            Self::List => (Method::GET, format!("{TRANSPORT}/policy"), Value::Null),
            Self::Show { name } => (Method::GET, of(name), Value::Null),
            Self::Set { name, file } => {
                let body = serde_json::from_slice(&read(file)?)?;
                (Method::PUT, of(name), body)
            }
            Self::Delete { name } => (Method::DELETE, of(name), Value::Null),
        };
        call(client, method, &path, &body).await
    }
}

/// Makes a call and gives the answer for people: JSON, or `done` where there is none.
async fn call(client: &Client, method: Method, path: &str, body: &Value) -> anyhow::Result<String> {
    let body = match body {
        Value::Null => Bytes::new(),
        body => Bytes::from(body.to_string()),
    };
    let answer = client.answer(method, path, body).await?;
    if answer.is_empty() {
        return Ok("done".to_owned());
    }
    let answer = serde_json::from_slice(&answer);
    Ok(pretty(&answer.context(
        "what answers there is not the API of Hookseal",
    )?))
}

/// The path of an endpoint of which only the id is known.
async fn endpoint_path(client: &Client, endpoint: &str) -> anyhow::Result<String> {
    let explained = explain(client, endpoint).await?;
    let app = explained.get("appId").and_then(Value::as_str);
    let app = app.ok_or_else(|| anyhow::anyhow!("the API does not say whose endpoint it is"))?;
    Ok(format!("/api/v1/app/{app}/endpoint/{}", segment(endpoint)))
}

/// How a value is written on the command line, and in the API.
fn value_name(value: impl ValueEnum) -> Option<String> {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
}

fn forced(path: String, force: bool) -> String {
    if force { path + "?force=true" } else { path }
}

/// One segment of a path, or a value of a query: what has a meaning there is escaped.
fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(segment("a-b_c.d"), "a-b_c.d");
        assert_eq!(segment("../x y?z"), "..%2Fx%20y%3Fz");
    }

    #[test]
    fn a_pin_is_told_from_a_file() {
        let pin = given_pin("sha256/abc=", "n").unwrap();
        assert_eq!(pin, json!({ "pin": "sha256/abc=", "note": "n" }));
        assert!(given_pin("no/such/file.pem", "").is_err());
    }
}
