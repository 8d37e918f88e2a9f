//! Pools that `config.toml` names, and the daemon of the accounts that keeps them running.

use super::ground::{Client, Ground, wait};
use crate::support::put;
use ccp::adapters::files::Lock;
use ccp::adapters::procs::children::{Signal, signal_child};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A home whose settings name pools, with a daemon of the accounts; all of it ends with the value.
struct Stage {
    ground: Ground,
    daemon: Option<Child>,
}

impl Stage {
    fn new(config: &str) -> Self {
        let ground = Ground::at("pools/default");
        let stage = Self {
            ground,
            daemon: None,
        };
        stage.configure(config);
        stage
    }

    /// With the daemon of the accounts.
    fn kept(config: &str) -> Self {
        let mut stage = Self::new(config);
        stage.start();
        stage
    }

    fn home(&self) -> PathBuf {
        self.ground.home().join(".cc-pool")
    }

    fn configure(&self, config: &str) {
        fs::create_dir_all(self.home()).expect("makes");
        put(&self.home().join("config.toml"), config.as_bytes());
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.ground.command();
        command
            .args(words)
            .env("CCP_TEST_OWNER_PID", std::process::id().to_string());
        command
    }

    fn start(&mut self) {
        let mut command = self.command(&["daemon"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        self.daemon = Some(command.spawn().expect("starts"));
    }

    /// Ends the daemon of the accounts.
    fn stop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            signal_child(daemon.id(), Signal::Terminate);
            daemon.wait().expect("ends");
        }
    }

    fn dir(&self, pool: &str) -> PathBuf {
        self.ground.home().join("pools").join(pool)
    }

    fn ask(&self, pool: &str, request: &Value) -> Value {
        let stream = UnixStream::connect(self.dir(pool).join("api.sock"));
        // One that is about to end hangs up before it is asked, or after.
        let asked = stream.and_then(|mut stream| {
            stream.write_all(format!("{request}\n").as_bytes())?;
            Ok(stream)
        });
        asked
            .ok()
            .and_then(|stream| Client::of(stream).next())
            .unwrap_or_default()
    }

    fn health(&self, pool: &str) -> Value {
        self.ask(pool, &json!({"type": "health"}))["health"].clone()
    }

    /// Waits until the pool has so many fresh slots and no other.
    #[track_caller]
    fn fresh(&self, pool: &str, size: u32) {
        wait("fresh slots", || {
            let health = self.health(pool);
            health["size"] == size && health["slots"]["fresh"] == size
        });
    }

    /// The process of a pool's daemon.
    fn pid(&self, pool: &str) -> Option<u32> {
        let note = fs::read_to_string(self.dir(pool).join("daemon.lock")).ok()?;
        note.trim().parse().ok()
    }

    /// Kills a pool's daemon, and waits for the next one, or for what else is said to come of it.
    #[track_caller]
    fn kill(&self, pool: &str) -> u32 {
        let pid = self.pid(pool).expect("is noted");
        signal_child(pid, Signal::Kill);
        pid
    }

    fn log(&self) -> String {
        fs::read_to_string(self.home().join("logs/daemon.log")).unwrap_or_default()
    }

    #[track_caller]
    fn logged(&self, what: &str) {
        wait(what, || self.log().contains(what));
    }

