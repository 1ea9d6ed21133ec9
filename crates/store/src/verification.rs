//! Verifications of endpoints as they go in and come out. The text by which one is answered is never
//! kept.

use async_trait::async_trait;

use hookseal_domain::access::api_token::TokenHash;
use hookseal_domain::endpoint::Endpoint;
use hookseal_domain::endpoint::verification::{Demand, Grant, Method, Question};
use hookseal_domain::id::{AppId, EndpointId};
use hookseal_domain::time::Timestamp;

use crate::error::{ChangeError, StoreError};

/// A verification to begin.
#[derive(Clone, Debug)]
pub struct NewVerification {
    /// How the receiver is asked.
    pub method: Method,
    /// What a callback answers; `None` if there is none to come.
    pub question: Option<Question>,
    /// By what it is found again.
    pub hash: TokenHash,
    /// Until when an answer counts.
    pub until: Timestamp,
}

/// How a verification ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verified {
    /// The receiver wants it; with what it granted, if it was asked for that.
    Passed(Option<Grant>),
    /// It does not, or did not say so: why, for people.
    Failed(String),
}

/// The part of [`crate::Store`] that keeps verifications.
#[async_trait]
pub trait VerificationStore: Send + Sync {
    /// Takes down what the operator demands from now on. Deliveries of endpoints that are not
    /// verified are held where they have to be, and released where not. To be called at the start,
    /// before anything is delivered. Endpoints by which the organisation is told itself are its own,
    /// and free.
    async fn demand_verification(&self, demand: Demand) -> Result<(), StoreError>;

    /// Begins a verification, in place of one that is under way. What was verified stays so until it
    /// ends.
    async fn begin_verification(
        &self,
        app: AppId,
        endpoint: EndpointId,
        new: NewVerification,
    ) -> Result<Endpoint, ChangeError>;

    /// Ends the verification with this hash, once. What is verified is released; what is not is held
    /// where the operator demands it. `None` if it is not under way any more: it ended, another one
    /// was begun, or the endpoint's URL is another one now.
    async fn end_verification(
        &self,
        hash: TokenHash,
        verified: Verified,
        now: Timestamp,
    ) -> Result<Option<(AppId, EndpointId)>, StoreError>;

    /// What the verification with this hash asks; `None` if it is not under way, or not by callback.
    async fn question(
        &self,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Option<Question>, StoreError>;
}
