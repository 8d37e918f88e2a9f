//! What can happen to the pool: everything that the [`super::machine::Machine`] is told.
//!
//! Sessions are named by what a client wrote, an id or a unique prefix. Events about a process name it by its
//! [`Place`]; those about a process that its slot no longer has are ignored, so they may come late.

use super::action::Content;
use super::id::{Build, ClaudeUuid, DeliveryNumber, Place, PromptId, SessionId, Ticket, Token};
use super::record::{PromptRecord, SessionRecord};
use super::status::{Beginning, Disposition, Readiness};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How the pool is to be. From its config file and from the claude that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many slots to keep free for new work.
    pub keep_fresh: u32,
    /// Where slots are started unless a session wants another place.
    pub dir: PathBuf,
    /// What slots are started from now. Fresh slots of another one are replaced at once, others when their session
    /// leaves.
    pub build: Build,
    /// The accounts that may serve there, where a rule says so: fresh slots of others take no session and are replaced.
    pub allowed: Option<Vec<AccountId>>,
}

/// A host that outlived the daemon before, as it said in its first words, with what its claude's registry file says.
#[derive(Clone, Debug, PartialEq)]
pub struct LivingHost {
    /// Which process in which slot.
    pub place: Place,
    /// What it was started from.
    pub build: Build,
    /// Where it was started.
    pub cwd: PathBuf,
    /// On whose login.
    pub account: Option<AccountId>,
    /// Claude's pid.
    pub pid: Option<u32>,
    /// The last command that it has carried out.
    pub done: DeliveryNumber,
    /// The conversation, by the registry file.
    pub uuid: Option<ClaudeUuid>,
    /// What claude is doing, by the registry file.
    pub readiness: Readiness,
    /// Since when (`statusUpdatedAt`).
    pub since: Timestamp,
    /// What stands at the prompt.
    pub pending: String,
    /// As in [`Event::Handled`].
    pub is_handled: bool,
}

/// Everything that is known when the daemon starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// How many slots the config file names.
    pub size: u32,
    /// The rest of what it names.
    pub settings: Settings,
    /// How the accounts stand; none where there are none.
    pub standing: Option<Standing>,
    /// Every session's row.
    pub sessions: Vec<SessionRecord>,
    /// Every prompt's row.
    pub prompts: Vec<PromptRecord>,
    /// What fresh claudes are like, as it was written last.
    pub baseline: Option<(Build, Disposition)>,
    /// Every living host. None: the pool waits for an init. Some: it is initialized, with that many slots at least.
    pub hosts: Vec<LivingHost>,
    /// The highest generation that any host, living or not, is known to have had (the directories of slots may know of
    /// hosts that no row names).
    pub generation: u64,
}

/// What a client wants for a new session.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSession {
    /// The id that it is to have: drawn by the daemon, and not in use.
    pub id: SessionId,
    /// What to type, already in the form that claude takes literally; none: it is only to be loaded.
    pub prompt: Option<Arc<str>>,
    /// Whose child; empty for nobody's.
    pub parent: String,
    /// From the client, values as JSON text.
    pub metadata: super::record::Metadata,
    /// Where it is to work, if not in the pool's directory; it exists.
    pub cwd: Option<PathBuf>,
    /// The account it is to run on.
    pub account: Option<AccountId>,
}

/// How long a session may not be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// For this long from now.
    For(Duration),
    /// It may.
    Off,
}

/// What a client sets of a session.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settable {
    /// Its priority.
    pub priority: Option<i64>,
    /// Its pin.
    pub pinned: Option<Pin>,
    /// Keys with their new values as JSON text; none deletes the key. None at all: not given.
    pub metadata: Option<Vec<(String, Option<String>)>>,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Start working. Answered by [`super::action::Reply::Initialized`].
    Init {
        /// How many slots; that of the config where none. Anything below 1 is refused.
        size: Option<i64>,
        /// Leave the sessions that were live at the last stop offloaded.
        no_restore: bool,
    },
    /// Have another number of slots. Answered by [`super::action::Reply::Resized`].
    Resize {
        /// How many; anything below 1 is refused.
        size: i64,
    },
    /// End the pool and every process of it. Answered by [`super::action::Reply::Done`] before anything ends.
    Destroy {
        /// The client means it.
        confirm: bool,
    },
    /// Make a session. Answered by [`super::action::Reply::Started`] once it is on disk.
    Start(NewSession),
    /// Give a session its next prompt. Answered by [`super::action::Reply::Started`] once it is on disk.
    Followup {
        /// Which.
        session: String,
        /// What to type, already in the form that claude takes literally.
        prompt: Arc<str>,
    },
    /// Be told when a session is no longer busy. Answered by [`super::action::Action::ReplyContent`].
    Wait {
        /// Which; none: whichever busy session with this very parent is first.
        session: Option<String>,
        /// See above; empty for sessions that are nobody's children.
        parent: String,
        /// How long at most.
        timeout: Duration,
        /// What of it to answer.
        content: Content,
    },
    /// What a session has said. Answered by [`super::action::Action::ReplyContent`] at once.
    Capture {
        /// Which.
        session: String,
        /// What of it to answer.
        content: Content,
    },
    /// Make a session idle, or take it out of the queue. Answered by [`super::action::Reply::Done`] when it is.
    Stop {
        /// Which.
        session: String,
    },
    /// Put a session away.
    Archive {
        /// Which.
        session: String,
        /// Its children too.
        recursive: bool,
    },
    /// Take a session out again; takes one out of status `error`, too.
    Unarchive {
        /// Which.
        session: String,
    },
    /// Change what clients may change.
    Set {
        /// Which.
        session: String,
        /// What.
        set: Settable,
    },
}

