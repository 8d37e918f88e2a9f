//! How the pool is configured, and what its slots are started from.

use super::accounts::{Accounts, Only};
use super::spawning::Task;
use super::usage::TellAccounts;
use super::views::Labels;
use crate::adapters::agent::slot::{
    ClaudeIdentity, Flags, HookRoute, Opening, PATIENCE, ShellEnvironment, SlotOrder, plan,
};
use crate::adapters::commands::Places;
use crate::adapters::files::{self, PRIVATE_FILE};
use crate::adapters::overlay::require_trust;
use crate::contract::paths::pool::PoolDir;
use crate::contract::paths::{Base, Home};
use crate::contract::pool::{Code, Config, PoolError};
use crate::contract::proto::host::{Launch, Size};
use crate::contract::report::Report;
use crate::contract::settings::PoolSettings;
use crate::core::hash::hash;
use crate::core::pool::event::Settings;
use crate::core::pool::id::Build;
use serde_json::{Map, Value};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Slots of a pool whose configuration names no number.
const DEFAULT_SIZE: u32 = 3;
/// The largest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1024 * 1024;
/// Name of the base's plugin store.
const PLUGINS: &str = "plugins";

/// Finds claude, as a launch would, also on this `PATH` besides; or says why there is none.
pub type FindClaude = Box<dyn Fn(Option<&OsStr>) -> Result<PathBuf, String> + Send + Sync>;

/// Reads what the person's settings say about the pool; or says what is wrong with them.
pub type ReadSettings = Box<dyn Fn() -> Result<PoolSettings, String> + Send + Sync>;

/// What a daemon finds around it.
pub struct Surroundings {
    /// The person's home directory.
    pub user_home: PathBuf,
    /// The home of ccp, where the accounts are.
    pub home: Home,
    /// Their own configuration of claude.
    pub base: Base,
    /// The environment of the command that started it.
    pub environment: Vec<(OsString, OsString)>,
    /// Finds claude.
    pub find_claude: FindClaude,
    /// Reads what the person's settings say about this pool.
    pub pool_settings: ReadSettings,
    /// This program, for hosts and hooks.
    pub program: PathBuf,
    /// The mask of file modes that claude begins with.
    pub umask: u32,
    /// Tells the accounts' daemon what slots saw.
    pub tell_accounts: TellAccounts,
}

/// The configuration, and what it stands on.
pub(super) struct Configured {
    dir: PoolDir,
    config: Mutex<Config>,
    /// What the login shell makes of the environment; asked anew at each init.
    shell: Mutex<Option<Arc<ShellEnvironment>>>,
    labels: Mutex<Labels>,
    /// The person's settings, as they were read last.
    person: Mutex<PoolSettings>,
    surroundings: Surroundings,
}

impl Configured {
    /// Reads the configuration of the pool in this directory; none says nothing.
    pub(super) fn load(dir: &PoolDir, surroundings: Surroundings) -> Result<Self, PoolError> {
        let mut text = Vec::new();
        match File::open(dir.config()).and_then(|f| f.take(MAX_CONFIG + 1).read_to_end(&mut text)) {
            Ok(_) if text.len() as u64 > MAX_CONFIG => {
                return Err(refused("it is larger than a configuration is"));
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            _ => {}
        }
        Ok(Self {
            dir: dir.clone(),
            config: Mutex::new(Config::parse(&text)?),
            shell: Mutex::new(None),
            labels: Mutex::default(),
            person: Mutex::default(),
            surroundings,
        })
    }

    /// The configuration as it is.
    pub(super) fn config(&self) -> Config {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }

    /// Takes keys over and writes them down; none when one is wrong, or nothing can be written.
    pub(super) fn change(&self, set: &Map<String, Value>) -> Result<(), PoolError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let next = config.changed(set)?;
        // What no slot could be started with is not accepted.
        flags_of(&next)?;
        let path = self.dir.config();
        files::replace(&path, next.text().as_bytes(), PRIVATE_FILE)
            .map_err(|error| refused(format!("cannot write {}: {error}", path.display())))?;
        *config = next;
        Ok(())
    }

    /// Writes the number of slots down.
    pub(super) fn save_size(&self, size: u32) -> Result<(), PoolError> {
        self.change(&Map::from_iter([("size".to_owned(), Value::from(size))]))
    }

