//! A slot as the machine holds it: the process in it, and what is being done with it.

use super::action::Typing;
use super::book::Epoch;
use super::event::{Inspection, LivingHost};
use super::handoff::Choosing;
use super::id::{
    Build, ClaudeUuid, DeliveryNumber, Generation, Place, PromptId, SessionId, SlotId,
};
use super::record::{Delivery, PromptRecord};
use super::status::{Disposition, Readiness, SlotState};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Numbers that a new daemon leaves out: the one before may have sent commands that the host has not reported yet.
const GAP: u64 = 1000;
/// How many earlier conversations of a process are remembered, to tell a late report from news.
const PAST: usize = 16;
/// A host answers a command within this time, holding back an attached client included …
const TYPING: Duration = Duration::from_secs(30);
/// … and for each so many bytes of its text a second later: a long one is typed in pieces, as fast as claude takes them.
const TYPES_PER_SECOND: u64 = 4096;
/// A look at a process is answered within this time.
const LOOK: Duration = Duration::from_secs(5);

/// The registry file as it was read last.
#[derive(Clone, Debug)]
pub(super) struct Registry {
    pub(super) readiness: Readiness,
    pub(super) since: Timestamp,
    pub(super) uuid: Option<ClaudeUuid>,
}

/// A command that a host is carrying out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outstanding {
    pub(super) number: DeliveryNumber,
    pub(super) until: Timestamp,
    /// It puts back what was half typed.
    pub(super) puts_back: bool,
}

/// A claude and its host.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) generation: Generation,
    pub(super) build: Build,
    pub(super) cwd: PathBuf,
    pub(super) account: Option<AccountId>,
    pub(super) pid: Option<u32>,
    /// The conversation in it, by whatever told first.
    pub(super) uuid: Option<ClaudeUuid>,
    past: Vec<ClaudeUuid>,
    /// When this daemon found it alive; what it was in before is not known.
    pub(super) adopted_at: Option<Timestamp>,
    pub(super) registry: Registry,
    pub(super) pending: String,
    /// The session that has just left it.
    pub(super) left: Option<SessionId>,
    /// What was put back into the box last, and when.
    pub(super) put_back: Option<(String, Timestamp)>,
    next_number: u64,
    pub(super) outstanding: Option<Outstanding>,
    /// What it is like, by its own reports.
    pub(super) seen: Disposition,
    /// The conversation whose beginning it reported last.
    pub(super) began: Option<ClaudeUuid>,
    /// It has reported something: its hooks are not switched off.
    pub(super) reports: bool,
    /// Nobody has used it yet.
    pub(super) pristine: bool,
    /// No prompt has been taken yet.
    pub(super) unprompted: bool,
    /// Somebody who is not the pool typed into it.
    pub(super) is_handled: bool,
    /// An idle registry from before this is an old one: when the last turn began.
    pub(super) idle_after: Timestamp,
    /// A busy one from before this, too: when the last turn ended.
    pub(super) busy_after: Timestamp,
    pub(super) cleared_at: Option<Timestamp>,
    pub(super) ready_at: Option<Timestamp>,
    /// A look was asked for, and counts as lost then.
    looking: Option<Timestamp>,
    /// What somebody who is attached has submitted last, when, and which prompt that is.
    pub(super) submitted: Option<Submitted>,
    /// The text that was typed last, and as which command.
    pub(super) ours: Option<(DeliveryNumber, Arc<str>)>,
}

impl Process {
    pub(super) fn new(generation: Generation, build: Build, cwd: PathBuf) -> Self {
        Self {
            generation,
            build,
            cwd,
            account: None,
            pid: None,
            uuid: None,
            past: Vec::new(),
            adopted_at: None,
            registry: Registry {
                readiness: Readiness::Starting,
                since: Timestamp::default(),
                uuid: None,
            },
            pending: String::new(),
            left: None,
            put_back: None,
            next_number: 1,
            outstanding: None,
            seen: Disposition::default(),
            began: None,
            reports: false,
            pristine: true,
            unprompted: true,
            is_handled: false,
            idle_after: Timestamp::default(),
            busy_after: Timestamp::default(),
            cleared_at: None,
            ready_at: None,
            looking: None,
            submitted: None,
            ours: None,
        }
    }

    pub(super) fn adopt(host: LivingHost, highest: DeliveryNumber, now: Timestamp) -> Self {
        let mut process = Self::new(host.place.generation, host.build, host.cwd);
        process.account = host.account;
        process.pid = host.pid;
        process.uuid.clone_from(&host.uuid);
        process.registry = Registry {
            readiness: host.readiness,
            since: host.since,
            uuid: host.uuid,
        };
        process.pending = host.pending;
        process.next_number = host.done.max(highest).0 + GAP;
        process.pristine = false;
        process.unprompted = false;
        process.is_handled = host.is_handled;
        process.ready_at = Some(now);
        process.adopted_at = Some(now);
        process
    }

