//! Every way in which the pool says no: the exact text that clients get.

use super::status::Status;
use std::fmt;

/// Why a request is answered with an error. [`fmt::Display`] is the text; the codes are the protocol's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing but ping, config, info and debug works before init.
    NotInitialized,
    /// A second init.
    AlreadyInitialized,
    /// A pool of no slots, or of fewer.
    SizeNotPositive,
    /// More slots than [`super::machine::MAX_SIZE`].
    SizeTooLarge,
    /// destroy without `confirm: true`.
    DestroyUnconfirmed,
    /// No session has that id, or one that begins so: as the client wrote it.
    UnknownSession(String),
    /// Several sessions have an id that begins so.
    AmbiguousPrefix {
        /// As the client wrote it.
        prefix: String,
        /// How many.
        matches: usize,
    },
    /// A prompt for a session that has one.
    StopFirst {
        /// What it is: queued or processing.
        status: Status,
    },
    /// The session is put away.
    Archived,
    /// stop on a session in which nothing goes on.
    NotStoppable {
        /// What it is.
        status: Status,
    },
    /// archive without `recursive` on a session that has children.
    UnarchivedChildren,
    /// unarchive on a session that is not archived.
    NotArchived,
    /// wait without a session, and none is busy.
    NoBusySessions,
    /// wait took too long.
    Timeout,
    /// Claude died in the middle of the turn that was waited for.
    SessionDied,
    /// The session was archived while it was waited for.
    ArchivedMeanwhile,
    /// The session was deleted while it was waited for.
    DeletedMeanwhile,
    /// The terminal of a session without one.
    BufferNeedsTerminal,
    /// Content of a session that never had a turn.
    NeverLoaded,
    /// attach, input or pty-resize on a session without a terminal.
    NotLive {
        /// What it is.
        status: Status,
    },
    /// set without anything to set.
    NothingToSet,
    /// The session did not become idle in time.
    StopFailed,
    /// The session is in status `error`: why.
    Failed {
        /// For people.
        why: String,
    },
    /// The pool's files could not be written, so nothing was accepted.
    NotWritten {
        /// What the system said.
        why: String,
    },
    /// Too many clients wait already.
    TooManyWaiters,
    /// The pool is being ended.
    ShuttingDown,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInitialized => f.write_str("pool not initialized"),
            Self::AlreadyInitialized => f.write_str("pool already initialized"),
            Self::SizeNotPositive => f.write_str("pool size must be positive"),
            Self::SizeTooLarge => {
                write!(f, "pool size must be at most {}", super::machine::MAX_SIZE)
            }
            Self::DestroyUnconfirmed => f.write_str("destroy requires confirm: true"),
            Self::UnknownSession(reference) => write!(f, "session not found: {reference}"),
            Self::AmbiguousPrefix { prefix, matches } => {
                write!(f, "ambiguous session prefix: {prefix} ({matches} matches)")
            }
            Self::StopFirst { status } => write!(f, "session is {status}; stop first"),
            Self::Archived => f.write_str("session is archived; unarchive first"),
            Self::NotStoppable { status } => {
                write!(f, "session is not processing or queued (status: {status})")
            }
            Self::UnarchivedChildren => {
                f.write_str("session has unarchived children; use recursive: true")
            }
            Self::NotArchived => f.write_str("only archived sessions can be unarchived"),
            Self::NoBusySessions => f.write_str("no busy sessions"),
            Self::Timeout => f.write_str("timeout"),
            Self::SessionDied => f.write_str("session died"),
            Self::ArchivedMeanwhile => f.write_str("session was archived"),
            Self::DeletedMeanwhile => f.write_str("session was deleted"),
            Self::BufferNeedsTerminal => f.write_str("buffer source requires live terminal"),
            Self::NeverLoaded => f.write_str("session is queued and has no content yet"),
            Self::NotLive { status } => write!(f, "session is not live (status: {status})"),
            Self::NothingToSet => f.write_str("nothing to set; give priority, pinned or metadata"),
            Self::StopFailed => f.write_str("session did not stop within 30 s"),
            Self::Failed { why } => write!(f, "session is in error: {why}"),
            Self::NotWritten { why } => write!(f, "cannot write the pool's database: {why}"),
            Self::TooManyWaiters => f.write_str("too many requests wait already; try again later"),
            Self::ShuttingDown => f.write_str("pool is shutting down"),
        }
    }
}