    /// How many slots.
    pub(super) fn size(&self) -> u32 {
        self.config().size.unwrap_or(DEFAULT_SIZE)
    }

    /// Where the accounts are.
    pub(super) fn accounts(&self) -> Accounts {
        Accounts {
            home: self.surroundings.home.clone(),
            user_home: self.surroundings.user_home.clone(),
            program: self.surroundings.program.clone(),
        }
    }

    /// What the person's settings say about this pool now; what they said last while the file is wrong.
    pub(super) fn person(&self) -> PoolSettings {
        let mut person = self.person.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(read) = (self.surroundings.pool_settings)() {
            *person = read;
        }
        person.clone()
    }

    /// The accounts that slots may use, where the person says.
    pub(super) fn only(&self, person: &PoolSettings) -> Option<Only> {
        let names = person.accounts.clone()?;
        let pool = self.dir.name();
        Some(Only { pool, names })
    }

    /// Tells the accounts' daemon; false when it did not take it.
    pub(super) fn tell_accounts(&self, report: &Report) -> bool {
        (self.surroundings.tell_accounts)(report)
    }

    /// What accounts are called, as it was read last.
    pub(super) fn labels(&self) -> Labels {
        let labels = self.labels.lock().unwrap_or_else(PoisonError::into_inner);
        labels.clone()
    }

    /// Reads anew what accounts are called.
    pub(super) fn read_labels(&self) {
        let read = self.accounts().labels();
        *self.labels.lock().unwrap_or_else(PoisonError::into_inner) = read;
    }

    /// This program.
    pub(super) fn program(&self) -> &Path {
        &self.surroundings.program
    }

    /// Where conversations are written down.
    pub(super) fn config_dir(&self) -> &Path {
        &self.surroundings.base.dir
    }

    /// Whether `/name` is a command or a skill of the person's for a claude in this directory.
    pub(super) fn is_command(&self, cwd: &Path, name: &str) -> bool {
        let places = Places {
            config_dir: self.surroundings.base.dir.clone(),
            plugins: self.surroundings.base.dir.join(PLUGINS),
            project: cwd.to_owned(),
            user_home: self.surroundings.user_home.clone(),
        };
        places.has_command(name)
    }

    /// Whether slots start without a question in the pool's directory.
    pub(super) fn check_trust(&self, blueprint: &Blueprint) -> Result<(), PoolError> {
        // The accounts' own files are ours to write; plain claude's is not.
        if !self.labels().is_empty() {
            return Ok(());
        }
        require_trust(&self.surroundings.base, blueprint.dir()).map_err(refused)
    }

    /// Asks the login shell for the environment once more. Takes as long as its start-up files do, within a bound.
    pub(super) fn ask_shell(&self) -> Option<String> {
        let inherited = self.surroundings.environment.iter().cloned();
        let asked = ShellEnvironment::capture(inherited, PATIENCE);
        let problem = asked.problem().map(str::to_owned);
        let mut shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        *shell = Some(Arc::new(asked));
        problem
    }

    fn environment(&self) -> Arc<ShellEnvironment> {
        let shell = self.shell.lock().unwrap_or_else(PoisonError::into_inner);
        shell.clone().unwrap_or_else(|| {
            let inherited = self.surroundings.environment.iter().cloned();
            Arc::new(ShellEnvironment::inherited(inherited))
        })
    }

    /// What slots are started from now.
    pub(super) fn blueprint(&self) -> Result<Blueprint, PoolError> {
        self.read_labels();
        let config = self.config();
        let flags = flags_of(&config)?;
        // A service has the system's `PATH`, not the person's.
        let environment = self.environment();
        let find = &self.surroundings.find_claude;
        let claude = find(environment.get("PATH")).map_err(refused)?;
        let identity = ClaudeIdentity::of(&claude).map_err(refused)?;
        let home = &self.surroundings.user_home;
        let dir = config.dir.as_ref().map_or(home.clone(), PathBuf::from);
        // As claude names it, whatever links lead there.
        let dir = fs::canonicalize(&dir)
            .map_err(|error| refused(format!("the pool's dir {}: {error}", dir.display())))?;
        // All that makes one slot as good as another.
        let whole = format!("{identity:?} {:?} {}", flags.words(), dir.display());
        Ok(Blueprint {
            settings: Settings {
                keep_fresh: config.fresh_wanted(),
                allowed: self.accounts().allowed_in(&dir),
                dir,
                build: Build(hash(whole.as_bytes())),
            },
            flags,
            claude,
            environment,
            base_dir: self.surroundings.base.dir.clone(),
            pool_dir: self.dir.path().to_owned(),
            program: self.surroundings.program.clone(),
            umask: self.surroundings.umask,
        })
    }

