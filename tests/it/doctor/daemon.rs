//! The daemon, what one left, and the service that keeps it.

use super::{Then, check, healthy, line_of};
use crate::daemon::holds_within;
use crate::life::world::{BOUND, World};
use ccp::adapters::files::Lock;
use ccp::adapters::{clock, procs};
use ccp::contract::proto::note::Note;
use ccp_standin::Running;
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;
use std::time::Duration;

const HOUR: i64 = 3_600_000;

/// A daemon of another version, or of another time. It ends when it is asked to.
struct Pretended(Option<JoinHandle<()>>);

impl Pretended {
    /// One that holds the lock, and answers with this version, and that it started and swept so long ago.
    fn start(world: &World, version: &str, hours: i64) -> Self {
        let (home, pid) = (world.ccp_home(), std::process::id());
        let lock = Lock::acquire(&home.daemon_lock(), Duration::ZERO).expect("opens");
        let lock = lock.expect("is free");
        let note = Note {
            pid,
            start: procs::start_time(pid),
            version: version.to_owned(),
            proto: 1,
            socket: home.daemon_socket(),
        };
        let listener = UnixListener::bind(home.daemon_socket()).expect("listens");
        lock.note(note.line().as_bytes()).expect("notes");
        let then = clock::now().unix_ms() - hours * HOUR;
        let health = json!({"proto": 1, "ok": true, "op": "health", "version": version, "speaks": 1, "pid": pid,
            "phase": "ready", "problem": null, "started_at_ms": then, "accounts": 2, "connections": 1,
            "swept_at_ms": then});
        let answer = move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("connects");
                let mut line = String::new();
                let read = BufReader::new(&stream).read_line(&mut line);
                let is_end = read.is_err() || line.contains("shutdown");
                let ended = r#"{"proto":1,"ok":true,"op":"shutdown"}"#.to_owned();
                let said = if is_end { ended } else { health.to_string() };
                let _ = stream.write_all(format!("{said}\n").as_bytes());
                if is_end {
                    let _ = fs::remove_file(home.daemon_socket());
                    drop(lock);
                    return;
                }
            }
        };
        Self(Some(std::thread::spawn(answer)))
    }

    /// Waits until it was asked to end.
    fn ended(mut self) {
        let thread = self.0.take().expect("runs");
        assert!(holds_within(BOUND, || thread.is_finished()));
        thread.join().expect("ends well");
    }
}

#[test]
fn a_daemon_of_another_version_is_ended() {
    let world = healthy();
    let said = world.ok(&["doctor"]);
    let line = line_of(&said, "daemon");
    assert!(line.starts_with("✓ daemon: it does not run"), "{line}");
    let daemon = Pretended::start(&world, "0.0.9", 0);
    let fixed = Then::Fixed("ended the daemon");
    check(&world, "daemon", '!', "is 0.0.9, and ccp is", fixed);
    daemon.ended();
}

#[test]
fn a_daemon_that_keeps_no_numbers_fresh_is_noticed() {
    let world = healthy();
    let version = env!("CARGO_PKG_VERSION");
    let daemon = Pretended::start(&world, version, 1);
    let said = world.ok(&["doctor"]);
    assert!(line_of(&said, "daemon-sweep").starts_with('✓'), "{said}");
    assert!(line_of(&said, "daemon").contains("for 1 hour"), "{said}");
    world.ok(&["service", "uninstall", "--purge", "-y"]);
    daemon.ended();

    let world = healthy();
    let daemon = Pretended::start(&world, version, 3);
    let hint = Then::Hint("`ccp refresh --all`");
    check(&world, "daemon-sweep", '!', "3 hours ago", hint);
    world.ok(&["service", "uninstall", "--purge", "-y"]);
    daemon.ended();
}

/// A real one.
fn start(world: &World) -> Running {
    let command = world.command(world.bin("ccpd"), &["daemon"]);
    let running = Running::start(command).expect("starts");
    let health = ccp::contract::proto::Request::Health;
    let answers = || ccp::client::ask(&world.ccp_home(), &health, BOUND).is_ok();
    assert!(holds_within(BOUND, answers));
    running
}

#[test]
fn a_daemon_that_does_not_answer_is_ended() {
    let world = healthy();
    let mut daemon = start(&world);
    fs::remove_file(world.ccp_home().daemon_socket()).expect("removes");
    let found = format!(
        "process {} holds daemon.lock, and nobody answers",
        daemon.pid()
    );
    check(
        &world,
        "daemon",
        '✗',
        &found,
        Then::Fixed("ended the daemon"),
    );
    assert_eq!(daemon.output(BOUND).expect("ended").code, 0);
}

