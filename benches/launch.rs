//! What a launch costs, as whole processes: `ccp run` against a bare C exec shim and a direct exec of the same target,
//! interleaved in one run, because only rows of one run can be compared on a noisy machine.
//!
//! `cargo bench --bench launch` prints the budget rows and how cost grows; `-- --quick` runs a tenth of the rounds;
//! `-- --check` fails when a budget is missed.

#[path = "../tests/it/support.rs"]
#[expect(dead_code, reason = "the bench uses a part of what the tests share")]
mod support;

use ccp::adapters::{clock, leases, procs, stamp};
use ccp::contract::lease::LeaseName;
use ccp::contract::snapshot::RuleEntry;
use ccp::core::account::AccountId;
use ccp::core::accounts::lease::Holder;
use std::fs;
use std::io::Write as _;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{Pool, put};

const ROUNDS: usize = 400;
/// Budgets over the bare exec shim, in microseconds: median and 99th percentile.
const RUN_BUDGET: (f64, f64) = (500.0, 1_000.0);
const RUN_100_BUDGET: f64 = 1_000.0;
const SELECT_BUDGET: f64 = 1_500.0;
const CHANGED_BUDGET: f64 = 25_000.0;
const PEAK_BUDGET_KIB: f64 = 5.0 * 1024.0;

struct Programs {
    shim: PathBuf,
    target: PathBuf,
    peak: PathBuf,
    /// The static launcher, with `ccpd` beside it.
    ccp: PathBuf,
    /// The launcher of a plain `cargo install`.
    dynamic: PathBuf,
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let rounds = if words.iter().any(|w| w == "--quick") {
        ROUNDS / 10
    } else {
        ROUNDS
    };
    let work = tempfile::tempdir().expect("a directory");
    let programs = build(work.path());
    let mut missed = Vec::new();
    let mut gate = |name: &str, value: f64, budget: f64, unit: &str| {
        let verdict = if value <= budget { "ok" } else { "MISSED" };
        println!("  {name:<58} {value:>9.0} {unit:<4} budget {budget:>7.0}  {verdict}");
        if value > budget {
            missed.push(name.to_owned());
        }
    };

    println!(
        "10 accounts, 60 entries, a 5 MB ~/.claude.json that did not change; {rounds} interleaved rounds, µs"
    );
    let pool = Scene {
        accounts: 10,
        entries: 60,
        leases: 0,
        base_mb: 5,
    }
    .build();
    let rows = measure(
        &pool,
        rounds,
        &mut [
            ("direct exec", Case::new(&pool, &programs.target, &[])),
            (
                "C exec shim",
                Case::new(&pool, &programs.shim, &[path(&programs.target)]),
            ),
            (
                "ccp run, static",
                Case::new(&pool, &programs.ccp, &["run"]).claude(&programs.target),
            ),
            (
                "ccp run, dynamic",
                Case::new(&pool, &programs.dynamic, &["run"]).claude(&programs.target),
            ),
            (
                "ccp select, static",
                Case::new(&pool, &programs.ccp, &["select"]),
            ),
        ],
    );
    let (shim, run, select) = (&rows[1], &rows[2], &rows[4]);
    gate(
        "ccp run over the shim, p50",
        run.p50 - shim.p50,
        RUN_BUDGET.0,
        "µs",
    );
    gate(
        "ccp run over the shim, p99",
        run.p99 - shim.p99,
        RUN_BUDGET.1,
        "µs",
    );
    gate(
        "ccp select, whole process, p50",
        select.p50,
        SELECT_BUDGET,
        "µs",
    );
    let peak = peak_kib(&pool, &programs);
    gate("peak memory of ccp run", peak, PEAK_BUDGET_KIB, "KiB");

