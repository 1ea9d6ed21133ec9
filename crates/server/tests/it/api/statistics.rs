//! Statistics, and lists in which little is found.

use serde_json::{Value, json};

use hookseal_testkit::wait::until;

use crate::api::authorization::Stock;
use crate::api::shop::{Shop, id};
use crate::api::tasks::finished;

#[tokio::test]
async fn what_happened_is_counted() {
    let shop = Shop::open().await;
    let stock = Stock::of(&shop).await;
    let (app, endpoint) = (&stock.app, &stock.endpoint);
    let stats = format!("/app/{app}/endpoint/{endpoint}/stats");
    let waits = until("the delivery waits", async || {
        let stats = shop.get(&stats).await;
        Ok((stats["sending"] == 0).then_some(stats))
    });
    let waits = waits.await.unwrap();
    let expect = json!({"success": 0, "fail": 0, "canceled": 0, "pending": 1, "sending": 0,
        "approximated": false});
    assert_eq!(waits, expect);
    let count = async |query: &str| {
        let path = format!("/app/{app}/attempt/endpoint/{endpoint}/count{query}");
        shop.get(&path).await
    };
    for (query, expect, approximated) in [
        ("", 1, false),
        ("?status=2", 1, false),
        ("?status=0", 0, false),
        ("?status=1", 0, false),
        ("?status_code_class=0", 1, false),
        ("?status_code_class=500", 0, false),
        ("?event_types=invoice.paid", 1, false),
        ("?tag=none", 0, false),
        ("?after=2026-11-23T08:00:00Z", 1, true),
        ("?before=2026-11-23T08:00:00Z", 0, true),
    ] {
        let expect = json!({"count": expect, "approximated": approximated});
        assert_eq!(count(query).await, expect, "{query}");
    }
    let span = "since=2026-11-23T00:00:00Z&until=2026-11-24T00:00:00Z";
    let by_type = shop.get(&format!("/app/{app}/stats/attempts?{span}")).await;
    assert_eq!(by_type["total_failure"], 1);
    let failure = json!({"success": 0, "failure": 1, "canceled": 0});
    assert_eq!(by_type["by_event_type"], json!({"invoice.paid": failure}));
    let path = format!("/app/{app}/stats/attempts?{span}&event_types=other");
    assert_eq!(shop.get(&path).await["total_failure"], 0);
    let endpoints = shop.get("/stats/endpoint/count").await;
    assert_eq!(endpoints, json!({"active": 1, "disabled": 0}));
}

#[tokio::test]
async fn a_span_has_two_ends_in_their_order() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    for (query, name, rule) in [
        ("", "since", "value_error.missing"),
        (
            "?since=2026-11-23T00:00:00Z",
            "until",
            "value_error.missing",
        ),
        (
            "?since=2026-11-23T00:00:00Z&until=2026-11-22T00:00:00Z",
            "until",
            "value_error.datetime",
        ),
        (
            "?since=x&until=2026-11-22T00:00:00Z",
            "since",
            "value_error.datetime",
        ),
    ] {
        let path = format!("/app/{app}/stats/attempts{query}");
        let refused = shop.ask("GET", &path, "").await.expect(422);
        let first = &refused["detail"][0];
        assert_eq!(
            (&first["loc"], &first["type"]),
            (&json!(["query", name]), &json!(rule))
        );
    }
}

#[tokio::test]
async fn a_span_that_ends_before_it_begins_is_refused() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let endpoint = shop.endpoint(&app, "https://example.com/").await;
    for path in [
        format!("/app/{app}/endpoint/{endpoint}/stats"),
        format!("/app/{app}/stats/attempts"),
    ] {
        let span = "since=2026-11-23T00:00:00.001Z&until=2026-11-23T00:00:00Z";
        let refused = shop.ask("GET", &format!("{path}?{span}"), "").await;
        let refused = refused.expect(422);
        let named = [&refused["detail"][0], &refused["detail"][1]].map(|one| one["loc"].clone());
        assert_eq!(
            named,
            [json!(["query", "until"]), json!(["query", "since"])]
        );
        let none = "since=2026-11-23T00:00:00Z&until=2026-11-23T00:00:00Z";
        shop.get(&format!("{path}?{none}")).await;
    }
}

