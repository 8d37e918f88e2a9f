//! When sampling rests on purpose: on battery saver, and when nobody works. Numbers are for launches, so a session that
//! was left open is no work by itself; that it reports is, and that it ends.

use crate::core::time::Timestamp;
use std::time::Duration;

/// After this long without a launch, a session's report or a session's end, nobody works.
pub const UNUSED: Duration = Duration::from_secs(12 * 3600);
/// A pause counts as over, for the age of samples, once everybody was asked anew; or after this long.
pub const GRACE: Duration = Duration::from_secs(60);

/// Whether sampling rests, and since when the world believes so.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pause {
    saver: bool,
    worked_at: Option<Timestamp>,
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
        let newest = self.worked_at.max(last_launch);
        self.worked_at = Some(newest.map_or(now, |at| at.min(now)));
        self.told = paused_since.map(|at| at.min(now));
        self.over_by = None;
    }

    /// Somebody launched a session, or a session ended.
    pub const fn worked(&mut self, now: Timestamp) {
        self.worked_at = Some(now);
    }

    /// A session reported at this instant.
    pub fn heard(&mut self, at: Timestamp) {
        self.worked_at = self.worked_at.max(Some(at));
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
    pub fn is_on(&self, now: Timestamp) -> bool {
        self.saver || self.idle_at().is_some_and(|at| at <= now)
    }

    fn idle_at(&self) -> Option<Timestamp> {
        Some(self.worked_at?.plus(UNUSED))
    }

    /// What is to be told now, if anything; `owed` says that somebody still has to be asked anew.
    pub fn news(&mut self, owed: bool, now: Timestamp) -> Option<Option<Timestamp>> {
        if self.is_on(now) {
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
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let begins = self
            .idle_at()
            .filter(|_| !self.saver && self.told.is_none());
        [begins, self.over_by].into_iter().flatten().min()
    }

    /// The clock was set back. Returns what is to be told anew.
    pub fn rewind(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.worked_at = self.worked_at.map(|at| at.min(now));
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
            ("launched just now", 0, false, false),
            ("11 hours ago", 11, false, false),
            ("12 hours ago", 12, false, true),
            ("battery saver", 0, true, true),
        ];
        for (name, hours, saver, expected) in rows {
            let mut pause = Pause::default();
            pause.load(Some(hour(0)), None, hour(0));
            pause.saver(saver);
            assert_eq!(pause.is_on(hour(hours)), expected, "{name}");
        }
        let mut fresh = Pause::default();
        fresh.load(None, None, hour(100));
        assert!(!fresh.is_on(hour(111)), "no launch known counts as now");
    }

    #[test]
    fn it_is_told_once_and_ends_when_everybody_was_asked() {
        let mut pause = Pause::default();
        pause.load(Some(hour(0)), None, hour(0));
        assert_eq!(pause.next_deadline(), Some(hour(12)));
        assert_eq!(pause.news(false, hour(11)), None);
        assert_eq!(pause.news(true, hour(12)), Some(Some(hour(12))));
        assert_eq!(pause.news(true, hour(13)), None);
        pause.worked(hour(14));
        assert_eq!(pause.news(true, hour(14)), None, "not asked yet");
        assert_eq!(pause.next_deadline(), Some(hour(14).plus(GRACE)));
        assert_eq!(pause.news(false, hour(14)), Some(None));
        assert_eq!(pause.next_deadline(), Some(hour(26)));
    }
}
