//! The processes in the slots: starting them, ending them, and what follows when one dies.

use super::action::{Action, Fact, ReplaceReason};
use super::event::{End, Settings};
use super::id::{Generation, Place, SessionId, SlotId};
use super::machine::{Machine, Phase};
use super::record::Rest;
use super::session::IfAbsent;
use super::slot::{Launch, Process, Slot, State, Turn};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::time::Duration;

/// The first pause before a slot whose process died is tried again; it doubles.
pub const PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// After that many failures in a row a slot is only tried when somebody waits for one, or something changes.
pub const CEILING: u32 = 10;
/// A process that lived this long had nothing wrong with its start.
const PROVEN: Duration = Duration::from_secs(60);
/// A process that is not ready after this is not going to be.
const START: Duration = Duration::from_secs(60);
/// An end that was not heard of is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// How often in a row a session may fail to load.
pub const LOADS: u32 = 3;

impl Machine {
    pub(super) fn change_settings(&mut self, settings: Settings) {
        self.check_fresh |= settings.keep_fresh != self.settings.keep_fresh;
        if settings.build != self.settings.build || settings.allowed != self.settings.allowed {
            self.try_again();
        }
        self.settings = settings;
    }

    /// Slots that rest after failures are tried now.
    pub(super) fn try_again(&mut self) {
        let now = self.now;
        for slot in self.slots.values_mut() {
            if let State::Empty { at, .. } = &mut slot.state {
                *at = now;
                slot.failures = slot.failures.min(1);
            }
        }
    }

    pub(super) fn advance_empty(&mut self, id: SlotId) -> bool {
        let Some(slot) = self.slots.get(&id) else {
            return false;
        };
        let State::Empty { at, launch } = slot.state else {
            return false;
        };
        if slot.failures >= CEILING && self.queue.is_empty() {
            return false;
        }
        if at > self.now {
            self.wake_at(at);
            return false;
        }
        self.spawn(id, launch);
        true
    }

