//! The system's own supervisor for the daemon: a systemd user unit, a LaunchAgent, or `brew services` where Homebrew
//! installed ccp. Writes one file, asks the supervisor with bounds and without a shell, and refuses to know what the
//! daemon does or who may stop it.

mod ask;
mod definition;
mod homebrew;
mod launchd;
mod program;
mod scope;
mod systemd;

pub use definition::{Definition, definitions};
pub use homebrew::{Cellar, Homebrew};
pub use launchd::Launchd;
pub use program::stable_program;
pub use scope::spawn_apart;
pub use systemd::Systemd;

use crate::contract::paths::Home;
use std::io;
use std::path::{Path, PathBuf};

/// The mode of a unit or plist: the supervisor reads it, and it holds no secret.
const UNIT_MODE: u32 = 0o644;

/// What the supervisor is to run, and for which home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// `ccpd`, by a path that outlives an upgrade.
    pub program: PathBuf,
    /// The home that the daemon keeps.
    pub home: Home,
    /// Whether that is where ccp looks when `CCP_HOME` is unset.
    pub is_default_home: bool,
}

/// Who supervises the daemon here.
#[derive(Clone, Debug)]
pub enum Service {
    /// A unit of the systemd user instance.
    Systemd(Systemd),
    /// A LaunchAgent of the person's session.
    Launchd(Launchd),
    /// Homebrew, which writes a unit or plist of its own.
    Homebrew(Homebrew),
}

/// What was done by [`Service::install`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The file was written, and the daemon started with it.
    Fresh,
    /// The file was there already; the daemon was started where it did not run.
    Already,
}

/// What the supervisor says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Status {
    /// The unit or plist; none when there is none.
    pub file: Option<PathBuf>,
    /// How the daemon is.
    pub state: State,
    /// The supervisor's own words for the state, for a person.
    pub detail: String,
    /// The daemon's process.
    pub pid: Option<u32>,
    /// What the file runs.
    pub program: Option<PathBuf>,
}

/// How the daemon is, by its supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum State {
    /// The supervisor does not know it.
    #[default]
    Absent,
    /// Known, and not running.
    Stopped,
    /// Running, or about to.
    Running,
    /// It failed, and the supervisor gave it up.
    Failed,
}

impl State {
    /// One word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absent => "not installed",
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Failed => "failed",
        }
    }
}

/// Why the supervisor could not be made to do something.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// There is no supervisor to ask.
    #[error("{0}")]
    Unreachable(String),
    /// A supervisor's program does not start.
    #[error("cannot run {program}: {source}")]
    Start {
        /// Such as `systemctl`.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It did not answer in time and was ended.
    #[error("`{command}` did not end within {seconds} s")]
    Late {
        /// The command line.
        command: String,
        /// The bound.
        seconds: u64,
    },
    /// It refused.
    #[error("`{command}` failed: {said}")]
    Refused {
        /// The command line.
        command: String,
        /// What it said.
        said: String,
    },
    /// The unit or plist cannot be written, read or removed.
    #[error("cannot change {}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path that the file's syntax has no words for.
    #[error("cannot write {} into a service file: {reason}", path.display())]
    Unspeakable {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another supervisor, or the same one for another home, runs a daemon.
    #[error("{0}")]
    Taken(String),
}

impl Service {
    /// Puts the daemon under the supervisor and starts it. Doing it twice does no more than once.
    pub fn install(&self, unit: &Unit) -> Result<Installed, ServiceError> {
        match self {
            Self::Systemd(systemd) => systemd.install(unit),
            Self::Launchd(launchd) => launchd.install(unit),
            Self::Homebrew(homebrew) => homebrew.install(unit),
        }
    }

    /// Stops the daemon and takes it from the supervisor; false when there was nothing to take.
    pub fn uninstall(&self) -> Result<bool, ServiceError> {
        match self {
            Self::Systemd(systemd) => systemd.uninstall(),
            Self::Launchd(launchd) => launchd.uninstall(),
            Self::Homebrew(homebrew) => homebrew.uninstall(),
        }
    }

    /// What the supervisor says.
    pub fn status(&self) -> Result<Status, ServiceError> {
        match self {
            Self::Systemd(systemd) => systemd.status(),
            Self::Launchd(launchd) => launchd.status(),
            Self::Homebrew(homebrew) => homebrew.status(),
        }
    }

    /// The file that is ours to write, where it is there; Homebrew's is its own.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        let file = match self {
            Self::Systemd(systemd) => systemd.file(),
            Self::Launchd(launchd) => launchd.file(),
            Self::Homebrew(_) => return None,
        };
        file.exists().then_some(file)
    }

    /// The home that the installed file names; none when it is the default one, or there is no file.
    pub fn home(&self) -> Result<Option<PathBuf>, ServiceError> {
        let Some(file) = self.file() else {
            return Ok(None);
        };
        let text = read(file)?;
        Ok(match self {
            Self::Systemd(_) => systemd::home_in(&text),
            Self::Launchd(_) => launchd::home_in(&text),
            Self::Homebrew(_) => None,
        })
    }
}

/// The largest unit or plist that is read: ours has a kilobyte.
const MAX_FILE: u64 = 256 * 1024;

fn read(path: &Path) -> Result<String, ServiceError> {
    use std::io::Read as _;
    let mut text = String::new();
    match std::fs::File::open(path).and_then(|f| f.take(MAX_FILE).read_to_string(&mut text)) {
        Ok(_) => Ok(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ServiceError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Writes the file where it says something else; whether it did.
fn write(path: &Path, text: &str) -> Result<bool, ServiceError> {
    let fail = |source| ServiceError::File {
        path: path.to_owned(),
        source,
    };
    let is_same = std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes());
    if is_same {
        return Ok(false);
    }
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(fail)?;
    }
    crate::adapters::files::replace(path, text.as_bytes(), UNIT_MODE).map_err(fail)?;
    Ok(true)
}

fn remove(path: &Path) -> Result<bool, ServiceError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ServiceError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// A process id; a supervisor that has none says 0 or nothing.
fn decimal(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|pid| *pid > 0)
}
