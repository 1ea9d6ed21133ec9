//! Every operation, asked by everybody.

use std::time::Duration;

use serde_json::{Value, json};

use hookseal_testkit::test_ca::TestCa;
use hookseal_testkit::wait::until;

use crate::api::shop::{Shop, id};

/// Who may use an operation.
#[derive(Clone, Copy, PartialEq)]
enum For {
    /// Everybody, without a token.
    All,
    /// Every token.
    Tokens,
    /// Every token, to end itself; nobody, with a secret in the body or the path. These have tests of their own.
    Itself,
    /// The organisation's tokens.
    Organisation,
    /// The organisation's tokens and those of the application in the path.
    OwnApplication,
}

/// The matrix. An operation that is not in it fails the test.
const MATRIX: &[(&str, For)] = &[
    ("v1.application.list", For::Organisation),
    ("v1.application.create", For::Organisation),
    ("v1.application.get", For::OwnApplication),
    ("v1.application.update", For::Organisation),
    ("patch_application", For::Organisation),
    ("v1.application.delete", For::Organisation),
    ("v1.endpoint.list", For::OwnApplication),
    ("v1.endpoint.create", For::OwnApplication),
    ("v1.endpoint.get", For::OwnApplication),
    ("v1.endpoint.update", For::OwnApplication),
    ("patch_endpoint", For::OwnApplication),
    ("v1.endpoint.delete", For::OwnApplication),
    ("v1.endpoint.filter.get", For::OwnApplication),
    ("v1.endpoint.get-headers", For::OwnApplication),
    ("v1.endpoint.update-headers", For::OwnApplication),
    ("v1.endpoint.patch-headers", For::OwnApplication),
    ("v1.endpoint.get-secret", For::OwnApplication),
    ("v1.endpoint.rotate-secret", For::OwnApplication),
    ("v1.endpoint.breaker.get", For::OwnApplication),
    ("v1.endpoint.breaker.reset", For::OwnApplication),
    ("v1.endpoint.order.get", For::OwnApplication),
    ("v1.endpoint.order.skip", For::OwnApplication),
    ("v1.endpoint.get-throttling-status", For::OwnApplication),
    ("v1.endpoint.verify", For::OwnApplication),
    ("v1.event-type.list", For::Tokens),
    ("v1.event-type.create", For::Organisation),
    ("v1.event-type.get", For::Tokens),
    ("v1.event-type.update", For::Organisation),
    ("patch_event_type", For::Organisation),
    ("v1.event-type.delete", For::Organisation),
    ("v1.event-type.get-retry-schedule", For::Organisation),
    ("v1.event-type.set-retry-schedule", For::Organisation),
    ("v1.event-type.import-openapi", For::Organisation),
    ("v1.event-type.import-asyncapi", For::Organisation),
    ("v1.event-type.export-openapi", For::Organisation),
    ("v1.event-type.export-openapi-document", For::Organisation),
    ("v1.event-type.export-asyncapi-document", For::Organisation),
    ("v1.endpoint.send-example", For::OwnApplication),
    ("v1.message.list", For::OwnApplication),
    ("v1.message.create", For::Organisation),
    ("v1.message.create-cloud-event", For::Organisation),
    ("v1.message.get", For::OwnApplication),
    ("v1.message.expunge-content", For::Organisation),
    ("v1.message-attempt.list-by-endpoint", For::OwnApplication),
    ("v1.message-attempt.list-by-msg", For::OwnApplication),
    (
        "v1.message-attempt.list-attempted-messages",
        For::OwnApplication,
    ),
    (
        "v1.message-attempt.list-attempted-destinations",
        For::OwnApplication,
    ),
    ("v1.message-attempt.get", For::OwnApplication),
    ("v1.message-attempt.expunge-content", For::Organisation),
    ("v1.message-attempt.resend", For::OwnApplication),
    ("v1.endpoint.enable", For::OwnApplication),
    ("v1.endpoint.recover", For::OwnApplication),
    ("v1.endpoint.replay-missing", For::OwnApplication),
    ("v1.endpoint.bulk-replay", For::OwnApplication),
    ("v1.endpoint.cancel-msgs", For::OwnApplication),
    ("v1.message.bulk-expunge-content", For::Organisation),
    ("v1.message.expunge-all-contents", For::Organisation),
    ("v1.message.broadcast", For::Organisation),
    ("v1.message.precheck", For::OwnApplication),
    ("v1.message.get-raw-payload", For::OwnApplication),
    ("v1.background-task.list", For::Tokens),
    ("v1.background-task.get", For::OwnApplication),
    ("v1.background-task.cancel", For::OwnApplication),
    ("v1.endpoint.get-mtls", For::OwnApplication),
    ("v1.endpoint.set-mtls-config", For::Organisation),
    ("v1.endpoint.delete-mtls-config", For::Organisation),
    ("v1.endpoint.get-server-ca", For::OwnApplication),
    ("v1.endpoint.set-server-ca", For::Organisation),
    ("v1.endpoint.transport.get", For::OwnApplication),
    ("v1.endpoint.transport.put", For::Organisation),
    ("v1.endpoint.transport.patch", For::Organisation),
    ("v1.endpoint.transport.explain", For::OwnApplication),
    ("v1.endpoint.transport.probe", For::Organisation),
    ("v1.endpoint.pins.list", For::OwnApplication),
    ("v1.endpoint.pins.add", For::Organisation),
    ("v1.endpoint.pins.learn", For::Organisation),
    ("v1.endpoint.pins.patch", For::Organisation),
    ("v1.endpoint.pins.remove", For::Organisation),
    ("v1.operational-webhook.endpoint.list", For::Organisation),
    ("v1.operational-webhook.endpoint.create", For::Organisation),
    ("v1.operational-webhook.endpoint.get", For::Organisation),
    ("v1.operational-webhook.endpoint.upsert", For::Organisation),
    ("v1.operational-webhook.endpoint.delete", For::Organisation),
    (
        "v1.operational-webhook.endpoint.get-headers",
        For::Organisation,
    ),
    (
        "v1.operational-webhook.endpoint.set-headers",
        For::Organisation,
    ),
    (
        "v1.operational-webhook.endpoint.get-secret",
        For::Organisation,
    ),
    (
        "v1.operational-webhook.endpoint.rotate-secret",
        For::Organisation,
    ),
    ("v1.transport.explain", For::Organisation),
    ("v1.transport.policy.list", For::Organisation),
    ("v1.transport.policy.get", For::Organisation),
    ("v1.transport.policy.put", For::Organisation),
    ("v1.transport.policy.delete", For::Organisation),
    ("v1.transport.trust-anchors.list", For::Organisation),
    ("v1.transport.trust-anchors.get", For::Organisation),
    ("v1.transport.trust-anchors.put", For::Organisation),
    ("v1.transport.trust-anchors.delete", For::Organisation),
    ("v1.transport.trust-anchors.add", For::Organisation),
    ("v1.transport.trust-anchors.mark", For::Organisation),
    ("v1.transport.trust-anchors.remove", For::Organisation),
    ("v1.transport.client-identity.list", For::Organisation),
    ("v1.transport.client-identity.get", For::Organisation),
    ("v1.transport.client-identity.delete", For::Organisation),
    ("v1.transport.client-identity.upload", For::Organisation),
    ("v1.transport.client-identity.install", For::Organisation),
    ("v1.transport.client-identity.request", For::Organisation),
    ("v1.transport.client-identity.distribute", For::Organisation),
    ("v1.transport.client-identity.retire", For::Organisation),
    ("v1.transport.client-identity.rotation", For::Organisation),
    ("v1.endpoint.get-stats", For::OwnApplication),
    ("v1.message-attempt.count-by-endpoint", For::OwnApplication),
    ("v1.application.stats.attempts", For::OwnApplication),
    ("v1.statistics.endpoint-count", For::Organisation),
    ("v1.message.test-attempt", For::Organisation),
    ("v1.environment.export", For::Organisation),
    ("v1.environment.import", For::Organisation),
    ("v1.statistics.aggregate-app-stats", For::Organisation),
    ("v1.statistics.aggregate-event-types", For::Organisation),
    ("v1.authentication.whoami", For::Tokens),
    ("logout_api_v1_auth_logout__post", For::Itself),
    ("v1.authentication.exchange-one-time-token", For::Itself),
    ("v1.verification.grant", For::Itself),
    ("v1.verification.grant-by-get", For::Itself),
    ("v1.authentication.expire-all", For::Organisation),
    ("v1.authentication.app-portal-access", For::Organisation),
    (
        "v1.management.authentication.list-api-tokens",
        For::Organisation,
    ),
    (
        "v1.management.authentication.create-api-token",
        For::Organisation,
    ),
    (
        "v1.management.authentication.get-api-token",
        For::Organisation,
    ),
    (
        "v1.management.authentication.update-api-token",
        For::Organisation,
    ),
    (
        "v1.management.authentication.patch-api-token",
        For::Organisation,
    ),
    (
        "v1.management.authentication.expire-api-token",
        For::Organisation,
    ),
    ("v1.endpoint.transformation.get", For::OwnApplication),
    ("v1.endpoint.transformation.patch", For::OwnApplication),
    ("v1.endpoint.transformation.simulate", For::OwnApplication),
    ("v1.endpoint.get-oauth", For::OwnApplication),
    ("v1.endpoint.set-oauth-config", For::OwnApplication),
    ("v1.endpoint.delete-oauth-config", For::OwnApplication),
];

