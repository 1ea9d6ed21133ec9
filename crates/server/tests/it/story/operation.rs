//! What the operator turns and sees.

use std::time::Duration;

use hookseal_testkit::api_client::{ApiClient, Whereabouts};
use hookseal_testkit::reply::Reply;
use hookseal_testkit::wait::until;
use hookseal_testkit::world::{ORGANISATION, Standing, string_at};
use serde_json::json;

use crate::support::world;

/// Far more than the server is allowed to keep in memory.
const MESSAGES: usize = 200;

#[tokio::test]
async fn what_finds_no_room_in_memory_is_delivered_from_the_store() -> anyhow::Result<()> {
    let world = world()
        .set("delivery.window_deliveries=4")
        .set("delivery.max_in_flight_per_endpoint=2")
        .start()
        .await?;
    let slow = Reply::status(200).after(Duration::from_millis(2));
    let hook = world.endpoint().replying([slow]).await?;
    let mut published = Vec::new();
    for _ in 0..MESSAGES {
        published.push(world.publish("invoice.paid").await?);
    }
    let mut arrived: Vec<_> = hook.receives(MESSAGES).await?;
    arrived.sort_by(|a, b| a.webhook_id().cmp(b.webhook_id()));
    let arrived: Vec<_> = arrived
        .iter()
        .map(|received| received.webhook_id())
        .collect();
    published.sort();
    assert_eq!(arrived, published);
    Ok(())
}

#[tokio::test]
async fn the_admin_listener_counts_what_happens() -> anyhow::Result<()> {
    let world = world().start().await?;
    let admin = ApiClient::new(Whereabouts::new(world.server.admin_address()), None);
    let hook = world.endpoint().replying([500, 200]).await?;
    let message = world.publish("invoice.paid").await?;
    world.stands(&message, &hook.id, Standing::Success).await?;

    let expected = [
        "hookseal_messages_published_total 1",
        r#"hookseal_attempts_total{outcome="retry"} 1"#,
        r#"hookseal_attempts_total{outcome="accepted"} 1"#,
        r#"hookseal_deliveries_ended_total{ended="delivered"} 1"#,
    ];
    until("the metrics tell of it", async || {
        let metrics = admin.get("/metrics").await?;
        anyhow::ensure!(metrics.status == 200, "{metrics}");
        let metrics = String::from_utf8(metrics.body.to_vec())?;
        anyhow::ensure!(!metrics.contains(&world.app), "metrics name an application");
        let lines: Vec<_> = metrics.lines().collect();
        Ok(expected
            .iter()
            .all(|line| lines.contains(line))
            .then_some(()))
    })
    .await?;
    for page in ["/health/live", "/health/ready"] {
        admin.get(page).await?.expect(204)?;
    }
    Ok(())
}

#[tokio::test]
async fn an_application_token_opens_its_own_application_only() -> anyhow::Result<()> {
    let world = world().start().await?;
    let other = world
        .api
        .post("/api/v1/app", &json!({"name": "Other"}))
        .await?
        .expect(201)?;
    let other = string_at(&other, "id")?;
    let token = world.server.token(ORGANISATION, Some(&world.app))?;
    let consumer = world.api.with_token(Some(token));
    consumer.get(&world.path("/endpoint")).await?.expect(200)?;
    let foreign = consumer
        .get(&format!("/api/v1/app/{other}/endpoint"))
        .await?;
    assert!([403, 404].contains(&foreign.status.as_u16()), "{foreign}");
    let nobody = world.api.with_token(None);
    nobody.get(&world.path("/endpoint")).await?.expect(401)?;
    Ok(())
}
