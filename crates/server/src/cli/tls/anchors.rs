//! `hookseal tls anchors`: sets of private roots.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::api_client::Client;
use crate::cli::tls::calls::{TRANSPORT, call, forced, segment, value_name};
use crate::cli::tls::files::read_text;

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
