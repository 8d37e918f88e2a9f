//! What a sync of an overlay costs: the entries of a base, and the merge of two `.claude.json`, once as a year of use makes
//! them and once as bad as it can get.
//!
//! `cargo bench --bench overlay` prints the rows; `-- --quick` runs a tenth of the rounds; `-- --check` fails when a
//! budget is missed.

#![expect(
    clippy::disallowed_methods,
    reason = "a bench writes what people and other programs would"
)]

use ccp::adapters::overlay::{Direction, Options, SyncReport, seed, sync};
use ccp::adapters::{clock, files};
use ccp::contract::paths::{Base, Home};
use ccp::core::account::AccountId;
use ccp::core::claude_json::merge::Side;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const ROUNDS: usize = 50;
/// Budgets at the median, in milliseconds: a launch after a change has 25, and starts programs too.
const NOTHING_BUDGET: f64 = 0.5;
const TYPICAL_BUDGET: f64 = 20.0;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let rounds = if words.iter().any(|w| w == "--quick") {
        ROUNDS / 10
    } else {
        ROUNDS
    };
    let mut gates = Gates::default();
    println!("the base's .claude.json changed, one way; {rounds} rounds, least / median");
    for kilobytes in [50, 1_000, 5_000] {
        measure_merge(Shape::Typical, kilobytes, rounds, &mut gates);
        measure_merge(Shape::Worst, kilobytes, rounds, &mut gates);
    }
    // Last: after thousands of files were removed, ext4 takes milliseconds to make a new one.
    println!("entries of the base; {rounds} rounds, least / median");
    for entries in [60, 1_000, 10_000] {
        measure_entries(entries, rounds, &mut gates);
    }
    if gates.missed.is_empty() {
        println!("every budget is kept");
    } else if words.iter().any(|w| w == "--check") {
        panic!("budgets missed: {}", gates.missed.join("; "));
    }
}

#[derive(Default)]
struct Gates {
    missed: Vec<String>,
}

impl Gates {
    fn check(&mut self, name: &str, times: &Times, budget: f64) {
        let verdict = if times.median() <= budget {
            "ok"
        } else {
            self.missed.push(name.to_owned());
            "MISSED"
        };
        println!("  {name:<58} {times} budget {budget:>5.1} ms  {verdict}");
    }
}

/// What some runs took, in milliseconds.
struct Times(Vec<f64>);

impl Times {
    fn of(rounds: usize, mut run: impl FnMut()) -> Self {
        let once = |_| {
            let started = Instant::now();
            run();
            started.elapsed().as_secs_f64() * 1e3
        };
        Self((0..rounds).map(once).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut times = self.0.clone();
        times.sort_by(f64::total_cmp);
        times
    }

    fn median(&self) -> f64 {
        self.sorted()[self.0.len() / 2]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.2} / {:>7.2} ms", self.sorted()[0], self.median())
    }
}

struct World {
    _temporary: tempfile::TempDir,
    base: Base,
    account: PathBuf,
}

impl World {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let home = Home::new(&temporary.path().join("pool")).expect("absolute");
        let account = home.account(AccountId::new(1).expect("1"));
        files::create_private_dir(&account).expect("creates");
        let base = Base::default_in(&temporary.path().join("user"));
        fs::create_dir_all(&base.dir).expect("creates");
        Self {
            _temporary: temporary,
            base,
            account,
        }
    }

    fn sync(&self) -> SyncReport {
        // A minute from now, when nothing is young.
        let later = clock::now().plus(Duration::from_secs(60));
        let options = Options::at_leisure(Direction::OneWay, false);
        sync(&self.base, &self.account, later, options)
    }
}

fn measure_entries(entries: usize, rounds: usize, gates: &mut Gates) {
    let world = World::new();
    for number in 0..entries {
        fs::write(world.base.dir.join(format!("entry-{number}")), "x").expect("writes");
    }
    let first = Times::of(1, || assert!(world.sync().is_complete()));
    println!(
        "  {:<58} {first}",
        format!("{entries} entries, all to be linked")
    );
    let again = Times::of(rounds, || assert!(world.sync().changed_nothing()));
    let name = format!("{entries} entries, nothing to do");
    if entries == 60 {
        gates.check(&name, &again, NOTHING_BUDGET);
    } else {
        println!("  {name:<58} {again}");
    }
}

