//! How a claude of the pool is started: with which words, settings and variables, and which executable that is. A plan
//! only; a terminal and a process belong to others.

mod environment;
mod flags;
mod settings;
mod words;

#[cfg(test)]
mod tests;

pub use environment::{PATIENCE, ShellEnvironment};
pub use flags::{Flags, FlagsError};
pub use settings::SettingsError;

use crate::adapters::files::modified_ns;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What every hook runs. A constant: no path is ever part of text that a shell reads.
pub const HOOK_COMMAND: &str = r#"exec "$CCP_HOOK_PROGRAM" hook"#;

/// What the status line of a slot runs: it reports the limits it is given, and then runs the person's own.
pub const STATUS_COMMAND: &str = r#"exec "$CCP_HOOK_PROGRAM" hook statusline"#;

/// Where the reports of a slot's hooks go. All of it is in claude's environment, and so in that of its tools.
#[derive(Clone)]
pub struct HookRoute {
    /// Our own executable.
    pub program: PathBuf,
    /// The socket it reports to.
    pub socket: PathBuf,
    /// What tells this slot's reports from others; secret.
    pub token: String,
}

impl std::fmt::Debug for HookRoute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookRoute")
            .field("program", &self.program)
            .field("socket", &self.socket)
            .field("token", &"hidden")
            .finish()
    }
}

/// Which conversation a slot begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// A new one, under an id of claude's choice.
    Fresh,
    /// A new one under this id.
    FreshAs(String),
    /// This one goes on.
    Resume(String),
}

/// What a slot is to be.
#[derive(Clone, Debug)]
pub struct SlotOrder<'o> {
    /// The executable, as found.
    pub claude: &'o Path,
    /// The pool's flags.
    pub flags: &'o Flags,
    /// The directory it is started in.
    pub cwd: &'o Path,
    /// The account's directory; none for plain claude, whose variable must be unset.
    pub config_dir: Option<&'o Path>,
    /// The base's plugin store, which every account uses.
    pub plugins: &'o Path,
    /// The person's environment.
    pub environment: &'o ShellEnvironment,
    /// The pool's directory.
    pub pool_dir: &'o Path,
    /// The session, where it is known when the process starts.
    pub pool_session: Option<&'o str>,
    /// Where the hooks report to.
    pub hooks: &'o HookRoute,
    /// The conversation.
    pub opening: &'o Opening,
}

/// Everything a host needs to start claude.
#[derive(Clone)]
pub struct SlotPlan {
    /// Program and arguments.
    pub argv: Vec<OsString>,
    /// The whole environment.
    pub environment: Vec<(OsString, OsString)>,
    /// The directory to start in.
    pub cwd: PathBuf,
    /// Which executable it is.
    pub claude: ClaudeIdentity,
    /// Whether the settings of the flags switch all hooks off: then the session file is the only source.
    pub hooks_disabled: bool,
}

impl std::fmt::Debug for SlotPlan {
    /// Without the environment: it holds the token, and whatever secrets the person keeps there.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotPlan")
            .field("argv", &self.argv)
            .field("cwd", &self.cwd)
            .field("claude", &self.claude)
            .finish_non_exhaustive()
    }
}

/// What tells one installed claude from the next: an upgrade changes at least one of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaudeIdentity {
    /// The executable itself, links followed.
    pub path: PathBuf,
    /// Device and inode.
    pub file: (u64, u64),
    /// Modification time in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
}

/// Why a slot cannot be planned.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// There is no such executable.
    #[error("cannot look at {}: {source}", path.display())]
    Claude {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The settings of the flags cannot be merged with ours.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl ClaudeIdentity {
    /// The identity of an executable as it is now.
    ///
    /// # Errors
    /// When it is not there.
    pub fn of(claude: &Path) -> Result<Self, SlotError> {
        let failed = |source| SlotError::Claude {
            path: claude.to_owned(),
            source,
        };
        let path = fs::canonicalize(claude).map_err(failed)?;
        let metadata = fs::metadata(&path).map_err(failed)?;
        Ok(Self {
            path,
            file: (metadata.dev(), metadata.ino()),
            modified_ns: modified_ns(&metadata),
        })
    }
}

/// Plans a slot.
///
/// # Errors
/// When claude is not there, or the settings that the flags name cannot be read.
pub fn plan(order: &SlotOrder<'_>) -> Result<SlotPlan, SlotError> {
    // Plain claude's login is no account whose limits anybody asks for.
    let reports_limits = order.config_dir.is_some();
    let merged = settings::merged(order.flags, order.cwd, reports_limits)?;
    let mut argv: Vec<OsString> = vec![order.claude.into()];
    argv.extend(order.flags.words().iter().map(OsString::from));
    argv.extend(["--settings".into(), merged.text.into()]);
    match order.opening {
        Opening::Fresh => {}
        Opening::FreshAs(id) => argv.extend(["--session-id".into(), id.into()]),
        Opening::Resume(id) => argv.extend(["--resume".into(), id.into()]),
    }
    Ok(SlotPlan {
        argv,
        environment: environment::of_slot(order, merged.status_line.as_deref()),
        cwd: order.cwd.to_owned(),
        claude: ClaudeIdentity::of(order.claude)?,
        hooks_disabled: merged.hooks_disabled,
    })
}
