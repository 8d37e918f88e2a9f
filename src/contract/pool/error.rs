//! What a pool answers when it cannot do a thing. The texts are part of the protocol: clients compare them.

use super::words::Status;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;

/// What went wrong, for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// The line is no JSON object.
    BadJson,
    /// A field is missing, or is not what it has to be.
    BadRequest,
    /// There is no such request.
    UnknownCommand,
    /// The line is longer than [`super::MAX_REQUEST`].
    RequestTooLarge,
    /// `init` comes first.
    NotInitialized,
    /// `init` came already.
    AlreadyInitialized,
    /// A pool has at least one slot.
    BadSize,
    /// `destroy` without `confirm`.
    ConfirmRequired,
    /// No session has this id or prefix.
    SessionNotFound,
    /// Several sessions have this prefix.
    AmbiguousSession,
    /// The session works or waits for a slot.
    SessionBusy,
    /// The session is archived.
    SessionArchived,
    /// There is nothing to wait for.
    NoBusySessions,
    /// Waiting took longer than was asked for.
    Timeout,
    /// The session's process ended in the middle of a turn.
    SessionDied,
    /// The session was archived or deleted while somebody waited for it.
    SessionGone,
    /// The session has never had a conversation.
    NoContent,
    /// The terminal can be read of a loaded session only.
    NotLiveBuffer,
    /// There is nothing to stop.
    NotStoppable,
    /// The turn could not be stopped.
    StopFailed,
    /// Children would be left behind.
    HasChildren,
    /// Only an archived session can be unarchived.
    NotArchived,
    /// `set` with nothing to set.
    NothingToSet,
    /// The session is in no slot.
    NotLive,
    /// The prompt is a command of claude that would end or change the session.
    ReservedPrompt,
    /// The prompt could not be given to claude.
    NotDelivered,
    /// The directory cannot be used.
    BadCwd,
    /// No such account, or it cannot serve.
    BadAccount,
    /// Another process has this conversation open.
    OpenElsewhere,
    /// There is no such slot.
    NoSuchSlot,
    /// The pool is ending.
    ShuttingDown,
    /// Too much waits already, or a part that is needed is not there.
    Unavailable,
    /// Something failed inside.
    Internal,
    /// A code of another version.
    Other(String),
}

/// Every code with its word on the wire.
const WORDS: &[(Code, &str)] = &[
    (Code::BadJson, "bad_json"),
    (Code::BadRequest, "bad_request"),
    (Code::UnknownCommand, "unknown_command"),
    (Code::RequestTooLarge, "request_too_large"),
    (Code::NotInitialized, "not_initialized"),
    (Code::AlreadyInitialized, "already_initialized"),
    (Code::BadSize, "bad_size"),
    (Code::ConfirmRequired, "confirm_required"),
    (Code::SessionNotFound, "session_not_found"),
    (Code::AmbiguousSession, "ambiguous_session"),
    (Code::SessionBusy, "session_busy"),
    (Code::SessionArchived, "session_archived"),
    (Code::NoBusySessions, "no_busy_sessions"),
    (Code::Timeout, "timeout"),
    (Code::SessionDied, "session_died"),
    (Code::SessionGone, "session_gone"),
    (Code::NoContent, "no_content"),
    (Code::NotLiveBuffer, "not_live_buffer"),
    (Code::NotStoppable, "not_stoppable"),
    (Code::StopFailed, "stop_failed"),
    (Code::HasChildren, "has_children"),
    (Code::NotArchived, "not_archived"),
    (Code::NothingToSet, "nothing_to_set"),
    (Code::NotLive, "not_live"),
    (Code::ReservedPrompt, "reserved_prompt"),
    (Code::NotDelivered, "not_delivered"),
    (Code::BadCwd, "bad_cwd"),
    (Code::BadAccount, "bad_account"),
    (Code::OpenElsewhere, "open_elsewhere"),
    (Code::NoSuchSlot, "no_such_slot"),
    (Code::ShuttingDown, "shutting_down"),
    (Code::Unavailable, "unavailable"),
    (Code::Internal, "internal"),
];

impl Code {
    /// Its word on the wire.
    #[must_use]
    pub fn word(&self) -> &str {
        if let Self::Other(word) = self {
            return word;
        }
        let row = WORDS.iter().find(|(code, _)| code == self);
        row.map_or("internal", |(_, word)| word)
    }

