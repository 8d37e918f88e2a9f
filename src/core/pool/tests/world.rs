//! A simulated world: hosts that outlive the daemon, a disk that can be full, transcripts, and a daemon that is killed
//! and started again. Nothing in it is real, least of all time.

use super::accounts::Roster;
use super::chooser::Chooser;
use super::claude::Claude;
use crate::core::account::AccountId;
use crate::core::pool::action::{Action, Typing};
use crate::core::pool::event::{End, Event, InTranscript, Known, LivingHost, Report, Settings};
use crate::core::pool::id::{Build, ClaudeUuid, DeliveryNumber, Place, SessionId, Token};
use crate::core::pool::machine::Machine;
use crate::core::pool::record::{Change, Delivery, PromptRecord, SessionRecord};
use crate::core::pool::status::{Disposition, Readiness};
use crate::core::time::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// In percent: how often what goes wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    pub(super) lost_hook: u64,
    pub(super) double_hook: u64,
    pub(super) late_hook: u64,
    pub(super) lost_registry: u64,
    pub(super) swallowed: u64,
    pub(super) disk_full: u64,
    pub(super) failed_start: u64,
    pub(super) slow_resume: u64,
    pub(super) no_prompt_ids: bool,
    pub(super) no_hooks: bool,
}

/// What will happen.
#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// Something reaches the daemon that was alive when it was sent.
    Tell(u64, Event),
    /// A host gets a command.
    Command(Place, DeliveryNumber, Typing),
    /// A host has typed, and answers.
    TypedNow(Place, DeliveryNumber, Typing),
    /// A claude comes up.
    Ready(Place),
    /// The registry file catches up with what claude does.
    Write(Place, Readiness),
    /// A turn says something; a turn asks; a turn is over.
    Says(Place, u64),
    Asks(Place, u64),
    TurnOver(Place, u64),
    /// A turn is refused; a line is written down; a limit has come to its end.
    Refused(Place, u64),
    Record(Place, ClaudeUuid, Line),
    Reset,
    /// A resumed conversation is there.
    Resumed(Place, ClaudeUuid),
    /// A process is gone.
    Gone(Place, End),
    /// The disk has done, or not done, what it was asked to.
    Disk(u64, Token, Vec<Change>),
    /// A daemon is started.
    Daemon,
}

/// A host and its claude.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) build: Build,
    pub(super) cwd: PathBuf,
    pub(super) account: Option<AccountId>,
    pub(super) done: DeliveryNumber,
    pub(super) claude: Claude,
    pub(super) reports: Vec<Report>,
    pub(super) seq: u64,
    /// It is typing this.
    pub(super) typing: Option<DeliveryNumber>,
}

/// A line of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Prompt(String),
    Said,
    Ended,
    Refused(Option<Timestamp>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) sessions: BTreeMap<SessionId, SessionRecord>,
    pub(super) prompts: BTreeMap<SessionId, (PromptRecord, ClaudeUuid, usize)>,
    pub(super) baseline: Option<(Build, Disposition)>,
}

pub(super) struct World {
    pub(super) machine: Option<Machine>,
    /// Which daemon it is.
    pub(super) daemon: u64,
    pub(super) now: Timestamp,
    pub(super) chance: Chooser,
    pub(super) faults: Faults,
    pub(super) disk: Disk,
    pub(super) writing: Option<(Token, Vec<Change>)>,
    pub(super) hosts: BTreeMap<Place, Host>,
    pub(super) transcripts: BTreeMap<ClaudeUuid, Vec<Line>>,
    pub(super) agenda: BinaryHeap<Reverse<(Timestamp, u64)>>,
    pub(super) what: BTreeMap<u64, Happening>,
    pub(super) counter: u64,
    pub(super) settings: Settings,
    pub(super) size: u32,
    pub(super) turn: (u64, u64),
    pub(super) roster: Roster,
    pub(super) trace: Option<Vec<String>>,
    pub(super) performed: Vec<Action>,
    pub(super) shutdown: bool,
    /// The highest generation that a directory of a slot knows of.
    pub(super) generation: u64,
    pub(super) people: super::people::People,
}

pub(super) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) const START: Timestamp = Timestamp::from_unix_ms(1_799_020_800_000);

