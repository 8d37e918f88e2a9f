//! The pool's socket: made once what a dead daemon left is out of the way, looked after while its path may vanish, and
//! removed in the end, but never when it is not ours.

use super::serve::ServeError;
use crate::adapters::{files, short_path};
use crate::contract::paths::pool::PoolDir;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener as StdListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::Notify;

/// How often the path is looked at where the system does not tell, and while something else is there: whoever unlinks it
/// finds it again within a tenth of a second.
const LOOK_UNWATCHED: Duration = Duration::from_millis(80);
/// The same where it does: what it cannot tell is that a directory above was renamed.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// From being told to the look: whoever unlinks a path to put another one there, or a whole directory, is done by then.
const AFTER_CHANGE: Duration = Duration::from_millis(20);

/// The pool's socket.
pub(super) struct Listening {
    path: PathBuf,
    listener: Option<StdListener>,
    /// Device and inode of what this process made.
    made: (u64, u64),
    /// Told when something happens to the socket's file.
    changed: Arc<Notify>,
    /// Of that very file, which nothing happens to as long as it is there: connecting changes nothing of it.
    watch: Option<RecommendedWatcher>,
}

impl Listening {
    /// Listens, once what a dead daemon left is out of the way. Only for whoever holds the lock.
    pub(super) fn at(dir: &PoolDir) -> Result<Self, ServeError> {
        let fail = |source| ServeError::Io {
            path: dir.socket(),
            source,
        };
        let path = short_path::usable(&dir.socket()).map_err(fail)?;
        match fs::symlink_metadata(&path) {
            Ok(found) if found.file_type().is_socket() => {
                // Whoever answers does not know our lock, and its socket is not ours to remove.
                if StdStream::connect(&path).is_ok() {
                    return Err(ServeError::Foreign(dir.socket()));
                }
                fs::remove_file(&path).map_err(fail)?;
            }
            Ok(_) => return Err(ServeError::InTheWay(dir.socket())),
            Err(_) => {}
        }
        Self::bind(path).map_err(fail)
    }

    fn bind(path: PathBuf) -> io::Result<Self> {
        let listener = StdListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(files::PRIVATE_FILE))?;
        listener.set_nonblocking(true)?;
        let found = fs::symlink_metadata(&path)?;
        let changed = Arc::new(Notify::new());
        let watch = watch(&path, &changed).ok();
        Ok(Self {
            path,
            listener: Some(listener),
            made: (found.dev(), found.ino()),
            changed,
            watch,
        })
    }

    /// Where clients come in; once.
    pub(super) fn listener(&mut self) -> io::Result<UnixListener> {
        let listener = self.listener.take();
        let listener = listener.ok_or_else(|| io::Error::other("the socket is gone"))?;
        UnixListener::from_std(listener)
    }

    /// The same again, at the same path; none when somebody else was faster.
    pub(super) fn again(&self) -> io::Result<Option<Self>> {
        match Self::bind(self.path.clone()) {
            Ok(listening) => Ok(Some(listening)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until it is time to look whether the path still leads to the socket.
    pub(super) async fn may_have_changed(&self) {
        if self.watch.is_none() || self.is_there() != Some(true) {
            return tokio::time::sleep(LOOK_UNWATCHED).await;
        }
        let told = tokio::time::timeout(LOOK_AGAIN, self.changed.notified()).await;
        if told.is_ok() {
            tokio::time::sleep(AFTER_CHANGE).await;
        }
    }

    /// Whether nothing is at its path any more. What somebody else put there stays.
    pub(super) fn is_gone(&self) -> bool {
        self.is_there() == Some(false)
    }

    /// Whether its path still leads to it; none when something else is there.
    fn is_there(&self) -> Option<bool> {
        match fs::symlink_metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == self.made => Some(true),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if self.is_there() == Some(true) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Has the system tell when something happens to the file at this path.
fn watch(path: &Path, changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let tell = Arc::clone(changed);
    let mut watcher = notify::recommended_watcher(move |_| tell.notify_one())?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    // It may have vanished before the watch was there.
    changed.notify_one();
    Ok(watcher)
}
