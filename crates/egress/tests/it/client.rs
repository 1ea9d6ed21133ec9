//! What the tests send with.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookseal_domain::address_policy::{AddressPolicy, PlainHttp};
use hookseal_domain::delivery::outcome::{FailureKind, Reply};
use hookseal_domain::endpoint::url::EndpointUrl;
use hookseal_domain::id::EndpointId;
use hookseal_domain::limits::RESPONSE_BODY_BYTES_MAX;
use hookseal_domain::time::Timestamp;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::failure::TlsFailure;
use hookseal_domain::transport::handshake::HandshakeReport;
use hookseal_domain::transport::policy::{EndpointTransport, ResolvedTransport};
use hookseal_egress::{
    DeliveryRequest, Egress, EgressConfig, Exchanged, PublicRoots, Resolver, Target, Transport,
};
use http::{HeaderMap, Method};

/// 2026-11-23T00:00:00Z.
pub(crate) const NOW_MILLIS: i64 = 1_795_392_000_000;

/// A client for tests: loopback is allowed, `hooks.test` is this machine.
pub(crate) struct Client {
    pub(crate) egress: Egress,
    now_millis: Arc<AtomicI64>,
    generation: u64,
    transport: Arc<Transport>,
    timeout: Duration,
}

impl Client {
    pub(crate) fn plain() -> Self {
        Self::with(config())
    }

    /// Trusts one authority and no other.
    pub(crate) fn trusting(root_pem: &str) -> Self {
        Self::with(EgressConfig {
            extra_roots_pem: Some(root_pem.as_bytes().to_vec()),
            public_roots: PublicRoots::None,
            ..config()
        })
    }

    pub(crate) fn with(config: EgressConfig) -> Self {
        let now_millis = Arc::new(AtomicI64::new(NOW_MILLIS));
        let clock = Arc::clone(&now_millis);
        let clock = move || Timestamp::from_millis(clock.load(Ordering::Relaxed));
        let egress = Egress::new(config, Arc::new(clock)).unwrap();
        Self {
            transport: egress.transport(&policy(&egress)).unwrap(),
            egress,
            now_millis,
            generation: 1,
            timeout: Duration::from_secs(10),
        }
    }

    /// With a deadline that a test can wait for.
    pub(crate) fn impatient(self) -> Self {
        Self {
            timeout: Duration::from_millis(300),
            ..self
        }
    }

    /// Under another policy from now on.
    pub(crate) fn set_policy(&mut self, change: impl FnOnce(&mut ResolvedTransport)) {
        self.transport = self.transport(change);
    }

    pub(crate) fn set_transport(&mut self, transport: Arc<Transport>) {
        self.transport = transport;
    }

    /// What `policy` with this change needs.
    pub(crate) fn transport(&self, change: impl FnOnce(&mut ResolvedTransport)) -> Arc<Transport> {
        let mut changed = policy(&self.egress);
        change(&mut changed);
        self.egress.transport(&changed).unwrap()
    }

    pub(crate) async fn probe(&self, url: &str) -> HandshakeReport {
        let target = Target::new(&EndpointUrl::parse(url).unwrap());
        self.egress
            .probe(&target, &self.transport, self.timeout)
            .await
    }

    pub(crate) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(crate) fn set_now(&self, time: &str) {
        let millis = Timestamp::parse_rfc3339(time).unwrap().as_millis();
        self.now_millis.store(millis, Ordering::Relaxed);
    }

    pub(crate) async fn post(&self, url: &str) -> Exchanged {
        self.post_as(EndpointId::from_raw(7), url).await
    }

    pub(crate) async fn post_as(&self, endpoint: EndpointId, url: &str) -> Exchanged {
        let body = Bytes::from_static(b"{\"a\": 1}");
        self.post_body(endpoint, url, body).await
    }

    pub(crate) async fn post_body(
        &self,
        endpoint: EndpointId,
        url: &str,
        body: Bytes,
    ) -> Exchanged {
        self.send(endpoint, &self.transport, url, body).await
    }

