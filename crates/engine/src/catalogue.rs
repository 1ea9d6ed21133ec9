//! What organisations say of their event types, kept in memory: how payloads are checked, and when
//! deliveries are tried again.
//!
//! **Invariant:** what was loaded before a change is never kept after it: each organisation has one
//! place here as long as anybody holds it, and a change empties that.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use hookseal_catalogue::schema::Schema;
use hookseal_catalogue::schema_set::SchemaSet;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::event_type::EventTypeName;
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::id::OrgId;
use hookseal_domain::time::Timestamp;
use hookseal_store::Store;
use hookseal_store::catalogue::EventTypeRules;
use hookseal_store::error::StoreError;

/// Most organisations that are kept in mind though nobody holds them; beyond it those are forgotten.
const ORGANISATIONS_MAX: usize = 5_000;
/// Most bytes of compiled schemas; beyond it all are forgotten and made again as they are needed.
const SCHEMA_BYTES_MAX: usize = 128 << 20;
/// How often at most one event type is complained of in the log.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(60);

/// The catalogues that are kept in mind.
#[derive(Default)]
pub(crate) struct Catalogues {
    known: Mutex<HashMap<OrgId, Arc<Catalogue>>>,
    schema_bytes: Arc<AtomicUsize>,
}

/// One organisation's place.
pub(crate) struct Catalogue {
    org: OrgId,
    schema_bytes: Arc<AtomicUsize>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows with each change: what was being loaded meanwhile is not kept.
    generation: u64,
    rules: Option<Arc<Rules>>,
}

/// What an organisation says, of those event types that it says something of.
pub(crate) struct Rules(HashMap<EventTypeName, TypeRules>);

/// What it says of one event type.
pub(crate) struct TypeRules {
    /// What becomes of payloads that do not match.
    pub(crate) validation: ValidationMode,
    /// When deliveries are tried again, if not by the server's schedule.
    pub(crate) retry_schedule: Option<RetrySchedule>,
    schema: OnceCell<Option<Arc<KeptSchema>>>,
    complaint: Mutex<Complaint>,
}

/// A compiled schema; it is counted as long as it lives.
pub(crate) struct KeptSchema {
    schema: Result<Schema, String>,
    bytes: usize,
    counter: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Complaint {
    last: Option<Timestamp>,
    unsaid: u64,
}

// === impl Catalogues ===

impl Catalogues {
    /// An organisation's place.
    pub(crate) fn of(&self, org: OrgId) -> Arc<Catalogue> {
        let mut known = self.known.lock();
        if known.len() >= ORGANISATIONS_MAX && !known.contains_key(&org) {
            // Not those that somebody holds, who would not hear of changes any more.
            known.retain(|_, catalogue| Arc::strong_count(catalogue) > 1);
        }
        let place = known.entry(org).or_insert_with(|| {
            Arc::new(Catalogue {
                org,
                schema_bytes: Arc::clone(&self.schema_bytes),
                state: Mutex::default(),
            })
        });
        Arc::clone(place)
    }

    /// Forgets what was known of an organisation, and what is being loaded.
    pub(crate) fn forget(&self, org: OrgId) {
        if let Some(catalogue) = self.known.lock().get(&org) {
            catalogue.forget();
        }
    }

    /// Makes room where compiled schemas take too much.
    pub(crate) fn make_room(&self) {
        if self.schema_bytes.load(Ordering::Relaxed) <= SCHEMA_BYTES_MAX {
            return;
        }
        for catalogue in self.known.lock().values() {
            catalogue.forget();
        }
    }
}

// === impl Catalogue ===

impl Catalogue {
    /// What the organisation says.
    pub(crate) async fn rules(&self, store: &dyn Store) -> Result<Arc<Rules>, StoreError> {
        let generation = {
            let state = self.state.lock();
            if let Some(rules) = &state.rules {
                return Ok(Arc::clone(rules));
            }
            state.generation
        };
        let rules = Arc::new(Rules::of(store.event_type_rules(self.org).await?));
        let mut state = self.state.lock();
        if state.generation == generation {
            state.rules = Some(Arc::clone(&rules));
        }
        Ok(rules)
    }

    /// The newest schema of one of its event types, compiled; `None` if it has none.
    pub(crate) async fn schema(
        &self,
        store: &dyn Store,
        name: &EventTypeName,
        rules: &TypeRules,
    ) -> Result<Option<Arc<KeptSchema>>, StoreError> {
        // The rules were loaded before the schema is: a change in between makes new rules, which
        // whoever comes after that finds.
        let load = async || {
            let found = store.event_type(self.org, name).await?;
            let Some(text) = found.and_then(|found| found.spec.schemas) else {
                return Ok(None);
            };
            let counter = Arc::clone(&self.schema_bytes);
            let compile = move || KeptSchema::of(&text, counter);
            // A panic there would be a fault of the validator: as good as no answer.
            let compiled = tokio::task::spawn_blocking(compile).await;
            Ok(compiled.map_err(|_| StoreError::Overloaded)?.map(Arc::new))
        };
        rules.schema.get_or_try_init(load).await.cloned()
    }

