//! Every claude that runs, and which account it really uses.

use super::{count, or_ok};
use crate::adapters::leases;
use crate::adapters::procs;
use crate::adapters::procs::environment::{Running, running_program};
use crate::adapters::store::Account;
use crate::contract::lease::LeaseName;
use crate::contract::vars;
use crate::core::accounts::lease::Holder;
use crate::doctor::{Check, Finding, Patient};
use std::path::Path;

/// The processes.
pub const PROCESSES: Check = Check {
    id: "claude-processes",
    question: "was every claude that runs started by ccp?",
    look: processes,
};

fn processes(patient: &Patient<'_>) -> Vec<Finding> {
    let running = match running_program("claude", vars::CLAUDE_CONFIG_DIR) {
        Ok(running) => running,
        Err(error) => {
            let text = format!("the process table cannot be read: {error}");
            return vec![Finding::note(text, "try again")];
        }
    };
    let leases = leases::list(&patient.home().leases())
        .unwrap_or_default()
        .leases;
    // What ccp asks claude for itself is over in a second.
    let own = running_program("ccpd", vars::CCP_HOME).unwrap_or_default();
    let is_ours =
        |r: &&Running| holds_lease(r.pid, &leases) || own.iter().any(|o| o.pid == r.parent);
    let (ours, others): (Vec<&Running>, Vec<&Running>) = running.iter().partition(is_ours);
    let findings = others.iter().map(|r| describe(patient, r)).collect();
    or_ok(findings, by_account(patient, &ours))
}

/// `3 sessions: work 2, home 1`, in the order of the accounts.
fn by_account(patient: &Patient<'_>, ours: &[&Running]) -> String {
    let of = |account: &Account| {
        let dir = account.config_dir.as_os_str();
        let own = ours.iter().filter(|r| r.value.as_deref() == Some(dir));
        own.count()
    };
    let parts: Vec<String> = patient
        .accounts
        .iter()
        .map(|account| (account, of(account)))
        .filter(|(_, sessions)| *sessions > 0)
        .map(|(account, sessions)| format!("{} {sessions}", account.label))
        .collect();
    let total = count(ours.len(), "session");
    if parts.is_empty() {
        return total;
    }
    format!("{total}: {}", parts.join(", "))
}

fn holds_lease(pid: u32, leases: &[LeaseName]) -> bool {
    let started = procs::start_time(pid);
    leases.iter().any(|lease| match lease.holder {
        Holder::Process { pid: holder, start } => holder == pid && Some(start) == started,
        Holder::Reservation { .. } => false,
    })
}

fn describe(patient: &Patient<'_>, running: &Running) -> Finding {
    let pid = running.pid;
    let Some(dir) = running.value.as_ref().filter(|v| !v.is_empty()) else {
        let text = format!("process {pid} uses plain claude's login");
        return Finding::note(text, "start it with `ccp` to spread it over your accounts");
    };
    let dir = Path::new(dir);
    match patient.accounts.iter().find(|a| a.config_dir == dir) {
        Some(account) => Finding::note(
            format!("process {pid} uses {} without a lease", account.label),
            "picks do not count it: start it with `ccp`",
        ),
        None => Finding::note(
            format!("process {pid} uses {}, which is no account", dir.display()),
            "start it with `ccp` to spread it over your accounts",
        ),
    }
}
