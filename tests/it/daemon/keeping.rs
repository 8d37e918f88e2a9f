//! What it is for: overlays, reports and leases are kept in order, whatever happens to it.

use super::{Stage, holds_within, rounds};
use crate::proof::Proof;
use ccp::adapters::store::Store;
use ccp::adapters::{clock, inbox};
use ccp::contract::report::Report;
use ccp::contract::snapshot::WindowEntry;
use ccp::core::account::AccountId;
use ccp::core::time::Timestamp;
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

fn report(account: u16, at: Timestamp, used: f64) -> Report {
    Report {
        account,
        account_uuid: None,
        measured_at_ms: at.unix_ms(),
        source: "live".to_owned(),
        windows: vec![WindowEntry {
            kind: "five_hour".to_owned(),
            model: None,
            used,
            resets_at_ms: None,
        }],
        extra: None,
        limited_until_ms: None,
    }
}

#[test]
fn proof_a_new_entry_of_the_base_is_linked_within_a_second() {
    let stage = Stage::new(3);
    let _daemon = stage.start_ready(&[]);
    let base = stage.world.home.path().join(".claude");
    let mut times = Vec::new();
    for round in 0..rounds(500, 25) {
        let name = format!("entry-{round}");
        fs::write(base.join(&name), "x").expect("writes");
        let began = Instant::now();
        let is_linked = |number| stage.world.account_dir(number).join(&name).exists();
        let linked = holds_within(Duration::from_secs(10), || (1..=3).all(is_linked));
        assert!(linked, "{name} is linked; log:\n{}", stage.log());
        times.push(began.elapsed());
    }
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!(
        "a new entry is linked: p50 {:?}, p99 {:?}, most {:?}",
        at(50),
        at(99),
        at(100)
    );
    assert!(at(50) < Duration::from_secs(1), "{:?}", at(50));
}

#[test]
fn a_report_in_the_inbox_is_taken_in_at_once() {
    let stage = Stage::new(1);
    let _daemon = stage.start_ready(&[]);
    inbox::hand_in(&stage.home().inbox(), &report(1, clock::now(), 33.0)).expect("hands in");
    // The daemon's own first question may be answered a moment later, and then that is the newest: what counts is that
    // the report was kept.
    let account = AccountId::new(1).expect("1");
    let store = Store::open(&stage.home()).expect("opens");
    stage.until(|| {
        let kept = store
            .samples_since(account, Timestamp::from_unix_ms(0))
            .expect("reads");
        kept.iter()
            .any(|s| s.windows.iter().any(|w| w.used.percent() == 33.0))
    });
}

