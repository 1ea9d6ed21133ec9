//! The receiver that had gone comes back: its endpoint is enabled, so that what was held flows, and
//! what it had refused is recovered by a durable task of the API.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use hookseal_domain::time::Timestamp;

use crate::api_client::ClientError;
use crate::demo::cast::Member;
use crate::demo::events::Event;
use crate::demo::receivers::Role;
use crate::demo::screen::Screen;
use crate::demo::stage::Stage;
use crate::demo::table::Standing;
use crate::demo::tour::{self, Published};
use crate::demo::verdict::{Problem, arrival_problems};
use crate::demo::wire::TaskOut;
use crate::demo::{DemoError, LOOK_INTERVAL};

/// How long all of it may take: it needs no retry.
const COMEBACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Brings the receiver back and answers what it then lacks. `began` is when publishing did.
pub async fn play(
    stage: &Stage,
    gone: &Member,
    events: &[Event],
    published: &Published,
    began: Timestamp,
    screen: &mut Screen,
) -> Result<Vec<Problem>, DemoError> {
    let role = gone.role;
    let before = tour::look(&stage.client, role, published).await?;
    gone.ledger.come_back();
    tour::enable(&stage.client, role).await?;
    let task = tour::recover(&stage.client, role, began).await?;
    // Whatever is late then is a problem of its own.
    let task = match timeout(COMEBACK_TIMEOUT, settle(stage, role, published, &task.id)).await {
        Ok(task) => Some(task?),
        Err(_) => None,
    };
    let after = tour::look(&stage.client, role, published).await?;
    screen.show(&format!(
        "\nThe receiver \"gone\" comes back: its endpoint is enabled, and what failed is recovered.\n  \
         {} held, {} failed before; the task {}; now {} of {} delivered.",
        before.count(Standing::Held),
        before.count(Standing::Gone),
        told(task.as_ref()),
        after.count(Standing::Delivered),
        after.deliveries.len(),
    ))?;
    Ok(arrival_problems(
        events,
        published,
        role,
        &after,
        &gone.ledger,
    ))
}

/// Waits for the end of the task and of every delivery.
async fn settle(
    stage: &Stage,
    role: Role,
    published: &Published,
    task: &str,
) -> Result<TaskOut, ClientError> {
    loop {
        let task = tour::task(&stage.client, task).await?;
        let view = tour::look(&stage.client, role, published).await?;
        let open = [Standing::Held, Standing::Waiting].map(|standing| view.count(standing));
        if task.status != "running" && open == [0, 0] {
            return Ok(task);
        }
        sleep(LOOK_INTERVAL).await;
    }
}

fn told(task: Option<&TaskOut>) -> String {
    match task {
        Some(task) => format!("{} and made {} again", task.status, task.data.done),
        None => "is not at its end".to_owned(),
    }
}
