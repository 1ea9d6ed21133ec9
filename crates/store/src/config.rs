//! What is configured, as it goes in and comes out.

use std::sync::Arc;

use hookseal_domain::access::cutoffs::Cutoffs;
use hookseal_domain::application::Application;
use hookseal_domain::endpoint::headers::EndpointHeaders;
use hookseal_domain::endpoint::{Destination, EndpointSpec};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::signature::key::SigningKey;
use hookseal_domain::time::Timestamp;

/// What a request to make something came to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Created<T> {
    /// It was made.
    New(T),
    /// The same request made it before (idempotency key), or it existed already and was replaced
    /// (`put`); this is how it stands now.
    Existing(T),
}

/// All that publishing and delivering to an application needs, as of one version.
#[derive(Clone, Debug)]
pub struct Routing {
    /// The application.
    pub application: Application,
    /// Grows with every change of the application or its endpoints.
    pub version: i64,
    /// Its endpoints, by id.
    pub destinations: Vec<Arc<Destination>>,
    /// Which of its tokens hold no more.
    pub token_cutoffs: Cutoffs,
}

/// An endpoint to make.
#[derive(Debug)]
pub struct NewEndpoint {
    /// Its id, made by this node.
    pub id: EndpointId,
    /// Whose it is.
    pub app: AppId,
    /// What the client says of it.
    pub spec: EndpointSpec,
    /// Its custom headers.
    pub headers: EndpointHeaders,
    /// Its first signing key.
    pub signing_key: SigningKey,
    /// When it is made.
    pub now: Timestamp,
}

/// A signing key that takes over.
#[derive(Debug)]
pub struct NewSigningKey {
    /// The key.
    pub key: SigningKey,
    /// When it takes over.
    pub now: Timestamp,
    /// Until when the keys before it sign beside it; not after `now` to end them at once.
    pub old_ends_at: Timestamp,
}

/// Which event types are listed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EventTypeListing {
    /// Those that are offered.
    Current,
    /// Archived ones too.
    WithArchived,
}

// === impl Routing ===

impl Routing {
    /// The endpoint's destination.
    pub fn destination(&self, endpoint: EndpointId) -> Option<&Arc<Destination>> {
        let index = self
            .destinations
            .binary_search_by_key(&endpoint, |d| d.id)
            .ok()?;
        self.destinations.get(index)
    }
}

// === impl Created ===

impl<T> Created<T> {
    /// The thing, whether new or not.
    pub fn into_inner(self) -> T {
        match self {
            Self::New(thing) | Self::Existing(thing) => thing,
        }
    }
}