impl World {
    pub(super) fn new(seed: u64, size: u32, faults: Faults) -> Self {
        Self {
            machine: None,
            daemon: 0,
            now: START,
            chance: Chooser::new(seed),
            faults,
            disk: Disk::default(),
            writing: None,
            hosts: BTreeMap::new(),
            transcripts: BTreeMap::new(),
            agenda: BinaryHeap::new(),
            what: BTreeMap::new(),
            counter: 0,
            settings: Settings {
                keep_fresh: 0,
                dir: PathBuf::from("/pool"),
                build: Build(1),
                allowed: None,
            },
            size,
            turn: (300, 4000),
            roster: Roster::default(),
            trace: None,
            performed: Vec::new(),
            shutdown: false,
            generation: 0,
            people: super::people::People::default(),
        }
    }

    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        let at = self.now.ms_since(START);
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{at:>8} {}", text()));
        }
    }

    pub(super) const fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn after(&mut self, time: u64, what: Happening) {
        let number = self.count();
        self.agenda.push(Reverse((self.now.plus(ms(time)), number)));
        self.what.insert(number, what);
    }

    /// Tells the daemon that is there now, a little later.
    pub(super) fn tell(&mut self, least: u64, most: u64, event: Event) {
        let time = self.chance.between(least, most);
        self.after(time, Happening::Tell(self.daemon, event));
    }

    /// Gives the machine an event, and does what it wants done.
    pub(super) fn handle(&mut self, event: Event) {
        let Some(machine) = &mut self.machine else {
            return;
        };
        let place = match &event {
            Event::PendingInput { place, .. } => Some(*place),
            _ => None,
        };
        let is_known = place.is_some_and(|place| machine.at(place).is_some());
        self.people.heard(&event, is_known);
        let shown = self.trace.is_some().then(|| format!("-> {event:?}"));
        let actions = machine.handle(event, self.now);
        if let Some(shown) = shown {
            self.note(|| shown);
        }
        for action in actions {
            self.note(|| format!("   {action:?}"));
            self.perform(action.clone());
            self.performed.push(action);
        }
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Persist { token, changes } => {
                assert!(self.writing.is_none(), "two writes at once");
                self.writing = Some((token, changes.clone()));
                let time = self.chance.between(1, 12);
                self.after(time, Happening::Disk(self.daemon, token, changes));
            }
            Action::Spawn {
                place,
                build,
                cwd,
                account,
                resume,
                ..
            } => self.spawn(place, build, cwd, account, resume),
            Action::End { place } => {
                let time = self.chance.between(100, 600);
                self.after(time, Happening::Gone(place, End::Exited("143".to_owned())));
            }
            Action::Type {
                place,
                number,
                typing,
            } => {
                let time = self.chance.between(0, 3);
                self.after(time, Happening::Command(place, number, typing));
            }
            Action::Inspect {
                place,
                number,
                ours,
            } => {
                let host = self.hosts.get(&place);
                let seen = host.map(|host| host.claude.inspect(ours.as_deref()));
                self.tell(
                    1,
                    8,
                    Event::Inspected {
                        place,
                        number,
                        seen,
                    },
                );
            }
            Action::CheckTranscript {
                session,
                conversations,
                delivery,
                text,
            } => {
                let found = self.look_up(session, &conversations, delivery, &text);
                self.tell(
                    1,
                    20,
                    Event::TranscriptChecked {
                        session,
                        delivery,
                        found,
                    },
                );
            }
            Action::Choose {
                session,
                account,
                until,
                refused,
                ..
            } => self.choose(session, account, until, &refused),
            Action::SaveSize { size } => self.size = size,
            Action::Shutdown => self.shutdown = true,
            Action::SetSession { .. }
            | Action::CloseAttach { .. }
            | Action::Reply { .. }
            | Action::ReplyContent { .. }
            | Action::Notify(_)
            | Action::Log(_) => {}
        }
    }

    fn spawn(
        &mut self,
        place: Place,
        build: Build,
        cwd: PathBuf,
        account: Option<AccountId>,
        resume: Option<ClaudeUuid>,
    ) {
        self.generation = self.generation.max(place.generation.0);
        if self.chance.chance(self.faults.failed_start) {
            let how = End::SpawnFailed("no".to_owned());
            return self.tell(5, 500, Event::Ended { place, how });
        }
        assert!(
            !self.hosts.keys().any(|other| other.slot == place.slot),
            "two hosts in one slot"
        );
        let known = resume.filter(|uuid| self.transcripts.contains_key(uuid));
        let uuid = known.unwrap_or_else(|| self.new_uuid());
        let allowed = self.settings.allowed.as_ref();
        let allowed = allowed.and_then(|allowed| allowed.first().copied());
        let account = account.or(allowed).or_else(|| self.any_account());
        let host = Host {
            build,
            cwd,
            account,
            done: DeliveryNumber(0),
            claude: Claude::new(uuid),
            reports: Vec::new(),
            seq: 0,
            typing: None,
        };
        self.hosts.insert(place, host);
        let pid = u32::try_from(place.generation.0).ok();
        self.tell(
            5,
            30,
            Event::Spawned {
                place,
                pid,
                account,
            },
        );
        if self.stands_at_dialog(place) {
            return;
        }
        let time = self.chance.between(500, 1200);
        self.after(time, Happening::Ready(place));
    }

    pub(super) fn new_uuid(&mut self) -> ClaudeUuid {
        ClaudeUuid::new(&format!("u{}", self.count()))
    }

    /// What the transcript has of a prompt, beyond the length that was noted when its delivery was written down.
    fn look_up(
        &self,
        session: SessionId,
        conversations: &[ClaudeUuid],
        delivery: Delivery,
        text: &Arc<str>,
    ) -> InTranscript {
        let found = conversations
            .iter()
            .map(|uuid| self.look_in(session, uuid, delivery, text));
        let there = |found: &InTranscript| *found != InTranscript::Absent;
        found
            .into_iter()
            .find(there)
            .unwrap_or(InTranscript::Absent)
    }

    fn look_in(
        &self,
        session: SessionId,
        uuid: &ClaudeUuid,
        delivery: Delivery,
        text: &Arc<str>,
    ) -> InTranscript {
        let noted = self.disk.prompts.get(&session);
        let noted = noted.filter(|(prompt, ..)| prompt.delivery == Some(delivery));
        let skip = match noted {
            Some((_, of, length)) if of == uuid => *length,
            _ => 0,
        };
        let lines = self.transcripts.get(uuid);
        let lines = lines.map_or(&[][..], |lines| &lines[skip.min(lines.len())..]);
        let is_it = |line: &Line| matches!(line, Line::Prompt(prompt) if **prompt == **text);
        let Some(at) = lines.iter().position(is_it) else {
            return InTranscript::Absent;
        };
        let after = &lines[at + 1..];
        let until = after
            .iter()
            .position(|line| matches!(line, Line::Prompt(_)));
        let turn = &after[..until.unwrap_or(after.len())];
        let refused = turn.iter().find_map(|line| match line {
            Line::Refused(until) => Some(*until),
            _ => None,
        });
        if let Some(until) = refused {
            let followed = turn.contains(&Line::Said);
            InTranscript::Refused { followed, until }
        } else if turn.contains(&Line::Ended) {
            InTranscript::Answered
        } else {
            InTranscript::Taken {
                followed: !turn.is_empty(),
            }
        }
    }

    /// Lets the next thing happen; false when nothing more is on the agenda before `end`.
    pub(super) fn step(&mut self, end: Timestamp) -> bool {
        let next = self.agenda.peek().map(|Reverse((at, _))| *at);
        let deadline = self.machine.as_ref().and_then(Machine::next_deadline);
        let at = [next, deadline].into_iter().flatten().min();
        let Some(at) = at.filter(|at| *at <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(at);
        if next.is_some_and(|next| next <= at) {
            if let Some(Reverse((_, number))) = self.agenda.pop()
                && let Some(what) = self.what.remove(&number)
            {
                self.happen(what);
            }
        } else {
            self.handle(Event::Tick);
            let later = self.machine.as_ref().and_then(Machine::next_deadline);
            assert!(
                later.is_none_or(|later| later > self.now),
                "the machine spins"
            );
        }
        true
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Tell(daemon, event) => {
                if daemon == self.daemon {
                    self.handle(event);
                }
            }
            Happening::Command(place, number, typing) => self.command(place, number, typing),
            Happening::TypedNow(place, number, typing) => self.typed(place, number, typing),
            Happening::Ready(place) => self.ready(place),
            Happening::Write(place, readiness) => self.write(place, readiness),
            Happening::Says(place, turn) => self.says(place, turn),
            Happening::Asks(place, turn) => {
                if self.is_at(place, turn) {
                    let what = "permission prompt".to_owned();
                    self.write(place, Readiness::Waiting { what });
                    self.after(400, Happening::Write(place, Readiness::Busy));
                }
            }
            Happening::TurnOver(place, turn) => self.turn_over(place, turn),
            Happening::Refused(place, turn) => self.refuse(place, turn),
            Happening::Record(place, uuid, line) => {
                if self.hosts.contains_key(&place) {
                    self.transcripts.entry(uuid).or_default().push(line);
                }
            }
            Happening::Reset => self.tell_standing(),
            Happening::Resumed(place, uuid) => self.resumed(place, uuid),
            Happening::Gone(place, how) => self.gone(place, how),
            Happening::Disk(daemon, token, changes) => self.written(daemon, token, changes),
            Happening::Daemon => self.start_daemon(),
        }
    }

    fn written(&mut self, daemon: u64, token: Token, changes: Vec<Change>) {
        if daemon != self.daemon {
            return;
        }
        self.writing = None;
        if self.chance.chance(self.faults.disk_full) {
            let why = "disk full".to_owned();
            return self.handle(Event::PersistFailed { token, why });
        }
        self.commit(changes);
        self.handle(Event::Persisted { token });
    }

    pub(super) fn commit(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Session(record) => {
                    self.disk.sessions.insert(record.id, *record);
                }
                Change::Deleted(id) => {
                    self.disk.sessions.remove(&id);
                    self.disk.prompts.remove(&id);
                }
                Change::Prompt(prompt) => self.commit_prompt(prompt),
                Change::NoPrompt(id) => {
                    self.disk.prompts.remove(&id);
                }
                Change::Baseline { build, disposition } => {
                    self.disk.baseline = Some((build, disposition));
                }
            }
        }
    }

    fn commit_prompt(&mut self, prompt: PromptRecord) {
        let id = prompt.session;
        let before = self.disk.prompts.get(&id).and_then(|(p, ..)| p.delivery);
        let noted = match self.disk.prompts.remove(&id) {
            Some((_, uuid, length)) if before == prompt.delivery => (uuid, length),
            _ => {
                let uuid = prompt.conversations.first().cloned();
                let uuid = uuid.unwrap_or_else(|| ClaudeUuid::new(""));
                let length = self.transcripts.get(&uuid).map_or(0, Vec::len);
                (uuid, length)
            }
        };
        self.disk.prompts.insert(id, (prompt, noted.0, noted.1));
    }

    /// A process is gone, by whatever cause.
    pub(super) fn gone(&mut self, place: Place, how: End) {
        if let Some(host) = self.hosts.remove(&place) {
            self.box_gone(&host.claude.in_box);
            self.tell(1, 200, Event::Ended { place, how });
        }
    }

    /// The daemon is killed: what is on its way to it is lost, what it was writing is written or not.
    pub(super) fn kill_daemon(&mut self) {
        self.note(|| "daemon killed".to_owned());
        self.machine = None;
        self.daemon += 1;
        if let Some((_, changes)) = self.writing.take()
            && self.chance.chance(50)
            && !self.chance.chance(self.faults.disk_full)
        {
            self.commit(changes);
        }
        let commands: Vec<u64> = self
            .what
            .iter()
            .filter(|(_, what)| matches!(what, Happening::Command(..)))
            .map(|(number, _)| *number)
            .collect();
        for number in commands {
            if self.chance.chance(50) {
                self.what.remove(&number);
            }
        }
        self.hold_back_commands();
        self.memory_gone();
    }

    /// A daemon starts, finds what is on disk and which hosts live, and hears the reports that they kept.
    pub(super) fn start_daemon(&mut self) {
        if self.machine.is_some() {
            return;
        }
        self.machine = Some(Machine::new());
        let standing = self.standing();
        let hosts = self.hosts.iter().map(|(place, host)| LivingHost {
            place: *place,
            build: host.build,
            cwd: host.cwd.clone(),
            account: host.account,
            pid: u32::try_from(place.generation.0).ok(),
            done: host.done,
            uuid: host.claude.written_uuid.clone(),
            readiness: host.claude.readiness.clone(),
            since: host.claude.since,
            pending: host.claude.in_box.clone(),
            is_handled: self.people.handled.contains(place),
        });
        let known = Known {
            size: self.size,
            settings: self.settings.clone(),
            standing,
            sessions: self.disk.sessions.values().cloned().collect(),
            prompts: self
                .disk
                .prompts
                .values()
                .map(|(p, ..)| p.clone())
                .collect(),
            baseline: self.disk.baseline.clone(),
            hosts: hosts.collect(),
            generation: self.generation,
        };
        let from = self.now.minus(ms(20_000));
        let kept: Vec<Report> = self
            .hosts
            .values()
            .flat_map(|host| host.reports.iter().filter(|r| r.at >= from).cloned())
            .collect();
        self.handle(Event::Loaded(Box::new(known)));
        for report in kept {
            self.tell(1, 30, Event::Report(report));
        }
        self.tell_dialogs();
    }
}
