//! Sessions that no lease tells of: where they count, and what does not count as one.

use super::{Daemon, SOON, Stage, holds_within};
use ccp_standin::Running;
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// A process that calls itself claude, under an account, until its input is closed.
struct Claude {
    running: Running,
}

impl Claude {
    fn start(stage: &Stage, account: u16, prepare: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new("/bin/sh");
        command
            .arg0("claude")
            .env_clear()
            .env("CLAUDE_CONFIG_DIR", stage.world.account_dir(account))
            .current_dir(stage.world.home.work_dir());
        prepare(&mut command);
        let mut running = Running::start(command).expect("starts");
        let line = running.wait_for_line(|line| line.starts_with("runs"), SOON);
        assert!(line.is_some(), "it runs");
        Self { running }
    }

    /// One that does nothing else.
    fn idle(stage: &Stage, account: u16) -> Self {
        Self::start(stage, account, |command| {
            command.args(["-c", "echo runs; read line"]);
        })
    }

    fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Ends it, as a person would, and its registry entry with it.
    fn end(mut self, stage: &Stage) {
        let entry = entry(stage, self.pid());
        self.running.close_stdin();
        self.running.output(SOON).expect("it ends");
        let _ = fs::remove_file(entry);
    }
}

fn entry(stage: &Stage, pid: u32) -> PathBuf {
    let base = stage.world.home.path().join(".claude/sessions");
    base.join(format!("{pid}.json"))
}