    println!("the same, with the 5 MB ~/.claude.json changed before each launch");
    let changed = measure(
        &pool,
        (rounds / 10).max(10),
        &mut [
            (
                "C exec shim",
                Case::new(&pool, &programs.shim, &[path(&programs.target)]),
            ),
            (
                "ccp run, static",
                Case::new(&pool, &programs.ccp, &["run"])
                    .claude(&programs.target)
                    .touching(),
            ),
        ],
    );
    gate(
        "ccp run after a change, over the shim, p50",
        changed[1].p50 - changed[0].p50,
        CHANGED_BUDGET,
        "µs",
    );

    rules(&programs, rounds);

    println!("how cost grows: ccp run over the shim, p50 and p99, µs");
    for accounts in [1, 3, 10, 30, 100] {
        let over = grow(
            &programs,
            rounds,
            Scene {
                accounts,
                ..Scene::default()
            },
        );
        let name = format!("{accounts} accounts");
        println!("  {name:<58} {:>9.0} {:>9.0}", over.p50, over.p99);
        if accounts == 100 {
            gate(
                "ccp run with 100 accounts over the shim, p50",
                over.p50,
                RUN_100_BUDGET,
                "µs",
            );
        }
    }
    for entries in [10, 100, 1_000, 10_000] {
        let over = grow(
            &programs,
            rounds,
            Scene {
                entries,
                ..Scene::default()
            },
        );
        println!(
            "  {:<58} {:>9.0} {:>9.0}",
            format!("{entries} entries"),
            over.p50,
            over.p99
        );
    }
    for leases in [0, 10, 100, 500] {
        let over = grow(
            &programs,
            rounds,
            Scene {
                leases,
                ..Scene::default()
            },
        );
        println!(
            "  {:<58} {:>9.0} {:>9.0}",
            format!("{leases} leases, half of them live"),
            over.p50,
            over.p99
        );
    }
    if missed.is_empty() {
        println!("every budget is kept");
    } else if words.iter().any(|w| w == "--check") {
        panic!("budgets missed: {}", missed.join("; "));
    }
}

/// What rules cost a launch: none of these is for the directory, so that all of them are looked at.
fn rules(programs: &Programs, rounds: usize) {
    println!("rules that do not match, in a directory four levels below a repository's");
    let scene = Scene::default();
    let ruled = |make: &dyn Fn(usize) -> RuleEntry| {
        let mut pool = scene.build();
        pool.snapshot.rules = (0..20).map(make).collect();
        settle(&mut pool);
        pool
    };
    let rule = |path: Option<String>, git_remote: Option<String>| RuleEntry {
        path,
        git_remote,
        accounts: vec!["label1".to_owned()],
    };
    let pools = [
        ("no rules", scene.build()),
        (
            "20 rules with path",
            ruled(&|n| rule(Some(format!("~/elsewhere/{n}")), None)),
        ),
        (
            "20 rules with git_remote",
            ruled(&|n| rule(None, Some(format!("host{n}.example/acme/*")))),
        ),
    ];
    let mut cases: Vec<(&str, Case)> = pools
        .iter()
        .map(|(name, pool)| {
            let dir = repository(pool);
            let mut case = Case::new(pool, &programs.ccp, &["run"]).claude(&programs.target);
            case.command.current_dir(&dir).env("PWD", &dir);
            (*name, case)
        })
        .collect();
    measure(&pools[0].1, rounds, &mut cases);
}

