//! What a person sees: `ccp status` as a table, as JSON and on a full screen, `ccp list`, `ccp why`; by the real executable
//! on a home of its own.

mod screen;

use crate::support::{CCPD, Pool, put_executable};
use ccp::adapters::clock;
use ccp::adapters::files;
use ccp::adapters::leases;
use ccp::adapters::store::{LabelWish, Store};
use ccp::contract::lease::LeaseName;
use ccp::contract::settings::Settings;
use ccp::contract::status::Status;
use ccp::core::account::AccountId;
use ccp::core::claude_json::identity::Identity;
use ccp::core::time::Timestamp;
use ccp::core::usage::{Acceptance, Sample, Source, Used, Window, WindowKind};
use ccp::daemon::publish::publish_snapshot;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const LABELS: [&str; 3] = ["work", "home", "side"];

/// A home with a database, three accounts and what was published of them.
struct Seen {
    pool: Pool,
    store: Store,
    /// When something was measured last: each sample is newer than the one before, whatever the clock does.
    measured_at: Timestamp,
}

fn id(number: u16) -> AccountId {
    AccountId::new(number).expect("in range")
}

impl Seen {
    /// Accounts with this much used of their five-hour and weekly windows.
    fn new(used: &[(f64, f64)]) -> Self {
        let pool = Pool::new(used);
        let mut store = Store::open(&pool.home).expect("opens the database");
        for (number, label) in (1..).zip(LABELS).take(used.len()) {
            let identity = Identity {
                account_uuid: format!("uuid-{number}"),
                organization_uuid: None,
                organization_name: None,
                organization_type: None,
                organization_role: None,
                display_name: None,
                email: Some(format!("{label}@example.test")),
            };
            store
                .adopt(
                    id(number),
                    LabelWish::Exactly(label),
                    &identity,
                    clock::now(),
                )
                .expect("adopts");
        }
        let measured_at = clock::now();
        let mut seen = Self {
            pool,
            store,
            measured_at,
        };
        for (number, (five, week)) in (1..).zip(used) {
            seen.measure(number, *five, *week);
        }
        seen.publish();
        seen
    }

    fn measure(&mut self, number: u16, five: f64, week: f64) {
        let next = self.measured_at.plus(Duration::from_millis(1));
        let now = clock::now().max(next);
        self.measured_at = now;
        let window = |kind, percent, hours: u64| Window {
            kind,
            used: Used::from_percent(percent).expect("a number"),
            resets_at: Some(now.plus(Duration::from_secs(hours * 3600))),
        };
        let sample = Sample {
            measured_at: now,
            source: Source::Claude,
            windows: vec![
                window(WindowKind::FiveHour, five, 5),
                window(WindowKind::SevenDay, week, 90),
            ],
            extra: None,
        };
        let verdict = self.store.offer_sample(id(number), &sample, now);
        assert_eq!(verdict.expect("offers the sample"), Acceptance::Accepted);
    }

    fn publish(&self) {
        publish_snapshot(
            &self.store,
            &Settings::default(),
            &self.pool.base,
            clock::now(),
        )
        .expect("publishes");
    }

    fn ccpd(&self, arguments: &[&str]) -> Command {
        let mut command = self.pool.command(CCPD);
        command.args(arguments).env("TZ", "UTC");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.ccpd(arguments).output().expect("runs ccpd")
    }

