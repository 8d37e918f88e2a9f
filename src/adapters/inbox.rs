//! `inbox/`: samples handed in while nobody listens, one small file each, until they are folded in.

use super::files::{PRIVATE_FILE, create_private_dir, replace_rebuildable};
use crate::contract::report::Report;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The largest report that is read, in bytes: a dozen windows fit many times.
const MAX_REPORT: u64 = 64 * 1024;
/// The most files that one listing returns; the rest waits for the next.
const MAX_LISTED: usize = 1_000;
/// So many files wait at most: who reports more is told that it is full, because nobody seems to fold them in.
const MAX_WAITING: usize = 5_000;

/// A file of the inbox.
#[derive(Debug)]
pub struct Letter {
    /// Where it is.
    pub path: PathBuf,
    /// What it says; none when it is no report.
    pub report: Option<Report>,
}

/// Hands a report in. The directory is made when it is missing.
pub fn hand_in(dir: &Path, report: &Report) -> io::Result<()> {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    create_private_dir(dir)?;
    if fs::read_dir(dir)?.take(MAX_WAITING).count() >= MAX_WAITING {
        return Err(io::ErrorKind::QuotaExceeded.into());
    }
    // The name begins with the instant, so that the order of names is the order of time; host names tell machines that
    // share the home apart by their different pids and instants well enough.
    let name = format!(
        "{:015}-{}-{}.json",
        report.measured_at_ms.max(0),
        std::process::id(),
        COUNTER.fetch_add(1, Ordering::Relaxed)
    );
    let text = serde_json::to_vec(report).map_err(io::Error::other)?;
    replace_rebuildable(&dir.join(name), &text, PRIVATE_FILE)
}

/// Whether anything waits to be folded in.
#[must_use]
pub fn waits(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| path.extension().is_some_and(|e| e == "json"))
}

/// The files that wait, oldest first. A directory that does not exist holds none; temporary files are passed by.
pub fn list(dir: &Path) -> io::Result<Vec<Letter>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.truncate(MAX_LISTED);
    Ok(paths
        .into_iter()
        .map(|path| Letter {
            report: read(&path),
            path,
        })
        .collect())
}

fn read(path: &Path) -> Option<Report> {
    let mut text = Vec::new();
    File::open(path)
        .ok()?
        .take(MAX_REPORT + 1)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// Removes a file that was folded in; one that is gone already is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_back_in_the_order_of_time_and_rubbish_is_seen_as_such() {
        let home = tempfile::tempdir().expect("a directory");
        let dir = home.path().join("inbox");
        assert!(
            list(&dir)
                .expect("a missing directory holds none")
                .is_empty()
        );
        let report = |at| Report {
            account: 1,
            account_uuid: None,
            measured_at_ms: at,
            source: "live".into(),
            windows: Vec::new(),
            extra: None,
            limited_until_ms: Some(9),
        };
        for at in [30, 9, 200] {
            hand_in(&dir, &report(at)).expect("is handed in");
        }
        fs::File::create(dir.join("x.json")).expect("creates");
        fs::File::create(dir.join("y.json.tmp.1.2")).expect("creates");
        assert!(waits(&dir));
        let found = list(&dir).expect("lists");
        let times: Vec<_> = found
            .iter()
            .map(|l| l.report.as_ref().map(|r| r.measured_at_ms))
            .collect();
        assert_eq!(times, [Some(9), Some(30), Some(200), None]);
        for letter in &found {
            remove(&letter.path).expect("removes");
            remove(&letter.path).expect("is gone already");
        }
        assert!(list(&dir).expect("lists").is_empty());
        assert!(!waits(&dir));
    }
}
