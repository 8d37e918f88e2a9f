//! The pool machine: decides which session is in which slot, and when what is typed. See the module above for what it
//! knows nothing of.
//!
//! An event changes what is believed of the world; what follows from that, and from the time, is decided in one place:
//! `settle` goes over slots, queue and timers until nothing moves any more. So an event that is lost costs time, and
//! nothing else: the next look finds what it would have told.

use super::action::{Action, Fact};
use super::book::Book;
use super::event::{Event, Request, Settings};
use super::handoff::Accounts;
use super::id::{Build, SessionId, SlotId, Ticket};
use super::query::Children;
use super::refusal::Refusal;
use super::session::Session;
use super::slot::{Slot, State};
use super::status::Disposition;
use super::wait::Waiter;
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The most slots a pool can have: each is a claude of about a quarter of a gigabyte.
pub const MAX_SIZE: u32 = 1000;
/// Decisions follow from each other at most this often in a row; far more than any pool has slots and sessions to move.
const ROUNDS: usize = 100_000;

/// Where the pool is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Init has not come.
    Waiting,
    /// At work.
    Running,
    /// Every process is being ended, until then at most.
    Ending { until: Timestamp },
    /// The daemon goes, the slots stay.
    Leaving,
    /// The daemon was told to exit.
    Over,
}

/// Sessions that are archived together, once those that are busy have stopped.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) all: Vec<SessionId>,
    pub(super) left: BTreeSet<SessionId>,
}

/// Everything that is decided about sessions and slots, in one place.
#[derive(Debug)]
pub struct Machine {
    pub(super) phase: Phase,
    /// How many living slots were found, until the first init has been told.
    pub(super) readopted: Option<u32>,
    pub(super) size: u32,
    pub(super) settings: Settings,
    pub(super) sessions: BTreeMap<SessionId, Session>,
    /// Who names whom as its parent: what [`Machine::admit`] and [`Machine::expel`] keep of the sessions.
    pub(super) children: Children,
    /// Sessions that are to stop; those that are not any more are passed over.
    pub(super) stopping: BTreeSet<SessionId>,
    pub(super) slots: BTreeMap<SlotId, Slot>,
    pub(super) waiters: BTreeMap<Ticket, Waiter>,
    pub(super) closings: BTreeMap<Ticket, Closing>,
    pub(super) book: Book,
    pub(super) baseline: Option<(Build, Disposition)>,
    pub(super) last_generation: u64,
    pub(super) last_order: u64,
    /// Sessions that have an order: they wait for a slot, or their prompt is owed.
    pub(super) queue: BTreeSet<SessionId>,
    /// Ends of pins and of archived sessions; those that are not true any more are passed over.
    pub(super) alarms: BTreeSet<(Timestamp, SessionId)>,
    /// A session became idle: keepFresh is looked at.
    pub(super) check_fresh: bool,
    /// How the accounts stand.
    pub(super) accounts: Accounts,
    /// Sessions that watchers may have to be told about.
    pub(super) touched: BTreeSet<SessionId>,
    wake: Option<Timestamp>,
    pub(super) now: Timestamp,
    pub(super) actions: Vec<Action>,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A machine that knows of nothing yet: [`Event::Loaded`] comes first.
    #[must_use]
    pub fn new() -> Self {
        Self {
            phase: Phase::Waiting,
            readopted: None,
            size: 1,
            settings: Settings {
                keep_fresh: 1,
                dir: PathBuf::new(),
                build: Build(0),
                allowed: None,
            },
            sessions: BTreeMap::new(),
            children: Children::new(),
            stopping: BTreeSet::new(),
            slots: BTreeMap::new(),
            waiters: BTreeMap::new(),
            closings: BTreeMap::new(),
            book: Book::default(),
            baseline: None,
            last_generation: 0,
            last_order: 0,
            queue: BTreeSet::new(),
            alarms: BTreeSet::new(),
            check_fresh: false,
            accounts: Accounts::default(),
            touched: BTreeSet::new(),
            wake: None,
            now: Timestamp::default(),
            actions: Vec::new(),
        }
    }

