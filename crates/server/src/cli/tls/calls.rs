//! What `hookseal tls` asks the API for.

use std::path::Path;

use anyhow::Context;
use bytes::Bytes;
use clap::ValueEnum;
use http::Method;
use serde_json::Value;

use crate::api_client::Client;
use crate::cli::tls::files::read;

/// Where transport security is configured.
pub(super) const TRANSPORT: &str = "/api/v1/transport";

/// Everything that is known of an endpoint's transport security.
pub(super) async fn explain(client: &Client, endpoint: &str) -> anyhow::Result<Value> {
    let path = format!("{TRANSPORT}/explain?endpoint={}", segment(endpoint));
    Ok(client.read(&path).await?)
}

/// Makes a handshake and says what it showed, and whether it was good.
pub(super) async fn probe(client: &Client, endpoint: &str) -> anyhow::Result<(String, bool)> {
    let path = format!("{}/transport/probe", endpoint_path(client, endpoint).await?);
    let report: Value = client.create(&path, Bytes::from_static(b"{}")).await?;
    let is_good = report.get("result").and_then(Value::as_str) == Some("ok");
    Ok((pretty(&report), is_good))
}

/// Shows what an endpoint says of transport security, or changes its own layer.
pub(super) async fn endpoint(
    client: &Client,
    endpoint: &str,
    change: Option<&Path>,
) -> anyhow::Result<String> {
    let path = format!("{}/transport", endpoint_path(client, endpoint).await?);
    match change {
        None => call(client, Method::GET, &path, &Value::Null).await,
        Some(file) => {
            let body = serde_json::from_slice(&read(file)?)?;
            call(client, Method::PATCH, &path, &body).await
        }
    }
}

/// JSON for people.
pub(super) fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string())
}

/// Makes a call and gives the answer for people: JSON, or `done` where there is none.
pub(super) async fn call(
    client: &Client,
    method: Method,
    path: &str,
    body: &Value,
) -> anyhow::Result<String> {
    let body = match body {
        Value::Null => Bytes::new(),
        body => Bytes::from(body.to_string()),
    };
    let answer = client.answer(method, path, body).await?;
    if answer.is_empty() {
        return Ok("done".to_owned());
    }
    let answer = serde_json::from_slice(&answer);
    Ok(pretty(&answer.context(
        "what answers there is not the API of Hookseal",
    )?))
}

/// The path of an endpoint of which only the id is known.
pub(super) async fn endpoint_path(client: &Client, endpoint: &str) -> anyhow::Result<String> {
    let explained = explain(client, endpoint).await?;
    let app = explained.get("appId").and_then(Value::as_str);
    let app = app.ok_or_else(|| anyhow::anyhow!("the API does not say whose endpoint it is"))?;
    Ok(format!("/api/v1/app/{app}/endpoint/{}", segment(endpoint)))
}

/// How a value is written on the command line, and in the API.
pub(super) fn value_name(value: impl ValueEnum) -> Option<String> {
    value
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
}

/// A path that asks for a rule to be broken.
pub(super) fn forced(path: String, force: bool) -> String {
    if force { path + "?force=true" } else { path }
}

/// One segment of a path, or a value of a query: what has a meaning there is escaped.
pub(super) fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_segment() {
        assert_eq!(segment("a-b_c.d"), "a-b_c.d");
        assert_eq!(segment("../x y?z"), "..%2Fx%20y%3Fz");
    }
}
