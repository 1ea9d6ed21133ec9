//! Holds the payload of a message against the schema of its event type, where that is asked for.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::warn;

use hookseal_catalogue::schema::{Comparison, Mismatch};
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_store::error::StoreError;

use crate::catalogue::{Catalogue, KeptSchema, TypeRules};
use crate::publish::{Audience, Publish};
use crate::routes::AppRoutes;
use crate::shared::Shared;

/// Payloads up to this size, in bytes, are looked at where they are: handing over costs more.
const INLINE_BYTES_MAX: usize = 4 * 1024;

/// Most comparisons that wait for their turn: whoever comes then is turned away.
const WAITING_MAX: usize = 64;

/// Comparisons that take long. They are made by half of the cores at most: the others deliver.
pub(crate) struct Comparing {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// A payload may not be published.
pub(crate) enum Unfit {
    /// It does not match, and has to.
    Mismatch(Mismatch),
    /// What it has to match can't be read.
    Store(StoreError),
}

// === impl Comparing ===

impl Default for Comparing {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let turns = (cores / 2).max(1);
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            places: Arc::new(Semaphore::new(turns + WAITING_MAX)),
        }
    }
}

impl Comparing {
    /// Waits for a turn, which ends when what is given is dropped.
    async fn begin(&self) -> Result<[OwnedSemaphorePermit; 2], StoreError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| StoreError::Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| StoreError::Overloaded)?;
        Ok([place, turn])
    }
}

/// Whether a message may be published as far as its event type's schema is concerned. Where nobody
/// asks for that, nothing is looked at. A step of a broadcast was looked at with the broadcast.
pub(crate) async fn check(
    shared: &Shared,
    routes: &AppRoutes,
    publish: &Publish,
) -> Result<(), Unfit> {
    if matches!(publish.audience, Audience::Example(_)) || publish.step_of.is_some() {
        return Ok(());
    }
    let (name, payload) = (&publish.event_type, &publish.payload);
    check_payload(shared, &routes.catalogue, name, payload).await
}

/// Whether a payload may be published.
pub(crate) async fn check_payload(
    shared: &Shared,
    catalogue: &Catalogue,
    name: &EventTypeName,
    payload: &Bytes,
) -> Result<(), Unfit> {
    let store = &*shared.store;
    let rules = catalogue.rules(store).await.map_err(Unfit::Store)?;
    let Some(rules) = rules.of_type(name) else {
        return Ok(());
    };
    if rules.validation == ValidationMode::Off {
        return Ok(());
    }
    let schema = catalogue.schema(store, name, rules).await;
    shared.catalogues.make_room();
    let Some(schema) = schema.map_err(Unfit::Store)? else {
        return Ok(());
    };
    let compared = compare(shared, schema, payload)
        .await
        .map_err(Unfit::Store)?;
    let Err(mismatch) = compared else {
        return Ok(());
    };
    shared.metrics.did_not_match(rules.validation);
    complain(shared, rules, name, &mismatch);
    match rules.validation {
        ValidationMode::Enforce => Err(Unfit::Mismatch(mismatch)),
        ValidationMode::Warn | ValidationMode::Off => Ok(()),
    }
}

/// What takes longer is done where it delays nobody else, one after the other.
async fn compare(
    shared: &Shared,
    schema: Arc<KeptSchema>,
    payload: &Bytes,
) -> Result<Result<(), Mismatch>, StoreError> {
    if payload.len() <= INLINE_BYTES_MAX {
        let quick = match read(&schema, payload) {
            Ok(comparison) => comparison.is_quick().then(|| comparison.compare()),
            Err(mismatch) => Some(Err(mismatch)),
        };
        if let Some(compared) = quick {
            return Ok(compared);
        }
    }
    let turn = shared.comparing.begin().await?;
    let payload = payload.clone();
    let compare = move || {
        // It takes this long, whether or not anybody waits for it still.
        let _turn = turn;
        read(&schema, &payload)?.compare()
    };
    let compared = tokio::task::spawn_blocking(compare).await;
    compared.map_err(|_| StoreError::Overloaded)
}

fn read<'s>(schema: &'s KeptSchema, payload: &[u8]) -> Result<Comparison<'s>, Mismatch> {
    match schema.get() {
        Ok(schema) => schema.read(payload),
        Err(fault) => Err(Mismatch {
            version: String::new(),
            pointer: String::new(),
            keyword: "(schema)".to_owned(),
            schema_pointer: String::new(),
            message: format!("can't be compared, since the schema is none: {fault}"),
        }),
    }
}

/// Nothing of the payload: where it stands may be named by its sender.
fn complain(shared: &Shared, rules: &TypeRules, name: &EventTypeName, mismatch: &Mismatch) {
    let Some(times) = rules.complains_of(shared.clock.now()) else {
        return;
    };
    let mode = rules.validation.as_str();
    warn!(
        event_type = %name,
        mode,
        times,
        schema.version = mismatch.version,
        schema.pointer = mismatch.schema_pointer,
        "Payloads of event type {name} do not match its schema: {times} since this was said last"
    );
}
