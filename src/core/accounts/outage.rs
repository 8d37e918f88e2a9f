//! When nobody reaches the service: told apart from one account's trouble, and asked for gently until it is over.

use super::jitter::Jitter;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// During an outage one account is asked this often, give or take [`SPREAD`].
pub const RETRY: Duration = Duration::from_secs(20);
/// See [`RETRY`].
pub const SPREAD: Duration = Duration::from_secs(5);
/// After this many failures in a row a sweep is given up.
pub const GIVE_UP: u32 = 3;
/// What jitter is drawn for; no account has this number.
const DRAWN_FOR: u16 = u16::MAX;

/// Who has not been reached, and whether anybody is.
#[derive(Clone, Debug, Default)]
pub struct Outage {
    /// Accounts whose last question did not get through.
    unreached: BTreeSet<AccountId>,
    /// Failures in a row, of whichever accounts.
    in_a_row: u32,
    /// Nobody was reached in this sweep yet.
    lone: bool,
    /// Since when nobody is reached, and when the next one is asked.
    lasting: Option<Lasting>,
}

#[derive(Clone, Copy, Debug)]
struct Lasting {
    since: Timestamp,
    retry_at: Timestamp,
    last: AccountId,
}

/// What a failure means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// One account's trouble, as far as one knows.
    Alone,
    /// One account's trouble that is new: another one should be asked, to learn whether it is everybody's.
    AskAnother,
    /// The sweep is to be given up.
    GiveUp,
    /// Nobody is reached: an outage begins.
    Began,
    /// The outage goes on.
    GoesOn,
}

impl Outage {
    /// A sweep begins.
    pub fn sweep_began(&mut self) {
        self.in_a_row = 0;
        self.lone = true;
    }

    /// `account` did not reach the service; `everybody` is all accounts that can be asked.
    pub fn failed(
        &mut self,
        account: AccountId,
        everybody: &BTreeSet<AccountId>,
        jitter: Jitter,
        now: Timestamp,
    ) -> Meaning {
        let new = self.unreached.insert(account);
        self.in_a_row = self.in_a_row.saturating_add(1);
        let retry_at =
            now.plus(RETRY - SPREAD)
                .plus(jitter.up_to(SPREAD * 2, DRAWN_FOR, now.unix_ms()));
        if let Some(lasting) = &mut self.lasting {
            lasting.retry_at = retry_at;
            lasting.last = account;
            return Meaning::GoesOn;
        }
        let given_up = self.in_a_row >= GIVE_UP;
        if everybody.is_subset(&self.unreached) || (given_up && self.lone) {
            self.lasting = Some(Lasting {
                since: now,
                retry_at,
                last: account,
            });
            return Meaning::Began;
        }
        match (given_up, new && self.lone) {
            (true, _) => Meaning::GiveUp,
            (false, true) => Meaning::AskAnother,
            (false, false) => Meaning::Alone,
        }
    }

    /// `account` reached the service. Returns since when nobody had, if this ends an outage.
    pub fn reached(&mut self, account: AccountId) -> Option<Timestamp> {
        self.unreached.remove(&account);
        self.in_a_row = 0;
        self.lone = false;
        let ended = self.lasting.take()?;
        self.unreached.clear();
        Some(ended.since)
    }

    /// An account left.
    pub fn forget(&mut self, account: AccountId) {
        self.unreached.remove(&account);
    }

    /// During an outage: whom to ask next, and when. They take turns.
    #[must_use]
    pub fn next(&self, everybody: &BTreeSet<AccountId>) -> Option<(AccountId, Timestamp)> {
        let lasting = self.lasting?;
        let after = everybody.iter().find(|id| **id > lasting.last);
        let whom = after.or_else(|| everybody.first())?;
        Some((*whom, lasting.retry_at))
    }

    /// Whether nobody is reached.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.lasting.is_some()
    }

    /// Whether this account's last question got through.
    #[must_use]
    pub fn is_unreached(&self, account: AccountId) -> bool {
        self.unreached.contains(&account)
    }

    /// There is reason to try at `at` already: somebody asks, or the network came back.
    pub fn hurry(&mut self, at: Timestamp) {
        if let Some(lasting) = &mut self.lasting {
            lasting.retry_at = lasting.retry_at.min(at);
        }
    }

    /// The clock was set back.
    pub fn rewind(&mut self, now: Timestamp) {
        if let Some(lasting) = &mut self.lasting {
            lasting.since = lasting.since.min(now);
            lasting.retry_at = lasting.retry_at.min(now.plus(RETRY + SPREAD));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> AccountId {
        AccountId::new(n).expect("in range")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    /// `1x 2x 3.`: one and two fail, three is reached; `|` begins a sweep. Returns what the last failure meant.
    fn play(accounts: u16, story: &str) -> (Outage, Option<Meaning>) {
        let everybody: BTreeSet<AccountId> = (1..=accounts).map(id).collect();
        let mut outage = Outage::default();
        let mut meaning = None;
        outage.sweep_began();
        for (second, word) in (0_i64..).zip(story.split_whitespace()) {
            let number = word.trim_end_matches(['x', '.', '|']).parse().map(id);
            match number {
                Ok(account) if word.ends_with('x') => {
                    meaning = Some(outage.failed(account, &everybody, Jitter::new(1), at(second)));
                }
                Ok(account) => {
                    outage.reached(account);
                }
                Err(_) => outage.sweep_began(),
            }
        }
        (outage, meaning)
    }

    #[test]
    fn one_accounts_trouble_is_not_everybodys() {
        let rows = [
            ("the only account", 1, "1x", Meaning::Began),
            ("a witness is called", 6, "1x", Meaning::AskAnother),
            ("the witness confirms it", 2, "1x 2x", Meaning::Began),
            (
                "three in a row, nobody reached",
                6,
                "1x 2x 3x",
                Meaning::Began,
            ),
            (
                "three in a row after an answer",
                6,
                "1. 2x 3x 4x",
                Meaning::GiveUp,
            ),
            ("answers between", 6, "1x 2. 3x 4x", Meaning::Alone),
            (
                "known trouble calls no witness",
                6,
                "1x 2. | 1x",
                Meaning::Alone,
            ),
            (
                "everybody, over several sweeps",
                3,
                "1x 2. | 3. 2x | 3x",
                Meaning::Began,
            ),
            ("it goes on", 2, "1x 2x 1x", Meaning::GoesOn),
        ];
        for (name, accounts, story, expected) in rows {
            assert_eq!(play(accounts, story).1, Some(expected), "{name}");
        }
    }

    #[test]
    fn accounts_take_turns_each_20_seconds_give_or_take_5() {
        let everybody: BTreeSet<AccountId> = (1..=3).map(id).collect();
        let (mut outage, _) = play(3, "1x 2x 3x");
        let mut asked = Vec::new();
        let mut now = at(2);
        for _ in 0..60 {
            let (whom, when) = outage.next(&everybody).expect("an outage");
            let wait = when.since(now);
            assert!(wait >= RETRY - SPREAD && wait <= RETRY + SPREAD, "{wait:?}");
            now = when;
            asked.push(whom.number());
            outage.failed(whom, &everybody, Jitter::new(1), now);
        }
        assert_eq!(asked[..6], [1, 2, 3, 1, 2, 3]);
        assert_eq!(outage.reached(id(2)), Some(at(2)));
        assert_eq!(outage.reached(id(2)), None);
        assert!(!outage.is_unreached(id(1)), "all are asked anew");
    }
}
