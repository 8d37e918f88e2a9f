//! How the pool is configured, and what its slots are started from.

use super::spawning::Task;
use super::views::Labels;
use crate::adapters::files::{self, PRIVATE_FILE};
use crate::contract::paths::Base;
use crate::contract::paths::pool::PoolDir;
use crate::contract::pool::{Code, Config, PoolError};
use crate::contract::proto::host::{Launch, Size};
use crate::contract::vars;
use crate::core::hash::hash;
use crate::core::pool::event::Settings;
use crate::core::pool::id::Build;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Slots of a pool whose configuration names no number.
const DEFAULT_SIZE: u32 = 3;
/// The largest configuration that is read, in bytes.
const MAX_CONFIG: u64 = 1024 * 1024;

/// Finds claude, as a launch would; or says why there is none.
pub type FindClaude = Box<dyn Fn() -> Result<PathBuf, String> + Send + Sync>;

/// What a daemon finds around it.
pub struct Surroundings {
    /// The person's home directory.
    pub user_home: PathBuf,
    /// Their own configuration of claude.
    pub base: Base,
    /// The environment of the command that started it.
    pub environment: Vec<(OsString, OsString)>,
    /// Finds claude.
    pub find_claude: FindClaude,
    /// This program, for hosts and hooks.
    pub program: PathBuf,
    /// The mask of file modes that claude begins with.
    pub umask: u32,
}

/// The configuration, and what it stands on.
pub(super) struct Configured {
    dir: PoolDir,
    config: Mutex<Config>,
    surroundings: Surroundings,
}

impl Configured {
    pub(super) fn load(dir: &PoolDir, surroundings: Surroundings) -> Result<Self, PoolError> {
        let text = match fs::metadata(dir.config()) {
            Ok(found) if found.len() > MAX_CONFIG => {
                return Err(PoolError::new(Code::Internal, "it is too large"));
            }
            Ok(_) => fs::read(dir.config()).map_err(internal)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(internal(error)),
        };
        let config = Mutex::new(Config::parse(&text)?);
        Ok(Self {
            dir: dir.clone(),
            config,
            surroundings,
        })
    }

    pub(super) fn config(&self) -> Config {
        self.config
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes keys over, and writes them down.
    pub(super) fn change(&self, set: &Map<String, Value>) -> Result<(), PoolError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let next = config.changed(set)?;
        let path = self.dir.config();
        files::replace(&path, next.text().as_bytes(), PRIVATE_FILE).map_err(|error| {
            let text = format!("cannot write {}: {error}", path.display());
            PoolError::new(Code::Unavailable, text)
        })?;
        *config = next;
        Ok(())
    }

    pub(super) fn save_size(&self, size: u32) -> Result<(), PoolError> {
        let set = Map::from_iter([("size".to_owned(), Value::from(size))]);
        self.change(&set)
    }

    pub(super) fn size(&self) -> u32 {
        self.config().size.unwrap_or(DEFAULT_SIZE)
    }

    pub(super) fn labels(&self) -> Labels {
        Labels::new()
    }

    pub(super) fn program(&self) -> &Path {
        &self.surroundings.program
    }

    pub(super) fn projects(&self) -> PathBuf {
        self.surroundings.base.dir.join("projects")
    }

    pub(super) fn is_command(&self, _cwd: &Path, _name: &str) -> bool {
        false
    }

    /// What slots were started from last, as far as that can be told before an init.
    pub(super) fn last_blueprint(&self) -> Blueprint {
        self.blueprint().unwrap_or_else(|_| Blueprint {
            settings: Settings {
                keep_fresh: self.config().fresh_wanted(),
                dir: self.surroundings.user_home.clone(),
                build: Build(0),
            },
            base: self.surroundings.base.clone(),
            claude: PathBuf::new(),
            words: Vec::new(),
            environment: Arc::new(Vec::new()),
            umask: self.surroundings.umask,
        })
    }

    pub(super) fn fresh_blueprint(&self) -> Result<Blueprint, PoolError> {
        self.blueprint()
    }

    pub(super) fn blueprint(&self) -> Result<Blueprint, PoolError> {
        let config = self.config();
        let claude = (self.surroundings.find_claude)()
            .map_err(|why| PoolError::new(Code::Unavailable, why))?;
        let claude = fs::canonicalize(&claude).unwrap_or(claude);
        let found = fs::metadata(&claude).map_err(internal)?;
        let dir = config
            .dir
            .as_ref()
            .map_or_else(|| self.surroundings.user_home.clone(), PathBuf::from);
        let words: Vec<OsString> = config
            .flags
            .iter()
            .flat_map(|f| f.split_whitespace())
            .map(OsString::from)
            .collect();
        let identity = format!(
            "{:?} {} {} {:?} {:?}",
            claude,
            found.ino(),
            found.mtime(),
            words,
            dir
        );
        Ok(Blueprint {
            settings: Settings {
                keep_fresh: config.fresh_wanted(),
                dir,
                build: Build(hash(identity.as_bytes())),
            },
            base: self.surroundings.base.clone(),
            claude,
            words,
            environment: Arc::new(self.surroundings.environment.clone()),
            umask: self.surroundings.umask,
        })
    }
}

fn internal(why: impl std::fmt::Display) -> PoolError {
    PoolError::new(Code::Internal, why.to_string())
}

/// What slots are started from.
#[derive(Clone)]
pub(super) struct Blueprint {
    settings: Settings,
    base: Base,
    claude: PathBuf,
    words: Vec<OsString>,
    environment: Arc<Vec<(OsString, OsString)>>,
    umask: u32,
}

impl Blueprint {
    pub(super) fn settings(&self) -> Settings {
        self.settings.clone()
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.settings.dir.clone()
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.base.dir.clone()
    }

    pub(super) fn launch(
        &self,
        task: &Task,
        size: Size,
        socket: &Path,
        program: &Path,
    ) -> Result<Launch, String> {
        let hook = serde_json::json!([{"hooks": [{"type": "command", "command": "exec \"$CCP_HOOK_PROGRAM\" hook"}]}]);
        let settings = serde_json::json!({
            "hooks": {"SessionStart": hook, "UserPromptSubmit": hook, "Stop": hook, "StopFailure": hook, "Notification": hook, "SessionEnd": hook},
        });
        let mut argv = vec![self.claude.clone().into_os_string()];
        argv.extend(self.words.iter().cloned());
        argv.extend(["--settings".into(), settings.to_string().into()]);
        if let Some(uuid) = &task.resume {
            argv.extend(["--resume".into(), uuid.as_str().into()]);
        }
        let mut env: Vec<(OsString, OsString)> = self
            .environment
            .iter()
            .filter(|(name, _)| {
                let name = name.as_bytes();
                !name.starts_with(b"CLAUDE_CODE_") && name != b"CLAUDECODE" && name != b"CLAUDE_PID"
            })
            .cloned()
            .collect();
        for (name, value) in [
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
            ("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1"),
        ] {
            env.push((name.into(), value.into()));
        }
        env.push((vars::CCP_HOOK_PROGRAM.into(), program.into()));
        let token = format!(
            "{:016x}{:016x}",
            files::random_u64().map_err(|e| e.to_string())?,
            files::random_u64().map_err(|e| e.to_string())?
        );
        Ok(Launch {
            argv,
            env,
            cwd: task.cwd.clone(),
            config_dir: None,
            size,
            token,
            socket: socket.to_owned(),
            session: task.session.map(|id| id.to_string()),
            umask: Some(self.umask),
        })
    }
}

impl PartialEq for Blueprint {
    fn eq(&self, other: &Self) -> bool {
        self.settings == other.settings
    }
}
