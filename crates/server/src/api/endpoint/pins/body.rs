//! Pins as they come in and go out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::pin::{PIN_NOTE_CHARS_MAX, Pin, PinSet, PinState, PinWarning};
use hookseal_domain::violation::Violation;
use hookseal_pki::certificate::SpkiSha256;
use hookseal_pki::pin_source::{PinSource, PinSourceError, PinSourceKind};

use crate::api::check::Fields;
use crate::api::endpoint::transport::edit::Around;
use crate::api::error::violations::Violations;
use crate::api::transport::named::hex;
use crate::api::wire::At;

/// A pin to add: exactly one of `pin`, `certificate`, `csr` and `publicKey`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = PinIn)]
pub(super) struct PinIn {
    /// The key's SHA-256: `sha256/` and base64 (RFC 7469).
    pin: Option<String>,
    /// A certificate with the key, in PEM.
    certificate: Option<String>,
    /// A certificate request with the key, in PEM: for a certificate that is still to come.
    csr: Option<String>,
    /// The public key, in PEM.
    public_key: Option<String>,
    /// For people: at most 500 characters.
    #[serde(default)]
    #[schema(default = "", max_length = 500)]
    note: String,
    /// `staged` (for a key to come, the default) or `active` (the key that is meant to be shown).
    state: Option<String>,
}

/// The pins of an endpoint.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pins)]
pub(super) struct PinsOut {
    /// The pins, in the order in which they were added.
    data: Vec<PinOut>,
    /// What they deserve to be told.
    warnings: Vec<WarningOut>,
}

/// A pinned key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Pin)]
pub(crate) struct PinOut {
    /// The key's SHA-256: `sha256/` and base64 (RFC 7469).
    pin: String,
    /// The same in hex digits, as it stands in paths.
    sha256: String,
    /// `staged`, `seen` (its key was shown), `active` (the key that is meant to be shown) or
    /// `retiring`. All of them match.
    state: &'static str,
    /// For people.
    note: String,
    /// When it was added.
    added_at: At,
    /// When its key was first in a verified path of the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen_at: Option<At>,
    /// When it was last.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_at: Option<At>,
    /// Whether its key is in the path that was verified last.
    live: bool,
}

/// What the pins of an endpoint deserve to be told.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PinWarning)]
pub(crate) struct WarningOut {
    /// `no_backup`, `live_key_is_staged`, `live_key_is_retiring` or `no_match`.
    code: &'static str,
    /// What it means and what to do.
    pub(crate) advice: &'static str,
}

// === impl PinIn ===

impl PinIn {
    /// The pin, once every field holds to its rule.
    pub(super) fn check(self, now: Timestamp) -> Result<Pin, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let given = [
            ("pin", self.pin),
            ("certificate", self.certificate),
            ("csr", self.csr),
            ("publicKey", self.public_key),
        ];
        let mut given = given
            .into_iter()
            .filter_map(|(field, text)| Some((field, text?)));
        let key = match (given.next(), given.next()) {
            (Some((field, text)), None) => fields.take(field, key_of(field, &text)),
            (None, _) => {
                let message = "must be given, or one of certificate, csr and publicKey";
                fields.add("pin", &Violation::new("value_error.missing", message));
                None
            }
            (Some(_), Some((field, _))) => {
                let message = "must not be given beside another source of the key";
                fields.add(field, &Violation::new("value_error.pin", message));
                None
            }
        };
        let note = fields.take("note", check_note(self.note));
        let state = fields.optional("state", self.state, |state| match state.as_str() {
            "staged" => Ok(PinState::Staged),
            "active" => Ok(PinState::Active),
            _ => Err(Violation::new(
                "value_error.choice",
                "must be staged or active",
            )),
        });
        let state = state.map(|state| state.unwrap_or(PinState::Staged));
        let pin = || Some(new_pin(key?, state?, note?, now));
        let pin = pin();
        violations.finish(pin)
    }
}

