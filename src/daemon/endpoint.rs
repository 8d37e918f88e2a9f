//! Where the daemon listens, and who may: the lock that is held for a daemon's life, the note in it, the socket.
//!
//! Whoever holds the lock, and nobody else, removes a stale socket, makes the new one, and removes that at the end.

use crate::adapters::files::mount::is_remote;
use crate::adapters::files::{Lock, PRIVATE_FILE, create_private_dir};
use crate::adapters::{procs, short_path};
use crate::contract::paths::Home;
use crate::contract::proto::note::{Found, Note};
use crate::core::hash::hash;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest path of a socket, in bytes, that every system takes: macOS has room for 104 with the end.
const MAX_SOCKET_PATH: usize = 103;

/// Why this process does not become the daemon.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else holds the lock.
    #[error("another daemon runs")]
    Held,
    /// The lock file is another program's.
    #[error("{0} belongs to another program")]
    Foreign(PathBuf),
    /// Something that is no socket is where the socket would be.
    #[error("{0} is in the way: it is no socket")]
    InTheWay(PathBuf),
    /// The system refuses.
    #[error("cannot listen at {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// The lock of a daemon that is this process.
#[derive(Debug)]
pub(super) struct Guard {
    lock: Lock,
    path: PathBuf,
}

impl Guard {
    /// Takes the lock, waiting at most `patience`.
    pub(super) fn acquire(home: &Home, patience: Duration) -> Result<Self, BindError> {
        let path = home.daemon_lock();
        create_private_dir(home.path()).map_err(at(home.path()))?;
        if read_note(&path) == Found::Foreign {
            return Err(BindError::Foreign(path));
        }
        let lock = Lock::acquire(&path, patience).map_err(at(&path))?;
        let lock = lock.ok_or(BindError::Held)?;
        let guard = Self { lock, path };
        // Somebody may have removed the file between the open and the lock.
        if guard.is_lost() {
            return Err(BindError::Held);
        }
        Ok(guard)
    }

    /// The lock file was removed or replaced: this daemon's home is no more.
    pub(super) fn is_lost(&self) -> bool {
        !self.lock.is_at(&self.path)
    }

    /// Listens, and notes in the lock file where. `remote` says whether the home is another computer's; none: the system
    /// is asked.
    pub(super) fn listen(
        &self,
        home: &Home,
        proto: u32,
        remote: Option<bool>,
    ) -> Result<Socket, BindError> {
        let remote = remote.unwrap_or_else(|| is_remote(home.path()));
        let path = socket_path(home, remote)?;
        clear_stale(&path)?;
        let listener = UnixListener::bind(&path).map_err(at(&path))?;
        fs::set_permissions(&path, Permissions::from_mode(PRIVATE_FILE)).map_err(at(&path))?;
        let metadata = fs::symlink_metadata(&path).map_err(at(&path))?;
        let note = Note {
            pid: std::process::id(),
            start: procs::start_time(std::process::id()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            proto,
            socket: path.clone(),
        };
        self.lock
            .note(note.line().as_bytes())
            .map_err(at(&self.path))?;
        Ok(Socket {
            listener: Some(listener),
            identity: (metadata.dev(), metadata.ino()),
            path,
        })
    }
}

/// The socket, unlinked when dropped, if it is still this process's.
#[derive(Debug)]
pub(super) struct Socket {
    listener: Option<UnixListener>,
    identity: (u64, u64),
    path: PathBuf,
}

impl Socket {
    /// The listener; once.
    pub(super) fn take_listener(&mut self) -> Option<UnixListener> {
        self.listener.take()
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let there = fs::symlink_metadata(&self.path).map(|m| (m.dev(), m.ino()));
        if there.is_ok_and(|identity| identity == self.identity) {
            // What stays behind is stale, and the next owner of the lock removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The largest note that is read, in bytes.
const MAX_NOTE: u64 = 64 * 1024;

/// What the lock file says. One that cannot be read says nothing.
pub(super) fn read_note(path: &Path) -> Found {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|f| f.take(MAX_NOTE).read_to_end(&mut text));
    read.map_or(Found::Nothing, |_| Note::parse(&text))
}

/// In the home when that is this computer's and its path is short enough, else a short one in a private directory.
fn socket_path(home: &Home, remote: bool) -> Result<PathBuf, BindError> {
    let path = home.daemon_socket();
    if !remote && path.as_os_str().as_bytes().len() <= MAX_SOCKET_PATH {
        return Ok(path);
    }
    let name = format!("{:016x}.sock", hash(home.path().as_os_str().as_bytes()));
    let dir = short_path::private_runtime_dir().map_err(at(&path))?;
    Ok(dir.join(name))
}

fn clear_stale(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(at(path)(error)),
        // The lock is ours, so nobody listens there.
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path).map_err(at(path)),
        Ok(_) => Err(BindError::InTheWay(path.to_owned())),
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BindError {
    let path = path.to_owned();
    move |source| BindError::Io { path, source }
}