/// What claude writes for a session; the overlay leads there from every account.
fn register(stage: &Stage, pid: u32) {
    let start = ccp::adapters::procs::start_time(pid).expect("runs");
    let text = format!(r#"{{"pid":{pid},"procStart":"{start}","status":"idle"}}"#);
    fs::write(entry(stage, pid), text).expect("writes");
}

/// Sessions without a lease, of each account, as launches see them.
fn unleased(stage: &Stage) -> Vec<u32> {
    let accounts = stage.world.snapshot().accounts;
    accounts.iter().map(|a| a.unleased_sessions).collect()
}

/// Sessions of each account, as the daemon says them.
fn live(stage: &Stage) -> Vec<u64> {
    let answer = stage.ask(r#"{"proto":1,"op":"status"}"#);
    let accounts = answer["status"]["accounts"].as_array().expect("a list");
    let number = |value: &Value| value.as_u64().expect("a number");
    let live = accounts
        .iter()
        .map(|a| (number(&a["id"]), number(&a["sessions"])));
    let live: std::collections::BTreeMap<u64, u64> = live.collect();
    live.into_values().collect()
}

/// A daemon that notices from its start on what changes in claude's list.
fn started(accounts: u16) -> (Stage, Daemon) {
    let stage = Stage::new(accounts);
    stage.world.ok(&["sync"]);
    let daemon = stage.start_ready(&[]);
    (stage, daemon)
}

#[test]
fn a_session_without_a_lease_counts_while_it_runs() {
    let (stage, _daemon) = started(2);
    let claude = Claude::idle(&stage, 1);
    register(&stage, claude.pid());
    stage.until(|| unleased(&stage) == [1, 0]);
    assert_eq!(live(&stage), [1, 0]);
    let status: Value =
        serde_json::from_str(&stage.world.ok(&["status", "--json"])).expect("is JSON");
    let shown = status["accounts"].as_array().expect("a list");
    let busy = shown.iter().find(|a| a["id"] == 1).expect("is there");
    assert_eq!(busy["sessions"], 1, "{busy}");
    stage.ask(r#"{"proto":1,"op":"refresh","all":true}"#);
    // Two accounts of equal headroom: the one that nobody uses is emptier.
    let picked = stage.world.ok(&["select", "--no-daemon"]);
    assert!(picked.trim().ends_with("acct-02"), "{picked}");
    claude.end(&stage);
    stage.until(|| unleased(&stage) == [0, 0]);
}

#[test]
fn what_is_no_session_does_not_count() {
    let stage = Stage::new(1);
    stage.world.ok(&["sync"]);
    // As `claude --bg` leaves one: it runs sessions, and is none.
    fs::write(
        stage.world.home.work_dir().join("daemon"),
        "echo runs; read line",
    )
    .expect("writes");
    let supervisor = Claude::start(&stage, 1, |command| {
        command.arg("daemon");
    });
    let probe = Claude::start(&stage, 1, |command| {
        command
            .env("CCP_PROBE", "1")
            .args(["-c", "echo runs; read line"]);
    });
    register(&stage, probe.pid());
    // A process that was killed left its entry, and its number is another's now.
    let stranger = Claude::start(&stage, 1, |command| {
        command.arg0("vim").args(["-c", "echo runs; read line"]);
    });
    fs::write(
        entry(&stage, stranger.pid()),
        format!(r#"{{"pid":{},"procStart":"1"}}"#, stranger.pid()),
    )
    .expect("writes");
    // A session with a program in it that claude lists too: one that is asked something by another.
    let mut parent = Claude::start(&stage, 1, |command| {
        command.args(["-c", "/bin/sh -c 'echo runs; echo child $$; cat'; :"]);
    });
    let line = parent
        .running
        .wait_for_line(|line| line.starts_with("child "), SOON)
        .expect("says its number");
    let child: u32 = line["child ".len()..].trim().parse().expect("a number");
    register(&stage, parent.pid());
    register(&stage, child);
    // One that claude does not list yet is found by its name, when everything is looked at.
    let unlisted = Claude::idle(&stage, 1);
    let _daemon = stage.start_ready(&[]);
    stage.until(|| unleased(&stage) == [2]);
    // And no look at the list alone forgets it.
    let third = Claude::idle(&stage, 1);
    register(&stage, third.pid());
    stage.until(|| unleased(&stage) == [3]);
    for claude in [third, unlisted, parent, stranger, probe, supervisor] {
        claude.end(&stage);
    }
    let _ = fs::remove_file(entry(&stage, child));
}

#[test]
fn a_session_with_a_lease_counts_once() {
    let (stage, _daemon) = started(1);
    stage.world.replace_claude(
        "#!/bin/sh\necho \"{\\\"pid\\\":$$}\" >\"$CLAUDE_CONFIG_DIR/sessions/$$.json\"\necho runs\nread line\n\
         rm \"$CLAUDE_CONFIG_DIR/sessions/$$.json\"\n",
    );
    let mut running = stage.world.start(&["run"]);
    assert!(running.wait_for_line(|l| l == "runs", SOON).is_some());
    stage.until(|| live(&stage) == [1]);
    // However often is looked: a second session makes it look again.
    let claude = Claude::idle(&stage, 1);
    register(&stage, claude.pid());
    stage.until(|| unleased(&stage) == [1]);
    assert_eq!(live(&stage), [2]);
    running.close_stdin();
    running.output(SOON).expect("it ends");
    claude.end(&stage);
}

#[test]
fn a_reservation_ends_with_the_session_that_it_was_made_for() {
    let (stage, _daemon) = started(1);
    assert_eq!(stage.ask(r#"{"proto":1,"op":"select"}"#)["ok"], true);
    assert_eq!(live(&stage), [1]);
    let claude = Claude::idle(&stage, 1);
    register(&stage, claude.pid());
    stage.until(|| unleased(&stage) == [1]);
    stage.until(|| live(&stage) == [1]);
    let leases = fs::read_dir(stage.home().leases()).expect("lists");
    let left = leases.flatten().filter(|e| {
        let name = e.file_name();
        name.to_string_lossy().starts_with("acct-")
    });
    assert_eq!(left.count(), 0, "it was taken for that session");
    claude.end(&stage);
}

#[test]
fn what_cannot_be_told_is_busy() {
    let stage = Stage::new(2);
    stage.world.ok(&["sync"]);
    let registry = stage.world.home.path().join(".claude/sessions");
    fs::remove_dir(&registry).expect("is empty");
    fs::write(&registry, "in the way").expect("writes");
    let _daemon = stage.start_ready(&[]);
    assert!(
        holds_within(SOON, || unleased(&stage) == [1, 1]),
        "{:?}; {}",
        unleased(&stage),
        stage.log()
    );
    assert!(stage.log().contains("sessions not counted"));
}
