//! Beginning and end: one at a time, and nothing outlives what it belongs to.

use super::{Stage, runs};
use crate::life::world::BOUND;
use ccp::contract::proto::note::{Found, Note};
use ccp_standin::Running;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

#[test]
fn every_op_is_answered() {
    let stage = Stage::new(2);
    let mut daemon = stage.start_ready(&[]);
    let health = stage.health();
    assert_eq!(health["accounts"], 2, "{health}");
    assert_eq!(health["speaks"], 1);
    let status = stage.ask(r#"{"proto":1,"op":"status"}"#);
    assert_eq!(
        status["status"]["accounts"].as_array().map(Vec::len),
        Some(2)
    );

    let picked = stage.ask(r#"{"proto":1,"op":"select","cwd":"/","account":"2"}"#);
    assert_eq!(
        (&picked["id"], &picked["reason"]),
        (&"acct-02".into(), &"forced".into())
    );
    let lease = picked["lease"].as_str().expect("a reservation");
    assert!(stage.home().leases().join(lease).exists());
    let checkin = format!(r#"{{"proto":1,"op":"checkin","lease":"{lease}"}}"#);
    assert_eq!(stage.ask(&checkin)["ended"], true);
    assert_eq!(stage.ask(&checkin)["ended"], false, "once");
    let unknown = stage.ask(r#"{"proto":1,"op":"select","account":"nobody"}"#);
    assert_eq!(unknown["error"]["code"], "no_pick");

    let at = ccp::adapters::clock::now().unix_ms();
    let report = format!(
        r#"{{"proto":1,"op":"report","account":1,"measured_at_ms":{at},"source":"live",
            "windows":[{{"kind":"five_hour","used":42.0}}]}}"#
    )
    .replace('\n', " ");
    assert_eq!(stage.ask(&report)["kept"], true);
    let sample = stage.world.snapshot().accounts[0].sample.clone();
    assert_eq!(sample.expect("is published").windows[0].used, 42.0);
    let nobody = stage.ask(r#"{"proto":1,"op":"refresh","accounts":[]}"#);
    assert_eq!(nobody["ok"], true, "{nobody}");

    assert_eq!(stage.ask(r#"{"proto":1,"op":"shutdown"}"#)["ok"], true);
    assert_eq!(daemon.end().0, 0);
    assert!(!stage.socket().exists(), "it takes its socket along");
}

#[test]
fn the_socket_is_the_owners_alone() {
    let stage = Stage::new(1);
    let _daemon = stage.start_ready(&[]);
    let mode = |path| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(stage.socket()), 0o600);
    assert_eq!(mode(stage.home().daemon_log()), 0o600);
}

#[test]
fn a_second_daemon_names_the_first_and_ends() {
    let stage = Stage::new(1);
    let first = stage.start_ready(&[]);
    let (code, said) = stage.start(&[]).end();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains(&format!("process {}", first.running.pid())),
        "{said}"
    );
    assert_eq!(stage.health()["pid"], first.running.pid());
}

#[test]
fn of_ten_that_start_at_once_one_stays() {
    let stage = Stage::new(1);
    let mut all: Vec<_> = (0..10).map(|_| stage.start(&[])).collect();
    stage.until(|| stage.health()["phase"] == "ready");
    let pid = stage.health()["pid"].as_u64().expect("a number");
    for daemon in &mut all {
        if u64::from(daemon.running.pid()) != pid {
            assert_eq!(daemon.end().0, 0);
        }
    }
    assert_eq!(stage.health()["pid"], pid);
}

#[test]
fn a_killed_daemons_socket_is_stale_and_taken_over() {
    let stage = Stage::new(1);
    let mut first = stage.start_ready(&[]);
    first.running.signal("KILL");
    first.end();
    assert!(stage.socket().exists(), "it had no time");
    let _second = stage.start_ready(&[]);
}

#[test]
fn another_programs_lock_file_is_left_alone() {
    let stage = Stage::new(1);
    fs::write(stage.home().daemon_lock(), "4711\n").expect("writes");
    let (code, said) = stage.start(&[]).end();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("belongs to another program"), "{said}");
    assert_eq!(
        fs::read(stage.home().daemon_lock()).expect("reads"),
        b"4711\n"
    );
    assert!(!stage.socket().exists());
}

#[test]
fn an_older_protocol_steps_down_and_a_newer_one_stays() {
    let stage = Stage::new(1);
    let mut old = stage.start_ready(&[]);
    let new = stage.start_ready(&["--proto", "2"]);
    assert_eq!(old.end().0, 0);
    assert_eq!(stage.health_of(new.running.pid())["speaks"], 2);
    let (code, said) = stage.start(&[]).end();
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains(&format!("process {}", new.running.pid())),
        "{said}"
    );
}

#[test]
fn a_home_too_deep_for_a_socket_has_it_elsewhere() {
    let stage = Stage::new(0);
    let deep = stage
        .world
        .home
        .path()
        .join("d".repeat(100))
        .join(".cc-pool");
    let runtime = stage.world.home.path().join("run");
    fs::create_dir(&runtime).expect("creates");
    let mut command = stage.world.command(stage.world.bin("ccpd"), &["daemon"]);
    command
        .env("CCP_HOME", &deep)
        .env("XDG_RUNTIME_DIR", &runtime);
    let daemon = Running::start(command).expect("starts");
    let note = || match fs::read(deep.join("daemon.lock")).map(|t| Note::parse(&t)) {
        Ok(Found::Note(note)) => Some(note),
        _ => None,
    };
    stage.until(|| note().is_some());
    let note = note().expect("is noted");
    assert!(
        note.socket.as_os_str().len() <= 103,
        "{}",
        note.socket.display()
    );
    assert_eq!(note.pid, daemon.pid());
    let home = ccp::contract::paths::Home::new(&deep).expect("absolute");
    let health = ccp::contract::proto::Request::Health;
    let answer = ccp::client::ask(&home, &health, BOUND).expect("is found and answers");
    assert!(matches!(answer, ccp::contract::proto::Response::Health(h) if h.pid == note.pid));
    daemon.signal("TERM");
    stage.until(|| !note.socket.exists());
}

#[test]
fn a_home_on_another_computers_disk_has_its_socket_elsewhere() {
    let mut stage = Stage::new(1);
    let runtime = stage.world.home.path().join("run");
    fs::create_dir(&runtime).expect("creates");
    stage.world.set("XDG_RUNTIME_DIR", &runtime);
    stage.world.set("CCP_TEST_DAEMON", "remote_home=true");
    let mut daemon = stage.start(&[]);
    let health = ccp::contract::proto::Request::Health;
    let mut found = None;
    stage.until(|| {
        found = ccp::client::ask(&stage.home(), &health, BOUND).ok();
        found.is_some()
    });
    assert!(!stage.socket().exists(), "not in the home");
    let sockets = fs::read_dir(runtime.join("ccp")).expect("lists").flatten();
    let sockets: Vec<_> = sockets.map(|entry| entry.path()).collect();
    assert_eq!(sockets.len(), 1, "{sockets:?}");
    // Commands find it there.
    stage.until(|| stage.world.snapshot().accounts[0].sample.is_some());
    let said = stage.world.run(&["refresh", "--all"]).stderr;
    assert!(said.contains("a1: sampled"), "{said}");
    daemon.running.signal("TERM");
    assert_eq!(daemon.end().0, 0);
    assert!(!sockets[0].exists());
}

#[test]
fn an_end_does_not_wait_for_a_claude_that_hangs() {
    for renews in [false, true] {
        let stage = Stage::new(1);
        let started = stage.world.home.path().join("started");
        // One that hangs, and one that is in the middle of renewing its login and takes its time.
        let (lock, left) = (
            stage.world.account_dir(1).join(".oauth_refresh.lock"),
            stage.world.home.path().join("renewed"),
        );
        let body = if renews {
            format!(
                "trap 'touch {left}; rmdir {lock}; exit 0' TERM; mkdir {lock}",
                left = left.display(),
                lock = lock.display()
            )
        } else {
            String::new()
        };
        stage.world.replace_claude(&format!(
            "#!/bin/sh\n{body}\necho $$ >{0}.new\nmv {0}.new {0}\nwhile :; do sleep 0.05; done\n",
            started.display()
        ));
        let mut daemon = stage.start_ready(&[]);
        stage.until(|| started.exists());
        let claude = fs::read_to_string(&started).expect("reads");
        let claude: u32 = claude.trim().parse().expect("a number");
        let began = std::time::Instant::now();
        assert_eq!(stage.ask(r#"{"proto":1,"op":"shutdown"}"#)["ok"], true);
        assert_eq!(daemon.end().0, 0);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(8), "{took:?}: {}", stage.log());
        assert!(!runs(claude), "it is gone, too");
        assert_eq!(left.exists(), renews, "it could finish");
        assert!(!stage.log().contains("not waited for"), "{}", stage.log());
        let problem = stage.world.store().accounts().expect("lists")[0]
            .health
            .problem
            .clone();
        assert_eq!(problem, None, "what was broken off is nobody's problem");
    }
}

#[test]
fn nobody_is_asked_while_the_battery_is_saved() {
    let mut stage = Stage::new(1);
    let sys = stage.world.home.path().join("sys");
    let write = |path: &str, text: &str| {
        let path = sys.join(path);
        fs::create_dir_all(path.parent().expect("has one")).expect("makes");
        fs::write(path, text).expect("writes");
    };
    write("class/power_supply/BAT0/type", "Battery\n");
    write("class/power_supply/BAT0/status", "Discharging\n");
    write("firmware/acpi/platform_profile", "low-power\n");
    let told = format!("power_ms=50,sys={}", sys.display());
    stage.world.set("CCP_TEST_DAEMON", told);
    let _daemon = stage.start_ready(&[]);
    stage.until(|| stage.world.snapshot().paused_since_ms.is_some());
    assert!(stage.world.snapshot().accounts[0].sample.is_none());
    assert_eq!(stage.health()["swept_at_ms"], serde_json::Value::Null);
    // A client gets its numbers all the same; and the plug ends the rest.
    write("class/power_supply/BAT0/status", "Charging\n");
    stage.until(|| stage.world.snapshot().paused_since_ms.is_none());
    stage.until(|| stage.world.snapshot().accounts[0].sample.is_some());
    assert!(stage.log().contains("battery saver on=true"));
    assert!(stage.log().contains("battery saver on=false"));
}

#[test]
fn a_computer_that_woke_up_asks_everybody_once() {
    let mut stage = Stage::new(1);
    let slept = stage.world.home.path().join("slept");
    let told = format!("slept={}", slept.display());
    stage.world.set("CCP_TEST_DAEMON", told);
    let asked_at = |stage: &Stage| {
        let accounts = stage.world.store().accounts().expect("lists");
        accounts[0].health.probed_at
    };
    let _daemon = stage.start_ready(&[]);
    stage.until(|| stage.world.snapshot().accounts[0].sample.is_some());
    stage.until(|| asked_at(&stage).is_some());
    let before = asked_at(&stage);
    fs::write(&slept, "3600").expect("writes");
    let woke = |stage: &Stage| {
        // Whatever happens makes it look.
        stage.ask(r#"{"proto":1,"op":"status"}"#);
        stage.log().matches("woke up slept_s=3600").count()
    };
    stage.until(|| woke(&stage) == 1);
    // 5 to 15 s later: the network has to come back first.
    stage.until(|| asked_at(&stage) > before);
    assert_eq!(woke(&stage), 1, "it woke up once");
}

#[test]
fn a_daemon_ends_with_its_owner_and_with_its_home() {
    let mut stage = Stage::new(1);
    let mut owner = Command::new("/bin/cat")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    stage
        .world
        .set("CCP_TEST_OWNER_PID", owner.id().to_string());
    let mut daemon = stage.start_ready(&[]);
    drop(owner.stdin.take());
    owner.wait().expect("ends");
    assert_eq!(daemon.end().0, 0);

    stage
        .world
        .set("CCP_TEST_OWNER_PID", std::process::id().to_string());
    let mut daemon = stage.start_ready(&[]);
    let aside = stage.home().path().with_extension("gone");
    fs::rename(stage.home().path(), aside).expect("moves");
    assert_eq!(daemon.end().0, 0);
}

#[test]
fn health_is_answered_while_the_database_cannot_be_opened() {
    let stage = Stage::new(1);
    let database = stage.home().state_db();
    fs::remove_file(&database).expect("removes");
    // Opening a pipe that nobody writes takes for ever.
    let made = Command::new("mkfifo")
        .arg(&database)
        .status()
        .expect("runs");
    assert!(made.success());
    let daemon = stage.start(&[]);
    stage.until(|| stage.health_of(daemon.running.pid())["phase"] == "starting");
    let answer = stage.ask(r#"{"proto":1,"op":"status"}"#);
    assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
}

#[test]
fn settings_that_are_wrong_are_said_and_waited_for() {
    let stage = Stage::new(1);
    let config = stage.home().config();
    fs::write(&config, "rubbish").expect("writes");
    let _daemon = stage.start(&[]);
    stage.until(|| stage.health()["phase"] == "degraded");
    let problem = stage.health()["problem"].to_string();
    assert!(problem.contains("config.toml"), "{problem}");
    fs::write(&config, "").expect("writes");
    stage.until(|| stage.health()["phase"] == "ready");
}
