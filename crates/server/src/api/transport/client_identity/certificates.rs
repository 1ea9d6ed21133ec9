//! `…/client-identity/{name}/certificates`: certificates that come from outside.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use hookseal_domain::access::Principal;
use hookseal_domain::id::OrgId;
use hookseal_domain::transport::identity::ClientIdentity;
use hookseal_domain::transport::name::Name;
use hookseal_domain::transport::rotation::Stage;

use crate::api::access::{Authorized, Organisation};
use crate::api::error::{ApiError, ErrorCode, ErrorResponses};
use crate::api::input::Input;
use crate::api::params::{IdempotencyHeader, IdentityCertificateParams, TransportNameParams};
use crate::api::respond::{json, ok};
use crate::api::transport::change::Made;
use crate::api::transport::client_identity::WHAT;
use crate::api::transport::client_identity::body::IdentityCertificateOut;
use crate::api::transport::client_identity::edit::{Counts, brought, installed, with_key};
use crate::api::transport::client_identity::given::{Uploaded, issued_for};
use crate::api::transport::named::{NamePath, NumberPath};
use crate::api::wire::present;
use crate::api::{Api, ApiContext};

/// The operations.
pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(upload))
        .routes(routes!(install))
}

/// A certificate with its private key, in PEM or as PKCS#12. The key is sealed and never shown.
#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = ClientCertificateIn)]
pub(super) struct CertificateIn {
    /// The certificate in PEM, followed by those between it and the root.
    #[serde(default)]
    pub(super) certificate: Option<String>,
    /// Its private key in PEM: PKCS#8, PKCS#1 or SEC 1, not encrypted.
    #[serde(default)]
    #[schema(write_only)]
    pub(super) private_key: Option<String>,
    /// Instead of both: a PKCS#12 file in base64.
    #[serde(default)]
    #[schema(write_only)]
    pub(super) pkcs12: Option<String>,
    /// The password of the PKCS#12 file.
    #[serde(default)]
    #[schema(write_only)]
    pub(super) password: Option<String>,
    /// Whether the receivers were told of it already, so that it is preferred at once. The first
    /// certificate of an identity always is.
    #[serde(default)]
    #[schema(default = false)]
    pub(super) distribute: bool,
}

/// The answer of a CA to a certificate request.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ClientCertificateInstallIn)]
pub(super) struct InstallIn {
    /// The certificate in PEM, followed by those between it and the root.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = String, required)]
    pub(super) certificate: Option<String>,
}

/// Adds a certificate with its private key to a client identity, or makes the identity.
///
/// Several are valid at once. Receivers are shown the newest of which they were told
/// (`distributed`); should one refuse it, an older one is tried.
#[utoipa::path(post, path = "/api/v1/transport/client-identity/{name}/certificates", operation_id = "v1.transport.client-identity.upload", tag = "Transport",
    params(TransportNameParams, IdempotencyHeader), request_body = CertificateIn,
    responses((status = 201, description = "Added", body = IdentityCertificateOut), ErrorResponses))]
async fn upload(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let now = api.engine.now();
    let body: CertificateIn = input.read()?;
    let distribute = body.distribute;
    let given = body.read(now).await?;
    let who = Principal::Organisation(org);
    let request = input.idempotency(who, now, format_args!("client-identity {name}"));
    let _turn = api.turns.of(org).await;
    if let Some(number) = api.earlier(request).await? {
        return api
            .certificate(org, &name, number, StatusCode::CREATED)
            .await;
    }
    let edit = |before: Option<&ClientIdentity>, _: &Counts| {
        let stage = first_stage(before, &given, distribute)?;
        with_key(&name, before, brought(given.clone(), stage, now))
    };
    let made = api.edit_identity(org, &name, request, edit).await?;
    shown(&made, StatusCode::CREATED)
}

/// Installs the certificate that a CA issued for a request.
#[utoipa::path(put, path = "/api/v1/transport/client-identity/{name}/certificates/{number}", operation_id = "v1.transport.client-identity.install", tag = "Transport",
    params(IdentityCertificateParams), request_body = InstallIn,
    responses((status = 200, description = "Installed", body = IdentityCertificateOut), ErrorResponses))]
async fn install(
    Authorized(Organisation(org)): Authorized<Organisation>,
    NamePath(name): NamePath,
    NumberPath(number): NumberPath,
    State(api): State<Api>,
    input: Input,
) -> Result<Response, ApiError> {
    let body: InstallIn = input.read()?;
    let now = api.engine.now();
    let _turn = api.turns.of(org).await;
    let edit = |before: Option<&ClientIdentity>, _: &Counts| {
        let one = before.and_then(|identity| find(identity, number));
        let one = one.ok_or_else(|| ApiError::not_found("the certificate"))?;
        let issued = issued_for(&body, one, now)?;
        installed(before, number, issued, now)
    };
    let made = api.edit_identity(org, &name, None, edit).await?;
    shown(&made, StatusCode::OK)
}

/// The stage in which a certificate begins; refuses one that is there already.
fn first_stage(
    before: Option<&ClientIdentity>,
    given: &Uploaded,
    distribute: bool,
) -> Result<Stage, ApiError> {
    let Some(identity) = before else {
        return Ok(Stage::Distributed);
    };
    let mut known = identity.certificates.iter();
    let same = known.find(|one| {
        let sha256 = one.issued.as_ref().map(|issued| issued.sha256);
        sha256 == Some(given.issued.sha256) && one.stage != Stage::Retired
    });
    if let Some(same) = same {
        let detail = format!(
            "{WHAT} has this certificate already, with number {}",
            same.number
        );
        return Err(ApiError::new(ErrorCode::Conflict, detail));
    }
    if distribute || identity.presentable().next().is_none() {
        return Ok(Stage::Distributed);
    }
    Ok(Stage::Issued)
}

/// One certificate of an identity that was changed, as it goes out.
pub(super) fn shown(made: &Made<ClientIdentity>, status: StatusCode) -> Result<Response, ApiError> {
    let one = find(&made.document, made.number);
    let one = one.ok_or_else(|| ApiError::not_found("the certificate"))?;
    let out = IdentityCertificateOut::of(one);
    Ok(match status {
        StatusCode::OK => ok(&out),
        status => json(status, &out),
    })
}

fn find(
    identity: &ClientIdentity,
    number: u32,
) -> Option<&hookseal_domain::transport::identity::IdentityCertificate> {
    let mut certificates = identity.certificates.iter();
    certificates.find(|one| one.number == number)
}

impl ApiContext {
    /// One certificate as it stands now.
    pub(super) async fn certificate(
        &self,
        org: OrgId,
        name: &Name,
        number: i64,
        status: StatusCode,
    ) -> Result<Response, ApiError> {
        let book = self.book(org).await?;
        let found = book.identities.get(name);
        let identity = found.ok_or_else(|| ApiError::not_found(WHAT))?;
        let made = Made {
            document: identity.as_ref().clone(),
            number: u32::try_from(number).unwrap_or(0),
        };
        shown(&made, status)
    }
}
