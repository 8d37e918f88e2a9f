//! When sampling rests on purpose: on battery saver, and when nobody works.

use crate::core::time::Timestamp;
use std::time::Duration;

/// After this long without a launch, and with no session running, nobody works.
pub const UNUSED: Duration = Duration::from_secs(12 * 3600);
/// A pause counts as over, for the age of samples, once everybody was asked anew; or after this long.
pub const GRACE: Duration = Duration::from_secs(60);

/// Whether sampling rests, and since when the world believes so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause {
    saver: bool,
    last_launch: Option<Timestamp>,
    /// Since when, as it was told.
    told: Option<Timestamp>,
    /// It is over, and will be told at this instant at the latest.
    over_by: Option<Timestamp>,
}

impl Pause {
    /// What is remembered from before.
    pub fn load(
        &mut self,
        last_launch: Option<Timestamp>,
        paused_since: Option<Timestamp>,
        now: Timestamp,
    ) {
        let newest = self.last_launch.max(last_launch);
        self.last_launch = Some(newest.map_or(now, |at| at.min(now)));
        self.told = paused_since.map(|at| at.min(now));
        self.over_by = None;
    }

    /// Somebody launched a session.
    pub const fn launched(&mut self, now: Timestamp) {
        self.last_launch = Some(now);
    }

    /// Battery saver was switched.
    pub const fn saver(&mut self, on: bool) {
        self.saver = on;
    }

    /// Battery saver is on.
    #[must_use]
    pub const fn is_saving(&self) -> bool {
        self.saver
    }

    /// Whether sampling rests.
    #[must_use]
    pub fn is_on(&self, sessions: bool, now: Timestamp) -> bool {
        self.saver || self.idle_at(sessions).is_some_and(|at| at <= now)
    }

    fn idle_at(&self, sessions: bool) -> Option<Timestamp> {
        let launch = self.last_launch.filter(|_| !sessions)?;
        Some(launch.plus(UNUSED))
    }

    /// What is to be told now, if anything; `owed` says that somebody still has to be asked anew.
    pub fn news(
        &mut self,
        sessions: bool,
        owed: bool,
        now: Timestamp,
    ) -> Option<Option<Timestamp>> {
        if self.is_on(sessions, now) {
            self.over_by = None;
            if self.told.is_some() {
                return None;
            }
            self.told = Some(now);
            return Some(self.told);
        }
        self.told?;
        let by = *self.over_by.get_or_insert(now.plus(GRACE));
        if owed && by > now {
            return None;
        }
        self.told = None;
        self.over_by = None;
        Some(None)
    }

    /// When that may change by the passing of time alone.
    #[must_use]
    pub fn next_deadline(&self, sessions: bool) -> Option<Timestamp> {
        let begins = self
            .idle_at(sessions)
            .filter(|_| !self.saver && self.told.is_none());
        [begins, self.over_by].into_iter().flatten().min()
    }

    /// The clock was set back. Returns what is to be told anew.
    pub fn rewind(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.last_launch = self.last_launch.map(|at| at.min(now));
        self.over_by = self.over_by.map(|at| at.min(now.plus(GRACE)));
        let told = self.told.filter(|at| *at > now)?;
        self.told = Some(told.min(now));
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(h: i64) -> Timestamp {
        Timestamp::from_unix_ms(h * 3_600_000)
    }

    #[test]
    fn sampling_rests_when_nobody_works_or_power_is_short() {
        let rows = [
            ("launched just now", 0, false, false, false),
            ("11 hours ago", 11, false, false, false),
            ("12 hours ago", 12, false, false, true),
            ("12 hours ago, and still running", 12, true, false, false),
            ("battery saver", 0, true, true, true),
        ];
        for (name, hours, sessions, saver, expected) in rows {
            let mut pause = Pause::default();
            pause.load(Some(hour(0)), None, hour(0));
            pause.saver(saver);
            assert_eq!(pause.is_on(sessions, hour(hours)), expected, "{name}");
        }
        let mut fresh = Pause::default();
        fresh.load(None, None, hour(100));
        assert!(
            !fresh.is_on(false, hour(111)),
            "no launch known counts as now"
        );
    }

    #[test]
    fn it_is_told_once_and_ends_when_everybody_was_asked() {
        let mut pause = Pause::default();
        pause.load(Some(hour(0)), None, hour(0));
        assert_eq!(pause.next_deadline(false), Some(hour(12)));
        assert_eq!(pause.news(false, false, hour(11)), None);
        assert_eq!(pause.news(false, true, hour(12)), Some(Some(hour(12))));
        assert_eq!(pause.news(false, true, hour(13)), None);
        pause.launched(hour(14));
        assert_eq!(pause.news(true, true, hour(14)), None, "not asked yet");
        assert_eq!(pause.next_deadline(true), Some(hour(14).plus(GRACE)));
        assert_eq!(pause.news(true, false, hour(14)), Some(None));
        assert_eq!(pause.next_deadline(true), None);
    }
}
