//! Writing: what changed goes to disk, and what waited for that happens after.

use super::action::{Action, Fact, Reply};
use super::book::{Epoch, Owed};
use super::id::{SessionId, Ticket, Token};
use super::machine::Machine;
use super::notice::Notice;
use super::record::{Change, Rest};
use super::refusal::Refusal;
use super::session::Accepting;
use super::slot::{State, Turn};

impl Machine {
    /// A session's row changed.
    pub(super) fn mark(&mut self, session: SessionId) -> Epoch {
        self.touch(session);
        self.book.mark(session, true, false)
    }

    /// A session's row and its prompt's changed.
    pub(super) fn mark_prompt(&mut self, session: SessionId) -> Epoch {
        self.touch(session);
        self.book.mark(session, true, true)
    }

    /// What a session is may have changed.
    pub(super) fn touch(&mut self, session: SessionId) {
        self.touched.insert(session);
        let queued = |s: &super::session::Session| s.record.order.is_some();
        if self.sessions.get(&session).is_some_and(queued) {
            self.queue.insert(session);
        } else {
            self.queue.remove(&session);
        }
    }

    pub(super) fn reply(&mut self, ticket: Ticket, reply: Reply) {
        self.actions.push(Action::Reply { ticket, reply });
    }

    pub(super) fn refuse(&mut self, ticket: Ticket, refusal: Refusal) {
        self.reply(ticket, Reply::Refused(refusal));
    }

    /// Begins the next write, where one is due.
    pub(super) fn write(&mut self) {
        let Some(batch) = self.book.begin(self.now) else {
            return;
        };
        let mut changes = Vec::new();
        for (id, dirty) in batch.sessions {
            let Some(session) = self.sessions.get(&id) else {
                changes.push(Change::Deleted(id));
                continue;
            };
            if dirty.row {
                changes.push(Change::Session(Box::new(session.record.clone())));
            }
            if dirty.prompt {
                changes.push(match session.prompt.as_ref().or(session.kept.as_ref()) {
                    Some(prompt) => Change::Prompt(prompt.clone()),
                    None => Change::NoPrompt(id),
                });
            }
        }
        if let Some((build, disposition)) = self.baseline.clone().filter(|_| batch.baseline) {
            changes.push(Change::Baseline { build, disposition });
        }
        self.actions.push(Action::Persist {
            token: batch.token,
            changes,
        });
    }

    pub(super) fn persisted(&mut self, token: Token) {
        for (ticket, owed) in self.book.done(token) {
            match owed {
                Owed::Done => self.reply(ticket, Reply::Done),
                Owed::Started(session) => self.accepted(ticket, session),
            }
        }
    }

    pub(super) fn persist_failed(&mut self, token: Token, why: String) {
        for (ticket, owed) in self.book.failed(token, self.now) {
            if let Owed::Started(session) = owed {
                self.take_back(session);
            }
            self.refuse(ticket, Refusal::NotWritten { why: why.clone() });
        }
        self.log(Fact::NotWritten { why });
    }

    fn accepted(&mut self, ticket: Ticket, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            // It was accepted and is gone already; the client can only be told that.
            return self.refuse(ticket, Refusal::DeletedMeanwhile);
        };
        let new = session.accepting.take() == Some(Accepting::New);
        let parent = session.record.parent.clone();
        let status = self.status_of(id);
        if new {
            if let Some(session) = self.sessions.get_mut(&id) {
                session.told = status;
            }
            self.actions.push(Action::Notify(Notice::Created {
                session: id,
                status,
                parent,
            }));
        }
        self.touch(id);
        self.finish_as(id, status);
        self.reply(
            ticket,
            Reply::Started {
                session: id,
                status,
            },
        );
    }

    /// Undoes an acceptance that could not be written. Nothing was typed for it: that waits for the write.
    fn take_back(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let seat = session.record.seat;
        match session.accepting.take() {
            None => return,
            Some(Accepting::New) => {
                self.expel(id);
                if let Some(slot) = seat.and_then(|seat| self.slots.get_mut(&seat.place.slot))
                    && slot.session() == Some(id)
                {
                    let (slot_id, is_handled) =
                        (slot.id, slot.process.as_ref().is_some_and(|p| p.is_handled));
                    slot.state = State::Fresh;
                    if is_handled {
                        self.begin_clearing(slot_id);
                    }
                }
            }
            Some(Accepting::Prompt { rest }) => {
                session.prompt = None;
                session.record.order = None;
                session.record.rest = rest;
                session.checking = None;
                if let Some(slot) = seat.and_then(|seat| self.slots.get_mut(&seat.place.slot))
                    && let State::Hosting(_, turn @ Turn::Delivering(_)) = &mut slot.state
                {
                    *turn = Turn::Quiet { settle_by: None };
                }
            }
        }
        self.mark_prompt(id);
        // Somebody may have begun to wait for what is not going to happen.
        if self.sessions.contains_key(&id) {
            self.finish_as(id, self.status_of(id));
        }
    }

    /// The answer that this session or its prompt is accepted has not been given.
    pub(super) fn is_accepting(&self, id: SessionId) -> bool {
        self.sessions
            .get(&id)
            .is_some_and(|session| session.accepting.is_some())
    }

    /// Whether a session's row exists in no one's eyes any more once it is written.
    pub(super) fn forget(&mut self, id: SessionId) {
        self.expel(id);
        self.mark_prompt(id);
    }

    /// Puts a session away for good, or to rest, in one row.
    pub(super) fn lay_to_rest(&mut self, id: SessionId, rest: Rest) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.record.rest = rest;
            session.record.order = None;
            session.prompt = None;
            session.kept = None;
            session.limited = None;
            session.checking = None;
            session.for_pin = false;
        }
        self.mark_prompt(id);
    }
}
