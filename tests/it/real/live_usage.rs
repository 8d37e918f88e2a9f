//! What the slots of a pool tell of their accounts for free, with the real client: numbers after each turn, limits that were
//! hit, and nothing that is no news.

use super::pooled::Pooled;
use super::stage::{BOUND, Stage};
use crate::pool::stage::Client;
use crate::support::CCP;
use ccp::adapters::files::pause;
use ccp::adapters::inbox;
use ccp::adapters::store::Store;
use ccp::client;
use ccp::contract::paths::Home;
use ccp::contract::proto::{Phase, Request, Response};
use ccp::core::account::AccountId;
use ccp::core::time::Timestamp;
use ccp::core::usage::{Source, WindowKind as Kind};
use ccp_standin::Running;
use ccp_standin::service::{Endpoint, Resets, WindowKind};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What the person's own status line says.
const OWN: &str = "of-the-person";

/// A pool of two slots, one on each of two accounts.
struct Scene {
    pooled: Pooled,
    /// Sessions, and the label of the account that each is on.
    sessions: Vec<(String, String)>,
}

impl Scene {
    /// None where the real client is left out.
    fn open() -> Option<Self> {
        let stage = Stage::with(&["a", "b"])?;
        stage.edit(&stage.base().join("settings.json"), |settings| {
            settings["statusLine"] = json!({"type": "command", "command": format!("echo {OWN}")});
            // A throttle is given up soon.
            settings["env"] = json!({"CLAUDE_CODE_MAX_RETRIES": "0"});
        });
        // It reports by itself, but for slots, which have.
        stage.ccp(&["statusline", "install", "--yes"]).good();
        // What is measured from here on is known to the service alone.
        for (label, used) in [("a", 37.0), ("b", 41.0)] {
            uses(&stage, label, used);
        }
        Some(Self {
            pooled: Pooled::on(stage),
            sessions: Vec::new(),
        })
    }

    fn stage(&self) -> &Stage {
        &self.pooled.stage
    }

    fn home(&self) -> Home {
        Home::new(&self.stage().home.path().join(".cc-pool")).expect("absolute")
    }

    /// The accounts' daemon, at work.
    fn daemon(&self) -> Running {
        let mut command = self.stage().command(CCP);
        command
            .arg("daemon")
            .env("CCP_TEST_OWNER_PID", std::process::id().to_string());
        let daemon = Running::start(command).expect("starts");
        self.wait("the accounts' daemon", || {
            let health = client::ask(&self.home(), &Request::Health, Duration::from_secs(5));
            matches!(health, Ok(Response::Health(health)) if health.phase == Phase::Ready)
        });
        daemon
    }

    /// Two sessions, each in its slot.
    fn begin(&mut self) {
        let dir = self.stage().home.work_dir();
        let dir = dir.to_str().expect("is text");
        self.pooled.pool(&["init", "--size", "2", "--dir", dir]);
        self.pooled
            .until("both are fresh", |health| health["slots"]["fresh"] == 2);
        for words in ["one", "two"] {
            let started = self
                .pooled
                .pool(&["start", "--parent", "none", "--prompt", words]);
            let id = started["sessionId"].as_str().expect("an id").to_owned();
            self.pooled.pool(&["wait", "--session", &id]);
            let info = self.pooled.pool(&["info", "--session", &id]);
            let label = info["session"]["account"]["label"].as_str().expect("one");
            self.sessions.push((label.to_owned(), id));
        }
        self.sessions.sort();
    }

    fn session(&self, label: &str) -> &str {
        let found = self.sessions.iter().find(|(of, _)| of == label);
        &found.expect("on that account").1
    }

    /// Another turn on this account.
    fn ask(&self, label: &str, prompt: &str) {
        let session = self.session(label);
        let words = ["followup", "--session", session, "--prompt", prompt];
        self.pooled.pool(&words);
        self.pooled.pool(&["wait", "--session", session]);
    }

    #[track_caller]
    fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + BOUND;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}");
            pause(Duration::from_millis(20));
        }
    }

    /// What launches go by.
    fn published(&self, label: &str) -> Value {
        let text = std::fs::read(self.home().snapshot()).expect("is published");
        let snapshot: Value = serde_json::from_slice(&text).expect("is JSON");
        let mut accounts = snapshot["accounts"].as_array().expect("a list").iter();
        let found = accounts.find(|account| account["label"] == label);
        found.expect("is published").clone()
    }

    /// How long it takes until launches go by this percentage, which a slot reported.
    #[track_caller]
    fn published_within(&self, label: &str, used: f64) -> Duration {
        let since = Instant::now();
        self.wait(&format!("{used} of {label} is published"), || {
            let sample = &self.published(label)["sample"];
            let five_hour = |window: &&Value| window["kind"] == "five_hour";
            let window = sample["windows"]
                .as_array()
                .and_then(|w| w.iter().find(five_hour));
            sample["source"] == "live" && window.is_some_and(|w| w["used"] == used)
        });
        since.elapsed()
    }

    /// Questions about usage that anybody asked.
    fn probes(&self) -> usize {
        let requests = self.stage().standin.service.requests().into_iter();
        requests.filter(|r| r.endpoint == Endpoint::Usage).count()
    }

    /// The five-hour percentages that slots reported, as the database has them.
    fn recorded(&self, number: u16) -> Vec<f64> {
        let store = Store::open(&self.home()).expect("opens");
        let id = AccountId::new(number).expect("in range");
        let all = store
            .samples_since(id, Timestamp::default())
            .expect("reads");
        let live = all.iter().filter(|sample| sample.source == Source::Live);
        live.filter_map(|sample| Some(sample.window(&Kind::FiveHour)?.used.percent()))
            .collect()
    }
}

