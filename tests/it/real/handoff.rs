//! Sessions whose account runs into its limit go on under another one, with the real client.

use super::pooled::Pooled;
use super::stage::{BOUND, Stage, finish};
use super::terminal::Terminal;
use crate::pool::stage::{Client, kill, until_gone};
use crate::proof::Proof;
use crate::support::{CCP, CCPD};
use ccp::adapters::files::pause;
use ccp_standin::service::{Resets, WindowKind};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

/// Nobody learns of a limit but by running into it.
const UNASKED: &str = "[usage]\nsources = [\"live\"]\n";

/// Accounts of these names and a pool of one slot.
fn pool_on(names: &[&str], flags: &[&str]) -> Option<Pooled> {
    pool_with(names, flags, UNASKED)
}

/// The same, with these settings.
fn pool_with(names: &[&str], flags: &[&str], settings: &str) -> Option<Pooled> {
    let stage = Stage::with(names)?;
    stage.configure(settings);
    let pooled = Pooled::on(stage);
    let dir = pooled.stage.home.work_dir();
    let dir = dir.to_str().expect("is text");
    let mut words = vec!["init", "--size", "1", "--keep-fresh", "0", "--dir", dir];
    words.extend(flags);
    pooled.pool(&words);
    pooled.until("it is fresh", |health| health["slots"]["fresh"] == 1);
    Some(pooled)
}

impl Pooled {
    fn start(&self, prompt: &str) -> String {
        let reply = self.pool(&["start", "--parent", "none", "--prompt", prompt, "--block"]);
        let id = reply["sessionId"].as_str();
        id.unwrap_or_else(|| panic!("{reply:#}")).to_owned()
    }

    fn followup(&self, session: &str, prompt: &str) -> Value {
        self.pool(&[
            "followup",
            "--session",
            session,
            "--prompt",
            prompt,
            "--block",
        ])
    }

    fn info(&self, session: &str) -> Value {
        self.pool(&["info", "--session", session])["session"].clone()
    }

    fn account_of(&self, session: &str) -> String {
        let info = self.info(session);
        let label = info["account"]["label"].as_str();
        label.unwrap_or_else(|| panic!("{info:#}")).to_owned()
    }

    /// From now on the service refuses this account, for so long.
    fn exhaust(&self, account: &str, seconds: u64) {
        let service = &self.stage.standin.service;
        service.set_window(account, WindowKind::FiveHour, 100.0, Resets::In(seconds));
    }

    /// Ends the pool's daemon by force; slots live on.
    fn kill_daemon(&self) {
        let pool = self.stage.home.path().join(".claude-pool/default");
        let wanted = pool.display().to_string();
        let daemons = self.stage.processes().into_iter();
        let mut daemons =
            daemons.filter(|(_, words)| words.contains("pool-daemon") && words.contains(&wanted));
        let (daemon, _) = daemons.next().expect("a daemon");
        kill(daemon);
        until_gone(daemon);
    }

    /// What the pool's daemons noted.
    fn log(&self) -> String {
        let log = self
            .stage
            .home
            .path()
            .join(".claude-pool/default/daemon.log");
        fs::read_to_string(log).unwrap_or_default()
    }

    /// Which accounts were asked this prompt, with what status, and the turns before it.
    fn asked(&self, prompt: &str) -> Vec<(String, u16, Vec<String>)> {
        let records = self.stage.prompts(prompt).into_iter();
        let real = records.filter(|record| record.max_tokens != Some(1));
        real.map(|r| (r.account.unwrap_or_default(), r.status, r.turns))
            .collect()
    }
}

/// The text that a reply carries.
fn content(reply: &Value) -> &str {
    reply["content"].as_str().unwrap_or_default()
}

