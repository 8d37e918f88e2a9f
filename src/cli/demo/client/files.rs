//! The files as the real client writes them: JSON replaced whole, 0600, under directory locks.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value};

use super::world::{World, new_id};
use crate::adapters::simulated::now;

/// A lock this old belongs to a process that died.
const STALE: Duration = Duration::from_secs(60);
/// The real client gives up after five tries of one to two seconds.
const LOCK_BOUND_MILLIS: u64 = 15_000;
/// Between two tries.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A directory that exists while somebody holds the lock; removed when dropped.
#[derive(Debug)]
pub(super) struct Lock(PathBuf);

impl Lock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the lock is a directory of another program: nothing announces its end"
    )]
    pub fn take(directory: PathBuf) -> io::Result<Self> {
        let deadline = now() + LOCK_BOUND_MILLIS;
        loop {
            match fs::create_dir(&directory) {
                Ok(()) => return Ok(Self(directory)),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Err(error) if now() >= deadline => return Err(error),
                Err(_) if is_stale(&directory) => drop(fs::remove_dir(&directory)),
                Err(_) => std::thread::sleep(LOCK_PAUSE),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

fn is_stale(directory: &Path) -> bool {
    let modified = fs::metadata(directory).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > STALE))
}

/// The path with `suffix` at its end.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// An object; empty where the file is absent or holds none.
pub(super) fn load(file: &Path) -> Value {
    let parsed = fs::read(file)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    parsed
        .filter(Value::is_object)
        .unwrap_or_else(|| Value::Object(Map::new()))
}

/// Replaces `file` atomically, readable by its owner alone.
pub(super) fn replace(file: &Path, value: &Value) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(parent)?;
    }
    let temporary = beside(
        file,
        &format!(".tmp.{}.{}", std::process::id(), &new_id()[..8]),
    );
    let mut writer = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)?;
    writer.write_all(format!("{value:#}").as_bytes())?;
    fs::rename(&temporary, file)
}

/// Appends one line.
pub(super) fn append(file: &Path, value: &Value) -> io::Result<()> {
    if let Some(parent) = file.parent() {
        fs::DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(parent)?;
    }
    let mut writer = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(file)?;
    writer.write_all(format!("{value}\n").as_bytes())
}

/// Changes `.claude.json`: lock, read again, change, replace. A link is followed, its lock is not.
pub(super) fn change_state(world: &World, change: impl FnOnce(&mut Value)) -> io::Result<()> {
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&world.config_dir)?;
    let _lock = Lock::take(beside(&world.state_file, ".lock"))?;
    let target = fs::canonicalize(&world.state_file).unwrap_or_else(|_| world.state_file.clone());
    let mut state = load(&target);
    change(&mut state);
    replace(&target, &state)
}
