//! A file that lines are added to, rotated by size and dropped by age.

use crate::adapters::files::{PRIVATE_FILE, create_private_dir};
use crate::core::time::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// How large a log gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// A file is at most this long, in bytes; but for the last line.
    pub(super) file: u64,
    /// Files that are kept beside the one being written: `NAME.1` is the newest of them.
    pub(super) older: u32,
    /// How long an older file is kept.
    pub(super) age: Duration,
}

/// The file being written.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    bounds: Bounds,
    open: Option<(File, u64)>,
}

impl LogFile {
    /// The log at this path; what is too old goes. The file is opened with its first line.
    pub(super) fn new(path: PathBuf, bounds: Bounds, now: Timestamp) -> Self {
        drop_old(&path, bounds, now);
        Self {
            path,
            bounds,
            open: None,
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, which ends in a line feed.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let is_full = |(_, len): &(File, u64)| *len >= self.bounds.file;
        if self.open.as_ref().is_some_and(is_full) {
            self.open = None;
            self.rotate();
        }
        if self.open.is_none() {
            if let Some(dir) = self.path.parent() {
                create_private_dir(dir)?;
            }
            let file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(PRIVATE_FILE)
                .open(&self.path)?;
            let len = file.metadata()?.len();
            self.open = Some((file, len));
        }
        let Some((file, len)) = &mut self.open else {
            return Ok(());
        };
        *len += line.len() as u64;
        file.write_all(line)
    }

    /// Each file gets the next number; the last one is gone.
    fn rotate(&self) {
        for number in (1..self.bounds.older).rev() {
            let _ = fs::rename(
                numbered(&self.path, number),
                numbered(&self.path, number + 1),
            );
        }
        let _ = fs::rename(&self.path, numbered(&self.path, 1));
    }
}

/// The path of an older file.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn drop_old(path: &Path, bounds: Bounds, now: Timestamp) {
    for number in 1..=bounds.older {
        let file = numbered(path, number);
        let modified = fs::metadata(&file).and_then(|m| m.modified()).ok();
        let at = modified
            .and_then(|m| m.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .map(Timestamp::from_unix_ms);
        if at.is_some_and(|at| now.since(at) > bounds.age) {
            let _ = fs::remove_file(file);
        }
    }
}
