//! CloudEvents as they come in: what is taken, kept, recognised and refused; and who gets them as such.

use http::Request;
use serde_json::{Value, json};

use crate::api::shop::{Answer, Shop, id};

const STRUCTURED: &str = "application/cloudevents+json";

async fn send(shop: &Shop, app: &str, headers: &[(&str, &str)], body: impl ToString) -> Answer {
    let mut request = Request::post(format!("/api/v1/app/{app}/cloudevents"))
        .header("authorization", format!("Bearer {}", shop.token()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    shop.send(request.body(body.to_string().into()).unwrap())
        .await
}

fn event(change: impl FnOnce(&mut Value)) -> Value {
    let mut event = json!({"specversion": "1.0", "id": "1", "source": "/shop", "type": "order.shipped",
        "data": {"amount": 7}});
    change(&mut event);
    event
}

#[tokio::test]
async fn the_same_source_and_id_is_the_same_event() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let structured = [(
        "content-type",
        "application/cloudevents+json; charset=utf-8",
    )];
    let first = send(&shop, &app, &structured, event(|_| {}))
        .await
        .expect(202);
    assert_eq!(first["eventType"], "order.shipped");
    assert_eq!(first["payload"], json!({"amount": 7}));
    assert!(
        first["eventId"].as_str().unwrap().starts_with("ce_"),
        "{first}"
    );
    let again = send(&shop, &app, &structured, event(|_| {}))
        .await
        .expect(202);
    assert_eq!(id(&again), id(&first));
    let found = shop.get(&format!("/app/{app}/msg/{}", id(&first))).await;
    assert_eq!(found["payload"], json!({"amount": 7}));

    let changed = event(|event| event["data"] = json!({"amount": 8}));
    let refused = send(&shop, &app, &structured, changed).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    let elsewhere = event(|event| event["source"] = json!("/other"));
    let elsewhere = send(&shop, &app, &structured, elsewhere).await.expect(202);
    assert_ne!(id(&elsewhere), id(&first));

    let binary = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "b%C3%A4"),
        ("ce-source", "/shop"),
        ("ce-type", "order.shipped"),
    ];
    let made = send(&shop, &app, &binary, r#"{"amount": 9}"#)
        .await
        .expect(202);
    assert_eq!(made["payload"], json!({"amount": 9}));
}

#[tokio::test]
async fn what_is_no_event_is_refused_with_its_attribute() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let refused = async |headers: &[(&str, &str)], body: String| {
        let refused = send(&shop, &app, headers, body).await.expect(422);
        let first = &refused["detail"][0];
        (
            first["loc"].clone(),
            first["type"].as_str().unwrap().to_owned(),
        )
    };
    let check = async |change: fn(&mut Value), at: &str, rule: &str| {
        let body = event(change).to_string();
        let got = refused(&[("content-type", STRUCTURED)], body).await;
        assert_eq!(got, (json!(["body", at]), rule.to_owned()));
    };
    check(
        |e| e["specversion"] = json!("0.3"),
        "specversion",
        "value_error.not_supported",
    )
    .await;
    check(|e| e["specversion"] = json!(1), "specversion", "type_error").await;
    check(|e| e["id"] = json!(""), "id", "value_error.missing").await;
    check(
        |e| e["source"] = Value::Null,
        "source",
        "value_error.missing",
    )
    .await;
    check(|e| e["source"] = json!("a b"), "source", "value_error.url").await;
    check(|e| e["type"] = json!("a/b"), "type", "value_error.pattern").await;
    check(|e| e["time"] = json!("now"), "time", "value_error.datetime").await;
    check(|e| e["data"] = json!([1]), "data", "type_error").await;
    check(
        |e| e["data_base64"] = json!("AA=="),
        "data_base64",
        "value_error.not_supported",
    )
    .await;
    check(|e| e["extra"] = json!({"a": 1}), "extra", "type_error").await;
    check(|e| e["Extra"] = json!("a"), "Extra", "value_error.pattern").await;
    let xml = |e: &mut Value| e["datacontenttype"] = json!("text/xml");
    check(xml, "datacontenttype", "value_error.not_supported").await;
    let without_data = r#"{"specversion": "1.0", "id": "1", "source": "/", "type": "a"}"#;
    let got = refused(&[("content-type", STRUCTURED)], without_data.to_owned()).await;
    assert_eq!(
        got,
        (json!(["body", "data"]), "value_error.missing".to_owned())
    );

    let batch = [("content-type", "application/cloudevents-batch+json")];
    let got = refused(&batch, "[]".to_owned()).await;
    let rule = "value_error.not_supported".to_owned();
    assert_eq!(got, (json!(["header", "content-type"]), rule));
    let got = refused(&[("content-type", "application/json")], "{}".to_owned()).await;
    let rule = "value_error.missing".to_owned();
    assert_eq!(got, (json!(["header", "ce-specversion"]), rule.clone()));
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-source", "/"),
        ("ce-type", "a"),
    ];
    let got = refused(&headers, "{}".to_owned()).await;
    assert_eq!(got, (json!(["header", "ce-id"]), rule));
}