    /// Takes in what happened at `now`, and decides what is to be done.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        self.now = now;
        self.take(event);
        self.settle();
        std::mem::take(&mut self.actions)
    }

    /// When [`Event::Tick`] is due, if nothing happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        [
            self.wake,
            // Nobody hears them ring while no session moves.
            (self.alarms.first().map(|(at, _)| *at))
                .filter(|_| matches!(self.phase, Phase::Running)),
            self.next_timeout(),
            self.book.next_deadline(),
            match self.phase {
                Phase::Ending { until } => Some(until),
                _ => None,
            },
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Loaded(known) => self.load(*known),
            Event::SettingsChanged(settings) => self.change_settings(settings),
            Event::Request { ticket, request } => self.request(ticket, request),
            Event::ClientGone { ticket } => {
                self.waiters.remove(&ticket);
            }
            Event::Handled { place } => {
                if let Some(process) = self.at(place).and_then(|slot| slot.process.as_mut()) {
                    process.is_handled = true;
                }
            }
            Event::Persisted { token } => self.persisted(token),
            Event::PersistFailed { token, why } => self.persist_failed(token, why),
            Event::Spawned {
                place,
                pid,
                account,
            } => self.spawned(place, pid, account),
            Event::Ended { place, how } => self.ended(place, &how),
            Event::Typed { place, number, at } => self.typed(place, number, at),
            Event::Readiness {
                place,
                readiness,
                since,
                uuid,
            } => self.registry_read(place, &readiness, since, uuid),
            Event::Stuck {
                place,
                what,
                screen,
                answerable,
            } => self.stuck(place, what, screen, answerable),
            Event::Report(report) => self.report(report),
            Event::PendingInput { place, text } => self.pending_input(place, text),
            Event::Inspected {
                place,
                number: _,
                seen,
            } => self.inspected(place, seen),
            Event::TranscriptChecked {
                session,
                delivery,
                found,
            } => self.transcript_checked(session, delivery, found),
            Event::Accounts(standing) => self.accounts_changed(standing),
            Event::Chosen { session, choice } => self.chosen(session, &choice),
            Event::Leaving => self.leave(),
            Event::Tick => {}
        }
    }

    fn request(&mut self, ticket: Ticket, request: Request) {
        match (self.phase, &request) {
            (Phase::Ending { .. } | Phase::Leaving | Phase::Over, _) => {
                return self.refuse(ticket, Refusal::ShuttingDown);
            }
            (Phase::Waiting, Request::Init { .. }) | (Phase::Running, _) => {}
            (Phase::Waiting, _) => return self.refuse(ticket, Refusal::NotInitialized),
        }
        match request {
            Request::Init { size, no_restore } => self.init(ticket, size, no_restore),
            Request::Resize { size } => self.resize(ticket, size),
            Request::Destroy { confirm } => self.destroy(ticket, confirm),
            Request::Start(new) => self.start(ticket, new),
            Request::Followup { session, prompt } => self.follow_up(ticket, &session, prompt),
            Request::Wait {
                session,
                parent,
                timeout,
                content,
            } => self.wait(ticket, session.as_deref(), parent, timeout, content),
            Request::Capture { session, content } => self.capture(ticket, &session, content),
            Request::Stop { session } => self.stop(ticket, &session),
            Request::Archive { session, recursive } => self.archive(ticket, &session, recursive),
            Request::Unarchive { session } => self.unarchive(ticket, &session),
            Request::Set { session, set } => self.set(ticket, &session, set),
        }
    }

    /// Everything that follows from the state and the time alone.
    fn settle(&mut self) {
        if matches!(self.phase, Phase::Running) {
            for _ in 0..ROUNDS {
                self.wake = None;
                if !self.move_on() {
                    break;
                }
            }
        } else {
            self.wake = None;
        }
        self.time_out_waiters();
        self.tell_all();
        self.write();
        self.end_life();
    }

    /// One round of decisions; whether anything moved.
    fn move_on(&mut self) -> bool {
        let mut moved = self.ring_alarms();
        let slots: Vec<SlotId> = self.slots.keys().copied().collect();
        for slot in slots {
            moved |= self.advance(slot);
        }
        moved |= self.resolve_stops();
        moved |= self.trim();
        moved |= self.assign();
        moved |= self.make_room();
        moved
    }

    /// What is next for one slot; whether anything moved.
    fn advance(&mut self, id: SlotId) -> bool {
        let Some(slot) = self.slots.get(&id) else {
            return false;
        };
        match &slot.state {
            State::Empty { .. } => self.advance_empty(id),
            State::Spawning { .. } => self.advance_spawning(id),
            State::Fresh => false,
            State::Clearing(_) => self.advance_clearing(id),
            State::Resuming(session, _) => self.advance_resuming(id, *session),
            State::Hosting(session, _) => self.advance_hosting(id, *session),
            State::Ending { .. } => self.advance_ending(id),
        }
    }

    /// Something is due then.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    pub(super) fn log(&mut self, fact: Fact) {
        self.actions.push(Action::Log(fact));
    }
}
