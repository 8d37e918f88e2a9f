//! What the pool wants done: everything that the [`super::machine::Machine`] decides. Actions are performed in their
//! order; none of them fails back into the machine except as an [`super::event::Event`].

use super::id::{Build, ClaudeUuid, DeliveryNumber, Place, SessionId, SlotId, Ticket, Token};
use super::notice::Notice;
use super::record::{Change, Delivery};
use super::refusal::Refusal;
use super::status::Status;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Where content is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentSource {
    /// The transcript.
    Transcript,
    /// The terminal (`buffer`).
    Terminal,
}

/// How much of each turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The prompt and the last answer.
    Last,
    /// The prompt and every answer.
    Assistant,
    /// Tool calls and their results too.
    Tools,
    /// The lines as they are.
    Raw,
}

/// What of a session a client wants to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// From where.
    pub source: ContentSource,
    /// How many turns from the end; 0 for all.
    pub turns: u32,
    /// How much of each.
    pub detail: Detail,
}

/// The answer to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To init: the daemon sends the pool's health as it is now.
    Initialized {
        /// How many living slots a restarted daemon found and kept; none after an init that really was one.
        readopted: Option<u32>,
    },
    /// To resize.
    Resized {
        /// How many slots there are to be.
        size: u32,
    },
    /// To start and followup: it is on disk.
    Started {
        /// Which session.
        session: SessionId,
        /// What it is.
        status: Status,
    },
    /// It is done.
    Done,
    /// It is not done, and why.
    Refused(Refusal),
}

/// What is typed. The bytes are the performer's to know. Whatever stands in the box goes first, where text is typed: what
/// is known of it here may be a moment old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typing {
    /// A prompt: the box is emptied, the text pasted, and after a moment submitted. Input of attached clients is held
    /// meanwhile.
    Prompt(
        /// The text.
        Arc<str>,
    ),
    /// `/clear`: the box is emptied, then this is typed and submitted.
    Clear,
    /// `/resume` with this conversation: the box is emptied, then this is typed and submitted.
    Resume(
        /// Which conversation.
        ClaudeUuid,
    ),
    /// The submit key alone: the one before was swallowed.
    Submit,
    /// One Escape: the turn is to end.
    Interrupt,
    /// One Escape: the Rewind dialog is to close.
    CloseRewind,
    /// Empty the box.
    EmptyBox,
    /// Put back what somebody had half typed: pasted, not submitted.
    PutBack(
        /// What.
        String,
    ),
}

/// What is worth a line in the log, beside what the other actions say themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A session moved.
    Moved {
        /// Which.
        session: SessionId,
        /// What it was.
        from: Status,
        /// What it is.
        to: Status,
        /// The slot it is in.
        slot: Option<SlotId>,
    },
    /// Living slots were kept by a new daemon.
    Readopted {
        /// How many.
        slots: u32,
    },
    /// A session left its slot to make room.
    Evicted {
        /// Which.
        session: SessionId,
        /// Out of which slot.
        slot: SlotId,
    },
    /// A process died, or would not start.
    ProcessEnded {
        /// Which.
        place: Place,
        /// The session that was in it.
        session: Option<SessionId>,
        /// How, for people.
        how: String,
    },
    /// A process is replaced.
    Replaced {
        /// Which.
        place: Place,
        /// Why.
        why: ReplaceReason,
    },
    /// A slot has failed so often that it is only tried again when it is needed or something changes.
    GaveUp {
        /// Which.
        slot: SlotId,
    },
    /// A prompt was taken by claude.
    PromptTaken {
        /// Whose.
        session: SessionId,
        /// As which command.
        delivery: Delivery,
    },
    /// The submit key was swallowed and is pressed again.
    SubmitResent {
        /// In which process.
        place: Place,
        /// How often it has been.
        times: u8,
    },
    /// A prompt will be delivered again: the claude before died, and its transcript does not have it.
    Redelivering {
        /// Whose.
        session: SessionId,
    },
    /// A session could not be loaded, or would not take its prompt.
    LoadFailed {
        /// Which.
        session: SessionId,
        /// How often in a row.
        times: u32,
        /// Why, for people.
        why: String,
    },
    /// The conversation in a slot became another one, and not by the pool's doing.
    ConversationChanged {
        /// Whose.
        session: SessionId,
        /// Which it was.
        from: Option<ClaudeUuid>,
        /// Which it is.
        to: ClaudeUuid,
    },
    /// A turn failed.
    TurnFailed {
        /// Whose.
        session: SessionId,
        /// How, in claude's words.
        what: String,
        /// Until when the plan refuses, where it does.
        until: Option<Timestamp>,
    },
    /// A session goes on under another account.
    HandedOver {
        /// Which.
        session: SessionId,
        /// The one that was refused.
        from: Option<AccountId>,
        /// The one that is not.
        to: AccountId,
    },
    /// A session waits for its account, or for any.
    Limited {
        /// Which.
        session: SessionId,
        /// Until when.
        until: Timestamp,
    },
    /// A dialog stands in the way.
    Stuck {
        /// In which process.
        place: Place,
        /// The screen's text.
        screen: String,
    },
    /// The database could not be written; it is tried again.
    NotWritten {
        /// What the system said.
        why: String,
    },
}