    /// Input would reach the prompt of the conversation that is believed to be there.
    pub(super) fn is_ready(&self) -> bool {
        self.outstanding.is_none() && self.is_idle()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.registry.readiness == Readiness::Idle
            && self.registry.since > self.idle_after
            && (self.registry.uuid.is_none() || self.registry.uuid == self.uuid)
    }

    /// A turn, or a dialog, is under way that began after everything that is over.
    pub(super) fn is_engaged(&self) -> bool {
        let engaged = matches!(
            self.registry.readiness,
            Readiness::Busy | Readiness::Waiting { .. }
        );
        engaged && self.registry.since > self.idle_after && self.registry.since > self.busy_after
    }

    pub(super) fn number(&mut self) -> DeliveryNumber {
        let number = DeliveryNumber(self.next_number);
        self.next_number += 1;
        number
    }

    pub(super) fn begin_typing(&mut self, number: DeliveryNumber, typing: &Typing, now: Timestamp) {
        let bytes = match typing {
            Typing::Prompt(text) => text.len(),
            Typing::PutBack(text) => text.len(),
            _ => 0,
        };
        let time = TYPING + Duration::from_secs(bytes as u64 / TYPES_PER_SECOND);
        self.pristine = false;
        self.outstanding = Some(Outstanding {
            number,
            until: now.plus(time),
            puts_back: matches!(typing, Typing::PutBack(_)),
        });
    }

    /// Whether to ask for a look now; none is under way.
    pub(super) fn begin_look(&mut self, now: Timestamp) -> bool {
        let under_way = self.looking.is_some_and(|until| until > now);
        if !under_way {
            self.looking = Some(now.plus(LOOK));
        }
        !under_way
    }

    pub(super) fn end_look(&mut self, seen: Option<&Inspection>) {
        self.looking = None;
        if let Some(seen) = seen {
            self.read(&seen.readiness, seen.since);
            self.registry.uuid.clone_from(&seen.uuid);
        }
    }

    /// Takes in a reading of the registry file; whether it is news rather than an old one.
    pub(super) fn read(&mut self, readiness: &Readiness, since: Timestamp) -> bool {
        if since < self.registry.since {
            return false;
        }
        self.registry.readiness = readiness.clone();
        self.registry.since = since;
        true
    }

    pub(super) fn was_in(&self, uuid: &ClaudeUuid) -> bool {
        self.past.contains(uuid)
    }

    /// A report from before this daemon, of a conversation that the registry does not show: one that was left since.
    pub(super) fn has_left(&self, uuid: &ClaudeUuid, at: Timestamp) -> bool {
        let shown = self.registry.uuid.as_ref();
        self.adopted_at.is_some_and(|adopted_at| at < adopted_at)
            && shown.is_some_and(|shown| shown != uuid)
    }

    pub(super) fn enter(&mut self, uuid: ClaudeUuid) -> Option<ClaudeUuid> {
        let before = self.uuid.replace(uuid);
        if let Some(before) = before.clone() {
            if self.past.len() == PAST {
                self.past.remove(0);
            }
            self.past.push(before);
        }
        before
    }
}

/// Something typed that has to be seen to have worked.
#[derive(Clone, Debug)]
pub(super) struct Submission {
    /// What has to be on disk before.
    pub(super) wait: Epoch,
    /// As which command it is typed, once that is decided.
    pub(super) number: Option<DeliveryNumber>,
    /// It is still to be typed.
    pub(super) to_send: bool,
    /// When it was decided to, after which it is given up.
    pub(super) begun_at: Timestamp,
    /// Reports from then on can be about it.
    pub(super) sent_at: Option<Timestamp>,
    pub(super) typed_at: Option<Timestamp>,
    pub(super) resent: u8,
    /// How often it was neither in the box nor in the transcript.
    pub(super) absent: u8,
    pub(super) look_at: Timestamp,
    /// The conversation before.
    pub(super) from: Option<ClaudeUuid>,
    /// When it was seen to have worked.
    pub(super) confirmed_at: Option<Timestamp>,
    /// A transcript is being read.
    pub(super) reading: bool,
}

impl Submission {
    pub(super) fn new(wait: Epoch, now: Timestamp) -> Self {
        Self {
            wait,
            number: None,
            to_send: true,
            begun_at: now,
            sent_at: None,
            typed_at: None,
            resent: 0,
            absent: 0,
            look_at: now,
            from: None,
            confirmed_at: None,
            reading: false,
        }
    }
}

/// A prompt that somebody else than the pool typed.
#[derive(Clone, Debug)]
pub(super) struct Submitted {
    pub(super) text: Arc<str>,
    pub(super) prompt: Option<PromptId>,
    pub(super) at: Timestamp,
}

/// A prompt that was taken: the pool's own, or, as command 0, one of somebody who is attached.
#[derive(Clone, Debug)]
pub(super) struct Ours {
    pub(super) delivery: Delivery,
    pub(super) text: Arc<str>,
    /// The conversation that it was taken in, where a hook told it.
    pub(super) taken_in: Option<ClaudeUuid>,
    pub(super) conversations: Vec<ClaudeUuid>,
}