    fn spawn(&mut self, id: SlotId, launch: Launch) {
        self.last_generation += 1;
        let place = Place {
            slot: id,
            generation: Generation(self.last_generation),
        };
        let waits = |id: &SessionId| self.sessions.get(id).is_some_and(|s| s.waits());
        let session = launch.session.filter(waits);
        let (mut cwd, mut account, mut resume) = (self.settings.dir.clone(), None, None);
        if let Some(session) = session.and_then(|id| self.sessions.get(&id)) {
            cwd.clone_from(&session.record.spawn_cwd);
            account = launch.account.or(session.record.account);
            // What could not be typed is tried from the start.
            let at_once = session.load_failures > 0 || launch.account.is_some();
            let has = session.record.has_transcript && at_once;
            resume = session.record.uuid.clone().filter(|_| has);
        }
        let build = self.settings.build;
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.process = Some(Process::new(place.generation, build, cwd.clone()));
            slot.state = State::Spawning {
                launch: Launch {
                    session,
                    account: launch.account,
                },
                until: self.now.plus(START),
                resume: resume.clone(),
                stuck: false,
            };
        }
        self.actions.push(Action::Spawn {
            place,
            build,
            cwd,
            account,
            resume,
            session,
        });
    }

    /// The slot that this is about, if its process is still the one meant.
    pub(super) fn at(&mut self, place: Place) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(&place.slot)?;
        (slot.place() == Some(place)).then_some(slot)
    }

    pub(super) fn spawned(&mut self, place: Place, pid: Option<u32>, account: Option<AccountId>) {
        let begun = self.now;
        let Some(slot) = self.at(place) else {
            return;
        };
        if let Some(process) = slot.process.as_mut() {
            process.pid = pid;
            process.account = account;
        }
        // It may have waited for its turn.
        if let State::Spawning { until, .. } = &mut slot.state {
            *until = begun.plus(START);
        }
    }

    pub(super) fn advance_spawning(&mut self, id: SlotId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&id) else {
            return false;
        };
        let (
            State::Spawning {
                launch,
                until,
                resume,
                stuck,
            },
            Some(process),
        ) = (&slot.state, &mut slot.process)
        else {
            return false;
        };
        let (launch, until, stuck) = (*launch, *until, *stuck);
        if !process.is_idle() {
            if stuck {
                return self.leave_dialog(id, launch);
            }
            if until > now {
                self.wake_at(until);
                return false;
            }
            let why = "claude did not become ready";
            self.start_failed(id, launch, why.to_owned());
            return true;
        }
        if process.adopted_at.is_some() {
            // It may have been started with somebody's conversation.
            process.ready_at = Some(now);
            self.begin_clearing(id);
            return true;
        }
        let resumed = resume.is_some() && *resume == process.uuid;
        process.ready_at = Some(now);
        slot.problem = None;
        slot.state = State::Fresh;
        let session = launch.session.and_then(|id| self.sessions.get_mut(&id));
        if let Some(session) = session {
            session.stuck_for = None;
            let id_of = session.id();
            let waits = session.waits();
            if waits && launch.account.is_some() {
                session.moved_at = Some(now);
            }
            self.touch(id_of);
            if waits {
                self.claim(id, id_of);
            } else if resumed {
                self.replace(id, ReplaceReason::Abandoned);
            }
        } else if resumed {
            self.replace(id, ReplaceReason::Abandoned);
        }
        true
    }

    fn look_at_dialog(&mut self, id: SlotId) {
        let now = self.now;
        let state = self.slots.get_mut(&id).map(|slot| &mut slot.state);
        let Some(State::Spawning { until, .. }) = state else {
            return;
        };
        let is_due = *until <= now;
        if is_due {
            *until = now.plus(START);
        }
        let until = *until;
        self.wake_at(until);
        if is_due {
            self.look(id);
        }
    }

    /// A dialog that only its session needs answered stands as long as that session waits.
    fn leave_dialog(&mut self, id: SlotId, launch: Launch) -> bool {
        let session = launch.session.and_then(|id| self.sessions.get(&id));
        if session.is_some_and(super::session::Session::waits) {
            // That it was answered may have gone unheard.
            self.look_at_dialog(id);
            return false;
        }
        if let Some(session) = launch.session.and_then(|id| self.sessions.get_mut(&id)) {
            session.stuck_for = None;
        }
        self.replace(id, ReplaceReason::Abandoned);
        true
    }

    /// A process that cannot be used is ended, and the slot rests.
    fn start_failed(&mut self, id: SlotId, launch: Launch, why: String) {
        if let Some(session) = launch.session {
            self.load_failed(session, why.clone());
        }
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.failures = slot.failures.saturating_add(1);
            slot.problem = Some(why);
        }
        self.replace(id, ReplaceReason::Stuck);
    }

    pub(super) fn stuck(&mut self, place: Place, what: String, screen: String, answerable: bool) {
        let Some(slot) = self.at(place) else {
            return;
        };
        let State::Spawning { launch, stuck, .. } = &mut slot.state else {
            return;
        };
        let launch = *launch;
        if answerable && let Some(session) = launch.session {
            *stuck = true;
            slot.problem = Some(format!("waits for an answer: {what}"));
            if let Some(session) = self.sessions.get_mut(&session) {
                session.stuck_for = Some(what);
            }
            self.touch(session);
        } else {
            let why = format!("claude is stuck in a dialog ({what}): {screen}");
            self.start_failed(place.slot, launch, why);
        }
        self.log(Fact::Stuck { place, screen });
    }

    pub(super) fn replace(&mut self, id: SlotId, why: ReplaceReason) {
        self.replace_for(id, why, Launch::default());
    }

    /// Ends a slot's process, whose session has left it, to start the next one.
    pub(super) fn replace_for(&mut self, id: SlotId, why: ReplaceReason, launch: Launch) {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&id) else {
            return;
        };
        let Some(place) = slot.place() else {
            return;
        };
        let pause = if why == ReplaceReason::Stuck {
            pause_after(slot.failures)
        } else {
            Duration::ZERO
        };
        slot.state = State::Ending {
            launch,
            until: now.plus(ASK_AGAIN),
            at: now.plus(pause),
        };
        self.actions.push(Action::End { place });
        self.log(Fact::Replaced { place, why });
    }

    pub(super) fn advance_ending(&mut self, id: SlotId) -> bool {
        let now = self.now;
        let Some(slot) = self.slots.get_mut(&id) else {
            return false;
        };
        let place = slot.place();
        let State::Ending { until, .. } = &mut slot.state else {
            return false;
        };
        if *until <= now {
            *until = now.plus(ASK_AGAIN);
            self.actions
                .extend(place.map(|place| Action::End { place }));
        }
        if let Some(State::Ending { until, .. }) = self.slots.get(&id).map(|s| &s.state) {
            self.wake_at(*until);
        }
        false
    }

    /// A process is over.
    pub(super) fn ended(&mut self, place: Place, how: &End) {
        let now = self.now;
        let Some(slot) = self.at(place) else {
            return;
        };
        let process = slot.process.take();
        let session = slot.session();
        let line = process.as_ref().map(|process| process.in_box(now));
        let lived = process.and_then(|p| p.ready_at).map(|at| now.since(at));
        let launch = slot.launch();
        let state = std::mem::replace(&mut slot.state, State::Empty { at: now, launch });
        if let State::Ending { at, .. } = state {
            slot.state = State::Empty { at, launch };
        } else {
            let proven = lived.is_some_and(|lived| lived >= PROVEN);
            slot.failures = if proven {
                1
            } else {
                slot.failures.saturating_add(1)
            };
            let at = now.plus(pause_after(slot.failures));
            slot.state = State::Empty {
                at,
                launch: Launch::default(),
            };
            slot.problem = Some(text_of(how));
            let gave_up = slot.failures == CEILING;
            self.log(Fact::ProcessEnded {
                place,
                session,
                how: text_of(how),
            });
            if gave_up {
                self.log(Fact::GaveUp { slot: place.slot });
            }
        }
        if let (Some(session), Some(line)) = (session, line) {
            self.keep_line(session, &line);
        }
        if matches!(self.phase, Phase::Running) {
            self.bereave(state, how);
            self.check_prompts_of(place);
        }
        if self.slots.get(&place.slot).is_some_and(|slot| slot.leaving) {
            self.slots.remove(&place.slot);
        }
    }

    /// What becomes of the session whose process died.
    fn bereave(&mut self, state: State, how: &End) {
        match state {
            State::Spawning { launch, .. } => {
                if let Some(session) = launch.session {
                    self.load_failed(session, text_of(how));
                }
            }
            State::Resuming(session, _) => {
                self.unseat_dead(session);
                self.load_failed(session, text_of(how));
            }
            State::Hosting(session, turn) => self.bereave_host(session, turn),
            _ => {}
        }
    }

    fn bereave_host(&mut self, id: SessionId, turn: Turn) {
        match turn {
            Turn::Quiet { .. } => self.unseat_dead(id),
            Turn::Delivering(submission) if submission.sent_at.is_none() => {
                self.unseat_dead(id);
            }
            Turn::Delivering(_) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.checking = Some(IfAbsent::Redeliver);
                }
                self.unseat_dead(id);
            }
            Turn::Choosing(choosing) => {
                self.owe_again(id, choosing.text);
                self.unseat_dead(id);
            }
            // Whether the plan's limit had ended it, the transcript tells.
            Turn::Running(_) if self.take_back_kept(id) => self.unseat_dead(id),
            Turn::Running(_) | Turn::Tidying { .. } => {
                self.unseat_dead(id);
                self.die(id);
            }
        }
    }

    /// A session's turn died with its process.
    pub(super) fn die(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.died = true;
        }
        self.forget_kept(id);
        self.touch(id);
        self.tell(id);
    }

    /// As [`Machine::unseat`], when there is no process left to tell.
    pub(super) fn unseat_dead(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.record.seat = None;
            session.kept = None;
            if let Some(prompt) = &mut session.prompt
                && session.checking.is_none()
            {
                prompt.delivery = None;
            }
        }
        self.mark_prompt(id);
    }

    /// Now that nothing of this process runs any more, its transcripts say what became of prompts.
    fn check_prompts_of(&mut self, place: Place) {
        let of_it = |session: &&super::session::Session| {
            let delivery = session.prompt.as_ref().and_then(|p| p.delivery);
            session.checking.is_some() && delivery.is_some_and(|d| d.place == place)
        };
        let found: Vec<SessionId> = self
            .queue
            .iter()
            .filter_map(|id| self.sessions.get(id))
            .filter(of_it)
            .map(super::session::Session::id)
            .collect();
        for session in found {
            self.check_transcript(session);
        }
    }

    pub(super) fn check_transcript(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let Some((prompt, delivery)) = session.prompt.as_ref().and_then(|p| Some((p, p.delivery?)))
        else {
            return;
        };
        self.actions.push(Action::CheckTranscript {
            session: id,
            conversations: prompt.conversations.clone(),
            delivery,
            text: prompt.text.clone(),
        });
    }

    /// A session could not be brought back, or would not take its prompt, once more.
    pub(super) fn load_failed(&mut self, id: SessionId, why: String) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.stuck_for = None;
        session.load_failures += 1;
        let times = session.load_failures;
        self.log(Fact::LoadFailed {
            session: id,
            times,
            why: why.clone(),
        });
        if times >= LOADS {
            self.lay_to_rest(id, Rest::Failed(why));
        } else {
            self.mark(id);
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let doubled = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16));
    doubled.min(LONGEST_PAUSE)
}

fn text_of(how: &End) -> String {
    match how {
        End::Exited(how) => format!("claude ended: {how}"),
        End::HostGone => "its host is gone".to_owned(),
        End::SpawnFailed(why) => format!("cannot start claude: {why}"),
    }
}

impl Slot {
    /// Its next process is being waited for.
    pub(super) const fn launching_now(&self) -> bool {
        matches!(
            self.state,
            State::Empty { .. } | State::Spawning { .. } | State::Ending { .. }
        )
    }
}

/// When a process that is to be ready by then has failed.
pub(super) fn start_by(now: Timestamp) -> Timestamp {
    now.plus(START)
}
