//! Shapes that several bodies share, and how they stand in the OpenAPI document.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

use hookseal_domain::delivery::{Ended, Pending};
use hookseal_domain::time::Timestamp;
use hookseal_store::inspect::DeliveryStatus;

/// A field of a PATCH that may be `null`: absent, cleared, or set.
pub(crate) type Patch<T> = Option<Option<T>>;

/// An instant, written as RFC 3339.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ToSchema)]
#[schema(as = DateTime, value_type = String, format = DateTime)]
pub(crate) struct At(pub(crate) Timestamp);

/// How far a message or attempt has come, in a word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, ToSchema)]
#[schema(as = MessageStatusText)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatusText {
    /// It was accepted.
    Success,
    /// It is to be tried.
    Pending,
    /// It was not accepted.
    Fail,
    /// It is being tried.
    Sending,
    /// Somebody cancelled or skipped it.
    Canceled,
}

/// Nothing but `{}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmptyResponse)]
pub(crate) struct Empty {}

macro_rules! texts {
    ($($(#[doc = $doc:literal])+ $name:ident [$($rule:ident($value:expr)),+];)+) => {$(
        $(#[doc = $doc])+
        #[derive(Eq, Hash, PartialEq)]
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(concat!($($doc),+).trim()))
                    $(.$rule(Some($value)))+
                    .into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

/// The texts of the contract. Only their descriptions are used; `hookseal-domain` has the rules.
pub(crate) mod text {
    use super::*;

    texts! {
        /// The client's own name of a thing; accepted wherever an id is. Must not start like an id.
        Uid [pattern(r"^[a-zA-Z0-9\-_.]+$"), min_length(1), max_length(256)];
        /// The name of an event type.
        EventTypeName [pattern(r"^[a-zA-Z0-9\-_.]+$"), min_length(1), max_length(256)];
        /// The name of a channel.
        Channel [pattern(r"^[a-zA-Z0-9\-_.:+]+$"), min_length(1), max_length(128)];
        /// The name of a feature flag.
        FeatureFlag [pattern(r"^[a-zA-Z0-9\-_.]+$"), min_length(1), max_length(256)];
        /// A label of a message.
        Tag [pattern(r"^[a-zA-Z0-9\-_./\\#]+$"), min_length(1), max_length(128)];
        /// A signing key: an HMAC secret of 24 to 75 bytes (`whsec_`, or bare base64), or an ed25519
        /// key (`whsk_`).
        SigningKey [pattern(r"^(whsec_|whsk_)?[a-zA-Z0-9+/=]{32,100}$")];
        /// What a receiver verifies with: the HMAC secret (`whsec_`), or the public half of an
        /// ed25519 key (`whpk_`).
        ReceiverKey [pattern(r"^(whsec_|whpk_)[a-zA-Z0-9+/=]{32,100}$")];
        /// Id of an organisation.
        OrganisationId [pattern("^org_[A-Za-z0-9]{27}$"), min_length(31), max_length(31)];
        /// Id of an API token.
        ApiTokenId [pattern("^key_[A-Za-z0-9]{27}$"), min_length(31), max_length(31)];
        /// Id of an application.
        ApplicationId [pattern("^app_[A-Za-z0-9]{27}$"), min_length(31), max_length(31)];
        /// Id of an endpoint.
        EndpointId [pattern("^ep_[A-Za-z0-9]{27}$"), min_length(30), max_length(30)];
        /// Id of a message.
        MessageId [pattern("^msg_[A-Za-z0-9]{27}$"), min_length(31), max_length(31)];
        /// Id of an attempt.
        AttemptId [pattern("^atmpt_[A-Za-z0-9]{27}$"), min_length(33), max_length(33)];
        /// Id of a background task.
        TaskId [pattern("^qtask_[A-Za-z0-9]{27}$"), min_length(33), max_length(33)];
        /// The name of a transport policy, trust anchor set, client identity or proxy.
        TransportName [pattern(r"^[a-zA-Z0-9\-_.]+$"), min_length(1), max_length(128)];
        /// SHA-256 in hex digits.
        Sha256 [pattern("^[0-9a-fA-F]{64}$"), min_length(64), max_length(64)];
        /// An absolute URL.
        Url [format(SchemaFormat::Custom("uri".to_owned())), min_length(1), max_length(65_536)];
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])+ $name:ident $about:literal [$($value:literal),+];)+) => {$(
        $(#[$doc])+
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::Integer)
                    .description(Some($about))
                    .enum_values(Some([$($value),+]))
                    .into()
            }
        }

        impl ToSchema for $name {}
    )+};
}

/// The numbers of the contract that stand for something.
pub(crate) mod numbers {
    use super::*;

    numbers! {
        /// How far a message or attempt has come.
        MessageStatus "How far it has come: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled." [0, 1, 2, 3, 4];
        /// Why a delivery exists.
        MessageAttemptTriggerType "Why the delivery exists: 0 published, 1 sent again." [0, 1];
        /// A hundred of status codes.
        StatusCodeClass "A hundred of status codes; 0 for no response." [0, 100, 200, 300, 400, 500];
    }
}

/// Reads a field that is given: `null` is not taken for its absence.
pub(crate) fn present<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

// === impl At ===

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

// === impl StatusText ===

impl StatusText {
    /// As a number.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Pending => 1,
            Self::Fail => 2,
            Self::Sending => 3,
            Self::Canceled => 4,
        }
    }

    /// How a delivery stands.
    pub(crate) const fn of_delivery(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Ended(Ended::Delivered) => Self::Success,
            DeliveryStatus::Ended(Ended::Skipped) => Self::Canceled,
            DeliveryStatus::Ended(_) | DeliveryStatus::Pending(Pending::Blocked) => Self::Fail,
            DeliveryStatus::Pending(Pending::Owned) => Self::Sending,
            DeliveryStatus::Pending(_) => Self::Pending,
        }
    }
}

/// When a delivery is tried next, where that is known.
pub(crate) const fn next_attempt(status: DeliveryStatus) -> Option<At> {
    match status {
        DeliveryStatus::Pending(Pending::Waiting { due }) => Some(At(due)),
        DeliveryStatus::Pending(_) | DeliveryStatus::Ended(_) => None,
    }
}
