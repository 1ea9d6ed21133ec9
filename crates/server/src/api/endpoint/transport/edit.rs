//! Changes of what an endpoint says of transport security: whether they fit, and making them so.

use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::endpoint::url::{EndpointUrl, Scheme};
use hookseal_domain::id::EndpointId;
use hookseal_domain::transport::book::TransportBook;
use hookseal_domain::transport::pin::{Enforced, Force};
use hookseal_domain::transport::policy::{
    EndpointTransport, Pinning, TransportDefaults, TransportPolicy, UnusablePolicy,
};
use hookseal_domain::violation::Violation;
use hookseal_pki::certificate::SpkiSha256;
use hookseal_store::error::ChangeError;
use hookseal_store::publish::Idempotency;
use hookseal_store::reference::AppRef;

use crate::api::ApiContext;
use crate::api::access::OwnApplication;
use crate::api::check::Fields;
use crate::api::endpoint::WHAT;
use crate::api::error::violations::Violations;
use crate::api::error::{ApiError, ErrorCode};
use crate::api::transport::TRIES;
use crate::api::transport::references::{Known, missing};

/// What an endpoint says, and all that stands around it.
pub(crate) struct Around {
    /// Which endpoint it is.
    pub(crate) endpoint: EndpointId,
    /// What it says itself.
    pub(crate) transport: EndpointTransport,
    /// Where it receives.
    pub(crate) url: EndpointUrl,
    /// Grows with each change of what concerns the connection.
    pub(crate) generation: u64,
    /// What its organisation says.
    pub(crate) book: TransportBook,
    /// What the operator says.
    pub(crate) defaults: TransportDefaults,
    /// The keys of the path that was verified last.
    pub(crate) live: Vec<SpkiSha256>,
}

// === impl Around ===

impl Around {
    /// Why nothing could be sent under these settings.
    pub(crate) fn problem(&self, transport: &EndpointTransport) -> Option<UnusablePolicy> {
        let resolved = self.book.resolve(transport, &self.url, &self.defaults);
        resolved.err()
    }

    /// Whether there is no TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == Scheme::Plain
    }

    /// Whether pins are enforced under these settings.
    pub(crate) fn enforced(&self, transport: &EndpointTransport) -> Enforced {
        let layered = self.book.layered(transport).unwrap_or_default();
        match layered.pinning {
            Some(Pinning::Enforce) => Enforced::Yes,
            _ => Enforced::No,
        }
    }
}

/// The settings, if all they name is there and they can be applied to the endpoint.
pub(super) fn checked(
    around: &Around,
    after: EndpointTransport,
    force: Force,
) -> Result<EndpointTransport, ApiError> {
    let mut violations = Violations::default();
    let known = Known {
        book: &around.book,
        defaults: &around.defaults,
        endpoint: Some(around.endpoint),
    };
    if let Some(name) = &after.policy
        && !around.book.policies.contains_key(name)
    {
        let mut fields = Fields::of_body(&mut violations);
        fields.add("policy", &missing("transport policy", name));
    }
    let without_own = EndpointTransport {
        own: TransportPolicy::default(),
        ..after.clone()
    };
    let below = around.book.layered(&without_own).unwrap_or_default();
    let mut fields = Fields::at(&mut violations, &["body", "own"]);
    known.check(&mut fields, &after.own, &below);
    let after = violations.finish(Some(after))?;
    if let Some(problem) = around.problem(&after) {
        return Err(unusable(&problem).into());
    }
    if around.enforced(&after) == Enforced::Yes {
        let refused = |error: hookseal_domain::transport::pin::PinError| {
            ApiError::new(ErrorCode::WouldInterrupt, error.to_string())
        };
        after.pins.may_enforce(force).map_err(refused)?;
    }
    Ok(after)
}

/// Settings that can't be applied, at the field that makes them so.
fn unusable(problem: &UnusablePolicy) -> Violations {
    let loc: &[&str] = match problem {
        UnusablePolicy::Missing { .. } => &["body", "policy"],
        UnusablePolicy::NoAnchors => &["body", "own", "trustAnchors"],
        UnusablePolicy::NoPins => &["body", "own", "pinning"],
        UnusablePolicy::EmptyIdentity { .. } => &["body", "own", "clientIdentity"],
        UnusablePolicy::PlainHttp { .. } => &["body", "own"],
    };
    Violations::one(loc, &violation(problem))
}