    /// Under another policy than the client's.
    pub(crate) async fn post_under(&self, transport: &Arc<Transport>, url: &str) -> Exchanged {
        let body = Bytes::from_static(b"{\"a\": 1}");
        self.send(EndpointId::from_raw(7), transport, url, body)
            .await
    }

    async fn send(
        &self,
        endpoint: EndpointId,
        transport: &Arc<Transport>,
        url: &str,
        body: Bytes,
    ) -> Exchanged {
        let request = self.request(endpoint, transport, url, body);
        self.exchange(request).await
    }

    /// Whatever is asked in another way than deliveries are made.
    pub(crate) async fn ask(
        &self,
        url: &str,
        change: impl FnOnce(&mut DeliveryRequest),
    ) -> Exchanged {
        let endpoint = EndpointId::from_raw(7);
        let mut request = self.request(endpoint, &self.transport, url, Bytes::new());
        change(&mut request);
        self.exchange(request).await
    }

    fn request(
        &self,
        endpoint: EndpointId,
        transport: &Arc<Transport>,
        url: &str,
        body: Bytes,
    ) -> DeliveryRequest {
        let url = EndpointUrl::parse(url).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "msg_1".parse().unwrap());
        DeliveryRequest {
            endpoint,
            generation: self.generation,
            transport: Arc::clone(transport),
            target: Arc::new(Target::new(&url)),
            method: Method::POST,
            headers,
            body,
            answer_bytes_max: RESPONSE_BODY_BYTES_MAX,
            answer_headers: &[],
            timeout: self.timeout,
        }
    }

    async fn exchange(&self, request: DeliveryRequest) -> Exchanged {
        let exchanged = self.egress.exchange(request).await;
        let limit = self.timeout + Duration::from_secs(5);
        assert!(exchanged.duration < limit, "{exchanged:?}");
        exchanged
    }
}

/// The policy of an endpoint that says nothing.
pub(crate) fn policy(egress: &Egress) -> ResolvedTransport {
    let url = EndpointUrl::parse("https://hooks.test").unwrap();
    TransportBook::default()
        .resolve(&EndpointTransport::default(), &url, &egress.defaults())
        .unwrap()
}

/// Loopback is allowed, also without TLS.
pub(crate) fn config() -> EgressConfig {
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    EgressConfig {
        address_policy: AddressPolicy {
            allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
            plain_http: PlainHttp::AllowedNetworks,
        },
        resolver: Resolver::fixed([
            ("hooks.test", vec![loopback]),
            ("also.test", vec![loopback]),
        ]),
        ..EgressConfig::default()
    }
}

/// The answer had this status.
#[track_caller]
pub(crate) fn check_status(exchanged: &Exchanged, expect: u16) {
    let got = match exchanged.reply {
        Reply::Response { status, .. } => Some(status),
        Reply::Failure(_) => None,
    };
    assert_eq!(got, Some(expect), "{exchanged:?}");
}

/// There was no answer; the reason holds these words.
#[track_caller]
pub(crate) fn check_failure(exchanged: &Exchanged, expect: FailureKind, words: &[&str]) {
    assert_eq!(exchanged.reply, Reply::Failure(expect), "{exchanged:?}");
    check_reason(exchanged, words);
}

/// TLS failed in this way, in the attempt and in the report of its handshake.
#[track_caller]
pub(crate) fn check_tls_failure(exchanged: &Exchanged, expect: TlsFailure, words: &[&str]) {
    assert_eq!(exchanged.tls_failure, Some(expect), "{exchanged:?}");
    check_reason(exchanged, words);
    let report = exchanged.handshake.as_ref().unwrap();
    assert_eq!(report.result(), expect.as_str());
}

/// The reason holds these words.
#[track_caller]
pub(crate) fn check_reason(exchanged: &Exchanged, words: &[&str]) {
    let reason = exchanged.reason.as_deref().unwrap_or_default();
    for word in words {
        assert!(reason.contains(word), "{word:?} is not in {reason:?}");
    }
}
