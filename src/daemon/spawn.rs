//! Starting a daemon in the background, for the commands after this one, and ending one that nobody supervises. A daemon
//! that dies again and again is left alone for a while.

use super::endpoint::read_note;
use crate::adapters::files::{Lock, PRIVATE_FILE, replace_rebuildable};
use crate::adapters::procs;
use crate::contract::paths::Home;
use crate::contract::proto::note::{Found, Note};
use crate::contract::proto::{PROTO, Request};
use crate::contract::vars;
use crate::core::time::Timestamp;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// At most so many starts …
const MOST: usize = 5;
/// … in so long.
const WITHIN: Duration = Duration::from_secs(60);
/// The largest list of starts that is read, in bytes: five lines of fourteen.
const MAX_LIST: u64 = 4096;

/// How long a daemon may take to answer that it is on its way.
const ANSWER: Duration = Duration::from_secs(3);
/// How long it may then take: what it writes, and a question to claude that is under way.
const LAST_WORK: Duration = Duration::from_secs(30);
/// How long it may take once it was sent a signal as well.
const AFTER_SIGNAL: Duration = Duration::from_secs(10);

/// Why a daemon could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// It does not go, or is none of ccp's.
    #[error("a daemon still keeps {}{}", home.display(), pid.map_or(String::new(), |p| format!(", as process {p}")))]
    Stays {
        /// The home.
        home: PathBuf,
        /// Its process, where it noted one.
        pid: Option<u32>,
    },
    /// The lock cannot be tried.
    #[error("cannot lock {}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// A daemon was running.
    Runs,
    /// One was started. It listens within two seconds, and nobody waits for that.
    Now,
    /// It was started too often within a minute.
    TooOften,
    /// It cannot be started.
    Cannot,
}

