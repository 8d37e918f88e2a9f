//! claude's session files: loading one that may be written right now, and telling a living process's from one that was
//! left behind. What a file says is read by `core::registry`.

use super::files::pause;
use super::procs;
use crate::core::registry::{SessionFile, Unreadable};
use crate::core::time::Timestamp;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A session file has under one kilobyte.
const MAX_BYTES: u64 = 256 * 1024;
/// Looks at a file that is half written, and between two of them. claude writes it in place, in one call.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);
/// The times of files move on in steps of some milliseconds; on the coarsest file systems, of two seconds.
const STEP_NS: i128 = 2_500_000_000;

/// The session files of one config directory.
#[derive(Clone, Debug)]
pub struct Registry {
    dir: PathBuf,
}

/// By what it is seen that a session file was written to, without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    changed_ns: i128,
}

impl Stamp {
    /// Whether a later write shows: the times of files move on in steps, and two writes within one look the same.
    #[must_use]
    pub fn is_settled(&self, now: Timestamp) -> bool {
        i128::from(now.unix_ms()) * 1_000_000 - self.changed_ns > STEP_NS
    }
}

/// Why a session file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It stayed half written, or is something else.
    #[error("{} is not a session file of claude", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
}

impl Registry {
    /// The registry of a config directory; it need not exist yet.
    #[must_use]
    pub fn of(config_dir: &Path) -> Self {
        Self {
            dir: config_dir.join("sessions"),
        }
    }

    /// The directory to watch.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file of a process.
    #[must_use]
    pub fn path(&self, pid: u32) -> PathBuf {
        self.dir.join(format!("{pid}.json"))
    }

    /// The stamp of the file of a process, if there is one.
    #[must_use]
    pub fn stamp(&self, pid: u32) -> Option<Stamp> {
        let found = fs::metadata(self.path(pid)).ok()?;
        Some(Stamp {
            file: (found.ino(), found.size()),
            changed_ns: i128::from(found.ctime()) * 1_000_000_000 + i128::from(found.ctime_nsec()),
        })
    }

    /// The process whose file this is, by its name alone.
    #[must_use]
    pub fn pid_of(path: &Path) -> Option<u32> {
        let name = path.file_name()?.to_str()?;
        name.strip_suffix(".json")?.parse().ok()
    }

    /// What a process says of itself; none when it has no file, or the file is of an earlier process of that number.
    ///
    /// # Errors
    /// When the file cannot be read, or stays unreadable for longer than a write takes.
    pub fn load(&self, pid: u32) -> Result<Option<SessionFile>, RegistryError> {
        let path = self.path(pid);
        for look in 0..LOOKS {
            if look > 0 {
                pause(BETWEEN_LOOKS);
            }
            let bytes = match read(&path) {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(RegistryError::Io { path, source }),
            };
            match SessionFile::parse(&bytes) {
                Ok(file) => return Ok(Some(file).filter(|f| f.pid == pid && is_of_living(f))),
                Err(Unreadable::Torn) => {}
                Err(Unreadable::Foreign) => break,
            }
        }
        Err(RegistryError::Foreign { path })
    }