fn uses(stage: &Stage, label: &str, used: f64) {
    let service = &stage.standin.service;
    service.set_window(label, WindowKind::FiveHour, used, Resets::In(7_000));
}

#[test]
fn slots_tell_what_their_accounts_use_and_when_they_are_refused() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    let mut daemon = scene.daemon();
    let probes = scene.probes();
    scene.begin();
    for (label, used) in [("a", 37.0), ("b", 41.0)] {
        scene.published_within(label, used);
        let status = scene.stage().status_of(label, false);
        assert_eq!(status["sample"]["source"], "live", "{status:#}");
        assert_eq!(status["used_5h_pct"], used, "{status:#}");
    }
    // Each turn is news, within a moment.
    uses(scene.stage(), "a", 38.0);
    scene.ask("a", "go on");
    let took = scene.published_within("a", 38.0);
    println!("published {took:?} after the end of the turn was told");
    assert_eq!(scene.probes(), probes, "nobody had to ask");
    // What a person sees is their own, a moment after the turn.
    let session = scene.session("a").to_owned();
    let words = [
        "capture",
        "--session",
        &session,
        "--source",
        "buffer",
        "--turns",
        "0",
    ];
    let socket = scene.stage().home.path();
    let socket = socket.join(".claude-pool/default/api.sock");
    let mut rows = 40;
    scene.wait("the person's own line", || {
        let screen = scene.pooled.pool(&words);
        let text = screen["content"].as_str();
        let is_there = text.is_some_and(|text| text.contains(OWN));
        if !is_there {
            // One that took too long on a busy machine is drawn again with the next change.
            rows = 81 - rows;
            let resize =
                json!({"type": "pty-resize", "sessionId": session, "cols": 120, "rows": rows});
            Client::connect(&socket)
                .expect("the pool listens")
                .ask(resize);
            pause(Duration::from_secs(1));
        }
        is_there
    });

    // A throttle that outlasts the retries is called a rate limit by claude, too.
    scene.ask("b", "[[fail:throttled]] in vain");
    uses(scene.stage(), "b", 43.0);
    scene.ask("b", "and on");
    // What came before was taken care of before.
    scene.published_within("b", 43.0);
    assert_eq!(scene.published("b")["limited_until_ms"], Value::Null);

    let service = &scene.stage().standin.service;
    service.set_window("a", WindowKind::FiveHour, 100.0, Resets::In(3_600));
    let reset = ccp::adapters::clock::now().unix_ms() + 3_600_000;
    scene.ask("a", "too much");
    scene.wait("the limit is published", || {
        let until = scene.published("a")["limited_until_ms"].as_i64();
        until.is_some_and(|until| (until - reset).abs() < 60_000)
    });
    let limited = scene.stage().status_of("a", false);
    assert_eq!(limited["tier"], "rate_limited", "{limited:#}");
    assert_eq!(scene.published("b")["limited_until_ms"], Value::Null);
    assert_eq!(scene.recorded(1)[..2], [37.0, 38.0]);
    assert_eq!(scene.recorded(2)[..2], [41.0, 43.0]);
    daemon.signal("TERM");
    daemon.output(BOUND).expect("ends");
}

#[test]
fn without_the_accounts_daemon_nothing_that_slots_saw_is_lost() {
    let Some(mut scene) = Scene::open() else {
        return;
    };
    scene.begin();
    let waits = |least: usize| {
        let dir = scene.home().inbox();
        inbox::list(&dir).is_ok_and(|letters| letters.len() >= least)
    };
    scene.wait("two reports in the inbox", || waits(2));
    for (turn, used) in [(3, 50.0), (4, 60.0)] {
        uses(scene.stage(), "a", used);
        scene.ask("a", &format!("turn {turn}"));
        scene.wait("another report in the inbox", || waits(turn));
    }
    assert!(scene.recorded(1).is_empty(), "nobody took them in yet");
    let mut daemon = scene.daemon();
    scene.published_within("a", 60.0);
    scene.published_within("b", 41.0);
    assert_eq!(scene.recorded(1), [37.0, 50.0, 60.0]);
    assert_eq!(scene.recorded(2), [41.0]);
    daemon.signal("TERM");
    daemon.output(BOUND).expect("ends");
}
