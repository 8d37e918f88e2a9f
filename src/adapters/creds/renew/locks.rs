//! The locks that claude takes around a renewal, as it takes them (measured with 2.1.329 under strace): the directory
//! `.oauth_refresh.lock` in the config directory, then `DIR.lock` beside the config directory's real path, then a note of
//! who holds them, `.oauth_refresh.lock.owner`; and `.storage-write.lock` for the moment of writing.

use crate::adapters::files::claude_lock::ClaudeLock;
use crate::adapters::files::{PRIVATE_FILE, replace_rebuildable};
use crate::adapters::procs;
use serde::Deserialize;
use serde_json::json;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

/// After how long without a sign of life a lock counts as abandoned: claude 2.1.329's own time. 2.1.197 says 10 s, but
/// its holders give a sign each 5 s too, so that the longer time is right for both.
const STALE: Duration = Duration::from_secs(60);
/// Between two signs of life: well below 10 s, after which 2.1.197 would take our lock.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// Between two tries.
const POLL: Duration = Duration::from_millis(20);

/// A note has about 200 bytes.
const MAX_NOTE: u64 = 4096;

const REFRESH: &str = ".oauth_refresh.lock";
const OWNER: &str = ".oauth_refresh.lock.owner";
const STORAGE: &str = ".storage-write.lock";

fn take(dir: PathBuf, patience: Duration) -> io::Result<Option<ClaudeLock>> {
    ClaudeLock::take(dir, STALE, POLL, patience)
}

/// What is held, and whether all of it still is.
#[derive(Debug, Default)]
struct State {
    /// In the order in which they were taken.
    held: Mutex<Vec<ClaudeLock>>,
    lost: AtomicBool,
}