/// What stands in the box of claude's prompt, looked at just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InBox {
    /// Nothing.
    Nothing,
    /// What the pool typed last, in the form the client shows it (a long text as `[Pasted text #1 +20 lines]`).
    Ours,
    /// Something else.
    Else,
    /// It cannot be seen: a dialog covers it, or the screen is unlike any known one.
    Hidden,
}

/// A process seen just now: its registry file read anew, and its screen looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// What claude is doing.
    pub readiness: Readiness,
    /// Since when (`statusUpdatedAt`).
    pub since: Timestamp,
    /// The conversation, by the registry file.
    pub uuid: Option<ClaudeUuid>,
    /// What stands in the box.
    pub in_box: InBox,
    /// The Rewind dialog is open (Escape twice on an idle prompt opens it).
    pub rewind: bool,
}

/// What a conversation's transcript says of a prompt that was on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTranscript {
    /// The prompt is not there, beyond the length that was noted before it was typed.
    Absent,
    /// It is there, and its turn has not come to an end.
    Taken {
        /// Something, text or tool use, followed it.
        followed: bool,
    },
    /// It is there, and its turn has ended.
    Answered,
    /// It is there, and the plan's limit ended its turn.
    Refused {
        /// Something, text or tool use, followed it.
        followed: bool,
        /// Until when the plan refuses, where that was said.
        until: Option<Timestamp>,
    },
}

/// How the accounts stand, as far as it matters to slots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those that the plan refuses: until when.
    pub refused: BTreeMap<AccountId, Timestamp>,
    /// Those that a slot which nobody uses had better leave for another.
    pub outgrown: BTreeSet<AccountId>,
    /// Some account can serve.
    pub is_open: bool,
}

/// What a session of a refused account is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Go on under this account.
    Move {
        /// Which.
        to: AccountId,
    },
    /// Wait.
    Wait {
        /// Until then at most.
        until: Timestamp,
        /// Any account will do that can serve before: there is none now.
        anywhere: bool,
    },
    /// Go on as it is: a refused turn is over, a prompt is typed all the same.
    Stay,
}

/// How a turn failed (`error` of the hook `StopFailure`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnFailure {
    /// The plan's limit.
    RateLimit {
        /// Until when, where that was said.
        until: Option<Timestamp>,
    },
    /// Anything else, in claude's words.
    Other(String),
}

/// What a hook of claude reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A conversation began, or was brought back.
    SessionStart {
        /// How.
        beginning: Beginning,
    },
    /// A prompt was taken.
    PromptAccepted {
        /// Its text, after claude's own changes to it.
        text: String,
    },
    /// A turn ended.
    TurnEnded,
    /// A turn ended with an error.
    TurnFailed(TurnFailure),
    /// It told its user something: `notification_type` (`permission_prompt`, `idle_prompt`, …).
    Notification {
        /// Which kind.
        kind: String,
    },
    /// It works somewhere else.
    CwdChanged {
        /// Where.
        cwd: PathBuf,
    },
    /// The conversation ended: `reason` (clear, resume, logout, `prompt_input_exit`, other).
    SessionEnd {
        /// Why.
        reason: String,
    },
}

