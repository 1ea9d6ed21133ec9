//! The document: committed, served, and complete.

use base64::Engine;
use serde_json::Value;

use crate::api::shop::{Shop, request};

/// What a client of the Svix API may rely on: method, path below `/api/v1`, operation.
const OPERATIONS: [(&str, &str, &str); 60] = [
    ("get", "/app", "v1.application.list"),
    ("post", "/app", "v1.application.create"),
    ("get", "/app/{app_id}", "v1.application.get"),
    ("put", "/app/{app_id}", "v1.application.update"),
    ("patch", "/app/{app_id}", "patch_application"),
    ("delete", "/app/{app_id}", "v1.application.delete"),
    ("get", "/app/{app_id}/endpoint", "v1.endpoint.list"),
    ("post", "/app/{app_id}/endpoint", "v1.endpoint.create"),
    (
        "get",
        "/app/{app_id}/endpoint/{endpoint_id}",
        "v1.endpoint.get",
    ),
    (
        "put",
        "/app/{app_id}/endpoint/{endpoint_id}",
        "v1.endpoint.update",
    ),
    (
        "patch",
        "/app/{app_id}/endpoint/{endpoint_id}",
        "patch_endpoint",
    ),
    (
        "delete",
        "/app/{app_id}/endpoint/{endpoint_id}",
        "v1.endpoint.delete",
    ),
    (
        "get",
        "/app/{app_id}/endpoint/{endpoint_id}/headers",
        "v1.endpoint.get-headers",
    ),
    (
        "put",
        "/app/{app_id}/endpoint/{endpoint_id}/headers",
        "v1.endpoint.update-headers",
    ),
    (
        "patch",
        "/app/{app_id}/endpoint/{endpoint_id}/headers",
        "v1.endpoint.patch-headers",
    ),
    (
        "get",
        "/app/{app_id}/endpoint/{endpoint_id}/secret",
        "v1.endpoint.get-secret",
    ),
    (
        "post",
        "/app/{app_id}/endpoint/{endpoint_id}/secret/rotate",
        "v1.endpoint.rotate-secret",
    ),
    (
        "get",
        "/app/{app_id}/endpoint/{endpoint_id}/mtls",
        "v1.endpoint.get-mtls",
    ),
    (
        "put",
        "/app/{app_id}/endpoint/{endpoint_id}/mtls",
        "v1.endpoint.set-mtls-config",
    ),
    (
        "delete",
        "/app/{app_id}/endpoint/{endpoint_id}/mtls",
        "v1.endpoint.delete-mtls-config",
    ),
    (
        "get",
        "/app/{app_id}/endpoint/{endpoint_id}/ca",
        "v1.endpoint.get-server-ca",
    ),
    (
        "put",
        "/app/{app_id}/endpoint/{endpoint_id}/ca",
        "v1.endpoint.set-server-ca",
    ),
    (
        "get",
        "/app/{app_id}/endpoint/{endpoint_id}/msg",
        "v1.message-attempt.list-attempted-messages",
    ),
    ("get", "/app/{app_id}/msg", "v1.message.list"),
    ("post", "/app/{app_id}/msg", "v1.message.create"),
    ("get", "/app/{app_id}/msg/{msg_id}", "v1.message.get"),
    (
        "delete",
        "/app/{app_id}/msg/{msg_id}/content",
        "v1.message.expunge-content",
    ),
    (
        "get",
        "/app/{app_id}/msg/{msg_id}/endpoint",
        "v1.message-attempt.list-attempted-destinations",
    ),
    (
        "post",
        "/app/{app_id}/msg/{msg_id}/endpoint/{endpoint_id}/resend",
        "v1.message-attempt.resend",
    ),
    (
        "get",
        "/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}",
        "v1.message-attempt.get",
    ),
    (
        "delete",
        "/app/{app_id}/msg/{msg_id}/attempt/{attempt_id}/content",
        "v1.message-attempt.expunge-content",
    ),
    (
        "get",
        "/app/{app_id}/attempt/endpoint/{endpoint_id}",
        "v1.message-attempt.list-by-endpoint",
    ),
    (
        "get",
        "/app/{app_id}/attempt/msg/{msg_id}",
        "v1.message-attempt.list-by-msg",
    ),
    ("get", "/event-type", "v1.event-type.list"),
    ("post", "/event-type", "v1.event-type.create"),
    ("get", "/event-type/{event_type_name}", "v1.event-type.get"),
    (
        "put",
        "/event-type/{event_type_name}",
        "v1.event-type.update",
    ),
    (
        "delete",
        "/event-type/{event_type_name}",
        "v1.event-type.delete",
    ),
    (
        "post",
        "/app/{app_id}/endpoint/{endpoint_id}/recover",
        "v1.endpoint.recover",
    ),
    (
        "post",
        "/app/{app_id}/endpoint/{endpoint_id}/replay-missing",
        "v1.endpoint.replay-missing",
    ),
    (
        "post",
        "/app/{app_id}/endpoint/{endpoint_id}/bulk-replay",
        "v1.endpoint.bulk-replay",
    ),
    (
        "post",
        "/app/{app_id}/endpoint/{endpoint_id}/cancel-msgs",
        "v1.endpoint.cancel-msgs",
    ),
    (
        "post",
        "/app/{app_id}/msg/bulk-expunge",
        "v1.message.bulk-expunge-content",
    ),
    (
        "post",
        "/app/{app_id}/msg/expunge-all-contents",
        "v1.message.expunge-all-contents",
    ),
    (
        "post",
        "/app/{app_id}/msg/precheck/active",
        "v1.message.precheck",
    ),
    (
        "get",
        "/app/{app_id}/msg/{msg_id}/raw",
        "v1.message.get-raw-payload",
    ),
    ("post", "/msg/broadcast", "v1.message.broadcast"),
    ("get", "/background-task", "v1.background-task.list"),
    (
        "get",
        "/background-task/{task_id}",
        "v1.background-task.get",
    ),
    (
        "get",
        "/event-type/{event_type_name}/retry-schedule",
        "v1.event-type.get-retry-schedule",
    ),
    (
        "put",
        "/event-type/{event_type_name}/retry-schedule",
        "v1.event-type.set-retry-schedule",
    ),
    (
        "post",
        "/app/{app_id}/endpoint/{endpoint_id}/send-example",
        "v1.endpoint.send-example",
    ),
    (
        "post",
        "/app/{app_id}/endpoint/{endpoint_id}/msg/test-attempt",
        "v1.message.test-attempt",
    ),
    ("post", "/environment/export", "v1.environment.export"),
    ("post", "/environment/import", "v1.environment.import"),
    (
        "post",
        "/stats/usage/app",
        "v1.statistics.aggregate-app-stats",
    ),
    (
        "put",
        "/stats/usage/event-types",
        "v1.statistics.aggregate-event-types",
    ),
    (
        "post",
        "/event-type/import/openapi",
        "v1.event-type.import-openapi",
    ),
    (
        "post",
        "/event-type/export/openapi",
        "v1.event-type.export-openapi",
    ),
    ("get", "/health", "v1.health.get"),
];

