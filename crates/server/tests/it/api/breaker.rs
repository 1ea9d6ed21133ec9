//! The breaker as the API shows it, and how a person ends a pause.

use serde_json::{Value, json};

use hookseal_testkit::wait::until;

use crate::api::shop::{Shop, id};

/// A shop with an endpoint that nobody listens at.
struct Down {
    shop: Shop,
    app: String,
    endpoint: String,
}

impl Down {
    async fn new() -> Self {
        let shop = Shop::open().await;
        let app = id(&shop.make("/app", r#"{"name": "Customer"}"#).await);
        let endpoint = shop.endpoint(&app, "http://127.0.0.1:1/").await;
        Self {
            shop,
            app,
            endpoint,
        }
    }

    fn path(&self) -> String {
        format!("/app/{}/endpoint/{}/breaker", self.app, self.endpoint)
    }

    async fn breaker(&self) -> Value {
        self.shop.get(&self.path()).await
    }

    /// One message after the other, each tried before the next is published.
    async fn fails(&self, count: usize) {
        for _ in 0..count {
            let message = self.shop.message(&self.app, "{}").await;
            let attempts = format!("/app/{}/attempt/msg/{message}", self.app);
            until("the attempt", async || {
                let attempts = self.shop.get(&attempts).await;
                Ok(attempts["data"].get(0).map(|_| ()))
            })
            .await
            .unwrap();
        }
    }

    async fn becomes(&self, state: &str) -> Value {
        until("the breaker's state", async || {
            let breaker = self.breaker().await;
            Ok((breaker["state"] == state).then_some(breaker))
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_pause_is_shown_with_its_reason_and_ended_by_a_person() {
    let down = Down::new().await;
    assert_eq!(down.breaker().await, json!({"state": "delivering"}));
    down.fails(5).await;
    let paused = down.becomes("paused").await;
    assert_eq!(
        paused,
        json!({
            "state": "paused",
            "since": "2026-11-23T08:20:00.000Z",
            "until": "2026-11-23T08:20:05.000Z",
            "reason": "failures_in_a_row",
            "todo": "Find out whether the receiver runs, and whether its host and port are those of \
                     the URL; the reasons are in the attempts.",
            "lastFailure": {"code": "unreachable", "at": "2026-11-23T08:20:00.000Z"},
        })
    );
    let explained = format!(
        "/app/{}/endpoint/{}/transport/explain",
        down.app, down.endpoint
    );
    assert_eq!(down.shop.get(&explained).await["breaker"], paused);

    let reset = format!("{}/reset", down.path());
    let answer = down.shop.ask("POST", &reset, "").await.expect(200);
    assert_eq!(answer, json!({"state": "delivering"}));
    assert_eq!(down.breaker().await, answer, "whatever failed is forgotten");
    down.fails(1).await;
    until("the failure", async || {
        let breaker = down.breaker().await;
        Ok((breaker["lastFailure"]["code"] == "unreachable").then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(down.breaker().await["state"], "delivering");
}

#[tokio::test]
async fn a_reset_of_what_is_not_paused_changes_nothing() {
    let down = Down::new().await;
    let reset = format!("{}/reset", down.path());
    let answer = down.shop.ask("POST", &reset, "").await.expect(200);
    assert_eq!(answer, json!({"state": "delivering"}));
}