/// A clone with some branches and three remotes; a directory in it.
fn repository(pool: &Pool) -> PathBuf {
    let dir = pool.work_dir("src/app/a/b/c/d");
    let git = pool.work_dir("src/app/.git");
    put(&git.join("HEAD"), b"ref: refs/heads/main\n");
    let mut config = "[core]\n\tbare = false\n".to_owned();
    for n in 0..3 {
        config.push_str(&format!("[remote \"r{n}\"]\n\turl = git@git{n}.example:acme/app.git\n\tfetch = +refs/heads/*:refs/remotes/r{n}/*\n"));
    }
    for n in 0..30 {
        config.push_str(&format!(
            "[branch \"branch{n}\"]\n\tremote = r0\n\tmerge = refs/heads/branch{n}\n"
        ));
    }
    put(&git.join("config"), config.as_bytes());
    dir
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// Compiles the C programs and brings the launcher and its sibling together.
fn build(work: &Path) -> Programs {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compile = |name: &str| {
        let out = work.join(name);
        let file = source.join("benches/data").join(format!("{name}.c"));
        let status = Command::new("cc")
            .args(["-O2", "-static", "-o"])
            .arg(&out)
            .arg(file)
            .status();
        assert!(
            status.expect("runs the C compiler").success(),
            "{name} compiles"
        );
        out
    };
    let output = Command::new(source.join(".ci/launcher-build"))
        .stderr(Stdio::inherit())
        .output();
    let output = output.expect("runs .ci/launcher-build");
    assert!(output.status.success(), "the static launcher builds");
    let built = String::from_utf8(output.stdout).expect("a path");
    let bin = work.join("bin");
    fs::create_dir(&bin).expect("creates");
    let ccp = bin.join("ccp");
    fs::copy(built.trim(), &ccp).expect("copies ccp");
    fs::copy(support::CCPD, bin.join("ccpd")).expect("copies ccpd");
    let dynamic = PathBuf::from(support::CCP);
    Programs {
        shim: compile("shim"),
        target: compile("target"),
        peak: compile("peak"),
        ccp,
        dynamic,
    }
}

#[derive(Clone, Copy)]
struct Scene {
    accounts: usize,
    entries: usize,
    leases: usize,
    base_mb: usize,
}

impl Default for Scene {
    fn default() -> Self {
        Self {
            accounts: 10,
            entries: 60,
            leases: 0,
            base_mb: 0,
        }
    }
}

impl Scene {
    fn build(self) -> Pool {
        let usage: Vec<(f64, f64)> = (0..self.accounts)
            .map(|n| (n as f64 % 90.0, 10.0))
            .collect();
        let mut pool = Pool::new(&usage);
        for n in 0..self.entries {
            put(&pool.base.dir.join(format!("entry{n}")), b"x");
        }
        put(&pool.base.json, base_json(self.base_mb).as_bytes());
        pool.publish();
        settle(&mut pool);
        for n in 0..self.leases {
            write_lease(&pool, n);
        }
        pool
    }
}

/// Stamps whose times are relied on, as they are a second after a sync.
fn settle(pool: &mut Pool) {
    let later = clock::now().plus(Duration::from_secs(60));
    for account in &mut pool.snapshot.accounts {
        account.stamp =
            Some(stamp::take(&pool.base, &account.dir, later).expect("takes the stamp"));
    }
    put(
        &pool.home.snapshot(),
        &serde_json::to_vec(&pool.snapshot).expect("serialises"),
    );
}

/// As large as a year of projects makes it: mostly per-project counters that concern nobody else.
fn base_json(mb: usize) -> String {
    let mut text = String::from("{\"hasCompletedOnboarding\":true,\"projects\":{");
    let mut n = 0;
    while text.len() < mb * 1_000_000 {
        let comma = if n == 0 { "" } else { "," };
        let history = "a prompt of some words ".repeat(40);
        text.push_str(&format!(
            "{comma}\"/home/person/project{n}\":{{\"hasTrustDialogAccepted\":true,\"lastCost\":1.5,\"history\":[{{\"display\":\"{history}\"}}]}}"
        ));
        n += 1;
    }
    text.push_str("},\"touched\":0}");
    text
}

fn write_lease(pool: &Pool, n: usize) {
    let holder = match procs::own_holder() {
        Some(own) if n.is_multiple_of(2) => own,
        _ => Holder::Process {
            pid: 4_000_000 + n as u32,
            start: n as u64,
        },
    };
    let lease = LeaseName {
        account: AccountId::new(1).expect("1"),
        holder,
        machine: procs::machine().hash,
        directory: n as u64,
        created_at: clock::now().minus(Duration::from_millis(n as u64)),
        beside: false,
    };
    leases::write(&pool.home.leases(), &lease, b"{}").expect("writes the lease");
}

struct Case {
    command: Command,
    /// Change the base's `.claude.json` before each round.
    touch: Option<PathBuf>,
    leases: PathBuf,
    before: Vec<PathBuf>,
}

impl Case {
    fn new(pool: &Pool, program: &Path, arguments: &[&str]) -> Self {
        let mut command = pool.command(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let leases = pool.home.leases();
        let before = files(&leases);
        Self {
            command,
            touch: None,
            leases,
            before,
        }
    }

    fn claude(mut self, target: &Path) -> Self {
        self.command.env("CCP_CLAUDE", target);
        self
    }

    fn touching(mut self) -> Self {
        let home = self.command.get_current_dir().expect("has one").to_owned();
        self.touch = Some(home.join(".claude.json"));
        self
    }

    fn run(&mut self, round: usize) -> f64 {
        if let Some(path) = &self.touch {
            // The last key changes, at the same length: no more than a session of plain claude does.
            let mut file = fs::OpenOptions::new()
                .write(true)
                .open(path)
                .expect("opens");
            std::io::Seek::seek(&mut file, std::io::SeekFrom::End(-2)).expect("seeks");
            file.write_all(&[b'0' + (round % 10) as u8])
                .expect("writes");
        }
        let started = Instant::now();
        let status = self.command.status().expect("runs");
        let spent = started.elapsed().as_secs_f64() * 1e6;
        assert!(status.success(), "{:?} ended with {status}", self.command);
        for file in files(&self.leases) {
            if !self.before.contains(&file) {
                fs::remove_file(file).expect("removes the lease");
            }
        }
        spent
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .expect("lists")
        .map(|e| e.expect("an entry").path())
        .collect()
}

struct Row {
    p50: f64,
    p99: f64,
}

fn measure(pool: &Pool, rounds: usize, cases: &mut [(&str, Case)]) -> Vec<Row> {
    let _ = pool;
    let mut times: Vec<Vec<f64>> = vec![Vec::with_capacity(rounds); cases.len()];
    for round in 0..rounds + 5 {
        for ((_, case), times) in cases.iter_mut().zip(&mut times) {
            let spent = case.run(round);
            // The first rounds fill caches.
            if round >= 5 {
                times.push(spent);
            }
        }
    }
    let rows: Vec<Row> = times.iter_mut().map(|t| row(t)).collect();
    for ((name, _), row) in cases.iter().zip(&rows) {
        println!("  {name:<58} p50 {:>7.0}  p99 {:>7.0}", row.p50, row.p99);
    }
    rows
}

fn row(times: &mut [f64]) -> Row {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    Row {
        p50: at(0.50),
        p99: at(0.99),
    }
}

fn grow(programs: &Programs, rounds: usize, scene: Scene) -> Row {
    let pool = scene.build();
    let mut shim = Case::new(&pool, &programs.shim, &[path(&programs.target)]);
    let mut run = Case::new(&pool, &programs.ccp, &["run"]).claude(&programs.target);
    let (mut bare, mut launched) = (Vec::new(), Vec::new());
    for round in 0..rounds / 4 {
        bare.push(shim.run(round));
        launched.push(run.run(round));
    }
    let (bare, launched) = (row(&mut bare), row(&mut launched));
    Row {
        p50: launched.p50 - bare.p50,
        p99: launched.p99 - bare.p99,
    }
}

fn peak_kib(pool: &Pool, programs: &Programs) -> f64 {
    let mut command = pool.command(&programs.peak);
    let output = command
        .arg(&programs.ccp)
        .arg("run")
        .env("CCP_CLAUDE", &programs.target)
        .output();
    let text = String::from_utf8(output.expect("runs").stdout).expect("a number");
    text.trim().parse().expect("a number")
}
