//! `hookseal tls policy`: named transport policies.

use std::path::PathBuf;

use clap::Subcommand;
use http::Method;
use serde_json::Value;

use crate::api_client::Client;
use crate::cli::tls::calls::{TRANSPORT, call, segment};
use crate::cli::tls::files::read;

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
