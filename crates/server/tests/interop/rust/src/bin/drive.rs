//! Drives the API with Svix's own client for Rust, as a provider's service would.
//!
//! Reads `{"url", "token", "receiver", "broken"}` from standard input; what is broken refuses three times and is well then, and
//! nothing is tried twice by itself. Every operation must answer in a shape that the client reads, with what was asked for; the
//! first that does not ends the program. Prints the number of operations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use js_option::JsOption;
use serde_json::{Value, json};
use svix::api::{
    ApplicationListOptions, EndpointRecoverOptions, MessageCreateOptions, MessageGetOptions, Svix,
    SvixOptions,
};
use svix::error::Error;
use svix::models::{
    AppPortalAccessIn, AppUsageStatsIn, ApplicationIn, ApplicationPatch, ApplicationTokenExpireIn,
    BackgroundTaskStatus, BackgroundTaskType, BulkExpungeContentsIn, BulkReplayIn,
    EndpointHeadersIn, EndpointHeadersPatchIn, EndpointIn, EndpointPatch, EndpointSecretRotateIn,
    EndpointUpsertIn, EnvironmentIn, EventTypeImportOpenApiIn, EventTypeIn, EventTypePatch,
    EventTypeUpsertIn, MessageIn, MessagePrecheckIn, MessageStatus,
    OperationalWebhookEndpointHeadersIn, OperationalWebhookEndpointIn,
    OperationalWebhookEndpointSecretIn, OperationalWebhookEndpointUpsertIn, Ordering, RecoverIn,
    ReplayIn,
};

/// An answer comes soon; a busy machine gets longer.
const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The client, and the operations that were called.
struct Driver {
    svix: Svix,
    url: String,
    calls: BTreeSet<&'static str>,
}

/// Calls an operation and counts it.
macro_rules! call {
    ($driver:expr, operational.$name:ident($($arg:expr),*)) => {{
        $driver.calls.insert(concat!("operational.", stringify!($name)));
        $driver.svix.operational_webhook().endpoint().$name($($arg),*).await
    }};
    ($driver:expr, $group:ident.$name:ident($($arg:expr),*)) => {{
        $driver.calls.insert(concat!(stringify!($group), ".", stringify!($name)));
        $driver.svix.$group().$name($($arg),*).await
    }};
}

/// Asks again and again until there is something.
macro_rules! until {
    ($what:expr, $probe:expr) => {{
        let begun = Instant::now();
        loop {
            if let Some(found) = $probe {
                break found;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "not within {PATIENCE:?}: {}",
                $what
            );
            // sleep: what a server does is told by nothing but its API
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }};
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let request: Value = serde_json::from_reader(std::io::stdin()).unwrap();
    let text = |name: &str| request[name].as_str().unwrap().to_owned();
    let (url, receiver, broken) = (text("url"), text("receiver"), text("broken"));
    let mut driver = Driver {
        svix: client(&url, text("token")),
        url,
        calls: BTreeSet::new(),
    };
    call!(driver, health.get()).unwrap();
    let app = driver.applications().await;
    driver.event_types().await;
    let endpoint = driver.endpoints(&app, &receiver).await;
    let message = driver.messages(&app).await;
    driver.attempts(&app, &endpoint, &message).await;
    let events = driver.recovery(&app, &receiver, &broken).await;
    driver.statistics(&app).await;
    driver.forgetting(&app, &events).await;
    driver.portal(&app).await;
    driver.operational_webhooks(&receiver).await;
    driver.importing().await;
    driver.environment().await;
    driver.kitchen_sink().await;
    call!(driver, application.delete(app)).unwrap();
    println!("{}", driver.calls.len());
}

fn client(url: &str, token: String) -> Svix {
    let options = SvixOptions {
        server_url: Some(url.to_owned()),
        retry_schedule: Some(Vec::new()),
        ..SvixOptions::default()
    };
    Svix::new(token, Some(options))
}

/// A call has to end with this status.
fn refused<T>(status: u16, got: Result<T, Error>) {
    let found = match got {
        Ok(_) => panic!("expected {status}"),
        Err(Error::Http(error)) => error.status.as_u16(),
        Err(Error::Validation(error)) => error.status.as_u16(),
        Err(error) => panic!("{error}"),
    };
    assert_eq!(found, status);
}

fn names<const N: usize>(names: [&str; N]) -> Option<BTreeSet<String>> {
    Some(names.map(str::to_owned).into())
}

fn pair(name: &str, value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(name.to_owned(), value.to_owned())])
}

