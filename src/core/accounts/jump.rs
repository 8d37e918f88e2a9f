//! When the clock was moved or the computer slept: what was remembered is put right, and everybody is asked once, soon,
//! and no more than once.

use super::action::{Action, Fact};
use super::inquiry::ANSWER;
use super::machine::{COALESCE, Machine};
use super::schedule;
use crate::core::time::Timestamp;
use std::time::Duration;

/// The clock is corrected by less than this all the time, and a busy machine is late by less.
pub const NOTICED: Duration = Duration::from_secs(60);
/// After waking up, the network takes this long to come back.
pub const WAKE: Duration = Duration::from_secs(5);
/// See [`WAKE`]: up to this much longer.
pub const WAKE_JITTER: Duration = Duration::from_secs(10);
/// Waking is told in several ways at once; within this time they are one.
const SAME_WAKE: Duration = Duration::from_secs(60);
/// What jitter is drawn for; no account has this number.
const DRAWN_FOR: u16 = u16::MAX - 1;

impl Machine {
    /// Notices a jump, by what was due in between and by time that runs backwards.
    pub(super) fn look_at_clock(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let missed = self
            .next_deadline()
            .is_some_and(|due| now.since(due) > NOTICED);
        let Some(before) = self.heard_at.replace(now) else {
            return;
        };
        // A pause that began while nobody looked does not stand in the way: somebody worked before, and is back.
        let rested = self.is_paused(before);
        if now < before {
            self.rewind(now, actions);
        }
        let back = before.since(now) > NOTICED;
        if !missed && !back {
            return;
        }
        let by_ms = now.ms_since(before);
        actions.push(Action::Log(Fact::ClockJumped { by_ms }));
        // A question that is under way did not age by a moved clock, nor did who waits.
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.until = now.plus(ANSWER);
        }
        self.waiting.restart(now);
        if !rested {
            self.wake(now);
        }
    }

    /// Nothing that happened lies ahead, and nothing is awaited longer than it would be from now on. Also done for small
    /// corrections, which add up.
    fn rewind(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        for tracked in self.accounts.values_mut() {
            tracked.rewind(now, schedule::BUSY);
        }
        self.waiting.rewind(now);
        if let Some(inquiry) = &mut self.inquiry {
            inquiry.until = inquiry.until.min(now.plus(ANSWER));
        }
        self.backoff.rewind(now);
        self.outage.rewind(now);
        if let Some(since) = self.pause.rewind(now) {
            let since = Some(since);
            actions.push(Action::SetPaused { since });
        }
        self.inquired_at = self.inquired_at.map(|at| at.min(now));
        self.woken_at = self.woken_at.filter(|at| *at <= now);
        self.publish_at = self.publish_at.map(|at| at.min(now.plus(COALESCE)));
    }

    /// One sweep, soon.
    pub(super) fn wake(&mut self, now: Timestamp) {
        let lately = |at: Timestamp| now.since(at) < SAME_WAKE;
        if self.woken_at.is_some_and(lately) {
            return;
        }
        self.woken_at = Some(now);
        let later = self.jitter.up_to(WAKE_JITTER, DRAWN_FOR, now.unix_ms());
        let at = now.plus(WAKE).plus(later);
        for id in self.everybody() {
            if let Some(tracked) = self.accounts.get_mut(&id) {
                // Later than at once, also for those that are overdue: the network has to come back first.
                tracked.wanted = Some(at);
                tracked.put_off = Some(at);
            }
        }
        self.outage.hurry(at);
    }
}