const COMMITTED: &str = include_str!("../../../../../openapi.json");

#[tokio::test]
async fn what_is_served_is_what_is_committed() {
    let shop = Shop::open().await;
    let request = request("GET", "/openapi.json").body("".into());
    let answer = shop.send(request.unwrap()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.bytes == COMMITTED, "run `cargo xtask gen`");
    let errors = include_str!("../../../../../docs/reference/errors.md");
    assert!(
        hookseal::api::errors_markdown() == errors,
        "run `cargo xtask gen`"
    );
}

#[test]
fn the_contract_is_covered() {
    let document: Value = serde_json::from_str(COMMITTED).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for (method, path, id) in OPERATIONS {
        let operation = &document["paths"][format!("/api/v1{path}")][method];
        assert_eq!(operation["operationId"], id, "{method} {path}");
        if method == "post" {
            let keyed = |parameter: &Value| parameter["name"] == "idempotency-key";
            assert!(
                operation["parameters"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(keyed),
                "{id}"
            );
        }
        if !id.starts_with("v1.health") {
            for status in ["401", "403", "404", "409", "422", "429"] {
                assert!(
                    operation["responses"].get(status).is_some(),
                    "{id} {status}"
                );
            }
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document: Value = serde_json::from_str(COMMITTED).unwrap();
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => open.extend(fields.values()),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_page_loads_nothing() {
    let shop = Shop::open().await;
    let get = |path: &str| {
        http::Request::get(path)
            .body(axum::body::Body::empty())
            .unwrap()
    };
    let start = shop.send(get("/")).await;
    assert_eq!(
        (start.status.as_u16(), &start.headers["location"]),
        (307, &"/docs".parse().unwrap())
    );
    let page = shop.send(get("/docs")).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let html = std::str::from_utf8(&page.bytes).unwrap();
    let style = html.split("<style>").nth(1).unwrap();
    let style = style.split("</style>").next().unwrap();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.as_bytes());
    let hash = base64::engine::general_purpose::STANDARD.encode(hash);
    assert!(policy.contains(&format!("'sha256-{hash}'")), "{policy}");
    for loader in [
        "<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "style=", "http://",
        "https://",
    ] {
        assert!(!html.contains(loader), "{loader}");
    }
    for (_, path, id) in OPERATIONS {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        assert!(html.contains(&format!("/api/v1{path}")), "{path}");
    }
    // What is linked to within the page is there.
    for link in html.split("href=\"#").skip(1) {
        let target = link.split('"').next().unwrap();
        assert!(html.contains(&format!("id=\"{target}\"")), "{target}");
    }
}
