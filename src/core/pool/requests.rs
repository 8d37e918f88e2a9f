//! What clients ask for, as far as it has no file of its own: start, followup, capture, unarchive, set.

use super::action::{Action, Content, ContentSource};
use super::book::Owed;
use super::event::{NewSession, Pin, Settable};
use super::id::{SessionId, Ticket};
use super::machine::Machine;
use super::notice::{Notice, Update};
use super::record::{PromptRecord, Rest, SessionRecord};
use super::refusal::Refusal;
use super::session::{Accepting, Session};
use super::status::Status;
use std::sync::Arc;

impl Machine {
    pub(super) fn start(&mut self, ticket: Ticket, new: NewSession) {
        let order = self.next_order();
        let record = SessionRecord {
            id: new.id,
            uuid: None,
            has_transcript: false,
            rest: Rest::Offloaded,
            seat: None,
            order: Some(order),
            priority: 0,
            pinned_until: None,
            parent: new.parent,
            cwd: new.cwd.clone().unwrap_or_else(|| self.settings.dir.clone()),
            spawn_cwd: new.cwd.unwrap_or_else(|| self.settings.dir.clone()),
            created_at: self.now,
            last_used_at: self.now,
            metadata: new.metadata,
            account: new.account,
            model: None,
            saved_input: None,
            was_live: false,
        };
        let prompt = new.prompt.map(|text| self.prompt_record(new.id, text));
        let mut session = Session::new(record, prompt, Status::Queued);
        session.accepting = Some(Accepting::New);
        self.admit(session);
        self.mark_prompt(new.id);
        self.book.owe(ticket, Owed::Started(new.id));
    }

