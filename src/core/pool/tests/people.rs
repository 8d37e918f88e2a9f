//! People in the simulated world: dialogs at a start that somebody has to answer, lines that are half typed and must not
//! be lost, hands that change what no hook tells, and the ends of a pool that somebody asks for.

use super::simulation::Simulation;
use super::world::{Happening, World};
use crate::core::pool::event::{Event, Hook, Request};
use crate::core::pool::id::{Place, SessionId};
use crate::core::pool::machine::Machine;
use crate::core::pool::slot::State;
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// A session that goes wrong so long after the last fault goes wrong by itself.
const AFTERMATH: Duration = Duration::from_secs(180);

/// A line that stands half typed at a session's prompt, or is kept for it.
#[derive(Clone, Copy, Debug)]
struct HalfLine {
    session: SessionId,
    /// The daemon was told of it, and must not lose it from then on.
    is_told: bool,
    /// That took a moment, in which its box may have been emptied.
    is_late: bool,
}

/// What people did.
#[derive(Debug, Default)]
pub(super) struct People {
    /// In percent: how often a start stands at a dialog.
    pub(super) dialogs_in: u64,
    /// Processes that do, and whether a person may answer.
    dialogs: BTreeMap<Place, bool>,
    /// Processes that somebody typed into.
    pub(super) handled: BTreeSet<Place>,
    lines: BTreeMap<String, HalfLine>,
    /// Somebody has asked for an end of the daemon: whether with its slots.
    ending: Option<bool>,
    pub(super) ends: u64,
    calm_since: Option<Timestamp>,
}

impl People {
    /// How many lines were half typed, and owed in the end.
    pub(super) fn lines(&self) -> u64 {
        self.lines.values().filter(|line| line.is_told).count() as u64
    }

    /// The daemon hears of something.
    pub(super) fn heard(&mut self, event: &Event, is_known: bool) {
        // A host tells of nothing after its end.
        if let Event::PendingInput { text, .. } = event
            && let Some(line) = self.lines.get_mut(text).filter(|_| is_known)
        {
            line.is_told = true;
        }
    }
}

impl World {
    /// Whether a start stands at a dialog. Somebody may answer it; nobody has to.
    pub(super) fn stands_at_dialog(&mut self, place: Place) -> bool {
        let stands = self.chance.chance(self.people.dialogs_in);
        if stands {
            let answerable = self.chance.chance(60);
            self.people.dialogs.insert(place, answerable);
            self.tell_dialog(place, 600);
            if answerable && self.chance.chance(60) {
                let time = self.chance.between(1_000, 30_000);
                self.after(time, Happening::Ready(place));
            }
        }
        stands
    }

    pub(super) fn dialog_answered(&mut self, place: Place) {
        self.people.dialogs.remove(&place);
    }

    fn tell_dialog(&mut self, place: Place, least: u64) {
        let answerable = self.people.dialogs.get(&place) == Some(&true);
        let event = Event::Stuck {
            place,
            what: "trust".to_owned(),
            screen: "Do you trust this?".to_owned(),
            answerable,
        };
        self.tell(least, least + 900, event);
    }

    /// A new daemon sees the dialogs that stand.
    pub(super) fn tell_dialogs(&mut self) {
        let places: Vec<Place> = self.people.dialogs.keys().copied().collect();
        for place in places {
            if self.hosts.contains_key(&place) {
                self.tell_dialog(place, 5_000);
            }
        }
    }

