//! What the API is told before anything is sent: the private root, our identity, the policy that
//! lies under all endpoints, and the endpoints.

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use hookseal_domain::secret::Secret;

use crate::api_client::ClientError;
use crate::demo::mutual::MutualError;
use crate::demo::mutual::receivers::Party;
use crate::demo::stage::Stage;
use crate::demo::wire::SecretOut;

/// The uid of the application.
pub(super) const APP: &str = "demo";
/// The name of our client identity.
pub(super) const IDENTITY: &str = "shop";
/// The name of the set of private roots.
const ANCHORS: &str = "partners";
/// Where transport security is configured.
const TRANSPORT: &str = "/api/v1/transport";

#[derive(Deserialize)]
struct Requested {
    number: u32,
    csr: String,
}

/// Makes the root, the identity, the policy and the application known; answers the number of our
/// first certificate.
pub(super) async fn set_up(stage: &Stage) -> Result<u32, MutualError> {
    let client = &stage.client;
    let path = format!("{TRANSPORT}/trust-anchors/{ANCHORS}");
    let anchors = json!({ "pem": stage.authority.pem() });
    client.change(Method::PUT, &path, &anchors).await?;
    let number = request_certificate(stage).await?;
    let policy = json!({
        "tlsMinVersion": "1.3",
        "trust": "private",
        "trustAnchors": ANCHORS,
        "clientIdentity": IDENTITY,
    });
    let path = format!("{TRANSPORT}/policy/default");
    client.change(Method::PUT, &path, &policy).await?;
    let application = json!({ "name": "Demo shop", "uid": APP });
    client
        .change(Method::POST, "/api/v1/app", &application)
        .await?;
    for name in ["audit.check", "ledger.entry"] {
        let event_type = json!({ "name": name, "description": "An event of the demo" });
        client
            .change(Method::POST, "/api/v1/event-type", &event_type)
            .await?;
    }
    Ok(number)
}

/// Has the server make a key and a request, lets the private CA sign it, and installs the answer.
pub(super) async fn request_certificate(stage: &Stage) -> Result<u32, MutualError> {
    let request = json!({ "commonName": "shop.example" }).to_string();
    let path = format!("{}/requests", identity_path());
    let requested: Requested = stage.client.create(&path, Bytes::from(request)).await?;
    let certificate = stage.authority.sign_client(&requested.csr)?;
    let path = format!("{}/certificates/{}", identity_path(), requested.number);
    let installed = json!({ "certificate": certificate });
    stage.client.change(Method::PUT, &path, &installed).await?;
    Ok(requested.number)
}

/// Makes a receiver's endpoint, and answers what it verifies with.
pub(super) async fn make_endpoint(
    stage: &Stage,
    party: Party,
    url: &str,
) -> Result<Secret<String>, ClientError> {
    let client = &stage.client;
    let filter = match party {
        Party::Bank => json!(["audit.check", "ledger.entry"]),
        Party::Impostor | Party::Anonymous => json!(["audit.check"]),
    };
    let endpoint = json!({ "url": url, "uid": party.as_str(), "filterTypes": filter });
    let path = format!("/api/v1/app/{APP}/endpoint");
    client.change(Method::POST, &path, &endpoint).await?;
    let secret: SecretOut = client
        .read(&format!("{}/secret", endpoint_path(party)))
        .await?;
    Ok(Secret::new(secret.key))
}

/// Pins the key of this certificate.
pub(super) async fn pin(stage: &Stage, party: Party, pem: &str) -> Result<(), ClientError> {
    let path = format!("{}/pins", endpoint_path(party));
    let pin = json!({ "certificate": pem });
    stage.client.change(Method::POST, &path, &pin).await
}

/// Changes the endpoint's own layer of transport policy.
pub(super) async fn demand(
    stage: &Stage,
    party: Party,
    layer: &serde_json::Value,
) -> Result<(), ClientError> {
    let path = format!("{}/transport", endpoint_path(party));
    let layer = json!({ "own": layer });
    stage.client.change(Method::PATCH, &path, &layer).await
}

pub(super) fn endpoint_path(party: Party) -> String {
    format!("/api/v1/app/{APP}/endpoint/{}", party.as_str())
}

pub(super) fn identity_path() -> String {
    format!("{TRANSPORT}/client-identity/{IDENTITY}")
}