/// Why a process is replaced rather than used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplaceReason {
    /// The pool's flags, its directory or claude's own binary changed.
    Outdated,
    /// A session needs another directory or account.
    OtherPlace,
    /// Its account is refused by the plan, or another one is better.
    AccountLeft,
    /// Its permission mode or model is not the pool's.
    Changed,
    /// It did not do what was typed.
    Unresponsive,
    /// It never became ready.
    Stuck,
    /// The session that was being brought back is not wanted any more.
    Abandoned,
    /// The pool shrinks.
    Shrink,
    /// The pool ends.
    Destroy,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Write all of this in one transaction, to the disk, and come back with [`super::event::Event::Persisted`] or
    /// [`super::event::Event::PersistFailed`]. There is never another write under way.
    Persist {
        /// Names the write.
        token: Token,
        /// What, in order.
        changes: Vec<Change>,
    },
    /// Start a host and a claude, and come back with [`super::event::Event::Spawned`] or
    /// [`super::event::Event::Ended`].
    Spawn {
        /// In which slot, and as which of its processes.
        place: Place,
        /// From what; the machine's last word on the settings.
        build: Build,
        /// Where.
        cwd: PathBuf,
        /// On this account; none: the performer picks one.
        account: Option<AccountId>,
        /// With this conversation (`--resume`).
        resume: Option<ClaudeUuid>,
        /// The session that it is started for, where there is one: it alone needs this place. It is not in the slot
        /// before the process is ready.
        session: Option<SessionId>,
    },
    /// End a claude with everything it started, politely, then its host, and come back with
    /// [`super::event::Event::Ended`].
    End {
        /// Which.
        place: Place,
    },
    /// Tell a host whose slot it is, for its record and the environment of what it starts.
    SetSession {
        /// Which process.
        place: Place,
        /// Whose; none: nobody's.
        session: Option<SessionId>,
    },
    /// Have a host type, and come back with [`super::event::Event::Typed`]. There is never another command under way in
    /// the same process.
    Type {
        /// Which process.
        place: Place,
        /// Which command; a host does each once.
        number: DeliveryNumber,
        /// What.
        typing: Typing,
    },
    /// Read the registry file anew, look at the screen, and come back with [`super::event::Event::Inspected`].
    Inspect {
        /// Which process.
        place: Place,
        /// The last command that typed text: [`super::event::InBox::Ours`] is about its text.
        number: DeliveryNumber,
        /// That text.
        ours: Option<Arc<str>>,
    },
    /// Look for a prompt in the transcript, beyond the length that was written down with its delivery, and come back
    /// with [`super::event::Event::TranscriptChecked`].
    CheckTranscript {
        /// Whose.
        session: SessionId,
        /// Where it can be: the conversation whose length was written down, and those that followed it in the same
        /// process, which are read from their beginning. Empty where nothing is known of it: then it is in whichever
        /// conversation of that directory began last.
        conversations: Vec<ClaudeUuid>,
        /// As which command it was typed.
        delivery: Delivery,
        /// The prompt.
        text: Arc<str>,
    },
    /// Find out where a session may go on whose account the plan refuses, and come back with
    /// [`super::event::Event::Chosen`].
    Choose {
        /// Whose.
        session: SessionId,
        /// The account that it is on.
        account: AccountId,
        /// Until when that one is refused.
        until: Timestamp,
        /// A turn of its was refused; else its prompt has not been typed.
        failed: bool,
        /// A client asked for this very account.
        fixed: bool,
        /// When it was moved last.
        moved_at: Option<Timestamp>,
        /// What slots were refused, which nobody else may know yet.
        refused: BTreeMap<AccountId, Timestamp>,
    },
    /// Nobody may be attached to this process any more: its session left.
    CloseAttach {
        /// Which process.
        place: Place,
    },
    /// Answer a client.
    Reply {
        /// The one it gave.
        ticket: Ticket,
        /// The answer.
        reply: Reply,
    },
    /// Answer a client with what a session has said. The performer reads it, and sends a result or an error of its own.
    ReplyContent {
        /// The one it gave.
        ticket: Ticket,
        /// Which session.
        session: SessionId,
        /// Its conversation; none: there is no content yet.
        uuid: Option<ClaudeUuid>,
        /// Its process, for the terminal; always there when the terminal is asked for.
        place: Option<Place>,
        /// What of it.
        content: Content,
    },
    /// Tell watchers.
    Notify(Notice),
    /// Write the number of slots into the config file.
    SaveSize {
        /// How many.
        size: u32,
    },
    /// Everything is ended and on disk: the daemon may exit.
    Shutdown,
    /// Write a line into the log.
    Log(Fact),
}
