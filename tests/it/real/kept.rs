//! Pools from `config.toml`, kept by the daemon of the accounts, with the real client.

use super::stage::{BOUND, Ended, Stage, finish};
use crate::support::{CCP, CCPD};
use ccp::adapters::files::pause;
use ccp::adapters::procs::children::{Signal, signal_child};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A stage whose pool and whose daemon of the accounts end with it.
struct Kept {
    stage: Stage,
    daemon: Option<Child>,
}

impl Kept {
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.stage.command(program);
        let owner = std::process::id().to_string();
        command
            .env("CLAUDE_POOL_TEST_OWNER_PID", &owner)
            .env("CCP_TEST_OWNER_PID", &owner)
            .args(arguments);
        command
    }

    fn start_daemon(&mut self) {
        let mut command = self.command(CCPD, &["daemon"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        self.daemon = Some(command.stderr(Stdio::null()).spawn().expect("starts"));
    }

    fn pool(&self, arguments: &[&str]) -> Ended {
        finish(self.command(CCP, &[&["pool"], arguments].concat()))
    }

    /// The usual pool, as `ccp status --json` tells, once it is so.
    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + BOUND;
        loop {
            let status = self.stage.status(false);
            if holds(&status["pools"][0]) {
                return status["pools"][0].clone();
            }
            assert!(Instant::now() < deadline, "{what}: {:#}", status["pools"]);
            pause(Duration::from_millis(200));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            signal_child(daemon.id(), Signal::Terminate);
            let _ = daemon.wait();
        }
        let mut command = self.command(CCP, &["pool", "destroy", "--confirm"]);
        let _ = command.output();
    }
}

#[test]
fn a_configured_pool_runs_on_its_accounts_and_answers() {
    let Some(stage) = Stage::with(&["a", "b", "c"]) else {
        return;
    };
    let dir = stage.home.work_dir();
    let configure = |size: u32, accounts: &str| {
        let dir = dir.display();
        stage.configure(&format!(
            "[pool.default]\nsize = {size}\nkeep_fresh = 0\ndir = \"{dir}\"\naccounts = [{accounts}]\n"
        ));
    };
    configure(2, r#""a", "c""#);
    let mut kept = Kept {
        stage,
        daemon: None,
    };
    kept.start_daemon();
    let pool = kept.until("all are fresh", |pool| pool["slots"]["fresh"] == 2);
    assert_eq!(pool["kept"], "runs", "{pool:#}");
    assert_eq!(pool["version"], env!("CARGO_PKG_VERSION"));
    let mut accounts: Vec<&Value> = pool["accounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|account| &account["label"])
        .collect();
    accounts.sort_by_key(|label| label.to_string());
    assert_eq!(accounts, [&json!("a"), &json!("c")], "{pool:#}");
    let words = [
        "start",
        "--parent",
        "none",
        "--prompt",
        "by the table",
        "--block",
    ];
    let answer = kept.pool(&words).good().stdout;
    assert!(
        answer.contains("simulated answer to: by the table"),
        "{answer}"
    );
    let table = kept.stage.ccp(&["status", "--plain"]).good().stdout;
    assert!(
        table.contains("POOL") && table.contains("on a 1, c 1"),
        "{table}"
    );
    // None of the accounts that may be used can be: the new slot says so.
    let file = kept.stage.home.path().join(".cc-pool/config.toml");
    let text = std::fs::read_to_string(&file).expect("is there");
    let text = text.replace(r#""a", "c""#, r#""of nobody""#);
    kept.stage.configure(&text.replace("size = 2", "size = 3"));
    let pool = kept.until("a slot that cannot start", |pool| {
        pool["problem"].is_string()
    });
    let problem = pool["problem"].to_string();
    assert!(
        problem.contains("none of the accounts of pool.default in config.toml (`of nobody`)")
            && problem.contains("ccp list"),
        "{problem}"
    );
    assert_eq!(pool["running"], true);
}

#[test]
fn a_prompt_without_a_pool_begins_one() {
    let Some(stage) = Stage::with(&["a"]) else {
        return;
    };
    let kept = Kept {
        stage,
        daemon: None,
    };
    let words = [
        "start",
        "--parent",
        "none",
        "--prompt",
        "from nothing",
        "--block",
    ];
    let output = kept.pool(&words).good();
    assert!(
        output.stdout.contains("simulated answer to: from nothing"),
        "{output:?}"
    );
    assert!(
        output.stderr.contains("the pool default begins"),
        "{output:?}"
    );
    kept.stage.was_asked_by("from nothing", "a");
    let pool = kept.until("it runs", |pool| pool["running"] == true);
    assert_eq!(
        (&pool["name"], &pool["size"]),
        (&json!("default"), &json!(3))
    );
    assert_eq!(pool["kept"], Value::Null);
}
