//! Operational events and what they tell are in one transaction: neither is there without the other.

use rusqlite::Connection;

use hookseal_domain::delivery::{Ended, Next};
use hookseal_domain::endpoint::health::Sign;
use hookseal_store::Store;
use hookseal_store::reference::Reference;

use super::{Fresh, fresh};
use crate::operational::Told;
use crate::scene::{Enabled, Scene, days};

#[tokio::test]
async fn what_is_told_and_what_happened_are_written_together() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let told = Told::new(&scene).await;
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    assert_eq!(told.types().await, ["endpoint.created"]);
    let sabotage = Connection::open(fresh.directory.path().join("hookseal.db")).unwrap();
    let refuse = |what: &str| {
        let sql = format!(
            "DROP TRIGGER IF EXISTS sabotage; CREATE TRIGGER sabotage AFTER {what} BEGIN \
             SELECT RAISE(ABORT, 'sabotage'); END"
        );
        sabotage.execute_batch(&sql).unwrap();
    };

    for what in [
        "INSERT ON message",
        "INSERT ON pending",
        "UPDATE ON application",
    ] {
        refuse(what);
        let (app, now) = (scene.app, scene.now());
        let deleted = fresh.store.delete_endpoint(app, endpoint, now).await;
        deleted.unwrap_err();
        let found = fresh.store.endpoint(app, &Reference::Id(endpoint)).await;
        assert!(found.unwrap().is_some(), "it is not deleted: {what}");
    }
    refuse("INSERT ON message");
    let ended = scene.finished(key, 1, Next::End(Ended::Exhausted));
    scene.record(ended).await;
    assert_eq!(scene.attempts(key.message).await, 0, "it is tried again");
    sabotage.execute_batch("DROP TRIGGER sabotage").unwrap();
    assert!(told.all().await.is_empty());
    scene.enable(endpoint, Enabled::No).await;
    assert_eq!(
        told.types().await,
        ["endpoint.updated", "endpoint.disabled"]
    );
}

#[tokio::test]
async fn a_broken_listener_keeps_nothing_from_being_written() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let told = Told::new(&scene).await;
    let sabotage = Connection::open(fresh.directory.path().join("hookseal.db")).unwrap();
    let sql = "UPDATE endpoint SET event_types = 'nonsense' WHERE id = ?1";
    sabotage.execute(sql, [told.endpoint.raw()]).unwrap();
    let endpoint = scene.endpoint().await;
    let key = scene.owned(endpoint).await;
    scene.end(key, Ended::Exhausted).await;
    assert_eq!(scene.attempts(key.message).await, 1);
    assert!(told.all().await.is_empty());
}

#[tokio::test]
async fn health_outlives_the_process_and_what_is_rolled_back() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let endpoint = scene.endpoint().await;
    let since = scene.signs(endpoint, Sign::Fails).await;
    let sabotage = Connection::open(fresh.directory.path().join("hookseal.db")).unwrap();
    let trigger = "CREATE TRIGGER sabotage BEFORE DELETE ON pending BEGIN \
        SELECT RAISE(ABORT, 'sabotage'); END";
    sabotage.execute_batch(trigger).unwrap();
    scene.signs(endpoint, Sign::Works).await;
    sabotage.execute_batch("DROP TRIGGER sabotage").unwrap();
    scene.later(days(3));
    scene.signs(endpoint, Sign::Fails).await;

    let (app, now) = (scene.app, scene.now());
    let Fresh { store, directory } = fresh;
    drop(store);
    let store = super::open(directory.path()).unwrap();
    store.begin_epoch(now).await.unwrap();
    let found = store.endpoint(app, &Reference::Id(endpoint)).await;
    assert_eq!(found.unwrap().unwrap().failing_since, Some(since));
}

#[tokio::test]
async fn what_is_deleted_has_no_health() {
    let fresh = fresh();
    let scene = Scene::new(&fresh.store).await;
    let (one, other) = (scene.endpoint().await, scene.endpoint().await);
    let late = scene.tried(one, Sign::Fails).await;
    scene.signs(one, Sign::Fails).await;
    scene.signs(other, Sign::Fails).await;
    let connection = Connection::open(fresh.directory.path().join("hookseal.db")).unwrap();
    let failing = || {
        let count = "SELECT count(*) FROM endpoint_health";
        connection.query_row(count, [], |row| row.get::<_, i64>(0))
    };
    assert_eq!(failing(), Ok(2));
    let (app, now) = (scene.app, scene.now());
    fresh.store.delete_endpoint(app, one, now).await.unwrap();
    scene.record(late).await;
    assert_eq!(failing(), Ok(1));
    fresh.store.delete_application(app, now).await.unwrap();
    assert_eq!(failing(), Ok(0));
}