    /// Commands of a daemon that is gone may reach a host that is slow when there is a new daemon.
    pub(super) fn hold_back_commands(&mut self) {
        let is_command = |what: &Happening| matches!(what, Happening::Command(..));
        let numbers: Vec<u64> = self
            .what
            .iter()
            .filter(|(_, what)| is_command(what))
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            if self.chance.chance(40)
                && let Some(what) = self.what.remove(&number)
            {
                let time = self.chance.between(20, 4_000);
                self.after(time, what);
            }
        }
    }

    /// A process is gone, with what stood in its box.
    pub(super) fn box_gone(&mut self, text: &str) {
        let no_daemon = self.machine.is_none();
        let disk = &self.disk;
        self.people.lines.retain(|line, half| {
            let was_in_box = no_daemon && text.contains(line.as_str());
            !was_in_box || is_kept(disk.sessions.get(&half.session), line)
        });
    }

    /// What only the daemon knew is gone with it: whose slot it was, where the disk was full, and what was reported late.
    pub(super) fn memory_gone(&mut self) {
        let (disk, hosts) = (&self.disk, &self.hosts);
        self.people.lines.retain(|line, half| {
            let record = disk.sessions.get(&half.session);
            let seat = record.and_then(|record| record.seat);
            let host = seat.and_then(|seat| hosts.get(&seat.place));
            let stands = host.is_some_and(|host| host.claude.in_box.contains(line));
            is_kept(record, line) || (stands && !half.is_late)
        });
    }
}

fn is_kept(record: Option<&crate::core::pool::record::SessionRecord>, line: &str) -> bool {
    let saved = record.and_then(|record| record.saved_input.as_deref());
    saved.is_some_and(|saved| saved.contains(line))
}

impl Simulation {
    /// One more thing that somebody does.
    pub(super) fn people(&mut self) {
        match self.world.chance.below(12) {
            0..=5 => self.half_type(),
            6..=7 => self.handle_terminal(),
            8..=9 => self.notify(),
            10 if self.world.chance.chance(40) => self.end_pool(),
            _ => {}
        }
    }

    /// A terminal that belongs to a session, and the session.
    fn terminal(&mut self) -> Option<(Place, SessionId)> {
        let machine = self.world.machine.as_ref()?;
        let at = |id: &SessionId| Some((machine.hosted_at(*id)?, *id));
        let seats: Vec<(Place, SessionId)> = machine.sessions.keys().filter_map(at).collect();
        let (place, session) = self.world.chance.one_of(&seats)?;
        let host = self.world.hosts.get(&place)?;
        // What is attached is held back while the host types.
        let usable = host.typing.is_none() && host.claude.ready && !host.claude.rewind;
        usable.then_some((place, session))
    }

    /// Half a line is typed, or one goes on.
    fn half_type(&mut self) {
        let Some((place, session)) = self.terminal() else {
            return;
        };
        let is_report = |what: &Happening| matches!(what, Happening::Tell(_, Event::PendingInput { place: of, .. }) if *of == place);
        // Reports come in their order.
        if self.world.what.values().any(is_report) {
            return;
        }
        let number = self.world.count();
        let late = self.world.chance.chance(40);
        let Some(host) = self.world.hosts.get_mut(&place) else {
            return;
        };
        let before = host.claude.in_box.clone();
        let known = self.world.people.lines.remove(&before);
        let text = match known {
            Some(_) => format!("{before} and {number}."),
            None if before.is_empty() => format!("line {number}."),
            None => return,
        };
        host.claude.in_box.clone_from(&text);
        let line = HalfLine {
            session,
            is_told: false,
            is_late: late || known.is_some_and(|line| line.is_late),
        };
        self.world.people.lines.insert(text.clone(), line);
        self.world.note(|| format!("half typed: {text}"));
        let event = Event::PendingInput { place, text };
        if late {
            self.world.tell(1, 79, event);
        } else {
            self.world.handle(event);
        }
    }

    /// Somebody changes at a terminal what no hook tells.
    fn handle_terminal(&mut self) {
        if let Some((place, _)) = self.terminal() {
            self.world.people.handled.insert(place);
            self.world.handle(Event::Handled { place });
        }
    }

