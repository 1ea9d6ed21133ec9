//! A damaged task stops itself and no other.

use rusqlite::Connection;

use hookseal_domain::task::Replayed;

use super::fresh;
use crate::scene::Scene;

#[tokio::test]
async fn a_damaged_task_is_stepped_over() {
    let fresh = fresh();
    let store = fresh.store();
    let scene = Scene::new(store).await;
    let endpoint = scene.endpoint().await;
    let damaged = scene.replay_of(endpoint, Replayed::Missing).await;
    let sound = scene.replay_of(endpoint, Replayed::Missing).await;
    let sabotage = Connection::open(fresh.directory.path().join("hookseal.db")).unwrap();
    let sql = "UPDATE task SET kind = 3, params = 'nonsense' WHERE id = ?1";
    sabotage.execute(sql, [damaged.id.raw()]).unwrap();

    assert_eq!(store.next_task(None).await.unwrap(), Some(damaged.id));
    store.take_task(damaged.id).await.unwrap_err();
    let next = store.next_task(Some(damaged.id)).await.unwrap();
    assert_eq!(next, Some(sound.id));
    let taken = store.take_task(sound.id).await.unwrap().unwrap();
    assert_eq!(taken.task.id, sound.id);
}
