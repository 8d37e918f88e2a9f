//! The paths of session pools: one directory for all of them, one in it for each.

use crate::contract::proto::host::{ERROR_FILE, LAUNCH_FILE, RECORD_FILE};
use crate::core::hash::hash;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Name of the directory of all pools below the home directory.
pub const DEFAULT_POOL_HOME_NAME: &str = ".claude-pool";
/// The pool that is meant when none is named.
pub const DEFAULT_POOL: &str = "default";
/// The longest path of a socket, in bytes, that every system takes: macOS has room for 104 with the end.
pub const MAX_SOCKET_PATH: usize = 103;
/// The longest name of a pool, in bytes: with it a path stays a path.
const MAX_NAME: usize = 64;

/// `CLAUDE_POOL_HOME`: the pools, and where each of them listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolHome(PathBuf);

impl PoolHome {
    /// The directory at `path`; none when the path is not absolute.
    #[must_use]
    pub fn new(path: &Path) -> Option<Self> {
        path.is_absolute()
            .then(|| Self(path.components().collect()))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where each pool listens, here or elsewhere.
    #[must_use]
    pub fn pools(&self) -> PathBuf {
        self.0.join("pools.json")
    }

    /// Held from reading `pools.json` to writing it.
    #[must_use]
    pub fn pools_lock(&self) -> PathBuf {
        self.0.join("pools.lock")
    }

    /// The directory of the pool of this name; none when it is no name of a pool.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<PoolDir> {
        is_pool_name(name).then(|| PoolDir(self.0.join(name)))
    }
}

/// Whether a pool may have this name: letters, digits, `.`, `_` and `-`, of which the last two do not come first.
#[must_use]
pub fn is_pool_name(name: &str) -> bool {
    let first = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let all = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    first && name.len() <= MAX_NAME && name.chars().all(all)
}

/// The directory of one pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolDir(PathBuf);

impl PoolDir {
    /// The pool directory at `path`; none when the path is not absolute.
    #[must_use]
    pub fn new(path: &Path) -> Option<Self> {
        path.is_absolute()
            .then(|| Self(path.components().collect()))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The pool's name: that of its directory.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.0.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.0.join("pool.db")
    }

    /// Where the pool listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }

    /// Held by the pool's daemon for its whole life.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    /// There after a person ended the pool, until its next daemon begins.
    #[must_use]
    pub fn ended(&self) -> PathBuf {
        self.0.join("ended")
    }

    /// What the daemon did.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("daemon.log")
    }

    /// The socket of a session's terminal.
    #[must_use]
    pub fn attach_socket(&self, session: &str) -> PathBuf {
        self.0.join(format!("attach-{session}.sock"))
    }

    /// The directories of the slots.
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.0.join("slots")
    }

    /// What belongs to one process of one slot; gone when the process is.
    #[must_use]
    pub fn process(&self, slot: u32, generation: u64) -> ProcessDir {
        let slot = self.slots().join(slot.to_string());
        ProcessDir(slot.join(generation.to_string()))
    }

    /// What another implementation of the protocol keeps its sessions in; it is read, and never written.
    #[must_use]
    pub fn foreign_state(&self) -> PathBuf {
        self.0.join("pool.json")
    }
}

/// The directory of one process of one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessDir(PathBuf);

impl ProcessDir {
    /// The one at this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What its host is to start; gone once it read it.
    #[must_use]
    pub fn launch(&self) -> PathBuf {
        self.0.join(LAUNCH_FILE)
    }

    /// The host's record.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.0.join(RECORD_FILE)
    }

    /// Why the host did not start.
    #[must_use]
    pub fn error(&self) -> PathBuf {
        self.0.join(ERROR_FILE)
    }

    /// Where the host listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("host.sock")
    }

    /// What the daemon that started it knew of it.
    #[must_use]
    pub fn origin(&self) -> PathBuf {
        self.0.join("origin.json")
    }
}

/// The name that stands for `dir` in a directory of short paths: the same for whoever looks.
#[must_use]
pub fn short_name(dir: &Path) -> String {
    format!("{:016x}", hash(dir.as_os_str().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_component_of_a_path_and_no_option() {
        for name in ["default", "a", "work-2", "_x", "a.b"] {
            assert!(is_pool_name(name), "{name}");
        }
        let long = "x".repeat(MAX_NAME + 1);
        for name in ["", ".", "..", "-x", ".x", "a/b", "a b", "\u{e4}", &long] {
            assert!(!is_pool_name(name), "{name}");
        }
    }

    #[test]
    fn a_pool_is_named_after_its_directory() {
        let home = PoolHome::new(Path::new("/h/.claude-pool/")).expect("absolute");
        let pool = home.pool("work").expect("is a name");
        assert_eq!(pool.socket(), Path::new("/h/.claude-pool/work/api.sock"));
        assert_eq!(pool.name(), "work");
        assert_eq!(home.pool("../x"), None);
    }
}