/// A report of a hook, with what all of them carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// From which process.
    pub place: Place,
    /// The host's number of it; a report that comes twice has the same one twice.
    pub seq: u64,
    /// When the host got it.
    pub at: Timestamp,
    /// The conversation that it is about (`session_id`).
    pub uuid: ClaudeUuid,
    /// The prompt that it is about, where it says so.
    pub prompt: Option<PromptId>,
    /// Permission mode and model, where it says so.
    pub disposition: Disposition,
    /// What it says.
    pub hook: Hook,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Claude exited: how, for people (`exit status 1`, with its last words where it had any).
    Exited(String),
    /// The host is gone, and claude has been seen gone too.
    HostGone,
    /// It could not be started: why, in claude's own words where it had any.
    SpawnFailed(String),
}

/// What can happen. An outside failure is an event like any other.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What there is when the daemon starts. Sent once, first.
    Loaded(Box<Known>),
    /// The config file or the installed claude changed.
    SettingsChanged(Settings),
    /// A client asks for something. Each is answered exactly once, by [`super::action::Action::Reply`] or
    /// [`super::action::Action::ReplyContent`].
    Request {
        /// Names the reply.
        ticket: Ticket,
        /// What is asked for.
        request: Request,
    },
    /// A client that waited for a reply is gone: it need not be answered any more. What it asked for is done all the same.
    ClientGone {
        /// Names the reply.
        ticket: Ticket,
    },
    /// A write was done, to the disk. The answer to [`super::action::Action::Persist`].
    Persisted {
        /// Names the write.
        token: Token,
    },
    /// A write was not done; nothing of it is on disk. The other answer to [`super::action::Action::Persist`].
    PersistFailed {
        /// Names the write.
        token: Token,
        /// What the system said.
        why: String,
    },
    /// A host and its claude are running. The answer to [`super::action::Action::Spawn`].
    Spawned {
        /// Which.
        place: Place,
        /// Claude's pid.
        pid: Option<u32>,
        /// On whose login.
        account: Option<AccountId>,
    },
    /// A process is over; nothing of it runs any more and its registry file is not believed any more. The other answer
    /// to [`super::action::Action::Spawn`], the answer to [`super::action::Action::End`], and what comes unasked when
    /// claude or its host dies.
    Ended {
        /// Which.
        place: Place,
        /// How.
        how: End,
    },
    /// A host has carried out a command, now or before. The answer to [`super::action::Action::Type`].
    Typed {
        /// Which process.
        place: Place,
        /// Which command.
        number: DeliveryNumber,
        /// When its last key was pressed.
        at: Timestamp,
    },
    /// Claude's registry file was read.
    Readiness {
        /// Of which process.
        place: Place,
        /// What claude is doing.
        readiness: Readiness,
        /// Since when (`statusUpdatedAt`): what is older than the last one is ignored.
        since: Timestamp,
        /// The conversation.
        uuid: Option<ClaudeUuid>,
    },
    /// A dialog at start-up stands in the way and cannot be answered safely. It is not seen as long as it stands.
    Stuck {
        /// Which process.
        place: Place,
        /// What for, in a word (`trust`, `login`, `unknown dialog`).
        what: String,
        /// The screen's text.
        screen: String,
        /// A person may answer it: the session says that it waits. Else the process is replaced.
        answerable: bool,
    },
    /// A hook of claude reports.
    Report(Report),
    /// What stands at a prompt changed.
    PendingInput {
        /// Of which process.
        place: Place,
        /// What stands there; empty when nothing does.
        text: String,
    },
    /// Somebody who is not the pool typed into a terminal. What that changed (mode, model, what is allowed from now on)
    /// no hook may ever tell.
    Handled {
        /// Of which process.
        place: Place,
    },
    /// The answer to [`super::action::Action::Inspect`]. None: it could not be looked at.
    Inspected {
        /// Which process.
        place: Place,
        /// As in the action.
        number: DeliveryNumber,
        /// What was seen.
        seen: Option<Inspection>,
    },
    /// The answer to [`super::action::Action::CheckTranscript`]. Each such action is answered by exactly one; a
    /// transcript that is not there, or cannot be read, answers [`InTranscript::Absent`].
    TranscriptChecked {
        /// Whose.
        session: SessionId,
        /// As in the action.
        delivery: super::record::Delivery,
        /// What it says.
        found: InTranscript,
    },
    /// The accounts stand otherwise than before. Never comes where there are none: then nothing is handed over.
    Accounts(Standing),
    /// The answer to [`super::action::Action::Choose`].
    Chosen {
        /// Whose.
        session: SessionId,
        /// What it is to do.
        choice: Choice,
    },
    /// The daemon is being replaced or ended, and the slots are to live on: waiting clients are answered, nothing new is
    /// begun.
    Leaving,
    /// The instant of [`super::machine::Machine::next_deadline`] has come. Harmless at any time.
    Tick,
}
