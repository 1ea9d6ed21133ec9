//! Payload filters and groups of event types: what is saved, shown, refused, and what follows.

use serde_json::json;

use crate::api::shop::{Shop, id};

#[tokio::test]
async fn a_filter_is_saved_shown_changed_and_cleared() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let plain = shop.make(&path, r#"{"url": "https://example.com"}"#).await;
    assert_eq!(plain.get("filter"), None);
    let shown = shop.get(&format!("{path}/{}/filter", id(&plain))).await;
    assert_eq!(shown, json!({"undecided": 0}));

    let filter = "payload.amount > 100 && payload.currency in ['EUR', 'USD']";
    let body = json!({"url": "https://example.com", "uid": "e", "filter": filter});
    let made = shop.make(&path, &body.to_string()).await;
    assert_eq!(made["filter"], filter);
    let one = format!("{path}/e");
    let patch = async |body: &str| {
        let patched = shop.ask("PATCH", &one, body.to_owned()).await;
        patched.expect(200).get("filter").cloned()
    };
    assert_eq!(patch(r#"{"description": "x"}"#).await, Some(json!(filter)));
    let other = patch(r#"{"filter": "has(payload.a)"}"#).await;
    assert_eq!(other, Some(json!("has(payload.a)")));
    assert_eq!(patch(r#"{"filter": null}"#).await, None);
    patch(r#"{"filter": "has(payload.a)"}"#).await;
    let put = shop.ask("PUT", &one, r#"{"url": "https://example.com"}"#);
    assert_eq!(put.await.expect(200).get("filter"), None);
}

#[tokio::test]
async fn what_is_no_filter_is_refused_with_its_place() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    shop.make(&path, r#"{"url": "https://example.com", "uid": "e"}"#)
        .await;
    for (method, path) in [("POST", &path), ("PUT", &format!("{path}/e"))] {
        let body = json!({"url": "https://example.com", "filter": "payload.a ==\n  amount"});
        let refused = shop.ask(method, path, body.to_string()).await.expect(422);
        let expect = json!([{"loc": ["body", "filter"], "type": "value_error.filter",
            "msg": "must be a CEL expression: line 2, column 3: there is no amount; a filter \
                knows payload (payload.amount), eventType and channels"}]);
        assert_eq!(refused["detail"], expect, "{refused}");
    }
    let patch = json!({"filter": "x".repeat(1025)}).to_string();
    let refused = shop.ask("PATCH", &format!("{path}/e"), patch).await;
    let refused = refused.expect(422);
    assert_eq!(refused["detail"][0]["type"], "value_error.length");
}

#[tokio::test]
async fn a_group_takes_in_what_is_below_it_and_a_type_is_that_type() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let mut made = Vec::new();
    for wanted in ["invoice", "invoice.paid", "invoice.paid."] {
        let body = json!({"url": "http://127.0.0.1:1/", "disabled": true, "filterTypes": [wanted]});
        made.push(id(&shop.make(&path, &body.to_string()).await));
    }
    let got_by = async |event_type: &str| {
        let body = json!({"eventType": event_type, "payload": {}}).to_string();
        let message = shop.ask("POST", &format!("/app/{app}/msg"), body).await;
        let message = id(&message.expect(202));
        let got = shop
            .get(&format!("/app/{app}/msg/{message}/endpoint"))
            .await;
        let got = got["data"].as_array().unwrap().iter().map(id);
        let got: Vec<_> = got
            .filter_map(|id| made.iter().position(|one| *one == id))
            .collect();
        got
    };
    assert_eq!(got_by("invoice.paid").await, [0, 1]);
    assert_eq!(got_by("invoice.paid.late").await, [0, 2]);
    assert_eq!(got_by("invoice").await, [0]);
    assert!(got_by("invoices.paid").await.is_empty());
}

#[tokio::test]
async fn what_a_filter_could_not_decide_is_shown_to_its_own_application_only() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let stranger = shop.app("b").await;
    let body =
        json!({"url": "http://127.0.0.1:1/", "disabled": true, "filter": "payload.amount > 1"});
    let path = format!("/app/{app}/endpoint");
    let endpoint = id(&shop.make(&path, &body.to_string()).await);
    shop.message(&app, r#"{"amount": 1}"#).await;
    shop.message(&app, "{}").await;
    let path = format!("{path}/{endpoint}/filter");
    let expect = json!({"filter": "payload.amount > 1", "undecided": 1, "lastUndecided": {
        "at": "2026-11-23T08:20:00.000Z", "reason": "no_such_field",
        "explanation": "the payload has no such field; has(…) tells whether there is one"}});
    assert_eq!(shop.get(&path).await, expect);
    let own = shop.ask_as(&shop.as_app(&app), "GET", &path, "").await;
    assert_eq!(own.expect(200), expect);
    let other = shop.ask_as(&shop.as_app(&stranger), "GET", &path, "").await;
    assert!([403, 404].contains(&other.status.as_u16()), "{other:?}");
}
