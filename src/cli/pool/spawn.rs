//! Starting the daemon of a pool, detached, and waiting until it listens.

use super::stand::Stand;
use crate::adapters::files::{PRIVATE_FILE, pause};
use crate::adapters::service::spawn_apart;
use crate::adapters::short_path;
use crate::cli::failure::Failure;
use crate::client::pool::PoolClient;
use crate::contract::vars;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a daemon has until it listens. It opens a database, and finds the slots of an earlier one.
const LISTENS: Duration = Duration::from_secs(20);
/// How long a daemon has that another command started, when ours has ended.
const OTHER_LISTENS: Duration = Duration::from_secs(2);
/// Between two looks whether it listens.
const POLL: Duration = Duration::from_millis(20);
/// How much of what a daemon said at its start is shown, in bytes.
const MAX_SAID: u64 = 64 * 1024;

/// Starts the daemon of the pool and waits until it listens.
pub fn start(stand: &Stand) -> Result<(), Failure> {
    let said = stand.dir.path().join("daemon.err");
    let failed =
        |error: std::io::Error| Failure::new(format!("cannot start the pool's daemon: {error}"));
    // What it says before it has a log, and a panic's last words.
    let make = |words: &[OsString]| {
        let stderr = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(PRIVATE_FILE)
            .open(&said)?;
        let mut command = Command::new(&words[0]);
        command
            .args(&words[1..])
            .current_dir(stand.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        // Started from inside a session, of a pool even, it does not belong to that.
        let foreign = vars::ANCESTRY.iter().chain(vars::OF_A_SLOT);
        foreign.for_each(|name| _ = command.env_remove(name));
        Ok(command)
    };
    // It and its hosts outlive the service that starts it.
    let mut child = spawn_apart(&words(stand)?, make).map_err(failed)?;
    await_socket(stand, &mut child, &said)
}

/// What `CLAUDE_POOL_DAEMON` names, else this very program. The daemon leaves the terminal by itself.
fn words(stand: &Stand) -> Result<Vec<OsString>, Failure> {
    let named = std::env::var_os(vars::CLAUDE_POOL_DAEMON).filter(|value| !value.is_empty());
    let mut words = match named {
        Some(named) => vec![named],
        None => vec![own_program()?.into(), "pool-daemon".into()],
    };
    words.extend(["--pool-dir".into(), stand.dir.path().into()]);
    Ok(words)
}

/// This program under the name by which it does everything.
pub fn own_program() -> Result<PathBuf, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Failure::new(format!("cannot tell where this program is: {error}")))?;
    let own = fs::canonicalize(&own).unwrap_or(own);
    Ok(own.with_file_name("ccpd"))
}

fn await_socket(stand: &Stand, child: &mut Child, said: &Path) -> Result<(), Failure> {
    let socket = short_path::usable(&stand.dir.socket())
        .map_err(|error| Failure::new(format!("the pool's socket has no usable path: {error}")))?;
    let mut deadline = Instant::now() + LISTENS;
    let mut failed = None;
    loop {
        if PoolClient::connect(&socket).is_ok() {
            return Ok(());
        }
        // One that detaches itself by a second process ends with 0 and goes on; one that fails may have met the daemon
        // that another command started just now.
        let ended = child.try_wait().ok().flatten();
        if failed.is_none() && ended.is_some_and(|status| !status.success()) {
            failed = ended;
            deadline = Instant::now() + OTHER_LISTENS;
        }
        if let (Some(status), true) = (failed, Instant::now() >= deadline) {
            let last = last_words(said);
            return Err(Failure::new(format!(
                "the pool's daemon ended at once ({status}): {last}"
            )));
        }
        if Instant::now() >= deadline {
            let log = stand.dir.log();
            let seconds = LISTENS.as_secs();
            return Err(Failure::new(format!(
                "the pool's daemon does not listen after {seconds} s"
            ))
            .hint(format!("see {}", log.display())));
        }
        pause(POLL);
    }
}

fn last_words(path: &Path) -> String {
    let mut text = Vec::new();
    // A file that is gone has no words.
    let _ = File::open(path).and_then(|file| file.take(MAX_SAID).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rev().find(|line| line.contains("error: "));
    let last = last.or_else(|| text.lines().rev().find(|line| !line.trim().is_empty()));
    let last = last.unwrap_or("it said nothing");
    last.trim_start_matches("error: ").to_owned()
}