    /// `ccpd` with these words, to its end: its output, when it ended well.
    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let output = self.command(words).output().expect("runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// How a pool stands, as `ccp status --json` tells.
    fn status(&self, pool: &str) -> Value {
        let text = self.ok(&["status", "--json"]);
        let status: Value = serde_json::from_str(&text).expect("is JSON");
        let pools = status["pools"].as_array().cloned().unwrap_or_default();
        let found = pools.into_iter().find(|p| p["name"] == pool);
        found.unwrap_or_default()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop();
        let pools = fs::read_dir(self.ground.home().join("pools"));
        let names: Vec<String> = pools
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        for name in &names {
            let destroy = json!({"type": "destroy", "confirm": true});
            // One that never began has no slots.
            if self.ask(name, &destroy)["type"] == "error"
                && let Some(pid) = self.pid(name)
            {
                signal_child(pid, Signal::Terminate);
            }
        }
        let runs = |name: &String| Lock::is_held(&self.dir(name).join("daemon.lock"));
        if !std::thread::panicking() {
            wait("the end of the pools", || {
                !names.iter().any(|name| runs(name).unwrap_or(false))
            });
        }
    }
}

const TWO: &str = "[pool.default]\nsize = 1\nkeep_fresh = 0\n[pool.other]\nsize = 2\nkeep_fresh = 0\nflags = \"--model x\"\n[pool.third]\nautostart = false\n";

#[test]
fn configured_pools_run_and_run_again_when_they_died() {
    let mut stage = Stage::kept(TWO);
    stage.fresh("default", 1);
    stage.fresh("other", 2);
    assert_eq!(stage.health("other")["config"]["flags"], "--model x");
    assert!(!stage.dir("third").exists(), "is not wanted");
    let pools = fs::read_to_string(stage.ground.home().join("pools/pools.json"));
    let pools: Value = serde_json::from_str(&pools.expect("is there")).expect("is JSON");
    assert!(
        pools["default"].is_object() && pools["other"].is_object(),
        "{pools}"
    );
    let claudes = stage.ground.claudes();
    assert_eq!(claudes.len(), 3);
    // Each on its own: one that dies touches no other, and its slots go on.
    let (first, other) = (stage.kill("default"), stage.pid("other"));
    wait("another daemon", || {
        stage.pid("default").is_some_and(|pid| pid != first)
    });
    stage.fresh("default", 1);
    assert_eq!(stage.ground.claudes(), claudes, "the slots went on");
    assert_eq!(stage.pid("other"), other);
    stage.logged("pool died");
    // They outlive the daemon that keeps them, and the next one finds them.
    let pids = [stage.pid("default"), stage.pid("other")];
    stage.stop();
    assert!(!stage.home().join("pools.json").exists());
    stage.start();
    wait("both are kept", || {
        stage.log().matches("pool kept").count() >= 5
    });
    assert_eq!([stage.pid("default"), stage.pid("other")], pids);
    assert_eq!(stage.ground.claudes(), claudes);
}

#[test]
fn what_changes_in_the_settings_reaches_the_pool() {
    let stage = Stage::kept("[pool.default]\nsize = 1\nkeep_fresh = 0\n");
    stage.fresh("default", 1);
    let pid = stage.pid("default");
    // A file that is wrong changes nothing.
    stage.configure("[pool.default]\nsize = 0\n");
    stage.logged("settings not read");
    stage.configure("[pool.default]\nsize = 2\nkeep_fresh = 0\nflags = \"--model y\"\n");
    wait("the flags", || {
        stage.health("default")["config"]["flags"] == "--model y"
    });
    stage.fresh("default", 2);
    // What somebody else sets holds until the table says something else.
    let set = json!({"type": "config", "set": {"keepFresh": 1}});
    assert_eq!(stage.ask("default", &set)["type"], "config");
    stage.configure("[pool.default]\nsize = 2\nkeep_fresh = 0\nflags = \"--model y\"\n[pool]\n");
    assert_eq!(stage.health("default")["config"]["keepFresh"], 1);
    stage.configure("");
    stage.logged("pool no longer kept; it goes on");
    assert_eq!(stage.health("default")["size"], 2);
    assert_eq!(stage.pid("default"), pid, "it goes on");
}

#[test]
fn a_pool_that_a_person_ended_stays_ended_until_somebody_begins_it() {
    let mut stage = Stage::kept("[pool.default]\nsize = 1\nkeep_fresh = 0\n");
    stage.fresh("default", 1);
    stage.ok(&["pool", "destroy", "--confirm"]);
    stage.logged("pool ended by a person");
    assert_eq!(stage.status("default")["kept"], "ended");
    assert!(stage.health("default").is_null());
    // A prompt begins it, with what its table says, and from then on it is kept again.
    let said = stage.ok(&["pool", "start", "--prompt", "hello", "--block"]);
    assert!(said.contains("said: hello"), "{said}");
    assert_eq!(stage.health("default")["size"], 1);
    wait("it is kept", || stage.status("default")["kept"] == "runs");
    let pid = stage.kill("default");
    wait("another daemon", || {
        stage.pid("default").is_some_and(|other| other != pid)
    });
    wait("it answers", || stage.health("default").is_object());
    // The next daemon of the accounts begins it also after an end.
    stage.ok(&["pool", "destroy", "--confirm"]);
    stage.stop();
    stage.start();
    wait("it answers", || stage.health("default").is_object());
}

#[test]
fn one_that_dies_again_and_again_rests_and_is_told_so() {
    let stage = Stage::kept("[pool.default]\nsize = 1\nkeep_fresh = 0\n");
    let mut last = 0;
    for _ in 0..5 {
        wait("a daemon", || {
            let is_new = stage.pid("default").is_some_and(|pid| pid != last);
            is_new && stage.health("default").is_object()
        });
        wait("it is kept", || stage.status("default")["kept"] == "runs");
        last = stage.kill("default");
    }
    stage.logged("pool rests");
    let status = stage.status("default");
    assert_eq!(status["running"], false, "{status}");
    assert_eq!(status["kept"], "resting", "{status}");
    assert!(status["rests_until"].is_string(), "{status}");
    let table = stage.ok(&["status", "--plain"]);
    assert!(
        table.contains("default") && table.contains("rests until"),
        "{table}"
    );
    // By hand it begins all the same, and what is left of it can be ended.
    stage.ok(&["pool", "start"]);
    assert_eq!(stage.status("default")["running"], true);
}

#[test]
fn a_pool_of_another_program_is_left_alone() {
    let stage = Stage::new("[pool.default]\nsize = 1\n");
    stage.ground.make_dir();
    let socket = stage.dir("default").join("api.sock");
    let listener = UnixListener::bind(&socket).expect("binds");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().expect("a second end")).lines();
            while let Some(Ok(_)) = lines.next() {
                let mut stream = &stream;
                let _ = stream.write_all(b"{\"type\":\"pong\"}\n");
            }
        }
    });
    let mut stage = stage;
    stage.start();
    stage.logged("pool left alone");
    assert!(stage.log().contains("another program"), "{}", stage.log());
    assert!(!stage.dir("default").join("daemon.lock").exists());
    assert_eq!(stage.status("default")["kept"], "not_ours");
    fs::remove_dir_all(stage.dir("default")).expect("is ours");
}

