//! The one place where an examination changes anything.

use super::patient::{Database, Patient, Surroundings};
use super::{Mend, Remedy, Result, Verdict};
use crate::adapters::clock;
use crate::adapters::files::Lock;
use crate::adapters::overlay::{self, Options, SyncReport};
use crate::adapters::store::Store;
use crate::contract::settings::Settings;
use crate::core::account::AccountId;
use crate::daemon::fold::Folded;
use crate::daemon::overlays::put_in_order;
use crate::daemon::{fold, publish, roster, spawn};
use std::fmt::Display;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

type Done = std::result::Result<Vec<String>, String>;

/// Does what the findings of a check ask for, looks again, and goes on until nothing new is asked for: what is mended
/// for one account may be news for the others. Nothing is tried twice.
pub(super) fn mend<'s>(
    surroundings: &'s Surroundings,
    patient: &mut Patient<'s>,
    result: &mut Result,
) {
    let mut tried: Vec<Mend> = Vec::new();
    loop {
        let wanted = wanted(result, &tried);
        if wanted.is_empty() {
            break;
        }
        if let Some(why) = patient.must_not_change() {
            result.failed.push(why.to_owned());
            break;
        }
        for mend in &wanted {
            match perform(patient, mend, &mut result.failed) {
                Ok(done) => result.done.extend(done),
                Err(why) => result.failed.push(why),
            }
        }
        tried.extend(wanted);
        *patient = Patient::of(surroundings);
        result.findings = (result.check.look)(patient);
    }
    if result.verdict() == Verdict::Ok {
        // What was left over is another check's to tell.
        result.failed.clear();
    }
}

fn wanted(result: &Result, tried: &[Mend]) -> Vec<Mend> {
    let mut wanted: Vec<Mend> = Vec::new();
    for finding in &result.findings {
        if let Remedy::Fix(mend) = &finding.remedy
            && !wanted.contains(mend)
            && !tried.contains(mend)
        {
            wanted.push(mend.clone());
        }
    }
    wanted
}

fn perform(patient: &mut Patient<'_>, mend: &Mend, failed: &mut Vec<String>) -> Done {
    match mend {
        Mend::Mode(path, mode) => fs::set_permissions(path, Permissions::from_mode(*mode))
            .map(|()| vec![format!("made {} {mode:04o}", path.display())])
            .map_err(|e| format!("cannot change {}: {e}", path.display())),
        Mend::RemoveFile(path) => fs::remove_file(path)
            .map(|()| vec![format!("removed {}", path.display())])
            .map_err(|e| format!("cannot remove {}: {e}", path.display())),
        Mend::RemoveSocket(path) => remove_socket(patient, path),
        Mend::RestartDaemon => {
            spawn::end(patient.home()).map_err(text)?;
            Ok(vec!["ended the daemon".to_owned()])
        }
        Mend::RemoveTrash => {
            let gone = overlay::remove_trash(patient.home()).map_err(text)?;
            Ok(gone
                .iter()
                .map(|p| format!("deleted {}", p.display()))
                .collect())
        }
        Mend::Sync(id) => sync(patient, *id, failed),
        Mend::Adopt => adopt(patient),
        Mend::Tidy => tidy(patient),
        Mend::Publish => {
            republish(patient)?;
            Ok(vec!["wrote the snapshot again".to_owned()])
        }
    }
}

