//! Background tasks: what begins them, how they are shown, and who sees them.

use hookseal_testkit::wait::until;
use serde_json::{Value, json};

use crate::api::shop::{Shop, id};

const SINCE: &str = r#"{"since": "2026-11-23T00:00:00Z"}"#;

/// An application with an endpoint that nobody listens on, and one message to it.
async fn failing(shop: &Shop) -> (String, String, String) {
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "http://127.0.0.1:1/").await;
    let message = shop.message(&app, "{}").await;
    (app, endpoint, message)
}

pub(crate) async fn finished(shop: &Shop, task: &str) -> Value {
    until("the task to finish", async || {
        let task = shop.get(&format!("/background-task/{task}")).await;
        Ok((task["status"] != "running").then_some(task))
    })
    .await
    .unwrap()
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn a_recovery_is_shown_from_beginning_to_end() {
    let shop = Shop::open().await;
    let (app, endpoint, _) = failing(&shop).await;
    let path = format!("/app/{app}/endpoint/{endpoint}/recover");
    let task = shop.ask("POST", &path, SINCE).await.expect(202);
    assert_eq!(task["task"], "endpoint.recover");
    assert_eq!(task["status"], "running");
    assert!(id(&task).starts_with("qtask_"), "{task}");
    let task = finished(&shop, &id(&task)).await;
    assert_eq!(task["status"], "finished");
    assert_eq!(
        task["data"],
        json!({
            "appId": app, "endpointId": endpoint, "since": "2026-11-23T00:00:00.000Z",
            "until": "2026-11-23T08:20:00.000Z", "createdAt": "2026-11-23T08:20:00.000Z",
            "lookedAt": 0, "done": 0, "leftOut": 0,
        }),
        "what waits for its next attempt has not failed"
    );
    let cancel = format!("/background-task/{}/cancel", id(&task));
    let again = shop.ask("POST", &cancel, "").await.expect(200);
    assert_eq!(again, task, "it has ended already");
}

#[tokio::test]
async fn what_is_cancelled_is_shown_and_can_be_replayed() {
    let shop = Shop::open().await;
    let (app, endpoint, message) = failing(&shop).await;
    let path = format!("/app/{app}/endpoint/{endpoint}");
    let attempts = format!("/app/{app}/attempt/msg/{message}");
    until("the first attempt", async || {
        let attempts = shop.get(&attempts).await;
        Ok((attempts["data"] != json!([])).then_some(()))
    })
    .await
    .unwrap();
    let cancel = format!("{path}/cancel-msgs");
    let early = r#"{"createdBefore": "2026-11-23T08:20:00Z"}"#;
    shop.ask("POST", &cancel, early).await.expect(204);
    let status = async |status| {
        let list = format!("{path}/msg?status={status}");
        ids(&shop.get(&list).await)
    };
    let of_kind = async |kind| {
        let list = shop.get(&format!("/background-task?task={kind}")).await;
        list["data"].as_array().unwrap().clone()
    };
    let task = id(&of_kind("endpoint.cancel-msgs").await[0]);
    assert_eq!(finished(&shop, &task).await["data"]["done"], 0, "too early");
    assert_eq!(status(1).await, [message.as_str()]);
    let body = r#"{"createdBefore": "2026-11-23T08:20:00.001Z"}"#;
    shop.ask("POST", &cancel, body).await.expect(204);
    let task = id(&of_kind("endpoint.cancel-msgs").await[1]);
    assert_eq!(finished(&shop, &task).await["data"]["done"], 1);
    assert_eq!(status(4).await, [message.as_str()]);
    assert_eq!(status(1).await, [""; 0]);
    let listed = shop.get("/background-task").await;
    assert_eq!(listed["data"], json!([]), "official clients don't know it");
    let list = shop.get(&format!("{path}/msg")).await;
    assert_eq!(list["data"][0]["statusText"], "canceled");
    let replay = format!("{path}/bulk-replay");
    let body = r#"{"since": "2026-11-23T00:00:00Z", "status": 4, "eventTypes": ["invoice.paid"]}"#;
    let task = shop.ask("POST", &replay, body).await.expect(202);
    assert_eq!(task["task"], "endpoint.bulk-replay");
    let task = finished(&shop, &id(&task)).await;
    assert_eq!(task["data"]["done"], 1, "{task}");
    assert_eq!(status(4).await, [""; 0]);
}

#[tokio::test]
async fn what_was_missed_is_sent() {
    let shop = Shop::open().await;
    let (app, _, message) = failing(&shop).await;
    let late = shop.endpoint(&app, "http://127.0.0.1:1/").await;
    let path = format!("/app/{app}/endpoint/{late}/replay-missing");
    let task = shop.ask("POST", &path, SINCE).await.expect(202);
    assert_eq!(task["task"], "endpoint.replay");
    let task = finished(&shop, &id(&task)).await;
    assert_eq!(
        (&task["data"]["done"], &task["data"]["lookedAt"]),
        (&json!(1), &json!(1))
    );
    let list = shop.get(&format!("/app/{app}/endpoint/{late}/msg")).await;
    assert_eq!(ids(&list), [message]);
}

#[tokio::test]
async fn tasks_are_listed_by_what_is_asked() {
    let shop = Shop::open().await;
    let (app, endpoint, _) = failing(&shop).await;
    let mut tasks = Vec::new();
    for operation in ["recover", "replay-missing", "recover"] {
        let path = format!("/app/{app}/endpoint/{endpoint}/{operation}");
        let task = id(&shop.ask("POST", &path, SINCE).await.expect(202));
        finished(&shop, &task).await;
        tasks.push(task);
    }
    let list = async |query: &str| ids(&shop.get(&format!("/background-task{query}")).await);
    assert_eq!(list("").await, tasks);
    assert_eq!(list("?status=finished&limit=2").await, tasks[..2]);
    assert_eq!(list("?status=failed").await, [""; 0]);
    assert_eq!(list("?task=endpoint.replay").await, tasks[1..2]);
    let after = format!("?iterator={}", tasks[0]);
    assert_eq!(list(&after).await, tasks[1..]);
    let newest = list("?order=descending&limit=1").await;
    assert_eq!(newest, tasks[2..]);
    for query in ["?status=cancelled", "?task=nothing", "?iterator=x"] {
        let path = format!("/background-task{query}");
        shop.ask("GET", &path, "").await.expect(422);
    }
    let other = shop.app("b").await;
    for (who, expect) in [(&app, 3), (&other, 0)] {
        let token = shop.as_app(who);
        let seen = shop.ask_as(&token, "GET", "/background-task", "").await;
        assert_eq!(ids(&seen.expect(200)).len(), expect);
    }
    let broadcast = r#"{"eventType": "t", "payload": {}}"#;
    let task = shop.ask("POST", "/msg/broadcast", broadcast).await;
    let path = format!("/background-task/{}", id(&task.expect(202)));
    let seen = shop.ask_as(&shop.as_app(&app), "GET", &path, "").await;
    assert_eq!(seen.error(404), "not_found", "it is the organisation's");
    let unknown = shop.ask("GET", "/background-task/qtask_nothing", "").await;
    assert_eq!(unknown.error(404), "not_found");
}

#[tokio::test]
async fn a_repeated_request_begins_one_task() {
    let shop = Shop::open().await;
    let (app, endpoint, _) = failing(&shop).await;
    let path = format!("/app/{app}/endpoint/{endpoint}/recover");
    let first = shop.ask_once("k", &path, SINCE).await.expect(202);
    let again = shop.ask_once("k", &path, SINCE).await.expect(202);
    assert_eq!(id(&first), id(&again));
    let other = r#"{"since": "2026-11-22T00:00:00Z"}"#;
    let other = shop.ask_once("k", &path, other).await;
    assert_eq!(other.error(409), "idempotency_key_reused");
}

#[tokio::test]
async fn what_can_not_be_done_is_refused() {
    let shop = Shop::open().await;
    let (app, endpoint, _) = failing(&shop).await;
    let path = format!("/app/{app}/endpoint/{endpoint}");
    let refuses = async |operation: &str, body: Value, field: &str, rule: &str| {
        let answer = shop
            .ask("POST", &format!("{path}/{operation}"), body.to_string())
            .await
            .expect(422);
        let found = &answer["detail"][0];
        assert_eq!(found["loc"], json!(["body", field]), "{answer}");
        assert_eq!(found["type"], rule, "{answer}");
    };
    for operation in ["recover", "replay-missing", "bulk-replay"] {
        refuses(operation, json!({}), "since", "value_error.missing").await;
        let body = json!({"since": "yesterday"});
        refuses(operation, body, "since", "value_error.datetime").await;
        let body = json!({"since": "2026-11-23T02:00:00Z", "until": "2026-11-23T01:00:00Z"});
        refuses(operation, body, "since", "value_error.datetime").await;
        let body = json!({"since": "2026-11-24T00:00:00Z"});
        refuses(operation, body, "since", "value_error.datetime").await;
    }
    let bulk = |field: &str, value: Value| json!({"since": "2026-11-23T00:00:00Z", field: value});
    for (field, value, rule) in [
        ("status", json!(1), "value_error.choice"),
        ("statusCodeClass", json!(201), "value_error.choice"),
        ("channel", json!("a b"), "value_error.pattern"),
    ] {
        refuses("bulk-replay", bulk(field, value), field, rule).await;
    }
    refuses(
        "cancel-msgs",
        json!({}),
        "createdBefore",
        "value_error.missing",
    )
    .await;
    let patch = r#"{"disabled": true}"#;
    shop.ask("PATCH", &path, patch).await.expect(200);
    let answer = shop.ask("POST", &format!("{path}/recover"), SINCE).await;
    assert_eq!(answer.error(409), "endpoint_disabled");
}

#[tokio::test]
async fn payloads_are_forgotten_together() {
    let shop = Shop::open().await;
    let (app, endpoint, first) = failing(&shop).await;
    let second = shop.message(&app, "{}").await;
    let third = shop.message(&app, r#"{"a": 1.0}"#).await;
    let raw = async |message: &str| {
        let path = format!("/app/{app}/msg/{message}/raw");
        shop.ask("GET", &path, "").await
    };
    let text = raw(&third).await.expect(200);
    assert_eq!(text, json!({"payload": r#"{"a": 1.0}"#}), "as it was given");
    let path = format!("/app/{app}/msg/bulk-expunge");
    let body = json!({"ids": [first, "nothing"]}).to_string();
    let done = shop.ask("POST", &path, body).await.expect(200);
    let mut results = json!({"nothing": "not-found"});
    results[&first] = json!("expunged");
    assert_eq!(done, json!({"results": results}));
    assert_eq!(raw(&first).await.error(409), "payload_gone");
    raw(&second).await.expect(200);
    let many: Vec<_> = (0..251).map(|n| n.to_string()).collect();
    let refused = shop
        .ask("POST", &path, json!({"ids": many}).to_string())
        .await;
    let refused = refused.expect(422);
    assert_eq!(refused["detail"][0]["type"], "value_error.list.max_items");
    let path = format!("/app/{app}/msg/expunge-all-contents");
    let task = shop.ask("POST", &path, "").await.expect(202);
    assert_eq!(task["task"], "application.purge_content");
    let task = finished(&shop, &id(&task)).await;
    let counts = (&task["data"]["lookedAt"], &task["data"]["done"]);
    assert_eq!(counts, (&json!(3), &json!(2)));
    for message in [&first, &second, &third] {
        let shown = shop.get(&format!("/app/{app}/msg/{message}")).await;
        assert_eq!(shown["payload"], json!({"expired": true}));
    }
    // What was undelivered ends, and says why.
    until("the deliveries to end", async || {
        let list = shop
            .get(&format!("/app/{app}/endpoint/{endpoint}/msg?status=2"))
            .await;
        Ok((ids(&list).len() == 3).then_some(()))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_broadcast_goes_to_every_application() {
    let shop = Shop::open().await;
    let (one, other) = (shop.app("a").await, shop.app("b").await);
    let has = r#"{"eventType": "t", "payload": {}, "eventId": "news"}"#;
    shop.ask("POST", &format!("/app/{other}/msg"), has)
        .await
        .expect(202);
    let body = r#"{"eventType": "news.out", "payload": {"a": 1.0}, "eventId": "news", "channels": ["eu"]}"#;
    let task = shop.ask("POST", "/msg/broadcast", body).await.expect(202);
    assert_eq!(task["task"], "message.broadcast");
    let task = finished(&shop, &id(&task)).await;
    let data = &task["data"];
    assert_eq!(data["eventType"], "news.out");
    assert_eq!(
        (&data["lookedAt"], &data["done"], &data["leftOut"]),
        (&json!(2), &json!(1), &json!(1)),
        "one has a message of this name"
    );
    let list = shop.get(&format!("/app/{one}/msg")).await;
    assert_eq!(list["data"][0]["eventType"], "news.out");
    assert_eq!(list["data"][0]["channels"], json!(["eu"]));
    let raw = shop.get(&format!("/app/{one}/msg/news/raw")).await;
    assert_eq!(raw["payload"], r#"{"a": 1.0}"#);
    let list = shop.get(&format!("/app/{other}/msg")).await;
    assert_eq!(ids(&list).len(), 1);
    let more = r#"{"eventType": "t", "payload": {}, "tags": ["x"], "priority": "bulk",
        "expireAfter": 60, "deliverAt": "2026-11-24T00:00:00Z", "application": {"name": "n"}}"#;
    let refused = shop.ask("POST", "/msg/broadcast", more).await.expect(422);
    let details = refused["detail"].as_array().unwrap();
    let named: Vec<_> = details
        .iter()
        .map(|detail| detail["loc"][1].clone())
        .collect();
    let fields = [
        "tags",
        "application",
        "deliverAt",
        "expireAfter",
        "priority",
    ];
    assert_eq!(json!(named), json!(fields));
    let rule = |detail: &Value| detail["type"] == "value_error.not_supported";
    assert!(details.iter().all(rule), "{refused}");
}

#[tokio::test]
async fn whether_anybody_would_get_it() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/msg/precheck/active");
    let active = async |body: &str| {
        let answer = shop.ask("POST", &path, body.to_owned()).await.expect(200);
        answer["active"].as_bool().unwrap()
    };
    let body = r#"{"eventType": "invoice.paid"}"#;
    assert!(!active(body).await);
    let endpoint =
        r#"{"url": "https://example.com", "filterTypes": ["invoice.paid"], "channels": ["eu"]}"#;
    let endpoint = id(&shop.make(&format!("/app/{app}/endpoint"), endpoint).await);
    assert!(!active(body).await, "not on a channel");
    let body = r#"{"eventType": "invoice.paid", "channels": ["eu", "us"]}"#;
    assert!(active(body).await);
    assert!(!active(r#"{"eventType": "other", "channels": ["eu"]}"#).await);
    let path = format!("/app/{app}/endpoint/{endpoint}");
    let patch = r#"{"disabled": true}"#;
    shop.ask("PATCH", &path, patch).await.expect(200);
    assert!(!active(body).await);
}
