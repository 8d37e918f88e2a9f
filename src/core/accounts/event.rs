//! What can happen to the roster: everything that the [`super::machine::Machine`] is told.

use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Sample, Source};
use std::time::Duration;

/// Names a client's pending reply. Whoever sends [`Event::Refresh`] chooses it, and no two of a machine's life are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What is known of an account when it enters the roster. All of it is kept by the database across restarts.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownAccount {
    /// Which account.
    pub id: AccountId,
    /// It has an identity: somebody signed in there once. Others are not asked for.
    pub signed_in: bool,
    /// The newest good sample.
    pub held: Option<Sample>,
    /// When its usage was last asked for, whatever came of it.
    pub probed_at: Option<Timestamp>,
    /// The login is known to be dead.
    pub needs_login: bool,
    /// When claude first said that it is logged out, while that is not confirmed.
    pub logged_out_at: Option<Timestamp>,
    /// A session was refused by the plan limit; until when.
    pub limited_until: Option<Timestamp>,
    /// Live sessions and reservations.
    pub sessions: u32,
}

impl KnownAccount {
    /// An account that somebody has just signed in to, and of which nothing else is known.
    #[must_use]
    pub const fn new(id: AccountId) -> Self {
        Self {
            id,
            signed_in: true,
            held: None,
            probed_at: None,
            needs_login: false,
            logged_out_at: None,
            limited_until: None,
            sessions: 0,
        }
    }
}

/// Which accounts a client wants sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every account that can be asked.
    All,
    /// This one.
    One(AccountId),
}

/// What `claude auth status` says of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginVerdict {
    /// Somebody is signed in.
    LoggedIn,
    /// Nobody is, and the place where the login would be can be read.
    LoggedOut,
    /// It cannot be told: the place is locked (a Keychain over SSH), or there was no answer.
    Unknown,
}

/// What asking one source for one account's usage came to.
#[derive(Clone, Debug, PartialEq)]
pub enum ProbeOutcome {
    /// Numbers, of this account and no other.
    Measured(Sample),
    /// The very numbers that are held already. An answer: the login lives.
    Unchanged,
    /// The service says that it is asked too often (429). Says nothing about the account's own limits.
    Throttled {
        /// How long it asks to be left alone, as it says so.
        retry_after: Option<Duration>,
    },
    /// Somebody is signed in, and there are no numbers: throttled or offline, the agent does not say which.
    NoNumbers,
    /// The service was not reached at all.
    Unreachable,
    /// There is reason to believe that the login is dead.
    LoginSuspected {
        /// What `claude auth status` said to that, where it was asked already.
        verdict: Option<LoginVerdict>,
    },
    /// This source has no answer, and another may have one.
    Failed {
        /// Why, for people; no secret.
        reason: String,
    },
}

/// What can happen. An outside failure is an event like any other.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The roster as the database has it. Sent once at the start, and again whenever the database was changed behind
    /// the machine's back, by a session's report above all: accounts that are not in it leave the roster.
    Loaded {
        /// Every account.
        accounts: Vec<KnownAccount>,
        /// The newest launch that is remembered; none counts as now.
        last_launch: Option<Timestamp>,
        /// Since when sampling was paused, as the database has it.
        paused_since: Option<Timestamp>,
    },
    /// Which sources are asked, in which order (`[usage] sources`; `live` cannot be asked and is passed over).
    SourcesChanged {
        /// In order.
        sources: Vec<Source>,
    },
    /// An account was added, or adopted.
    AccountAdded(KnownAccount),
    /// An account is gone.
    AccountRemoved {
        /// Which.
        account: AccountId,
    },
    /// An account has another label, or something else that launchers see and that does not concern sampling (a pin, an
    /// overlay's stamp).
    AccountChanged {
        /// Which.
        account: AccountId,
    },
    /// Somebody signed in to an account just now.
    SignedIn {
        /// Which.
        account: AccountId,
    },
    /// A new lease was seen: somebody launched a session.
    SessionStarted {
        /// On which account.
        account: AccountId,
    },
    /// A lease ended.
    SessionEnded {
        /// On which account.
        account: AccountId,
    },
    /// The leases were counted anew. Corrects the number without being a launch.
    SessionsCounted {
        /// Of which account.
        account: AccountId,
        /// Live sessions and reservations. A scan that failed is no event: what was busy stays busy.
        live: u32,
    },
    /// The answer to [`super::action::Action::Probe`]. Each such action is answered by exactly one.
    Probed {
        /// Of which account.
        account: AccountId,
        /// Which source was asked.
        source: Source,
        /// What it said.
        outcome: ProbeOutcome,
    },
    /// The answer to [`super::action::Action::ConfirmLogin`]. Each such action is answered by exactly one.
    LoginChecked {
        /// Of which account.
        account: AccountId,
        /// What claude says.
        verdict: LoginVerdict,
    },
    /// A session was refused by the plan limit, or serves again.
    LimitReported {
        /// On which account.
        account: AccountId,
        /// Until when it is refused; none lifts the limit.
        until: Option<Timestamp>,
        /// When that was seen.
        reported_at: Timestamp,
    },
    /// A session could not authenticate: worth asking claude about the login.
    AuthenticationFailed {
        /// On which account.
        account: AccountId,
    },
    /// A client wants numbers now. Answered by exactly one [`super::action::Action::Reply`], within
    /// [`super::refresh::PATIENCE`].
    Refresh {
        /// Names the reply.
        ticket: Ticket,
        /// Of which accounts.
        which: Which,
    },
    /// Battery saver was switched on or off.
    Saver {
        /// On.
        on: bool,
    },
    /// The computer woke up, or its network came back.
    Woke,
    /// The instant of [`super::machine::Machine::next_deadline`] has come. Harmless at any time.
    Tick,
}