/// Only who holds the daemon's lock may say that nobody listens.
fn remove_socket(patient: &Patient<'_>, path: &Path) -> Done {
    let lock = Lock::acquire(&patient.home().daemon_lock(), Duration::ZERO);
    if lock.map_err(text)?.is_none() {
        return Err("a daemon has started meanwhile".to_owned());
    }
    fs::remove_file(path)
        .map(|()| vec![format!("removed {}", path.display())])
        .map_err(|e| format!("cannot remove {}: {e}", path.display()))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

/// Without settings that can be read nobody knows which base is meant.
fn settings(patient: &Patient<'_>) -> std::result::Result<Settings, String> {
    let wrong = |_: &String| "config.toml is wrong".to_owned();
    patient.settings.as_ref().map_err(wrong).cloned()
}

fn store<'p>(patient: &'p mut Patient<'_>) -> std::result::Result<&'p mut Store, String> {
    match &mut patient.database {
        Database::Open(store) => Ok(store),
        Database::Missing => Err("there is no database".to_owned()),
        Database::Refused(error) => Err(error.to_string()),
    }
}

fn republish(patient: &mut Patient<'_>) -> std::result::Result<(), String> {
    let settings = settings(patient)?;
    let base = patient.base.clone();
    publish::publish_snapshot(store(patient)?, &settings, &base, clock::now()).map_err(text)?;
    Ok(())
}

fn adopt(patient: &mut Patient<'_>) -> Done {
    settings(patient)?;
    if let Database::Missing = patient.database {
        let made = Store::open(patient.home()).map_err(text)?;
        patient.database = Database::Open(Box::new(made));
    }
    let now = patient.now();
    let adopted = roster::adopt(store(patient)?, now).map_err(text)?;
    republish(patient)?;
    let told = adopted
        .iter()
        .map(|a| format!("adopted {} as {}", a.id, a.label));
    Ok(told.collect())
}

/// The most runs: each takes in a bounded number, and the inbox has a bound, too.
const MAX_TIDIES: usize = 8;

fn tidy(patient: &mut Patient<'_>) -> Done {
    let settings = settings(patient)?;
    let base = patient.base.clone();
    let now = patient.now();
    let mut all = Folded::default();
    for _ in 0..MAX_TIDIES {
        let (folded, _) = fold::tidy(store(patient)?, &settings, &base, now).map_err(text)?;
        if folded == Folded::default() {
            break;
        }
        all.leases += folded.leases;
        all.reports += folded.reports;
        all.moved += folded.moved;
    }
    let parts = [
        (all.leases, "recorded", "ended lease"),
        (all.reports, "took in", "report"),
        (all.moved, "moved to the logs:", "file"),
    ];
    let told = parts.iter().filter(|(count, ..)| *count > 0);
    Ok(told
        .map(|(count, verb, what)| format!("{verb} {}", super::checks::count(*count, what)))
        .collect())
}

/// Puts one overlay in order; what was left or failed goes to `failed`.
fn sync(patient: &mut Patient<'_>, id: AccountId, failed: &mut Vec<String>) -> Done {
    let settings = settings(patient)?;
    let base = patient.base.clone();
    let account = patient.accounts.iter().find(|a| a.id == id).cloned();
    let account = account.ok_or_else(|| format!("there is no {id}"))?;
    let now = patient.now();
    let store = store(patient)?;
    let before = store.overlay_state(id).map_err(text)?.stamp;
    let make = Options::at_leisure;
    let report = put_in_order(store, &settings, &base, &account, make, None, now).map_err(text)?;
    let is_news = store.overlay_state(id).map_err(text)?.stamp != before;
    let label = &account.label;
    let lines = |of: Vec<String>| of.into_iter().map(|line| format!("{label}: {line}"));
    failed.extend(lines(report.left.iter().map(ToString::to_string).collect()));
    failed.extend(lines(
        report.failed.iter().map(ToString::to_string).collect(),
    ));
    failed.extend(lines(
        report
            .settings
            .problems
            .iter()
            .map(ToString::to_string)
            .collect(),
    ));
    if report.busy {
        return Err(format!("{label}: another sync is at work"));
    }
    let healed: Vec<String> =
        lines(report.healed.iter().map(ToString::to_string).collect()).collect();
    let done = healed.into_iter().chain(links(label, &report)).collect();
    if is_news {
        republish(patient)?;
    }
    Ok(done)
}

fn links(label: &str, report: &SyncReport) -> Vec<String> {
    let parts = [("linked", &report.linked), ("unlinked", &report.pruned)];
    parts
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(verb, names)| {
            let names: Vec<_> = names.iter().map(|n| n.to_string_lossy()).collect();
            format!("{label}: {verb} {}", names.join(", "))
        })
        .collect()
}
