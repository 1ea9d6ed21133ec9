//! A message's payload as it goes out. Its bytes are never written anew.

use bytes::Bytes;
use serde::ser::{Error as _, SerializeMap};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use hookseal_store::inspect::Content;

/// A payload as it goes out.
pub(crate) enum Payload<'a> {
    /// As it stands in the request.
    Given(&'a RawValue),
    /// The bytes that were given once, which are JSON.
    Stored(Bytes),
    /// Not asked for.
    Omitted,
    /// Forgotten.
    Expired,
}

// === impl Payload ===

impl Payload<'_> {
    /// As much of it as was asked for and is there.
    pub(crate) fn of(payload: Option<Bytes>, content: Content) -> Self {
        match (content, payload) {
            (Content::Without, _) => Self::Omitted,
            (Content::With, Some(bytes)) => Self::Stored(bytes),
            (Content::With, None) => Self::Expired,
        }
    }
}

impl Serialize for Payload<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Given(raw) => raw.serialize(serializer),
            Self::Stored(bytes) => {
                let raw: &RawValue = serde_json::from_slice(bytes).map_err(S::Error::custom)?;
                raw.serialize(serializer)
            }
            Self::Omitted => serializer.serialize_map(Some(0))?.end(),
            Self::Expired => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("expired", &true)?;
                map.end()
            }
        }
    }
}
