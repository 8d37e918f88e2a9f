//! The directory that an account's claude sees: links to the entries of the base, and real files where a file is the
//! account's own. It makes the links, folds back what took the place of one, lets settings flow, and removes an account
//! directory. Which entry is shared is decided by `core::overlay`; when to sync, and what to tell the person, is the
//! caller's.

mod heal;
mod health;
mod in_use;
mod jsonl;
mod listing;
mod remove;
mod report;
mod settings;
mod transfer;
mod trust;

pub use health::{Finding, Verdict, health};
pub use remove::{RemoveError, remove_account_dir, remove_entry, remove_trash};
pub use report::{Failed, Healed, How, Left, Reason, SyncReport};
pub use settings::{Direction, SettingsProblem, SettingsReport, seed};
pub use trust::{TrustError, accept_trust, require_trust};

use crate::adapters::files::{Lock, PRIVATE_DIR, create_private_dir};
use crate::contract::paths::Base;
use crate::core::overlay::{BORN_SHARED, Class, classify};
use crate::core::time::Timestamp;
use heal::Healer;
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a sync behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Which way settings flow.
    pub settings: Direction,
    /// How long to wait for another sync of the same account.
    pub sync_wait: Duration,
    /// How long to wait for each of claude's own locks.
    pub settings_wait: Duration,
    /// Whether a session of the account runs: what it may hold is left for later.
    pub live_session: bool,
}

impl Options {
    /// On the way to a launch, where every wait counts.
    #[must_use]
    pub const fn at_launch(settings: Direction, live_session: bool) -> Self {
        Self {
            settings,
            sync_wait: Duration::from_millis(200),
            settings_wait: Duration::from_millis(50),
            live_session,
        }
    }

    /// In the background, or where a person waits.
    #[must_use]
    pub const fn at_leisure(settings: Direction, live_session: bool) -> Self {
        Self {
            settings,
            sync_wait: Duration::from_secs(10),
            settings_wait: Duration::from_secs(2),
            live_session,
        }
    }
}

/// How many links to one directory show that it was a base once: a person's own links go to single files.
const LINKS_OF_A_BASE: usize = 3;

/// Brings the overlay at `account_dir` in order. The account directory must exist; the base is made when it is missing.
/// What goes wrong with one entry is in the report and does not keep the others.
#[must_use]
pub fn sync(base: &Base, account_dir: &Path, now: Timestamp, options: Options) -> SyncReport {
    let mut report = SyncReport::default();
    let lock_path = listing::sync_lock(account_dir).unwrap_or_default();
    let _lock = match Lock::acquire(&lock_path, options.sync_wait) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            report.busy = true;
            return report;
        }
        Err(error) => {
            report.fail(lock_path, error);
            return report;
        }
    };
    sync_locked(base, account_dir, now, options, &mut report);
    report
}

fn sync_locked(
    base: &Base,
    account_dir: &Path,
    now: Timestamp,
    options: Options,
    report: &mut SyncReport,
) {
    sync_entries(base, account_dir, now, options, report);
    report.settings = settings::flow(base, account_dir, options.settings, options.settings_wait);
}

/// The entries alone, without `.claude.json`.
fn sync_entries(
    base: &Base,
    account_dir: &Path,
    now: Timestamp,
    options: Options,
    report: &mut SyncReport,
) {
    let account = match listing::list(account_dir) {
        Ok(account) => account,
        Err(error) => return report.fail(account_dir, error),
    };
    let shared = match shared_entries(&base.dir, account_dir, report) {
        Ok(shared) => shared,
        Err(error) => return report.fail(&base.dir, error),
    };
    let mut entries = Entries {
        base_dir: &base.dir,
        account_dir,
        former: former_bases(&base.dir, account_dir, &account),
        strays: Vec::new(),
        report,
    };
    let mut missing: HashMap<&OsStr, ()> = shared.iter().map(|n| (n.as_os_str(), ())).collect();
    for (name, kind) in &account {
        let in_base = missing.remove(name.as_os_str()).is_some();
        entries.look_at(name, *kind, in_base);
    }
    for name in shared
        .iter()
        .filter(|n| missing.contains_key(n.as_os_str()))
    {
        entries.link(name);
    }
    let strays = std::mem::take(&mut entries.strays);
    if !strays.is_empty() {
        heal_strays(base, account_dir, now, options, &strays, report);
    }
}

fn heal_strays(
    base: &Base,
    account_dir: &Path,
    now: Timestamp,
    options: Options,
    strays: &[OsString],
    report: &mut SyncReport,
) {
    let path = listing::heal_lock(account_dir);
    let _lock = match Lock::acquire(&path, options.sync_wait) {
        Ok(Some(lock)) => lock,
        Ok(None) => {
            for name in strays {
                report.leave(account_dir.join(name), Reason::Waiting);
            }
            return;
        }
        Err(error) => return report.fail(path, error),
    };
    let mut healer = Healer::new(&base.dir, account_dir, now, options.live_session, report);
    let healed: Vec<&OsString> = strays.iter().filter(|n| healer.fold(n)).collect();
    for name in healed {
        link(&base.dir, account_dir, name, report);
    }
}

