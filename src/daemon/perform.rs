//! Does what the roster machine decides: the database, what is published, the prober, the log, the answers. Decides
//! nothing.

use super::log::Log;
use super::main_loop::Progress;
use super::prober::Job;
use super::requests::Waiting;
use super::{publish, refresh};
use crate::adapters::store::{Event, Meta, Store, StoreError};
use crate::contract::paths::Base;
use crate::contract::proto::Phase;
use crate::contract::settings::Settings;
use crate::core::account::AccountId;
use crate::core::accounts::action::{Action, Fact, Problem};
use crate::core::calendar::rfc3339;
use crate::core::time::Timestamp;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::mpsc::SyncSender;
use tokio::sync::watch;

/// Everything that actions act on.
pub(super) struct Performer {
    /// The database.
    pub(super) store: Store,
    /// Clients that wait for numbers.
    pub(super) waiting: Waiting,
    jobs: SyncSender<Job>,
    progress: watch::Sender<Progress>,
    log: Log,
    /// Accounts whose rows were changed since somebody asked.
    touched: BTreeSet<AccountId>,
}

impl Performer {
    /// A performer that has done nothing yet.
    pub(super) fn new(
        store: Store,
        jobs: SyncSender<Job>,
        progress: watch::Sender<Progress>,
        log: Log,
    ) -> Self {
        Self {
            store,
            waiting: Waiting::default(),
            jobs,
            progress,
            log,
            touched: BTreeSet::new(),
        }
    }

    /// Accounts whose rows were changed since the last time.
    pub(super) fn take_touched(&mut self) -> BTreeSet<AccountId> {
        std::mem::take(&mut self.touched)
    }

    /// Notes how many sessions without a lease run under an account.
    pub(super) fn note_strays(&mut self, account: AccountId, count: u32) -> Result<(), StoreError> {
        self.store.set_unleased_sessions(account, count)?;
        self.touched.insert(account);
        Ok(())
    }

    /// Shows in `health` what was loaded; the daemon is ready from the first time on.
    pub(super) fn show(&self, accounts: usize, swept_at: Option<Timestamp>) {
        self.progress.send_modify(|p| {
            // What kept the database from being opened is over.
            if !p.loaded {
                p.problem = None;
            }
            if p.problem.is_none() {
                p.phase = Phase::Ready;
            }
            p.loaded = true;
            p.accounts = u32::try_from(accounts).unwrap_or(u32::MAX);
            p.swept_at = swept_at;
        });
    }

    /// Housekeeping went through: whatever was wrong is over.
    pub(super) fn well(&self) {
        let was_ill = self.progress.borrow().problem.is_some();
        if was_ill {
            self.log.info("well again", &[]);
        }
        self.progress.send_modify(|p| {
            p.phase = Phase::Ready;
            p.problem = None;
        });
    }

    /// Something could not be done; it is tried again with the next housekeeping.
    pub(super) fn ill(&self, why: &dyn Display) {
        let text = why.to_string();
        let is_news = self.progress.borrow().problem.as_deref() != Some(text.as_str());
        if is_news {
            self.log.warn("cannot work", &[("why", &text)]);
        }
        self.progress.send_modify(|p| {
            p.phase = Phase::Degraded;
            p.problem = Some(text);
        });
    }

    /// Performs one action.
    pub(super) fn perform(
        &mut self,
        action: Action,
        settings: &Settings,
        base: &Base,
        now: Timestamp,
    ) {
        let done = match action {
            Action::Probe { account, source } => {
                self.ask(Job::Probe(account, source));
                Ok(())
            }
            Action::ConfirmLogin { account } => {
                self.ask(Job::Confirm(account));
                Ok(())
            }
            Action::Publish { sweep } => {
                self.publish(settings, base, sweep, now);
                Ok(())
            }
            Action::Reply { ticket, reply } => {
                self.waiting.reply(ticket, reply);
                Ok(())
            }
            Action::Log(fact) => {
                self.log_fact(&fact);
                Ok(())
            }
            action => self.keep(action, now),
        };
        if let Err(error) = done {
            self.ill(&error);
        }
    }

