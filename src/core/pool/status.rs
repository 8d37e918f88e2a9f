//! What a session and a slot can be, as clients are told; and what the agent in a slot is doing.

use std::fmt;

/// What a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// It waits for a slot, or is being loaded into one.
    Queued,
    /// Loaded, and nothing goes on.
    Idle,
    /// Loaded, and a turn is under way, or a prompt is being delivered.
    Processing,
    /// Not in a slot; it can be brought back.
    Offloaded,
    /// It failed to load three times in a row, or claude would not take its prompt.
    Error,
    /// Put away; removed 30 days later.
    Archived,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Idle,
        Self::Processing,
        Self::Offloaded,
        Self::Error,
        Self::Archived,
    ];

    /// As clients spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Idle => "idle",
            Self::Processing => "processing",
            Self::Offloaded => "offloaded",
            Self::Error => "error",
            Self::Archived => "archived",
        }
    }

    /// From the spelling of clients.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    /// Something is going on that one can wait for.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        matches!(self, Self::Queued | Self::Processing)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a slot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotState {
    /// A claude in the pool's own state, and no session.
    Fresh,
    /// Its claude is being started, or ended to be started anew.
    Spawning,
    /// A session is being brought back.
    Resuming,
    /// A session left; its conversation is being cleared away.
    Clearing,
    /// Its session is idle.
    Idle,
    /// Its session is processing.
    Processing,
    /// Its claude died or would not start; it is tried again after a while.
    Crashed,
}

impl SlotState {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Fresh,
        Self::Spawning,
        Self::Resuming,
        Self::Clearing,
        Self::Idle,
        Self::Processing,
        Self::Crashed,
    ];

    /// As clients spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Spawning => "spawning",
            Self::Resuming => "resuming",
            Self::Clearing => "clearing",
            Self::Idle => "idle",
            Self::Processing => "processing",
            Self::Crashed => "crashed",
        }
    }
}

impl fmt::Display for SlotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What claude's own registry file says that it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not ready for input: there is no file yet, or it has no status.
    Starting,
    /// Ready for input.
    Idle,
    /// A turn is under way.
    Busy,
    /// A question of the client, or another dialog, is open.
    Waiting {
        /// What for, in claude's words (`permission prompt`, `dialog open`, `input needed`).
        what: String,
    },
}

/// What a process can change about itself under a session, and `/clear` keeps: none where it was not said.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Disposition {
    /// The permission mode, as hooks spell it.
    pub mode: Option<String>,
    /// The model, as hooks spell it.
    pub model: Option<String>,
}

/// How a conversation began (`source` of the hook SessionStart).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// With the process.
    Startup,
    /// An earlier conversation was brought back.
    Resume,
    /// The one before was cleared away.
    Clear,
    /// The one before was condensed.
    Compact,
    /// It was split off another one.
    Fork,
    /// In a way that this version does not know.
    Other,
}
