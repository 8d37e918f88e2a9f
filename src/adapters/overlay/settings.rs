//! The flow of `.claude.json` between the base and an account: what is read, under which locks, and what is written
//! when. What flows is decided by `core::claude_json`.

use super::listing::merge_record;
use crate::adapters::files::claude_lock::ClaudeLock;
use crate::adapters::files::{PRIVATE_FILE, replace, replace_rebuildable};
use crate::contract::paths::{Base, claude_json};
use crate::core::claude_json::Merged;
use crate::core::claude_json::merge::{self, Outcome, Problem, Side};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Largest `.claude.json` that is read. The largest seen in the wild have a few megabytes.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Which way settings flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Direction {
    /// From the base to the account; nothing is ever written to the base.
    #[default]
    OneWay,
    /// Both ways.
    TwoWay,
}

/// What became of the two `.claude.json`.
#[derive(Debug, Default)]
pub struct SettingsReport {
    /// The two sides were compared; nothing was, where the base is as it was, or a file could not be had.
    pub merged: bool,
    /// The account's was written.
    pub wrote_account: bool,
    /// The base's was written.
    pub wrote_base: bool,
    /// Keys whose value in the account gave way although it had been changed there.
    pub reverted: Vec<String>,
    /// What was not done, and why.
    pub problems: Vec<SettingsProblem>,
}

/// Why a `.claude.json` was left as it is.
#[derive(Debug)]
pub enum SettingsProblem {
    /// It is not one whole JSON object.
    Torn(PathBuf),
    /// Somebody holds claude's lock on it: skipped this once.
    Busy(PathBuf),
    /// It was a link; a copy without anybody's identity took its place, and what it led to is as it was.
    WasLink {
        /// The account's file.
        path: PathBuf,
        /// What it led to.
        target: PathBuf,
    },
    /// The account has none.
    Missing(PathBuf),
    /// Keys that were not carried over.
    Merge(Problem),
    /// It could not be read or written.
    Io(PathBuf, io::Error),
}

impl SettingsProblem {
    /// Keys are gone on one side, and nobody seems to have removed them: both sides keep what they have until a person
    /// has looked.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        matches!(self, Self::Merge(Problem::RemovalsHeld { .. }))
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Torn(path) => write!(f, "{path:?} is not whole, it was left as it is"),
            Self::Busy(path) => write!(f, "{path:?} is locked, settings were not merged this time"),
            Self::WasLink { path, target } => {
                write!(
                    f,
                    "{path:?} was a link to {target:?}, it is a file of its own now"
                )
            }
            Self::Missing(path) => write!(f, "{path:?} is missing"),
            Self::Merge(problem) => problem.fmt(f),
            Self::Io(path, error) => write!(f, "{path:?}: {error}"),
        }
    }
}

/// A step that ends the flow with a problem.
pub(super) type Step<T> = Result<T, SettingsProblem>;

/// Writes the `.claude.json` that a new account begins with. One that is there already stays. A base that is missing or
/// torn shares nothing, and the latter is an error after the file was written.
pub fn seed(base: &Base, account_dir: &Path, patience: Duration) -> Step<()> {
    let path = claude_json(account_dir);
    let _lock = lock(&path, patience)?;
    if fs::symlink_metadata(&path).is_ok() {
        return Ok(());
    }
    seed_at(base, account_dir, &path)
}

fn seed_at(base: &Base, account_dir: &Path, path: &Path) -> Step<()> {
    let text = read(&base.json);
    let (text, problem) = match text {
        Ok(text) => (text.unwrap_or_else(|| "{}".to_owned()), None),
        Err(problem) => ("{}".to_owned(), Some(problem)),
    };
    let (side, problem) = match Side::parse(&text) {
        Some(side) => (side, problem),
        None => (
            Side::parse("{}").expect("an empty object parses"),
            Some(SettingsProblem::Torn(base.json.clone())),
        ),
    };
    write(path, &merge::seed(&side))?;
    remember(account_dir, &merge::seeded(&side), None);
    problem.map_or(Ok(()), Err)
}

/// Lets settings flow. Waits at most `patience` for each of claude's locks.
pub(super) fn flow(
    base: &Base,
    account_dir: &Path,
    direction: Direction,
    patience: Duration,
) -> SettingsReport {
    let mut report = SettingsReport::default();
    let flow = Flow {
        base,
        account_dir,
        path: claude_json(account_dir),
        patience,
    };
    let result = match direction {
        Direction::OneWay => flow.one_way(&mut report),
        Direction::TwoWay => flow.two_way(&mut report),
    };
    report.problems.extend(result.err());
    report
}

struct Flow<'f> {
    base: &'f Base,
    account_dir: &'f Path,
    path: PathBuf,
    patience: Duration,
}