#[tokio::test]
async fn an_endpoint_says_in_which_form() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let body =
        json!({"url": "https://example.com", "uid": "e", "deliveryFormat": "cloudevents-binary"});
    let made = shop.make(&path, &body.to_string()).await;
    assert_eq!(made["deliveryFormat"], "cloudevents-binary");
    let one = format!("{path}/e");
    let patch = async |body: &str| {
        let patched = shop.ask("PATCH", &one, body.to_owned()).await;
        patched.expect(200).get("deliveryFormat").cloned()
    };
    let kept = patch(r#"{"description": "x"}"#).await;
    assert_eq!(kept, Some(json!("cloudevents-binary")));
    assert_eq!(patch(r#"{"deliveryFormat": "standard"}"#).await, None);
    let refused = shop
        .ask("PATCH", &one, r#"{"deliveryFormat": "xml"}"#)
        .await;
    let refused = refused.expect(422);
    assert_eq!(refused["detail"][0]["type"], "value_error.delivery_format");
}

#[tokio::test]
async fn an_event_is_a_request_of_its_own() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let path = format!("/app/{app}/endpoint");
    let refused = |answer: Answer| {
        let refused = answer.expect(422);
        let first = &refused["detail"][0];
        assert_eq!(first["loc"], json!(["body", "deliveryFormat"]), "{refused}");
        assert_eq!(first["type"], "value_error.delivery_format.batch");
    };
    let batch = json!({"maxEvents": 2, "maxWaitMs": 0});
    let both = json!({"url": "https://example.com", "uid": "e", "batch": batch,
        "deliveryFormat": "cloudevents-structured"});
    refused(shop.ask("POST", &path, both.to_string()).await);
    let one = json!({"url": "https://example.com", "uid": "e", "batch": batch});
    shop.make(&path, &one.to_string()).await;
    let one = format!("{path}/e");
    let patch = r#"{"deliveryFormat": "cloudevents-binary"}"#;
    refused(shop.ask("PATCH", &one, patch).await);
    let instead = r#"{"deliveryFormat": "cloudevents-binary", "batch": null}"#;
    shop.ask("PATCH", &one, instead).await.expect(200);
    let batch = json!({"batch": batch}).to_string();
    refused(shop.ask("PATCH", &one, batch).await);
}

#[tokio::test]
async fn data_is_held_against_the_schema() {
    let shop = Shop::open().await;
    let app = shop.app("a").await;
    let schema = json!({"name": "order.shipped", "description": "", "validation": "enforce",
        "schemas": {"1": {"type": "object", "properties": {"amount": {"type": "string"}}}}});
    shop.make("/event-type", &schema.to_string()).await;
    let structured = [("content-type", STRUCTURED)];
    let refused = send(&shop, &app, &structured, event(|_| {})).await;
    let refused = refused.expect(422);
    assert_eq!(
        refused["detail"][0]["loc"],
        json!(["body", "data", "amount"])
    );
    let binary = [
        ("ce-specversion", "1.0"),
        ("ce-id", "2"),
        ("ce-source", "/shop"),
        ("ce-type", "order.shipped"),
    ];
    let refused = send(&shop, &app, &binary, r#"{"amount": 1}"#).await;
    assert_eq!(
        refused.expect(422)["detail"][0]["loc"],
        json!(["body", "amount"])
    );
}
