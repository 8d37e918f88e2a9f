//! The files of a pool.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The longest path of a socket, in bytes, that every system takes: macOS has room for 104 with the end.
pub const MAX_SOCKET_PATH: usize = 103;

/// A pool's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolDir(PathBuf);

impl PoolDir {
    /// The pool at this path.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.json")
    }

    /// Sessions and prompts.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.0.join("pool.db")
    }

    /// Where clients connect.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("api.sock")
    }

    /// Held by the daemon for its life.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    /// The daemon's log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.0.join("daemon.log")
    }

    /// Where people attach to a session.
    #[must_use]
    pub fn attach_socket(&self, session: &str) -> PathBuf {
        self.0.join(format!("attach-{session}.sock"))
    }

    /// One directory per slot.
    #[must_use]
    pub fn slots(&self) -> PathBuf {
        self.0.join("slots")
    }

    /// What belongs to one process of one slot: gone when the process is.
    #[must_use]
    pub fn process(&self, slot: u32, generation: u64) -> ProcessDir {
        ProcessDir(self.slots().join(format!("{slot}/{generation}")))
    }

    /// Every path of a socket in it fits.
    #[must_use]
    pub fn fits(&self) -> bool {
        // The longest: `slots/9999/18446744073709551615/host.sock`, and a little more.
        const LONGEST: usize = 48;
        self.0.as_os_str().as_bytes().len() + LONGEST <= MAX_SOCKET_PATH
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
        self.0.join("launch.json")
    }

    /// The host's record.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.0.join("host.json")
    }

    /// Where the host listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.0.join("host.sock")
    }

    /// What the daemon that started it knew about it.
    #[must_use]
    pub fn origin(&self) -> PathBuf {
        self.0.join("origin.json")
    }
}
