//! One account as the machine tracks it.

use super::backoff::{Backoff, LONGEST};
use super::event::KnownAccount;
use super::login::Login;
use super::schedule::Standing;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Acceptance, Sample, Window, accept, carry_over};
use std::time::Duration;

/// A sample measured later than this after now was measured before the clock was set back: it must not stand in the way
/// of every later one.
const CLOCK_SLACK: Duration = Duration::from_secs(300);
/// Less than this more is no more use.
const ROUNDING: f64 = 1.0;

/// What is known of an account, and what is wanted of it.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    pub(super) id: AccountId,
    pub(super) signed_in: bool,
    pub(super) sessions: u32,
    pub(super) held: Option<Sample>,
    /// When it was asked last, whatever came of it.
    pub(super) asked_at: Option<Timestamp>,
    /// When a session of it reported last.
    pub(super) reported_at: Option<Timestamp>,
    /// Its sessions report what they use, and the last question found no more than that: they do nothing now.
    pub(super) rests: bool,
    pub(super) limited_until: Option<Timestamp>,
    /// When the last report about a limit was made.
    pub(super) limit_reported_at: Option<Timestamp>,
    pub(super) login: Login,
    /// When claude was asked about its login last.
    pub(super) checked_at: Option<Timestamp>,
    /// It had no numbers, and the agent did not say why.
    pub(super) quiet: Backoff,
    /// It is to be asked at once: from when on.
    pub(super) wanted: Option<Timestamp>,
    /// A sweep was given up before it was asked: not before this.
    pub(super) put_off: Option<Timestamp>,
    /// The cadence as it was told.
    pub(super) told_cadence: Option<Duration>,
}

impl Tracked {
    pub(super) fn new(known: KnownAccount, now: Timestamp) -> Self {
        Self {
            id: known.id,
            signed_in: known.signed_in,
            sessions: known.sessions,
            held: known.held,
            asked_at: known.probed_at.map(|at| at.min(now)),
            reported_at: None,
            rests: false,
            limited_until: known.limited_until,
            limit_reported_at: None,
            login: Login::restored(known.needs_login, known.logged_out_at, now),
            checked_at: None,
            quiet: Backoff::default(),
            wanted: None,
            put_off: None,
            told_cadence: None,
        }
    }

    /// Takes over what the database has newer; what was learnt since stays.
    pub(super) fn reload(&mut self, known: KnownAccount, now: Timestamp) {
        self.signed_in = known.signed_in;
        self.count(known.sessions);
        self.limited_until = known.limited_until;
        self.asked_at = self.asked_at.max(known.probed_at.map(|at| at.min(now)));
        let newer = |new: &Sample| {
            let held = self.held.as_ref();
            held.is_none_or(|held| held.measured_at < new.measured_at)
        };
        if known.held.as_ref().is_some_and(newer) {
            self.held = known.held;
        }
        if known.needs_login != self.login.is_dead() {
            self.login = Login::restored(known.needs_login, known.logged_out_at, now);
        }
    }

    pub(super) fn standing(&self) -> Standing<'_> {
        Standing {
            id: self.id,
            busy: self.is_busy(),
            asked_at: self.asked_at,
            reported_at: self.reported_at,
            held: self.held.as_ref(),
            limited_until: self.limited_until,
        }
    }

    /// Its sessions may be using it.
    pub(super) const fn is_busy(&self) -> bool {
        self.sessions > 0 && !self.rests
    }

    /// So many sessions run now. A new one may be of the kind that does not report.
    pub(super) const fn count(&mut self, sessions: u32) {
        if sessions > self.sessions {
            self.rests = false;
        }
        self.sessions = sessions;
    }

    /// A session of it reported.
    pub(super) fn heard(&mut self, at: Timestamp) {
        if self.reported_at < Some(at) {
            self.reported_at = Some(at);
            self.rests = false;
        }
    }

    /// It was asked, and these are its numbers.
    pub(super) fn asked(&mut self, sample: &Sample, now: Timestamp) -> Acceptance {
        let held = self.held.as_ref();
        let found_nothing = held.is_some_and(|held| !shows_more_use(held, sample));
        self.rests = found_nothing && self.reported_at.is_some();
        self.offer(sample, now)
    }

    /// Judges a sample, and holds it when it is good. Somebody's clock may be ahead: measured now at the latest.
    fn offer(&mut self, sample: &Sample, now: Timestamp) -> Acceptance {
        let mut new = sample.clone();
        new.measured_at = new.measured_at.min(now);
        let latest = now.plus(CLOCK_SLACK);
        if self.held.as_ref().is_some_and(|h| h.measured_at > latest) {
            self.held = None;
        }
        let verdict = accept(self.held.as_ref(), &new);
        if verdict == Acceptance::Accepted {
            self.held = Some(carry_over(self.held.as_ref(), new));
        }
        verdict
    }

    /// It is to be asked, at `at` at the latest.
    pub(super) fn want(&mut self, at: Timestamp) {
        self.wanted = Some(self.wanted.map_or(at, |before| before.min(at)));
        self.put_off = None;
        self.login.look_now(at);
    }

    /// The clock was set back: nothing that happened lies ahead, and nothing that is to come lies far ahead.
    pub(super) fn rewind(&mut self, now: Timestamp, furthest: Duration) {
        self.asked_at = self.asked_at.map(|at| at.min(now));
        self.reported_at = self.reported_at.map(|at| at.min(now));
        self.limit_reported_at = self.limit_reported_at.map(|at| at.min(now));
        self.checked_at = self.checked_at.map(|at| at.min(now));
        self.wanted = self.wanted.map(|at| at.min(now.plus(LONGEST)));
        self.put_off = self.put_off.map(|at| at.min(now.plus(furthest)));
        self.login.rewind(now);
        self.quiet.rewind(now);
    }
}

/// Whether a window is used more than it was. Sources round differently.
fn shows_more_use(held: &Sample, new: &Sample) -> bool {
    let before = |window: &Window| held.window(&window.kind).map(|w| w.used.percent());
    let mut windows = new.windows.iter();
    windows.any(|w| before(w).is_some_and(|before| w.used.percent() > before + ROUNDING))
}
