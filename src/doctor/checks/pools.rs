//! The session pools that `config.toml` names.

use super::{count, or_ok};
use crate::adapters::files::Lock;
use crate::claim::roster;
use crate::contract::kept::{KeptPool, KeptState};
use crate::contract::paths::pool::{DEFAULT_POOL_HOME_NAME, PoolHome};
use crate::contract::settings::{PoolSettings, expand};
use crate::contract::snapshot::Snapshot;
use crate::contract::vars;
use crate::core::account::resolve_reference;
use crate::daemon::kept;
use crate::doctor::patient::Daemon;
use crate::doctor::{Check, Finding, Patient};
use std::path::PathBuf;

/// Every table of a pool.
pub const POOLS: Check = Check {
    id: "pools",
    question: "do the configured pools run, with accounts and directories that are there?",
    look: pools,
};

fn pools(patient: &Patient<'_>) -> Vec<Finding> {
    let Ok(settings) = &patient.settings else {
        return vec![Finding::ok("config.toml cannot be read")];
    };
    let names = &settings.pools.named;
    if names.is_empty() {
        return vec![Finding::ok("none are configured")];
    }
    let surroundings = patient.surroundings;
    let snapshot = roster::load(patient.home(), &surroundings.user_home).snapshot;
    let told = kept::told(patient.home());
    let home = surroundings.variable(vars::CLAUDE_POOL_HOME).map_or_else(
        || surroundings.user_home.join(DEFAULT_POOL_HOME_NAME),
        PathBuf::from,
    );
    let home = PoolHome::new(&home);
    let mut findings = Vec::new();
    for name in names.keys() {
        let pool = settings.pool(name);
        findings.extend(wrong(patient, name, &pool, &snapshot));
        let dir = home.as_ref().and_then(|home| home.pool(name));
        let runs = dir.is_some_and(|dir| Lock::is_held(&dir.lock()).unwrap_or(false));
        if pool.autostart && !runs {
            findings.push(absent(patient, name, told.pools.get(name)));
        }
    }
    or_ok(
        findings,
        format!("{}, all well", count(names.len(), "pool")),
    )
}

/// What its table names and is not there.
fn wrong(
    patient: &Patient<'_>,
    name: &str,
    pool: &PoolSettings,
    snapshot: &Snapshot,
) -> Vec<Finding> {
    let accounts = pool.accounts.iter().flatten();
    let unknown = accounts.filter(|account| resolve_reference(account, snapshot.named()).is_err());
    let mut findings: Vec<Finding> = unknown
        .map(|account| {
            let text = format!("pool.{name} names `{account}`, which is no account, or several");
            Finding::problem(
                text,
                "change it in config.toml; `ccp list` shows the accounts",
            )
        })
        .collect();
    if let Some(dir) = &pool.dir
        && !expand(dir, &patient.surroundings.user_home).is_dir()
    {
        let text = format!("{dir}, where pool.{name} is to run, is no directory");
        findings.push(Finding::problem(
            text,
            "make it, or change it in config.toml",
        ));
    }
    findings
}

fn absent(patient: &Patient<'_>, name: &str, kept: Option<&KeptPool>) -> Finding {
    let Some(kept) = kept else {
        let text = match &patient.daemon {
            Daemon::Absent => format!("pool {name} does not run, for the daemon does not"),
            _ => format!("pool {name} does not run, and the daemon does not keep it"),
        };
        let hint = "`ccp service install` keeps the daemon, the next launch starts it";
        return Finding::note(text, hint);
    };
    let begin = format!("`ccp pool --pool {name} init` begins it");
    let why = kept.why.as_deref().unwrap_or("`ccp logs` says more");
    match kept.state {
        KeptState::Ended => Finding::note(format!("pool {name} was ended by hand"), begin),
        KeptState::Beginning | KeptState::Runs | KeptState::Other => Finding::note(
            format!("pool {name} is being begun"),
            "look again in a moment",
        ),
        KeptState::NotOurs => {
            let text = format!("pool {name} is left alone: {why}");
            Finding::problem(
                text,
                "end the other program, or take the table out of config.toml",
            )
        }
        KeptState::Failing | KeptState::Resting => {
            Finding::problem(format!("pool {name} does not stay: {why}"), begin)
        }
    }
}
