//! A pool's slots on the accounts of a person, with the real client.

use super::stage::{BOUND, Stage};
use crate::support::CCP;
use ccp::adapters::files::pause;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A stage whose pool ends with it.
pub(super) struct Pooled {
    pub(super) stage: Stage,
}

impl Pooled {
    /// Runs `ccp pool --json` with these arguments, which goes well.
    #[track_caller]
    pub(super) fn pool(&self, arguments: &[&str]) -> Value {
        let mut command = self.stage.command(CCP);
        command
            .env("CLAUDE_POOL_TEST_OWNER_PID", std::process::id().to_string())
            .arg("pool")
            .args(arguments)
            .arg("--json");
        let text = super::stage::finish(command).good().stdout;
        serde_json::from_str(text.trim()).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}"))
    }

    /// Waits for the health of the pool to be so.
    #[track_caller]
    pub(super) fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + BOUND;
        loop {
            let health = self.pool(&["health"]);
            if holds(&health["health"]) {
                return health["health"].clone();
            }
            assert!(Instant::now() < deadline, "{what}: {health:#}");
            pause(Duration::from_millis(100));
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        for name in ["default", "other"] {
            let mut command = self.stage.command(CCP);
            command.args(["pool", "--pool", name, "destroy", "--confirm"]);
            // There may be none of that name.
            let _ = command.output();
        }
    }
}

#[test]
fn two_pools_know_nothing_of_each_other() {
    let Some(stage) = Stage::open() else {
        return;
    };
    let pooled = Pooled { stage };
    let dir = pooled.stage.home.work_dir();
    let dir = dir.to_str().expect("is text");
    pooled.pool(&["init", "--size", "1", "--dir", dir]);
    pooled.pool(&["--pool", "other", "init", "--size", "1", "--dir", dir]);
    let start = |name: &str, prompt: &str| {
        let words = [
            "--pool", name, "start", "--parent", "none", "--prompt", prompt,
        ];
        let started = pooled.pool(&words);
        started["sessionId"].as_str().expect("an id").to_owned()
    };
    let (here, there) = (
        start("default", "in the one"),
        start("other", "in the other"),
    );
    pooled.pool(&["--pool", "default", "wait", "--session", &here]);
    pooled.pool(&["--pool", "other", "wait", "--session", &there]);
    for (name, id) in [("default", &here), ("other", &there)] {
        let listed = pooled.pool(&["--pool", name, "ls", "--parent", "none"]);
        let ids: Vec<&Value> = listed["sessions"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|session| &session["sessionId"])
            .collect();
        assert_eq!(ids, [&json!(id)], "{name}");
    }
    // One ends, and the other goes on.
    pooled.pool(&["--pool", "other", "destroy", "--confirm"]);
    pooled.pool(&["followup", "--session", &here, "--prompt", "go on"]);
    pooled.pool(&["wait", "--session", &here]);
    assert_eq!(pooled.stage.prompts("go on").len(), 1);
}

#[test]
fn slots_spread_over_the_accounts_and_count_as_sessions() {
    let Some(stage) = Stage::with(&["a", "b", "c"]) else {
        return;
    };
    let pooled = Pooled { stage };
    let dir = pooled.stage.home.work_dir();
    let dir = dir.to_str().expect("is text");
    pooled.pool(&["init", "--size", "6", "--dir", dir]);
    let health = pooled.until("all are fresh", |health| health["slots"]["fresh"] == 6);
    let mut accounts: Vec<(String, u64)> = health["accounts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|a| {
            (
                a["label"].as_str().unwrap_or_default().to_owned(),
                a["slots"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    accounts.sort();
    let even = ["a", "b", "c"].map(|label| (label.to_owned(), 2));
    assert_eq!(accounts, even);
    let status = pooled.stage.status(false);
    let live: Vec<&Value> = status["accounts"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|account| &account["sessions"])
        .collect();
    assert_eq!(live, [&json!(2); 3], "{status:#}");
    // A session says whose it is, and its requests carry that login.
    let started = pooled.pool(&["start", "--parent", "none", "--prompt", "in a pool"]);
    let id = started["sessionId"].as_str().expect("an id").to_owned();
    pooled.pool(&["wait", "--session", &id]);
    let info = pooled.pool(&["info", "--session", &id]);
    let label = info["session"]["account"]["label"].as_str().expect("one");
    pooled.stage.was_asked_by("in a pool", label);
}