    fn table(&self, cwd: &Path) -> String {
        let output = self
            .ccpd(&["status", "--plain"])
            .current_dir(cwd)
            .output()
            .expect("runs ccpd");
        assert!(output.status.success(), "{output:?}");
        text(&output.stdout)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The label on the line that is marked as the next pick.
fn marked(table: &str) -> Option<&str> {
    let line = table
        .lines()
        .find(|l| l.starts_with("▸") && !l.contains("next pick"))?;
    line.trim_start_matches("▸ ").split_whitespace().next()
}

#[test]
fn the_table_goes_to_pipes_and_says_what_the_json_says() {
    let seen = Seen::new(&[(22.0, 46.0), (95.0, 10.0), (61.0, 70.0)]);
    let table = seen.table(seen.pool.user_home());
    assert_eq!(table, text(&seen.run(&["status"]).stdout), "piped is plain");
    assert!(!table.contains('\x1b'), "no colours: {table}");
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["ACCOUNT", "SCORE", "5h", "7d", "LIVE", "RESETS"]);
    assert_eq!(lines[1][..6], ["▸", "work", "68.1", "22%", "46%", "0"]);
    assert_eq!(lines[2][..5], ["side", "34.8", "61%", "70%", "0"]);
    assert!(table.contains("\nupdated "), "{table}");
    let json = seen.run(&["status", "--json"]);
    let status: Status = serde_json::from_slice(&json.stdout).expect("the documented JSON");
    assert_eq!((status.schema, status.accounts[0].id), (1, 1));
    assert_eq!(status.accounts[0].used_5h_pct, Some(22.0));
    assert_eq!(json.stderr, b"");
    let wrong = seen.run(&["status", "--json", "--watch"]);
    assert_eq!(wrong.status.code(), Some(2));
}

/// Whatever bears on a pick, the mark is on the account that is picked right afterwards.
#[test]
fn the_mark_is_on_what_a_launch_would_pick_here() {
    type Arrange = fn(&mut Seen, &Path);
    let rows: [(&str, Arrange, &str); 5] = [
        ("free", |_, _| {}, "work"),
        (
            "pinned by order",
            |seen, here| {
                seen.store.pin(here, id(3), clock::now()).expect("pins");
                seen.publish();
            },
            "side",
        ),
        (
            "pinned elsewhere",
            |seen, _| {
                seen.store
                    .pin(Path::new("/elsewhere"), id(3), clock::now())
                    .expect("pins");
                seen.publish();
            },
            "work",
        ),
        (
            "live sessions tip the balance",
            |seen, _| {
                seen.measure(1, 60.0, 70.0);
                seen.publish();
                let there = seen.pool.work_dir("there");
                let taken = seen
                    .ccpd(&["select", "--account", "work"])
                    .current_dir(there)
                    .output()
                    .expect("runs ccpd");
                assert!(taken.status.success(), "{taken:?}");
            },
            "side",
        ),
        (
            "used here within the hour",
            |seen, here| {
                seen.store
                    .note_activity(here, id(3), clock::now())
                    .expect("notes");
                seen.publish();
            },
            "side",
        ),
    ];
    for (name, arrange, expected) in rows {
        let mut seen = Seen::new(&[(22.0, 46.0), (95.0, 10.0), (61.0, 70.0)]);
        let here = seen.pool.work_dir("here");
        arrange(&mut seen, &here);
        let table = seen.table(&here);
        assert_eq!(marked(&table), Some(expected), "{name}\n{table}");
        let picked = seen
            .ccpd(&["select"])
            .current_dir(&here)
            .output()
            .expect("runs ccpd");
        let number = LABELS.iter().position(|l| *l == expected).expect("known") + 1;
        let dir = seen
            .pool
            .account_dir(u16::try_from(number).expect("a small number"));
        assert_eq!(
            text(&picked.stdout).trim_end(),
            dir.to_str().expect("text"),
            "{name}"
        );
    }
}

#[test]
fn times_are_those_of_the_zone_that_the_person_names() {
    let seen = Seen::new(&[(22.0, 46.0)]);
    if !Path::new("/usr/share/zoneinfo/Asia/Kolkata").exists() {
        ccp_standin::skip("there are no time zones on this machine");
        return;
    }
    let minute = |zone: &str| {
        let output = seen.ccpd(&["status", "--plain"]).env("TZ", zone).output();
        let table = text(&output.expect("runs ccpd").stdout);
        let updated = table.lines().last().expect("a last line").to_owned();
        let digits = updated.split([':', ' ']).nth_back(1).expect("minutes");
        digits.parse::<u32>().expect("a number")
    };
    // Half an hour off the hour: no other zone's rules could be taken for it.
    let distance = minute("Asia/Kolkata").abs_diff(minute("UTC"));
    assert!((29..=31).contains(&distance), "{distance}");
}

/// A client that ends without listening, each time at another moment of being talked to.
#[test]
fn a_client_that_hangs_up_ends_nothing_but_itself() {
    let seen = Seen::new(&[(22.0, 46.0), (30.0, 46.0), (40.0, 46.0)]);
    let client = seen.pool.user_home().join("client");
    put_executable(&client, b"#!/bin/sh\nexec 0<&-\nexit 1\n");
    for _ in 0..10 {
        let output = seen
            .ccpd(&["status", "--plain", "--live"])
            .env("CCP_CLAUDE", &client)
            .output()
            .expect("runs ccpd");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).contains("22%"), "{output:?}");
    }
}

#[test]
fn nobody_can_serve_and_nobody_is_there() {
    let mut seen = Seen::new(&[(22.0, 46.0)]);
    seen.store.set_needs_login(id(1), true).expect("records");
    seen.publish();
    let table = seen.table(seen.pool.user_home());
    assert_eq!(marked(&table), None, "{table}");
    assert!(table.contains("needs login"), "{table}");

    let empty = Pool::new(&[]);
    let run = |arguments: &[&str]| {
        let output = empty.command(CCPD).args(arguments).output();
        output.expect("runs ccpd")
    };
    let output = run(&["status", "--plain"]);
    assert_eq!(
        (output.status.code(), text(&output.stdout).as_str()),
        (Some(0), "")
    );
    assert!(text(&output.stderr).contains("ccp add"), "{output:?}");
    let output = run(&["status", "--json"]);
    let status: Status = serde_json::from_slice(&output.stdout).expect("the documented JSON");
    assert_eq!(status.accounts, []);
    assert_eq!(run(&["list"]).status.code(), Some(0));
    let output = run(&["why"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).starts_with("error: nothing was picked yet\nhint: "),
        "{output:?}"
    );
}

