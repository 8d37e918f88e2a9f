//! The session pools of this machine, each asked how it does. One that hangs holds nobody up.

use crate::adapters::files::Lock;
use crate::cli::context::Context;
use crate::cli::pool::link::Link;
use crate::cli::pool::places;
use crate::cli::pool::stand::Stand;
use crate::client::pool::PoolClientError;
use crate::contract::kept::{KeptState, PoolReport};
use crate::contract::paths::pool::{DEFAULT_POOL, PoolDir};
use crate::contract::pool::{Code, Health, Place, Pools, Reply, Request};
use crate::daemon::kept;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long all of them together have to answer.
const BOUND: Duration = Duration::from_secs(1);

/// Every pool of this machine, by name. What cannot be read of it is done without.
pub(super) fn ask(context: &Context) -> Vec<PoolReport> {
    let Ok(stand) = Stand::new(DEFAULT_POOL, false) else {
        return Vec::new();
    };
    let settings = context.settings().unwrap_or_default();
    let noted = places::load(&stand).unwrap_or_default();
    let kept = kept::told(&context.home);
    let named = settings.pools.named.keys().map(String::as_str);
    let names = noted
        .names()
        .chain(named)
        .chain(kept.pools.keys().map(String::as_str));
    let (sender, answers) = channel();
    let mut reports = BTreeMap::new();
    for name in names {
        let Some((dir, socket)) = of_this_machine(&stand, &noted, name) else {
            continue;
        };
        let mut report = PoolReport {
            name: name.to_owned(),
            running: Lock::is_held(&dir.lock()).unwrap_or(false),
            ..PoolReport::default()
        };
        if let Some(kept) = kept.pools.get(name) {
            report.kept = Some(kept.state);
            report.rests_until.clone_from(&kept.until);
            report.problem.clone_from(&kept.why);
        }
        if reports.insert(name.to_owned(), report).is_some() {
            continue;
        }
        let (sender, name) = (sender.clone(), name.to_owned());
        // It is not waited for beyond the bound.
        std::thread::spawn(move || sender.send((name, health(socket))));
    }
    drop(sender);
    let deadline = Instant::now() + BOUND;
    let mut waits: Vec<String> = reports.keys().cloned().collect();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match answers.recv_timeout(left) {
            Ok((name, answer)) => {
                waits.retain(|waiting| *waiting != name);
                if let Some(report) = reports.get_mut(&name) {
                    take(report, answer);
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    for name in waits {
        if let Some(report) = reports.get_mut(&name) {
            let seconds = BOUND.as_secs();
            report.problem = Some(format!("it does not answer within {seconds} s"));
        }
    }
    reports.into_values().collect()
}

/// Where the pool is, unless that is elsewhere.
fn of_this_machine(stand: &Stand, noted: &Pools, name: &str) -> Option<(PoolDir, PathBuf)> {
    let dir = stand.home.pool(name)?;
    match noted.place(name) {
        None => Some((dir.clone(), dir.socket())),
        Some(Ok(Place::Here(socket))) => Some((PoolDir::new(socket.parent()?)?, socket)),
        Some(Ok(Place::Remote(_)) | Err(_)) => None,
    }
}

fn health(socket: PathBuf) -> Result<Box<Health>, PoolClientError> {
    let unread = |failure: crate::cli::failure::Failure| PoolClientError::Unread(failure.error);
    let link = Link::to(&Place::Here(socket)).map_err(unread)?;
    match link.client()?.call(&Request::Health, BOUND)?.reply {
        Reply::Health { health } => Ok(health),
        _ => Err(PoolClientError::Unread("it is no health".to_owned())),
    }
}

fn take(report: &mut PoolReport, answer: Result<Box<Health>, PoolClientError>) {
    match answer {
        Ok(health) => {
            report.running = true;
            report.version = Some(health.version).filter(|version| !version.is_empty());
            report.size = Some(health.size);
            report.slots = Some(health.slots);
            report.queue_depth = Some(health.queue_depth);
            report.sessions = Some(health.sessions);
            report.accounts = health.accounts;
            report.problem = health.problems.into_iter().next();
        }
        Err(PoolClientError::Refused(error, _)) if error.code == Code::NotInitialized => {
            report.running = true;
            let beginning = report.kept == Some(KeptState::Beginning);
            let problem = "it has no slots yet: `ccp pool init`".to_owned();
            report.problem = report.problem.take().or((!beginning).then_some(problem));
        }
        Err(PoolClientError::NotRunning(_)) => {}
        Err(error) => report.problem = Some(error.to_string()),
    }
}
