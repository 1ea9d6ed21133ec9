//! Where a request may go at all.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookseal_domain::address_policy::{AddressPolicy, PlainHttp};
use hookseal_domain::delivery::outcome::FailureKind;
use hookseal_egress::{EgressConfig, Resolver};

use crate::client::{Client, check_failure, check_status, config};
use crate::server::Server;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn resolving(name: &str, ips: &[&str]) -> EgressConfig {
    let ips: Vec<IpAddr> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
    EgressConfig {
        resolver: Resolver::fixed([(name, ips)]),
        ..config()
    }
}

#[tokio::test]
async fn loopback_is_refused_by_default() {
    let server = Server::answering(OK).await;
    let client = Client::with(EgressConfig::default());
    let port = server.addr.port();
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "2130706433"] {
        for scheme in ["http", "https"] {
            let exchanged = client.post(&format!("{scheme}://{host}:{port}/")).await;
            let words = ["nothing was sent", "loopback", "egress.allow_networks"];
            check_failure(&exchanged, FailureKind::Blocked, &words);
            let facts = exchanged.connection;
            assert_eq!(facts.remote_ip, None);
            assert_eq!(facts.refused.first().unwrap().1, "loopback");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn names_are_judged_by_their_addresses() {
    let server = Server::answering(OK).await;
    let client = Client::with(EgressConfig {
        address_policy: AddressPolicy::default(),
        ..resolving("rebind.test", &["127.0.0.1", "169.254.169.254", "10.0.0.1"])
    });
    let url = format!("https://rebind.test:{}/", server.addr.port());
    let exchanged = client.post(&url).await;
    let words = [
        "127.0.0.1",
        "169.254.169.254",
        "10.0.0.1",
        "link-local",
        "private",
    ];
    check_failure(&exchanged, FailureKind::Blocked, &words);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn refused_addresses_of_a_mixed_answer_are_skipped_and_named() {
    let server = Server::answering(OK).await;
    let ips = ["10.0.0.1", "169.254.169.254", "127.0.0.1"];
    let client = Client::with(resolving("mixed.test", &ips));
    let url = format!("http://mixed.test:{}/", server.addr.port());
    // The second goes through the kept connection and says the same.
    for _ in 0..2 {
        let exchanged = client.post(&url).await;
        check_status(&exchanged, 200);
        let refused: Vec<_> = exchanged
            .connection
            .refused
            .iter()
            .map(|(ip, reason)| (ip.to_string(), reason.as_str()))
            .collect();
        let expect = [
            ("10.0.0.1".to_owned(), "private"),
            ("169.254.169.254".to_owned(), "link_local"),
        ];
        assert_eq!(refused, expect);
        assert_eq!(exchanged.connection.remote_ip, Some(server.addr.ip()));
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_next_address_is_tried() {
    let server = Server::answering(OK).await;
    let ips = ["127.0.0.2", "127.0.0.3", "127.0.0.1"];
    let client = Client::with(resolving("several.test", &ips));
    let url = format!("http://several.test:{}/", server.addr.port());
    check_status(&client.post(&url).await, 200);
}

#[tokio::test]
async fn no_more_than_four_addresses_are_tried() {
    let server = Server::answering(OK).await;
    let ips = [
        "127.0.0.2",
        "127.0.0.3",
        "127.0.0.4",
        "127.0.0.5",
        "127.0.0.1",
    ];
    let client = Client::with(resolving("many.test", &ips));
    let url = format!("http://many.test:{}/", server.addr.port());
    let exchanged = client.post(&url).await;
    check_failure(&exchanged, FailureKind::Connection, &["127.0.0.5"]);
}

/// A name server that answers the second question differently (DNS rebinding) gains nothing: what
/// was screened is what is connected to, and each attempt asks once.
#[tokio::test]
async fn an_answer_that_changes_between_check_and_connect() {
    let server = Server::answering(OK).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let rebinding = Resolver::telling(move |_| {
        let ip = match count.fetch_add(1, Ordering::SeqCst) % 2 {
            0 => "127.0.0.1",
            _ => "169.254.169.254",
        };
        Some(vec![ip.parse().unwrap()])
    });
    let mut client = Client::with(EgressConfig {
        resolver: rebinding,
        ..config()
    });
    let url = format!("http://rebinding.test:{}/", server.addr.port());
    let exchanged = client.post(&url).await;
    check_status(&exchanged, 200);
    assert_eq!(exchanged.connection.remote_ip, Some(server.addr.ip()));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // A kept connection asks nobody; a new one is screened anew.
    check_status(&client.post(&url).await, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    client.set_generation(2);
    let exchanged = client.post(&url).await;
    check_failure(&exchanged, FailureKind::Blocked, &["169.254.169.254"]);
    assert_eq!((asked.load(Ordering::SeqCst), server.connections()), (2, 1));
}

#[tokio::test]
async fn plain_http_goes_where_the_operator_allows() {
    let server = Server::answering(OK).await;
    let client = Client::with(EgressConfig {
        address_policy: AddressPolicy {
            plain_http: PlainHttp::Never,
            ..config().address_policy
        },
        ..config()
    });
    let exchanged = client.post(&server.url()).await;
    check_failure(&exchanged, FailureKind::Blocked, &["egress.plain_http"]);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn nobody_listens() {
    let server = Server::answering(OK).await;
    let addr = format!("127.0.0.9:{}", server.addr.port());
    let exchanged = Client::plain().post(&format!("http://{addr}/")).await;
    let words = [&*format!("no connection to {addr}"), "refused"];
    check_failure(&exchanged, FailureKind::Connection, &words);
    assert_eq!(exchanged.connection.remote_ip, None);
}

#[tokio::test]
async fn unknown_names() {
    let client = Client::with(resolving("empty.test", &[]));
    let exchanged = client.post("https://unknown.test/").await;
    let words = ["\"unknown.test\" does not exist"];
    check_failure(&exchanged, FailureKind::Resolve, &words);
    let exchanged = client.post("https://empty.test/").await;
    check_failure(&exchanged, FailureKind::Resolve, &["has no address"]);
    let exchanged = client.post("https://a..test/").await;
    check_failure(
        &exchanged,
        FailureKind::Resolve,
        &["\"a..test\" is no host name"],
    );
}

/// Through the system's hosts file.
#[tokio::test]
async fn localhost() {
    let server = Server::answering(OK).await;
    let client = Client::with(EgressConfig {
        resolver: Resolver::System,
        ..config()
    });
    let url = format!("http://localhost:{}/", server.addr.port());
    check_status(&client.post(&url).await, 200);
}
