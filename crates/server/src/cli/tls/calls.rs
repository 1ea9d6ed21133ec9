//! What `hookseal tls` asks the API for.

use std::path::PathBuf;

use bytes::Bytes;
use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

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
        /// Its id, as `list` prints it
        pin: String,
        /// The state
        state: PinState,
        /// Even if the server was not seen with it
        #[arg(long)]
        force: bool,
    },
    /// Remove one.
    Remove {
        /// Its id, as `list` prints it
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
    /// Upload a certificate with its key.
    Upload {
        /// The identity's name
        name: String,
        /// A PEM file with the chain, our own certificate first
        #[arg(long, value_name = "FILE")]
        certificate: PathBuf,
        /// A PEM file with the key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
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

/// Makes a handshake and says what it showed.
pub(super) async fn probe(client: &Client, endpoint: &str) -> anyhow::Result<String> {
    let path = format!("{}/transport/probe", endpoint_path(client, endpoint).await?);
    call(client, Method::POST, &path, &json!({})).await
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
                let state = state.to_possible_value();
                let state = state.as_ref().map(clap::builder::PossibleValue::get_name);
                let body = json!({ "state": state, "force": force });
                (Method::PATCH, format!("{pins}/{}", segment(pin)), body)
            }
            Self::Remove { pin, force } => {
                let path = forced(format!("{pins}/{}", segment(pin)), *force);
                (Method::DELETE, path, Value::Null)
            }
        };
        call(client, method, &path, &body).await
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
            } => {
                let certificate = read_text(certificate)?;
                let body = json!({ "certificate": certificate, "privateKey": read_text(key)? });
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
    Ok(pretty(&serde_json::from_slice(&answer)?))
}

/// The path of an endpoint of which only the id is known.
async fn endpoint_path(client: &Client, endpoint: &str) -> anyhow::Result<String> {
    let explained = explain(client, endpoint).await?;
    let app = explained.get("appId").and_then(Value::as_str);
    let app = app.ok_or_else(|| anyhow::anyhow!("the API does not say whose endpoint it is"))?;
    Ok(format!("/api/v1/app/{app}/endpoint/{}", segment(endpoint)))
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
