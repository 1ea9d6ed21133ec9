//! Time and randomness as the engine is given them: real ones from the binary, manual ones in tests.

use async_trait::async_trait;

use hookseal_domain::time::Timestamp;

/// Tells the time and waits for it.
#[async_trait]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Returns at `at`, or at once if that has passed; also when as much time has passed as was left
    /// until then, so that a clock that is set back keeps nobody asleep.
    async fn sleep_until(&self, at: Timestamp);
}

/// Draws random bits.
pub trait Random: Send + Sync {
    /// 64 of them, from a cryptographic source.
    fn bits(&self) -> u64;
}