#[test]
fn a_prompt_begins_the_usual_pool_from_nothing_and_no_other() {
    let stage = Stage::new("");
    let said = stage.ok(&["pool", "start", "--prompt", "hello", "--block"]);
    assert!(said.contains("said: hello"), "{said}");
    assert_eq!(stage.health("default")["size"], 3);
    let output = stage.command(&["pool", "--pool", "typo", "start", "--prompt", "x"]);
    let output = { output }.output().expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("error: no pool listens"), "{said}");
    assert!(!stage.dir("typo").exists());
}

#[test]
fn a_pool_that_hangs_holds_the_status_up_for_no_longer_than_its_bound() {
    let stage = Stage::new("[pool.default]\n[pool.other]\n");
    stage.ground.make_dir();
    let listener = UnixListener::bind(stage.dir("default").join("api.sock")).expect("binds");
    let status = stage.status("default");
    let problem = status["problem"].as_str().expect("is told");
    assert!(problem.starts_with("it does not answer within"), "{status}");
    let table = stage.ok(&["status", "--plain"]);
    assert!(table.contains("other    does not run"), "{table}");
    drop(listener);
    fs::remove_dir_all(stage.dir("default")).expect("is ours");
}

#[test]
fn the_tool_that_starts_a_session_begins_the_usual_pool() {
    let stage = Stage::new("[pool.default]\nsize = 1\n");
    let mut command = stage.command(&["mcp"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn().expect("starts");
    let mut stdin = server.stdin.take().expect("a pipe");
    let start = json!({"name": "start", "arguments": {"prompt": "by a tool", "block": true}});
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18",
            "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": start}),
    ] {
        writeln!(stdin, "{message}").expect("is read");
    }
    let lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
    let answer = lines
        .map_while(Result::ok)
        .find(|line| line.contains("\"id\":2"));
    let answer = answer.expect("an answer");
    assert!(answer.contains("said: by a tool"), "{answer}");
    assert_eq!(stage.health("default")["size"], 1);
    drop(stdin);
    server.wait().expect("ends");
}