#[test]
fn a_daemon_that_cannot_work_says_why() {
    let world = healthy();
    fs::write(world.ccp_home().config(), "rubbish").expect("writes");
    let daemon = start(&world);
    let line = || {
        let said = world.run(&["doctor"]).stdout;
        line_of(&said, "daemon").to_owned()
    };
    assert!(holds_within(BOUND, || line().contains("cannot do its work: ")));
    assert!(line().starts_with('✗') && line().contains("ccp logs"));
    daemon.signal("TERM");
}

#[test]
fn a_daemon_that_dies_again_and_again_is_noticed() {
    let world = healthy();
    let now = clock::now().unix_ms();
    let starts: String = (0..5).map(|n| format!("{}\n", now - n * 1000)).collect();
    fs::write(world.ccp_home().daemon_starts(), starts).expect("writes");
    let hint = Then::Hint("`ccp logs`");
    check(&world, "daemon", '✗', "again and again", hint);
}

#[test]
fn what_a_daemon_left_goes_and_what_another_program_has_stays() {
    let world = healthy();
    let home = world.ccp_home();
    drop(UnixListener::bind(home.daemon_socket()).expect("listens"));
    let id = "daemon-files";
    check(
        &world,
        id,
        '!',
        "left of a daemon that died",
        Then::Fixed("removed"),
    );
    assert!(!home.daemon_socket().exists());
    fs::write(home.daemon_socket(), "mine").expect("writes");
    check(&world, id, '✗', "is no socket", Then::Hint("move it away"));
    fs::remove_file(home.daemon_socket()).expect("removes");
    fs::write(home.daemon_lock(), "4711\n").expect("writes");
    let hint = || Then::Hint("stop that program");
    check(&world, id, '✗', "another program's", hint());
    assert_eq!(fs::read(home.daemon_lock()).expect("reads"), b"4711\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_that_runs_something_else_is_noticed() {
    let world = healthy();
    let unit = world.home.path().join(".config/systemd/user/ccp.service");
    fs::create_dir_all(unit.parent().expect("has one")).expect("creates");
    let write = |program: &str, more: &str| {
        let text = format!("[Service]\nExecStart=\"{program}\" daemon\n{more}");
        fs::write(&unit, text).expect("writes");
    };
    let hint = || Then::Hint("`ccp service install`");
    write("/nowhere/ccpd", "");
    check(
        &world,
        "service",
        '✗',
        "/nowhere/ccpd, which is missing",
        hint(),
    );
    let said = world.run(&["doctor"]).stdout;
    let line = line_of(&said, "daemon");
    assert!(
        line.starts_with('✗') && line.contains("is to keep it"),
        "{line}"
    );

    let other = world.home.path().join("other");
    fs::create_dir(&other).expect("creates");
    fs::write(other.join("ccpd"), "").expect("writes");
    fs::write(other.join("ccp"), "..ccp launcher 0.0.9 needs..").expect("writes");
    write(other.join("ccpd").to_str().expect("text"), "");
    check(&world, "service", '!', "which is 0.0.9", hint());
    write(world.bin("ccpd").to_str().expect("text"), "");
    let said = world.run(&["doctor"]).stdout;
    assert!(line_of(&said, "service").starts_with('✓'), "{said}");
    write("/nowhere/ccpd", "Environment=\"CCP_HOME=/other\"\n");
    let said = world.ok(&["doctor"]);
    assert!(
        line_of(&said, "service").contains("keeps another home"),
        "{said}"
    );
}

#[test]
fn configured_pools_that_do_not_run_are_named_with_what_is_wrong_in_their_tables() {
    let world = healthy();
    let pools = "[pool.idle]\nautostart = false\n";
    fs::write(world.ccp_home().config(), pools).expect("writes");
    let said = world.ok(&["doctor"]);
    assert!(
        line_of(&said, "pools").contains("1 pool, all well"),
        "{said}"
    );
    let pools = "[pool.p]\ndir = \"~/nowhere\"\naccounts = [\"jo\", \"nobody\"]\n";
    fs::write(world.ccp_home().config(), pools).expect("writes");
    let said = world.run(&["doctor"]).stdout;
    let line = line_of(&said, "pools");
    assert!(line.starts_with('✗') && !line.contains("`jo`"), "{line}");
    for text in [
        "pool.p names `nobody`, which is no account",
        "~/nowhere, where pool.p is to run, is no directory",
        "pool p does not run, for the daemon does not",
    ] {
        assert!(line.contains(text), "{text}: {line}");
    }
}
