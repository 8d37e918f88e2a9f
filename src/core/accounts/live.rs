//! Which of the numbers that running sessions show are measurements. A session shows its status when a turn ends, and for
//! reasons of its own in between (another conversation is opened, the mode is changed): then they are those of before, and
//! were measured then. Several sessions of one account show the same.

use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Acceptance, Sample, Source, Window, accept};
use std::collections::BTreeMap;
use std::time::Duration;

/// Numbers that did not change are told again after this long: that they did not is worth knowing.
pub const AGAIN: Duration = Duration::from_secs(60);

/// What a session showed.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The conversation.
    pub conversation: String,
    /// It has a prompt since it was opened.
    pub prompted: bool,
    /// For how long the service answered it, in milliseconds; each answer adds to it.
    pub answered_ms: f64,
    /// The numbers.
    pub windows: Vec<Window>,
}

/// What was shown last, by each process, and told last, of each account.
#[derive(Debug)]
pub struct Live<Process> {
    shown: BTreeMap<Process, Shown>,
    told: BTreeMap<AccountId, Sample>,
}

impl<Process> Default for Live<Process> {
    fn default() -> Self {
        Self {
            shown: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }
}

impl<Process: Ord> Live<Process> {
    /// A process of this account showed this at `at`. The sample, where that is one that nobody was told yet.
    pub fn heard(
        &mut self,
        process: Process,
        account: AccountId,
        shown: Shown,
        at: Timestamp,
    ) -> Option<Sample> {
        let sample = Sample {
            measured_at: at,
            source: Source::Live,
            windows: shown.windows.clone(),
            extra: None,
        };
        let before = self.shown.insert(process, shown.clone());
        if shown.windows.is_empty() || !is_measured(before.as_ref(), &shown) {
            return None;
        }
        let told = self.told.get(&account);
        if accept(told, &sample) != Acceptance::Accepted {
            return None;
        }
        let is_same = |told: &Sample| told.windows == sample.windows;
        if told.is_some_and(|told| is_same(told) && at.since(told.measured_at) < AGAIN) {
            return None;
        }
        self.told.insert(account, sample.clone());
        Some(sample)
    }

    /// A process is over.
    pub fn forget(&mut self, process: &Process) {
        self.shown.remove(process);
    }
}

/// Whether the numbers came with an answer since the last time.
fn is_measured(before: Option<&Shown>, now: &Shown) -> bool {
    match before {
        // Nobody knows what was shown before. Without a prompt there was no answer.
        None => now.prompted,
        Some(before) => {
            before.windows != now.windows
                || (before.conversation == now.conversation && before.answered_ms < now.answered_ms)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::usage::{Used, WindowKind};

    /// Shows of processes, `PROCESS:CONVERSATION[!]:ANSWERED:USED@SECOND` (`!` after a prompt), and the seconds whose
    /// numbers are told. Processes a, b, c are on one account, others on another.
    #[track_caller]
    fn check(name: &str, shows: &str, expected: &[i64]) {
        let mut live = Live::default();
        let mut told = Vec::new();
        for show in shows.split_whitespace() {
            let (what, at) = show.split_once('@').expect("a time");
            let parts: Vec<&str> = what.split(':').collect();
            let account = if "abc".contains(parts[0]) { 1 } else { 2 };
            let window = |used: f64| Window {
                kind: WindowKind::FiveHour,
                used: Used::from_percent(used).expect("a number"),
                resets_at: Some(Timestamp::from_unix_ms(9_000_000)),
            };
            let shown = Shown {
                conversation: parts[1].trim_end_matches('!').to_owned(),
                prompted: parts[1].ends_with('!'),
                answered_ms: parts[2].parse().expect("a number"),
                windows: parts[3].parse().ok().map(window).into_iter().collect(),
            };
            let at = Timestamp::from_unix_ms(at.parse::<i64>().expect("seconds") * 1000);
            let account = AccountId::new(account).expect("in range");
            let sample = live.heard(parts[0].to_owned(), account, shown, at);
            told.extend(sample.map(|sample| sample.measured_at.unix_ms() / 1000));
        }
        assert_eq!(told, expected, "{name}: {shows}");
    }

    #[test]
    fn numbers_are_told_when_they_were_measured() {
        check("without numbers", "a:s:0:-@1 a:s!:40:-@2", &[]);
        check(
            "each turn that changes them",
            "a:s!:40:31@1 a:s!:80:32@2 a:s!:99:40@3",
            &[1, 2, 3],
        );
        check(
            "unchanged ones once a minute",
            "a:s!:4:31@1 a:s!:5:31@20 a:s!:6:31@61 a:s!:7:31@70",
            &[1, 61],
        );
        check(
            "drawn again without a turn",
            "a:s!:4:31@1 a:s!:4:31@90",
            &[1],
        );
        check(
            "another conversation is begun, then used",
            "a:s!:4:31@1 a:t:0:31@90 a:t!:7:31@99",
            &[1, 99],
        );
        check(
            "one is gone on with, then used",
            "a:t!:3:30@1 a:s:47:30@90 a:s!:47:30@95 a:s!:59:30@99",
            &[1, 99],
        );
        check(
            "refused: nothing is answered, the numbers change",
            "a:s!:4:31@1 a:s!:4:100@2",
            &[1, 2],
        );
        check("a new daemon hears of a turn", "a:s!:4:31@1", &[1]);
        check("and of none", "a:t:0:31@1 a:s:47:31@2", &[]);
    }

    #[test]
    fn sessions_of_one_account_tell_together() {
        check("the same", "a:s!:4:31@1 b:t!:4:31@2 c:u!:4:31@3", &[1]);
        check("another account's", "a:s!:4:31@1 d:t!:4:31@2", &[1, 2]);
        check(
            "a late one shows less",
            "a:s!:4:40@5 b:t!:4:31@6 b:t!:5:41@7",
            &[5, 7],
        );
        check("out of order", "a:s!:4:31@5 b:t!:4:30@3", &[5]);
    }
}
