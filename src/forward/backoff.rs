//! How long to wait before the next attempt.
//!
//! Exponential with full jitter: the n-th wait is uniform between 0 and min(30 s, 500 ms · 2ⁿ). Sidecars that lost the same
//! destination at the same moment then do not come back at the same moment.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

/// The waits after consecutive failures.
#[derive(Debug)]
pub struct Backoff {
    rng: StdRng,
    ceiling: Duration,
}

impl Backoff {
    /// Equal seeds give equal waits.
    pub fn seeded(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), ceiling: FIRST }
    }

    /// The wait after another failure.
    pub fn next_wait(&mut self) -> Duration {
        let ceiling_ns = crate::units::nanos(self.ceiling);
        self.ceiling = (self.ceiling * 2).min(LONGEST);
        Duration::from_nanos(self.rng.random_range(0..=ceiling_ns))
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.ceiling = FIRST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_the_longest_and_start_over() {
        for seed in 0..200 {
            let mut backoff = Backoff::seeded(seed);
            for ceiling_ms in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
                assert!(backoff.next_wait() <= Duration::from_millis(ceiling_ms));
            }
            backoff.reset();
            assert!(backoff.next_wait() <= FIRST);
        }
    }

    #[test]
    fn jitter_is_full_and_seeded() {
        let waits = |seed| {
            let mut backoff = Backoff::seeded(seed);
            (0..10).map(|_| backoff.next_wait()).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        // The tenth wait over many seeds covers both ends of 0 … 30 s.
        let tenths: Vec<_> = (0..500).map(|seed| waits(seed)[9]).collect();
        assert!(tenths.iter().any(|wait| *wait < Duration::from_secs(1)));
        assert!(tenths.iter().any(|wait| *wait > Duration::from_secs(29)));
    }
}
