//! Whom deliveries may go to, and over what.

use hookseal_testkit::fake_endpoint::FakeEndpoint;
use hookseal_testkit::test_ca::{LeafSpec, Speaks, TestCa, Validity};
use hookseal_testkit::world::Standing;
use http::Version;
use serde_json::json;

use crate::support::attempt::timeline;
use crate::support::world;

#[tokio::test]
async fn an_attempt_tells_of_its_tls_session() -> anyhow::Result<()> {
    let world = world().start().await?;
    let leaf = world.ca.issue(&LeafSpec::default())?;
    let receiver = FakeEndpoint::tls(&leaf, [200]).await?;
    world.subscribe(&receiver.url_by_name(), &json!({})).await?;

    let message = world.publish("invoice.paid").await?;

    let attempts = world.attempted(&message, 1).await?;
    let tls = &attempts[0]["connection"]["tls"];
    assert_eq!(tls["version"], "TLSv1.3");
    assert_eq!(tls["keyExchangeGroup"], "X25519MLKEM768");
    assert_eq!(tls["peerSpkiSha256"], leaf.spki_sha256());
    assert_eq!(tls["certificateExpiresAt"], "2049-12-31T00:00:00.000Z");
    let suite = tls["cipherSuite"].as_str().unwrap_or_default();
    assert!(
        suite.starts_with("TLS13_") || suite.starts_with("TLS_"),
        "{tls}"
    );
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_trusted_gets_nothing() -> anyhow::Result<()> {
    let world = world().start().await?;
    let stranger = TestCa::new("Another root")?;
    let wrong_name = LeafSpec {
        names: vec!["other.example".to_owned()],
        ips: Vec::new(),
        ..LeafSpec::default()
    };
    let expired = LeafSpec {
        validity: Validity::Past,
        ..LeafSpec::default()
    };
    let not_yet = LeafSpec {
        validity: Validity::Future,
        ..LeafSpec::default()
    };
    for (what, leaf) in [
        ("an unknown root", stranger.issue(&LeafSpec::default())?),
        ("another name", world.ca.issue(&wrong_name)?),
        ("an expired certificate", world.ca.issue(&expired)?),
        ("a certificate from the future", world.ca.issue(&not_yet)?),
    ] {
        let receiver = FakeEndpoint::tls(&leaf, [200]).await?;
        let endpoint = world.subscribe(&receiver.url(), &json!({})).await?;
        let message = world.publish("invoice.paid").await?;
        let attempts = world.attempted(&message, 1).await?;

        let attempt = &attempts[0];
        assert_eq!(attempt["outcome"], "not_trusted", "{what}: {attempt}");
        let reason = attempt["reason"].as_str().unwrap_or_default();
        assert!(!reason.is_empty(), "{what}: {attempt}");
        println!("{what}: {reason}");
        let connections = receiver.connections();
        assert!(connections.opened > 0, "{what}");
        assert_eq!(connections.application_bytes, 0, "{what}");

        // People mend certificates: the schedule's last step finds a good one.
        receiver.present(&world.ca.issue(&LeafSpec::default())?, Speaks::Http2)?;
        world.stands(&message, &endpoint, Standing::Success).await?;
        let path = world.path(&format!("/endpoint/{endpoint}"));
        world.api.delete(&path).await?.expect(204)?;
    }
    Ok(())
}

#[tokio::test]
async fn old_tls_is_spoken_only_where_the_operator_says_so() -> anyhow::Result<()> {
    let strict = world().set("delivery.retry_schedule=[]").start().await?;
    let receiver = FakeEndpoint::tls(&strict.ca.issue(&LeafSpec::default())?, [200]).await?;
    receiver.present(&strict.ca.issue(&LeafSpec::default())?, Speaks::OldTls)?;
    let endpoint = strict.subscribe(&receiver.url(), &json!({})).await?;
    let message = strict.publish("invoice.paid").await?;
    strict.stands(&message, &endpoint, Standing::Fail).await?;
    insta::assert_snapshot!(timeline(&strict, &message).await?, @"not_trusted");
    assert_eq!(receiver.connections().application_bytes, 0);

    let lenient = world().set("egress.tls_min_version=1.2").start().await?;
    receiver.present(&lenient.ca.issue(&LeafSpec::default())?, Speaks::OldTls)?;
    let endpoint = lenient.subscribe(&receiver.url(), &json!({})).await?;
    let message = lenient.publish("invoice.paid").await?;
    lenient
        .stands(&message, &endpoint, Standing::Success)
        .await?;
    assert_eq!(receiver.receives_one().await?.version, Version::HTTP_11);
    let attempts = lenient.attempts(&message).await?;
    assert_eq!(attempts[0]["connection"]["tls"]["version"], "TLSv1.2");
    Ok(())
}

#[tokio::test]
async fn an_address_inside_is_refused_by_default() -> anyhow::Result<()> {
    let world = world()
        .unset("egress.allow_networks")
        .set("delivery.retry_schedule=[]")
        .start()
        .await?;
    let receiver = FakeEndpoint::tls(&world.ca.issue(&LeafSpec::default())?, [200]).await?;
    let endpoint = world.subscribe(&receiver.url_by_name(), &json!({})).await?;

    let message = world.publish("invoice.paid").await?;

    world.stands(&message, &endpoint, Standing::Fail).await?;
    let attempts = world.attempts(&message).await?;
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0]["outcome"], "blocked");
    let reason = attempts[0]["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("127.0.0.1") && reason.contains("loopback"),
        "{reason}"
    );
    assert_eq!(receiver.connections().opened, 0);
    Ok(())
}

#[tokio::test]
async fn plain_http_is_refused_where_it_may_leave_the_allowed_networks() -> anyhow::Result<()> {
    let world = world().unset("egress.allow_networks").start().await?;
    let new = json!({"url": "http://127.0.0.1:1/hook"});
    let refused = world
        .api
        .post(&world.path("/endpoint"), &new)
        .await?
        .expect(422)?;
    assert_eq!(
        refused["detail"][0]["loc"],
        json!(["body", "url"]),
        "{refused}"
    );
    Ok(())
}