#[test]
fn a_turn_that_the_plan_refuses_is_answered_under_another_account() {
    let Some(pooled) = pool_on(&["a", "b", "c"], &[]) else {
        return;
    };
    let session = pooled.start("the first word");
    let before = pooled.info(&session);
    let first = pooled.account_of(&session);
    let socket = pooled
        .stage
        .home
        .path()
        .join(".claude-pool/default/api.sock");
    let mut events = Client::connect(&socket).expect("the pool listens");
    let subscribe = json!({"type": "subscribe", "events": ["pool", "updated"], "ack": true});
    assert_eq!(events.ask(subscribe)["type"], "subscribed");
    pooled.exhaust(&first, 7200);
    let reply = pooled.followup(&session, "and another one");
    assert!(
        content(&reply).contains("simulated answer to: and another one"),
        "{reply:#}"
    );
    // The same session and conversation, under another account.
    let after = pooled.info(&session);
    assert_eq!(after["status"], "idle");
    assert_eq!(after["claudeUUID"], before["claudeUUID"]);
    let second = pooled.account_of(&session);
    assert_ne!(second, first);
    let told = events.line(BOUND).expect("an event");
    let (from, to) = (&told["from"]["label"], &told["to"]["label"]);
    assert_eq!(
        (&told["event"], &told["action"]),
        (&json!("pool"), &json!("handoff"))
    );
    assert_eq!((from, to), (&json!(first), &json!(second)), "{told}");
    let told = loop {
        let told = events.line(BOUND).expect("an event");
        if !told["changes"]["account"].is_null() {
            break told;
        }
    };
    assert_eq!(told["changes"]["account"]["label"], json!(second), "{told}");
    let asked = pooled.asked("and another one");
    let who: Vec<(&str, u16)> = asked.iter().map(|(who, s, _)| (who.as_str(), *s)).collect();
    assert_eq!(who, [(first.as_str(), 429), (second.as_str(), 200)]);
    let turns = &asked[1].2;
    assert!(turns.contains(&"the first word".to_owned()), "{turns:?}");
    // What is known of the limit is kept: nobody else runs into it.
    let log = pooled
        .pool(&["debug", "logs", "--lines", "200"])
        .to_string();
    assert!(log.contains("handed over"), "{log}");
    let why = pooled.stage.ccp(&["why"]).good().stdout;
    assert!(why.contains("ran into its limit"), "{why}");
    // The first prompt of a session may be the one.
    pooled.exhaust(&second, 7200);
    let fresh = pooled.start("a first prompt");
    let asked = pooled.asked("a first prompt");
    let who: Vec<(&str, u16)> = asked.iter().map(|(who, s, _)| (who.as_str(), *s)).collect();
    let third = pooled.account_of(&fresh);
    assert_eq!(who, [(second.as_str(), 429), (third.as_str(), 200)]);
}

#[test]
fn a_turn_that_is_refused_in_the_middle_runs_no_tool_twice() {
    let flags = ["--flags", "--dangerously-skip-permissions"];
    let Some(pooled) = pool_on(&["a", "b"], &flags) else {
        return;
    };
    let session = pooled.start("begin");
    let first = pooled.account_of(&session);
    let traces = pooled.stage.home.path().join("traces");
    let gate = pooled.stage.home.path().join("gate");
    let (traces_text, gate_text) = (traces.display(), gate.display());
    let prompt = format!(
        "use it [[tool:Bash:echo ran >> '{traces_text}'; while [ ! -e '{gate_text}' ]; do sleep 0.05; done]]"
    );
    let id = session.as_str();
    pooled.pool(&["followup", "--session", id, "--prompt", &prompt]);
    let deadline = Instant::now() + BOUND;
    while !traces.exists() {
        assert!(Instant::now() < deadline, "the tool does not run");
        pause(Duration::from_millis(20));
    }
    // The tool runs; its result will not be taken.
    pooled.exhaust(&first, 7200);
    fs::File::create(&gate).expect("opens the gate");
    let reply = pooled.pool(&["wait", "--session", id]);
    let goes_on = "Continue from where you stopped.";
    assert!(content(&reply).contains(goes_on), "{reply:#}");
    assert_eq!(fs::read_to_string(&traces).expect("ran"), "ran\n");
    let second = pooled.account_of(id);
    assert_ne!(second, first);
    let asked = pooled.asked(goes_on);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!((asked[0].0.as_str(), asked[0].1), (second.as_str(), 200));
}

#[test]
fn with_every_account_exhausted_a_prompt_waits_for_the_first_reset() {
    let Some(pooled) = pool_with(&["a", "b"], &[], "") else {
        return;
    };
    let session = pooled.start("before the limit");
    let account = pooled.account_of(&session);
    let other = if account == "a" { "b" } else { "a" };
    pooled.exhaust(other, 7200);
    pooled.exhaust(&account, 25);
    // What is known of both, as their limits are.
    pooled.stage.forget_usage(1);
    pooled.stage.forget_usage(2);
    pooled.stage.ccp(&["status", "--live", "--json"]).good();
    let id = session.as_str();
    pooled.pool(&["followup", "--session", id, "--prompt", "patiently"]);
    let deadline = Instant::now() + BOUND;
    let waiting = loop {
        let info = pooled.info(id);
        if info["limitedUntil"].is_string() || Instant::now() >= deadline {
            break info;
        }
        pause(Duration::from_millis(50));
    };
    assert_eq!(waiting["status"], "queued", "{waiting:#}");
    assert!(waiting["limitedUntil"].is_string(), "{waiting:#}");
    // By itself, when the first limit ends; nothing was billed meanwhile.
    let reply = pooled.pool(&["wait", "--session", id]);
    let answer = "simulated answer to: patiently";
    assert!(content(&reply).contains(answer), "{reply:#}");
    let asked = pooled.asked("patiently");
    assert_eq!(asked.last().map(|(_, status, _)| *status), Some(200));
    assert!(asked.len() <= 2, "{asked:?}");
    assert_eq!(pooled.info(id)["limitedUntil"], json!(null));
}

