//! Tokens: made, narrowed, ended, handed out.

use std::time::Duration;

use serde_json::{Value, json};

use hookseal_testkit::wait::until;

use crate::api::shop::{Answer, Shop, id, request};

async fn status(shop: &Shop, token: &str, path: &str) -> u16 {
    shop.ask_as(token, "GET", path, "").await.status.as_u16()
}

fn text(made: &Value) -> String {
    made["token"].as_str().unwrap().to_owned()
}

fn tokens_path(shop: &Shop) -> String {
    format!("/management/authentication/{}/api-token", shop.org())
}

async fn portal(shop: &Shop, app: &str, body: Value) -> Value {
    let path = format!("/auth/app-portal-access/{app}");
    let access = shop.ask("POST", &path, body.to_string()).await;
    access.expect(200)
}

#[tokio::test]
async fn an_api_token_is_shown_once_and_holds_until_it_is_expired() {
    let shop = Shop::open().await;
    let path = tokens_path(&shop);
    let body = r#"{"name": "deploys", "expiresAt": "2026-11-24T00:00:00Z"}"#;
    let made = shop.ask("POST", &path, body).await.expect(200);
    let token = text(&made);
    assert!(token.starts_with("hsk_") && token.len() == 47, "{token}");
    assert_eq!(made["scopes"], json!(["full"]));
    assert_eq!(made["expiresAt"], "2026-11-24T00:00:00.000Z");
    assert_eq!(status(&shop, &token, "/app").await, 200);

    let one = format!("{path}/{}", id(&made));
    let noted = until("the use is noted", async || {
        Ok(shop.get(&one).await["lastUsedAt"]
            .as_str()
            .map(str::to_owned))
    });
    assert_eq!(noted.await.unwrap(), "2026-11-23T08:20:00.000Z");
    let list = shop.get(&path).await;
    let shown = [list.to_string(), shop.get(&one).await.to_string()].concat();
    assert!(!shown.contains(&token), "{shown}");
    let ending = &token[token.len() - 4..];
    assert_eq!(
        list["data"][0]["censoredToken"],
        format!("hsk_****{ending}")
    );

    let expire = format!("{one}/expire");
    let answer = shop.ask("POST", &expire, r#"{"expiry": 60}"#).await;
    answer.expect(204);
    assert_eq!(status(&shop, &token, "/app").await, 200);
    shop.advance(Duration::from_secs(60));
    assert_eq!(status(&shop, &token, "/app").await, 401);

    let other = text(&shop.api_token(&["full"]).await);
    assert_eq!(status(&shop, &other, "/app").await, 200);
    let list = shop.get(&format!("{path}?order=descending&limit=1")).await;
    let expire = format!("{path}/{}/expire", id(&list["data"][0]));
    shop.ask("POST", &expire, "{}").await.expect(204);
    let refused = shop.ask_as(&other, "GET", "/app", "").await;
    assert_eq!(refused.error(401), "authentication_failed");
}

#[tokio::test]
async fn scopes_hold_from_the_next_request_on() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let made = shop.api_token(&["full"]).await;
    let token = text(&made);
    let change = async |body: &str| {
        let one = format!("{}/{}", tokens_path(&shop), id(&made));
        shop.ask("PATCH", &one, body.to_owned()).await.expect(200)
    };
    let publish = async || {
        let (path, body) = (
            format!("/app/{app}/msg"),
            r#"{"eventType": "t", "payload": {}}"#,
        );
        let answer = shop.ask_as(&token, "POST", &path, body).await;
        answer.status.as_u16()
    };
    assert_eq!(publish().await, 202);
    let changed = change(r#"{"scopes": ["read"]}"#).await;
    assert_eq!(
        (&changed["scopes"], &changed["name"]),
        (&json!(["read"]), &json!("service"))
    );
    assert_eq!(
        (publish().await, status(&shop, &token, "/app").await),
        (403, 200)
    );
    change(r#"{"scopes": ["publish"], "name": null}"#).await;
    assert_eq!(
        (publish().await, status(&shop, &token, "/app").await),
        (202, 403)
    );
    let who = shop
        .ask_as(&token, "GET", "/auth/whoami", "")
        .await
        .expect(200);
    assert_eq!(who["permissionSource"], "RegionalAuthToken");
    assert_eq!(who["envId"], shop.org());
    assert_eq!(
        (&who["scopes"], &who["tokenId"]),
        (&json!(["publish"]), &made["id"])
    );
    let rule = |answer: Value| answer["detail"][0]["type"].clone();
    for (scopes, expect) in [
        ("[]", "value_error.list.min_items"),
        (r#"["x"]"#, "value_error.choice"),
    ] {
        let one = format!("{}/{}", tokens_path(&shop), id(&made));
        let body = format!(r#"{{"scopes": {scopes}}}"#);
        assert_eq!(
            rule(shop.ask("PATCH", &one, body).await.expect(422)),
            expect
        );
    }
}

#[tokio::test]
async fn a_repeated_request_makes_one_token() {
    let shop = Shop::open().await;
    let path = tokens_path(&shop);
    let first = shop.ask_once("key", &path, r#"{"name": "a"}"#).await;
    let first = first.expect(200);
    assert_eq!(status(&shop, &text(&first), "/app").await, 200);
    let again = shop.ask_once("key", &path, r#"{"name": "a"}"#).await;
    let again = again.expect(200);
    assert_eq!(first["id"], again["id"]);
    let by = [
        status(&shop, &text(&first), "/app").await,
        status(&shop, &text(&again), "/app").await,
    ];
    assert_eq!(by, [401, 200], "one token has one text");
}

#[tokio::test]
async fn all_tokens_of_an_application_end_together() {
    let shop = Shop::open().await;
    let (app, other) = (shop.app("a").await, shop.app("b").await);
    let (old, others) = (shop.as_app(&app), shop.as_app(&other));
    let own = format!("/app/{app}");
    let expire = format!("/auth/app/{app}/expire-all");
    shop.ask("POST", &expire, r#"{"expiry": 3600}"#)
        .await
        .expect(204);
    assert_eq!(status(&shop, &old, &own).await, 200, "in its grace");
    shop.ask("POST", &expire, "{}").await.expect(204);
    for path in [&own, "/event-type", "/auth/whoami"] {
        assert_eq!(status(&shop, &old, path).await, 401, "{path}");
    }
    // Made in the same millisecond, but after; which is before when it is said again.
    let before = text(&portal(&shop, "a", json!({})).await);
    assert_eq!(status(&shop, &before, &own).await, 200);
    shop.ask("POST", &expire, "{}").await.expect(204);
    assert_eq!(status(&shop, &before, &own).await, 401);
    let new = text(&portal(&shop, "a", json!({})).await);
    assert_eq!(status(&shop, &new, &own).await, 200);
    assert_eq!(status(&shop, &others, &format!("/app/{other}")).await, 200);
    assert_eq!(status(&shop, shop.token(), &own).await, 200);
    let sessions = shop.ask("POST", &expire, r#"{"sessionIds": ["s"]}"#).await;
    assert_eq!(
        sessions.expect(422)["detail"][0]["loc"],
        json!(["body", "sessionIds"])
    );
    shop.ask("DELETE", &own, "").await.expect(204);
    assert_eq!(
        status(&shop, &new, "/event-type").await,
        401,
        "its application is gone"
    );
}

#[tokio::test]
async fn a_token_logs_itself_out() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let own = format!("/app/{app}");
    let (one, other) = (
        shop.as_app(&app),
        text(&portal(&shop, "a", json!({})).await),
    );
    assert_eq!(status(&shop, &one, &own).await, 200);
    shop.ask_as(&one, "POST", "/auth/logout", "")
        .await
        .expect(204);
    assert_eq!(
        [
            status(&shop, &one, &own).await,
            status(&shop, &other, &own).await
        ],
        [401, 200]
    );
    let again = shop.ask_as(&one, "POST", "/auth/logout", "").await;
    assert_eq!(again.error(401), "authentication_failed");
    let api_token = text(&shop.api_token(&["full"]).await);
    for token in [shop.token(), &api_token] {
        let refused = shop.ask_as(token, "POST", "/auth/logout", "").await;
        assert_eq!(refused.error(403), "insufficient_permissions");
    }
}

/// What stands in the URL of a portal.
fn key(access: &Value) -> String {
    let url = access["url"].as_str().unwrap();
    url.strip_prefix("https://hooks.example/#key=")
        .unwrap()
        .to_owned()
}

async fn exchange(shop: &Shop, key: &str) -> Answer {
    let body = json!({"oneTimeToken": key}).to_string();
    let request = request("POST", "/auth/one-time-token").body(body.into());
    shop.send(request.unwrap()).await
}

#[tokio::test]
async fn links_end_with_the_tokens() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let link = async || key(&portal(&shop, "a", json!({})).await);
    let expire_all = async |body: &'static str| {
        let path = format!("/auth/app/{app}/expire-all");
        shop.ask("POST", &path, body).await.expect(204);
    };
    let own = format!("/app/{app}");
    let (graced, late) = (link().await, link().await);
    expire_all(r#"{"expiry": 60}"#).await;
    let exchanged = text(&exchange(&shop, &graced).await.expect(200));
    assert_eq!(status(&shop, &exchanged, &own).await, 200);
    shop.advance(Duration::from_secs(60));
    assert_eq!(
        status(&shop, &exchanged, &own).await,
        401,
        "as old as its link"
    );
    assert_eq!(exchange(&shop, &late).await.status, 401);

    // All in one millisecond.
    let (before, taken) = (link().await, link().await);
    let taken = text(&exchange(&shop, &taken).await.expect(200));
    assert_eq!(status(&shop, &taken, &own).await, 200);
    expire_all("{}").await;
    assert_eq!(status(&shop, &taken, &own).await, 401);
    let refused = exchange(&shop, &before).await;
    assert_eq!(refused.error(401), "authentication_failed");
    let after = link().await;
    let exchanged = text(&exchange(&shop, &after).await.expect(200));
    assert_eq!(status(&shop, &exchanged, &own).await, 200);

    let last = link().await;
    shop.ask("DELETE", &own, "").await.expect(204);
    let refused = exchange(&shop, &last).await;
    assert_eq!(refused.error(401), "authentication_failed");
}

#[tokio::test]
async fn a_portal_gets_what_it_was_granted() {
    let shop = Shop::open().await;
    let flagged = r#"{"name": "secret", "description": "", "featureFlags": ["beta"]}"#;
    shop.make("/event-type", flagged).await;
    let body = json!({"application": {"name": "New"}, "featureFlags": ["beta"], "readOnly": true,
        "expiry": 600});
    let access = portal(&shop, "new", body).await;
    let key = key(&access);
    let exchanged = exchange(&shop, &key).await.expect(200);
    assert_eq!(exchanged["capabilities"], json!(["ViewBase"]));
    assert_eq!(
        exchange(&shop, &key).await.error(401),
        "authentication_failed"
    );
    for token in [text(&access), text(&exchanged)] {
        assert_eq!(status(&shop, &token, "/event-type/secret").await, 200);
        assert_eq!(status(&shop, &token, "/app/new/endpoint").await, 200);
        let body = r#"{"url": "https://example.com"}"#;
        let refused = shop.ask_as(&token, "POST", "/app/new/endpoint", body).await;
        assert_eq!(refused.error(403), "insufficient_permissions");
    }
    shop.advance(Duration::from_secs(599));
    assert_eq!(status(&shop, &text(&access), "/app/new").await, 200);
    shop.advance(Duration::from_secs(1));
    assert_eq!(status(&shop, &text(&access), "/app/new").await, 401);

    let full = json!({"capabilities": ["ViewBase", "ViewEndpointSecret", "ManageEndpointSecret",
        "ManageTransformations", "CreateAttempts", "ManageEndpoint"]});
    let token = text(&portal(&shop, "new", full).await);
    let body = r#"{"url": "https://example.com"}"#;
    let made = shop.ask_as(&token, "POST", "/app/new/endpoint", body).await;
    made.expect(201);
    assert_eq!(status(&shop, &token, "/event-type/secret").await, 404);
    for wrong in [
        json!({"capabilities": ["ManageEndpoint"]}),
        json!({"expiry": 0}),
        json!({"featureFlags": ["a b"]}),
    ] {
        let path = "/auth/app-portal-access/new";
        shop.ask("POST", path, wrong.to_string()).await.expect(422);
    }
    let nobody = shop
        .ask("POST", "/auth/app-portal-access/nobody", "{}")
        .await;
    assert_eq!(nobody.error(404), "not_found");
}

#[tokio::test]
async fn what_is_not_there_says_so() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com/").await;
    for what in ["transformation", "oauth"] {
        let path = format!("/app/{app}/endpoint/{endpoint}/{what}");
        let answer = shop.ask("GET", &path, "").await;
        assert_eq!(answer.error(501), "not_implemented");
        let missing = format!("/app/{app}/endpoint/nobody/{what}");
        assert_eq!(shop.ask("GET", &missing, "").await.error(404), "not_found");
    }
}