#[test]
fn what_cannot_be_written_is_said_and_heals() {
    let stage = Stage::new(1);
    let snapshot = stage.home().snapshot();
    let _daemon = stage.start_ready(&[]);
    fs::remove_file(&snapshot).expect("removes");
    fs::create_dir_all(snapshot.join("in the way")).expect("creates");
    let hand_in = |used| {
        let report = report(1, clock::now(), used);
        inbox::hand_in(&stage.home().inbox(), &report).expect("hands in");
    };
    hand_in(10.0);
    stage.until(|| stage.health()["phase"] == "degraded");
    assert_eq!(
        stage.ask(r#"{"proto":1,"op":"status"}"#)["ok"],
        true,
        "it answers what it can"
    );
    assert!(
        stage.health()["problem"]
            .to_string()
            .contains("snapshot.json")
    );
    fs::remove_dir_all(&snapshot).expect("removes");
    hand_in(11.0);
    stage.until(|| stage.health()["phase"] == "ready");
}

/// Kills it at any moment, again and again, while everything is in motion.
#[test]
fn proof_a_daemon_that_is_killed_leaves_everything_whole() {
    let stage = Stage::new(2);
    let base = stage.world.home.path().join(".claude");
    let mut proof = Proof::open("kills", 500, 25);
    let mut handed_in = 0_u64;
    for round in proof.left() {
        let mut daemon = stage.start(&[]);
        let began = Instant::now();
        // From before it listens to well into its work.
        let moment = Duration::from_millis((round as u64 * 37) % 300);
        while began.elapsed() < moment {
            #[expect(clippy::cast_precision_loss, reason = "two digits")]
            let used = (handed_in % 100) as f64;
            inbox::hand_in(&stage.home().inbox(), &report(1, clock::now(), used))
                .expect("hands in");
            fs::write(base.join(format!("round-{}", handed_in % 50)), "x").expect("writes");
            handed_in += 1;
            ccp::adapters::files::pause(Duration::from_millis(5));
        }
        daemon.running.signal("KILL");
        daemon.end();
        // What a launch reads is whole at every moment.
        assert_eq!(stage.world.snapshot().accounts.len(), 2);
        proof.round_done([("reports", handed_in)]);
    }
    let mut last = stage.start_ready(&[]);
    stage.until(|| {
        let waiting = inbox::list(&stage.home().inbox()).expect("lists");
        waiting.is_empty()
    });
    stage.until(|| {
        let shared = fs::read_dir(&base).expect("lists").flatten();
        let names: Vec<_> = shared.map(|e| e.file_name()).collect();
        let dirs = [1, 2].map(|number| stage.world.account_dir(number));
        dirs.iter().all(|dir| {
            let mine = names
                .iter()
                .filter(|n| n.to_string_lossy().starts_with("round-"));
            mine.map(|name| dir.join(name))
                .all(|path| path.is_symlink())
        })
    });
    assert_eq!(stage.ask(r#"{"proto":1,"op":"shutdown"}"#)["ok"], true);
    assert_eq!(last.end().0, 0);
    let store = stage.world.store();
    store.check_integrity().expect("is whole");
    let account = ccp::core::account::AccountId::new(1).expect("1");
    let samples = store
        .samples_since(account, Timestamp::from_unix_ms(0))
        .expect("lists");
    let instants: BTreeSet<_> = samples.iter().map(|s| s.measured_at).collect();
    assert_eq!(instants.len(), samples.len(), "no sample is there twice");
    assert!(samples.len() as u64 <= handed_in + 10, "none is made up");
    proof.count([("samples kept", samples.len() as u64)]);
    proof.table();
}

#[test]
fn what_the_flow_of_settings_holds_back_is_kept_while_it_is_held() {
    let stage = Stage::new(1);
    stage
        .world
        .ok(&["config", "set", "overlay.settings", "two-way"]);
    let base = stage.world.home.path().join(".claude.json");
    fs::write(&base, r#"{"theme":"dark-ansi"}"#).expect("writes");
    stage.world.ok(&["sync"]);
    let own = stage.world.account_dir(1).join(".claude.json");
    let text = fs::read_to_string(&own).expect("reads");
    let mut value: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
    assert_eq!(value["theme"], "dark-ansi");
    value.as_object_mut().expect("an object").remove("theme");
    fs::write(&own, value.to_string()).expect("writes");
    let backup = stage.world.account_dir(1).join("backups");
    fs::create_dir_all(&backup).expect("makes");
    let newer = backup.join(".claude.json.backup.9");
    fs::write(&newer, "{}").expect("writes");
    let written = fs::metadata(&own)
        .and_then(|m| m.modified())
        .expect("reads");
    fs::File::open(&newer)
        .and_then(|file| file.set_modified(written + Duration::from_secs(1)))
        .expect("sets");

    let id = AccountId::new(1).expect("in range");
    let held = || stage.world.store().overlay_state(id).expect("reads").held;
    assert_eq!(held(), None);
    stage.world.run(&["sync"]);
    let first = held().expect("somebody has to look");
    assert!(
        first.text.contains("theme") && first.text.contains("backup"),
        "{first:?}"
    );
    stage.world.run(&["sync"]);
    assert_eq!(held(), Some(first), "since when does not change");
    fs::remove_dir_all(&backup).expect("removes");
    stage.world.ok(&["sync"]);
    assert_eq!(held(), None);
    let now = fs::read_to_string(&base).expect("reads");
    assert!(!now.contains("theme"), "{now}");
    let events = stage.world.store().events(100).expect("lists");
    let told = events.iter().filter(|e| e.kind == "settings_held");
    assert_eq!(told.count(), 2, "when it began and when it ended");
}

#[test]
fn a_rule_holds_for_whoever_asks_next() {
    let stage = Stage::new(2);
    let dir = stage.world.home.path().join("ruled");
    std::fs::create_dir(&dir).expect("creates");
    let ask = format!(
        r#"{{"proto":1,"op":"select","cwd":"{}"}}"#,
        dir.join("app").display()
    );
    let _daemon = stage.start_ready(&[]);
    let config = stage.home().config();
    let rule = |account: u16| format!("[[rule]]\npath = \"~/ruled\"\naccounts = [{account}]\n");
    for account in [2, 1, 2] {
        // As an editor does that keeps the file, and asked for in the same breath.
        std::fs::write(&config, rule(account)).expect("writes");
        let answer = stage.ask(&ask);
        assert_eq!(answer["id"], format!("acct-{account:02}"), "{answer}");
    }
    let barred = ask.replace("\"select\"", "\"select\",\"account\":\"1\"");
    let answer = stage.ask(&barred);
    assert_eq!(answer["ok"], false, "{answer}");
    let error = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(error.starts_with("rule 1 (~/ruled) allows "), "{answer}");
    // What the daemon publishes has the rule, and says of which file it is: no launch has to look again.
    let stamp = ccp::adapters::stamp::file_stamp(&config);
    stage.until(|| stage.world.snapshot().config == stamp);
    assert_eq!(stage.world.snapshot().rules.len(), 1);
    // While the file is wrong nobody is let in, and the daemon goes on.
    std::fs::write(&config, rule(1).replace("accounts", "acounts")).expect("writes");
    let answer = stage.ask(&ask);
    let error = answer["error"]["message"].as_str().unwrap_or_default();
    assert!(error.contains("are not known"), "{answer}");
    assert!(stage.log().contains("rule.acounts"), "{}", stage.log());
    let elsewhere = r#"{"proto":1,"op":"status"}"#;
    assert_eq!(stage.ask(elsewhere)["ok"], true);
    std::fs::write(&config, rule(1)).expect("writes");
    assert_eq!(stage.ask(&ask)["id"], "acct-01");
}
