//! A pool of real claudes behind OpenSSH, as a client on another machine has it.

use super::stage::{PoolStage, said};
use crate::real::stage::{BOUND, finish};
use crate::real::terminal::Terminal;
use crate::sshd::{Sshd, left_behind};
use crate::support::CCP;
use ccp_standin::Running;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// The pool under the name `far`, by way of a server on loopback.
struct Far {
    pool: PoolStage,
    _sshd: Sshd,
}

impl Far {
    fn open() -> Option<Self> {
        let pool = PoolStage::open(1)?;
        let home = pool.stage.home.path().to_owned();
        let sshd = Sshd::start(&home, &home.join("bin"))?;
        let run = home.join("run");
        ccp::adapters::files::create_private_dir(&run).expect("makes");
        let user = ccp::adapters::procs::user_name();
        let socket = pool.dir().join("api.sock");
        let place = format!("ssh://{user}@build{}", socket.display());
        let file = pool.home().join("pools.json");
        pool.stage
            .edit(&file, |pools| pools["far"] = json!({"socket": place}));
        Some(Self { pool, _sshd: sshd })
    }

    fn run_dir(&self) -> PathBuf {
        self.pool.stage.home.path().join("run")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.pool.command_for("far", arguments);
        command.env("XDG_RUNTIME_DIR", self.run_dir());
        command
    }

    #[track_caller]
    fn cli(&self, arguments: &[&str]) -> String {
        finish(self.command(arguments)).good().stdout
    }

    /// What `--json` prints.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.cli(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).expect("JSON")
    }
}

#[test]
fn a_pool_of_another_machine_works_like_one_of_this() {
    let Some(far) = Far::open() else { return };
    let pool = &far.pool;
    let follow = far.command(&["subscribe", "--json"]);
    let mut follower = Running::start(follow).expect("starts");
    // It takes a moment until somebody who follows is known.
    let resized = |line: &str| line.contains("\"resize\"");
    let deadline = Instant::now() + BOUND;
    while follower
        .wait_for_line(resized, Duration::from_millis(100))
        .is_none()
    {
        assert!(Instant::now() < deadline, "nothing is heard");
        pool.good(json!({"type": "resize", "size": 1}));
    }
    let begin = [
        "start",
        "--block",
        "--parent",
        "none",
        "--prompt",
        "from afar",
    ];
    let started = far.json(&begin);
    let session = started["sessionId"].as_str().expect("an id").to_owned();
    assert_eq!(
        said(started["content"].as_str().expect("text")),
        "simulated answer to: from afar"
    );
    let followed = far.json(&[
        "followup",
        "--session",
        &session,
        "--block",
        "--prompt",
        "and on",
    ]);
    assert_eq!(
        said(followed["content"].as_str().expect("text")),
        "simulated answer to: and on"
    );
    pool.asked_once("and on", &["from afar"]);
    let all = [
        "capture",
        "--session",
        &session,
        "--turns",
        "0",
        "--detail",
        "raw",
    ];
    let here = json!({"type": "capture", "sessionId": session, "turns": 0, "detail": "raw"});
    assert_eq!(far.json(&all)["content"], pool.good(here)["content"]);

    let mut line = format!("CLAUDE_POOL_HOME='{}' ", pool.home().display());
    line += &format!("XDG_RUNTIME_DIR='{}' ", far.run_dir().display());
    line += &format!("'{CCP}' pool --pool far attach {session}");
    let terminal = Terminal::start(&pool.stage, &line);
    terminal.wait("repaint", |s| s.contains("simulated answer to: and on"));
    terminal.prompt("typed from afar");
    terminal.wait("answer", |s| {
        s.contains("simulated answer to: typed from afar")
    });
    pool.until(&session, "idle");
    pool.asked_once("typed from afar", &["from afar", "and on"]);
    terminal.keys(&["Enter"]);
    terminal.keys(&["-l", "~."]);
    terminal.ended(0);
    drop(terminal);

    // Whoever follows has heard of each turn, and hears of the end.
    far.cli(&["destroy", "--confirm"]);
    let heard = follower
        .output(BOUND)
        .expect("it ends with the pool")
        .stdout;
    let events = heard
        .lines()
        .map(|l| serde_json::from_str(l).expect("JSON"));
    let events: Vec<Value> = events.collect();
    let statuses = events.iter().filter(|e| e["status"].is_string());
    // Before its first turn it may have had to wait for the slot.
    let statuses = statuses.filter(|e| e["status"] != "queued");
    let statuses: Vec<&Value> = statuses.map(|e| &e["status"]).collect();
    assert_eq!(statuses[..6], ["processing", "idle"].repeat(3), "{heard}");
    let end = json!({"type": "event", "event": "pool", "action": "destroy"});
    assert!(events.contains(&end), "{heard}");
    assert_eq!(left_behind(&far.run_dir()), [""; 0]);
}
