//! Jitter that is random enough to keep machines out of step, and the same again for the same seed.

use crate::core::hash;
use std::time::Duration;

/// Where jitter comes from.
#[derive(Clone, Copy, Debug)]
pub struct Jitter {
    seed: u64,
}

impl Jitter {
    /// The jitter of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// From nothing up to `span`, both included; by `what` it is for and `nth` time it is asked for.
    #[must_use]
    pub fn up_to(self, span: Duration, what: u16, nth: i64) -> Duration {
        let salted = hash::extend(hash::hash(&self.seed.to_le_bytes()), &what.to_le_bytes());
        let drawn = hash::extend(salted, &nth.to_le_bytes());
        // The last bytes hardly reach the upper half of the hash without being stirred once more.
        let stirred = (drawn ^ (drawn >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let span_ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis((stirred >> 16) % span_ms.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_in_its_span_and_fills_it() {
        let span = Duration::from_secs(30);
        let drawn: Vec<Duration> = (0..1000)
            .map(|n| Jitter::new(7).up_to(span, 3, n * 1000))
            .collect();
        assert!(drawn.iter().all(|d| *d <= span));
        let late = drawn.iter().filter(|d| **d > span / 2).count();
        assert!(
            (400..600).contains(&late),
            "{late} of 1000 in the upper half"
        );
        assert_eq!(Jitter::new(7).up_to(Duration::ZERO, 1, 1), Duration::ZERO);
    }

    #[test]
    fn it_is_the_same_for_the_same_seed_alone() {
        let draw = |seed| Jitter::new(seed).up_to(Duration::from_secs(3600), 1, 42);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
