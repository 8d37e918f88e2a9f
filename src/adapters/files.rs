//! Files that survive a crash in the middle: private directories, replacement by rename, short locks.

#[cfg(feature = "full")]
pub mod claude_lock;
#[cfg(feature = "full")]
pub mod mount;

use crate::core::time::Timestamp;
use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Mode of files that only their owner may read.
pub const PRIVATE_FILE: u32 = 0o600;
/// Mode of directories that only their owner may enter.
pub const PRIVATE_DIR: u32 = 0o700;

/// Between two looks at a lock that another process holds. Locks here are held for far less than a millisecond.
const LOCK_POLL: Duration = Duration::from_micros(500);

/// From now on whatever this process creates is its user's alone, sockets too, from their first instant on. For the
/// first line of a program: it holds for every thread. Returns the mask that held before.
#[cfg_attr(
    not(target_os = "macos"),
    expect(clippy::useless_conversion, reason = "narrower on macOS")
)]
pub fn make_private_by_default() -> u32 {
    // SAFETY: takes a number and touches no memory.
    let before = unsafe { libc::umask(0o077) };
    u32::from(before)
}

/// Random bits, from the system.
pub fn random_u64() -> io::Result<u64> {
    use std::io::Read as _;
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Creates a directory and its parents, 0700. One that exists keeps its mode.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(PRIVATE_DIR)
        .create(path)
}

/// Replaces `path` by `contents` in one step: a temporary file beside it, fsync, rename. A reader sees the old file or
/// the new one, also after a power cut. A symbolic link at `path` is replaced, not followed.
pub fn replace(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    replace_with(path, contents, mode, true)
}

/// The same without fsync, for files that can be rebuilt: after a power cut the file may be empty or old.
pub fn replace_rebuildable(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    replace_with(path, contents, mode, false)
}

fn replace_with(path: &Path, contents: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let temporary = temporary_beside(path)?;
    let result =
        write_new(&temporary, contents, mode, durable).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Writes a file that must not exist yet.
pub fn write_new(path: &Path, contents: &[u8], mode: u32, durable: bool) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(contents)?;
    // The mode given at creation went through the umask; what was asked for is what shall be.
    if file.metadata()?.permissions().mode() & 0o7777 != mode {
        file.set_permissions(fs::Permissions::from_mode(mode))?;
    }
    if durable { file.sync_all() } else { Ok(()) }
}

/// A name of our own beside `path`, matching `*.tmp.*` so that no overlay takes it for an entry.
fn temporary_beside(path: &Path) -> io::Result<PathBuf> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary = OsString::from(name);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    temporary.push(format!(".tmp.{}.{number}", std::process::id()));
    Ok(path.with_file_name(temporary))
}

/// An advisory lock on a file, released when dropped or when the process ends or becomes another program.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock at `path`, creating the file, waiting at most `patience`. None when it was held all the while.
    pub fn acquire(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE_FILE)
            .open(path)?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { file })),
                Err(TryLockError::Error(error)) => return Err(error),
                Err(TryLockError::WouldBlock) if started.elapsed() >= patience => return Ok(None),
                Err(TryLockError::WouldBlock) => pause(LOCK_POLL.min(patience)),
            }
        }
    }

    /// Whether somebody holds the lock at `path` at this moment. Nobody holds one that does not exist.
    pub fn is_held(path: &Path) -> io::Result<bool> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        // Shared, so that many who look at once do not take each other for the holder.
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Notes on the lock's own file when it was taken, for those who only look.
    pub fn touch(&self, now: Timestamp) -> io::Result<()> {
        let since_epoch = now.since(Timestamp::from_unix_ms(0));
        self.file.set_modified(UNIX_EPOCH + since_epoch)
    }
}

impl Lock {
    /// Writes into the lock's own file who holds it. Not in one step: only for text that its reader checks.
    pub fn note(&self, text: &[u8]) -> io::Result<()> {
        self.file.write_all_at(text, 0)?;
        self.file.set_len(text.len() as u64)
    }

    /// Whether the file at `path` is still the one that is locked.
    #[must_use]
    pub fn is_at(&self, path: &Path) -> bool {
        let same = |a: fs::Metadata, b: fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        match (self.file.metadata(), fs::symlink_metadata(path)) {
            (Ok(own), Ok(there)) => same(own, there),
            _ => false,
        }
    }
}

/// Whether something is at `path` that was modified less than `age` ago: a lock that its holder touches now and then.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "compared with the time of a file, which another process sets while we wait"
)]
pub fn is_younger(path: &Path, age: Duration) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|m| m.modified());
    let now = std::time::SystemTime::now();
    modified.is_ok_and(|at| now.duration_since(at).unwrap_or_default() < age)
}

/// Lets other processes run for a moment inside a loop that is bounded otherwise.
#[expect(
    clippy::disallowed_methods,
    reason = "advisory locks and child processes have no event to wait for with a bound"
)]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Whether this user may execute the file.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: the pointer is a C string that lives through the call; nothing is written.
    unsafe { libc::access(path.as_ptr(), libc::X_OK) == 0 }
}

/// Modification time in nanoseconds since the Unix epoch.
#[must_use]
pub fn modified_ns(metadata: &fs::Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_whole_and_private_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        replace(&path, b"one", PRIVATE_FILE).expect("writes");
        replace(&path, b"two", PRIVATE_FILE).expect("writes again");
        assert_eq!(fs::read(&path).expect("reads"), b"two");
        assert_eq!(
            fs::metadata(&path).expect("is there").mode() & 0o777,
            PRIVATE_FILE
        );
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("d");
        fs::create_dir_all(path.join("x")).expect("a directory in the way");
        assert!(replace(&path, b"two", PRIVATE_FILE).is_err());
        assert!(path.join("x").is_dir());
        assert_eq!(fs::read_dir(dir.path()).expect("lists").count(), 1);
    }

    #[test]
    fn a_lock_is_held_once_and_waited_for_with_a_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let held = Lock::acquire(&path, Duration::ZERO)
            .expect("opens")
            .expect("is free");
        assert!(
            Lock::acquire(&path, Duration::from_millis(3))
                .expect("opens")
                .is_none()
        );
        assert!(Lock::is_held(&path).expect("looks"));
        drop(held);
        assert!(!Lock::is_held(&path).expect("looks"));
        assert!(!Lock::is_held(&dir.path().join("none")).expect("looks"));
        assert!(
            Lock::acquire(&path, Duration::ZERO)
                .expect("opens")
                .is_some()
        );
    }
}
