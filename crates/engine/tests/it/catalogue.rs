//! What event types say: of payloads, and of when deliveries are tried again.

use std::time::Duration;

use hookseal_domain::delivery::Ended;
use hookseal_domain::delivery::retry::RetrySchedule;
use hookseal_domain::event_type::validation::ValidationMode;
use hookseal_domain::event_type::{EventTypeName, EventTypeSpec};
use hookseal_engine::publish::PublishError;
use hookseal_store::inspect::DeliveryStatus;
use hookseal_testkit::fake_endpoint::FakeEndpoint;

use crate::world::World;

const SCHEMA: &str = r#"{"1": {"properties": {"sum": {"type": "integer"}}}}"#;

impl World {
    /// Says something of the event type that is published.
    async fn event_type(&self, validation: ValidationMode, schedule: Option<&[u64]>) {
        let name = EventTypeName::parse("invoice.paid").unwrap();
        let spec = EventTypeSpec {
            description: String::new(),
            archived: false,
            deprecated: false,
            feature_flags: Vec::new(),
            group_name: None,
            schemas: Some(SCHEMA.to_owned()),
            validation,
        };
        let now = self.engine.now();
        let put = self.store.put_event_type(self.org, name.clone(), spec, now);
        put.await.unwrap();
        let schedule = schedule.map(|secs| {
            let steps = secs.iter().map(|secs| Duration::from_secs(*secs));
            RetrySchedule::try_new(steps.collect()).unwrap()
        });
        let set = self
            .store
            .set_retry_schedule(self.org, &name, schedule, now);
        set.await.unwrap();
        self.engine.catalogue_changed(self.org);
    }
}

#[tokio::test]
async fn a_mismatch_is_counted_and_refused_where_that_is_asked_for() {
    let world = World::new().await;
    let wrong = r#"{"sum": "5"}"#;
    let count = |mode: &str| {
        let name = format!("hookseal_payload_mismatches_total{{mode=\"{mode}\"}}");
        world.metric(&name).unwrap_or_default()
    };
    world.publish(wrong).await;
    world.event_type(ValidationMode::Warn, None).await;
    world.publish(wrong).await;
    assert_eq!((count("warn"), count("enforce")), (1.0, 0.0));
    world.event_type(ValidationMode::Enforce, None).await;
    let refused = world.try_publish(wrong).await.unwrap_err();
    match refused {
        PublishError::Mismatch(mismatch) => {
            assert_eq!(mismatch.pointer, "/sum");
            assert_eq!(mismatch.keyword, "type");
            assert_eq!(mismatch.schema_pointer, "/properties/sum/type");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((count("warn"), count("enforce")), (1.0, 1.0));
    world.publish(r#"{"sum": 5}"#).await;
}

#[tokio::test]
async fn a_schedule_of_its_own_holds_for_an_event_type() {
    let world = World::new().await;
    world.event_type(ValidationMode::Off, Some(&[])).await;
    let hook = FakeEndpoint::plain([500]).await.unwrap();
    world.endpoint(&hook.url()).await;
    let exhausted = DeliveryStatus::Ended(Ended::Exhausted);
    let once = world.publish("{}").await;
    world.status_becomes(once, exhausted).await;
    assert_eq!(hook.received().len(), 1, "a single attempt");

    world.event_type(ValidationMode::Off, Some(&[60])).await;
    let twice = world.publish("{}").await;
    world.attempts(twice, 1).await;
    // The server's own schedule would try after 5 s.
    world.clock.advance(Duration::from_secs(40));
    assert_eq!(hook.received().len(), 2);
    world.clock.advance(Duration::from_secs(40));
    world.status_becomes(twice, exhausted).await;
    assert_eq!(hook.received().len(), 3);
}