    pub(super) fn follow_up(&mut self, ticket: Ticket, reference: &str, text: Arc<str>) {
        let id = match self.resolve(reference) {
            Ok(id) => id,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        let status = self.status_of(id);
        // What is about to be archived takes nothing more.
        let closing = self.closings.values().any(|c| c.all.contains(&id));
        match status {
            _ if closing && !status.is_busy() => return self.refuse(ticket, Refusal::Archived),
            Status::Archived => return self.refuse(ticket, Refusal::Archived),
            Status::Queued | Status::Processing => {
                return self.refuse(ticket, Refusal::StopFirst { status });
            }
            Status::Idle | Status::Offloaded | Status::Error => {}
        }
        let order = self.next_order();
        let prompt = self.prompt_record(id, text);
        if let Some(session) = self.sessions.get_mut(&id) {
            let rest = std::mem::replace(&mut session.record.rest, Rest::Offloaded);
            session.accepting = Some(Accepting::Prompt { rest });
            session.record.order = Some(order);
            session.prompt = Some(prompt);
            session.load_failures = 0;
        }
        self.mark_prompt(id);
        self.book.owe(ticket, Owed::Started(id));
    }

    pub(super) fn next_order(&mut self) -> u64 {
        self.last_order += 1;
        self.last_order
    }

    fn prompt_record(&self, session: SessionId, text: Arc<str>) -> PromptRecord {
        PromptRecord {
            session,
            text,
            accepted_at: self.now,
            delivery: None,
            conversations: Vec::new(),
            redelivered: false,
            taken: false,
        }
    }

    pub(super) fn capture(&mut self, ticket: Ticket, reference: &str, content: Content) {
        let id = match self.resolve(reference) {
            Ok(id) => id,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        let unborn = self.sessions.get(&id).is_some_and(Session::is_unborn);
        if unborn && self.status_of(id) == Status::Queued {
            return self.refuse(ticket, Refusal::NeverLoaded);
        }
        self.answer_content(ticket, id, content);
    }

    /// Answers with what a session has said.
    pub(super) fn answer_content(&mut self, ticket: Ticket, id: SessionId, content: Content) {
        let place = self.hosted_at(id);
        if content.source == ContentSource::Terminal && place.is_none() {
            return self.refuse(ticket, Refusal::BufferNeedsTerminal);
        }
        let uuid = self.sessions.get(&id).and_then(|s| s.record.uuid.clone());
        self.actions.push(Action::ReplyContent {
            ticket,
            session: id,
            uuid,
            place,
            content,
        });
    }

    pub(super) fn unarchive(&mut self, ticket: Ticket, reference: &str) {
        let id = match self.resolve(reference) {
            Ok(id) => id,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        match self.status_of(id) {
            Status::Archived => self
                .actions
                .push(Action::Notify(Notice::Unarchived { session: id })),
            Status::Error => {}
            _ => return self.refuse(ticket, Refusal::NotArchived),
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.record.rest = Rest::Offloaded;
            session.load_failures = 0;
        }
        self.mark(id);
        self.book.owe(ticket, Owed::Done);
    }

    pub(super) fn set(&mut self, ticket: Ticket, reference: &str, set: Settable) {
        let id = match self.resolve(reference) {
            Ok(id) => id,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        if set == Settable::default() {
            return self.refuse(ticket, Refusal::NothingToSet);
        }
        let is_archived = self.status_of(id) == Status::Archived;
        if is_archived && matches!(set.pinned, Some(Pin::For(_))) {
            return self.refuse(ticket, Refusal::Archived);
        }
        let mut changes = Vec::new();
        if let Some(session) = self.sessions.get_mut(&id) {
            if let Some(priority) = set.priority
                && session.record.priority != priority
            {
                session.record.priority = priority;
                changes.push(Update::Priority(priority));
            }
            if let Some(keys) = set.metadata {
                let before = session.record.metadata.clone();
                for (key, value) in keys {
                    match value {
                        Some(value) => session.record.metadata.insert(key, value),
                        None => session.record.metadata.remove(&key),
                    };
                }
                if session.record.metadata != before {
                    changes.push(Update::Metadata(session.record.metadata.clone()));
                }
            }
        }
        if let Some(pin) = set.pinned {
            changes.extend(self.pin(id, pin));
        }
        self.mark(id);
        self.tell_changes(id, changes);
        self.book.owe(ticket, Owed::Done);
    }

    /// Pins a session, or lets go of it.
    fn pin(&mut self, id: SessionId, pin: Pin) -> Option<Update> {
        let now = self.now;
        let order = self.next_order();
        let status = self.status_of(id);
        let session = self.sessions.get_mut(&id)?;
        let before = session.is_pinned(now);
        match pin {
            Pin::For(time) => {
                let until = now.plus(time);
                session.record.pinned_until = Some(until);
                self.alarms.insert((until, id));
                if status == Status::Offloaded {
                    session.record.order = Some(order);
                    session.for_pin = true;
                }
            }
            Pin::Off => {
                session.record.pinned_until = None;
                session.withdraw_load();
            }
        }
        let after = session.is_pinned(now);
        (before != after).then_some(Update::Pinned(after))
    }

    /// Pins that end, and archived sessions that go, at their time; whether one did.
    pub(super) fn ring_alarms(&mut self) -> bool {
        let mut rang = false;
        while let Some((at, id)) = self
            .alarms
            .first()
            .copied()
            .filter(|(at, _)| *at <= self.now)
        {
            self.alarms.remove(&(at, id));
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            if session
                .record
                .pinned_until
                .is_some_and(|until| until <= self.now)
            {
                session.record.pinned_until = None;
                session.withdraw_load();
                self.mark(id);
                self.tell_changes(id, vec![Update::Pinned(false)]);
                rang = true;
            }
            rang |= self.limit_over(id);
            rang |= self.remove_old(id);
        }
        rang
    }

    pub(super) fn tell_changes(&mut self, session: SessionId, changes: Vec<Update>) {
        if !changes.is_empty() {
            self.actions
                .push(Action::Notify(Notice::Updated { session, changes }));
        }
    }
}

impl Session {
    /// Its pin is over; what only its pin asked for is not wanted any more.
    fn withdraw_load(&mut self) {
        if self.for_pin && self.record.seat.is_none() && self.prompt.is_none() {
            self.record.order = None;
        }
        self.for_pin = false;
    }
}