    /// What slots are started from, as far as that can be told: enough to keep those that run.
    pub(super) fn blueprint_or_none(&self) -> Blueprint {
        self.blueprint().unwrap_or_else(|_| Blueprint {
            settings: Settings {
                keep_fresh: self.config().fresh_wanted(),
                dir: self.surroundings.user_home.clone(),
                build: Build(0),
                allowed: None,
            },
            flags: Flags::default(),
            claude: PathBuf::new(),
            environment: self.environment(),
            base_dir: self.surroundings.base.dir.clone(),
            pool_dir: self.dir.path().to_owned(),
            program: self.surroundings.program.clone(),
            umask: self.surroundings.umask,
        })
    }
}

fn flags_of(config: &Config) -> Result<Flags, PoolError> {
    let flags = config.flags.as_deref().unwrap_or_default();
    Flags::parse(flags).map_err(|error| PoolError::new(Code::BadRequest, error.to_string()))
}

fn refused(why: impl std::fmt::Display) -> PoolError {
    PoolError::new(Code::Unavailable, why.to_string())
}

/// What slots are started from.
#[derive(Clone)]
pub(super) struct Blueprint {
    settings: Settings,
    flags: Flags,
    claude: PathBuf,
    environment: Arc<ShellEnvironment>,
    base_dir: PathBuf,
    pool_dir: PathBuf,
    program: PathBuf,
    umask: u32,
}

impl std::fmt::Debug for Blueprint {
    /// Without the environment, in which people keep secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Blueprint");
        shown
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Blueprint {
    /// As the machine knows it.
    pub(super) fn settings(&self) -> Settings {
        self.settings.clone()
    }

    /// Where slots are started unless a session wants another place.
    pub(super) fn dir(&self) -> &Path {
        &self.settings.dir
    }

    /// Where claude keeps its state.
    pub(super) fn state_dir(&self) -> &Path {
        &self.base_dir
    }

    /// The model that every claude is told to use.
    pub(super) fn model(&self) -> Option<&str> {
        self.flags.model()
    }

    /// The claude that is started.
    pub(super) fn claude(&self) -> &Path {
        &self.claude
    }

    /// What a host is to start; under the account of this directory, or plain.
    pub(super) fn launch(
        &self,
        task: &Task,
        config_dir: Option<&Path>,
        size: Size,
        socket: &Path,
    ) -> Result<Launch, String> {
        let session = task.session.map(|id| id.to_string());
        let hooks = HookRoute {
            program: self.program.clone(),
            socket: socket.to_owned(),
            token: token().map_err(|error| format!("no random bits: {error}"))?,
        };
        let opening = task.resume.as_ref().map_or(Opening::Fresh, |uuid| {
            Opening::Resume(uuid.as_str().to_owned())
        });
        let order = SlotOrder {
            claude: &self.claude,
            flags: &self.flags,
            cwd: &task.cwd,
            config_dir,
            plugins: &self.base_dir.join(PLUGINS),
            environment: &self.environment,
            pool_dir: &self.pool_dir,
            pool_session: session.as_deref(),
            hooks: &hooks,
            opening: &opening,
        };
        let plan = plan(&order).map_err(|error| error.to_string())?;
        Ok(Launch {
            argv: plan.argv,
            env: plan.environment,
            cwd: plan.cwd,
            config_dir: config_dir.map(Path::to_owned),
            size,
            token: hooks.token,
            socket: hooks.socket,
            session,
            umask: Some(self.umask),
        })
    }
}

/// 128 random bits.
fn token() -> io::Result<String> {
    let (high, low) = (files::random_u64()?, files::random_u64()?);
    Ok(format!("{high:016x}{low:016x}"))
}