#[test]
fn whoever_is_attached_goes_on_with_the_session() {
    let Some(pooled) = pool_on(&["a", "b"], &[]) else {
        return;
    };
    let session = pooled.start("hello");
    let first = pooled.account_of(&session);
    let terminal = Terminal::start(
        &pooled.stage,
        &format!("{CCP} pool attach --session {session}"),
    );
    terminal.wait("its past", |screen| {
        screen.contains("simulated answer to: hello")
    });
    pooled.exhaust(&first, 7200);
    // Typed by the person, for whom it is typed again.
    terminal.prompt("who are you now");
    let screen = terminal.wait("the answer of another account", |screen| {
        screen.contains("simulated answer to: who are you now")
    });
    assert_ne!(pooled.account_of(&session), first, "{screen}");
    // And it takes what is typed there now.
    pooled.pool(&["wait", "--session", &session]);
    terminal.prompt("still here");
    terminal.wait("the next answer", |screen| {
        screen.contains("simulated answer to: still here")
    });
    terminal.keys(&["-l", "~."]);
    terminal.ended(0);
}

#[test]
fn a_conversation_that_is_open_elsewhere_is_not_brought_back() {
    let Some(pooled) = pool_on(&["a"], &[]) else {
        return;
    };
    let session = pooled.start("one");
    let uuid = pooled.info(&session)["claudeUUID"].clone();
    let uuid = uuid.as_str().expect("known").to_owned();
    // Another session takes the only slot.
    pooled.start("two");
    assert_eq!(pooled.info(&session)["status"], "offloaded");
    let outside = Terminal::start(
        &pooled.stage,
        &format!("CCP_ACCOUNT=a {CCP} run --resume {uuid}"),
    );
    outside.wait("its past", |screen| {
        screen.contains("simulated answer to: one")
    });
    let mut command = pooled.stage.command(CCP);
    command.args(["pool", "followup", "--session", &session, "--prompt", "no"]);
    let refused = finish(command).output;
    assert_eq!(refused.code, 1, "{refused:#?}");
    let said = "session is open elsewhere (pid ";
    assert!(refused.stderr.contains(said), "{refused:#?}");
    assert_eq!(pooled.info(&session)["status"], "offloaded");
    outside.keys(&["C-c", "C-c"]);
    outside.ended(0);
    let reply = pooled.followup(&session, "and now");
    assert!(content(&reply).contains("simulated answer to: and now"));
}

/// Hand-overs in whose middle the pool's daemon is killed: with the real client, or a pretended one, which is faster.
fn killed_in_the_middle(name: &'static str, long: usize, short: usize, pretended: bool) {
    let Some(stage) = Stage::with(&["a", "b", "c"]) else {
        return;
    };
    let mut pooled = Pooled::on(stage);
    if pretended {
        // By another name: what calls ccp itself is passed over, rightly.
        let stand_in = pooled.stage.home.path().join("stand-in");
        symlink(CCPD, &stand_in).expect("links");
        let script = format!("exec '{}' demo-client \"$@\"", stand_in.display());
        let written = pooled.stage.home.write_script("pretended", &script);
        pooled.claude = Some(written.expect("writes"));
    }
    // A limit of a few seconds would be waited for.
    pooled
        .stage
        .configure("[pool]\nhandoff = \"always\"\n[usage]\nsources = [\"live\"]\n");
    let dir = pooled.stage.home.work_dir();
    let dir = dir.to_str().expect("is text").to_owned();
    pooled.pool(&["init", "--size", "1", "--keep-fresh", "0", "--dir", &dir]);
    let session = pooled.start("begin");
    let mut proof = Proof::open(name, long, short);
    let (mut handed_over, mut refused) = (0, 0);
    for round in proof.left() {
        let account = pooled.account_of(&session);
        // Over before the session comes back to it.
        pooled.exhaust(&account, 4);
        let prompt = format!("round {round}");
        pooled.pool(&["followup", "--session", &session, "--prompt", &prompt]);
        // Anywhere from the first request to the answer.
        let delay = (round as u64 * 7919) % if pretended { 1500 } else { 4000 };
        pause(Duration::from_millis(delay));
        pooled.kill_daemon();
        pooled.pool(&["init"]);
        let mut command = pooled.stage.command(CCP);
        command.args(["pool", "--json", "wait", "--session", &session]);
        let reply = finish(command).output.stdout;
        let answer = format!("simulated answer to: {prompt}");
        assert!(
            reply.contains(&answer),
            "{round}: {reply}\n{}",
            pooled.log()
        );
        let asked = pooled.asked(&prompt);
        let answered = asked.iter().filter(|(_, status, _)| *status == 200).count();
        assert_eq!(answered, 1, "{round}: {asked:?}");
        refused += asked.iter().filter(|(_, status, _)| *status == 429).count() as u64;
        handed_over += u64::from(pooled.account_of(&session) != account);
        proof.round_done([("handed over", handed_over), ("refused", refused)]);
    }
    assert!(proof.total("handed over") > 0, "nothing was handed over");
    proof.table();
}

#[test]
fn proof_a_daemon_that_is_killed_in_a_hand_over_loses_and_doubles_nothing() {
    killed_in_the_middle("hand-overs", 300, 15, true);
}

#[test]
fn proof_a_daemon_that_is_killed_in_a_hand_over_of_the_real_client_loses_nothing() {
    killed_in_the_middle("real-hand-overs", 40, 3, false);
}
