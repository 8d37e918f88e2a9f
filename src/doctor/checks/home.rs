//! The home: whose it is, who may enter it, whether there is room, and what was left lying about in it.

use super::{is_older, or_ok};
use crate::adapters::files::{PRIVATE_DIR, PRIVATE_FILE};
use crate::adapters::procs;
use crate::doctor::{Check, Finding, Mend, Patient};
use rustix::fs::statvfs;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below this much free space the next samples may not fit.
const SCARCE: u64 = 500 * 1_000_000;
/// Below this much, claude's own transcripts soon will not.
const NONE_LEFT: u64 = 50 * 1_000_000;
/// Nothing of ours takes this long to write, on whichever machine that shares the home.
const WRITTEN_WITHIN: Duration = Duration::from_secs(600);
/// The most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 10_000;

/// Another tool with the same directory.
pub const FOREIGN: Check = Check {
    id: "foreign-tool",
    question: "does the home belong to ccp alone?",
    look: foreign,
};

fn foreign(patient: &Patient<'_>) -> Vec<Finding> {
    let home = patient.home().path().display();
    let found = match &patient.foreign {
        Ok(found) => found,
        Err(error) => {
            let text = format!("{home} cannot be read: {error}");
            return vec![Finding::problem(text, "make it readable, or set CCP_HOME")];
        }
    };
    if found.is_empty() {
        return vec![Finding::ok("nobody else's files")];
    }
    let names = found.files.iter().filter_map(|f| f.file_name());
    let names: Vec<_> = names.map(|n| n.to_string_lossy()).collect();
    let names = names.join(", ");
    vec![match found.pid {
        Some(pid) => Finding::problem(
            format!("another tool runs in {home} as process {pid} ({names})"),
            "stop and uninstall it, then `ccp init --adopt`",
        ),
        None if patient.foreign_may_stay => {
            Finding::ok(format!("{names} of another tool may stay"))
        }
        None => Finding::problem(
            format!("{home} has files of another tool: {names}"),
            "uninstall it, then `ccp init --adopt`; or set CCP_HOME",
        ),
    }]
}

/// Who may enter.
pub const PERMISSIONS: Check = Check {
    id: "home-permissions",
    question: "is the home closed to others?",
    look: permissions,
};

fn permissions(patient: &Patient<'_>) -> Vec<Finding> {
    let home = patient.home();
    let is_dir = fs::metadata(home.path()).is_ok_and(|m| m.is_dir());
    if !is_dir {
        let path = home.path().display();
        return vec![match fs::symlink_metadata(home.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Finding::ok(format!("{path} is not made yet"))
            }
            _ => Finding::problem(format!("{path} is no directory"), "set CCP_HOME"),
        }];
    }
    let dirs = [
        home.path().to_owned(),
        home.accounts(),
        home.leases(),
        home.inbox(),
        home.logs(),
        home.statusline_notes(),
    ];
    let files = [home.snapshot(), home.status(), home.statusline_record()];
    let findings = dirs
        .into_iter()
        .map(|path| (path, PRIVATE_DIR))
        .chain(files.into_iter().map(|path| (path, PRIVATE_FILE)))
        .filter_map(|(path, wanted)| open_to_others(&path, wanted))
        .collect();
    or_ok(findings, format!("{} is private", home.path().display()))
}

fn open_to_others(path: &Path, wanted: u32) -> Option<Finding> {
    let mode = fs::metadata(path).ok()?.mode() & 0o7777;
    // The owner needs all of a directory, too.
    let is_wrong = mode & 0o077 != 0 || mode & wanted != wanted;
    is_wrong.then(|| {
        Finding::problem(
            format!("{} is {mode:04o}", path.display()),
            Mend::Mode(path.to_owned(), wanted),
        )
    })
}

/// Room on the disk.
pub const DISK: Check = Check {
    id: "disk-space",
    question: "is there room on the home's file system?",
    look: disk,
};

fn disk(patient: &Patient<'_>) -> Vec<Finding> {
    let home = patient.home().path();
    let existing = home.ancestors().find(|p| p.exists()).unwrap_or(home);
    match statvfs(existing) {
        Ok(known) => vec![room(known.f_bavail.saturating_mul(known.f_frsize))],
        Err(error) => vec![Finding::note(
            format!(
                "the free space of {} cannot be told: {error}",
                existing.display()
            ),
            "look at the file system",
        )],
    }
}

fn room(free: u64) -> Finding {
    let megabytes = free / 1_000_000;
    let text = if megabytes < 10_000 {
        format!("{megabytes} MB free")
    } else {
        format!("{} GB free", megabytes / 1000)
    };
    match free {
        0..NONE_LEFT => Finding::problem(text, "free some space"),
        NONE_LEFT..SCARCE => Finding::note(text, "free some space"),
        SCARCE.. => Finding::ok(text),
    }
}

/// Files that a process which died left half written.
pub const TEMPORARY: Check = Check {
    id: "temporary-files",
    question: "did a process that died leave half-written files?",
    look: temporary,
};

fn temporary(patient: &Patient<'_>) -> Vec<Finding> {
    let home = patient.home();
    let dirs = [home.path().to_owned(), home.accounts(), home.inbox()];
    let left = dirs.iter().flat_map(|dir| entries(dir));
    let findings = left
        .filter(|path| is_left_over(path) && is_older(path, WRITTEN_WITHIN, patient.now()))
        .map(|path| {
            Finding::note(
                format!("{} was never finished", path.display()),
                Mend::RemoveFile(path),
            )
        })
        .collect();
    or_ok(findings, "none")
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).into_iter().flatten().take(MAX_ENTRIES);
    let mut paths: Vec<PathBuf> = listed.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    paths
}

/// `NAME.tmp.PID.NUMBER`, as ccp names what it has not renamed yet, of a process that does not run any more.
fn is_left_over(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some((_, rest)) = name.rsplit_once(".tmp.") else {
        return false;
    };
    let writer = rest.split_once('.').and_then(|(pid, number)| {
        number.parse::<u32>().ok()?;
        pid.parse::<u32>().ok()
    });
    let is_file = fs::symlink_metadata(path).is_ok_and(|m| m.is_file());
    is_file && writer.is_some_and(|pid| procs::start_time(pid).is_none())
}

/// Directories of accounts whose removal was interrupted.
pub const TRASH: Check = Check {
    id: "trash",
    question: "was the removal of an account interrupted?",
    look: trash,
};

fn trash(patient: &Patient<'_>) -> Vec<Finding> {
    let is_trash = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("trash-acct-") && fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
    };
    let findings = entries(&patient.home().accounts())
        .into_iter()
        .filter(is_trash)
        .map(|path| {
            Finding::note(
                format!("{} is left of one", path.display()),
                Mend::RemoveTrash,
            )
        })
        .collect();
    or_ok(findings, "no")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn room_is_judged_by_what_is_free() {
        let rows = [
            (0, Verdict::Problem, "0 MB free"),
            (49_999_999, Verdict::Problem, "49 MB free"),
            (50_000_000, Verdict::Note, "50 MB free"),
            (499_999_999, Verdict::Note, "499 MB free"),
            (500_000_000, Verdict::Ok, "500 MB free"),
            (20_000_000_000, Verdict::Ok, "20 GB free"),
        ];
        for (free, verdict, text) in rows {
            let finding = room(free);
            assert_eq!((finding.verdict, finding.found.as_str()), (verdict, text));
        }
    }
}