/// How the two files look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// Long-used projects in the base, mostly counters and history; the account has what was shared with it.
    Typical,
    /// Nothing but small projects that all share something, and the account has every byte of it too.
    Worst,
}

fn measure_merge(shape: Shape, kilobytes: usize, rounds: usize, gates: &mut Gates) {
    let world = World::new();
    let own = world.account.join(".claude.json");
    let (name, prompts) = match shape {
        Shape::Typical => ("as a year of use makes it", 20),
        Shape::Worst => ("small projects alone, both sides", 0),
    };
    let text = |theme: usize| settings(kilobytes * 1_000, prompts, theme);
    put(&world.base.json, &text(0));
    match shape {
        Shape::Typical => seed(&world.base, &world.account, Duration::ZERO).expect("seeds"),
        Shape::Worst => put(&own, &text(0)),
    }
    let _ = world.sync();
    let mut written = Times(Vec::new());
    for round in 1..=rounds {
        put(&world.base.json, &text(round));
        let merge = Times::of(1, || assert!(world.sync().settings.wrote_account));
        written.0.extend(merge.0);
    }
    let name = format!("{kilobytes} kB, {name}");
    match shape {
        Shape::Typical => gates.check(&name, &written, TYPICAL_BUDGET),
        // Nobody has such an account, which shares its size with the base: a figure to watch.
        Shape::Worst => println!("  {name:<58} {written}"),
    }
    let row = |what: &str, times: Times| println!("    {what:<56} {times}");
    row(
        "the same without a change to share",
        Times::of(rounds, || assert!(!world.sync().settings.wrote_account)),
    );
    let base = fs::read_to_string(&world.base.json).expect("reads");
    row(
        "of it: taking the base's text apart",
        Times::of(rounds, || assert!(Side::parse(&base).is_some())),
    );
    let account = fs::read(&own).expect("reads");
    row(
        "of it: writing the account's to the disk",
        Times::of(rounds, || {
            files::replace(&own, &account, 0o600).expect("writes");
        }),
    );
}

/// Writes a file and waits until it is on the disk: else a merge pays for writing the base too.
fn put(path: &Path, text: &str) {
    fs::write(path, text).expect("writes");
    File::open(path)
        .and_then(|f| f.sync_all())
        .expect("reaches the disk");
}

/// A `.claude.json` of about so many bytes: half of it projects with so many prompts each, half of it caches.
fn settings(bytes: usize, prompts: usize, theme: usize) -> String {
    let prompt = format!(
        ",\n        {{\n          \"display\": \"{}\",\n          \"pastedContents\": {{}}\n        }}",
        "a prompt of some words ".repeat(6)
    );
    let history = prompt.repeat(prompts);
    let history = history.trim_start_matches(',');
    let mut text = format!("{{\n  \"theme\": \"{theme}\",\n  \"projects\": {{\n");
    let mut number = 0;
    while text.len() < bytes / 2 {
        let gap = if number == 0 { "" } else { ",\n" };
        text.push_str(&format!(
            "{gap}    \"/home/me/src/project-{number}\": {{\n      \"allowedTools\": [],\n      \
             \"mcpServers\": {{}},\n      \"enabledMcpjsonServers\": [],\n      \
             \"hasTrustDialogAccepted\": true,\n      \"lastCost\": 0.25,\n      \
             \"lastSessionId\": \"0c6a43bc-0000-4000-8000-{number:012}\",\n      \
             \"history\": [{history}],\n      \
             \"exampleFiles\": [\n        \"a.rs\",\n        \"b.rs\"\n      ]\n    }}"
        ));
        number += 1;
    }
    text.push_str("\n  },\n  \"cachedFeatureFlags\": {");
    let mut flag = 0;
    while text.len() < bytes {
        let gap = if flag == 0 { "" } else { "," };
        text.push_str(&format!(
            "{gap}\n    \"flag_{flag}\": {{\"on\": true, \"value\": [1, 2, 3]}}"
        ));
        flag += 1;
    }
    text.push_str("\n  }\n}\n");
    text
}
