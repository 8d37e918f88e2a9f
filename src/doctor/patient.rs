//! What the checks look at: read once, and again after something was mended.

use crate::adapters::files::Lock;
use crate::adapters::foreign::{self, Foreign};
use crate::adapters::overlay;
use crate::adapters::service::{Definition, definitions};
use crate::adapters::stamp::file_stamp;
use crate::adapters::store::{Account, Meta, Store, StoreError};
use crate::client::{self, ClientError};
use crate::contract::paths::{Base, DEFAULT_HOME_NAME, Home};
use crate::contract::proto::{Health, Request, Response};
use crate::contract::settings::Settings;
use crate::contract::vars;
use crate::core::time::Timestamp;
use crate::daemon::spawn;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest file of text that is read, in bytes: a `.claude.json` with years of projects has a few megabytes.
const MAX_TEXT: u64 = 64 * 1024 * 1024;

/// What the process knows about itself and where things are.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where ccp keeps its state.
    pub home: Home,
    /// The person's home directory.
    pub user_home: PathBuf,
    /// When the examination began.
    pub now: Timestamp,
    /// The claude that a launch would find, or why it would find none.
    pub claude: Result<PathBuf, String>,
    /// The process's environment.
    pub variables: Vec<(OsString, OsString)>,
    /// This executable, links resolved.
    pub executable: Option<PathBuf>,
}

impl Surroundings {
    /// A variable that is set to something.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(n, _)| n == name);
        found.map(|(_, v)| v.as_os_str()).filter(|v| !v.is_empty())
    }

    /// Every service of this person that runs a daemon of ccp.
    #[must_use]
    pub fn services(&self) -> Vec<Definition> {
        definitions(&self.user_home, self.variable(vars::XDG_CONFIG_HOME))
    }

    /// The service that keeps this home.
    #[must_use]
    pub fn own_service(&self) -> Option<Definition> {
        let is_default = self.home.path() == self.user_home.join(DEFAULT_HOME_NAME);
        let mut services = self.services().into_iter();
        services.find(|service| service.keeps(&self.home, is_default))
    }

    /// The first executable of this name on `PATH`.
    #[must_use]
    pub fn on_path(&self, name: &str) -> Option<PathBuf> {
        let path = self.variable("PATH")?;
        std::env::split_paths(path)
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(|p| p.is_file() && crate::adapters::files::is_executable(p))
    }
}

/// The database, as far as it can be opened.
#[derive(Debug)]
pub enum Database {
    /// There is none, and none is made by looking.
    Missing,
    /// It is open.
    Open(Box<Store>),
    /// It cannot be opened.
    Refused(StoreError),
}

/// How long the daemon may take to say how it does: it answers that at once, whatever it is at.
const DAEMON_PATIENCE: Duration = Duration::from_secs(2);

/// The daemon, as far as it can be talked to.
#[derive(Debug)]
pub enum Daemon {
    /// None runs.
    Absent,
    /// It said how it does.
    Answers(Box<Health>),
    /// Something holds its lock and does not answer.
    Silent {
        /// The process that noted itself.
        pid: Option<u32>,
        /// What was tried.
        why: String,
    },
}

impl Daemon {
    fn of(home: &Home) -> Self {
        let lock = home.daemon_lock();
        if !Lock::is_held(&lock).unwrap_or(false) {
            return Self::Absent;
        }
        let why = match client::ask(home, &Request::Health, DAEMON_PATIENCE) {
            Ok(Response::Health(health)) => return Self::Answers(Box::new(health)),
            Ok(_) => "it answers something else".to_owned(),
            Err(_) if !Lock::is_held(&lock).unwrap_or(false) => return Self::Absent,
            Err(ClientError::NotRunning) => "nobody answers at its socket".to_owned(),
            Err(error) => error.to_string(),
        };
        let pid = spawn::running(home).map(|note| note.pid);
        Self::Silent { pid, why }
    }
}