/// What the paths of one application name.
pub(crate) struct Stock {
    pub(crate) app: String,
    pub(crate) endpoint: String,
    /// One of the organisation's own.
    pub(crate) operational: String,
    pub(crate) message: String,
    pub(crate) attempt: String,
    /// A background task about the endpoint.
    pub(crate) task: String,
    /// SHA-256 of the endpoint's pin, and of the root of the set that has the application's name.
    pub(crate) pin: String,
    pub(crate) root: String,
    /// The organisation, and an API token of it.
    pub(crate) org: String,
    pub(crate) api_token: String,
}

impl Stock {
    /// An application with one failed attempt.
    pub(crate) async fn of(shop: &Shop) -> Self {
        let app = id(&shop.make("/app", r#"{"name": "Customer"}"#).await);
        // Nobody listens on port 1.
        let endpoint = shop.endpoint(&app, "http://127.0.0.1:1/").await;
        let told = r#"{"url": "http://127.0.0.1:1/"}"#;
        let operational = id(&shop.make("/operational-webhook/endpoint", told).await);
        let message = shop.message(&app, "{}").await;
        let path = format!("/app/{app}/attempt/msg/{message}");
        let attempt = until("the attempt", async || {
            Ok(shop.get(&path).await["data"].get(0).map(id))
        });
        let attempt = attempt.await.unwrap();
        let recover = format!("/app/{app}/endpoint/{endpoint}/recover");
        let since = r#"{"since": "2026-11-23T00:00:00Z"}"#;
        let task = id(&shop.ask("POST", &recover, since).await.expect(202));
        let pins = format!("/app/{app}/endpoint/{endpoint}/pins");
        let pin = shop.make(
            &pins,
            r#"{"pin": "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}"#,
        );
        let pin = pin.await["sha256"].as_str().unwrap().to_owned();
        Self {
            root: Self::transport(shop, &app).await,
            org: shop.org(),
            api_token: id(&shop.api_token(&["full"]).await),
            app,
            endpoint,
            operational,
            message,
            attempt,
            task,
            pin,
        }
    }

    /// A policy, a set of one root and a client identity, all with this name.
    async fn transport(shop: &Shop, name: &str) -> String {
        let policy = format!("/transport/policy/{name}");
        shop.ask("PUT", &policy, "{}").await.expect(201);
        let pem = TestCa::new("Root").unwrap().root_pem();
        let anchors = format!("/transport/trust-anchors/{name}/anchors");
        let set = shop.make(&anchors, &json!({"pem": pem}).to_string()).await;
        let requests = format!("/transport/client-identity/{name}/requests");
        shop.make(&requests, r#"{"commonName": "us"}"#).await;
        set["anchors"][0]["sha256"].as_str().unwrap().to_owned()
    }

    pub(crate) fn path(&self, template: &str) -> String {
        template
            .replace("/api/v1", "")
            .replace("{app_id}", &self.app)
            .replace(
                "{endpoint_id}",
                if template.contains("/operational-webhook/") {
                    &self.operational
                } else {
                    &self.endpoint
                },
            )
            .replace("{msg_id}", &self.message)
            .replace("{attempt_id}", &self.attempt)
            .replace("{task_id}", &self.task)
            .replace("{event_type_name}", "t")
            .replace("{name}", &self.app)
            .replace("{env_id}", &self.org)
            .replace("{key_id}", &self.api_token)
            .replace("{number}", "1")
            .replace(
                "{sha256}",
                if template.contains("/pins/") {
                    &self.pin
                } else {
                    &self.root
                },
            )
    }
}

/// Every operation of the committed document: method, path, id.
fn operations() -> Vec<(String, String, String)> {
    let document: Value =
        serde_json::from_str(include_str!("../../../../../openapi.json")).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            operations.push((method.to_ascii_uppercase(), path.clone(), id));
        }
    }
    operations
}

fn access(operation: &str) -> For {
    if operation.starts_with("v1.health.") {
        return For::All;
    }
    let row = MATRIX.iter().find(|(id, _)| *id == operation);
    row.unwrap_or_else(|| panic!("{operation} is not in the matrix"))
        .1
}

#[tokio::test]
async fn every_operation_has_a_row() {
    let operations = operations();
    for (id, _) in MATRIX {
        assert!(operations.iter().any(|(_, _, other)| other == id), "{id}");
    }
    for (_, _, id) in &operations {
        access(id);
    }
}

#[tokio::test]
async fn without_a_valid_token_nobody_gets_in() {
    let shop = Shop::open().await;
    let stock = Stock::of(&shop).await;
    for (method, template, operation) in operations() {
        let path = stock.path(&template);
        let by_secret = operation.starts_with("v1.verification.")
            || operation == "v1.authentication.exchange-one-time-token";
        if by_secret {
            continue;
        }
        for token in ["", "nonsense", &shop.token()[..shop.token().len() - 2]] {
            let answer = shop.ask_as(token, &method, &path, "{}").await;
            if access(&operation) == For::All {
                assert_eq!(answer.status, 204, "{operation}");
            } else {
                assert_eq!(answer.headers["www-authenticate"], "Bearer");
                assert_eq!(answer.error(401), "authentication_failed", "{operation}");
            }
        }
    }
    let nothing = crate::api::shop::request("GET", "/app").body("".into());
    let answer = shop.send(nothing.unwrap()).await;
    assert_eq!(answer.error(401), "authentication_failed");
    shop.advance(Duration::from_secs(60));
    shop.get("/app").await;
}

#[tokio::test]
async fn tokens_reach_what_is_theirs() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "t", "description": ""}"#)
        .await;
    let (own, other) = (Stock::of(&shop).await, Stock::of(&shop).await);
    for (method, template, operation) in operations() {
        if access(&operation) == For::Itself {
            continue;
        }
        // What is deleted with success is gone for the next one who asks.
        let own = if method == "DELETE" {
            &Stock::of(&shop).await
        } else {
            &own
        };
        let path = own.path(&template);
        let status = async |token: &str| {
            let answer = shop.ask_as(token, &method, &path, "{}").await;
            answer.status.as_u16()
        };
        // Later than where all tokens of an application were ended.
        shop.advance(Duration::from_millis(1));
        let (by_other, by_stranger) = (
            status(&shop.as_app(&other.app)).await,
            status(&shop.as_stranger()).await,
        );
        let by_own = status(&shop.as_app(&own.app)).await;
        match access(&operation) {
            For::All => assert_eq!([by_own, by_other, by_stranger], [204; 3]),
            For::Tokens => assert_eq!([by_own, by_other], [200; 2], "{operation}"),
            For::Itself => {}
            For::Organisation => assert_eq!([by_own, by_other], [403; 2], "{operation}"),
            For::OwnApplication => {
                assert!(![401, 403, 404].contains(&by_own), "{operation}: {by_own}");
                assert_eq!([by_other, by_stranger], [404; 2], "{operation}");
            }
        }
        if template.contains("{app_id}") {
            let body_comes_first = operation.starts_with("v1.message.create") && by_stranger == 422;
            assert!(
                by_stranger == 404 || body_comes_first,
                "{operation}: {by_stranger}"
            );
        }
        if method != "DELETE" || access(&operation) == For::Organisation {
            let by_organisation = status(shop.token()).await;
            assert!(
                ![401, 403, 404].contains(&by_organisation),
                "{operation}: {by_organisation}"
            );
        }
    }
}

