//! When a login counts as dead. It takes two answers "logged out" a minute apart, each with a readable store; anything
//! that works afterwards is proof of the contrary.

use super::event::LoginVerdict;
use crate::core::time::Timestamp;
use std::time::Duration;

/// How far apart the two answers are that it takes.
pub const EVIDENCE: Duration = Duration::from_secs(60);
/// How often a dead login is looked at again, and one that could not be judged.
pub const LOOK_AGAIN: Duration = Duration::from_secs(15 * 60);

/// What is believed about one login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Login {
    /// Nothing speaks against it.
    #[default]
    Alive,
    /// A session says that it could not authenticate; claude is to be asked.
    Doubted {
        /// When.
        look_at: Timestamp,
    },
    /// claude said once that it is logged out.
    LoggedOut {
        /// When it said so first.
        first: Timestamp,
        /// When it is asked again.
        look_at: Timestamp,
    },
    /// It needs a sign-in.
    Dead {
        /// When it is looked at again.
        look_at: Timestamp,
    },
}

/// What a verdict changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that anybody has to know.
    None,
    /// It is dead from now on.
    Died,
    /// It is alive again.
    Revived,
}

impl Login {
    /// As it was left by an earlier run.
    #[must_use]
    pub fn restored(needs_login: bool, logged_out_at: Option<Timestamp>, now: Timestamp) -> Self {
        match logged_out_at {
            _ if needs_login => Self::Dead {
                look_at: now.plus(EVIDENCE),
            },
            Some(first) => {
                let first = first.min(now);
                Self::LoggedOut {
                    first,
                    look_at: first.plus(EVIDENCE),
                }
            }
            None => Self::Alive,
        }
    }

    /// It needs a sign-in.
    #[must_use]
    pub const fn is_dead(self) -> bool {
        matches!(self, Self::Dead { .. })
    }

    /// When claude is to be asked about it; none when it need not be.
    #[must_use]
    pub const fn look_at(self) -> Option<Timestamp> {
        match self {
            Self::Alive => None,
            Self::Doubted { look_at }
            | Self::LoggedOut { look_at, .. }
            | Self::Dead { look_at } => Some(look_at),
        }
    }

    /// A session could not authenticate.
    pub fn doubt(&mut self, now: Timestamp) {
        if matches!(self, Self::Alive) {
            *self = Self::Doubted { look_at: now };
        }
    }

    /// Somebody wants to know now.
    pub fn look_now(&mut self, now: Timestamp) {
        if let Self::Dead { look_at } = self {
            *look_at = now;
        }
    }

    /// Something worked: numbers came back, or somebody signed in.
    pub fn succeeded(&mut self) -> Change {
        let dead = self.is_dead();
        *self = Self::Alive;
        if dead { Change::Revived } else { Change::None }
    }

    /// claude was asked.
    pub fn heard(&mut self, verdict: LoginVerdict, now: Timestamp) -> Change {
        match (verdict, *self) {
            (LoginVerdict::LoggedIn, _) => return self.succeeded(),
            (LoginVerdict::Unknown, Self::Doubted { .. }) => *self = Self::Alive,
            (LoginVerdict::Unknown, Self::LoggedOut { first, .. }) => {
                *self = Self::LoggedOut {
                    first,
                    look_at: now.plus(LOOK_AGAIN),
                };
            }
            (LoginVerdict::Unknown, Self::Alive) => {}
            (LoginVerdict::LoggedOut, Self::Alive | Self::Doubted { .. }) => {
                *self = Self::LoggedOut {
                    first: now,
                    look_at: now.plus(EVIDENCE),
                };
            }
            (LoginVerdict::LoggedOut, Self::LoggedOut { first, .. }) => {
                if now.since(first) >= EVIDENCE {
                    *self = Self::Dead {
                        look_at: now.plus(LOOK_AGAIN),
                    };
                    return Change::Died;
                }
                *self = Self::LoggedOut {
                    first,
                    look_at: first.plus(EVIDENCE),
                };
            }
            (LoginVerdict::LoggedOut | LoginVerdict::Unknown, Self::Dead { .. }) => {
                *self = Self::Dead {
                    look_at: now.plus(LOOK_AGAIN),
                };
            }
        }
        Change::None
    }

    /// The clock was set back: no look lies further ahead than the longest wait.
    pub fn rewind(&mut self, now: Timestamp) {
        let latest = now.plus(LOOK_AGAIN);
        match self {
            Self::Alive => {}
            Self::LoggedOut { first, look_at } => {
                *first = (*first).min(now);
                *look_at = (*look_at).min(latest);
            }
            Self::Doubted { look_at } | Self::Dead { look_at } => *look_at = (*look_at).min(latest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1000)
    }

    #[test]
    fn it_takes_two_answers_a_minute_apart() {
        use Change::{Died, None as Nothing, Revived};
        let (yes, no, unknown) = (
            LoginVerdict::LoggedIn,
            LoginVerdict::LoggedOut,
            LoginVerdict::Unknown,
        );
        type Row<'a> = (&'a str, &'a [(i64, LoginVerdict)], Change, bool);
        let rows: [Row<'_>; 8] = [
            ("once", &[(0, no)], Nothing, false),
            ("twice, too close", &[(0, no), (59, no)], Nothing, false),
            ("twice", &[(0, no), (60, no)], Died, true),
            (
                "thrice, the first still counts",
                &[(0, no), (30, no), (60, no)],
                Died,
                true,
            ),
            (
                "a success between",
                &[(0, no), (30, yes), (60, no)],
                Nothing,
                false,
            ),
            (
                "a locked store proves nothing",
                &[(0, unknown), (60, unknown)],
                Nothing,
                false,
            ),
            (
                "nor does it clear",
                &[(0, no), (60, unknown), (120, no)],
                Died,
                true,
            ),
            (
                "any success clears",
                &[(0, no), (60, no), (900, yes)],
                Revived,
                false,
            ),
        ];
        for (name, heard, change, dead) in rows {
            let mut login = Login::default();
            let last = heard.iter().map(|(s, v)| login.heard(*v, at(*s))).last();
            assert_eq!((last, login.is_dead()), (Some(change), dead), "{name}");
        }
    }

    #[test]
    fn it_is_looked_at_again_in_time() {
        let mut login = Login::default();
        assert_eq!(login.look_at(), None);
        login.doubt(at(5));
        assert_eq!(login.look_at(), Some(at(5)));
        login.heard(LoginVerdict::LoggedOut, at(6));
        assert_eq!(login.look_at(), Some(at(66)));
        login.heard(LoginVerdict::Unknown, at(66));
        assert_eq!(
            login.look_at(),
            Some(at(966)),
            "no haste with a locked store"
        );
        login.heard(LoginVerdict::LoggedOut, at(966));
        assert_eq!(login.look_at(), Some(at(1866)));
        login.rewind(at(0));
        assert_eq!(login.look_at(), Some(at(900)));
    }

    #[test]
    fn evidence_outlives_a_restart() {
        let mut login = Login::restored(false, Some(at(10)), at(500));
        assert_eq!(login.look_at(), Some(at(70)), "overdue");
        assert_eq!(login.heard(LoginVerdict::LoggedOut, at(500)), Change::Died);
        assert!(Login::restored(true, None, at(0)).is_dead());
    }
}
