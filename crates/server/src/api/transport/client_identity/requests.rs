//! `…/client-identity/{name}/requests`: keys that are made here, for a CA outside to certify.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::secret::Secret;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::identity::{ClientIdentity, IdentityCertificate};
use hookseal_domain::transport::rotation::{Stage, StageTimes};
use hookseal_domain::violation::Violation;
use hookseal_pki::certificate_request::{CertificateRequestError, certificate_request};
use hookseal_pki::private_key::{NewKey, PrivateKey};

use crate::api::Api;
use crate::api::access::{Authorized, Organisation};
use crate::api::check::Fields;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{IdempotencyHeader, TransportNameParams};
use crate::api::transport::client_identity::body::IdentityCertificateOut;
use crate::api::transport::client_identity::certificates::shown;
use crate::api::transport::client_identity::edit::{Counts, with_key};
use crate::api::transport::named::NamePath;
use crate::api::wire::present;

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(create))
}

/// A key to make and a certificate to request for it.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ClientCertificateRequestIn)]
struct RequestIn {
    /// The subject's common name.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required, min_length = 1, max_length = 64)]
    common_name: Option<String>,
    /// DNS names and addresses that the certificate shall have.
    #[serde(default)]
    #[schema(max_items = 16)]
    dns_names: Vec<String>,
    /// URIs that the certificate shall have, such as a SPIFFE ID.
    #[serde(default)]
    #[schema(max_items = 16)]
    uris: Vec<String>,
    /// `ecdsa_p256` (the default), `ecdsa_p384`, or `rsa_3072`.
    algorithm: Option<String>,
}

/// What is to be made.
struct CheckedRequest {
    common_name: String,
    names: Vec<String>,
    algorithm: NewKey,
}

/// Makes a key and a certificate request for a CA outside.
///
/// The key never leaves the server. Give the request (`csr`) to the CA, and install what it
/// answers with `PUT …/certificates/{number}`.
#[utoipa::path(post, path = "/api/v1/transport/client-identity/{name}/requests", operation_id = "v1.transport.client-identity.request", tag = "Transport",
    params(TransportNameParams, IdempotencyHeader), request_body = RequestIn,
    responses((status = 201, description = "Made", body = IdentityCertificateOut), ErrorResponses))]
async fn create(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let wanted = input.read::<RequestIn>()?.check()?;
    let (who, now) = (Principal::Organisation(org), api.engine.now());
    let request = input.idempotency(who, now, format_args!("requests {name}"));
    let _turn = api.turns.of(org).await;
    if let Some(number) = api.earlier(request).await? {
        return api
            .certificate(org, &name, number, StatusCode::CREATED)
            .await;
    }
    let made = tokio::task::spawn_blocking(move || wanted.make(now)).await;
    let made = made.map_err(|error| ApiError::internal(&error))??;
    let edit = |before: Option<&ClientIdentity>, _: &Counts| with_key(&name, before, made.clone());
    let made = api.edit_identity(org, &name, request, edit).await?;
    shown(&made, StatusCode::CREATED)
}

// === impl RequestIn ===

impl RequestIn {
    fn check(self) -> Result<CheckedRequest, Violations> {
        let mut violations = Violations::default();
        let mut fields = Fields::of_body(&mut violations);
        let common_name = fields.required("commonName", self.common_name);
        let uri = |uri: &&String| !uri.contains("://");
        if let Some(wrong) = self.uris.iter().find(uri) {
            let message = format!("{wrong:?} is no URI such as spiffe://example.org/hooks");
            fields.add(
                "uris",
                &Violation::new("value_error.certificate_request", message),
            );
        }
        let algorithm = fields.optional("algorithm", self.algorithm, |name| match name.as_str() {
            "ecdsa_p256" => Ok(NewKey::EcdsaP256),
            "ecdsa_p384" => Ok(NewKey::EcdsaP384),
            "rsa_3072" => Ok(NewKey::Rsa3072),
            _ => Err(Violation::new(
                "value_error.choice",
                "must be one of ecdsa_p256, ecdsa_p384, rsa_3072",
            )),
        });
        let names = self.dns_names.into_iter().chain(self.uris).collect();
        let checked = common_name.zip(algorithm);
        violations.finish(checked.map(|(common_name, algorithm)| CheckedRequest {
            common_name,
            names,
            algorithm: algorithm.unwrap_or(NewKey::EcdsaP256),
        }))
    }
}

// === impl CheckedRequest ===

impl CheckedRequest {
    /// Makes the key, which takes a while for RSA, and the request.
    fn make(self, now: Timestamp) -> Result<IdentityCertificate, ApiError> {
        let key = PrivateKey::generate(self.algorithm);
        let key = key.map_err(|error| ApiError::internal(&error))?;
        let csr = certificate_request(&self.common_name, &self.names, &key).map_err(refused)?;
        Ok(IdentityCertificate {
            number: 0,
            stage: Stage::Requested,
            times: StageTimes::default(),
            added_at: now,
            key: Secret::new(key.pkcs8().to_vec()),
            csr_pem: Some(csr),
            issued: None,
        })
    }
}

fn refused(error: CertificateRequestError) -> ApiError {
    let field = match &error {
        CertificateRequestError::CommonName => "commonName",
        CertificateRequestError::Name(name) if name.contains("://") => "uris",
        CertificateRequestError::Name(_) | CertificateRequestError::TooManyNames => "dnsNames",
        CertificateRequestError::Signing => return ApiError::internal(&error),
    };
    let violation = Violation::new("value_error.certificate_request", error.to_string());
    Violations::one(&["body", field], &violation).into()
}