    /// The one that this word means.
    #[must_use]
    pub fn of(word: &str) -> Self {
        let row = WORDS.iter().find(|(_, known)| *known == word);
        row.map_or_else(|| Self::Other(word.to_owned()), |(code, _)| code.clone())
    }

    /// Every code of this version with its word.
    #[must_use]
    pub const fn all() -> &'static [(Self, &'static str)] {
        WORDS
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// An error: `{"type":"error","error":TEXT,"code":CODE}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolError {
    /// For programs.
    pub code: Code,
    /// For people: lower case, no full stop.
    pub text: String,
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for PoolError {}

impl PoolError {
    /// An error.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { code, text }
    }

    /// The line, its end included.
    #[must_use]
    pub fn line(&self, id: Option<&Value>) -> String {
        let mut object = json!({"type": "error", "error": self.text, "code": self.code.word()});
        if let Some(id) = id.filter(|id| !id.is_null()) {
            object["id"] = id.clone();
        }
        format!("{object}\n")
    }

    /// Reads the object of an error; none when it is something else.
    #[must_use]
    pub fn of(value: &Value) -> Option<Self> {
        let word = |name| value.get(name).and_then(Value::as_str);
        if word("type") != Some("error") {
            return None;
        }
        let code = Code::of(word("code").unwrap_or_default());
        let text = word("error")
            .unwrap_or("the pool gave no reason")
            .to_owned();
        Some(Self { code, text })
    }

    /// A line that is no JSON object.
    #[must_use]
    pub fn bad_json(why: impl fmt::Display) -> Self {
        Self::new(Code::BadJson, format!("invalid JSON: {why}"))
    }

    /// A field of the wrong type: what it has to be, and what it is.
    #[must_use]
    pub fn wrong_field(name: &str, expected: &str, found: &str) -> Self {
        let text = format!("field `{name}` must be {expected}, not {found}");
        Self::new(Code::BadRequest, text)
    }

    /// A field that has to be there and is not.
    #[must_use]
    pub fn missing_field(name: &str) -> Self {
        Self::new(Code::BadRequest, format!("field `{name}` is required"))
    }

    /// A request of another kind.
    #[must_use]
    pub fn unknown_command(name: &str) -> Self {
        /// Foreign text, short enough to be repeated.
        const SHOWN: usize = 200;
        let name: String = name.chars().take(SHOWN).collect();
        Self::new(Code::UnknownCommand, format!("unknown command: {name}"))
    }

    /// A line over the limit. The connection is closed after it.
    #[must_use]
    pub fn request_too_large() -> Self {
        Self::new(Code::RequestTooLarge, "request too large")
    }

    /// `init` comes first.
    #[must_use]
    pub fn not_initialized() -> Self {
        Self::new(Code::NotInitialized, "pool not initialized")
    }

    /// A size of zero or less.
    #[must_use]
    pub fn bad_size() -> Self {
        Self::new(Code::BadSize, "pool size must be positive")
    }

    /// No session has this id or prefix.
    #[must_use]
    pub fn session_not_found(given: &str) -> Self {
        let text = format!("session not found: {given}");
        Self::new(Code::SessionNotFound, text)
    }

    /// `followup` to a session that works or waits.
    #[must_use]
    pub fn session_busy(status: Status) -> Self {
        let text = format!("session is {status}; stop first");
        Self::new(Code::SessionBusy, text)
    }

    /// `wait` took too long.
    #[must_use]
    pub fn timeout() -> Self {
        Self::new(Code::Timeout, "timeout")
    }

    /// The terminal of a session that has none.
    #[must_use]
    pub fn not_live_buffer() -> Self {
        let text = "buffer source requires live terminal";
        Self::new(Code::NotLiveBuffer, text)
    }

    /// A conversation that another process has open.
    #[must_use]
    pub fn open_elsewhere(pid: u32) -> Self {
        let text = format!("session is open elsewhere (pid {pid})");
        Self::new(Code::OpenElsewhere, text)
    }

    /// `set` with nothing to set.
    #[must_use]
    pub fn nothing_to_set() -> Self {
        let text = "nothing to set: give priority, pinned or metadata";
        Self::new(Code::NothingToSet, text)
    }
}
