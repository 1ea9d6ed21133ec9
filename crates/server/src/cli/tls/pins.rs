//! `hookseal tls pins`: the pinned keys of an endpoint.

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use hookseal_pki::certificate::SpkiSha256;

use crate::api_client::Client;
use crate::cli::tls::calls::{call, endpoint_path, forced, value_name};
use crate::cli::tls::files::read_text;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_is_told_from_a_file() {
        let pin = given_pin("sha256/abc=", "n").unwrap();
        assert_eq!(pin, json!({ "pin": "sha256/abc=", "note": "n" }));
        assert!(given_pin("no/such/file.pem", "").is_err());
    }
}
