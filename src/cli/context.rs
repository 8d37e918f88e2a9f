//! What a command stands on: which home, whose base, which settings, what time it is. Reads the environment once, and
//! refuses to go on where a command would only do harm.

use crate::adapters::clock;
use crate::adapters::foreign::{self, Foreign};
use crate::adapters::store::{Meta, Store, StoreError};
use crate::contract::paths::{Base, DEFAULT_HOME_NAME, Home};
use crate::contract::settings::Settings;
use crate::contract::snapshot::Snapshot;
use crate::contract::vars;
use crate::core::time::Timestamp;
use crate::daemon::configuration::{self, ConfigurationError};
use crate::daemon::publish::{self, PublishError};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What the environment says about where things are.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `CCP_HOME`.
    pub ccp_home: Option<OsString>,
    /// The person's home directory: `HOME`, else what the user database says.
    pub user_home: Option<PathBuf>,
}

impl Environment {
    /// Reads this process's own.
    #[must_use]
    pub fn read() -> Self {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        Self {
            ccp_home: set(vars::CCP_HOME),
            // Falls back to the user database where HOME is unset.
            user_home: std::env::home_dir().filter(|h| !h.as_os_str().is_empty()),
        }
    }
}

/// What a command stands on.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where ccp keeps its state.
    pub home: Home,
    /// The person's home directory.
    pub user_home: PathBuf,
    /// When the command began.
    pub now: Timestamp,
}

/// Why a command cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// Nobody says where the person's home directory is.
    #[error("cannot tell your home directory: HOME is not set, and the user database has none")]
    NoUserHome,
    /// A home directory that depends on the working directory is none.
    #[error("HOME is not an absolute path: {0}")]
    RelativeUserHome(PathBuf),
    /// `CCP_HOME` has to be the same directory everywhere.
    #[error("CCP_HOME is not an absolute path: {0}")]
    RelativeHome(PathBuf),
    /// Another tool's files are in the home.
    #[error("{home} belongs to another tool{}: it holds {}", running(.found), names(.found))]
    Foreign {
        /// The home.
        home: PathBuf,
        /// What was found.
        found: Foreign,
    },
    /// A file or directory of the home cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// `config.toml` cannot be read, or is wrong.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl ContextError {
    /// What the person can do next, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoUserHome | Self::RelativeUserHome(_) => Some("set HOME"),
            Self::RelativeHome(_) => Some("set CCP_HOME to an absolute path, or unset it"),
            Self::Foreign { .. } => Some(
                "stop and uninstall the other tool, then run `ccp init --adopt`; or set CCP_HOME to another directory",
            ),
            Self::Configuration(ConfigurationError::Wrong { .. }) => {
                Some("`ccp help config` explains every key")
            }
            Self::Store(error) => error.hint(),
            Self::Configuration(_) | Self::Read { .. } | Self::Publish(_) => None,
        }
    }
}

impl Context {
    /// The context of this process.
    pub fn of_process() -> Result<Self, ContextError> {
        Self::new(&Environment::read(), clock::now())
    }

    /// The context that an environment makes.
    pub fn new(environment: &Environment, now: Timestamp) -> Result<Self, ContextError> {
        let user_home = environment
            .user_home
            .clone()
            .ok_or(ContextError::NoUserHome)?;
        if !user_home.is_absolute() {
            return Err(ContextError::RelativeUserHome(user_home));
        }
        let path = environment
            .ccp_home
            .as_ref()
            .map_or_else(|| user_home.join(DEFAULT_HOME_NAME), PathBuf::from);
        let home = Home::new(&path).ok_or(ContextError::RelativeHome(path))?;
        Ok(Self {
            home,
            user_home,
            now,
        })
    }

    /// The settings; the defaults where there is no `config.toml`.
    pub fn settings(&self) -> Result<Settings, ContextError> {
        Ok(configuration::load(&self.home)?)
    }

    /// The text of `config.toml`; none where there is none.
    pub fn config_text(&self) -> Result<Option<String>, ContextError> {
        Ok(configuration::load_text(&self.home)?)
    }

    /// The base that the accounts present.
    pub fn base(&self) -> Result<Base, ContextError> {
        Ok(self.settings()?.base(&self.user_home))
    }

    /// The database, for a command that changes something: made when it is missing, refused where another tool lives.
    pub fn open_store(&self) -> Result<Store, ContextError> {
        let found = self.foreign()?;
        if found.is_empty() {
            return Ok(Store::open(&self.home)?);
        }
        let refused = ContextError::Foreign {
            home: self.home.path().to_owned(),
            found,
        };
        if !self.home.state_db().exists() || is_running(&refused) {
            return Err(refused);
        }
        let store = Store::open(&self.home)?;
        match store.meta(Meta::ForeignFilesMayStay)? {
            Some(_) => Ok(store),
            None => Err(refused),
        }
    }

    /// The database, for a command that only looks; none where there is none yet.
    pub fn existing_store(&self) -> Result<Option<Store>, ContextError> {
        if self.home.state_db().exists() {
            Ok(Some(Store::open(&self.home)?))
        } else {
            Ok(None)
        }
    }

    /// Records that another tool's files may stay (`ccp init --adopt`), and opens the database. Refused while the other
    /// tool runs.
    pub fn adopt_foreign(&self) -> Result<Store, ContextError> {
        let found = self.foreign()?;
        if found.pid.is_some() {
            return Err(ContextError::Foreign {
                home: self.home.path().to_owned(),
                found,
            });
        }
        let mut store = Store::open(&self.home)?;
        if !found.is_empty() {
            let since = self.now.unix_ms().to_string();
            store.set_meta(Meta::ForeignFilesMayStay, Some(&since))?;
        }
        Ok(store)
    }

    /// What another tool has in the home.
    pub fn foreign(&self) -> Result<Foreign, ContextError> {
        foreign::find(&self.home).map_err(|source| ContextError::Read {
            path: self.home.path().to_owned(),
            source,
        })
    }

    /// Publishes what the database says now; called after every change that a launch has to see.
    pub fn publish(&self, store: &Store) -> Result<Snapshot, ContextError> {
        let settings = self.settings()?;
        let base = settings.base(&self.user_home);
        Ok(publish::publish_snapshot(
            store,
            &settings,
            &base,
            clock::now(),
        )?)
    }
}

fn is_running(refused: &ContextError) -> bool {
    matches!(refused, ContextError::Foreign { found, .. } if found.pid.is_some())
}

fn running(found: &Foreign) -> String {
    found
        .pid
        .map(|pid| format!(", which runs as process {pid}"))
        .unwrap_or_default()
}

fn names(found: &Foreign) -> String {
    let names = found.files.iter().filter_map(|f| Path::file_name(f));
    let names: Vec<_> = names.map(|n| n.to_string_lossy()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