/// A pin that was not seen yet.
pub(super) fn new_pin(key: SpkiSha256, state: PinState, note: String, now: Timestamp) -> Pin {
    Pin {
        key,
        state,
        note,
        added_at: now,
        first_seen_at: None,
        last_seen_at: None,
    }
}

/// A note within its bounds.
pub(super) fn check_note(note: String) -> Result<String, Violation> {
    if note.chars().count() > PIN_NOTE_CHARS_MAX {
        let message = format!("must be at most {PIN_NOTE_CHARS_MAX} characters");
        return Err(Violation::new("value_error.length", message));
    }
    Ok(note)
}

fn key_of(field: &str, text: &str) -> Result<SpkiSha256, Violation> {
    let wrong = |message: String| Violation::new("value_error.pin", message);
    let expected = match field {
        "certificate" => PinSourceKind::Certificate,
        "csr" => PinSourceKind::CertificateRequest,
        "publicKey" => PinSourceKind::PublicKey,
        _ => return parse_pin(text),
    };
    let source = PinSource::parse(text.as_bytes());
    let source = source.map_err(|error: PinSourceError| wrong(error.to_string()))?;
    if source.kind() == expected {
        return Ok(source.spki_sha256());
    }
    Err(wrong(match source.kind() {
        PinSourceKind::Certificate => "holds a certificate: give it as certificate".to_owned(),
        PinSourceKind::CertificateRequest => {
            "holds a certificate request: give it as csr".to_owned()
        }
        PinSourceKind::PublicKey => "holds a public key: give it as publicKey".to_owned(),
    }))
}

/// The name of a key as pins write it.
pub(super) fn parse_pin(text: &str) -> Result<SpkiSha256, Violation> {
    let key = SpkiSha256::parse(text);
    key.map_err(|error| Violation::new("value_error.pin", error.to_string()))
}

// === impl PinsOut ===

impl PinsOut {
    /// As they go out.
    pub(super) fn of(around: &Around) -> Self {
        let pins = &around.transport.pins;
        Self {
            data: PinOut::all(pins, &around.live),
            warnings: WarningOut::all(pins, &around.live),
        }
    }
}

// === impl PinOut ===

impl PinOut {
    /// As it goes out; `live` is the path that was verified last.
    pub(crate) fn of(pin: &Pin, live: &[SpkiSha256]) -> Self {
        Self {
            pin: pin.key.to_string(),
            sha256: hex(pin.key.as_bytes()),
            state: pin.state.as_str(),
            note: pin.note.clone(),
            added_at: At(pin.added_at),
            first_seen_at: pin.first_seen_at.map(At),
            last_seen_at: pin.last_seen_at.map(At),
            live: live.contains(&pin.key),
        }
    }

    /// All of a set.
    pub(crate) fn all(pins: &PinSet, live: &[SpkiSha256]) -> Vec<Self> {
        pins.pins().iter().map(|pin| Self::of(pin, live)).collect()
    }
}

// === impl WarningOut ===

impl WarningOut {
    /// All that a set deserves to be told.
    pub(crate) fn all(pins: &PinSet, live: &[SpkiSha256]) -> Vec<Self> {
        pins.warnings(live).into_iter().map(Self::of).collect()
    }

    fn of(warning: PinWarning) -> Self {
        let advice = match warning {
            PinWarning::NoBackup => {
                "Only one pin is left: add the pin of a key that is kept in reserve, so that a \
                 lost key does not stop all deliveries."
            }
            PinWarning::LiveKeyIsStaged => {
                "The receiver shows a key whose pin is not the active one: it has changed over. \
                 Make that pin active."
            }
            PinWarning::LiveKeyIsRetiring => {
                "The receiver still shows a key whose pin is retiring: wait with its removal until \
                 it has changed over."
            }
            PinWarning::NoMatch => {
                "The receiver's key matches no pin. Ask the receiver whether it changed its key; \
                 if it did, add the new key's pin."
            }
        };
        Self {
            code: warning.as_str(),
            advice,
        }
    }
}
