//! What a sync did, entry by entry. Paths print quoted, so that a name with a line break still is one log line.

use super::settings::{SettingsProblem, SettingsReport};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What one sync of one account did.
#[derive(Debug, Default)]
pub struct SyncReport {
    /// Another sync of this account held the lock all the while: nothing was done.
    pub busy: bool,
    /// Names that got a link, or a link in place of one to a former base.
    pub linked: Vec<OsString>,
    /// Names whose link was removed: the base has no such entry any more, or it is not to be shared.
    pub pruned: Vec<OsString>,
    /// What was folded back into the base.
    pub healed: Vec<Healed>,
    /// What was left alone, to be looked at again by the next sync or by a person.
    pub left: Vec<Left>,
    /// What went wrong, one by one.
    pub failed: Vec<Failed>,
    /// What became of `.claude.json`.
    pub settings: SettingsReport,
}

impl SyncReport {
    /// Whether every entry is as it should be.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.busy && self.left.is_empty() && self.failed.is_empty()
    }

    /// Whether another sync would find the same: a stamp taken now tells the truth until something changes.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let passes = |left: &Left| left.reason.passes_by_itself();
        let waits = |problem: &SettingsProblem| matches!(problem, SettingsProblem::Busy(_));
        !self.busy
            && self.failed.is_empty()
            && !self.left.iter().any(passes)
            && !self.settings.problems.iter().any(waits)
    }

    /// Whether all links were in order already.
    #[must_use]
    pub fn changed_nothing(&self) -> bool {
        self.linked.is_empty() && self.pruned.is_empty() && self.healed.is_empty()
    }

    pub(super) fn fail(&mut self, path: impl Into<PathBuf>, error: io::Error) {
        self.failed.push(Failed {
            path: path.into(),
            error,
        });
    }

    pub(super) fn leave(&mut self, path: impl Into<PathBuf>, reason: Reason) {
        self.left.push(Left {
            path: path.into(),
            reason,
        });
    }
}

/// One entry of an account directory that went back to the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healed {
    /// Where it was.
    pub from: PathBuf,
    /// Where its content is now.
    pub to: PathBuf,
    /// How that went.
    pub how: How,
}

/// How an entry went back to the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum How {
    /// The base had nothing of the name.
    Moved,
    /// Both were the same.
    Same,
    /// It won; what the base had is kept at this path.
    Won(PathBuf),
    /// What the base had won; it is kept at this path.
    Kept(PathBuf),
    /// One was the beginning of the other, and the longer stays.
    Continued,
    /// The lines of both are in the base's.
    Lines,
    /// A directory whose entries all went back.
    Emptied,
}

impl fmt::Display for Healed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, how } = self;
        match how {
            How::Moved => write!(f, "moved {from:?} to {to:?}"),
            How::Same => write!(f, "dropped {from:?}, the same as {to:?}"),
            How::Won(kept) => write!(f, "replaced {to:?} by {from:?}, kept the old as {kept:?}"),
            How::Kept(kept) => write!(f, "kept {from:?} as {kept:?} beside {to:?}"),
            How::Continued => write!(f, "joined {from:?} into {to:?}, the longer of the two"),
            How::Lines => write!(f, "merged the lines of {from:?} into {to:?}"),
            How::Emptied => write!(f, "merged directory {from:?} into {to:?}"),
        }
    }
}

/// One entry that was left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Which.
    pub path: PathBuf,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "left {:?}: {}", self.path, self.reason.text())
    }
}

/// Why an entry was left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Changed within the last seconds.
    Young,
    /// Some process has it open, or it could not be found out.
    Open,
    /// A session of the account runs, and the entry may be its.
    LiveSession,
    /// A file on one side and a directory on the other.
    Kinds,
    /// A link of the person's own, to something else than the base's entry.
    ForeignLink,
    /// It is the very entry of the base, or holds it.
    Itself,
    /// Neither file, directory nor link.
    Special,
    /// Too much to look through, or too deep.
    TooMuch,
    /// It came into being while we worked.
    Raced,
    /// Another account is being folded into the base.
    Waiting,
}

impl Reason {
    /// Whether a moment later it may be over.
    #[must_use]
    pub const fn passes_by_itself(self) -> bool {
        matches!(
            self,
            Self::Young | Self::Open | Self::LiveSession | Self::Raced | Self::Waiting
        )
    }

    /// The tail of a sentence: "left PATH: …".
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Young => "changed a moment ago",
            Self::Open => "in use by a process",
            Self::LiveSession => "a session of the account runs",
            Self::Kinds => "a file on one side and a directory on the other",
            Self::ForeignLink => "a link of your own to something else",
            Self::Itself => "it and the base's entry lead to each other",
            Self::Special => "neither file nor directory nor link",
            Self::TooMuch => "too large to look through",
            Self::Raced => "it appeared at this moment",
            Self::Waiting => "another account is being merged",
        }
    }
}

/// One thing that went wrong.
#[derive(Debug)]
pub struct Failed {
    /// With which entry.
    pub path: PathBuf,
    /// What.
    pub error: io::Error,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.path, self.error)
    }
}
