//! Clients that wait for a session: every one of them is answered, whatever becomes of the session.

use super::action::Content;
use super::id::{SessionId, Ticket};
use super::machine::Machine;
use super::refusal::Refusal;
use super::session::{Purpose, Stopping};
use super::status::Status;
use crate::core::time::Timestamp;
use std::time::Duration;

/// How many clients may wait at once: each holds a connection, of which a process has about a thousand.
pub const MAX_WAITERS: usize = 4096;

/// A client that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiter {
    /// For this session, or for any of that parent's.
    pub(super) session: Option<SessionId>,
    parent: String,
    until: Timestamp,
    content: Content,
}

impl Machine {
    pub(super) fn wait(
        &mut self,
        ticket: Ticket,
        reference: Option<&str>,
        parent: String,
        timeout: Duration,
        content: Content,
    ) {
        if self.waiters.len() >= MAX_WAITERS {
            return self.refuse(ticket, Refusal::TooManyWaiters);
        }
        let session = match reference
            .map(|reference| self.resolve(reference))
            .transpose()
        {
            Ok(session) => session,
            Err(refusal) => return self.refuse(ticket, refusal),
        };
        match session.map(|id| (id, self.status_of(id))) {
            Some((id, Status::Idle | Status::Offloaded)) => {
                return self.answer_content(ticket, id, content);
            }
            Some((id, Status::Error)) => {
                let why = self.problem_of(id);
                return self.refuse(ticket, Refusal::Failed { why });
            }
            Some((_, Status::Archived)) => return self.refuse(ticket, Refusal::Archived),
            Some((_, Status::Queued | Status::Processing)) => {}
            None if self.has_busy_child(&parent) => {}
            None => return self.refuse(ticket, Refusal::NoBusySessions),
        }
        let waiter = Waiter {
            session,
            parent,
            until: self.now.plus(timeout),
            content,
        };
        self.waiters.insert(ticket, waiter);
    }

    fn has_busy_child(&self, parent: &str) -> bool {
        self.sessions.values().any(|session| {
            session.record.parent == parent
                && !session.is_hidden()
                && self.status_of(session.id()).is_busy()
        })
    }

    /// A session is not busy any more: those who waited for it are told what came of it.
    pub(super) fn finish(&mut self, id: SessionId, refusal: Option<&Refusal>) {
        let Some(session) = self.sessions.get(&id) else {
            return self.finish_gone(id, "", refusal);
        };
        let parent = session.record.parent.clone();
        self.finish_gone(id, &parent, refusal);
    }

    /// The same for a session that is no more.
    pub(super) fn finish_gone(&mut self, id: SessionId, parent: &str, refusal: Option<&Refusal>) {
        if self.waiters.is_empty() {
            return;
        }
        // Whoever waits for any of them goes on as long as there is another one.
        let others = refusal.is_some() && self.has_busy_child(parent);
        let concerned = |waiter: &Waiter| match waiter.session {
            Some(session) => session == id,
            None => waiter.parent == parent && !others,
        };
        let found: Vec<(Ticket, Content)> = self
            .waiters
            .iter()
            .filter(|(_, waiter)| concerned(waiter))
            .map(|(ticket, waiter)| (*ticket, waiter.content))
            .collect();
        for (ticket, content) in found {
            self.waiters.remove(&ticket);
            match refusal {
                Some(refusal) => self.refuse(ticket, refusal.clone()),
                None => self.answer_content(ticket, id, content),
            }
        }
    }

    pub(super) fn time_out_waiters(&mut self) {
        let late = |(_, waiter): &(&Ticket, &Waiter)| waiter.until <= self.now;
        let late: Vec<Ticket> = self.waiters.iter().filter(late).map(|(t, _)| *t).collect();
        for ticket in late {
            self.waiters.remove(&ticket);
            self.refuse(ticket, Refusal::Timeout);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Timestamp> {
        self.waiters.values().map(|waiter| waiter.until).min()
    }

    /// The pool ends: nobody waits any longer.
    pub(super) fn send_waiters_home(&mut self) {
        for ticket in std::mem::take(&mut self.waiters).into_keys() {
            self.refuse(ticket, Refusal::ShuttingDown);
        }
        for ticket in std::mem::take(&mut self.closings).into_keys() {
            self.refuse(ticket, Refusal::ShuttingDown);
        }
        let stopping = self.sessions.values_mut();
        let stopping: Vec<Stopping> = stopping.filter_map(|s| s.stopping.take()).collect();
        for purpose in stopping.into_iter().flat_map(|stopping| stopping.purposes) {
            if let Purpose::Reply(ticket) = purpose {
                self.refuse(ticket, Refusal::ShuttingDown);
            }
        }
    }
}