#[tokio::test]
async fn an_application_can_not_tell_whether_another_exists() {
    let shop = Shop::open().await;
    let own = shop.app("own").await;
    shop.app("other").await;
    let token = shop.as_app(&own);
    let mut answers = Vec::new();
    for path in [
        "/app/other",
        "/app/nobody",
        "/app/other/msg",
        "/app/nobody/msg",
    ] {
        answers.push(shop.ask_as(&token, "GET", path, "").await.expect(404));
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:?}"
    );
    shop.ask_as(&token, "GET", "/app/own", "").await.expect(200);
}

#[tokio::test]
async fn things_of_one_application_are_not_found_in_another() {
    let shop = Shop::open().await;
    let (own, other) = (Stock::of(&shop).await, Stock::of(&shop).await);
    let mixed = Stock {
        app: own.app.clone(),
        ..Stock::of(&shop).await
    };
    for (method, template, operation) in operations() {
        let of_application = template.contains("{endpoint_id}") || template.contains("{msg_id}");
        // A PUT makes what does not exist, but not with an id that looks like ours.
        if !of_application || !template.contains("{app_id}") {
            continue;
        }
        let body = r#"{"url": "https://example.com", "headers": {}}"#;
        let answer = shop.ask(&method, &mixed.path(&template), body).await;
        assert_eq!(answer.error(404), "not_found", "{operation}");
    }
    let path = format!(
        "/app/{}/msg/{}/attempt/{}",
        own.app, own.message, other.attempt
    );
    assert_eq!(shop.ask("GET", &path, "").await.error(404), "not_found");
}

#[tokio::test]
async fn flagged_event_types_are_not_for_applications() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    shop.make("/event-type", r#"{"name": "open", "description": ""}"#)
        .await;
    let flagged = r#"{"name": "secret", "description": "", "featureFlags": ["beta"]}"#;
    shop.make("/event-type", flagged).await;
    let token = shop.as_app(&app);
    let list = shop
        .ask_as(&token, "GET", "/event-type", "")
        .await
        .expect(200);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["name"], "open");
    let answer = shop.ask_as(&token, "GET", "/event-type/secret", "").await;
    assert_eq!(answer.error(404), "not_found");
    assert_eq!(
        shop.get("/event-type").await["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}
