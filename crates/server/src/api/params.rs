//! Parameters that many operations share, as they stand in the OpenAPI document.

use utoipa::IntoParams;

use crate::api::wire::{numbers, text};

macro_rules! path_params {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])+
        #[derive(IntoParams)]
        #[into_params(parameter_in = Path)]
        #[expect(dead_code, reason = "describes a path in the OpenAPI document")]
        pub(crate) struct $name {
            $($(#[$field_doc])+ $field: $type,)+
        }
    )+};
}

path_params! {
    /// Names an application.
    ApplicationPath {
        /// The application's id or uid.
        app_id: text::Uid,
    }
    /// Names an endpoint.
    EndpointParams {
        /// The application's id or uid.
        app_id: text::Uid,
        /// The endpoint's id or uid.
        endpoint_id: text::Uid,
    }
    /// Names a verification of an endpoint that is under way.
    VerificationParams {
        /// What stands at the end of the URL that the receiver got.
        token: text::Uid,
    }
    /// Names an endpoint of the organisation's own.
    OperationalEndpointParams {
        /// The endpoint's id or uid.
        endpoint_id: text::Uid,
    }
    /// Names a message.
    MessageParams {
        /// The application's id or uid.
        app_id: text::Uid,
        /// The message's id or `eventId`.
        msg_id: text::Uid,
    }
    /// Names an attempt.
    AttemptParams {
        /// The application's id or uid.
        app_id: text::Uid,
        /// The message's id or `eventId`.
        msg_id: text::Uid,
        /// The attempt's id.
        attempt_id: text::AttemptId,
    }
    /// Names a delivery.
    DeliveryParams {
        /// The application's id or uid.
        app_id: text::Uid,
        /// The message's id or `eventId`.
        msg_id: text::Uid,
        /// The endpoint's id or uid.
        endpoint_id: text::Uid,
    }
    /// Names the organisation.
    EnvironmentParams {
        /// The organisation's id.
        env_id: text::OrganisationId,
    }
    /// Names an API token.
    ApiTokenParams {
        /// The organisation's id.
        env_id: text::OrganisationId,
        /// The token's id.
        key_id: text::ApiTokenId,
    }
    /// Names something of an organisation's transport security.
    TransportNameParams {
        /// Its name.
        name: text::TransportName,
    }
    /// Names a root of a trust anchor set.
    TrustAnchorParams {
        /// The set's name.
        name: text::TransportName,
        /// SHA-256 of the root's certificate.
        sha256: text::Sha256,
    }
    /// Names a certificate of a client identity.
    IdentityCertificateParams {
        /// The identity's name.
        name: text::TransportName,
        /// The certificate's number within it.
        number: u32,
    }
    /// Names a pin of an endpoint.
    PinParams {
        /// The application's id or uid.
        app_id: text::Uid,
        /// The endpoint's id or uid.
        endpoint_id: text::Uid,
        /// SHA-256 of the pinned key: what its pin has in base64.
        sha256: text::Sha256,
    }
    /// Names a background task.
    TaskParams {
        /// The task's id.
        task_id: text::TaskId,
    }
    /// Names an event type.
    EventTypeParams {
        /// The event type's name.
        event_type_name: text::EventTypeName,
    }
}

/// By what a repeated request is recognised.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes a header in the OpenAPI document")]
pub(crate) struct IdempotencyHeader {
    /// Makes the request repeatable for 12 hours: the same key with the same body gets the same
    /// answer and changes nothing more, with another body 409.
    #[param(rename = "idempotency-key", min_length = 1, max_length = 256)]
    idempotency_key: Option<String>,
}

macro_rules! query_params {
    ($($(#[$doc:meta])+ $name:ident { $($(#[$field_doc:meta])+ $field:ident: $type:ty,)+ })+) => {$(
        $(#[$doc])+
        #[derive(IntoParams)]
        #[into_params(parameter_in = Query)]
        #[expect(dead_code, reason = "describes a query in the OpenAPI document")]
        pub(crate) struct $name {
            $($(#[$field_doc])+ $field: Option<$type>,)+
        }
    )+};
}

query_params! {
    /// Whether payloads or responses are wanted.
    ContentParams {
        /// Whether payloads or responses are in the answer.
        #[param(default = true)]
        with_content: bool,
    }
    /// Which messages.
    MessageFilterParams {
        /// Only on this channel.
        channel: text::Channel,
        /// Only with this tag.
        tag: String,
        /// Only of these types: repeated, or separated by commas.
        event_types: Vec<text::EventTypeName>,
        /// Only earlier ones.
        #[param(format = DateTime)]
        before: String,
        /// Only later ones.
        #[param(format = DateTime)]
        after: String,
        /// Whether payloads or responses are in the answer.
        #[param(default = true)]
        with_content: bool,
    }
    /// How they stand.
    StatusParams {
        /// Only those that stand so.
        status: numbers::MessageStatus,
    }
    /// Which attempts.
    StatusCodeParams {
        /// Only with a status code from this hundred; 0 for no response.
        status_code_class: numbers::StatusCodeClass,
    }
    /// To which endpoint.
    ToEndpointParams {
        /// Only to the endpoint with this id or uid.
        endpoint_id: text::Uid,
    }
}