#[tokio::test]
async fn usage_is_counted_for_those_that_are_asked_for() {
    let shop = Shop::open().await;
    let stock = Stock::of(&shop).await;
    let named = r#"{"name": "b", "uid": "b"}"#;
    let other = id(&shop.make("/app", named).await);
    let usage = |app: &str, uid: Option<&str>, count: u64| json!({"appId": app, "appUid": uid, "messageDestinations": count});
    let (own, none) = (usage(&stock.app, None, 1), usage(&other, Some("b"), 0));
    let some = json!([stock.app, "b", "nobody", "app_2ZwUYmtTLwKXpTgQ8iHxb1MSkbO"]);
    for (hour, app_ids, unresolved, expect) in [
        ("08", json!(null), json!([]), json!([own, none])),
        ("07", json!(["b"]), json!([]), json!([none])),
        (
            "08",
            some.clone(),
            json!([some[2], some[3]]),
            json!([own, none]),
        ),
        (
            "07",
            json!([stock.app]),
            json!([]),
            json!([usage(&stock.app, None, 0)]),
        ),
        ("08", json!([]), json!([]), json!([])),
    ] {
        let until = format!("2026-11-23T{hour}:10:00Z");
        let body = json!({"since": "2026-11-23T00:00:00Z", "until": until, "appIds": app_ids});
        let begun = shop.ask("POST", "/stats/usage/app", body.to_string()).await;
        let begun = begun.expect(202);
        assert_eq!(begun["task"], "application.stats");
        assert_eq!(begun["status"], "running");
        assert_eq!(begun["unresolvedAppIds"], unresolved);
        let task = finished(&shop, &id(&begun)).await;
        assert_eq!(task["status"], "finished");
        assert_eq!(task["data"]["appStats"], expect, "{body}");
        assert_eq!(task["data"].get("event_types"), None);
    }
    let listed = shop.get("/background-task?task=application.stats").await;
    assert_eq!(
        listed["data"][0]["data"].get("appStats"),
        None,
        "only alone"
    );
    let path = format!(
        "/background-task/{}?iterator={}",
        id(&listed["data"][0]),
        stock.app
    );
    assert_eq!(shop.get(&path).await["data"]["appStats"], json!([none]));
    let path = format!("/background-task/{}?iterator=x", id(&listed["data"][0]));
    shop.ask("GET", &path, "").await.expect(422);
}

#[tokio::test]
async fn subscriptions_are_looked_up_for_all() {
    let shop = Shop::open().await;
    let [all, some, none] = [
        shop.app("all").await,
        shop.app("some").await,
        shop.app("none").await,
    ];
    shop.endpoint(&all, "http://127.0.0.1:1/").await;
    for types in [json!(["b", "a"]), json!(["c", "a"])] {
        let body = json!({"url": "http://127.0.0.1:1/", "filterTypes": types});
        shop.make(&format!("/app/{some}/endpoint"), &body.to_string())
            .await;
    }
    let begun = shop
        .ask("PUT", "/stats/usage/event-types", "")
        .await
        .expect(202);
    assert_eq!(begun["task"], "event-type.aggregate");
    let task = finished(&shop, &id(&begun)).await;
    let of = |(app, uid): (&str, &str), names: &[&str], catch_all: bool| {
        json!({"appId": app, "appUid": uid,
        "explicitlySubscribedEventTypes": names, "truncated": false,
        "hasCatchAllEndpoint": catch_all})
    };
    assert_eq!(
        task["data"]["event_types"],
        json!([
            of((&all, "all"), &[], true),
            of((&some, "some"), &["a", "b", "c"], false),
            of((&none, "none"), &[], false)
        ])
    );
    assert_eq!(task["data"].get("appStats"), None);
}

#[tokio::test]
async fn what_usage_can_not_be_counted_of_is_refused() {
    let shop = Shop::open().await;
    let span = |since: &str, until: &str| json!({"since": since, "until": until});
    let with = |ids: Value| {
        let mut body = span("2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z");
        body["appIds"] = ids;
        body
    };
    let many: Vec<_> = (0..1001).map(|n| n.to_string()).collect();
    for (body, field, rule) in [
        (json!({}), "since", "value_error.missing"),
        (
            span("x", "2026-11-23T00:00:00Z"),
            "since",
            "value_error.datetime",
        ),
        (
            span("2026-11-23T00:00:00Z", "2026-11-22T00:00:00Z"),
            "until",
            "value_error.datetime",
        ),
        (
            with(json!(["a", "a"])),
            "appIds",
            "value_error.list.unique_items",
        ),
        (with(json!(many)), "appIds", "value_error.list.max_items"),
        (with(json!(["nobody"])), "appIds", "value_error.choice"),
    ] {
        let refused = shop.ask("POST", "/stats/usage/app", body.to_string()).await;
        let refused = refused.expect(422);
        let first = &refused["detail"][0];
        assert_eq!(
            (&first["loc"][1], &first["type"]),
            (&json!(field), &json!(rule)),
            "{body}"
        );
    }
    let answer = shop
        .ask("POST", "/stats/usage/app", with(json!(["a b"])).to_string())
        .await;
    let loc = json!(["body", "appIds", "0"]);
    assert_eq!(answer.expect(422)["detail"][0]["loc"], loc);
}