/// The names in the base that are shared, after what is born shared was made.
fn shared_entries(
    base_dir: &Path,
    account_dir: &Path,
    report: &mut SyncReport,
) -> io::Result<Vec<OsString>> {
    let listed = match listing::list(base_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_private_dir(base_dir)?;
            Vec::new()
        }
        listed => listed?,
    };
    let around = listing::entry_around(base_dir, account_dir);
    let mut names: Vec<OsString> = listed
        .into_iter()
        .map(|(name, _)| name)
        .filter(|n| classify(n.as_bytes()) == Class::Shared && Some(n) != around.as_ref())
        .collect();
    for born in BORN_SHARED {
        if names.iter().any(|n| n.as_os_str() == *born) {
            continue;
        }
        let path = base_dir.join(born);
        match DirBuilder::new().mode(PRIVATE_DIR).create(&path) {
            Ok(()) => names.push(OsString::from(born)),
            // Another sync was faster, or the file system does not regard letter case.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => report.fail(path, error),
        }
    }
    Ok(names)
}

/// Directories other than the base that the account's links to what is born shared lead into: the base before it was
/// changed.
fn former_bases(
    base_dir: &Path,
    account_dir: &Path,
    account: &[(OsString, FileType)],
) -> Vec<PathBuf> {
    let mut counts: HashMap<PathBuf, usize> = HashMap::new();
    for (name, kind) in account {
        if kind.is_symlink()
            && BORN_SHARED.iter().any(|born| name.as_os_str() == *born)
            && let Ok(target) = fs::read_link(account_dir.join(name))
            && target.is_absolute()
            && target.file_name() == Some(name)
            && let Some(dir) = target.parent()
            && dir != base_dir
        {
            *counts.entry(dir.to_owned()).or_default() += 1;
        }
    }
    let bases = counts.into_iter().filter(|(_, n)| *n >= LINKS_OF_A_BASE);
    bases.map(|(dir, _)| dir).collect()
}

struct Entries<'e> {
    base_dir: &'e Path,
    account_dir: &'e Path,
    former: Vec<PathBuf>,
    strays: Vec<OsString>,
    report: &'e mut SyncReport,
}

impl Entries<'_> {
    /// One entry of the account directory. `in_base`: the base shares one of the same name.
    fn look_at(&mut self, name: &OsStr, kind: FileType, in_base: bool) {
        // What the base shares was classified already.
        let class = if in_base {
            Class::Shared
        } else {
            classify(name.as_bytes())
        };
        match class {
            Class::Skipped => {}
            Class::Private if kind.is_symlink() => self.look_at_private_link(name),
            Class::Private => {}
            Class::Shared if kind.is_symlink() => self.look_at_link(name, in_base),
            Class::Shared if kind.is_file() || kind.is_dir() => self.strays.push(name.to_owned()),
            Class::Shared => {
                let path = self.account_dir.join(name);
                self.report.leave(path, Reason::Special);
            }
        }
    }

    fn look_at_link(&mut self, name: &OsStr, in_base: bool) {
        let path = self.account_dir.join(name);
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            Err(error) => return self.report.fail(path, error),
        };
        let right = is_entry_of(self.base_dir, name, &target);
        let ours = right
            || self
                .former
                .iter()
                .any(|dir| is_entry_of(dir, name, &target));
        match (in_base, right, ours) {
            (true, true, _) => {}
            (true, false, true) => {
                if self.unlink(name) {
                    self.link(name);
                }
            }
            (false, _, true) => {
                if self.unlink(name) {
                    self.report.pruned.push(name.to_owned());
                }
            }
            // A link of the person's own. It moves to the base when it means the same from there.
            (false, _, false) if target.is_absolute() && path.exists() => {
                self.strays.push(name.to_owned());
            }
            (_, _, false) => self.report.leave(path, Reason::ForeignLink),
        }
    }

    /// `.claude.json` is looked after by the flow of settings. Anything else that is private and leads into a base is a
    /// mistake of an earlier time, and the login would be the worst of them.
    fn look_at_private_link(&mut self, name: &OsStr) {
        let path = self.account_dir.join(name);
        if name.as_bytes().eq_ignore_ascii_case(b".claude.json") {
            return;
        }
        let target = match fs::read_link(&path) {
            Ok(target) => target,
            Err(error) => return self.report.fail(path, error),
        };
        let of_base = is_entry_of(self.base_dir, name, &target)
            || self
                .former
                .iter()
                .any(|dir| is_entry_of(dir, name, &target));
        if !of_base {
            self.report.leave(path, Reason::ForeignLink);
        } else if self.unlink(name) {
            self.report.pruned.push(name.to_owned());
        }
    }

    fn unlink(&mut self, name: &OsStr) -> bool {
        let path = self.account_dir.join(name);
        match fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) => {
                self.report.fail(path, error);
                false
            }
        }
    }

    fn link(&mut self, name: &OsStr) {
        link(self.base_dir, self.account_dir, name, self.report);
    }
}

/// Whether a link that says `target` leads to the entry `name` of `dir`, as [`link`] spells it. By bytes: this is asked
/// of every link in each sync.
fn is_entry_of(dir: &Path, name: &OsStr, target: &Path) -> bool {
    let parent = target
        .as_os_str()
        .as_bytes()
        .strip_suffix(name.as_bytes())
        .and_then(|rest| rest.strip_suffix(b"/"));
    let dir = dir.as_os_str().as_bytes();
    parent.is_some_and(|p| p == dir.strip_suffix(b"/").unwrap_or(dir))
}

fn link(base_dir: &Path, account_dir: &Path, name: &OsStr, report: &mut SyncReport) {
    let path = account_dir.join(name);
    match symlink(base_dir.join(name), &path) {
        Ok(()) => report.linked.push(name.to_owned()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            report.leave(path, Reason::Raced);
        }
        Err(error) => report.fail(path, error),
    }
}
