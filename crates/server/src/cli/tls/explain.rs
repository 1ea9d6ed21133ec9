//! An endpoint's transport security as text: the policy in force, what the last handshake showed,
//! and why it passed or failed.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    endpoint_id: String,
    url: String,
    verdict: String,
    failure: Option<Failure>,
    reason: String,
    todo: Vec<String>,
    policy: Option<String>,
    effective: BTreeMap<String, Setting>,
    pins: Vec<Pin>,
    breaker: Breaker,
    last: Option<Handshake>,
    last_good: Option<Handshake>,
}

#[derive(Deserialize)]
struct Failure {
    code: String,
    fault: String,
    retry: String,
}

#[derive(Deserialize)]
struct Setting {
    value: Value,
    from: String,
}

#[derive(Deserialize)]
struct Pin {
    pin: String,
    state: String,
    note: String,
    live: bool,
}

#[derive(Deserialize)]
struct Breaker {
    state: String,
    until: Option<String>,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handshake {
    at: String,
    duration_ms: u32,
    result: String,
    remote_ip: Option<String>,
    proxy: Option<String>,
    tls: Option<Tls>,
    observed: Vec<Certificate>,
    verified: Vec<Certificate>,
    client: Client,
    revocation: Revocation,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tls {
    version: String,
    cipher_suite: String,
    key_exchange_group: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Certificate {
    subject: String,
    pin: String,
    not_after: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    requested: bool,
    ca_hints: Vec<String>,
    decision: String,
    presented: Option<Presented>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Presented {
    identity: String,
    number: u32,
    not_after: String,
}

#[derive(Deserialize)]
struct Revocation {
    status: String,
    detail: Option<String>,
}

/// The API's explanation, for people.
pub(super) fn text(answer: &Value) -> anyhow::Result<String> {
    let explained = Explanation::deserialize(answer)?;
    let mut text = String::new();
    explained.write(&mut text)?;
    Ok(text)
}

// === impl Explanation ===

impl Explanation {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "{}  {}", self.endpoint_id, self.url)?;
        writeln!(out, "\n{}: {}", self.verdict.to_uppercase(), self.reason)?;
        if let Some(failure) = &self.failure {
            let Failure { code, fault, retry } = failure;
            writeln!(out, "  code {code}, fault {fault}, tried again {retry}")?;
        }
        for what in &self.todo {
            writeln!(out, "  -> {what}")?;
        }
        self.breaker.write(out)?;
        writeln!(out, "\nPolicy in force")?;
        if let Some(policy) = &self.policy {
            writeln!(out, "  the endpoint names the policy {policy}")?;
        }
        for (field, setting) in &self.effective {
            let value = plain(&setting.value);
            writeln!(out, "  {field:<18} {value:<48} {}", setting.from)?;
        }
        if !self.pins.is_empty() {
            writeln!(out, "\nPins")?;
        }
        for pin in &self.pins {
            let live = if pin.live { "matches" } else { "" };
            writeln!(out, "  {} {:<8} {live:<7} {}", pin.pin, pin.state, pin.note)?;
        }
        if let Some(last) = &self.last {
            last.write("Last handshake", out)?;
        }
        match (&self.last, &self.last_good) {
            (Some(last), Some(good)) if last.at != good.at => {
                good.write("Last good handshake", out)
            }
            _ => Ok(()),
        }
    }
}

// === impl Breaker ===

impl Breaker {
    fn write(&self, out: &mut String) -> std::fmt::Result {
        write!(out, "  {}", self.state)?;
        if let Some(until) = &self.until {
            write!(out, " until {until}")?;
        }
        if let Some(reason) = &self.reason {
            write!(out, " ({reason})")?;
        }
        writeln!(out)
    }
}

// === impl Handshake ===

impl Handshake {
    fn write(&self, title: &str, out: &mut String) -> std::fmt::Result {
        let (at, ms, result) = (&self.at, self.duration_ms, &self.result);
        writeln!(out, "\n{title}, {at}: {result} in {ms} ms")?;
        if let Some(ip) = &self.remote_ip {
            writeln!(out, "  to         {ip}")?;
        }
        if let Some(proxy) = &self.proxy {
            writeln!(out, "  through    the proxy {proxy}")?;
        }
        if let Some(tls) = &self.tls {
            let (suite, group) = (&tls.cipher_suite, &tls.key_exchange_group);
            writeln!(out, "  session    {}, {suite}, {group}", tls.version)?;
        }
        let chains = [("sent", &self.observed), ("verified", &self.verified)];
        for (what, chain) in chains {
            for certificate in chain {
                let until = certificate.not_after.as_deref().unwrap_or("-");
                writeln!(out, "  {what:<10} {}, until {until}", certificate.subject)?;
                writeln!(out, "             {}", certificate.pin)?;
            }
        }
        let client = &self.client;
        let asked = if client.requested {
            "asked"
        } else {
            "did not ask"
        };
        writeln!(
            out,
            "  client     it {asked} for a certificate: {}",
            client.decision
        )?;
        if let Some(ours) = &client.presented {
            let (identity, number, until) = (&ours.identity, ours.number, &ours.not_after);
            writeln!(
                out,
                "             presented {identity}, number {number}, until {until}"
            )?;
        }
        for hint in &client.ca_hints {
            writeln!(out, "             it names the CA {hint}")?;
        }
        let detail = self.revocation.detail.as_deref().unwrap_or_default();
        writeln!(out, "  revocation {} {detail}", self.revocation.status)
    }
}

/// A value without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "-".to_owned(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
