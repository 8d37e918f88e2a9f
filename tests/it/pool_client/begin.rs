//! `ccp pool init`: directories, configuration, a detached daemon, `pools.json`.

use super::{Scripted, Stage, end, error};
use ccp::contract::pool::Request;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A daemon that keeps what it was asked, and ends when it is told to or nobody is there any more.
const DAEMON: &str = r#"#!/usr/bin/env python3
import json, os, socket, sys, threading, time
assert sys.argv[1] == "--pool-dir", sys.argv
pool = sys.argv[2]
if os.path.exists(pool + "/broken"):
    sys.exit("error: the database is broken")
os.setsid()
owner = int(os.environ["CLAUDE_POOL_TEST_OWNER_PID"])
def watch():
    while os.path.exists("/proc/%d" % owner) or sys.platform == "darwin":
        time.sleep(0.1)
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
listener = socket.socket(socket.AF_UNIX)
os.chdir(pool)
listener.bind("api.sock")
listener.listen()
health = {"name": os.path.basename(pool), "size": 2, "queueDepth": 0, "slots": {"fresh": 2}, "sessions": {}, "config": {}}
while True:
    stream, _ = listener.accept()
    for line in stream.makefile("r"):
        request = json.loads(line)
        open("asked", "a").write(line)
        kind = request["type"]
        reply = {"ping": {"type": "pong", "version": "test"}, "config": {"type": "config", "config": {}},
                 "destroy": {"type": "ok"}}.get(kind, {"type": "health", "health": health})
        stream.sendall((json.dumps(reply) + "\n").encode())
        if kind == "destroy":
            os.unlink("api.sock")
            sys.exit(0)
"#;

/// A stage on which a pool can begin.
fn stage_with_daemon(stage: &Stage) -> PathBuf {
    let program = stage.path().join("daemon");
    fs::write(&program, DAEMON).expect("writes");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("can be run");
    program
}

fn init(stage: &Stage, arguments: &[&str]) -> ccp_standin::Output {
    let words: Vec<&str> = ["pool", "init"].iter().chain(arguments).copied().collect();
    let mut command = stage.command("ccp", &words);
    command.env("CLAUDE_POOL_DAEMON", stage_with_daemon(stage));
    end(command)
}

fn read(path: PathBuf) -> Value {
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).expect("is JSON")
}

#[test]
fn a_pool_begins_from_nothing_and_goes_on_when_asked_again() {
    let stage = Stage::new();
    let output = init(
        &stage,
        &[
            "--size",
            "2",
            "--flags",
            "--model x",
            "--dir",
            ".",
            "--keep-fresh",
            "0",
            "--no-restore",
        ],
    );
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(
        output.stdout,
        "default: 2 slots, 0 queued\n  slots     2 fresh\n  sessions  none\n"
    );
    let dir = stage.pool_dir("default");
    for private in [&dir, &dir.parent().expect("has one").to_path_buf()] {
        let mode = fs::metadata(private)
            .expect("is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "{}", private.display());
    }
    let work = fs::canonicalize(stage.path().join("work")).expect("is there");
    assert_eq!(
        read(dir.join("config.json")),
        json!({"size": 2, "flags": "--model x", "dir": work, "keepFresh": 0})
    );
    let pools = read(stage.path().join(".claude-pool/pools.json"));
    assert_eq!(pools, json!({"default": {"socket": dir.join("api.sock")}}));
    let asked = || fs::read_to_string(dir.join("asked")).expect("was asked");
    assert!(
        asked().ends_with("{\"type\":\"init\",\"size\":2,\"noRestore\":true}\n"),
        "{}",
        asked()
    );
    // The second one finds it running, and tells it what is new.
    let output = init(&stage, &["--flags", "--model y"]);
    assert_eq!(output.code, 0, "{output:?}");
    let expected = "{\"type\":\"config\",\"set\":{\"flags\":\"--model y\"}}\n{\"type\":\"init\"}\n";
    assert!(asked().ends_with(expected), "{}", asked());
    assert_eq!(stage.ok(&["destroy", "--confirm"]), "ok\n");
}

#[test]
fn two_that_begin_the_same_pool_at_once_find_one_daemon() {
    let stage = Stage::new();
    let program = stage_with_daemon(&stage);
    let mut both: Vec<ccp_standin::Running> = (0..2)
        .map(|_| {
            let mut command = stage.command("ccp", &["pool", "init"]);
            command.env("CLAUDE_POOL_DAEMON", &program);
            ccp_standin::Running::start(command).expect("starts")
        })
        .collect();
    for running in &mut both {
        let output = running.output(super::BOUND).expect("ends");
        assert_eq!(output.code, 0, "{output:?}");
    }
    assert_eq!(stage.ok(&["destroy", "--confirm"]), "ok\n");
}

#[test]
fn a_pool_that_was_noted_elsewhere_begins_at_its_own_place() {
    let stage = Stage::new();
    let pools = stage.path().join(".claude-pool/pools.json");
    fs::create_dir_all(pools.parent().expect("has one")).expect("creates");
    let noted = json!({"default": {"socket": stage.path().join("gone.sock"), "colour": "red"}});
    fs::write(&pools, noted.to_string()).expect("writes");
    assert_eq!(init(&stage, &[]).code, 0);
    let socket = stage.pool_dir("default").join("api.sock");
    assert_eq!(
        read(pools),
        json!({"default": {"socket": socket, "colour": "red"}})
    );
    assert_eq!(stage.ok(&["destroy", "--confirm"]), "ok\n");
}

#[test]
fn a_pool_whose_paths_are_too_long_for_sockets_works_all_the_same() {
    let dir = tempfile::Builder::new()
        .prefix("ccp")
        .tempdir_in("/tmp")
        .expect("a directory");
    let home = dir.path().join("d".repeat(60)).join("e".repeat(60));
    let stage = Stage::with_pool_home(dir, home);
    let output = init(&stage, &["--pool", "long"]);
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(stage.ok(&["ping", "--pool", "long"]), "pong test\n");
    assert_eq!(
        stage.ok(&["destroy", "--pool", "long", "--confirm"]),
        "ok\n"
    );
}

#[test]
fn a_daemon_that_does_not_come_to_listen_is_told_with_its_own_words() {
    let stage = Stage::new();
    fs::create_dir_all(stage.pool_dir("default")).expect("creates");
    fs::write(stage.pool_dir("default").join("broken"), "").expect("writes");
    let output = init(&stage, &[]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("the database is broken"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_pool_of_another_program_is_left_alone() {
    let stage = Stage::new();
    let pool = Scripted::start(&stage, "default", |request| match request {
        Request::Ping => vec![json!({"type": "pong"}).to_string()],
        _ => error("internal", "was asked for more than a ping"),
    });
    let output = init(&stage, &[]);
    assert_eq!(output.code, 1);
    assert!(
        output.stderr.contains("another program's daemon"),
        "{}",
        output.stderr
    );
    assert_eq!(pool.next(), json!({"type": "ping"}));
    assert!(!stage.path().join(".claude-pool/pools.json").exists());
}

#[test]
fn a_wrong_configuration_is_named_and_nothing_is_started() {
    let stage = Stage::new();
    fs::create_dir_all(stage.pool_dir("default")).expect("creates");
    let config = stage.pool_dir("default").join("config.json");
    fs::write(&config, "{\"size\":\"many\"}").expect("writes");
    let output = init(&stage, &[]);
    assert!(
        output.stderr.contains("config.json: field `size`"),
        "{}",
        output.stderr
    );
    assert_eq!(
        init(&stage, &["--size", "0"]).stderr,
        "error: pool size must be positive\n"
    );
}