    /// Claude tells of what changes nothing, or little.
    fn notify(&mut self) {
        if let Some((place, _)) = self.terminal() {
            let hook = if self.world.chance.chance(50) {
                let kind = "idle_prompt".to_owned();
                Hook::Notification { kind }
            } else {
                let cwd = PathBuf::from(format!("/pool/{}", self.world.count()));
                Hook::CwdChanged { cwd }
            };
            self.world.hook(place, hook, None);
        }
    }

    /// Somebody ends the pool, or replaces its daemon.
    fn end_pool(&mut self) {
        if self.calm || self.world.machine.is_none() || self.world.people.ending.is_some() {
            return;
        }
        let destroys = self.world.chance.chance(50);
        self.world.people.ending = Some(destroys);
        if destroys {
            // Turns that are under way end with it.
            let hosts = self.world.hosts.values();
            for working in hosts.filter_map(|host| host.claude.working.as_ref()) {
                if let Some(promise) = self.promises.get_mut(&working.text) {
                    promise.excused = true;
                }
            }
            self.ask(Request::Destroy { confirm: true });
        } else {
            self.world.handle(Event::Leaving);
        }
    }

    /// Whether the daemon was asked to leave its slots.
    pub(super) fn leaves(&self) -> bool {
        self.world.people.ending == Some(false)
    }

    /// The daemon has nothing left to do, and exits.
    pub(super) fn shut_down(&mut self) {
        let ending = self.world.people.ending.take();
        let destroys = ending.expect("nobody asked for an end");
        let full = self.world.faults.disk_full > 0;
        assert!(
            full || self.open.is_empty(),
            "left without an answer: {:?}",
            self.open
        );
        assert!(
            !destroys || self.world.hosts.is_empty(),
            "slots outlive their pool"
        );
        self.world.people.ends += 1;
        self.kill_daemon();
    }

    /// The daemon was killed before it could end as it was asked to.
    pub(super) fn forget_end(&mut self) {
        self.world.people.ending = None;
    }

    /// No faults from now on; whoever can answer a dialog does.
    pub(super) fn calm_people(&mut self) {
        self.world.people.dialogs_in = 0;
        self.world.people.calm_since = Some(self.world.now);
        let dialogs = self.world.people.dialogs.clone();
        for (place, answerable) in dialogs {
            if answerable {
                self.world.after(1_000, Happening::Ready(place));
            }
        }
    }

    /// A session is said to have failed.
    pub(super) fn check_failure(&self, session: SessionId) {
        let since = self.world.people.calm_since;
        let late = since.is_some_and(|since| self.world.now.since(since) > AFTERMATH);
        assert!(!late, "{session} fails, and nothing is wrong");
    }

    /// The slots add up to the pool's size, until it ends.
    pub(super) fn check_sum(&self, machine: &Machine) {
        if machine.is_initialized() && self.world.people.ending != Some(true) {
            let health = machine.health();
            let sum: u32 = health.slots.values().sum();
            assert_eq!(sum, health.size, "{health:?}");
        }
    }

    /// What somebody typed into is not handed on.
    pub(super) fn check_handled(&self, machine: &Machine) {
        for slot in machine.slots.values() {
            let place = slot.place().filter(|_| matches!(slot.state, State::Fresh));
            let handled = place.is_some_and(|place| self.world.people.handled.contains(&place));
            assert!(!handled, "{place:?} was somebody's, and is fresh");
        }
    }

    /// Every line that the daemon was told of is in its box, or kept for its session.
    pub(super) fn check_lines(&self, machine: &Machine) {
        for (line, half) in self.world.people.lines.iter().filter(|(_, h)| h.is_told) {
            let Some(session) = machine.sessions.get(&half.session) else {
                continue;
            };
            let seat = session.record.seat.map(|seat| seat.place);
            let host = seat.and_then(|place| self.world.hosts.get(&place));
            let stands = host.is_some_and(|host| host.claude.in_box.contains(line));
            assert!(
                stands || is_kept(Some(&session.record), line),
                "`{line}` of {} is lost",
                half.session
            );
        }
    }
}
