//! The lock that claude itself takes for a file: a directory `FILE.lock` beside it (the protocol of npm's
//! `proper-lockfile`). Whoever makes the directory holds the lock and keeps its time fresh; one whose time is old
//! belongs to a process that died.

use crate::adapters::files::pause;
use std::ffi::OsString;
use std::fs::{self, File, FileTimes};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// After how long without a sign of life claude takes a lock for abandoned: the protocol's default, which claude 2.1.197
/// uses; later versions refresh the time each 5 s, so that it holds for them too.
const STALE: Duration = Duration::from_secs(10);

/// Between two tries. claude holds these locks for a few milliseconds.
const POLL: Duration = Duration::from_millis(2);

/// A lock that is held. Dropping it lets go.
#[derive(Debug)]
pub(super) struct ClaudeLock {
    dir: PathBuf,
    /// The time that we gave the directory last: with another one it is no longer ours.
    touched: SystemTime,
}

impl ClaudeLock {
    /// Takes the lock of `file`, waiting at most `patience`. None when somebody held it all the while.
    pub fn acquire(file: &Path, patience: Duration) -> io::Result<Option<Self>> {
        let mut name = OsString::from(file.file_name().unwrap_or_default());
        name.push(".lock");
        let dir = file.with_file_name(name);
        let started = Instant::now();
        loop {
            match fs::create_dir(&dir) {
                Ok(()) => {
                    let touched = fs::symlink_metadata(&dir)?.modified()?;
                    return Ok(Some(Self { dir, touched }));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
            if is_stale(&dir) {
                // Only an empty directory goes, and only one of several takers gets to make it anew.
                let _ = fs::remove_dir(&dir);
            } else if started.elapsed() >= patience {
                return Ok(None);
            } else {
                pause(POLL.min(patience));
            }
            if started.elapsed() > patience + POLL {
                return Ok(None);
            }
        }
    }

    /// Shows that the holder lives, right before what the lock is for. False when somebody took the lock over.
    pub fn refresh(&mut self) -> bool {
        if !self.is_ours() {
            return false;
        }
        #[expect(
            clippy::disallowed_methods,
            reason = "the protocol compares this very time with the wall clock"
        )]
        let now = SystemTime::now();
        let set = File::open(&self.dir)
            .and_then(|dir| dir.set_times(FileTimes::new().set_modified(now)))
            .and_then(|()| fs::symlink_metadata(&self.dir)?.modified());
        match set {
            Ok(touched) => self.touched = touched,
            Err(_) => return false,
        }
        true
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.dir)
            .and_then(|m| m.modified())
            .is_ok_and(|m| m == self.touched)
    }
}

impl Drop for ClaudeLock {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = fs::remove_dir(&self.dir);
        }
    }
}

fn is_stale(dir: &Path) -> bool {
    let modified = fs::symlink_metadata(dir).and_then(|m| m.modified());
    // A time in the future is a clock that was set, not a holder that died.
    modified.is_ok_and(|m| m.elapsed().is_ok_and(|age| age > STALE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_excludes_waits_with_a_bound_and_takes_over_from_the_dead() {
        let home = tempfile::tempdir().expect("a directory");
        let file = home.path().join(".claude.json");
        let dir = home.path().join(".claude.json.lock");
        let mut held = ClaudeLock::acquire(&file, Duration::ZERO)
            .expect("makes it")
            .expect("is free");
        assert!(dir.is_dir() && held.refresh());
        let started = Instant::now();
        assert!(
            ClaudeLock::acquire(&file, Duration::from_millis(20))
                .expect("looks")
                .is_none()
        );
        assert!(started.elapsed() < Duration::from_secs(2));
        drop(held);
        assert!(!dir.exists());

        fs::create_dir(&dir).expect("somebody takes it and dies");
        let old = FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        File::open(&dir)
            .and_then(|d| d.set_times(old))
            .expect("ages");
        let mut held = ClaudeLock::acquire(&file, Duration::from_millis(20))
            .expect("takes over")
            .expect("is stale");
        fs::remove_dir(&dir).expect("another one thinks so too");
        assert!(!held.refresh(), "and we notice");
        fs::create_dir(&dir).expect("and takes it");
        drop(held);
        assert!(dir.exists(), "what is not ours stays");
    }
}
