//! Statistics, and lists in which little is found.

use serde_json::json;

use hookseal_testkit::wait::until;

use crate::api::authorization::Stock;
use crate::api::shop::Shop;

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
