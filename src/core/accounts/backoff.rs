//! Leaving a service alone that says it is asked too often: longer each time, never for long.

use crate::core::time::Timestamp;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
/// How long it is left alone after the first, second, … refusal in a row.
pub const STEPS: [Duration; 5] = [
    Duration::from_secs(3 * 60),
    Duration::from_secs(6 * 60),
    Duration::from_secs(12 * 60),
    Duration::from_secs(24 * 60),
    LONGEST,
];
/// The longest wait, whatever the service asks for: numbers half an hour old are still of use, older ones mislead.
pub const LONGEST: Duration = MINUTE.saturating_mul(30);

/// How often in a row a service refused, and until when it is left alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoff {
    times: u32,
    until: Option<Timestamp>,
}

impl Backoff {
    /// It refused. The wait is the step's, or what the service asks for if that is longer; 0 is not believed. A refusal
    /// of a question that was asked before the wait began counts as the same one.
    pub fn refused(&mut self, retry_after: Option<Duration>, now: Timestamp) -> Timestamp {
        if let Some(until) = self.until(now) {
            return until;
        }
        let step = STEPS[(self.times as usize).min(STEPS.len() - 1)];
        let wait = retry_after
            .map_or(step, |asked| asked.max(step))
            .min(LONGEST);
        let until = now.plus(wait);
        self.times = self.times.saturating_add(1);
        self.until = Some(until);
        until
    }

    /// It answered. Returns whether it had refused before.
    pub fn answered(&mut self) -> bool {
        let before = self.times > 0;
        *self = Self::default();
        before
    }

    /// Until when it is left alone; none when it may be asked.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    /// The end of the last wait, passed or not.
    #[must_use]
    pub const fn last_until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Refusals in a row.
    #[must_use]
    pub const fn times(&self) -> u32 {
        self.times
    }

    /// The clock was set back: a wait is never longer than the longest.
    pub fn rewind(&mut self, now: Timestamp) {
        self.until = self.until.map(|until| until.min(now.plus(LONGEST)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn each_refusal_in_a_row_waits_longer_up_to_half_an_hour() {
        let mut backoff = Backoff::default();
        let mut now = at(0);
        for minutes in [3, 6, 12, 24, 30, 30, 30] {
            let until = backoff.refused(None, now);
            assert_eq!(until, now.plus(MINUTE * minutes), "after {:?}", now);
            now = until;
        }
        assert!(backoff.answered());
        assert!(!backoff.answered());
        assert_eq!(backoff.refused(None, now), now.plus(MINUTE * 3));
    }

    #[test]
    fn what_the_service_asks_for_is_honoured_within_reason() {
        let rows = [
            ("nothing", None, 180),
            ("0 is not believed", Some(0), 180),
            ("less than the step", Some(20), 180),
            ("more than the step", Some(1000), 1000),
            ("a day", Some(86_400), 1800),
        ];
        for (name, asked, expected) in rows {
            let until = Backoff::default().refused(asked.map(Duration::from_secs), at(0));
            assert_eq!(until, at(expected), "{name}");
        }
    }

    #[test]
    fn late_refusals_and_a_clock_set_back_do_not_lengthen_it() {
        let mut backoff = Backoff::default();
        let until = backoff.refused(None, at(100_000));
        assert_eq!(backoff.refused(None, at(100_002)), until);
        assert_eq!(backoff.times(), 1);
        backoff.rewind(at(10_000));
        assert_eq!(backoff.until(at(10_000)), Some(at(11_800)));
    }
}
