//! Percentiles and medians by nearest rank: every figure in the report was really observed.

/// Latencies in nanoseconds, sorted.
#[derive(Debug)]
pub(crate) struct Sorted(Vec<u64>);

// === impl Sorted ===

impl Sorted {
    /// Sorts the observations.
    pub(crate) fn new(mut observations_ns: Vec<u64>) -> Self {
        observations_ns.sort_unstable();
        Self(observations_ns)
    }

    /// The smallest observation, in milliseconds, that `permille` thousandths do not exceed;
    /// 0 where nothing was observed.
    pub(crate) fn permille_ms(&self, permille: usize) -> f64 {
        let rank = (self.0.len() * permille).div_ceil(1000).max(1);
        let observed_ns = self.0.get(rank - 1).copied().unwrap_or(0);
        std::time::Duration::from_nanos(observed_ns).as_secs_f64() * 1000.0
    }
}

/// The middle value, the lower one of two; 0 where there is none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
        .get(values.len().saturating_sub(1) / 2)
        .copied()
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(observations_ms: &[u64], permille: usize, expect_ms: f64) {
        let sorted = Sorted::new(observations_ms.iter().map(|ms| ms * 1_000_000).collect());
        let found_ms = sorted.permille_ms(permille);
        assert!(
            (found_ms - expect_ms).abs() < 1e-9,
            "{found_ms} instead of {expect_ms}"
        );
    }

    #[test]
    fn percentiles_are_of_nearest_rank() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        check(&hundred, 500, 50.0);
        check(&hundred, 990, 99.0);
        check(&hundred, 999, 100.0);
        check(&hundred, 1000, 100.0);
        check(&[7, 3, 5], 500, 5.0);
        check(&[7, 3], 500, 3.0);
        check(&[7, 3], 990, 7.0);
        check(&[4], 500, 4.0);
        check(&[4], 0, 4.0);
        check(&[], 500, 0.0);
    }

    #[test]
    fn the_median_is_the_middle_value() {
        let close = |found: f64, expect: f64| assert!((found - expect).abs() < 1e-9, "{found}");
        close(median([3.0, 1.0, 2.0]), 2.0);
        close(median([4.0, 1.0, 2.0, 3.0]), 2.0);
        close(median([5.0]), 5.0);
        close(median([]), 0.0);
    }
}
