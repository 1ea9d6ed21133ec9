//! Every list, forwards and backwards.

use std::time::Duration;

use serde_json::Value;

use hookseal_testkit::test_ca::TestCa;

use crate::api::shop::{Shop, id};

/// Walks a list of `all`, in its order, by pages of two: to its end and back.
async fn walk(shop: &Shop, path: &str, key: &str, all: &[String]) {
    let join = if path.contains('?') { '&' } else { '?' };
    let page = async |more: &str| shop.get(&format!("{path}{join}limit=2{more}")).await;
    let keys = |page: &Value| -> Vec<String> {
        let rows = page["data"].as_array().unwrap();
        rows.iter()
            .map(|row| row[key].as_str().unwrap().to_owned())
            .collect()
    };
    let mut found = Vec::new();
    let mut last = page("").await;
    loop {
        found.extend(keys(&last));
        if last["done"] == true {
            break;
        }
        assert_eq!(keys(&last).len(), 2, "{path}");
        last = page(&format!("&iterator={}", last["iterator"].as_str().unwrap())).await;
    }
    assert_eq!(found, all, "{path}");

    let mut back = Vec::new();
    loop {
        let earlier = last["prevIterator"].as_str().unwrap();
        last = page(&format!("&iterator={earlier}")).await;
        let mut rows = keys(&last);
        rows.append(&mut back);
        back = rows;
        if last["done"] == true {
            break;
        }
    }
    assert!(
        all.starts_with(&back) && back.len() >= all.len() - 2,
        "{path}: {back:?}"
    );

    let end = all.last().unwrap();
    let beyond = page(&format!("&iterator={end}")).await;
    assert_eq!(
        (keys(&beyond).len(), &beyond["done"]),
        (0, &Value::Bool(true))
    );
    assert!(beyond["iterator"].is_null() && beyond["prevIterator"].is_null());
}

fn reversed(all: &[String]) -> Vec<String> {
    all.iter().rev().cloned().collect()
}

#[tokio::test]
async fn lists_are_walked_both_ways() {
    let shop = Shop::open().await;
    let (mut apps, mut endpoints, mut messages, mut names) = (vec![], vec![], vec![], vec![]);
    for n in 0..5 {
        apps.push(shop.app(&format!("a{n}")).await);
        let endpoint = format!(r#"{{"url": "https://example.com/{n}", "disabled": true}}"#);
        endpoints.push(id(&shop.make("/app/a0/endpoint", &endpoint).await));
        let name = format!("type.{n}");
        let body = format!(r#"{{"name": "{name}", "description": ""}}"#);
        shop.make("/event-type", &body).await;
        names.push(name);
        shop.advance(Duration::from_millis(1));
    }
    for _ in 0..5 {
        messages.push(shop.message("a0", "{}").await);
    }
    walk(&shop, "/app", "id", &apps).await;
    walk(&shop, "/app?order=descending", "id", &reversed(&apps)).await;
    walk(&shop, "/app/a0/endpoint", "id", &endpoints).await;
    walk(
        &shop,
        "/app/a0/endpoint?order=descending",
        "id",
        &reversed(&endpoints),
    )
    .await;
    walk(&shop, "/event-type", "name", &names).await;
    walk(
        &shop,
        "/event-type?order=descending",
        "name",
        &reversed(&names),
    )
    .await;
    let newest_first = reversed(&messages);
    walk(&shop, "/app/a0/msg", "id", &newest_first).await;
    let destinations = format!("/app/a0/msg/{}/endpoint", messages[0]);
    walk(&shop, &destinations, "id", &endpoints).await;
    let held = format!("/app/a0/endpoint/{}/msg", endpoints[0]);
    walk(&shop, &held, "id", &newest_first).await;
    walk(&shop, &format!("{held}?status=1"), "id", &newest_first).await;
}

#[tokio::test]
async fn lists_of_names_are_walked_both_ways() {
    let shop = Shop::open().await;
    let root = TestCa::new("Root").unwrap().root_pem();
    let pem = serde_json::json!({"pem": root}).to_string();
    let mut names = Vec::new();
    for n in 0..5 {
        let name = format!("name.{n}");
        let of = |kind: &str| format!("/transport/{kind}/{name}");
        shop.ask("PUT", &of("policy"), "{}").await.expect(201);
        let anchors = of("trust-anchors");
        shop.ask("PUT", &anchors, pem.clone()).await.expect(201);
        let requests = of("client-identity") + "/requests";
        shop.make(&requests, r#"{"commonName": "us"}"#).await;
        names.push(name);
    }
    for kind in ["policy", "trust-anchors", "client-identity"] {
        let path = format!("/transport/{kind}");
        walk(&shop, &path, "name", &names).await;
        let descending = format!("{path}?order=descending");
        walk(&shop, &descending, "name", &reversed(&names)).await;
    }
}

#[tokio::test]
async fn an_empty_list_is_done() {
    let shop = Shop::open().await;
    let list = shop.get("/app").await;
    let expect =
        serde_json::json!({"data": [], "iterator": null, "prevIterator": null, "done": true});
    assert_eq!(list, expect);
}
