//! Keeping house: ended leases become picks and pins in the database, reports become samples, rubbish is moved away.
//!
//! Everything is in the database, and leases' pins in the published snapshot, before a file is deleted; writing a thing
//! twice changes nothing. So a run that is killed between any two steps loses and doubles nothing: the next one goes on.

use super::publish::{PublishError, publish_snapshot};
use crate::adapters::inbox::{self, Letter};
use crate::adapters::leases;
use crate::adapters::procs::{self, Machine};
use crate::adapters::store::{Ended, Store, StoreError};
use crate::contract::lease::LeaseName;
use crate::contract::paths::{Base, Home};
use crate::contract::record::PickRecord;
use crate::contract::report::Report;
use crate::contract::settings::Settings;
use crate::contract::snapshot::Snapshot;
use crate::core::accounts::lease::{Holder, Sighting, is_live};
use crate::core::time::Timestamp;
use crate::core::usage::Acceptance;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// A file that is no lease counts as one session for this long, then it is moved to the logs.
pub const GARBAGE_COUNTS: Duration = Duration::from_secs(30);
/// Clocks of machines that share a home differ by less than this; what lies further ahead is of a clock set back since.
const CLOCK_SLACK: Duration = Duration::from_secs(300);
/// The most leases that one run folds; the rest waits for the next.
const MAX_FOLDED: usize = 1_000;
/// The largest record that is read, in bytes.
const MAX_RECORD: u64 = 4 * 1024 * 1024;
/// The most files that were moved out of the way are kept.
const MAX_MOVED: usize = 200;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Folded {
    /// Leases that had ended.
    pub leases: usize,
    /// Reports that were taken in, kept or not.
    pub reports: usize,
    /// Samples that were new.
    pub samples: usize,
    /// Files that were moved out of the way.
    pub moved: usize,
}

/// Why a run stopped. What it did until then is done.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// A file or directory of the home is in the way.
    #[error("cannot clean up {path}: {source}")]
    Files {
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The snapshot cannot be written.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

/// Folds everything that can be folded at `now`, and publishes the snapshot in between: a launch finds an ended
/// session's directory in its lease or in the snapshot, at every moment.
pub fn tidy(
    store: &mut Store,
    settings: &Settings,
    base: &Base,
    now: Timestamp,
) -> Result<(Folded, Snapshot), FoldError> {
    tidy_watched(store, settings, base, now, &mut |_| Ok(()))
}

/// What a run has just done; a test ends the run there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    LeasesRecorded,
    ReportTaken,
    ReportRemoved,
    PinsPruned,
    Published,
    FileCleared,
}

type Watch<'a> = &'a mut dyn FnMut(Step) -> Result<(), FoldError>;

