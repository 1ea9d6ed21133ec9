//! Applications, endpoints and event types from their beginning to their end.

use serde_json::{Value, json};

use hookseal_domain::signature::key::KeyKind;

use crate::api::shop::{Shop, id};

fn without(value: &Value, fields: &[&str]) -> Value {
    let mut value = value.clone();
    for field in fields {
        assert!(
            value.as_object_mut().unwrap().remove(*field).is_some(),
            "{field}"
        );
    }
    value
}

#[tokio::test]
async fn applications_live() {
    let shop = Shop::open().await;
    let body =
        r#"{"name": "Customer", "uid": "c-1", "rateLimit": 7, "metadata": {"k": "v"}, "more": 1}"#;
    let made = shop.make("/app", body).await;
    let expect = json!({"name": "Customer", "uid": "c-1", "throttleRate": 7, "metadata": {"k": "v"},
        "createdAt": "2026-11-23T08:20:00.000Z", "updatedAt": "2026-11-23T08:20:00.000Z"});
    assert_eq!(without(&made, &["id"]), expect);
    assert!(id(&made).starts_with("app_") && id(&made).len() == 31);
    assert_eq!(shop.get("/app/c-1").await, made);
    assert_eq!(shop.get(&format!("/app/{}", id(&made))).await, made);

    let taken = shop.ask("POST", "/app", body).await;
    assert_eq!(taken.error(409), "conflict");
    let same = shop.ask(
        "POST",
        "/app?get_if_exists=true",
        r#"{"name": "Other", "uid": "c-1"}"#,
    );
    assert_eq!(same.await.expect(200), made);
    let new = shop.ask("POST", "/app?get_if_exists=true", r#"{"name": "Other"}"#);
    assert_eq!(
        without(&new.await.expect(201), &["id", "createdAt", "updatedAt"]),
        json!({"name": "Other", "metadata": {}})
    );

    let patched = shop
        .ask(
            "PATCH",
            "/app/c-1",
            r#"{"throttleRate": null, "name": "New"}"#,
        )
        .await
        .expect(200);
    assert_eq!(
        (&patched["name"], &patched["uid"]),
        (&json!("New"), &json!("c-1"))
    );
    assert_eq!(
        (patched.get("throttleRate"), &patched["metadata"]),
        (None, &json!({"k": "v"}))
    );
    let cleared = shop
        .ask("PATCH", "/app/c-1", r#"{"uid": null}"#)
        .await
        .expect(200);
    assert_eq!(cleared.get("uid"), None);
    assert_eq!(
        shop.ask("GET", "/app/c-1", "").await.error(404),
        "not_found"
    );

    let path = format!("/app/{}", id(&made));
    assert_eq!(shop.ask("DELETE", &path, "").await.status, 204);
    assert_eq!(shop.ask("GET", &path, "").await.error(404), "not_found");
    assert_eq!(shop.ask("DELETE", &path, "").await.error(404), "not_found");
    assert_eq!(
        shop.ask("PUT", &path, r#"{"name": "n"}"#).await.error(404),
        "not_found"
    );
}

#[tokio::test]
async fn put_makes_or_replaces() {
    let shop = Shop::open().await;
    let made = shop
        .ask("PUT", "/app/c-1", r#"{"name": "n", "throttleRate": 5}"#)
        .await
        .expect(201);
    assert_eq!(made["uid"], "c-1");
    let replaced = shop
        .ask("PUT", "/app/c-1", r#"{"name": "m"}"#)
        .await
        .expect(200);
    assert_eq!(
        (
            &replaced["id"],
            &replaced["uid"],
            replaced.get("throttleRate")
        ),
        (&made["id"], &json!("c-1"), None)
    );
    let renamed = shop
        .ask("PUT", "/app/c-1", r#"{"name": "m", "uid": "c-2"}"#)
        .await
        .expect(200);
    assert_eq!(
        (&renamed["id"], &renamed["uid"]),
        (&made["id"], &json!("c-2"))
    );
    let by_id = format!("/app/{}", id(&made));
    assert_eq!(
        shop.ask("PUT", &by_id, r#"{"name": "m"}"#)
            .await
            .expect(200)
            .get("uid"),
        None
    );
    shop.app("taken").await;
    let taken = shop
        .ask("PUT", &by_id, r#"{"name": "m", "uid": "taken"}"#)
        .await;
    assert_eq!(taken.error(409), "conflict");

    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint/e-1");
    let made = shop
        .ask("PUT", &path, r#"{"url": "https://example.com/1"}"#)
        .await
        .expect(201);
    let replaced = shop
        .ask("PUT", &path, r#"{"url": "https://example.com/2"}"#)
        .await
        .expect(200);
    assert_eq!(
        (&replaced["id"], &replaced["uid"]),
        (&made["id"], &json!("e-1"))
    );
    let secret = shop.get(&format!("{path}/secret")).await;
    assert!(secret["key"].as_str().unwrap().starts_with("whsec_"));

    let path = "/event-type/user.created";
    shop.ask("PUT", path, r#"{"description": "one"}"#)
        .await
        .expect(201);
    let replaced = shop
        .ask("PUT", path, r#"{"description": "two"}"#)
        .await
        .expect(200);
    assert_eq!(replaced["description"], "two");
}

#[tokio::test]
async fn endpoints_live() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let body = json!({"url": "https://example.com/hook?key=1", "uid": "e-1", "description": "d",
        "filterTypes": ["invoice.paid"], "channels": ["eu:1"], "throttleRate": 9, "parkOn": [422, 400],
        "metadata": {"k": "v"}, "headers": {"X-Api-Key": "hush", "X-Tenant": "7"},
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    let made = shop.make(&path, &body.to_string()).await;
    let expect = json!({"url": "https://example.com/hook?key=1", "uid": "e-1", "description": "d",
        "disabled": false, "eventTypes": ["invoice.paid"], "filterTypes": ["invoice.paid"],
        "channels": ["eu:1"], "throttleRate": 9, "parkOn": [400, 422], "version": 1,
        "metadata": {"k": "v"}, "createdAt": "2026-11-23T08:20:00.000Z", "updatedAt": "2026-11-23T08:20:00.000Z"});
    assert_eq!(without(&made, &["id"]), expect);
    let path = format!("{path}/e-1");
    assert_eq!(shop.get(&path).await, made);
    let key = shop.get(&format!("{path}/secret")).await;
    assert_eq!(
        key,
        json!({"key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    );

    let patch = r#"{"eventTypes": null, "channels": [], "throttleRate": 0, "parkOn": null, "disabled": true}"#;
    let patched = shop.ask("PATCH", &path, patch).await.expect(200);
    for cleared in ["eventTypes", "channels", "throttleRate", "parkOn"] {
        assert_eq!(patched.get(cleared), None, "{cleared}");
    }
    assert_eq!(
        (&patched["disabled"], &patched["description"]),
        (&json!(true), &json!("d"))
    );
    let nothing = shop.ask("PATCH", &path, "{}").await.expect(200);
    assert_eq!(nothing["disabled"], true);

    let taken = shop
        .ask("POST", &format!("/app/{app}/endpoint"), body.to_string())
        .await;
    assert_eq!(taken.error(409), "conflict");
    assert_eq!(shop.ask("DELETE", &path, "").await.status, 204);
    assert_eq!(shop.ask("GET", &path, "").await.error(404), "not_found");
}

#[tokio::test]
async fn headers_that_look_like_credentials_stay_inside() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let path = format!("/app/{app}/endpoint/{endpoint}/headers");
    assert_eq!(
        shop.get(&path).await,
        json!({"headers": {}, "sensitive": []})
    );
    let body =
        r#"{"headers": {"Authorization": "Bearer hush", "X-Tenant": "7", "X-Region": "eu"}}"#;
    assert_eq!(shop.ask("PUT", &path, body).await.status, 204);
    let expect =
        json!({"headers": {"x-tenant": "7", "x-region": "eu"}, "sensitive": ["authorization"]});
    assert_eq!(shop.get(&path).await, expect);
    let body = r#"{"headers": {"x-tenant": null, "X-REGION": "us", "x-api-key": "hush", "x-new": "1", "x-none": null}}"#;
    assert_eq!(shop.ask("PATCH", &path, body).await.status, 204);
    let expect = json!({"headers": {"x-region": "us", "x-new": "1"}, "sensitive": ["authorization", "x-api-key"]});
    assert_eq!(shop.get(&path).await, expect);
    assert_eq!(
        shop.ask("PUT", &path, r#"{"headers": {}}"#).await.status,
        204
    );
    assert_eq!(
        shop.get(&path).await,
        json!({"headers": {}, "sensitive": []})
    );
}

#[tokio::test]
async fn keys_rotate() {
    let shop = Shop::open_with(|config| config.signing_key_kind = KeyKind::Ed25519).await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let path = format!("/app/{app}/endpoint/{endpoint}/secret");
    let first = shop.get(&path).await;
    assert!(
        first["key"].as_str().unwrap().starts_with("whpk_"),
        "the public half"
    );
    let rotate = format!("{path}/rotate");
    let second = shop.ask("POST", &rotate, "{}").await.expect(200);
    assert_ne!(first, second);
    assert_eq!(shop.get(&path).await, second);
    let given = r#"{"key": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "gracePeriodSeconds": 0}"#;
    let third = shop.ask("POST", &rotate, given).await.expect(200);
    assert_eq!(
        third,
        json!({"key": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"})
    );

    let violation = json!({"loc": ["body", "key"], "msg": "is the current key already",
        "type": "value_error.secret"});
    let again = shop.ask("POST", &rotate, given).await;
    assert_eq!(again.expect(422), json!({"detail": [violation]}));
    let repeated = shop.ask_once("k", &rotate, given).await;
    assert_eq!(repeated.expect(200), third);
    for _ in 1..5 {
        shop.ask("POST", &rotate, "{}").await.expect(200);
    }
    let full = shop.ask("POST", &rotate, "{}").await.expect(409);
    assert_eq!(
        full,
        json!({"code": "limit_reached", "detail": "there are 5 signing keys already, which is the \
            limit; all but the current one end after their grace period"})
    );
}

#[tokio::test]
async fn event_types_live() {
    let shop = Shop::open().await;
    let body = r#"{"name": "user.created", "description": "d", "groupName": "user", "featureFlag": "beta",
        "schemas": {"1": {"type": "object", "x":1.0}}}"#;
    let made = shop.make("/event-type", body).await;
    let expect = json!({"name": "user.created", "description": "d", "groupName": "user", "archived": false,
        "deprecated": false, "featureFlag": "beta", "featureFlags": ["beta"],
        "schemas": {"1": {"type": "object", "x": 1.0}},
        "createdAt": "2026-11-23T08:20:00.000Z", "updatedAt": "2026-11-23T08:20:00.000Z"});
    assert_eq!(made, expect);
    assert_eq!(shop.get("/event-type/user.created").await, expect);
    assert_eq!(
        shop.ask("POST", "/event-type", body).await.error(409),
        "conflict"
    );

    let list = shop.get("/event-type").await;
    assert_eq!(list["data"][0], without(&expect, &["schemas"]));
    let list = shop.get("/event-type?with_content=true").await;
    assert_eq!(list["data"][0], expect);

    let patch = r#"{"deprecated": true, "featureFlags": null, "schemas": null}"#;
    let patched = shop
        .ask("PATCH", "/event-type/user.created", patch)
        .await
        .expect(200);
    assert_eq!(
        (
            &patched["deprecated"],
            patched.get("featureFlags"),
            patched.get("schemas")
        ),
        (&json!(true), None, None)
    );

    assert_eq!(
        shop.ask("DELETE", "/event-type/user.created", "")
            .await
            .status,
        204
    );
    assert_eq!(shop.get("/event-type/user.created").await["archived"], true);
    assert_eq!(shop.get("/event-type").await["data"], json!([]));
    let all = shop.get("/event-type?include_archived=true").await;
    assert_eq!(all["data"][0]["name"], "user.created");
    let again = shop.make("/event-type", body).await;
    assert_eq!(again["archived"], false);
    for _ in 0..2 {
        let deleted = shop
            .ask("DELETE", "/event-type/user.created?expunge=true", "")
            .await;
        assert!([204, 404].contains(&deleted.status.as_u16()));
        let gone = shop.ask("GET", "/event-type/user.created", "").await;
        assert_eq!(gone.error(404), "not_found");
    }
    let gone = shop.ask("DELETE", "/event-type/user.created", "").await;
    assert_eq!(gone.error(404), "not_found");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patches_at_the_same_time_do_not_undo_each_other() {
    let shop = std::sync::Arc::new(Shop::open().await);
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com").await;
    let path = format!("/app/{app}/endpoint/{endpoint}/headers");
    let patching: Vec<_> = (0..20)
        .map(|n| {
            let (shop, path) = (std::sync::Arc::clone(&shop), path.clone());
            let body = format!(r#"{{"headers": {{"x-{n}": "v"}}}}"#);
            tokio::spawn(async move { shop.ask("PATCH", &path, body).await.status })
        })
        .collect();
    for patched in patching {
        assert_eq!(patched.await.unwrap(), 204);
    }
    let headers = shop.get(&path).await;
    assert_eq!(headers["headers"].as_object().unwrap().len(), 20);
}

#[tokio::test]
async fn nobody_waits_for_what_is_never_told() {
    let shop = Shop::open().await;
    let path = "/operational-webhook/endpoint";
    let body = |types: &[&str]| {
        let url = "https://example.com";
        // What other endpoints have is ignored, like all that the object does not have.
        json!({"url": url, "eventTypes": types, "fifo": true, "channels": ["c"], "filter": "("})
    };
    let wanted = ["endpoint.created", "message.attempt."];
    let made = shop.make(path, &body(&wanted).to_string()).await;
    assert_eq!(made["eventTypes"], json!(wanted));
    let ignored = ["fifo", "channels", "filter"];
    assert!(ignored.iter().all(|field| made.get(field).is_none()));
    let one = format!("{path}/{}", id(&made));
    for (method, path) in [("POST", path), ("PUT", &one)] {
        let wrong = body(&["endpoint.created", "nope"]).to_string();
        let refused = shop.ask(method, path, wrong).await.expect(422);
        let detail = &refused["detail"][0];
        assert_eq!(detail["loc"], json!(["body", "eventTypes", "1"]));
        assert_eq!(detail["type"], "value_error.choice");
        let message = detail["msg"].as_str().unwrap();
        for kind in hookseal_domain::operational::EVENT_TYPES {
            assert!(message.contains(kind), "{message}");
        }
    }
    assert_eq!(shop.get(&one).await, made);
}