    /// All sessions with a terminal whose process lives. Files that say nothing are passed over.
    #[must_use]
    pub fn living(&self) -> Vec<SessionFile> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| Self::pid_of(&entry.path()));
        pids.filter_map(|pid| self.load(pid).ok().flatten())
            .filter(SessionFile::has_terminal)
            .collect()
    }

    /// The living processes of any kind that may write to this conversation: those without a terminal are among them.
    #[must_use]
    pub fn writers(&self, session: &str) -> Vec<u32> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| Self::pid_of(&entry.path()));
        pids.filter_map(|pid| self.load(pid).ok().flatten())
            .filter(|file| file.session.as_deref() == Some(session))
            .map(|file| file.pid)
            .collect()
    }

    /// The living processes that have this conversation open.
    #[must_use]
    pub fn holders(&self, session: &str) -> Vec<u32> {
        let living = self.living().into_iter();
        living
            .filter(|file| file.session.as_deref() == Some(session))
            .map(|file| file.pid)
            .collect()
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(1024);
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whether the process that wrote the file still runs. A killed claude leaves its file behind, and its number may have
/// gone to another program; where the start time is spelled otherwise than the system spells it, the number must do.
fn is_of_living(file: &SessionFile) -> bool {
    let Some(start) = procs::start_time(file.pid) else {
        return false;
    };
    let claimed: Option<u64> = file.process_start.as_deref().and_then(|s| s.parse().ok());
    !cfg!(target_os = "linux") || claimed.is_none_or(|claimed| claimed == start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::registry::Readiness;
    use std::io::Write;
    use std::time::Instant;

    #[test]
    fn a_file_that_was_written_to_has_another_stamp() {
        let dir = tempfile::tempdir().expect("a directory");
        let registry = Registry::of(dir.path());
        fs::create_dir(registry.dir()).expect("makes");
        assert_eq!(registry.stamp(7), None);
        put(&registry, 7, "{}");
        let stamp = registry.stamp(7).expect("is there");
        assert_eq!(registry.stamp(7), Some(stamp), "reading changes nothing");
        put(&registry, 7, "{ }");
        assert_ne!(registry.stamp(7), Some(stamp));
        let at = |ms: i128| {
            Timestamp::from_unix_ms(i64::try_from(stamp.changed_ns / 1_000_000 + ms).expect("fits"))
        };
        assert!(!stamp.is_settled(at(0)) && stamp.is_settled(at(3_000)));
    }

    fn put(registry: &Registry, pid: u32, text: &str) {
        fs::create_dir_all(registry.dir()).expect("makes");
        let mut file = File::create(registry.path(pid)).expect("creates");
        file.write_all(text.as_bytes()).expect("writes");
    }

    fn own(status: &str) -> (u32, String) {
        let pid = std::process::id();
        let start = procs::start_time(pid).expect("runs");
        let text = format!(
            r#"{{"pid":{pid},"procStart":"{start}","sessionId":"s","kind":"interactive","entrypoint":"cli","status":"{status}"}}"#
        );
        (pid, text)
    }

    #[test]
    fn a_living_process_is_read_and_one_that_is_gone_is_not() {
        let home = tempfile::tempdir().expect("a directory");
        let registry = Registry::of(home.path());
        assert!(registry.living().is_empty(), "no directory yet");
        let (pid, text) = own("idle");
        put(&registry, pid, &text);
        let file = registry.load(pid).expect("reads").expect("is there");
        assert_eq!(file.readiness, Readiness::Idle);
        assert_eq!(registry.holders("s"), [pid]);
        assert!(registry.holders("another").is_empty());
        assert!(registry.load(4_000_000).expect("looks").is_none());
        if cfg!(target_os = "linux") {
            put(
                &registry,
                pid,
                &text.replace("procStart\":\"", "procStart\":\"9"),
            );
            assert!(
                registry.load(pid).expect("reads").is_none(),
                "an earlier process of this number"
            );
        }
    }

    #[test]
    fn a_file_that_is_being_written_is_looked_at_again() {
        let home = tempfile::tempdir().expect("a directory");
        let registry = Registry::of(home.path());
        let (pid, text) = own("busy");
        put(&registry, pid, &text[..text.len() / 2]);
        let rest = std::thread::spawn({
            let registry = registry.clone();
            let text = text.clone();
            move || put(&registry, pid, &text)
        });
        let file = registry.load(pid);
        rest.join().expect("writes");
        // Either the write was seen, or the machine was too slow for the bound: never half a file.
        assert!(
            file.is_err() || file.is_ok_and(|f| f.is_some_and(|f| f.readiness == Readiness::Busy))
        );

        put(&registry, pid, "{");
        let started = Instant::now();
        assert!(matches!(
            registry.load(pid),
            Err(RegistryError::Foreign { .. })
        ));
        assert!(started.elapsed() < Duration::from_secs(20), "bounded");
        put(&registry, pid, "[]");
        assert!(matches!(
            registry.load(pid),
            Err(RegistryError::Foreign { .. })
        ));
        assert!(registry.living().is_empty());
    }
}
