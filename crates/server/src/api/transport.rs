//! `/api/v1/transport`: what an organisation demands of connections and presents on them.
//!
//! **Invariant:** a private key comes in and never goes out.

mod change;
pub(crate) mod client_identity;
pub(crate) mod effective;
mod explain;
pub(crate) mod explanation;
pub(crate) mod failure;
pub(crate) mod handshake;
pub(crate) mod layer;
pub(crate) mod named;
mod policy;
pub(crate) mod references;
pub(crate) mod trust_anchors;

use utoipa_axum::router::OpenApiRouter;

use crate::api::Api;

pub(crate) use crate::api::transport::change::{ForceParams, Made, TRIES};
pub(crate) use crate::api::transport::trust_anchors::given_anchors;

/// The operations.
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(policy::routes())
        .merge(trust_anchors::routes())
        .merge(client_identity::routes())
        .merge(explain::routes())
}
