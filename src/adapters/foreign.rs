//! Another tool's files in our home: `~/.cc-pool` is a name that others use, too. Looks at names and at locks; never
//! opens, reads or changes what belongs to somebody else.

use crate::contract::paths::Home;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What another tool left, or runs, in this home.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Foreign {
    /// Its files, by name.
    pub files: Vec<PathBuf>,
    /// The process that holds one of them, where the system tells.
    pub pid: Option<u32>,
}

impl Foreign {
    /// Whether there is nothing of another tool.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// The most directory entries that are looked at: a home has a dozen.
const MAX_ENTRIES: usize = 10_000;

/// Looks for another tool's files. A home that does not exist has none.
pub fn find(home: &Home) -> io::Result<Foreign> {
    let entries = match fs::read_dir(home.path()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Foreign::default()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries.take(MAX_ENTRIES) {
        let name = entry?.file_name();
        if name.to_str().is_some_and(is_foreign) {
            files.push(home.path().join(name));
        }
    }
    files.sort();
    let pid = files.iter().find_map(|path| holder::of(path));
    Ok(Foreign { files, pid })
}

/// The process that holds a lock on this file, where the system tells.
#[must_use]
pub fn holder(path: &Path) -> Option<u32> {
    holder::of(path)
}

/// `pool*.db` (with SQLite's companions) and `daemon.sock.lock`: names that ccp never uses directly in its home.
fn is_foreign(name: &str) -> bool {
    let stem = name
        .strip_suffix("-wal")
        .or_else(|| name.strip_suffix("-shm"))
        .or_else(|| name.strip_suffix("-journal"))
        .unwrap_or(name);
    let database = stem.starts_with("pool") && stem.ends_with(".db");
    database || name == "daemon.sock.lock"
}

#[cfg(target_os = "linux")]
mod holder {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// The largest lock table that is read, in bytes.
    const MAX_TABLE: usize = 1 << 20;

    /// Who holds a lock on the file, by `/proc/locks` (proc_locks(5)): nothing is opened. Locks on a file system that
    /// shows other device numbers there than to stat(2) are not found.
    pub(super) fn of(path: &Path) -> Option<u32> {
        let metadata = fs::symlink_metadata(path).ok()?;
        let table = fs::read("/proc/locks").ok()?;
        let table = String::from_utf8_lossy(&table[..table.len().min(MAX_TABLE)]).into_owned();
        let device = metadata.dev();
        let wanted = format!(
            "{:02x}:{:02x}:{}",
            libc::major(device),
            libc::minor(device),
            metadata.ino()
        );
        table.lines().find_map(|line| holder_in(line, &wanted))
    }

    /// `1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF`, with `->` before the kind for one that waits.
    fn holder_in(line: &str, wanted: &str) -> Option<u32> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        if fields.next()? == "->" {
            return None;
        }
        let pid = fields.nth(2)?.parse().ok()?;
        (fields.next()? == wanted && pid != 0).then_some(pid)
    }

    #[cfg(test)]
    mod tests {
        use super::holder_in;

        #[test]
        fn the_holder_is_read_from_the_lock_table() {
            let rows = [
                (
                    "1: POSIX  ADVISORY  WRITE 4711 08:01:1234 0 EOF",
                    Some(4711),
                ),
                ("1: FLOCK  ADVISORY  WRITE 12 08:01:1234 0 EOF", Some(12)),
                ("1: -> POSIX  ADVISORY  WRITE 12 08:01:1234 0 EOF", None),
                ("1: FLOCK  ADVISORY  WRITE 12 08:01:99 0 EOF", None),
                ("1: OFDLCK ADVISORY  READ -1 08:01:1234 0 EOF", None),
                ("", None),
                ("1:", None),
            ];
            for (line, expected) in rows {
                assert_eq!(holder_in(line, "08:01:1234"), expected, "{line}");
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod holder {
    use std::fs::OpenOptions;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    /// Who holds a record lock on the lock file, by F_GETLK (fcntl(2)). Databases are never opened, and flock(2) locks
    /// have no holder to ask for.
    pub(super) fn of(path: &Path) -> Option<u32> {
        if path.extension().is_none_or(|e| e != "lock") {
            return None;
        }
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .ok()?;
        // SAFETY: a flock is plain integers, and all zero is the whole file.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK;
        lock.l_whence = 0;
        // SAFETY: the descriptor is open and the structure is ours.
        let rc = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) };
        let held = rc == 0 && lock.l_type != libc::F_UNLCK;
        held.then(|| u32::try_from(lock.l_pid).ok())?
            .filter(|p| *p > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn home_with(names: &[&str]) -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().expect("a directory");
        for name in names {
            fs::File::create(dir.path().join(name)).expect("creates");
        }
        let home = Home::new(dir.path()).expect("absolute");
        (dir, home)
    }

    #[test]
    fn names_of_another_tool_are_found_and_ours_are_not() {
        let ours = [
            "state.db",
            "state.db-wal",
            "state.lock",
            "daemon.sock",
            "daemon.lock",
            "config.toml",
            "pools.json",
        ];
        let (_dir, home) = home_with(&ours);
        assert!(find(&home).expect("looks").is_empty());

        let theirs = ["daemon.sock.lock", "pool-v2.db", "pool.db", "pool.db-wal"];
        let (dir, home) = home_with(&theirs);
        let expected: Vec<_> = theirs.iter().map(|n| dir.path().join(n)).collect();
        assert_eq!(find(&home).expect("looks").files, expected);
    }

    #[test]
    fn a_home_that_does_not_exist_has_nothing() {
        let home = Home::new(Path::new("/nonexistent/ccp")).expect("absolute");
        assert!(find(&home).expect("looks").is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_that_holds_a_lock_is_named() {
        let (dir, home) = home_with(&["pool.db", "daemon.sock.lock"]);
        let path = dir.path().join("daemon.sock.lock");
        let _held = crate::adapters::files::Lock::acquire(&path, std::time::Duration::ZERO)
            .expect("opens")
            .expect("is free");
        // Some file systems show other device numbers in the table; then nobody is named, which is allowed.
        let found = find(&home).expect("looks").pid;
        assert!(found.is_none() || found == Some(std::process::id()));
    }
}