impl State {
    fn held(&self) -> MutexGuard<'_, Vec<ClaudeLock>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_signs_of_life(&self) {
        for held in self.held().iter_mut() {
            if !held.refresh() {
                self.lost.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// claude's locks of one config directory. Dropping it lets go, in reverse order.
#[derive(Debug)]
pub(super) struct Locks {
    config_dir: PathBuf,
    state: Arc<State>,
    /// The note that was written, to remove no other one.
    owner: Vec<u8>,
    stop: Option<Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Locks {
    /// Takes the two locks of a renewal, waiting at most `patience` for each. None when somebody held one.
    pub fn take(config_dir: &Path, patience: Duration) -> io::Result<Option<Self>> {
        remove_of_the_dead(config_dir);
        let Some(refresh) = take(config_dir.join(REFRESH), patience)? else {
            return Ok(None);
        };
        let Some(beside) = take(beside(config_dir)?, patience)? else {
            return Ok(None);
        };
        let owner = note_of_owner(refresh.path(), beside.path());
        let state = Arc::new(State::default());
        state.held().extend([refresh, beside]);
        let (stop, stopped) = channel();
        let keeper = {
            let state = Arc::clone(&state);
            std::thread::Builder::new()
                .name("renewal locks".to_owned())
                .spawn(move || {
                    while stopped.recv_timeout(SIGN_OF_LIFE) == Err(RecvTimeoutError::Timeout) {
                        state.give_signs_of_life();
                    }
                })?
        };
        let locks = Self {
            config_dir: config_dir.to_owned(),
            state,
            owner,
            stop: Some(stop),
            keeper: Some(keeper),
        };
        // Without the note a claude waits until the lock is stale, should we die; no more than that.
        let _ = replace_rebuildable(&config_dir.join(OWNER), &locks.owner, PRIVATE_FILE);
        Ok(Some(locks))
    }

    /// Whether every lock is still ours; asked right before what they are for.
    pub fn are_ours(&self) -> bool {
        self.state.give_signs_of_life();
        !self.state.lost.load(Ordering::Relaxed)
    }

    /// Takes the lock of the store for the moment of writing. False when somebody held it all the while.
    pub fn take_storage(&self, patience: Duration) -> io::Result<bool> {
        let Some(storage) = take(self.config_dir.join(STORAGE), patience)? else {
            return Ok(false);
        };
        self.state.held().push(storage);
        Ok(true)
    }

    /// Lets go of the lock of the store, if it is held.
    pub fn release_storage(&self) {
        let mut held = self.state.held();
        while held.len() > 2 {
            drop(held.pop());
        }
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        // The store's first, if it was taken, then the note, then the two others: as claude does.
        self.release_storage();
        let note = self.config_dir.join(OWNER);
        if fs::read(&note).is_ok_and(|text| text == self.owner) {
            let _ = fs::remove_file(&note);
        }
        let mut held = self.state.held();
        while let Some(last) = held.pop() {
            drop(last);
        }
    }
}

/// `DIR.lock` beside the real path of the config directory.
fn beside(config_dir: &Path) -> io::Result<PathBuf> {
    let real = fs::canonicalize(config_dir)?;
    let mut name = OsString::from(real.file_name().unwrap_or_default());
    name.push(".lock");
    Ok(real.with_file_name(name))
}

/// Removes the two locks where the note says that their holder, a claude or a ccp, ran on this machine and runs no more:
/// a login whose renewal was cut short is in danger until the renewal is completed, and a minute is long.
fn remove_of_the_dead(config_dir: &Path) {
    let refresh = config_dir.join(REFRESH);
    let Some(note) = load_note(&config_dir.join(OWNER)) else {
        return;
    };
    let is_of = |birth: Option<f64>, dir: &Path| {
        // Two clocks' worth of rounding; nobody takes a lock twice in a millisecond.
        birth.is_some_and(|noted| birth_ms(dir).is_some_and(|born| (born - noted).abs() < 1.0))
    };
    if !note.holder_is_dead() || !is_of(note.lock_birthtime_ms, &refresh) {
        return;
    }
    if let Ok(beside) = beside(config_dir)
        && is_of(note.legacy_lock_birthtime_ms, &beside)
    {
        let _ = fs::remove_dir(&beside);
    }
    let _ = fs::remove_dir(&refresh);
}

/// What a note says of the holder.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Note {
    pid: u32,
    proc_start: Option<String>,
    pid_domain: Option<String>,
    lock_birthtime_ms: Option<f64>,
    legacy_lock_birthtime_ms: Option<f64>,
}

impl Note {
    /// Known to be dead; a holder of another machine or of another pid namespace is not known.
    fn holder_is_dead(&self) -> bool {
        let Some(domain) = procs::domain() else {
            return false;
        };
        let sees_processes = procs::start_time(std::process::id()).is_some();
        let start = procs::start_time(self.pid).map(|start| start.to_string());
        sees_processes
            && self.pid_domain.as_deref() == Some(domain.by_machine.as_str())
            && self.proc_start.is_some()
            && self.proc_start != start
    }
}

fn load_note(path: &Path) -> Option<Note> {
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_NOTE)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// Who holds the locks, in the form 2.1.329 writes: with it a claude sees at once that a holder is dead, and need not
/// wait until its locks are stale.
fn note_of_owner(refresh: &Path, beside: &Path) -> Vec<u8> {
    let pid = std::process::id();
    let start = procs::start_time(pid).map(|start| start.to_string());
    let mut note = json!({
        "pid": pid,
        "procStart": start,
        "lockBirthtimeMs": birth_ms(refresh),
        "legacyLockBirthtimeMs": birth_ms(beside),
    });
    if let Some(domain) = procs::domain() {
        note["pidDomain"] = json!(domain.by_machine);
        note["pidSpace"] = json!(domain.by_host);
    }
    note.to_string().into_bytes()
}

/// When a directory was made, in milliseconds since the Unix epoch with their fraction, as `Stats.birthtimeMs` has it.
fn birth_ms(dir: &Path) -> Option<f64> {
    let born = fs::symlink_metadata(dir).and_then(|m| m.created()).ok()?;
    let since = born.duration_since(UNIX_EPOCH).ok()?;
    let fraction = f64::from(since.subsec_nanos() % 1_000_000) / 1e6;
    Some(since.as_millis() as f64 + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::FileTimes;
    use std::time::SystemTime;

    struct Place {
        _root: tempfile::TempDir,
        dir: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a directory");
            let dir = root.path().join("acct-01");
            fs::create_dir(&dir).expect("makes");
            Self { _root: root, dir }
        }

        fn paths(&self) -> [PathBuf; 4] {
            let beside = self.dir.with_file_name("acct-01.lock");
            [
                self.dir.join(REFRESH),
                beside,
                self.dir.join(OWNER),
                self.dir.join(STORAGE),
            ]
        }

        fn there(&self) -> [bool; 4] {
            self.paths().map(|path| path.exists())
        }
    }

    fn age(dir: &Path, by: Duration) {
        #[expect(
            clippy::disallowed_methods,
            reason = "the protocol is one of wall-clock times"
        )]
        let old = FileTimes::new().set_modified(SystemTime::now() - by);
        File::open(dir)
            .and_then(|d| d.set_times(old))
            .expect("ages");
    }

    fn take(place: &Place) -> Option<Locks> {
        Locks::take(&place.dir, Duration::from_millis(30)).expect("no error")
    }

    #[test]
    fn they_are_taken_together_noted_and_left_without_a_trace() {
        let place = Place::new();
        let locks = take(&place).expect("are free");
        assert_eq!(place.there(), [true, true, true, false]);
        assert!(locks.take_storage(Duration::ZERO).expect("no error"));
        assert!(locks.are_ours() && place.there() == [true; 4]);
        let note = fs::read(place.dir.join(OWNER)).expect("reads");
        let note: serde_json::Value = serde_json::from_slice(&note).expect("is JSON");
        assert_eq!(note["pid"], std::process::id());
        assert!(take(&place).is_none(), "nobody else has them");
        drop(locks);
        assert_eq!(place.there(), [false; 4]);
        assert_eq!(fs::read_dir(&place.dir).expect("lists").count(), 0);
    }

    #[test]
    fn whoever_holds_one_is_left_alone_unless_dead() {
        for index in [0, 1] {
            let place = Place::new();
            let lock = &place.paths()[index];
            fs::create_dir(lock).expect("somebody takes it");
            age(lock, STALE - Duration::from_secs(5));
            assert!(take(&place).is_none());
            assert!(lock.is_dir() && !place.paths()[1 - index].exists());
            age(lock, STALE + Duration::from_secs(1));
            let locks = take(&place).expect("the holder is dead");
            drop(locks);
            assert_eq!(place.there(), [false; 4]);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_locks_of_a_holder_that_is_known_to_be_dead_are_free() {
        let place = Place::new();
        let [refresh, beside, owner, _] = place.paths();
        for (change, free) in [
            ("nothing", false),
            ("procStart", true),
            ("pidDomain", false),
            ("lockBirthtimeMs", false),
        ] {
            for lock in [&refresh, &beside] {
                let _ = fs::remove_dir(lock);
                fs::create_dir(lock).expect("somebody takes it");
            }
            // We are alive; one who began at another time is not.
            let note = note_of_owner(&refresh, &beside);
            let mut note: serde_json::Value = serde_json::from_slice(&note).expect("is JSON");
            for key in ["procStart", change] {
                if change != "nothing" {
                    note[key] = if key == "lockBirthtimeMs" {
                        json!(1.0)
                    } else {
                        json!("1")
                    };
                }
            }
            replace_rebuildable(&owner, note.to_string().as_bytes(), PRIVATE_FILE).expect("notes");
            assert_eq!(take(&place).is_some(), free, "{change}");
        }
    }

    #[test]
    fn what_was_taken_over_is_noticed_and_stays() {
        let place = Place::new();
        let locks = take(&place).expect("are free");
        let [refresh, ..] = place.paths();
        fs::remove_dir(&refresh).expect("somebody thinks us dead");
        fs::create_dir(&refresh).expect("and takes it");
        age(&refresh, Duration::from_secs(3));
        replace_rebuildable(&place.dir.join(OWNER), b"{}", PRIVATE_FILE).expect("notes it");
        assert!(!locks.are_ours());
        drop(locks);
        assert_eq!(place.there(), [true, false, true, false]);
    }
}
