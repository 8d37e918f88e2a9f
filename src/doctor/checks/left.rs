//! What gathers in the home over time: logs, reports that nobody took in, and mounts.

use super::{age, count, or_ok};
use crate::contract::settings::Provider;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::doctor::{Check, Finding, Mend, Patient};
use rustix::fs::{Access, access};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon's own log takes 5 MB; what lies there beside it was moved out of the way.
const LARGE: u64 = 100 * 1_000_000;
/// Reports are taken in by every refresh, and at once by a daemon.
const OLD_REPORT: Duration = Duration::from_secs(3600);
/// More than so many waiting reports slow the next refresh down.
const MANY_REPORTS: usize = 1_000;
/// The most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 10_000;

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let listed = fs::read_dir(dir).into_iter().flatten().take(MAX_ENTRIES);
    listed.filter_map(|entry| Some(entry.ok()?.path()))
}

/// The logs.
pub const LOGS: Check = Check {
    id: "logs",
    question: "can logs be written, and are they small?",
    look: logs,
};

fn logs(patient: &Patient<'_>) -> Vec<Finding> {
    let dir = patient.home().logs();
    let shown = dir.display();
    match fs::metadata(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return vec![Finding::ok("there are none yet")];
        }
        Err(error) => return vec![Finding::problem(format!("{shown}: {error}"), "look at it")],
        Ok(metadata) if !metadata.is_dir() => {
            let text = format!("{shown} is no directory");
            return vec![Finding::problem(text, "move it away")];
        }
        Ok(_) => {}
    }
    let log = patient.home().daemon_log();
    let unwritable = [
        (&dir, Access::WRITE_OK | Access::EXEC_OK),
        (&log, Access::WRITE_OK),
    ]
    .into_iter()
    .filter(|(path, wanted)| path.exists() && access(*path, *wanted).is_err());
    let mut findings: Vec<Finding> = unwritable
        .map(|(path, _)| {
            let text = format!("{} cannot be written", path.display());
            Finding::problem(text, "make it yours, or move it away")
        })
        .collect();
    let length = |path: PathBuf| fs::symlink_metadata(path).map_or(0, |m| m.len());
    let total: u64 = entries(&dir).map(length).sum();
    if total > LARGE {
        let text = format!("{shown} holds {} MB", total / 1_000_000);
        findings.push(Finding::note(text, "delete what you do not need there"));
    }
    or_ok(findings, format!("{} kB", total / 1000))
}

/// Reports.
pub const INBOX: Check = Check {
    id: "inbox",
    question: "is what sessions reported taken in?",
    look: inbox,
};

fn inbox(patient: &Patient<'_>) -> Vec<Finding> {
    let is_report = |path: &PathBuf| path.extension().is_some_and(|e| e == "json");
    let reports: Vec<PathBuf> = entries(&patient.home().inbox()).filter(is_report).collect();
    let written = |path: &PathBuf| {
        let metadata = fs::symlink_metadata(path).ok()?;
        Some(Timestamp::from_unix_ms(
            metadata.mtime().saturating_mul(1000),
        ))
    };
    let oldest = reports.iter().filter_map(written).min();
    let waits = oldest.map_or(Duration::ZERO, |at| patient.now().since(at));
    let waiting = count(reports.len(), "report");
    vec![if waits > OLD_REPORT {
        let text = format!("{waiting} waiting, the oldest for {}", age(waits));
        Finding::note(text, Mend::Tidy)
    } else if reports.len() > MANY_REPORTS {
        Finding::note(format!("{waiting} waiting"), Mend::Tidy)
    } else {
        Finding::ok(format!("{waiting} waiting"))
    }]
}

/// Mounts in the home.
pub const MOUNTS: Check = Check {
    id: "mounts",
    question: "is the home free of mounts, and of what they leave?",
    look: mounts,
};

fn mounts(patient: &Patient<'_>) -> Vec<Finding> {
    let home = patient.home();
    let by_links = patient
        .settings
        .as_ref()
        .is_ok_and(|settings| settings.provider == Provider::Symlink);
    let mut findings = Vec::new();
    for dir in [home.path().to_owned(), home.accounts()] {
        let Ok(own) = fs::metadata(&dir) else {
            continue;
        };
        for path in entries(&dir) {
            let seen = fs::symlink_metadata(&path);
            findings.extend(mount(&path, own.dev(), &seen));
            if by_links && seen.is_ok_and(|m| m.is_dir()) && is_backing(&path) {
                let text = format!("{} is left of an overlay by FUSE", path.display());
                let hint = "look through it, then move it away: nothing uses it";
                findings.push(Finding::note(text, hint));
            }
        }
    }
    findings.sort_by(|a, b| a.found.cmp(&b.found));
    or_ok(findings, "it is")
}

/// `acct-NN.private`.
fn is_backing(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let account = name.strip_suffix(".private");
    account.is_some_and(|name| AccountId::from_dir_name(name).is_some())
}

/// What a mount point shows: a device of its own, or, once its server is gone, an error that nothing else gives.
fn mount(path: &Path, around: u64, seen: &io::Result<Metadata>) -> Option<Finding> {
    let shown = path.display();
    match seen {
        Ok(metadata) if metadata.is_dir() && metadata.dev() != around => Some(Finding::note(
            format!("{shown} is a mount"),
            "unmount it, unless you put it there",
        )),
        Ok(_) => None,
        Err(error) if is_orphaned(error) => {
            let command = if cfg!(target_os = "macos") {
                "umount"
            } else {
                "fusermount3 -u"
            };
            Some(Finding::problem(
                format!("{shown} is a mount whose server is gone ({error})"),
                format!("`{command} {path:?}`"),
            ))
        }
        Err(_) => None,
    }
}

/// `Transport endpoint is not connected` on Linux, `Device not configured` on macOS.
fn is_orphaned(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTCONN | libc::ENXIO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Remedy, Verdict};

    #[test]
    fn a_mount_without_a_server_is_told_from_other_trouble() {
        let seen = |code| {
            mount(
                Path::new("/h/x"),
                1,
                &Err(io::Error::from_raw_os_error(code)),
            )
        };
        for code in [libc::ENOTCONN, libc::ENXIO] {
            let finding = seen(code).expect("is one");
            assert_eq!(finding.verdict, Verdict::Problem);
            assert!(matches!(finding.remedy, Remedy::Hint(hint) if hint.contains("/h/x")));
        }
        assert_eq!(seen(libc::ENOENT), None);
        assert_eq!(seen(libc::EACCES), None);
    }

    #[test]
    fn a_backing_directory_is_known_by_its_name() {
        for (name, is) in [
            ("acct-01.private", true),
            ("acct-01", false),
            ("notes.private", false),
            ("trash-acct-01.private", false),
        ] {
            assert_eq!(is_backing(Path::new(name)), is, "{name}");
        }
    }
}