fn tidy_watched(
    store: &mut Store,
    settings: &Settings,
    base: &Base,
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<(Folded, Snapshot), FoldError> {
    let home = store.home().clone();
    let ended = record_ended(store, &home, now)?;
    watch(Step::LeasesRecorded)?;
    let mut folded = fold_inbox(store, &home, now, watch)?;
    store.prune_pins(now)?;
    watch(Step::PinsPruned)?;
    let snapshot = publish_snapshot(store, settings, base, now)?;
    watch(Step::Published)?;
    folded.leases = ended.len();
    folded.moved += clear_away(&home, &ended, now, watch)?;
    Ok((folded, snapshot))
}

/// Folds one lease before its holder has ended: somebody says that the session is over. False when there is none.
pub fn check_in(
    store: &mut Store,
    settings: &Settings,
    base: &Base,
    lease: &LeaseName,
    now: Timestamp,
) -> Result<bool, FoldError> {
    let dir = store.home().leases();
    if leases::touched_at(&dir, lease).is_none() {
        return Ok(false);
    }
    let ended = Ended {
        lease: lease.clone(),
        record: read_record(&dir.join(lease.to_string())),
        ended_at: now,
    };
    store.fold(&[ended], now)?;
    publish_snapshot(store, settings, base, now)?;
    leases::remove(&dir, lease).map_err(at(&dir))?;
    Ok(true)
}

/// Writes leases that have ended into the database and returns them. Their files stay.
fn record_ended(store: &mut Store, home: &Home, now: Timestamp) -> Result<Vec<Ended>, FoldError> {
    let dir = home.leases();
    let this = procs::machine();
    let mut ended: Vec<Ended> = leases::list(&dir)
        .map_err(at(&dir))?
        .leases
        .iter()
        .filter(|lease| !counts(lease, &this, now))
        .take(MAX_FOLDED)
        .map(|lease| read_ended(&dir, lease, now))
        .collect();
    // In the order of their ends, so that the last activity of a directory is written last.
    ended.sort_by_key(|e| e.ended_at);
    if !ended.is_empty() {
        store.fold(&ended, now)?;
    }
    Ok(ended)
}

/// Deletes the files of leases that are in the database, and moves what is no lease, or cannot be read, to the logs.
/// Returns how many files were moved.
fn clear_away(
    home: &Home,
    ended: &[Ended],
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<usize, FoldError> {
    let dir = home.leases();
    let mut moved = 0;
    for lease in ended {
        let path = dir.join(lease.lease.to_string());
        if lease.record.is_some() {
            leases::remove(&dir, &lease.lease).map_err(at(&path))?;
        } else {
            // What cannot be read may still tell a person something.
            moved += usize::from(move_to_logs(home, &path, now)?);
        }
        watch(Step::FileCleared)?;
    }
    for path in leases::list(&dir).map_err(at(&dir))?.garbage {
        if is_old(&path, now) {
            moved += usize::from(move_to_logs(home, &path, now)?);
        }
    }
    Ok(moved)
}

/// Whether the lease is a session's or a claim's at `now`. A holder that cannot be told counts.
#[must_use]
pub fn counts(lease: &LeaseName, this: &Machine, now: Timestamp) -> bool {
    let mut sighting = procs::sight(lease.holder, lease.machine, this);
    if sighting == Sighting::Gone && !can_see_processes() {
        sighting = Sighting::Unknown;
    }
    // A claim from the far future was made before the clock was set back; it would count until the clock catches up.
    let misdated = matches!(lease.holder, Holder::Reservation { .. })
        && lease.created_at > now.plus(CLOCK_SLACK);
    !misdated && is_live(lease.holder, lease.created_at, sighting, now)
}

/// A process table in which even this process is missing says nothing about others: that means busy, not idle.
fn can_see_processes() -> bool {
    matches!(procs::own_holder(), Some(Holder::Process { .. }))
}

fn read_ended(dir: &Path, lease: &LeaseName, now: Timestamp) -> Ended {
    let touched = leases::touched_at(dir, lease).unwrap_or(lease.created_at);
    Ended {
        lease: lease.clone(),
        record: read_record(&dir.join(lease.to_string())),
        ended_at: end_of(lease, touched, now),
    }
}

/// The last sign of life: creation, or a later touch of the file. Neither can be later than now.
fn end_of(lease: &LeaseName, touched: Timestamp, now: Timestamp) -> Timestamp {
    lease.created_at.max(touched).min(now)
}

fn read_record(path: &Path) -> Option<PickRecord> {
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_RECORD)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

fn fold_inbox(
    store: &mut Store,
    home: &Home,
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<Folded, FoldError> {
    let dir = home.inbox();
    let mut folded = Folded::default();
    for letter in inbox::list(&dir).map_err(at(&dir))? {
        let Letter { path, report } = letter;
        let Some(report) = report else {
            // It may be half written by a writer that does not rename.
            if is_old(&path, now) {
                folded.moved += usize::from(move_to_logs(home, &path, now)?);
            }
            continue;
        };
        let verdict = take_report(store, &report, now)?;
        folded.reports += 1;
        folded.samples += usize::from(verdict == Some(Acceptance::Accepted));
        watch(Step::ReportTaken)?;
        inbox::remove(&path).map_err(at(&path))?;
        watch(Step::ReportRemoved)?;
    }
    Ok(folded)
}

/// Takes one report in: its limit, and its sample. None when it holds no sample, or is of an account or of a person
/// that we do not know.
pub fn take_report(
    store: &mut Store,
    report: &Report,
    now: Timestamp,
) -> Result<Option<Acceptance>, StoreError> {
    let Some(id) = report.account_id() else {
        return Ok(None);
    };
    let Some(account) = store.account(id)? else {
        return Ok(None);
    };
    let own = account.identity.map(|i| i.account_uuid);
    if own.is_some() && report.account_uuid.is_some() && own != report.account_uuid {
        return Ok(None);
    }
    let reported_at = report.measured_at().min(now);
    if let Some(until) = report.limited_until_ms {
        store.set_limited_until(id, Some(Timestamp::from_unix_ms(until)), reported_at)?;
    }
    match report.sample() {
        Some(sample) => store.offer_sample(id, &sample, now).map(Some),
        None => Ok(None),
    }
}

fn is_old(path: &Path, now: Timestamp) -> bool {
    let modified = fs::symlink_metadata(path).and_then(|m| m.modified());
    modified
        .ok()
        .and_then(|m| m.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .map(Timestamp::from_unix_ms)
        .is_some_and(|at| now.since(at) > GARBAGE_COUNTS || at > now.plus(CLOCK_SLACK))
}

/// Moves a file out of the way, where a person can look at it. False when it is gone already.
fn move_to_logs(home: &Home, path: &Path, now: Timestamp) -> Result<bool, FoldError> {
    let dir = home.logs();
    crate::adapters::files::create_private_dir(&dir).map_err(at(&dir))?;
    prune_moved(&dir);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let target = dir.join(format!("{MOVED}{}-{name}", now.unix_ms()));
    match fs::rename(path, &target) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(at(path)(source)),
    }
}

/// Begins the name of everything that was moved to the logs.
const MOVED: &str = "moved-";

/// Removes the oldest of what was moved, as far as it is files and more than is kept.
fn prune_moved(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut moved: Vec<PathBuf> = entries
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with(MOVED))
        .map(|e| e.path())
        .collect();
    moved.sort();
    let surplus = moved.len().saturating_sub(MAX_MOVED - 1);
    for path in moved.iter().take(surplus) {
        // A directory or a file of somebody else is left: it is no more than in the way.
        let _ = fs::remove_file(path);
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FoldError {
    let path = path.to_owned();
    move |source| FoldError::Files { path, source }
}

#[cfg(test)]
mod tests;
