//! Whether ccp, claude and the accounts are in order: a list of checks, each a value, and the mending of what can be
//! mended without harm. Knows no commands, prints nothing, and never touches a login or what a person made.

pub mod checks;
mod mend;
mod patient;
mod report;

pub use patient::{Patient, Surroundings};
pub use report::{Examination, Result};

use crate::core::account::AccountId;
use std::path::PathBuf;

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Note,
    /// Something does not work, or will not.
    Problem,
}

impl Verdict {
    /// The word in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Problem => "problem",
        }
    }

    /// The sign at the start of a line.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Ok => '✓',
            Self::Note => '!',
            Self::Problem => '✗',
        }
    }
}

/// One question about this machine.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// By what scripts and the document know it; never changes.
    pub id: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// Finds the answer, and changes nothing.
    pub look: fn(&Patient<'_>) -> Vec<Finding>,
}

/// One part of the answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How well that is.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
    /// What can be done about it.
    pub remedy: Remedy,
}

impl Finding {
    /// All is well.
    pub fn ok(found: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            found: found.into(),
            remedy: Remedy::None,
        }
    }

    /// Worth knowing, and what can be done about it.
    pub fn note(found: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self {
            verdict: Verdict::Note,
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    /// A problem, and what can be done about it.
    pub fn problem(found: impl Into<String>, remedy: impl Into<Remedy>) -> Self {
        Self {
            verdict: Verdict::Problem,
            found: found.into(),
            remedy: remedy.into(),
        }
    }

    fn leave_to_person(&mut self) {
        if let Remedy::Fix(mend) = &self.remedy {
            self.remedy = Remedy::Hint(mend.by_hand());
        }
    }
}

/// What can be done about a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Nothing needs to be done.
    None,
    /// `--fix` does this.
    Fix(Mend),
    /// A person does this.
    Hint(String),
}

impl From<Mend> for Remedy {
    fn from(mend: Mend) -> Self {
        Self::Fix(mend)
    }
}

impl From<String> for Remedy {
    fn from(hint: String) -> Self {
        Self::Hint(hint)
    }
}

impl From<&str> for Remedy {
    fn from(hint: &str) -> Self {
        Self::Hint(hint.to_owned())
    }
}

/// What `--fix` can do. None of it touches a login, or a file that a person made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Give a file or directory this mode.
    Mode(PathBuf, u32),
    /// Put the overlay of an account in order, as `ccp sync` does.
    Sync(AccountId),
    /// Give account directories without a row their row.
    Adopt,
    /// Record leases that have ended, and move what is no lease to the logs.
    Tidy,
    /// Write the snapshot again.
    Publish,
    /// Remove half-written files of ccp's own.
    RemoveFile(PathBuf),
    /// Remove the socket that a daemon which died left.
    RemoveSocket(PathBuf),
    /// End the daemon, and start the one of this version where daemons are started in the background.
    RestartDaemon,
    /// Delete what an interrupted removal of an account left.
    RemoveTrash,
}

impl Mend {
    /// What it will do, after "`ccp doctor --fix`".
    #[must_use]
    pub fn plan(&self) -> String {
        match self {
            Self::Mode(_, mode) => format!("makes it {mode:04o}"),
            Self::Sync(id) => format!("puts the overlay of {id} in order"),
            Self::Adopt => "adopts it".to_owned(),
            Self::Tidy => "cleans up".to_owned(),
            Self::Publish => "writes the snapshot again".to_owned(),
            Self::RemoveFile(_) | Self::RemoveSocket(_) => "removes it".to_owned(),
            Self::RestartDaemon => "ends it; the next launch starts it anew".to_owned(),
            Self::RemoveTrash => "deletes it".to_owned(),
        }
    }

    /// The next step for a person where it could not be done.
    #[must_use]
    pub fn by_hand(&self) -> String {
        match self {
            Self::Mode(path, mode) => format!("`chmod {mode:04o} {path:?}`"),
            Self::Sync(id) => format!("`ccp sync --account {id}`"),
            Self::Adopt => "`ccp init`".to_owned(),
            Self::Tidy | Self::Publish => "`ccp refresh`".to_owned(),
            Self::RemoveFile(path) | Self::RemoveSocket(path) => format!("`rm {path:?}`"),
            Self::RestartDaemon => "end the process".to_owned(),
            Self::RemoveTrash => "try again when nobody uses it".to_owned(),
        }
    }
}

/// Goes through every check; with `fix`, mends what can be mended and looks again.
#[must_use]
pub fn examine(surroundings: &Surroundings, fix: bool) -> Examination {
    let mut patient = Patient::of(surroundings);
    let mut results = Vec::with_capacity(checks::CHECKS.len());
    for check in checks::CHECKS {
        let mut result = Result {
            check: *check,
            findings: (check.look)(&patient),
            done: Vec::new(),
            failed: Vec::new(),
        };
        if fix {
            mend::mend(surroundings, &mut patient, &mut result);
            // What still is there after that is a person's to do.
            result
                .findings
                .iter_mut()
                .for_each(Finding::leave_to_person);
        }
        results.push(result);
    }
    Examination { results, fix }
}
