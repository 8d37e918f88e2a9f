//! Whether an account is in use, for commands that must not pull the rug from under a session.

use super::context::Context;
use super::failure::Failure;
use crate::adapters::procs::environment::running_under;
use crate::adapters::store::Account;
use crate::contract::{exit, vars};
use crate::core::account::AccountId;
use crate::daemon::publish;

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
    let leases = match publish::sessions(&context.home, crate::adapters::clock::now()) {
        Ok(sessions) => sessions.get(&account.id).copied().unwrap_or(0),
        Err(error) => return Use::Unknown(format!("the leases cannot be read: {error}")),
    };
    match running_under(vars::CLAUDE_CONFIG_DIR, &account.config_dir) {
        Ok(pids) if pids.is_empty() && leases == 0 => Use::Idle,
        Ok(pids) => Use::Busy { leases, pids },
        Err(error) => Use::Unknown(format!("the process table cannot be read: {error}")),
    }
}

/// Refuses while the account is in use, or may be.
pub fn must_be_idle(context: &Context, account: &Account, what: &str) -> Result<(), Failure> {
    let Account { id, label, .. } = account;
    let why = match of(context, account) {
        Use::Idle => return Ok(()),
        Use::Busy { leases, pids } => in_use(*id, label, leases, &pids),
        Use::Unknown(why) => format!("cannot tell whether {label} is in use: {why}"),
    };
    Err(Failure::new(format!("cannot {what}: {why}"))
        .hint("end the sessions first; a reservation of `ccp select` ends by itself within 30 s")
        .code(exit::UNAVAILABLE))
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
