//! The loop that owns the pool's machine: everything that happens comes in as an [`Event`], one after the other. It is a
//! thread of its own, so that the socket answers whatever is going on; it never waits for a disk, a host or claude.

use super::handoff;
use super::hosts::{Heard, Line};
use super::keeper::Job;
use super::log::{Category, Log};
use super::perform;
use super::processes::{LookFor, Process, lives};
use super::reports;
use super::requests;
use super::server::{Ask, ReplyTo};
use super::settings::{Blueprint, Configured};
use super::spawning::{self, Living, Started};
use super::transcripts::Transcripts;
use super::turns::Turns;
use super::usage::{self, Usage};
use super::watching::Watcher;
use crate::adapters::clock;
use crate::contract::paths::pool::PoolDir;
use crate::contract::pool::{Event as Told, PoolError, Reply};
use crate::contract::proto::host::FromHost;
use crate::contract::snapshot::FileStamp;
use crate::core::pool::event::{End, Event as Happened, Known};
use crate::core::pool::id::{DeliveryNumber, Place, SessionId, Ticket};
use crate::core::pool::machine::Machine;
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// How often claudes' own files are looked at, should the system forget to say that they changed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// The same while a directory cannot be watched.
const LOOK_UNWATCHED: Duration = Duration::from_millis(300);
/// How often it is looked whether claude or the configuration was replaced.
const SETTINGS_AGAIN: Duration = Duration::from_secs(30);
/// How often it is looked which clients hung up before they were answered.
const CLIENTS_AGAIN: Duration = Duration::from_secs(1);
/// The longest the loop sleeps: the clock may be moved under it.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);
/// How long hosts that are found at the start may take to answer, all together.
const FIRST_WORDS: Duration = Duration::from_secs(12);

/// What can happen.
#[derive(Debug)]
pub(super) enum Event {
    /// A client asks.
    Ask(Ask),
    /// What the machine waits for.
    Happened(Box<Happened>),
    /// A host was started, or was not.
    Started(Place, Result<Box<Started>, String>),
    /// A host is heard of.
    Host(Place, Heard),
    /// A process of a slot is over, with everything it started.
    Gone(Place, End),
    /// What a host's report said of an account was handed in.
    HandedIn(Place, u64),
    /// A claude's own file changed.
    FileChanged(PathBuf),
    /// An init may begin: what slots are started from is known, or why it is not.
    Prepared(Ask, Result<Box<Blueprint>, PoolError>),
    /// It is time to end, and the slots live on.
    Leave,
    /// It is time to end, slots and all.
    EndAll,
}

/// What the loop tells the thread that talks.
#[derive(Debug)]
pub(super) enum Order {
    /// Talk to this host.
    Talk(Line),
    /// Tell subscribers.
    Tell(Told),
    /// Everything is over: stop.
    Stop,
}

/// What the loop stands on.
pub(super) struct Ground {
    /// Where the pool is.
    pub(super) dir: PoolDir,
    /// What it is called.
    pub(super) name: String,
    /// The user it belongs to.
    pub(super) user: u32,
    /// How claude is started.
    pub(super) configured: Arc<Configured>,
    /// Where conversations are.
    pub(super) transcripts: Arc<Transcripts>,
    /// To itself.
    pub(super) events: SyncSender<Event>,
    /// To the thread that talks.
    pub(super) orders: UnboundedSender<Order>,
    /// To the thread that writes.
    pub(super) jobs: SyncSender<Job>,
    /// What happened.
    pub(super) log: Log,
}

/// The pool as it is now.
pub(super) struct Pool {
    pub(super) ground: Ground,
    pub(super) machine: Machine,
    pub(super) blueprint: Blueprint,
    pub(super) processes: BTreeMap<Place, Process>,
    /// Replies that are owed.
    pub(super) owed: BTreeMap<Ticket, ReplyTo>,
    next_ticket: u64,
    pub(super) watcher: Watcher,
    /// What slots tell of their accounts.
    pub(super) usage: Usage,
    /// Who may start a claude.
    pub(super) turns: Turns,
    /// The last text of each session, as its hook said: the transcript may not have it yet.
    pub(super) last_texts: BTreeMap<Place, String>,
    pub(super) looked_at: Instant,
    pub(super) settings_at: Instant,
    /// The settings of the accounts, rules included, at the last start of a session.
    pub(super) rules_seen: FileStamp,
    clients_at: Instant,
    pub(super) standing: handoff::Watch,
    /// The loop is over.
    pub(super) is_over: bool,
}

