//! Every operation of the served document, asked by those who may not. There is no list of what is
//! asked: an operation that is added is asked as well. What follows from being open to all tokens is
//! listed, and the list is to stay short.

use serde_json::Value;

use crate::api::authorization::Stock;
use crate::api::shop::{Answer, Shop};

/// Without an application in their path, yet not for the organisation alone.
const OPEN: [&str; 10] = [
    "v1.event-type.list",
    "v1.event-type.get",
    "v1.background-task.list",
    "v1.authentication.whoami",
    "logout_api_v1_auth_logout__post",
    "v1.authentication.exchange-one-time-token",
    "v1.health.get",
    "v1.health.head",
    "v1.health.ping",
    "v1.health.ping-head",
];

/// What the scope `publish` is for, where this server has it.
const PUBLISHING: [&str; 3] = [
    "v1.message.create",
    "v1.message.create-cloud-event",
    "v1.message.precheck",
];

struct Operation {
    method: String,
    template: String,
    id: String,
    /// Names of what stands in the path, and what each looks like.
    params: Vec<(String, String)>,
}

// === impl Operation ===

impl Operation {
    /// All that the server says it has.
    async fn served(shop: &Shop) -> Vec<Self> {
        let document = shop.get("/openapi.json").await;
        let mut served = Vec::new();
        for (template, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                served.push(Self {
                    method: method.to_ascii_uppercase(),
                    template: template.clone(),
                    id: operation["operationId"].as_str().unwrap().to_owned(),
                    params: params(&document, operation),
                });
            }
        }
        assert!(served.len() > 90, "{}", served.len());
        served
    }

    /// The path to what this stock has, and to something plausible where it has nothing.
    fn path(&self, stock: &Stock) -> String {
        let mut path = stock.path(&self.template);
        for (name, plausible) in &self.params {
            path = path.replace(&format!("{{{name}}}"), plausible);
        }
        assert!(!path.contains('{'), "{path}");
        path
    }

    fn is_safe(&self) -> bool {
        self.method == "GET" || self.method == "HEAD"
    }

    async fn asked(&self, shop: &Shop, token: &str, stock: &Stock) -> Answer {
        let body = if self.is_safe() { "" } else { "{}" };
        let path = self.path(stock);
        shop.ask_as(token, &self.method, &path, body).await
    }
}

fn params(document: &Value, operation: &Value) -> Vec<(String, String)> {
    let params = operation["parameters"].as_array();
    let in_path = params.into_iter().flatten().filter(|p| p["in"] == "path");
    in_path
        .map(|param| {
            let mut schema = &param["schema"];
            if let Some(reference) = schema["$ref"].as_str() {
                schema = document.pointer(&reference[1..]).unwrap();
            }
            let pattern = schema["pattern"].as_str().unwrap_or_default();
            let id = pattern.strip_suffix("[A-Za-z0-9]{27}$");
            let plausible = match id {
                Some(prefix) => format!("{}{}", &prefix[1..], "0".repeat(27)),
                None if schema["type"] == "integer" => "1".to_owned(),
                None => "x".to_owned(),
            };
            (param["name"].as_str().unwrap().to_owned(), plausible)
        })
        .collect()
}

/// Nothing of the stock is told, but what was asked for by that very name.
fn tells_nothing(what: &Operation, answer: &Answer, stock: &Stock) {
    let (body, path) = (String::from_utf8_lossy(&answer.bytes), what.path(stock));
    let ids = [
        &stock.app,
        &stock.endpoint,
        &stock.message,
        &stock.attempt,
        &stock.root,
    ];
    for id in ids.into_iter().filter(|id| !path.contains(id.as_str())) {
        assert!(!body.contains(id.as_str()), "{}: {body}", what.id);
    }
}

#[tokio::test]
async fn a_token_of_another_application_gets_nothing() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "t", "description": ""}"#)
        .await;
    let (stock, foreigner) = (Stock::of(&shop).await, shop.app("foreigner").await);
    let token = shop.as_app(&foreigner);
    for what in Operation::served(&shop).await {
        if what.id == "logout_api_v1_auth_logout__post" {
            continue;
        }
        let answer = what.asked(&shop, &token, &stock).await;
        tells_nothing(&what, &answer, &stock);
        let status = answer.status.as_u16();
        if !OPEN.contains(&what.id.as_str()) {
            assert!([403, 404].contains(&status), "{}: {status}", what.id);
        }
    }
}

#[tokio::test]
async fn a_token_of_another_organisation_gets_nothing() {
    let shop = Shop::open().await;
    let stock = Stock::of(&shop).await;
    for what in Operation::served(&shop).await {
        let answer = what.asked(&shop, &shop.as_stranger(), &stock).await;
        tells_nothing(&what, &answer, &stock);
        let status = answer.status.as_u16();
        let named = ["{app_id}", "{env_id}"]
            .iter()
            .any(|name| what.template.contains(name));
        if named {
            // What publishes looks at its body first.
            let refused = [404, 422].contains(&status);
            assert!(refused, "{}: {status}", what.id);
        }
    }
    let path = format!("/app/{}", stock.app);
    shop.ask("GET", &path, "").await.expect(200);
}

#[tokio::test]
async fn scopes_hold_everywhere() {
    let shop = Shop::open().await;
    shop.make("/event-type", r#"{"name": "t", "description": ""}"#)
        .await;
    let stock = Stock::of(&shop).await;
    let mut texts = Vec::new();
    for scope in ["read", "publish"] {
        let token = shop.api_token(&[scope]).await;
        texts.push(token["token"].as_str().unwrap().to_owned());
    }
    let [reader, publisher] = texts.try_into().unwrap();
    let mut may = [0, 0];
    for what in Operation::served(&shop).await {
        let is_open = what.template.starts_with("/api/v1/health")
            || what.template.starts_with("/api/v1/verification/")
            || what.template.starts_with("/api/v1/auth/") && OPEN.contains(&what.id.as_str());
        if is_open {
            continue;
        }
        let by_reader = what.asked(&shop, &reader, &stock).await;
        let may_read = what.is_safe() && !what.template.ends_with("/secret");
        check(&what, by_reader, may_read);
        let by_publisher = what.asked(&shop, &publisher, &stock).await;
        let may_publish = PUBLISHING.contains(&what.id.as_str());
        check(&what, by_publisher, may_publish);
        may[0] += usize::from(may_read);
        may[1] += usize::from(may_publish);
    }
    assert!(may[0] > 20 && may[1] >= 1, "{may:?}");
}

fn check(what: &Operation, answer: Answer, may: bool) {
    if may {
        let status = answer.status.as_u16();
        assert!(![401, 403].contains(&status), "{}: {status}", what.id);
    } else {
        let body = answer.expect(403);
        assert_eq!(body["code"], "insufficient_permissions", "{}", what.id);
    }
}
