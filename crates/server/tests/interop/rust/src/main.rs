//! Says which receiver libraries of Rust accept which deliveries. Must never share code with what made them.
//!
//! Reads `{"deliveries": [{"name", "key", "headers", "body"}]}` from standard input, the body in base64, and writes
//! `{name: {library: "accepted" or "refused: reason"}}` to standard output.

use std::collections::BTreeMap;
use std::error::Error;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};

#[derive(serde::Deserialize)]
struct Request {
    deliveries: Vec<Delivery>,
}

#[derive(serde::Deserialize)]
struct Delivery {
    name: String,
    key: String,
    headers: BTreeMap<String, String>,
    body: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let request: Request = serde_json::from_reader(std::io::stdin())?;
    let mut all = BTreeMap::new();
    for delivery in request.deliveries {
        let body = STANDARD.decode(&delivery.body)?;
        let verdicts = BTreeMap::from([
            ("standardwebhooks", verdict(standard(&delivery, &body))),
            ("svix", verdict(branded(&delivery, &body))),
        ]);
        all.insert(delivery.name, verdicts);
    }
    serde_json::to_writer(std::io::stdout(), &all)?;
    Ok(())
}

fn standard(delivery: &Delivery, body: &[u8]) -> Result<(), Box<dyn Error>> {
    let webhook = standardwebhooks::Webhook::new(&delivery.key)?;
    Ok(webhook.verify(body, &delivery.headers_with("webhook-")?)?)
}

/// The svix-* headers only, so that the copies are what is verified.
fn branded(delivery: &Delivery, body: &[u8]) -> Result<(), Box<dyn Error>> {
    let webhook = svix::webhooks::Webhook::new(&delivery.key)?;
    Ok(webhook.verify(body, &delivery.headers_with("svix-")?)?)
}

fn verdict(verified: Result<(), Box<dyn Error>>) -> String {
    match verified {
        Ok(()) => "accepted".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

// === impl Delivery ===

impl Delivery {
    fn headers_with(&self, prefix: &str) -> Result<HeaderMap, Box<dyn Error>> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            if name.starts_with(prefix) {
                headers.insert(
                    HeaderName::try_from(name.as_str())?,
                    HeaderValue::try_from(value.as_str())?,
                );
            }
        }
        Ok(headers)
    }
}