    fn forget(&self) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.rules = None;
    }
}

// === impl Rules ===

impl Rules {
    fn of(rules: Vec<EventTypeRules>) -> Self {
        let rules = rules.into_iter().map(|rules| {
            let of_type = TypeRules {
                validation: rules.validation,
                retry_schedule: rules.retry_schedule,
                schema: OnceCell::new(),
                complaint: Mutex::default(),
            };
            (rules.name, of_type)
        });
        Self(rules.collect())
    }

    /// Of an event type, if anything.
    pub(crate) fn of_type(&self, name: &EventTypeName) -> Option<&TypeRules> {
        self.0.get(name)
    }
}

// === impl TypeRules ===

impl TypeRules {
    /// Whether it is time to complain of a mismatch in the log; of how many then.
    pub(crate) fn complains_of(&self, now: Timestamp) -> Option<u64> {
        let mut complaint = self.complaint.lock();
        complaint.unsaid += 1;
        let soon = |last: Timestamp| now.since(last) < COMPLAINT_INTERVAL;
        if complaint.last.is_some_and(soon) {
            return None;
        }
        complaint.last = Some(now);
        Some(std::mem::take(&mut complaint.unsaid))
    }
}

// === impl KeptSchema ===

impl KeptSchema {
    fn of(text: &str, counter: Arc<AtomicUsize>) -> Option<Self> {
        let set = SchemaSet::parse(text);
        let schema = match &set {
            Ok(set) => {
                let (version, schema) = set.newest()?;
                Schema::compile(version, schema).map_err(|fault| fault.to_string())
            }
            Err(fault) => Err(fault.to_string()),
        };
        let bytes = schema.as_ref().map_or(0, Schema::bytes);
        counter.fetch_add(bytes, Ordering::Relaxed);
        Some(Self {
            schema,
            bytes,
            counter,
        })
    }

    /// The schema, or why it is none: it was saved before schemas were looked at.
    pub(crate) fn get(&self) -> Result<&Schema, &str> {
        self.schema.as_ref().map_err(String::as_str)
    }
}

impl Drop for KeptSchema {
    fn drop(&mut self) {
        self.counter.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORG: &str = "org_23rb8YdGqMT0qIzpgGwdXfHirMu";

    #[test]
    fn who_holds_a_place_hears_of_changes() {
        let catalogues = Catalogues::default();
        let org = OrgId::parse(ORG).unwrap();
        let held = catalogues.of(org);
        held.state.lock().rules = Some(Arc::new(Rules::of(Vec::new())));
        for at in 0..ORGANISATIONS_MAX + 10 {
            let mut bytes = [0; 20];
            bytes[..8].copy_from_slice(&at.to_be_bytes());
            catalogues.of(OrgId::from_stored(bytes));
        }
        assert!(catalogues.known.lock().len() <= ORGANISATIONS_MAX);
        catalogues.forget(org);
        assert!(held.state.lock().rules.is_none());
        assert!(Arc::ptr_eq(&held, &catalogues.of(org)));
    }

    #[test]
    fn complaints_are_few_and_count() {
        let rules = TypeRules {
            validation: ValidationMode::Warn,
            retry_schedule: None,
            schema: OnceCell::new(),
            complaint: Mutex::default(),
        };
        let at = |secs: i64| Timestamp::from_millis(secs * 1000);
        assert_eq!(rules.complains_of(at(0)), Some(1));
        assert_eq!(rules.complains_of(at(1)), None);
        assert_eq!(rules.complains_of(at(59)), None);
        assert_eq!(rules.complains_of(at(60)), Some(3));
    }

    #[test]
    fn compiled_schemas_are_counted_while_they_live() {
        let counter = Arc::new(AtomicUsize::new(0));
        let kept = KeptSchema::of(r#"{"1": {"type": "object"}}"#, Arc::clone(&counter)).unwrap();
        assert_eq!(counter.load(Ordering::Relaxed), kept.bytes);
        assert!(kept.bytes > 0 && kept.get().is_ok());
        drop(kept);
        assert_eq!(counter.load(Ordering::Relaxed), 0);
        assert!(KeptSchema::of("{}", Arc::clone(&counter)).is_none());
        let unfit = KeptSchema::of(r#"{"1": {"type": 5}}"#, counter).unwrap();
        assert!(unfit.get().is_err());
    }
}