/// Starts a daemon when none runs.
pub fn ensure(home: &Home, now: Timestamp) -> Started {
    if let Some(why) = refuses(home, now) {
        return why;
    }
    let Some(program) = own_ccpd() else {
        return Started::Cannot;
    };
    let mut command = Command::new(program);
    command
        .args(["daemon", "--detach"])
        .current_dir(home.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    vars::of_one_session().for_each(|name| _ = command.env_remove(name));
    procs::background::in_own_session(&mut command);
    // It outlives this command, which is over in a moment.
    command.spawn().map_or(Started::Cannot, |_| Started::Now)
}

/// Why no daemon is to be started now; none when one may be, which is noted as a start.
#[must_use]
pub fn refuses(home: &Home, now: Timestamp) -> Option<Started> {
    if runs(home) {
        return Some(Started::Runs);
    }
    let path = home.daemon_starts();
    let mut text = String::new();
    // A list that cannot be read counts as none.
    let _ = File::open(&path).and_then(|f| f.take(MAX_LIST).read_to_string(&mut text));
    let Some(list) = one_more(&text, now) else {
        return Some(Started::TooOften);
    };
    // Without the list nothing would keep a broken daemon from being started at every launch.
    let noted = replace_rebuildable(&path, list.as_bytes(), PRIVATE_FILE);
    noted.err().map(|_| Started::Cannot)
}

/// Whether daemons were started so often within the last minute that no further one is.
#[must_use]
pub fn is_given_up(home: &Home, now: Timestamp) -> bool {
    let mut text = String::new();
    let read = File::open(home.daemon_starts());
    let _ = read.and_then(|f| f.take(MAX_LIST).read_to_string(&mut text));
    one_more(&text, now).is_none()
}

/// The daemon that runs, by its own note; none where none runs.
#[must_use]
pub fn running(home: &Home) -> Option<Note> {
    let lock = home.daemon_lock();
    if !Lock::is_held(&lock).unwrap_or(false) {
        return None;
    }
    match read_note(&lock) {
        Found::Note(note) => Some(note),
        Found::Nothing | Found::Foreign => None,
    }
}

/// Ends the daemon of this home: it is asked, and, where it does not answer or takes too long, sent a signal. The lock
/// that is returned keeps the next one out while it is held; none where there never was a daemon.
pub fn end(home: &Home) -> Result<Option<Lock>, EndError> {
    let path = home.daemon_lock();
    if !path.exists() {
        return Ok(None);
    }
    let acquire = |patience| {
        let lock = Lock::acquire(&path, patience);
        lock.map_err(|source| EndError::Lock {
            path: path.clone(),
            source,
        })
    };
    if let Some(lock) = acquire(Duration::ZERO)? {
        return Ok(Some(lock));
    }
    let note = running(home);
    let asked = note.clone().is_some_and(ask_to_shut_down);
    let patience = if asked { LAST_WORK } else { Duration::ZERO };
    if let Some(lock) = acquire(patience)? {
        return Ok(Some(lock));
    }
    let process = note.as_ref().and_then(|n| Some((n.pid, n.start?)));
    if let Some((pid, start)) = process
        && procs::ask_to_end(pid, start)
        && let Some(lock) = acquire(AFTER_SIGNAL)?
    {
        return Ok(Some(lock));
    }
    Err(EndError::Stays {
        home: home.path().to_owned(),
        pid: note.map(|n| n.pid),
    })
}

/// Whether the daemon of this note took the request. Neither connecting nor writing has a bound of its own where its
/// queue is full, so both are done beside us.
fn ask_to_shut_down(note: Note) -> bool {
    let (send, receive) = mpsc::channel();
    let ask = move || {
        let request = Request::Shutdown { for_proto: None };
        let mut stream = UnixStream::connect(&note.socket)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.write_all(request.line().as_bytes())?;
        stream.read(&mut [0; 64])
    };
    std::thread::spawn(move || send.send(ask()));
    let answer = receive.recv_timeout(ANSWER);
    matches!(answer, Ok(Ok(count)) if count > 0)
}

/// Whether a daemon runs, or is about to, that is not older than this version.
#[must_use]
pub fn runs(home: &Home) -> bool {
    let lock = home.daemon_lock();
    if !Lock::is_held(&lock).unwrap_or(false) {
        return false;
    }
    match read_note(&lock) {
        // A daemon that just took the lock has not replaced its predecessor's note yet.
        Found::Note(note) => note.proto >= PROTO || !lives(&note),
        Found::Nothing | Found::Foreign => true,
    }
}

fn lives(note: &Note) -> bool {
    note.start.is_some() && procs::start_time(note.pid) == note.start
}

/// The list with this start added; none when there were too many.
fn one_more(text: &str, now: Timestamp) -> Option<String> {
    let started = |line: &str| line.trim().parse().ok().map(Timestamp::from_unix_ms);
    let mut recent: Vec<Timestamp> = text
        .lines()
        .filter_map(started)
        // A start in the future was noted before the clock was set back.
        .filter(|at| *at <= now && now.since(*at) < WITHIN)
        .collect();
    if recent.len() >= MOST {
        return None;
    }
    recent.push(now);
    Some(
        recent
            .iter()
            .map(|at| format!("{}\n", at.unix_ms()))
            .collect(),
    )
}

fn own_ccpd() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let own = std::fs::canonicalize(&own).unwrap_or(own);
    Some(own.with_file_name("ccpd"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_is_started_five_times_in_a_minute_at_most() {
        let at = |seconds: i64| Timestamp::from_unix_ms(seconds * 1000);
        let mut list = String::new();
        for second in 0..5 {
            list = one_more(&list, at(second)).expect("is not too often");
        }
        assert_eq!(one_more(&list, at(59)), None);
        assert!(
            one_more(&list, at(60)).is_some(),
            "the first is a minute ago"
        );
        assert_eq!(
            one_more("rubbish\n999999999\n", at(7)),
            Some("7000\n".to_owned())
        );
    }
}