/// Everything that more than one check looks at.
#[derive(Debug)]
pub struct Patient<'s> {
    /// What the process knows.
    pub surroundings: &'s Surroundings,
    /// The settings; what is wrong with the file otherwise.
    pub settings: Result<Settings, String>,
    /// The base, the default one where the settings cannot be read.
    pub base: Base,
    /// The database.
    pub database: Database,
    /// The accounts in the database.
    pub accounts: Vec<Account>,
    /// What is wrong with each overlay.
    pub overlays: Vec<Vec<overlay::Finding>>,
    /// The daemon of this home.
    pub daemon: Daemon,
    /// Another tool's files in the home.
    pub foreign: io::Result<Foreign>,
    /// The person said that these may stay.
    pub foreign_may_stay: bool,
}

impl<'s> Patient<'s> {
    /// Looks at the machine.
    #[must_use]
    pub fn of(surroundings: &'s Surroundings) -> Self {
        let home = &surroundings.home;
        let settings = load_settings(home);
        let known = settings.clone().unwrap_or_default();
        let base = known.base(&surroundings.user_home);
        let (database, accounts) = open(home);
        let may_stay = match &database {
            Database::Open(store) => matches!(store.meta(Meta::ForeignFilesMayStay), Ok(Some(_))),
            Database::Missing | Database::Refused(_) => false,
        };
        let overlays = accounts
            .iter()
            .map(|account| match is_own_dir(account) {
                true => overlay::health(&base, &account.config_dir),
                false => Vec::new(),
            })
            .collect();
        Self {
            surroundings,
            settings,
            base,
            database,
            accounts,
            overlays,
            daemon: Daemon::of(home),
            foreign: foreign::find(home),
            foreign_may_stay: may_stay,
        }
    }

    /// Where ccp keeps its state.
    #[must_use]
    pub fn home(&self) -> &'s Home {
        &self.surroundings.home
    }

    /// When the examination began.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.surroundings.now
    }

    /// Why nothing of the home may be changed; none when it may.
    #[must_use]
    pub fn must_not_change(&self) -> Option<&'static str> {
        match &self.foreign {
            Err(_) => Some("the home cannot be read"),
            Ok(found) if found.pid.is_some() => Some("another tool runs in this home"),
            Ok(found) if !found.is_empty() && !self.foreign_may_stay => {
                Some("another tool's files are in this home")
            }
            Ok(_) => None,
        }
    }

    /// The base's settings for claude; none when there are none.
    pub fn base_settings(&self) -> Option<Result<serde_json::Value, String>> {
        let text = match load_text(&self.base.settings()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            text => text.map_err(|e| e.to_string()),
        };
        Some(text.and_then(|t| serde_json::from_str(&t).map_err(|e| e.to_string())))
    }
}

fn open(home: &Home) -> (Database, Vec<Account>) {
    if fs::symlink_metadata(home.state_db()).is_err() {
        return (Database::Missing, Vec::new());
    }
    match Store::open(home).and_then(|store| Ok((store.accounts()?, store))) {
        Ok((accounts, store)) => (Database::Open(Box::new(store)), accounts),
        Err(error) => (Database::Refused(error), Vec::new()),
    }
}

/// Whether the account's directory is one, and no link to somebody else's.
#[must_use]
pub fn is_own_dir(account: &Account) -> bool {
    fs::symlink_metadata(&account.config_dir).is_ok_and(|m| m.is_dir())
}

fn load_settings(home: &Home) -> Result<Settings, String> {
    let file = file_stamp(&home.config());
    let text = match load_text(&home.config()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|e| format!("it cannot be read ({e})"))?,
    };
    let settings = Settings::parse(&text).map_err(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    })?;
    Ok(Settings { file, ..settings })
}

/// The text of a file, up to a bound.
pub(super) fn load_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_TEXT).read_to_string(&mut text)?;
    Ok(text)
}
