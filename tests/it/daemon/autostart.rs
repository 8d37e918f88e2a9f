//! Daemons that launches and commands start in the background: when, what they keep of who started them, and that there
//! is one.

use super::{Stage, holds_within, runs};
use crate::life::world::BOUND;
use ccp_standin::Running;
use std::fs;
use std::time::Duration;

/// Two accounts with fresh numbers, and no daemon; where one may be started.
fn stage() -> Stage {
    let mut stage = Stage::new(2);
    stage.world.ok(&["refresh", "--all"]);
    assert!(!stage.home().daemon_lock().exists(), "not where it may not");
    stage.world.set("CCP_AUTOSTART", "");
    stage
}

/// The pid of the daemon once it is at work.
fn daemon_of(stage: &Stage) -> u32 {
    stage.until(|| stage.health()["phase"] == "ready");
    let pid = stage.health()["pid"].as_u64().expect("a number");
    u32::try_from(pid).expect("a pid")
}

fn end(stage: &Stage, pid: u32) {
    assert_eq!(stage.ask(r#"{"proto":1,"op":"shutdown"}"#)["ok"], true);
    assert!(holds_within(BOUND, || !runs(pid)));
}

/// Nothing comes up in the time in which one that was started would at least have locked.
fn nothing_starts(stage: &Stage) {
    let lock = stage.home().daemon_lock();
    assert!(!holds_within(Duration::from_millis(700), || lock.exists()));
}

#[test]
fn a_launch_starts_a_daemon_and_the_next_ones_leave_it_alone() {
    let stage = stage();
    let launch = &["run", "auth", "status"];
    let said = stage.world.run(launch);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(!said.stderr.contains("daemon"), "{}", said.stderr);
    let pid = daemon_of(&stage);
    stage.world.run(launch);
    stage.world.ok(&["select"]);
    stage.world.ok(&["refresh"]);
    assert_eq!(stage.health()["pid"], pid, "one is enough");
    let starts = fs::read_to_string(stage.home().daemon_starts()).expect("is noted");
    assert_eq!(starts.lines().count(), 1, "{starts}");
    end(&stage, pid);
}

#[test]
fn of_twenty_launches_at_once_one_daemon_is_left() {
    let stage = stage();
    let all: Vec<Running> = (0..20).map(|_| stage.world.start(&["select"])).collect();
    for mut launch in all {
        launch.close_stdin();
        assert_eq!(launch.output(BOUND).expect("ends").code, 0);
    }
    let pid = daemon_of(&stage);
    let starts = fs::read_to_string(stage.home().daemon_starts()).expect("is noted");
    assert!(starts.lines().count() <= 5, "{starts}");
    let log = stage.log();
    assert_eq!(log.matches(" started ").count(), 1, "{log}");
    end(&stage, pid);
}

#[cfg(target_os = "linux")]
#[test]
fn the_daemon_keeps_nothing_of_the_launch() {
    let stage = stage();
    let held = stage.world.home.path().join("held");
    let script = "trap '' TERM; ccp select 7>\"$HOME/held\"";
    let mut command = stage.world.command("/bin/sh", &["-c", script]);
    // As in a session of an account, whose processes are counted by this variable.
    command
        .env("CLAUDE_CONFIG_DIR", stage.world.account_dir(1))
        .env("ANTHROPIC_API_KEY", "made-up")
        .env("CLAUDECODE", "1");
    let mut launch = Running::start(command).expect("starts");
    launch.close_stdin();
    let output = launch.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{}", output.stderr);
    let pid = daemon_of(&stage);
    let of = |name: &str| fs::read(format!("/proc/{pid}/{name}")).expect("reads");
    let environment = String::from_utf8_lossy(&of("environ")).into_owned();
    for name in ["CLAUDE_CONFIG_DIR=", "ANTHROPIC_API_KEY=", "CLAUDECODE="] {
        assert!(!environment.contains(name), "{environment}");
    }
    let open = fs::read_dir(format!("/proc/{pid}/fd")).expect("lists");
    let open = open.filter_map(|e| fs::read_link(e.ok()?.path()).ok());
    assert!(
        !open.into_iter().any(|path| path == held),
        "a file of the launch"
    );
    for (number, target) in [(0, "/dev/null"), (1, "/dev/null"), (2, "/dev/null")] {
        let found = fs::read_link(format!("/proc/{pid}/fd/{number}")).expect("is open");
        assert_eq!(found.to_str(), Some(target));
    }
    let place = fs::read_link(format!("/proc/{pid}/cwd")).expect("has one");
    assert_eq!(
        place,
        fs::canonicalize(stage.home().path()).expect("is there")
    );
    let stat = String::from_utf8_lossy(&of("stat")).into_owned();
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .expect("fields")
        .split(' ')
        .collect();
    assert_eq!(
        (fields[2], fields[3]),
        (&*pid.to_string(), &*pid.to_string()),
        "leads a session"
    );
    assert_eq!(fields[4], "0", "has no terminal");
    // A signal that the launch ignored ends it all the same.
    let status = std::process::Command::new("kill")
        .arg(pid.to_string())
        .status();
    assert!(status.expect("runs").success());
    assert!(holds_within(BOUND, || !runs(pid)));
}

#[test]
fn nothing_starts_where_it_is_not_wanted() {
    let mut stage = stage();
    stage.world.set("CI", "true");
    stage.world.ok(&["select"]);
    stage.world.ok(&["refresh"]);
    nothing_starts(&stage);
    stage.world.set("CI", "");
    stage
        .world
        .ok(&["config", "set", "daemon.autostart", "false"]);
    stage.world.ok(&["sync"]);
    stage.world.ok(&["refresh"]);
    stage.world.ok(&["select"]);
    nothing_starts(&stage);
    // The variable overrides the setting.
    stage.world.set("CCP_AUTOSTART", "1");
    stage.world.ok(&["select"]);
    let pid = daemon_of(&stage);
    end(&stage, pid);
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_service_keeps_is_the_services() {
    let stage = stage();
    let unit = stage
        .world
        .home
        .path()
        .join(".config/systemd/user/ccp.service");
    fs::create_dir_all(unit.parent().expect("has one")).expect("creates");
    fs::write(&unit, "[Service]\nExecStart=\"/x/ccpd\" daemon\n").expect("writes");
    stage.world.ok(&["select"]);
    stage.world.ok(&["refresh"]);
    nothing_starts(&stage);
    // Another home's service is no reason.
    let text = "[Service]\nExecStart=\"/x/ccpd\" daemon\nEnvironment=\"CCP_HOME=/other\"\n";
    fs::write(&unit, text).expect("writes");
    stage.world.ok(&["refresh"]);
    let pid = daemon_of(&stage);
    end(&stage, pid);
}

#[test]
fn adopting_accounts_starts_it_and_says_so() {
    let stage = stage();
    let said = stage.world.run(&["init"]);
    assert!(
        said.stderr.contains("daemon now runs in the background"),
        "{}",
        said.stderr
    );
    let pid = daemon_of(&stage);
    let said = stage.world.run(&["init"]);
    assert!(!said.stderr.contains("daemon now runs"), "{}", said.stderr);
    let said = stage.world.ok(&["service", "status"]);
    assert!(
        said.contains(&format!("daemon   process {pid}, version ")),
        "{said}"
    );
    end(&stage, pid);
}

#[test]
fn one_that_cannot_live_is_started_five_times_in_a_minute_at_most() {
    let stage = stage();
    // It ends at once, for the lock is another program's.
    fs::write(stage.home().daemon_lock(), "4711\n").expect("writes");
    for _ in 0..8 {
        let words = ["daemon", "--detach", "--auto"];
        let command = stage.world.command(stage.world.bin("ccpd"), &words);
        let mut daemon = Running::start(command).expect("starts");
        assert!(daemon.output(BOUND).is_some());
    }
    let starts = fs::read_to_string(stage.home().daemon_starts()).expect("is noted");
    assert_eq!(starts.lines().count(), 5, "{starts}");
}

#[test]
fn an_account_is_not_taken_away_under_a_question_to_claude() {
    let stage = Stage::new(2);
    let asked = stage.world.home.path().join("asked");
    let script = format!(
        "echo asked > '{}'; sleep 1; mkdir -p \"$CLAUDE_CONFIG_DIR\"; exit 1",
        asked.display()
    );
    stage.world.replace_claude(&script);
    let mut daemon = stage.start(&[]);
    assert!(holds_within(BOUND, || asked.exists()));
    for account in ["1", "2"] {
        stage.world.ok(&["remove", account, "-y"]);
    }
    stage.ask(r#"{"proto":1,"op":"shutdown"}"#);
    assert_eq!(daemon.end().0, 0);
    for number in [1, 2] {
        let dir = stage.world.account_dir(number);
        assert!(!dir.exists(), "{}", dir.display());
    }
}
