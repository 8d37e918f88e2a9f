//! Proofs with many rounds. With `CCP_TEST_LONG` all of them are run, and a run that was broken off is gone on with by the
//! next one, in a home of its own; else a twentieth. At the end there is a table of everything that was counted.

use ccp::adapters::files::{PRIVATE_FILE, replace_rebuildable};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Whether all rounds are wanted.
pub fn is_long() -> bool {
    std::env::var_os("CCP_TEST_LONG").is_some_and(|v| !v.is_empty())
}

/// One proof, and how far it has come.
pub struct Proof {
    name: &'static str,
    /// Where that is kept; nowhere in a short run.
    path: Option<PathBuf>,
    rounds: usize,
    done: usize,
    before: BTreeMap<String, u64>,
    now: BTreeMap<String, u64>,
}

impl Proof {
    /// A proof of so many rounds.
    pub fn open(name: &'static str, long: usize, short: usize) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let path = is_long().then(|| dir.join(format!("proof-{name}")));
        Self::at(name, path, if is_long() { long } else { short })
    }

    fn at(name: &'static str, path: Option<PathBuf>, rounds: usize) -> Self {
        let text = path.as_ref().and_then(|path| fs::read_to_string(path).ok());
        let mut before: BTreeMap<String, u64> = text
            .unwrap_or_default()
            .lines()
            .filter_map(|line| {
                let (what, count) = line.split_once('=')?;
                Some((what.to_owned(), count.parse().ok()?))
            })
            .collect();
        let done = before.remove("rounds").unwrap_or(0);
        let done = usize::try_from(done).expect("a number").min(rounds);
        if done > 0 {
            println!("{name}: goes on after {done} rounds");
        }
        Self {
            name,
            path,
            rounds,
            done,
            before,
            now: BTreeMap::new(),
        }
    }

    /// The rounds that are left.
    pub fn left(&self) -> Range<usize> {
        self.done..self.rounds
    }

    /// A round is over; what was counted since this run began.
    pub fn round_done<'a>(&mut self, counts: impl IntoIterator<Item = (&'a str, u64)>) {
        self.done += 1;
        self.count(counts);
        let Some(path) = &self.path else {
            return;
        };
        let mut lines: Vec<String> = vec![format!("rounds={}", self.done)];
        lines.extend(self.totals().map(|(what, count)| format!("{what}={count}")));
        replace_rebuildable(path, lines.join("\n").as_bytes(), PRIVATE_FILE).expect("writes");
    }

    /// What was counted since this run began, without a round.
    pub fn count<'a>(&mut self, counts: impl IntoIterator<Item = (&'a str, u64)>) {
        for (what, count) in counts {
            self.now.insert(what.to_owned(), count);
        }
    }

    /// What was counted in all runs.
    pub fn total(&self, what: &str) -> u64 {
        let of = |counts: &BTreeMap<String, u64>| counts.get(what).copied().unwrap_or(0);
        of(&self.before) + of(&self.now)
    }

    fn totals(&self) -> impl Iterator<Item = (&String, u64)> {
        let names = self.before.keys().chain(self.now.keys());
        let names: std::collections::BTreeSet<&String> = names.collect();
        names.into_iter().map(|what| (what, self.total(what)))
    }

    /// Everything was as it should be: prints the table, and begins anew the next time.
    pub fn table(self) {
        let mut cells = vec![
            ("proof".to_owned(), self.name.to_owned()),
            ("rounds".to_owned(), self.done.to_string()),
        ];
        cells.extend(self.totals().map(|(what, n)| (what.clone(), n.to_string())));
        let line = |pick: &dyn Fn(&(String, String), usize) -> String| {
            let cells: Vec<String> = cells
                .iter()
                .map(|cell| pick(cell, cell.0.len().max(cell.1.len())))
                .collect();
            println!("| {} |", cells.join(" | "));
        };
        line(&|cell, width| format!("{:width$}", cell.0));
        line(&|_, width| "-".repeat(width));
        line(&|cell, width| format!("{:width$}", cell.1));
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path);
        }
    }
}

#[test]
fn a_proof_that_was_broken_off_is_gone_on_with() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Proof::at("this", Some(dir.path().join("proof")), 5);
    let mut first = open();
    assert_eq!(first.left(), 0..5);
    first.round_done([("kills", 1), ("reports", 7)]);
    first.round_done([("kills", 2), ("reports", 9)]);
    drop(first);
    let mut second = open();
    assert_eq!(second.left(), 2..5);
    for kills in 1..=3 {
        second.round_done([("kills", kills)]);
    }
    assert_eq!((second.total("kills"), second.total("reports")), (5, 9));
    second.table();
    assert_eq!(open().left(), 0..5, "and then it begins anew");
}
