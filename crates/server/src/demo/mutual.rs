//! `hookseal demo --mtls`: a private authority, receivers that demand our client certificate, one
//! that is refused by its pin, and both sides' keys replaced while events flow. Judges everything
//! by what the receivers saw and what the API says.

mod flow;
mod receivers;
mod setting;

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::api_client::ClientError;
use crate::demo::mutual::flow::Flow;
use crate::demo::mutual::receivers::{Party, Receivers};
use crate::demo::mutual::setting::{APP, IDENTITY};
use crate::demo::screen::Screen;
use crate::demo::stage::{Stage, StageError};
use crate::demo::wire::{AttemptOut, Page};
use crate::receiver::authority::{AuthorityError, Clients};
use crate::receiver::verify::KeyError;

/// How long each step may take: handshakes are noted within a second or two.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the API is asked.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum MutualError {
    /// The API did not do its part.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A receiver did not start.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// A certificate could not be made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The API gave a key that no receiver can verify with.
    #[error("the key of an endpoint")]
    Key(#[from] KeyError),
    /// Something did not come about.
    #[error("{0} did not happen within {STEP_TIMEOUT:?}")]
    Late(&'static str),
    /// Nobody is watching any more.
    #[error("nothing can be shown")]
    Screen(#[from] std::io::Error),
}

/// What came of it.
pub struct Played {
    /// What did not go as it should.
    pub problems: Vec<String>,
    /// They go on as long as this is kept.
    _receivers: Receivers,
}

/// Plays it.
pub async fn play(stage: &Stage, screen: &mut Screen) -> Result<Played, MutualError> {
    screen.show(INTRODUCTION)?;
    let identity = setting::set_up(stage).await?;
    screen.show(&format!(
        "Our identity \"{IDENTITY}\": key and request made by the server, certificate {identity} \
         signed by the private CA."
    ))?;
    let receivers = Receivers::start(stage).await?;
    let mut problems = meet(stage, &receivers, screen).await?;

    screen.show("\nNow events flow to \"bank\", and everything is replaced under way.")?;
    let flow = Flow::begin(stage);
    let rotated = rotate(stage, &receivers, identity, screen).await;
    let published = flow.end().await?;
    rotated?;
    problems.extend(judge(stage, &receivers, &published, screen).await?);
    screen.show(&summary(&problems))?;
    Ok(Played {
        problems,
        _receivers: receivers,
    })
}

const INTRODUCTION: &str = "\
Hookseal demo: mutual TLS with a private CA.

The organisation's default policy: TLS 1.3, private roots only, our client certificate.
Three receivers, each of which demands that certificate:
  bank       its key is pinned, with a backup
  impostor   has a valid certificate of the CA, but another key than the pinned one
  anonymous  its endpoint has no client identity
";

/// One event to each receiver: only the bank may get it.
async fn meet(
    stage: &Stage,
    receivers: &Receivers,
    screen: &mut Screen,
) -> Result<Vec<String>, MutualError> {
    let event = json!({ "eventType": "audit.check", "payload": { "hello": "receiver" } });
    let path = format!("/api/v1/app/{APP}/msg");
    stage.client.change(Method::POST, &path, &event).await?;
    let mut problems = Vec::new();
    screen.show("\nOne event to each:")?;
    for party in Party::ALL {
        let attempt = first_attempt(stage, party).await?;
        let failure = attempt.tls_failure.as_ref().map(|f| f.code.as_str());
        let arrived = receivers.ledger(party).counts().received;
        screen.show(&format!(
            "  {:<10} {:<12} {:<21} HTTP requests seen by it: {arrived}",
            party.as_str(),
            attempt.outcome,
            failure.unwrap_or("-"),
        ))?;
        if let Some(failure) = &attempt.tls_failure {
            screen.show(&format!("             {}", failure.advice))?;
        }
        let expected_requests = u64::from(party == Party::Bank);
        if failure != party.expected_failure() || arrived != expected_requests {
            problems.push(format!(
                "{} behaved otherwise than expected",
                party.as_str()
            ));
        }
    }
    Ok(problems)
}

async fn first_attempt(stage: &Stage, party: Party) -> Result<AttemptOut, MutualError> {
    let path = format!("/api/v1/app/{APP}/attempt/endpoint/{}", party.as_str());
    until("the first attempt", async || {
        let page: Page<AttemptOut> = stage.client.read(&path).await?;
        Ok(page.data.into_iter().next())
    })
    .await
}

async fn rotate(
    stage: &Stage,
    receivers: &Receivers,
    identity: u32,
    screen: &mut Screen,
) -> Result<(), MutualError> {
    replace_our_identity(stage, identity, screen).await?;
    replace_their_key(stage, receivers, screen).await
}

/// Request, sign, install, distribute; wait until the bank accepted it; retire the old one.
async fn replace_our_identity(
    stage: &Stage,
    old: u32,
    screen: &mut Screen,
) -> Result<(), MutualError> {
    let new = setting::request_certificate(stage).await?;
    let identity = setting::identity_path();
    let step = async |what: &str, number: u32| {
        let path = format!("{identity}/certificates/{number}/{what}");
        stage.client.change(Method::POST, &path, &json!({})).await
    };
    screen.show(&format!("  our identity  certificate {new} issued"))?;
    let early = step("retire", old).await;
    let refusal = match early {
        Err(ClientError::Refused { .. }) => "refused: the new one was not seen yet",
        _ => "NOT refused",
    };
    screen.show(&format!("                retiring {old} now is {refusal}"))?;
    step("distribute", new).await?;
    screen.show(&format!(
        "                certificate {new} distributed: presented from now on"
    ))?;
    until("the bank's acceptance of our new certificate", async || {
        let rotation: RotationOut = stage.client.read(&format!("{identity}/rotation")).await?;
        let seen = |one: &CertificateOut| one.number == new && one.stage == "seen";
        let free = |one: &CertificateOut| one.number != old || one.endpoints == 0;
        let done = rotation.certificates.iter().any(seen) && rotation.certificates.iter().all(free);
        Ok(done.then_some(()))
    })
    .await?;
    screen.show(&format!(
        "                certificate {new} seen: the bank accepted it"
    ))?;
    step("retire", old).await?;
    screen.show(&format!("                certificate {old} retired"))?;
    Ok(())
}

/// Stage the new pin, let the bank change its key, wait until it was seen, drop the old pin.
async fn replace_their_key(
    stage: &Stage,
    receivers: &Receivers,
    screen: &mut Screen,
) -> Result<(), MutualError> {
    let new = stage.authority.server(receivers::names())?;
    let pins = format!("{}/pins", setting::endpoint_path(Party::Bank));
    let pin = json!({ "certificate": new.pem(), "note": "the bank's next key" });
    stage.client.change(Method::POST, &pins, &pin).await?;
    screen.show("  bank's key    its next key's pin is staged")?;
    let old = pin_in_state(stage, &pins, |pin| pin.live).await?;
    receivers.change_key(new.config(Clients::Of(&stage.authority))?);
    screen.show("                the bank changes its key")?;
    let seen = until("the sight of the bank's new key", async || {
        let page: PinsOut = stage.client.read(&pins).await?;
        let seen = |pin: &PinOut| pin.state == "seen" && pin.note == "the bank's next key";
        Ok(page.data.into_iter().find(seen))
    })
    .await?;
    screen.show("                the new key was seen: its pin becomes active")?;
    let path = format!("{pins}/{}", seen.sha256);
    let active = json!({ "state": "active" });
    stage.client.change(Method::PATCH, &path, &active).await?;
    let path = format!("{pins}/{old}");
    stage
        .client
        .change(Method::DELETE, &path, &Value::Null)
        .await?;
    screen.show("                the old key's pin is removed")?;
    Ok(())
}

async fn pin_in_state(
    stage: &Stage,
    pins: &str,
    wanted: impl Fn(&PinOut) -> bool,
) -> Result<String, MutualError> {
    until("the sight of the bank's key", async || {
        let page: PinsOut = stage.client.read(pins).await?;
        Ok(page.data.into_iter().find(&wanted).map(|pin| pin.sha256))
    })
    .await
}

/// Compares what was published with what the bank got and what the API says of failures.
async fn judge(
    stage: &Stage,
    receivers: &Receivers,
    published: &[String],
    screen: &mut Screen,
) -> Result<Vec<String>, MutualError> {
    let ledger = receivers.ledger(Party::Bank);
    // The first event, and those of the flow.
    let expected = u64::try_from(published.len()).unwrap_or(u64::MAX) + 1;
    let arrived = until("the arrival of every event", async || {
        Ok((ledger.counts().accepted >= expected).then_some(()))
    })
    .await;
    let counts = ledger.counts();
    let path = format!("/api/v1/app/{APP}/attempt/endpoint/bank?status=2&limit=1");
    let failed: Page<Anything> = stage.client.read(&path).await?;
    screen.show(&format!(
        "\nPublished to the bank {expected}, accepted by it {}, verified {}, twice {}, failed \
         attempts {}.",
        counts.accepted,
        counts.verified,
        counts.duplicates,
        failed.data.len(),
    ))?;
    let mut problems = Vec::new();
    if arrived.is_err() || counts.verified != counts.received {
        problems.push("not every event arrived and was verified".to_owned());
    }
    if !failed.data.is_empty() {
        problems.push("an attempt failed during the rotations".to_owned());
    }
    if receivers.ledger(Party::Impostor).counts().received > 0 {
        problems.push("the impostor got a request".to_owned());
    }
    Ok(problems)
}

/// Looks until there is something.
async fn until<T>(
    what: &'static str,
    mut look: impl AsyncFnMut() -> Result<Option<T>, MutualError>,
) -> Result<T, MutualError> {
    let deadline = Instant::now() + STEP_TIMEOUT;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            return Err(MutualError::Late(what));
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn summary(problems: &[String]) -> String {
    if problems.is_empty() {
        return "\nBoth rotations went through without a failed delivery; the impostor and the \
                anonymous endpoint got nothing.\n"
            .to_owned();
    }
    format!(
        "\nNot everything went as it should:\n  {}\n",
        problems.join("\n  ")
    )
}

#[derive(Deserialize)]
struct Anything {}

#[derive(Deserialize)]
struct RotationOut {
    certificates: Vec<CertificateOut>,
}

#[derive(Deserialize)]
struct CertificateOut {
    number: u32,
    stage: String,
    endpoints: u64,
}

#[derive(Deserialize)]
struct PinsOut {
    data: Vec<PinOut>,
}

#[derive(Deserialize)]
struct PinOut {
    sha256: String,
    state: String,
    note: String,
    live: bool,
}