/// Without, this version of the client asks for no payload.
fn with_content() -> Option<MessageGetOptions> {
    Some(MessageGetOptions {
        with_content: Some(true),
    })
}

fn event(payload: Value) -> MessageIn {
    MessageIn::new("rust.tested".to_owned(), payload)
}

// === impl Driver ===

impl Driver {
    async fn applications(&mut self) -> String {
        let wanted = || ApplicationIn {
            uid: Some("rust".to_owned()),
            metadata: Some(pair("plan", "large")),
            ..ApplicationIn::new("Rust".to_owned())
        };
        let app = call!(self, application.create(wanted(), None)).unwrap();
        let found = call!(self, application.get("rust".to_owned())).unwrap();
        assert_eq!((&found.id, found.uid.as_deref()), (&app.id, Some("rust")));
        let same = call!(self, application.get_or_create(wanted(), None)).unwrap();
        assert_eq!(same.id, app.id);
        let upserted = call!(self, application.upsert("rust".to_owned(), wanted())).unwrap();
        assert_eq!(upserted.id, app.id);
        let patch = ApplicationPatch {
            metadata: Some(BTreeMap::new()),
            ..ApplicationPatch::new()
        };
        let patched = call!(self, application.patch(app.id.clone(), patch)).unwrap();
        assert!(patched.metadata.is_empty());
        refused(409, call!(self, application.create(wanted(), None)));
        let nameless = ApplicationIn::new(String::new());
        refused(422, call!(self, application.create(nameless, None)));
        let mut others = Vec::new();
        for name in ["a", "b", "c"] {
            let made = ApplicationIn::new(name.to_owned());
            others.push(call!(self, application.create(made, None)).unwrap().id);
        }
        let (mut found, mut iterator) = (Vec::new(), None);
        loop {
            let options = ApplicationListOptions {
                limit: Some(2),
                iterator,
                order: Some(Ordering::Ascending),
                ..ApplicationListOptions::default()
            };
            let page = call!(self, application.list(Some(options))).unwrap();
            found.extend(page.data.into_iter().map(|row| row.id));
            iterator = page.iterator;
            if page.done {
                break;
            }
        }
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "{found:?}");
        for other in others {
            assert!(found.contains(&other));
            call!(self, application.delete(other.clone())).unwrap();
            refused(404, call!(self, application.get(other)));
        }
        app.id
    }

    async fn event_types(&mut self) {
        let name = || "rust.tested".to_owned();
        let wanted = EventTypeIn {
            schemas: Some(json!({"1": {}})),
            ..EventTypeIn::new(name(), "A test".to_owned())
        };
        call!(self, event_type.create(wanted, None)).unwrap();
        let found = call!(self, event_type.get(name())).unwrap();
        assert_eq!(found.schemas, Some(json!({"1": {}})));
        let update = EventTypeUpsertIn {
            schemas: found.schemas,
            ..EventTypeUpsertIn::new("Other".to_owned())
        };
        let upserted = call!(self, event_type.upsert(name(), update)).unwrap();
        assert_eq!(upserted.description, "Other");
        let patch = EventTypePatch {
            deprecated: Some(true),
            ..EventTypePatch::new()
        };
        assert!(
            call!(self, event_type.patch(name(), patch))
                .unwrap()
                .deprecated
        );
        let listed = call!(self, event_type.list(None)).unwrap();
        assert!(listed.data.iter().any(|row| row.name == name()));
        let ended = EventTypeIn::new("rust.ended".to_owned(), String::new());
        call!(self, event_type.create(ended, None)).unwrap();
        call!(self, event_type.delete("rust.ended".to_owned(), None)).unwrap();
    }

    async fn endpoints(&mut self, app: &str, receiver: &str) -> String {
        let app = || app.to_owned();
        let wanted = EndpointIn {
            uid: Some("receiver".to_owned()),
            event_types: names(["rust.tested"]),
            channels: names(["tests"]),
            secret: Some(SECRET.to_owned()),
            ..EndpointIn::new(receiver.to_owned())
        };
        let made = call!(self, endpoint.create(app(), wanted, None)).unwrap();
        assert_eq!(made.event_types, names(["rust.tested"]));
        let found = call!(self, endpoint.get(app(), "receiver".to_owned())).unwrap();
        assert_eq!((&found.id, &found.url), (&made.id, &receiver.to_owned()));
        let id = || made.id.clone();
        let update = EndpointUpsertIn {
            uid: found.uid,
            event_types: found.event_types,
            description: Some("Other".to_owned()),
            ..EndpointUpsertIn::new(receiver.to_owned())
        };
        let upserted = call!(self, endpoint.upsert(app(), id(), update)).unwrap();
        assert_eq!(upserted.channels, None);
        let patch = EndpointPatch {
            description: Some("Third".to_owned()),
            ..EndpointPatch::new()
        };
        let patched = call!(self, endpoint.patch(app(), id(), patch)).unwrap();
        assert_eq!(patched.description, "Third");
        assert_eq!(
            call!(self, endpoint.list(app(), None)).unwrap().data.len(),
            1
        );
        let secret = call!(self, endpoint.get_secret(app(), id())).unwrap();
        assert_eq!(secret.key, SECRET);
        let rotate = EndpointSecretRotateIn {
            grace_period_seconds: Some(60),
            ..EndpointSecretRotateIn::new()
        };
        call!(self, endpoint.rotate_secret(app(), id(), rotate, None)).unwrap();
        let secret = call!(self, endpoint.get_secret(app(), id())).unwrap();
        assert_ne!(secret.key, SECRET);
        let headers = EndpointHeadersIn::new(pair("x-two", "2"));
        call!(self, endpoint.set_headers(app(), id(), headers)).unwrap();
        let headers = EndpointHeadersPatchIn::new(pair("x-three", "3"));
        call!(self, endpoint.patch_headers(app(), id(), headers)).unwrap();
        let found = call!(self, endpoint.get_headers(app(), id())).unwrap();
        assert_eq!(found.headers.len(), 2);
        made.id
    }

    async fn messages(&mut self, app: &str) -> String {
        let app = || app.to_owned();
        let one = || MessageIn {
            event_id: Some("event-1".to_owned()),
            ..event(json!({"a": [1, 2]}))
        };
        let once = || {
            Some(MessageCreateOptions {
                idempotency_key: Some("rust-1".to_owned()),
                ..MessageCreateOptions::default()
            })
        };
        let message = call!(self, message.create(app(), one(), once())).unwrap();
        let again = call!(self, message.create(app(), one(), once())).unwrap();
        assert_eq!(again.id, message.id);
        refused(409, call!(self, message.create(app(), one(), None)));
        let found = call!(
            self,
            message.get(app(), "event-1".to_owned(), with_content())
        )
        .unwrap();
        assert_eq!(found.payload, json!({"a": [1, 2]}));
        let listed = call!(self, message.list(app(), None)).unwrap();
        let ids: Vec<_> = listed.data.into_iter().map(|row| row.id).collect();
        assert_eq!(ids, [message.id.clone()]);
        message.id
    }

    async fn attempts(&mut self, app: &str, endpoint: &str, message: &str) {
        let (app, to) = (|| app.to_owned(), || endpoint.to_owned());
        let of = || message.to_owned();
        let attempt = until!("an attempt", {
            let rows = call!(self, message_attempt.list_by_msg(app(), of(), None));
            rows.unwrap().data.pop()
        });
        assert_eq!(attempt.status, MessageStatus::Success);
        let id = || attempt.id.clone();
        let found = call!(self, message_attempt.get(app(), of(), id(), None)).unwrap();
        assert_eq!((found.id, found.endpoint_id), (id(), to()));
        let rows = call!(self, message_attempt.list_by_endpoint(app(), to(), None));
        assert_eq!(rows.unwrap().data[0].id, id());
        let rows = call!(
            self,
            message_attempt.list_attempted_destinations(app(), of(), None)
        );
        assert_eq!(rows.unwrap().data[0].id, to());
        call!(self, message_attempt.resend(app(), of(), to(), None)).unwrap();
        until!("a second attempt", {
            let rows = call!(self, message_attempt.list_by_msg(app(), of(), None));
            (rows.unwrap().data.len() == 2).then_some(())
        });
        call!(self, message_attempt.expunge_content(app(), of(), id())).unwrap();
        call!(self, message.expunge_content(app(), of())).unwrap();
        call!(self, endpoint.delete(app(), to())).unwrap();
    }

    /// What a background task says once it has finished.
    async fn finished(&mut self, id: String) -> Value {
        until!("the task finishes", {
            let task = call!(self, background_task.get(id.clone())).unwrap();
            assert_ne!(task.status, BackgroundTaskStatus::Failed);
            (task.status == BackgroundTaskStatus::Finished).then_some(task.data)
        })
    }

    /// Waits until so many messages stand so at an endpoint.
    async fn stands(&mut self, app: &str, endpoint: &str, status: MessageStatus) {
        let (app, to) = (|| app.to_owned(), || endpoint.to_owned());
        until!(format!("all are {status}"), {
            let rows = call!(
                self,
                message_attempt.list_attempted_messages(app(), to(), None)
            );
            let rows = rows.unwrap().data;
            let all = rows.len() == 3 && rows.iter().all(|row| row.status == status);
            all.then_some(())
        });
    }

    /// What failed is recovered, what was missed is replayed, and what was chosen is sent again.
    async fn recovery(&mut self, app: &str, receiver: &str, broken: &str) -> Vec<String> {
        let own = || app.to_owned();
        let begun = Utc::now();
        let weak = EndpointIn::new(broken.to_owned());
        let weak = call!(self, endpoint.create(own(), weak, None)).unwrap().id;
        let mut events = Vec::new();
        for number in 0..3 {
            let published = call!(
                self,
                message.create(own(), event(json!({"n": number})), None)
            );
            events.push(published.unwrap().id);
        }
        self.stands(app, &weak, MessageStatus::Fail).await;
        let since = begun - TimeDelta::seconds(1);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let once = EndpointRecoverOptions {
                idempotency_key: Some("recover-1".to_owned()),
            };
            let (weak, since) = (weak.clone(), RecoverIn::new(since));
            let task = call!(self, endpoint.recover(own(), weak, since, Some(once))).unwrap();
            assert_eq!(task.task, BackgroundTaskType::EndpointRecover);
            ids.push(task.id);
        }
        assert_eq!(ids[0], ids[1], "the same request is one task");
        assert_eq!(self.finished(ids[0].clone()).await["done"], 3);
        self.stands(app, &weak, MessageStatus::Success).await;
        let late = EndpointIn::new(receiver.to_owned());
        let late = call!(self, endpoint.create(own(), late, None)).unwrap().id;
        let missing = ReplayIn::new(begun);
        let task = call!(
            self,
            endpoint.replay_missing(own(), late.clone(), missing, None)
        );
        assert_eq!(self.finished(task.unwrap().id).await["done"], 3);
        self.stands(app, &late, MessageStatus::Success).await;
        let chosen = BulkReplayIn {
            event_types: names(["rust.tested"]),
            status: Some(MessageStatus::Success),
            ..BulkReplayIn::new(begun)
        };
        let task = call!(
            self,
            endpoint.bulk_replay(own(), late.clone(), chosen, None)
        )
        .unwrap();
        assert_eq!(task.task, BackgroundTaskType::EndpointBulkReplay);
        assert_eq!(self.finished(task.id).await["done"], 3);
        until!("all once more", {
            let rows = call!(
                self,
                message_attempt.list_by_endpoint(own(), late.clone(), None)
            );
            (rows.unwrap().data.len() == 6).then_some(())
        });
        let stats = call!(self, endpoint.get_stats(own(), late, None)).unwrap();
        assert_eq!((stats.success, stats.fail), (3, 0));
        let listed = call!(self, background_task.list(None)).unwrap();
        assert!(listed.data.iter().any(|task| task.id == ids[0]));
        events
    }

    async fn statistics(&mut self, app: &str) {
        let hour = TimeDelta::hours(1);
        let of = |names| AppUsageStatsIn {
            app_ids: names,
            ..AppUsageStatsIn::new(Utc::now() - hour, Utc::now() + hour)
        };
        let asked = of(names(["rust", "nobody"]));
        let task = call!(self, statistics.aggregate_app_stats(asked, None)).unwrap();
        assert_eq!(Some(task.unresolved_app_ids), names(["nobody"]));
        // One that was resent; three that failed, recovered, were missed and came again.
        let expect = json!([{"appId": app, "appUid": "rust", "messageDestinations": 14}]);
        assert_eq!(self.finished(task.id).await["appStats"], expect);
        let nobody = of(names(["nobody"]));
        refused(
            422,
            call!(self, statistics.aggregate_app_stats(nobody, None)),
        );
        let task = call!(self, statistics.aggregate_event_types()).unwrap();
        let found = self.finished(task.id).await;
        let rows = found["event_types"].as_array().unwrap();
        let own = rows.iter().find(|row| row["appId"] == app).unwrap();
        assert_eq!(own["explicitlySubscribedEventTypes"], json!([]));
        assert_eq!(own["hasCatchAllEndpoint"], true);
    }

    async fn forgetting(&mut self, app: &str, events: &[String]) {
        let own = || app.to_owned();
        let asked = MessagePrecheckIn::new("rust.tested".to_owned());
        assert!(
            call!(self, message.precheck(own(), asked, None))
                .unwrap()
                .active
        );
        let first = BulkExpungeContentsIn {
            ids: Some(BTreeSet::from([events[0].clone()])),
        };
        call!(self, message.bulk_expunge_content(own(), first, None)).unwrap();
        let task = call!(self, message.expunge_all_contents(own(), None)).unwrap();
        assert_eq!(self.finished(task.id).await["done"], 2);
        let message = call!(self, message.get(own(), events[2].clone(), with_content()));
        assert_eq!(message.unwrap().payload, json!({"expired": true}));
    }

    /// A portal's token sees its own application, and nothing once it is ended.
    async fn portal(&mut self, app: &str) {
        let own = || app.to_owned();
        let mut consumers = Vec::new();
        for _ in 0..2 {
            let access = AppPortalAccessIn::new();
            let access = call!(self, authentication.app_portal_access(own(), access, None));
            consumers.push(client(&self.url, access.unwrap().token));
        }
        let [first, last] = &consumers[..] else {
            unreachable!()
        };
        assert_eq!(first.application().get(own()).await.unwrap().id, app);
        let other = ApplicationIn::new("Other".to_owned());
        let other = call!(self, application.create(other, None)).unwrap().id;
        refused(404, first.application().get(other.clone()).await);
        refused(403, first.application().list(None).await);
        first.authentication().logout(None).await.unwrap();
        self.calls.insert("authentication.logout");
        refused(401, first.application().get(own()).await);
        last.application().get(own()).await.unwrap();
        let at_once = ApplicationTokenExpireIn {
            expiry: Some(0),
            ..ApplicationTokenExpireIn::new()
        };
        call!(self, authentication.expire_all(own(), at_once, None)).unwrap();
        refused(401, last.application().get(own()).await);
        call!(self, authentication.whoami()).unwrap();
        call!(self, application.delete(other)).unwrap();
    }

    async fn operational_webhooks(&mut self, receiver: &str) {
        let wanted = OperationalWebhookEndpointIn {
            uid: Some("told".to_owned()),
            event_types: names(["endpoint.deleted"]),
            secret: Some(SECRET.to_owned()),
            ..OperationalWebhookEndpointIn::new(receiver.to_owned())
        };
        let told = call!(self, operational.create(wanted, None)).unwrap().id;
        let id = || told.clone();
        let found = call!(self, operational.get("told".to_owned())).unwrap();
        assert_eq!(found.id, told);
        assert_eq!(call!(self, operational.list(None)).unwrap().data.len(), 1);
        let update = OperationalWebhookEndpointUpsertIn {
            uid: Some("told".to_owned()),
            description: Some("Other".to_owned()),
            ..OperationalWebhookEndpointUpsertIn::new(receiver.to_owned())
        };
        let upserted = call!(self, operational.upsert(id(), update)).unwrap();
        assert_eq!(upserted.description, "Other");
        let headers = OperationalWebhookEndpointHeadersIn::new(pair("x-one", "1"));
        call!(self, operational.set_headers(id(), headers)).unwrap();
        let headers = call!(self, operational.get_headers(id())).unwrap();
        assert_eq!(headers.headers, pair("x-one", "1"));
        assert_eq!(
            call!(self, operational.get_secret(id())).unwrap().key,
            SECRET
        );
        let rotate = OperationalWebhookEndpointSecretIn::new();
        call!(self, operational.rotate_secret(id(), rotate, None)).unwrap();
        assert_ne!(
            call!(self, operational.get_secret(id())).unwrap().key,
            SECRET
        );
        call!(self, operational.delete(id())).unwrap();
        refused(404, call!(self, operational.get(id())));
    }

    /// Event types out of an OpenAPI document.
    async fn importing(&mut self) {
        let schema = json!({"type": "object", "required": ["id"]});
        let content = json!({"application/json": {"schema": schema}});
        let post =
            json!({"summary": "A test", "requestBody": {"content": content}, "responses": {}});
        let spec = json!({"openapi": "3.1.0", "info": {"title": "Events", "version": "1"},
            "webhooks": {"rust.imported": {"post": post}}});
        let name = || "rust.imported".to_owned();
        let planned = EventTypeImportOpenApiIn {
            spec: Some(spec.clone()),
            dry_run: Some(true),
            ..EventTypeImportOpenApiIn::new()
        };
        let planned = call!(self, event_type.import_openapi(planned, None)).unwrap();
        assert_eq!(planned.data.to_modify.unwrap()[0].name, name());
        refused(404, call!(self, event_type.get(name())));
        let wanted = EventTypeImportOpenApiIn {
            spec_raw: Some(spec.to_string()),
            ..EventTypeImportOpenApiIn::new()
        };
        let done = call!(self, event_type.import_openapi(wanted, None)).unwrap();
        assert_eq!(done.data.modified, [name()]);
        let schemas = call!(self, event_type.get(name()))
            .unwrap()
            .schemas
            .unwrap();
        let imported = schemas.as_object().unwrap().values().next().unwrap();
        assert_eq!(imported["required"], json!(["id"]));
        let bad = EventTypeImportOpenApiIn {
            spec: Some(json!({"openapi": "3.1.0", "webhooks": 1})),
            ..EventTypeImportOpenApiIn::new()
        };
        refused(422, call!(self, event_type.import_openapi(bad, None)));
    }

    async fn environment(&mut self) {
        let exported = call!(self, environment.export(None)).unwrap();
        let mut mine = exported.event_types.into_iter();
        let mine = mine.find(|row| row.name == "rust.tested").unwrap();
        let of = |name: &str| EnvironmentIn {
            event_types: Some(vec![EventTypeIn {
                schemas: mine.schemas.clone(),
                ..EventTypeIn::new(name.to_owned(), "Imported".to_owned())
            }]),
            ..EnvironmentIn::new()
        };
        call!(self, environment.import(of("rust.tested"), None)).unwrap();
        let found = call!(self, event_type.get("rust.tested".to_owned())).unwrap();
        assert_eq!(found.description, "Imported");
        assert_eq!(found.schemas, mine.schemas);
        refused(422, call!(self, environment.import(of("a b"), None)));
    }

    /// The calls of the story that Svix tests its clients by, in its order and with what it expects.
    async fn kitchen_sink(&mut self) {
        let app = ApplicationIn::new("Kitchen".to_owned());
        let app = call!(self, application.create(app, None)).unwrap().id;
        let of = |name: &str| EventTypeIn::new(name.to_owned(), "Sink".to_owned());
        for name in ["sink.begun", "sink.done"] {
            call!(self, event_type.create(of(name), None)).unwrap();
        }
        refused(409, call!(self, event_type.create(of("sink.done"), None)));
        let wanted = EndpointIn {
            channels: names(["one", "two"]),
            ..EndpointIn::new("https://example.com/".to_owned())
        };
        let made = call!(self, endpoint.create(app.clone(), wanted, None)).unwrap();
        assert_eq!(made.channels, names(["one", "two"]));
        assert_eq!(made.event_types.unwrap_or_default().len(), 0);
        let both = names(["sink.begun", "sink.done"]);
        let patch = EndpointPatch {
            event_types: JsOption::from_option(both.clone()),
            ..EndpointPatch::new()
        };
        let patched = call!(self, endpoint.patch(app.clone(), made.id.clone(), patch)).unwrap();
        assert_eq!(
            (patched.channels, patched.event_types),
            (names(["one", "two"]), both)
        );
        call!(self, endpoint.delete(app.clone(), made.id)).unwrap();
        call!(self, application.delete(app)).unwrap();
    }
}