    /// The machine never has two jobs under way, so there is always room.
    fn ask(&self, job: Job) {
        if self.jobs.try_send(job).is_err() {
            self.log.warn("the prober is gone", &[]);
        }
    }

    /// Actions that are a row of the database.
    fn keep(&mut self, action: Action, now: Timestamp) -> Result<(), StoreError> {
        let store = &mut self.store;
        let account = match action {
            Action::Keep { account, sample } => {
                store.offer_sample(account, &sample, now)?;
                account
            }
            Action::SetProbed { account, problem } => {
                match problem {
                    None => refresh::alive(store, account, now)?,
                    Some(problem) => store.set_probed(account, Some(problem.text()), now)?,
                }
                account
            }
            Action::SetNeedsLogin { account, needs } => {
                store.set_needs_login(account, needs)?;
                if needs {
                    store.add_event(&logged_out(account, now), now)?;
                    self.log.warn("needs a sign-in", &[("account", &account)]);
                }
                account
            }
            Action::SetLimited {
                account,
                until,
                reported_at,
            } => {
                store.set_limited_until(account, until, reported_at)?;
                account
            }
            Action::SetCadence { account, every } => {
                store.set_cadence(account, every)?;
                account
            }
            Action::SetPaused { since } => {
                let text = since.map(|at| at.unix_ms().to_string());
                return store.set_meta(Meta::PausedSince, text.as_deref());
            }
            Action::Probe { .. }
            | Action::ConfirmLogin { .. }
            | Action::Publish { .. }
            | Action::Reply { .. }
            | Action::Log(_) => return Ok(()),
        };
        self.touched.insert(account);
        Ok(())
    }

    /// Writes the snapshot; after a sweep the status, too.
    pub(super) fn publish(
        &mut self,
        settings: &Settings,
        base: &Base,
        sweep: bool,
        now: Timestamp,
    ) {
        let published = publish::publish_snapshot(&self.store, settings, base, now);
        let published = published.and_then(|snapshot| {
            if sweep {
                publish::publish_status(&mut self.store, &snapshot, now)?;
                self.progress.send_modify(|p| p.swept_at = Some(now));
            }
            Ok(())
        });
        if let Err(error) = published {
            self.ill(&error);
        }
    }

    fn log_fact(&self, fact: &Fact) {
        let log = &self.log;
        match fact {
            Fact::BackedOff { until, times } => {
                let until = rfc3339(*until);
                log.warn(
                    "the service throttles",
                    &[("until", &until), ("times", times)],
                );
            }
            Fact::BackOffEnded => log.info("the service answers again", &[]),
            Fact::OutageBegan => log.warn("the service cannot be reached", &[]),
            Fact::OutageEnded { since } => {
                let since = rfc3339(*since);
                log.info("the service is reached again", &[("since", &since)]);
            }
            Fact::SweepGivenUp { left } => log.warn("sweep given up", &[("left", left)]),
            Fact::ClockJumped { by_ms } => log.warn("the clock was moved", &[("by_ms", by_ms)]),
            Fact::SampleRefused { account, why } => {
                let why = format!("{why:?}");
                log.info("sample refused", &[("account", account), ("why", &why)]);
            }
            Fact::NoAnswer { account, problem } => {
                let why = Problem::text(problem);
                log.warn("no answer", &[("account", account), ("why", &why)]);
            }
            Fact::AnswerLost { account } => log.warn("an answer was lost", &[("account", account)]),
        }
    }
}

fn logged_out(account: AccountId, now: Timestamp) -> Event {
    Event {
        account: Some(account),
        at: now,
        kind: "needs_login".to_owned(),
        text: "claude said twice that it is logged out".to_owned(),
    }
}