/// A turn that claude is known to have begun.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) since: Timestamp,
    pub(super) prompt: Option<PromptId>,
    /// The prompt, where it is the pool's own, or known.
    pub(super) ours: Option<Ours>,
    /// A hook said that it ended, and the transcript is asked.
    pub(super) doubt: Option<Timestamp>,
    /// It seems to be over since then: the transcript is asked whether the plan refused it.
    pub(super) judged_since: Option<Timestamp>,
    /// When the transcript is asked again.
    pub(super) judge_at: Timestamp,
    pub(super) look_at: Timestamp,
}

impl Ours {
    /// The prompt of a row that was on its way.
    pub(super) fn of(prompt: &PromptRecord) -> Option<Self> {
        Some(Self {
            delivery: prompt.delivery?,
            text: Arc::clone(&prompt.text),
            taken_in: None,
            conversations: prompt.conversations.clone(),
        })
    }
}

impl Running {
    /// A turn that nothing is known of but when it began, and its prompt perhaps.
    pub(super) fn new(since: Timestamp, ours: Option<Ours>, look_at: Timestamp) -> Self {
        Self {
            since,
            prompt: None,
            ours,
            doubt: None,
            judged_since: None,
            judge_at: Timestamp::default(),
            look_at,
        }
    }
}

/// Where a hosted session stands.
#[derive(Clone, Debug)]
pub(super) enum Turn {
    /// Nothing goes on.
    Quiet {
        /// Until then the registry may lag behind a hook that said so.
        settle_by: Option<Timestamp>,
    },
    /// The session's prompt is on its way.
    Delivering(Submission),
    /// Claude works.
    Running(Running),
    /// The account is refused; where to go on is asked.
    Choosing(Choosing),
    /// The turn was interrupted; what it left in the box or on the screen is being tidied away.
    Tidying {
        look_at: Timestamp,
        until: Timestamp,
    },
}

/// For whom the next process of a slot is started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Launch {
    pub(super) session: Option<SessionId>,
    /// On this account, with its conversation at once.
    pub(super) account: Option<AccountId>,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// No process. One is started then.
    Empty {
        at: Timestamp,
        launch: Launch,
    },
    /// A process that is not ready yet.
    Spawning {
        launch: Launch,
        until: Timestamp,
        /// It was begun to bring this conversation back.
        resume: Option<ClaudeUuid>,
        /// A person has to answer a dialog.
        stuck: bool,
    },
    Fresh,
    Clearing(Submission),
    Resuming(SessionId, Submission),
    Hosting(SessionId, Turn),
    /// The process is being ended.
    Ending {
        launch: Launch,
        /// When it is asked for again.
        until: Timestamp,
        /// When the next one may be started.
        at: Timestamp,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) id: SlotId,
    pub(super) state: State,
    /// There is one in every state but [`State::Empty`].
    pub(super) process: Option<Process>,
    /// It leaves the pool when its process is gone.
    pub(super) leaving: bool,
    /// Processes that died or would not start, in a row.
    pub(super) failures: u32,
    /// When it was started on another account because that was better.
    pub(super) moved_at: Option<Timestamp>,
    pub(super) problem: Option<String>,
}

impl Slot {
    pub(super) fn new(id: SlotId, now: Timestamp) -> Self {
        Self {
            id,
            state: State::Empty {
                at: now,
                launch: Launch::default(),
            },
            process: None,
            leaving: false,
            failures: 0,
            moved_at: None,
            problem: None,
        }
    }

    pub(super) fn place(&self) -> Option<Place> {
        self.process.as_ref().map(|process| Place {
            slot: self.id,
            generation: process.generation,
        })
    }

    /// The session in it.
    pub(super) const fn session(&self) -> Option<SessionId> {
        match self.state {
            State::Hosting(session, _) | State::Resuming(session, _) => Some(session),
            _ => None,
        }
    }

    /// The session that it is being started for.
    pub(super) const fn launching(&self) -> Option<SessionId> {
        self.launch().session
    }

    /// For whom its next process is to be started.
    pub(super) const fn launch(&self) -> Launch {
        match &self.state {
            State::Empty { launch, .. }
            | State::Spawning { launch, .. }
            | State::Ending { launch, .. } => *launch,
            _ => Launch {
                session: None,
                account: None,
            },
        }
    }

    /// What clients are told that it is.
    pub(super) const fn shown(&self) -> SlotState {
        match &self.state {
            State::Empty { .. } if self.failures > 0 => SlotState::Crashed,
            State::Empty { .. } | State::Spawning { .. } | State::Ending { .. } => {
                SlotState::Spawning
            }
            State::Fresh => SlotState::Fresh,
            State::Clearing(_) => SlotState::Clearing,
            State::Resuming(..) => SlotState::Resuming,
            State::Hosting(_, Turn::Quiet { .. }) => SlotState::Idle,
            State::Hosting(..) => SlotState::Processing,
        }
    }
}
