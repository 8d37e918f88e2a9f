//! From what went wrong to what the person reads: `error:`, `hint:` and an exit code.

use super::context::ContextError;
use crate::adapters::store::StoreError;
use crate::claim::{Refusal, announce};
use crate::contract::exit;
use crate::daemon::refresh::RefreshError;
use std::fmt::Display;
use std::io::Write as _;

/// How a command that failed ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What failed and why, without the word "error".
    pub error: String,
    /// The next step, where there is one.
    pub hint: Option<String>,
}

/// What every command returns: its exit code, or how it failed.
pub type Outcome = Result<u8, Failure>;

impl Failure {
    /// A failure with exit code 1.
    pub fn new(error: impl Display) -> Self {
        Self {
            code: exit::FAILURE,
            error: error.to_string(),
            hint: None,
        }
    }

    /// With the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// With another exit code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// The person pressed Ctrl-C, or ended the input at a prompt.
    #[must_use]
    pub fn interrupted() -> Self {
        Self::new("interrupted").code(exit::INTERRUPTED)
    }

    /// Writes it to stderr and returns the exit code.
    pub fn tell(&self) -> u8 {
        let mut stderr = std::io::stderr().lock();
        // Where stderr is gone, the exit code has to do.
        let _ = writeln!(stderr, "error: {}", self.error);
        if let Some(hint) = &self.hint {
            let _ = writeln!(stderr, "hint: {hint}");
        }
        self.code
    }
}

impl From<ContextError> for Failure {
    fn from(error: ContextError) -> Self {
        let failure = Self::new(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let failure = Self::new(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<RefreshError> for Failure {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Store(error) => error.into(),
            error => Self::new(error),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let told = announce::refusal(&refusal);
        Self {
            code: refusal.exit_code(),
            error: told.error,
            hint: Some(told.hint),
        }
    }
}