#[test]
fn watching_prints_again_when_something_changed_and_ends_with_ctrl_c() {
    let mut seen = Seen::new(&[(22.0, 46.0), (50.0, 10.0)]);
    let mut command = seen.ccpd(&["status", "--plain", "--watch"]);
    command.stdout(Stdio::piped());
    // SAFETY: between fork and exec only signal(2) is called. A script that runs these tests in its background has Ctrl-C
    // ignored, and watching would respect that.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_DFL);
            Ok(())
        });
    }
    let mut child = command.spawn().expect("starts ccpd");
    let stdout = child.stdout.take().expect("piped");
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let wait_for = |needle: &str| {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left);
            let line = line.unwrap_or_else(|e| panic!("no line with {needle}: {e}"));
            if line.contains(needle) {
                return line;
            }
        }
    };
    assert!(wait_for("work").contains("22%"));
    wait_for("updated ");
    seen.measure(1, 33.0, 46.0);
    seen.publish();
    assert!(wait_for("work").contains("33%"));
    let pid = libc::pid_t::try_from(child.id()).expect("a pid");
    // SAFETY: a signal to a child of ours that has not been waited for.
    let rc = unsafe { libc::kill(pid, libc::SIGINT) };
    assert_eq!(rc, 0);
    let status = ended(&mut child);
    assert_eq!(status.code(), Some(0), "{status}");
    reader.join().expect("reads to the end");
}

/// Waits for the end of a child with a bound.
fn ended(child: &mut Child) -> ExitStatus {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("is ours") {
            return status;
        }
        if started.elapsed() > Duration::from_secs(20) {
            let _ = child.kill();
            return child.wait().expect("ends");
        }
        files::pause(Duration::from_millis(20));
    }
}

#[test]
fn picks_are_explained_from_leases_and_database_each_once() {
    let mut seen = Seen::new(&[(22.0, 46.0), (95.0, 10.0), (61.0, 70.0)]);
    for (dir, extra) in [("one", &[][..]), ("two", &["--account", "side"][..])] {
        let dir = seen.pool.work_dir(dir);
        let output = seen
            .ccpd(&["select"])
            .args(extra)
            .current_dir(dir)
            .output()
            .expect("runs ccpd");
        assert!(output.status.success(), "{output:?}");
        // Two picks of one millisecond have no order.
        files::pause(Duration::from_millis(2));
    }
    let why = |seen: &Seen, arguments: &[&str]| {
        let output = seen.ccpd(&["why"]).args(arguments).output();
        output.expect("runs ccpd")
    };
    let last = text(&why(&seen, &[]).stdout);
    assert!(last.starts_with("side was picked"), "{last}");
    assert!(last.contains("it was asked for by name"), "{last}");
    assert!(last.contains("~/two"), "{last}");
    assert!(last.contains("runner-up: work, 31.3 ahead"), "{last}");
    let before = text(&why(&seen, &["2"]).stdout);
    assert!(before.starts_with("work was picked"), "{before}");
    assert!(
        before.contains("highest score of 3 accounts that could serve"),
        "{before}"
    );
    let none = why(&seen, &["3"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        text(&none.stderr).contains("only 2 picks are known"),
        "{none:?}"
    );

    let json = why(&seen, &["2", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(value["pick"]["label"], "work");
    assert_eq!(value["live"], true);
    assert_eq!(value["runner_up"]["label"], "side");

    // Folded into the database while the lease is still there, then the lease goes.
    for (name, record) in seen.pool.leases() {
        let lease = LeaseName::parse(&name).expect("a lease");
        let record = serde_json::from_value(record).expect("a record");
        seen.store.add_pick(&lease, &record).expect("keeps");
    }
    assert_eq!(why(&seen, &["3"]).status.code(), Some(1), "each once");
    for (name, _) in seen.pool.leases() {
        let lease = LeaseName::parse(&name).expect("a lease");
        leases::remove(&seen.pool.home.leases(), &lease).expect("removes");
    }
    let after = text(&why(&seen, &["2"]).stdout);
    assert!(after.starts_with("work was picked"), "{after}");
    assert!(after.contains("a reservation, over"), "{after}");
}

#[test]
fn the_list_says_who_and_where() {
    let seen = Seen::new(&[(22.0, 46.0), (95.0, 10.0)]);
    let plain = text(&seen.run(&["list"]).stdout);
    let dir = seen.pool.account_dir(2);
    let line = plain.lines().nth(2).expect("two accounts");
    for part in [
        "acct-02",
        "home",
        "home@example.test",
        dir.to_str().expect("text"),
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let json = seen.run(&["list", "--json"]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    let account = &value["accounts"][1];
    assert_eq!(account["config_dir"], dir.to_str().expect("text"));
    let service = account["keychain_service"].as_str().expect("text");
    assert!(
        service.starts_with("Claude Code-credentials-") && line.contains(service),
        "{service}"
    );
    assert_eq!(account["overlay"]["provider"], "symlink");
}