impl Flow<'_> {
    fn one_way(&self, report: &mut SettingsReport) -> Step<()> {
        self.must_be_own_file(report)?;
        let Some(base_text) = read(&self.base.json)? else {
            return Ok(());
        };
        let base = self.parse(&self.base.json, &base_text)?;
        let last = recall(self.account_dir);
        if last
            .as_ref()
            .is_some_and(|l| l.fingerprint == base.fingerprint())
        {
            return Ok(());
        }
        let mut held = lock(&self.path, self.patience)?;
        let account_text = self.account_text()?;
        let account = self.parse(&self.path, &account_text)?;
        let outcome = merge::one_way(&base, &account, last.as_ref());
        if let Some(text) = &outcome.account {
            self.write_account(&mut held, text)?;
            report.wrote_account = true;
        }
        self.settle(outcome, last.as_ref(), report);
        Ok(())
    }

    fn two_way(&self, report: &mut SettingsReport) -> Step<()> {
        self.must_be_own_file(report)?;
        // Both are read under their locks: what is written back must be made from what is there.
        let mut base_lock = lock(&self.base.json, self.patience)?;
        let Some(base_text) = read(&self.base.json)? else {
            return Ok(());
        };
        let mut held = lock(&self.path, self.patience)?;
        let account_text = self.account_text()?;
        let base = self.parse(&self.base.json, &base_text)?;
        let account = self.parse(&self.path, &account_text)?;
        let last = recall(self.account_dir);
        let newer_backup = self.has_newer_backup();
        let outcome = merge::two_way(&base, &account, last.as_ref(), newer_backup);
        if let Some(text) = &outcome.account {
            self.write_account(&mut held, text)?;
            report.wrote_account = true;
        }
        if let Some(text) = &outcome.base {
            if !base_lock.refresh() {
                return Err(SettingsProblem::Busy(self.base.json.clone()));
            }
            // Dotfile managers keep it elsewhere and leave a link.
            let real = fs::canonicalize(&self.base.json)
                .map_err(|e| SettingsProblem::Io(self.base.json.clone(), e))?;
            write(&real, text)?;
            report.wrote_base = true;
        }
        self.settle(outcome, last.as_ref(), report);
        Ok(())
    }

    fn settle(&self, outcome: Outcome, last: Option<&Merged>, report: &mut SettingsReport) {
        report.merged = true;
        remember(self.account_dir, &outcome.merged, last);
        report.reverted = outcome.reverted;
        let problems = outcome.problems.into_iter().map(SettingsProblem::Merge);
        report.problems.extend(problems);
    }

    fn parse<'t>(&self, path: &Path, text: &'t str) -> Step<Side<'t>> {
        Side::parse(text).ok_or_else(|| SettingsProblem::Torn(path.to_owned()))
    }

    fn account_text(&self) -> Step<String> {
        read(&self.path)?.ok_or_else(|| SettingsProblem::Missing(self.path.clone()))
    }

    fn write_account(&self, held: &mut ClaudeLock, text: &str) -> Step<()> {
        if !held.refresh() {
            return Err(SettingsProblem::Busy(self.path.clone()));
        }
        write(&self.path, text)
    }

    /// A link in the place of the account's file would carry one identity into another. Its target may be anybody's, so
    /// what takes its place has no identity: claude asks the service who is logged in.
    fn must_be_own_file(&self, report: &mut SettingsReport) -> Step<()> {
        match fs::symlink_metadata(&self.path) {
            Ok(metadata) if metadata.is_symlink() => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SettingsProblem::Missing(self.path.clone()));
            }
            Err(error) => return Err(SettingsProblem::Io(self.path.clone(), error)),
        }
        let _lock = lock(&self.path, self.patience)?;
        let target =
            fs::read_link(&self.path).map_err(|e| SettingsProblem::Io(self.path.clone(), e))?;
        report.problems.push(SettingsProblem::WasLink {
            path: self.path.clone(),
            target,
        });
        report.wrote_account = true;
        seed_at(self.base, self.account_dir, &self.path)
    }

    /// Whether claude keeps a copy of the account's file that is newer than the file. It copies before it writes, so
    /// that this only is so when the file was put back or a write failed.
    fn has_newer_backup(&self) -> bool {
        let modified = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
        let Some(own) = modified(&self.path) else {
            return false;
        };
        let torn_since = merge_record(self.account_dir)
            .and_then(|path| modified(&path))
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let Ok(backups) = fs::read_dir(self.account_dir.join("backups")) else {
            return false;
        };
        backups.flatten().any(|backup| {
            let name = backup.file_name();
            let name = name.to_string_lossy();
            let time = modified(&backup.path());
            let torn = name.starts_with(".claude.json.corrupted");
            name.starts_with(".claude.json")
                && time.is_some_and(|t| t > own || torn && t > torn_since)
        })
    }
}

pub(super) fn lock(path: &Path, patience: Duration) -> Step<ClaudeLock> {
    match ClaudeLock::acquire(path, patience) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(SettingsProblem::Busy(path.to_owned())),
        Err(error) => Err(SettingsProblem::Io(path.to_owned(), error)),
    }
}

/// The text of a file; none when there is no such file.
pub(super) fn read(path: &Path) -> Step<Option<String>> {
    let failed = |error| SettingsProblem::Io(path.to_owned(), error);
    // A FIFO in its place would be waited for without end.
    let size = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.size() <= MOST_BYTES => metadata.size(),
        Ok(_) => return Err(failed(io::ErrorKind::InvalidData.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let room = usize::try_from(size).unwrap_or_default().saturating_add(1);
    let mut bytes = Vec::with_capacity(room);
    let read = File::open(path).and_then(|f| f.take(MOST_BYTES).read_to_end(&mut bytes));
    match read {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| SettingsProblem::Torn(path.to_owned()))
}

pub(super) fn write(path: &Path, text: &str) -> Step<()> {
    replace(path, text.as_bytes(), PRIVATE_FILE)
        .map_err(|error| SettingsProblem::Io(path.to_owned(), error))
}

fn recall(account_dir: &Path) -> Option<Merged> {
    let text = fs::read_to_string(merge_record(account_dir)?).ok()?;
    Merged::parse(&text)
}

/// Without the record the next merge takes nothing for removed and names what it reverts: the careful way.
fn remember(account_dir: &Path, merged: &Merged, last: Option<&Merged>) {
    if last != Some(merged)
        && let Some(path) = merge_record(account_dir)
    {
        let _ = replace_rebuildable(&path, merged.to_text().as_bytes(), PRIVATE_FILE);
    }
}
