//! Whether an account is in use, for commands that must not pull the rug from under a session.

use super::background;
use super::context::Context;
use super::failure::Failure;
use crate::adapters::files::pause;
use crate::adapters::procs;
use crate::adapters::procs::environment::running_under;
use crate::adapters::store::Account;
use crate::contract::{exit, vars};
use crate::core::account::AccountId;
use crate::daemon::{publish, roster};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// A question to claude is ended when it takes longer than 20 s.
const QUESTION: Duration = Duration::from_secs(25);
/// Between two looks at one.
const LOOK: Duration = Duration::from_millis(50);

/// What is known of an account's sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// Nobody uses it.
    Idle,
    /// So many sessions and reservations by the leases, and these processes.
    Busy {
        /// Leases that count.
        leases: u32,
        /// Processes with the account's directory in their environment.
        pids: Vec<u32>,
    },
    /// It cannot be told, and counts as busy.
    Unknown(String),
}

/// Looks at the leases and at the process table.
#[must_use]
pub fn of(context: &Context, account: &Account) -> Use {
    of_directory(context, account.id, &account.config_dir)
}

/// The same for a directory that may be nobody's account yet.
#[must_use]
pub fn of_directory(context: &Context, id: AccountId, config_dir: &Path) -> Use {
    let leases = match publish::sessions(&context.home, crate::adapters::clock::now()) {
        Ok(sessions) => sessions.get(&id).copied().unwrap_or(0),
        Err(error) => return Use::Unknown(format!("the leases cannot be read: {error}")),
    };
    match running(context, config_dir) {
        Ok(pids) if pids.is_empty() && leases == 0 => Use::Idle,
        Ok(pids) => Use::Busy { leases, pids },
        Err(error) => Use::Unknown(format!("the process table cannot be read: {error}")),
    }
}

/// The processes that run under a directory. What the daemon asks claude for is no session, and over in a moment, which
/// is waited for.
fn running(context: &Context, config_dir: &Path) -> io::Result<Vec<u32>> {
    let deadline = Instant::now() + QUESTION;
    loop {
        let pids = running_under(vars::CLAUDE_CONFIG_DIR, config_dir)?;
        if pids.is_empty() || Instant::now() >= deadline || !are_questions(context, &pids) {
            return Ok(pids);
        }
        pause(LOOK);
    }
}

fn are_questions(context: &Context, pids: &[u32]) -> bool {
    let Some(daemon) = background::running(&context.home) else {
        return false;
    };
    let asked = |pid: &u32| procs::ancestors(*pid).first() == Some(&daemon.pid);
    pids.iter().all(asked)
}

/// Refuses while the account is in use, or may be.
pub fn must_be_idle(context: &Context, account: &Account, what: &str) -> Result<(), Failure> {
    match told(of(context, account), account.id, &account.label) {
        None => Ok(()),
        Some(why) => Err(refused(what, &why)),
    }
}

/// Refuses while any account of the database, or any account directory on disk, is in use, naming each one that is.
pub fn must_all_be_idle(context: &Context, what: &str) -> Result<(), Failure> {
    let store = context.existing_store()?;
    let accounts = store.map(|store| store.accounts()).transpose()?;
    let accounts = accounts.unwrap_or_default();
    let mut busy: Vec<String> = accounts
        .iter()
        .filter_map(|account| told(of(context, account), account.id, &account.label))
        .collect();
    let on_disk = roster::numbers_on_disk(&context.home).map_err(|error| {
        Failure::new(format!(
            "cannot {what}: the accounts cannot be read: {error}"
        ))
    })?;
    for id in on_disk {
        if accounts.iter().all(|account| account.id != id) {
            let seen = of_directory(context, id, &context.home.account(id));
            busy.extend(told(seen, id, &id.to_string()));
        }
    }
    if busy.is_empty() {
        Ok(())
    } else {
        Err(refused(what, &busy.join("; ")))
    }
}

fn refused(what: &str, why: &str) -> Failure {
    Failure::new(format!("cannot {what}: {why}"))
        .hint("end the sessions first; a reservation of `ccp select` ends by itself within 30 s")
        .code(exit::UNAVAILABLE)
}

/// Why the account counts as in use; none when it does not.
fn told(seen: Use, id: AccountId, label: &str) -> Option<String> {
    match seen {
        Use::Idle => None,
        Use::Busy { leases, pids } => Some(in_use(id, label, leases, &pids)),
        Use::Unknown(why) => Some(format!("cannot tell whether {label} is in use: {why}")),
    }
}

fn in_use(id: AccountId, label: &str, leases: u32, pids: &[u32]) -> String {
    let name = if *label == *id.to_string() {
        label.to_owned()
    } else {
        format!("{label} ({id})")
    };
    if pids.is_empty() {
        return format!("{name} has {leases} live sessions or reservations");
    }
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    format!("{name} is in use by process {}", pids.join(", "))
}
