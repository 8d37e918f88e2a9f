//! Clients that wait for numbers: who asked for which accounts, and when they are answered. Every one of them is,
//! exactly once.

use super::action::{Action, Refreshed, Reply};
use super::event::Ticket;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long a client is kept waiting at most; what has not come by then is answered as not reached.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The most clients that wait at a time; one more is turned away at once.
pub const MAX_WAITING: usize = 64;

/// Everybody who waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    clients: Vec<Client>,
}

#[derive(Clone, Debug)]
struct Client {
    ticket: Ticket,
    open: BTreeSet<AccountId>,
    done: Vec<(AccountId, Refreshed)>,
    until: Timestamp,
}

impl Waiting {
    pub(super) fn is_full(&self) -> bool {
        self.clients.len() >= MAX_WAITING
    }

    /// A client begins to wait for the accounts in `open`; those in `done` are answered already.
    pub(super) fn begin(
        &mut self,
        ticket: Ticket,
        open: BTreeSet<AccountId>,
        done: Vec<(AccountId, Refreshed)>,
        now: Timestamp,
    ) {
        let until = now.plus(PATIENCE);
        self.clients.push(Client {
            ticket,
            open,
            done,
            until,
        });
    }

    /// Whether somebody waits for this account.
    pub(super) fn wants(&self, account: AccountId) -> bool {
        self.clients.iter().any(|c| c.open.contains(&account))
    }

    /// What became of an account.
    pub(super) fn resolve(&mut self, account: AccountId, refreshed: &Refreshed) {
        for client in &mut self.clients {
            if client.open.remove(&account) {
                client.done.push((account, refreshed.clone()));
            }
        }
    }

    /// Accounts that somebody waits for.
    pub(super) fn open(&self) -> BTreeSet<AccountId> {
        self.clients.iter().flat_map(|c| &c.open).copied().collect()
    }

    /// The replies that can be given, in the order of the questions.
    pub(super) fn replies(&mut self, now: Timestamp) -> Vec<Action> {
        let mut replies = Vec::new();
        self.clients.retain_mut(|client| {
            if !client.open.is_empty() && client.until > now {
                return true;
            }
            let late = std::mem::take(&mut client.open);
            let late = late.into_iter().map(|id| (id, Refreshed::NotReached));
            let mut done = std::mem::take(&mut client.done);
            done.extend(late);
            done.sort_by_key(|(id, _)| *id);
            replies.push(Action::Reply {
                ticket: client.ticket,
                reply: Reply::Done(done),
            });
            false
        });
        replies
    }

    /// When the first one is answered at the latest.
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.clients.iter().map(|c| c.until).min()
    }

    /// The clock was set back: patience is not lengthened by it.
    pub(super) fn rewind(&mut self, now: Timestamp) {
        for client in &mut self.clients {
            client.until = client.until.min(now.plus(PATIENCE));
        }
    }

    /// The clock was moved: patience begins anew.
    pub(super) fn restart(&mut self, now: Timestamp) {
        for client in &mut self.clients {
            client.until = now.plus(PATIENCE);
        }
    }
}
