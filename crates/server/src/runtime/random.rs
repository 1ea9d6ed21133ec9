//! Random bits from the operating system's generator, by way of aws-lc-rs.

use hookseal_domain::secret::Secret;
use hookseal_engine::clock::Random;

/// The generator of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

// === impl SystemRandom ===

impl SystemRandom {
    /// Random bytes for a key.
    pub fn key<const N: usize>(self) -> Secret<[u8; N]> {
        Secret::new(drawn())
    }
}

impl Random for SystemRandom {
    fn bits(&self) -> u64 {
        u64::from_ne_bytes(drawn())
    }
}

/// Without randomness there is no key, id or nonce that could be trusted: the process ends.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that draws randomness"
)]
fn drawn<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        eprintln!("the system gives no random bytes");
        std::process::abort();
    }
    bytes
}
