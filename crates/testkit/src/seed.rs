//! Randomness that can be had again. **Invariant:** whoever draws from it prints it first.

use std::hash::{BuildHasher, Hasher, RandomState};

/// A seed, and the numbers that follow from it (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub struct Seed(u64);

// === impl Seed ===

impl Seed {
    /// From the environment variable `HOOKSEAL_TEST_SEED`, or a new one. It is printed, so that a
    /// failure can be had again.
    pub fn announced(test: &str) -> anyhow::Result<Self> {
        let seed = match std::env::var("HOOKSEAL_TEST_SEED") {
            Ok(text) => text.parse()?,
            Err(_) => RandomState::new().build_hasher().finish(),
        };
        println!("{test}: HOOKSEAL_TEST_SEED={seed}");
        Ok(Self(seed))
    }

    /// A fixed one.
    pub const fn fixed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The next number below `bound`; 0 if there is none.
    pub fn draw_below(&mut self, bound: u64) -> u64 {
        self.draw().checked_rem(bound).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let draw = |seed| -> Vec<u64> {
            let mut seed = Seed::fixed(seed);
            (0..4).map(|_| seed.draw_below(1000)).collect()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert_eq!(Seed::fixed(1).draw_below(0), 0);
    }
}
