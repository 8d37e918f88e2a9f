//! Telling: watchers hear what changed, and those who wait for a session that it is no longer busy.

use super::action::{Action, Fact};
use super::id::SessionId;
use super::machine::Machine;
use super::notice::{Notice, Update};
use super::refusal::Refusal;
use super::status::Status;

impl Machine {
    pub(super) fn tell_all(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            self.tell(id);
            self.tell_fields(id);
        }
    }

    /// Tells what a session is now, if that is news.
    pub(super) fn tell(&mut self, id: SessionId) {
        let status = self.status_of(id);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let previous = session.told;
        let died = std::mem::take(&mut session.died);
        if previous == status || session.accepting.is_some() {
            return;
        }
        session.told = status;
        let slot = session.record.seat.map(|seat| seat.place.slot);
        self.log(Fact::Moved {
            session: id,
            from: previous,
            to: status,
            slot,
        });
        self.actions.push(Action::Notify(Notice::Status {
            session: id,
            status,
            previous,
        }));
        if died && !status.is_busy() {
            return self.finish(id, Some(&Refusal::SessionDied));
        }
        self.finish_as(id, status);
    }

    /// Those who wait for a session are told what it is, unless it is busy.
    pub(super) fn finish_as(&mut self, id: SessionId, status: Status) {
        match status {
            Status::Idle | Status::Offloaded => self.finish(id, None),
            Status::Error => {
                let why = self.problem_of(id);
                self.finish(id, Some(&Refusal::Failed { why }));
            }
            Status::Archived => self.finish(id, Some(&Refusal::ArchivedMeanwhile)),
            Status::Queued | Status::Processing => {}
        }
    }

    fn tell_fields(&mut self, id: SessionId) {
        let pending = self.pending_of(id).unwrap_or_default();
        let waiting = self.waiting_for(id);
        let account = self.account_of(id);
        let limit = self.limited_until(id);
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        if session.is_hidden() {
            return;
        }
        let mut changes = Vec::new();
        if session.told_pending != pending {
            session.told_pending.clone_from(&pending);
            changes.push(Update::PendingInput(pending));
        }
        if session.told_waiting != waiting {
            session.told_waiting.clone_from(&waiting);
            changes.push(Update::WaitingFor(waiting));
        }
        if account.is_some() && session.told_account != account {
            let is_news = session.told_account.is_some();
            session.told_account = account;
            changes.extend(is_news.then_some(Update::Account(account)));
        }
        if session.told_limit != limit {
            session.told_limit = limit;
            changes.push(Update::LimitedUntil(limit));
        }
        self.tell_changes(id, changes);
    }
}
