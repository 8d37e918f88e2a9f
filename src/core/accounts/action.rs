//! What the roster wants done: everything that the [`super::machine::Machine`] decides. Actions are performed in their
//! order; none of them fails back into the machine except as an [`super::event::Event`].

use super::event::Ticket;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Acceptance, Sample, Source};
use std::time::Duration;

/// What stands in the way of knowing an account's usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The service says that it is asked too often.
    Throttled,
    /// The agent has no numbers: throttled or offline.
    NoNumbers,
    /// The service is not reached.
    Unreachable,
    /// The login may be dead; not confirmed.
    LoginSuspected,
    /// claude says once that it is logged out. To be remembered across restarts as
    /// [`super::event::KnownAccount::logged_out_at`].
    LoggedOut,
    /// No source had an answer: why, of the last one asked; for people.
    Failed(String),
}

impl Problem {
    /// For people: lower case, one line.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Throttled => "the usage read was throttled",
            Self::NoNumbers => "the usage read was throttled or offline",
            Self::Unreachable => "the service cannot be reached",
            Self::LoginSuspected => "the login may be dead",
            Self::LoggedOut => "claude says it is logged out",
            Self::Failed(reason) => reason,
        }
    }
}

/// What a client's wish came to for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refreshed {
    /// It was asked and answered: its numbers are as new as they get.
    Fresh,
    /// It was asked, and this stood in the way.
    Problem(Problem),
    /// It was not asked: the service wants to be left alone until then.
    BackingOff {
        /// Until when.
        until: Timestamp,
    },
    /// It needs a sign-in before it can be asked.
    NeedsLogin,
    /// It cannot be asked: nobody ever signed in there, or no source is set that can be asked.
    NotAsked,
    /// It left the roster, or was never in it.
    Unknown,
    /// There was no time left to ask it.
    NotReached,
}

/// The end of a client's wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What it came to, by account.
    Done(Vec<(AccountId, Refreshed)>),
    /// Too many clients wait already.
    Busy,
}

/// What is worth a line in the log, beside what the other actions say themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The service throttles: nobody is asked until then.
    BackedOff {
        /// Until when.
        until: Timestamp,
        /// How many times in a row.
        times: u32,
    },
    /// The service answers again after throttling.
    BackOffEnded,
    /// No account reaches the service.
    OutageBegan,
    /// The service is reached again.
    OutageEnded {
        /// Since when it was not.
        since: Timestamp,
    },
    /// A sweep was given up; these accounts were not asked.
    SweepGivenUp {
        /// How many.
        left: usize,
    },
    /// The clock was moved, or the computer slept.
    ClockJumped {
        /// By how much, in milliseconds; negative when set back.
        by_ms: i64,
    },
    /// A sample was offered and refused.
    SampleRefused {
        /// Of which account.
        account: AccountId,
        /// Why.
        why: Acceptance,
    },
    /// An account could not be sampled.
    NoAnswer {
        /// Which.
        account: AccountId,
        /// Why.
        problem: Problem,
    },
    /// A probe or a login check was never answered; it counts as failed.
    AnswerLost {
        /// Of which account.
        account: AccountId,
    },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask this source for the account's usage, and come back with [`super::event::Event::Probed`]. There is never
    /// another probe or login check under way.
    Probe {
        /// Which account.
        account: AccountId,
        /// Which source; never `live`.
        source: Source,
    },
    /// Ask claude who is logged in (`claude auth status`), and come back with
    /// [`super::event::Event::LoginChecked`].
    ConfirmLogin {
        /// Under which account.
        account: AccountId,
    },
    /// Keep a sample: it is newer than the one held.
    Keep {
        /// Of which account.
        account: AccountId,
        /// The sample.
        sample: Sample,
    },
    /// Remember that the account was asked now, and what stood in the way; none after an answer, which is also proof
    /// that the login lives.
    SetProbed {
        /// Which account.
        account: AccountId,
        /// What stood in the way.
        problem: Option<Problem>,
    },
    /// Remember whether the login is known to be dead.
    SetNeedsLogin {
        /// Which account.
        account: AccountId,
        /// It is.
        needs: bool,
    },
    /// Remember until when the plan refuses the account.
    SetLimited {
        /// Which account.
        account: AccountId,
        /// Until when; none when it does not.
        until: Option<Timestamp>,
        /// When that was seen.
        reported_at: Timestamp,
    },
    /// Remember how often the account is sampled at present: its numbers are stale at twice that age.
    SetCadence {
        /// Which account.
        account: AccountId,
        /// How often.
        every: Duration,
    },
    /// Remember since when sampling is paused on purpose; none when it is not. A pause does not age samples.
    SetPaused {
        /// Since when.
        since: Option<Timestamp>,
    },
    /// Write `snapshot.json`; after a completed sweep, `status.json` too.
    Publish {
        /// A sweep was completed.
        sweep: bool,
    },
    /// Answer a client.
    Reply {
        /// The one it gave.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// Write a line into the log.
    Log(Fact),
}