impl Pool {
    /// A pool with what is on disk, before anything runs.
    pub(super) fn new(ground: Ground, blueprint: Blueprint) -> Self {
        let (events, log) = (&ground.events, &ground.log);
        let watcher = Watcher::new(events.clone(), log.clone());
        let usage = Usage::start(Arc::clone(&ground.configured), events.clone(), log.clone());
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            ground,
            machine: Machine::new(),
            blueprint,
            processes: BTreeMap::new(),
            owed: BTreeMap::new(),
            next_ticket: 1,
            watcher,
            usage,
            turns: Turns::new(cores),
            last_texts: BTreeMap::new(),
            looked_at: Instant::now(),
            settings_at: Instant::now(),
            rules_seen: FileStamp::default(),
            clients_at: Instant::now(),
            standing: handoff::Watch::default(),
            is_over: false,
        }
    }

    /// Runs until it is time to end.
    pub(super) fn run(&mut self, events: &Receiver<Event>, known: Known, found: Vec<Living>) {
        self.begin(events, known, found);
        while !self.is_over {
            match events.recv_timeout(self.sleep()) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = clock::now();
            if self.machine.next_deadline().is_some_and(|at| at <= now) {
                self.tell_machine(Happened::Tick);
            }
            if !self.processes.is_empty() && self.looked_at.elapsed() >= self.look_again() {
                self.look_at_all();
            }
            spawning::start_next(self);
            if self.settings_at.elapsed() >= SETTINGS_AGAIN {
                self.look_at_settings();
            }
            if self.standing.is_due() {
                self.look_at_accounts();
            }
            if self.clients_at.elapsed() >= CLIENTS_AGAIN {
                self.forget_clients();
            }
        }
    }

    /// Nobody works or waits for a client that hung up.
    fn forget_clients(&mut self) {
        self.clients_at = Instant::now();
        let gone = self.owed.iter().filter(|(_, reply)| reply.is_closed());
        let gone: Vec<Ticket> = gone.map(|(ticket, _)| *ticket).collect();
        for ticket in gone {
            self.owed.remove(&ticket);
            self.tell_machine(Happened::ClientGone { ticket });
        }
    }

    fn look_again(&self) -> Duration {
        let mut all = self.processes.values();
        if all.all(|p| self.watcher.watches(p.origin.registry().dir())) {
            LOOK_AGAIN
        } else {
            LOOK_UNWATCHED
        }
    }

    fn sleep(&self) -> Duration {
        let now = clock::now();
        let deadline = self.machine.next_deadline().map(|at| at.since(now));
        let look = (!self.processes.is_empty()).then(|| left(self.looked_at, self.look_again()));
        let turn = self.turns.deadline();
        let turn = turn.map(|at| at.saturating_duration_since(Instant::now()));
        let settings = left(self.settings_at, SETTINGS_AGAIN);
        let clients = (!self.owed.is_empty()).then(|| left(self.clients_at, CLIENTS_AGAIN));
        let accounts = (!self.processes.is_empty()).then(|| self.standing.due_in());
        [
            deadline,
            look,
            turn,
            clients,
            accounts,
            Some(settings),
            Some(LONGEST_SLEEP),
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(LONGEST_SLEEP)
    }

    /// Asks the hosts that outlived the daemon before who they are, and tells the machine all that there is.
    fn begin(&mut self, events: &Receiver<Event>, mut known: Known, found: Vec<Living>) {
        for one in found {
            let mut process = Process::new(one.place, one.dir, one.origin);
            let line = process.line(self.ground.user);
            self.processes.insert(one.place, process);
            let _ = self.ground.orders.send(Order::Talk(line));
        }
        let deadline = Instant::now() + FIRST_WORDS;
        let mut later = Vec::new();
        while self.processes.values().any(|p| p.state.is_none()) {
            let left = deadline.saturating_duration_since(Instant::now());
            match events.recv_timeout(left) {
                Ok(Event::Host(place, Heard::Hello(state))) => self.greeted(place, *state),
                Ok(Event::Host(place, Heard::Lost(_))) => {
                    if let Some(process) = self.processes.remove(&place) {
                        spawning::bury(&self.ground, process, None);
                    }
                }
                Ok(event) => later.push(event),
                Err(_) => break,
            }
        }
        for (place, process) in &mut self.processes {
            process.announced = true;
            process.seen = process.read_file();
            known.hosts.push(process.living(*place));
        }
        known.standing = self.standing.read(&self.ground, self.blueprint.dir());
        self.tell_machine(Happened::Loaded(Box::new(known)));
        for event in later {
            self.take(event);
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Ask(ask) => requests::take(self, ask),
            Event::Happened(happened) => self.tell_machine(*happened),
            Event::Started(place, result) => self.started(place, result),
            Event::Host(place, heard) => self.heard(place, heard),
            Event::Gone(place, how) => self.gone(place, how),
            Event::HandedIn(place, seq) => usage::handed_in(self, place, seq),
            Event::FileChanged(path) => self.file_changed(&path),
            Event::Prepared(ask, blueprint) => requests::prepared(self, ask, blueprint),
            Event::Leave => {
                self.tell_machine(Happened::Leaving);
                self.is_over = true;
            }
            Event::EndAll => requests::end_all(self),
        }
    }

    /// Tells the machine, and does what it wants.
    pub(super) fn tell_machine(&mut self, happened: Happened) {
        let actions = self.machine.handle(happened, clock::now());
        for action in actions {
            perform::perform(self, action);
        }
    }

    /// A reply that is owed from now on.
    pub(super) fn owe(&mut self, reply: ReplyTo) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.owed.insert(ticket, reply);
        ticket
    }

    /// Where a session's conversation began.
    pub(super) fn spawn_cwd(&self, session: SessionId) -> PathBuf {
        let cwd = self.machine.spawn_cwd(session);
        cwd.map(PathBuf::from).unwrap_or_default()
    }

    /// The process that a session is in.
    pub(super) fn process_of(&mut self, place: Place) -> Option<&mut Process> {
        self.processes.get_mut(&place)
    }

    fn started(&mut self, place: Place, result: Result<Box<Started>, String>) {
        let Some(process) = self.processes.get_mut(&place) else {
            return;
        };
        match result {
            Ok(started) => {
                let Started {
                    child,
                    origin,
                    lease,
                } = *started;
                process.child = Some(child);
                process.origin = origin;
                process.lease = lease;
                let line = process.line(self.ground.user);
                let _ = self.ground.orders.send(Order::Talk(line));
            }
            Err(why) => {
                self.turns.over(place);
                if let Some(process) = self.processes.remove(&place) {
                    super::hosts::clean_up(process.dir.path());
                }
                let how = End::SpawnFailed(why);
                self.tell_machine(Happened::Ended { place, how });
            }
        }
    }

    fn greeted(&mut self, place: Place, state: crate::contract::proto::host::State) {
        if let Some(process) = self.processes.get_mut(&place) {
            process.greeted(state);
            self.watcher.watch(process.origin.registry().dir());
        }
    }

    fn heard(&mut self, place: Place, heard: Heard) {
        match heard {
            Heard::Hello(state) => {
                let is_handled = state.is_handled;
                self.greeted(place, *state);
                self.announce(place);
                if is_handled {
                    self.tell_machine(Happened::Handled { place });
                }
            }
            Heard::Says(message) => self.said(place, message),
            Heard::Lost(why) => self.lost(place, &why),
        }
    }

    /// The machine hears of a process once its claude runs.
    fn announce(&mut self, place: Place) {
        let Some(process) = self.processes.get_mut(&place) else {
            return;
        };
        if process.announced {
            return;
        }
        process.announced = true;
        let (pid, account) = (process.agent_pid(), process.origin.account());
        if let (Some(lease), Some(state)) = (process.lease.take(), &process.state) {
            let accounts = self.ground.configured.accounts();
            accounts.hold(&lease, state.agent.pid, state.agent.start);
        }
        self.tell_machine(Happened::Spawned {
            place,
            pid,
            account,
        });
        self.look_at(place);
    }

    fn said(&mut self, place: Place, message: FromHost) {
        let Some(process) = self.processes.get_mut(&place) else {
            return;
        };
        process.note(&message);
        match message {
            FromHost::Typed { number, .. } => self.tell_machine(Happened::Typed {
                place,
                number: DeliveryNumber(number),
                at: clock::now(),
            }),
            FromHost::Report {
                seq,
                received_at_ms,
                json,
            } => {
                reports::take(
                    self,
                    place,
                    seq,
                    Timestamp::from_unix_ms(received_at_ms),
                    &json,
                );
                self.look_at(place);
            }
            FromHost::Pending { text } => {
                self.tell_machine(Happened::PendingInput { place, text });
            }
            FromHost::Dialog { name, text } => self.dialog(place, name, text),
            FromHost::ScreenIs { ticket, bytes } => self.looked(place, ticket, &bytes),
            FromHost::AttachOpen { path } => process.attached(&path),
            FromHost::Refused { what, why } => {
                let message = format!("slot {}: {what}: {why}", place.slot);
                self.ground.log.write(Category::Error, None, &message);
            }
            FromHost::Handled => self.tell_machine(Happened::Handled { place }),
            FromHost::Hello(_) | FromHost::Attached { .. } | FromHost::Exited(_) => {}
        }
    }

    /// A dialog appeared. Only those of the start-up stand in the way before claude has a file of its own.
    fn dialog(&mut self, place: Place, name: Option<String>, screen: String) {
        let Some(what) = name.filter(|name| name != "rewind") else {
            return;
        };
        let Some(process) = self.processes.get(&place) else {
            return;
        };
        if process.read_file().is_some() {
            return;
        }
        self.turns.over(place);
        let own_place = process.origin.cwd != *self.blueprint.dir();
        let answerable = what == "trust" && own_place;
        self.tell_machine(Happened::Stuck {
            place,
            what,
            screen,
            answerable,
        });
    }

    fn looked(&mut self, place: Place, ticket: u64, bytes: &[u8]) {
        let Some(process) = self.processes.get_mut(&place) else {
            return;
        };
        match process.looked(ticket) {
            None => {}
            Some(LookFor::Box { number, ours }) => {
                let seen = process.inspection(ours.as_deref());
                self.tell_machine(Happened::Inspected {
                    place,
                    number,
                    seen: Some(seen),
                });
            }
            Some(LookFor::Client {
                reply,
                session,
                turns,
            }) => {
                let text = String::from_utf8_lossy(bytes);
                let content = crate::core::screen::last_turns(&text, turns);
                reply.send(Ok(Reply::Result {
                    session_id: session,
                    content,
                }));
            }
        }
    }

    /// The line to a host is cut: it is talked to again while it lives, and buried when it does not.
    fn lost(&mut self, place: Place, why: &str) {
        let Some(process) = self.processes.get_mut(&place) else {
            return;
        };
        for number in process.give_up(why) {
            let none = Happened::Inspected {
                place,
                number,
                seen: None,
            };
            let _ = self.ground.events.try_send(Event::Happened(Box::new(none)));
        }
        let greeted = process.state.as_ref().map(|state| state.host);
        let is_there = match (&mut process.child, greeted) {
            (Some(child), _) => matches!(child.try_wait(), Ok(None)),
            (None, Some(host)) => lives(host),
            (None, None) => false,
        };
        if is_there && process.ended.is_none() {
            let line = process.line(self.ground.user);
            let _ = self.ground.orders.send(Order::Talk(line));
            return;
        }
        self.turns.over(place);
        if let Some(process) = self.processes.remove(&place) {
            let message = format!("slot {}: its host is gone: {why}", place.slot);
            self.ground.log.write(Category::Slot, None, &message);
            spawning::bury(&self.ground, process, Some(self.ground.events.clone()));
        }
    }

    fn gone(&mut self, place: Place, how: End) {
        self.last_texts.remove(&place);
        self.usage.forget(place);
        self.tell_machine(Happened::Ended { place, how });
    }
}

fn left(since: Instant, every: Duration) -> Duration {
    every.saturating_sub(since.elapsed())
}
