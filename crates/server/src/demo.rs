//! `hookseal demo`: a whole server on a temporary store, three receivers, and a client of the API
//! that publishes, follows every delivery to its end and judges what arrived. Touches nothing that
//! was there before.

pub mod cast;
pub mod comeback;
pub mod events;
pub mod mutual;
pub mod receivers;
pub mod screen;
pub mod stage;
pub mod table;
pub mod tour;
pub mod verdict;
pub mod wire;

use std::io;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use hookseal_domain::time::Timestamp;

use crate::api_client::ClientError;
use crate::demo::cast::Cast;
use crate::demo::events::Event;
use crate::demo::receivers::{Ledger, Role};
use crate::demo::screen::Screen;
use crate::demo::stage::Stage;
use crate::demo::table::{EndpointView, Standing, table};
use crate::demo::tour::{APP, Published};
use crate::demo::verdict::{Problem, problems};
use crate::receiver::verify::{KeyError, Verifier};

/// How long the deliveries may take to reach their end: several times the steps of the schedule
/// that the flaky receiver needs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the API is asked.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The API did not do its part.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The API gave a key that no receiver can verify with.
    #[error("the key of endpoint {name:?}")]
    Key {
        /// Which endpoint.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// Nobody is watching any more.
    #[error("nothing can be shown")]
    Screen(#[from] io::Error),
}

/// Plays the demo and answers what did not go as it should.
pub async fn play(
    stage: &Stage,
    cast: &Cast,
    events: &[Event],
    screen: &mut Screen,
) -> Result<Vec<Problem>, DemoError> {
    set_up(stage, cast, events).await?;
    screen.show(&introduction(stage, cast, events))?;

    let began = stage.now();
    let published = tour::publish(&stage.client, events).await?;
    let took = stage.now().since(began);
    screen.show(&format!(
        "Published {} through the API, each durable before its answer, in {} ms.",
        number_of(events),
        took.as_millis()
    ))?;
    // Whoever takes longer stands in the table as waiting.
    if let Ok(followed) = timeout(
        SETTLE_TIMEOUT,
        follow(stage, cast, &published, began, screen),
    )
    .await
    {
        followed?;
    }

    let mut seen = Vec::new();
    for member in cast.members() {
        let view = tour::look(&stage.client, member.role, &published).await?;
        seen.push((member.role, view, &*member.ledger));
    }
    let mut problems = problems(events, &published, &seen);
    let ledgers: Vec<_> = seen
        .iter()
        .map(|(role, _, ledger)| (*role, *ledger))
        .collect();
    let views: Vec<_> = seen.into_iter().map(|(_, view, _)| view).collect();
    screen.show(&format!(
        "\nEvery delivery, by the API\n{}",
        table(&views, began)
    ))?;
    if let Some(gone) = cast.member(Role::Gone) {
        let back = comeback::play(stage, gone, events, &published, began, screen);
        problems.extend(back.await?);
    }
    screen.show(&counts(&ledgers))?;
    screen.show(&summary(events, &problems))?;
    Ok(problems)
}

async fn set_up(stage: &Stage, cast: &Cast, events: &[Event]) -> Result<(), DemoError> {
    tour::make_application(&stage.client, events).await?;
    for member in cast.members() {
        let url = member.receiver.url();
        let signing_key = member.signing_key.as_ref();
        let key = tour::make_endpoint(&stage.client, member.role, &url, signing_key).await?;
        let verifier = Verifier::parse(key.expose()).map_err(|source| DemoError::Key {
            name: member.role.as_str(),
            source,
        })?;
        member.ledger.verify_with(verifier);
    }
    Ok(())
}

/// Looks until every delivery has come as far as it can.
async fn follow(
    stage: &Stage,
    cast: &Cast,
    published: &Published,
    began: Timestamp,
    screen: &mut Screen,
) -> Result<(), DemoError> {
    let mut shown = String::new();
    loop {
        let mut views = Vec::new();
        for member in cast.members() {
            views.push(tour::look(&stage.client, member.role, published).await?);
        }
        let state: Vec<_> = views.iter().map(state_of).collect();
        let state = state.join("   ");
        if state != shown {
            let seconds = stage.now().since(began).as_secs_f64();
            screen.progress(&format!("{seconds:>6.1} s   {state}"))?;
            shown = state;
        }
        if views.iter().all(|view| view.count(Standing::Waiting) == 0) {
            return Ok(());
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn state_of(view: &EndpointView) -> String {
    let counts = Standing::ALL.map(|standing| (view.count(standing), standing));
    let counts: Vec<_> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, standing)| format!("{count} {}", standing.as_str()))
        .collect();
    format!("{}: {}", view.name, counts.join(", "))
}

fn introduction(stage: &Stage, cast: &Cast, events: &[Event]) -> String {
    let api = stage.api_url();
    let mut text = format!(
        "Hookseal demo: {} to three receivers, signed, over TLS 1.3.\n\n  \
         API      {api}/api/v1   docs {api}/docs\n",
        number_of(events)
    );
    for member in cast.members() {
        let role = member.role;
        text.push_str(&format!(
            "  {:<8} {}   {}\n",
            role.as_str(),
            member.receiver.url(),
            role.description()
        ));
    }
    text.push('\n');
    text
}

fn counts(ledgers: &[(Role, &Ledger)]) -> String {
    let mut text = "\nThe same, by the receivers\n".to_owned();
    for (role, ledger) in ledgers {
        let counts = ledger.counts();
        text.push_str(&format!(
            "  {:<8} received {:<5} verified ({}) {:<5} accepted {:<5} duplicates {}\n",
            role.as_str(),
            counts.received,
            role.signature(),
            counts.verified,
            counts.accepted,
            counts.duplicates
        ));
    }
    text
}

fn summary(events: &[Event], problems: &[Problem]) -> String {
    if problems.is_empty() {
        return format!(
            "\nEverything arrived: {}, byte for byte, every signature verified.\n\
             \"gone\" was disabled, came back, and lacks nothing.\n",
            number_of(events)
        );
    }
    let mut text = "\nNot everything went as it should:\n".to_owned();
    for problem in problems {
        text.push_str(&format!("  {problem}\n"));
    }
    text
}

fn number_of(events: &[Event]) -> String {
    match events.len() {
        1 => "1 event".to_owned(),
        number => format!("{number} events"),
    }
}

/// What to look at while the demo with mutual TLS runs on.
pub fn mutual_invitation(stage: &Stage) -> String {
    let url = stage.api_url();
    format!(
        "\nThe API goes on at {url}/api/v1, its docs at {url}/docs. Why the impostor is refused:\n\n\
         TOKEN={}\n\
         curl -sS {url}/api/v1/app/{APP}/endpoint/impostor/transport/explain \\\n  \
         -H \"Authorization: Bearer $TOKEN\"\n\n\
         Runs until Ctrl-C; then everything is removed.\n",
        stage.token().expose()
    )
}

/// What to try while the demo runs on.
pub fn invitation(stage: &Stage) -> String {
    let url = stage.api_url();
    format!(
        "\nThe API goes on at {url}/api/v1, its docs at {url}/docs.\n\nPublish something yourself:\n\n\
         TOKEN={}\n\
         curl -sS {url}/api/v1/app/{APP}/msg -H \"Authorization: Bearer $TOKEN\" \\\n  \
         -H 'Content-Type: application/json' \\\n  \
         -d '{{\"eventType\": \"invoice.paid\", \"payload\": {{\"hello\": \"world\"}}}}'\n\n\
         and see what became of it:\n\n\
         curl -sS '{url}/api/v1/app/{APP}/attempt/endpoint/healthy?limit=1' \\\n  \
         -H \"Authorization: Bearer $TOKEN\"\n\n\
         Runs until Ctrl-C; then everything is removed.\n",
        stage.token().expose()
    )
}