fn violation(problem: &UnusablePolicy) -> Violation {
    Violation::new("value_error.transport", problem.to_string())
}

impl ApiContext {
    /// What an endpoint says of transport security, and all that stands around it.
    pub(crate) async fn around(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
    ) -> Result<Around, ApiError> {
        let store = self.engine.store();
        let transport = store.endpoint_transport(own.id(), endpoint.id).await?;
        let seen = store.handshakes(own.id(), endpoint.id).await?;
        // What the caller was authorized by may be older than a change.
        let (org, app) = (own.principal.org(), AppRef::Id(own.id()));
        let routing = self.engine.routing(org, &app).await?;
        let routing = routing.ok_or_else(|| ApiError::not_found(WHAT))?;
        let destination = routing.destination(endpoint.id);
        Ok(Around {
            endpoint: endpoint.id,
            transport: transport.ok_or_else(|| ApiError::not_found(WHAT))?,
            url: endpoint.spec.url.clone(),
            generation: destination.map_or(0, |destination| destination.generation),
            book: self.book(org).await?,
            defaults: self.engine.transport_defaults(),
            live: seen
                .last_good
                .map(|report| report.verified_keys())
                .unwrap_or_default(),
        })
    }

    /// Makes of what an endpoint says what `edit` makes of it, which is asked again when somebody
    /// else changed it meanwhile.
    pub(crate) async fn edit_transport(
        &self,
        own: &OwnApplication,
        endpoint: &Endpoint,
        request: Option<Idempotency>,
        edit: impl Fn(&Around) -> Result<EndpointTransport, ApiError> + Send + Sync,
    ) -> Result<EndpointTransport, ApiError> {
        let (app, id) = (own.id(), endpoint.id);
        for _ in 0..TRIES {
            let around = self.around(own, endpoint).await?;
            let after = edit(&around)?;
            let (kept, before, now) = (after.clone(), around.transport, self.engine.now());
            let set = self.try_change(app, move |store| async move {
                store
                    .set_endpoint_transport(app, id, kept, &before, now)
                    .await?;
                if let Some(request) = request {
                    store.remember_request(request, 0).await?;
                }
                Ok(())
            });
            match set.await? {
                Err(ChangeError::Stale) => {}
                Err(error) => return Err(ApiError::change(WHAT, error)),
                Ok(()) => return Ok(after),
            }
        }
        Err(ApiError::change(WHAT, ChangeError::Stale))
    }

    /// Refuses what only TLS can give for an endpoint without it.
    pub(crate) fn check_plain_http_never(
        &self,
        endpoint: &Endpoint,
        what: &'static str,
    ) -> Result<(), ApiError> {
        if endpoint.spec.url.scheme() == Scheme::Tls {
            return Ok(());
        }
        let problem = UnusablePolicy::PlainHttp { what };
        Err(Violations::one(&["body"], &violation(&problem)).into())
    }

    /// Refuses a URL without TLS where the policy that holds for the endpoint, or for a new one,
    /// demands TLS.
    pub(crate) async fn check_plain_http(
        &self,
        own: &OwnApplication,
        endpoint: Option<&Endpoint>,
        url: &EndpointUrl,
    ) -> Result<(), ApiError> {
        if url.scheme() == Scheme::Tls {
            return Ok(());
        }
        let store = self.engine.store();
        let transport = match endpoint {
            Some(endpoint) => store.endpoint_transport(own.id(), endpoint.id).await?,
            None => None,
        };
        let book = self.book(own.principal.org()).await?;
        let defaults = self.engine.transport_defaults();
        match book.resolve(&transport.unwrap_or_default(), url, &defaults) {
            Err(problem @ UnusablePolicy::PlainHttp { .. }) => {
                Err(Violations::one(&["body", "url"], &violation(&problem)).into())
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }
}
