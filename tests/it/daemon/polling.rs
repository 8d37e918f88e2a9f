//! Sampling in the background: with claude as it should be, missing, talking nonsense, and saying nothing at all.

use super::{SOON, Stage};
use ccp_standin::Running;
use std::fs;
use std::time::Instant;

const REFRESH: &str = r#"{"proto":1,"op":"refresh","all":true}"#;

/// Why the first account has no numbers, as a refresh says it.
fn problem(stage: &Stage) -> String {
    let answer = stage.ask(REFRESH);
    assert_eq!(answer["ok"], true, "{answer}");
    answer["failed"][0]["problem"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn accounts_are_sampled_without_being_asked() {
    let stage = Stage::new(2);
    let _daemon = stage.start_ready(&[]);
    stage.until(|| {
        let accounts = stage.world.snapshot().accounts;
        accounts.iter().all(|account| account.sample.is_some())
    });
    stage.until(|| stage.home().status().exists());
    stage.until(|| !stage.health()["swept_at_ms"].is_null());
}

#[test]
fn a_refresh_is_answered_when_the_numbers_are_there() {
    let stage = Stage::new(2);
    let _daemon = stage.start_ready(&[]);
    let answer = stage.ask(REFRESH);
    assert_eq!(answer["sampled"], serde_json::json!([1, 2]), "{answer}");
    let accounts = stage.world.snapshot().accounts;
    assert!(accounts.iter().all(|account| account.sample.is_some()));
    // The command lets the daemon do it, and says the same.
    let said = stage.world.run(&["refresh", "--all"]).stderr;
    assert!(
        said.contains("a1: sampled") && said.contains("a2: sampled"),
        "{said}"
    );
    let unknown = stage.ask(r#"{"proto":1,"op":"refresh","accounts":[77]}"#);
    assert_eq!(unknown["failed"][0]["account"], 77, "{unknown}");
}

#[test]
fn without_claude_everything_else_goes_on() {
    let stage = Stage::new(1);
    fs::remove_file(stage.world.bin("claude")).expect("removes");
    let _daemon = stage.start_ready(&[]);
    assert!(
        problem(&stage).contains("claude not found"),
        "{}",
        problem(&stage)
    );
    assert_eq!(stage.ask(r#"{"proto":1,"op":"select"}"#)["ok"], true);
    assert_eq!(stage.health()["phase"], "ready");
}

#[test]
fn a_claude_that_talks_nonsense_is_no_answer() {
    let stage = Stage::new(1);
    stage
        .world
        .replace_claude("#!/bin/sh\necho nonsense\necho '{\"type\":7}'\nexit 0\n");
    let _daemon = stage.start_ready(&[]);
    assert_ne!(problem(&stage), "");
    assert_eq!(stage.health()["phase"], "ready");
}

#[test]
fn a_claude_that_hangs_holds_nobody_up() {
    let stage = Stage::new(1);
    let started = stage.world.home.path().join("started");
    let script = format!(
        "#!/bin/sh\necho x >>{}\nexec sleep 300\n",
        started.display()
    );
    stage.world.replace_claude(&script);
    let _daemon = stage.start_ready(&[]);
    let mut waits = stage.connect().expect("connects");
    waits.say(format!("{REFRESH}\n").as_bytes()).expect("asks");
    stage.until(|| started.exists());
    let began = Instant::now();
    assert_eq!(stage.health()["phase"], "ready");
    assert_eq!(stage.ask(r#"{"proto":1,"op":"select"}"#)["ok"], true);
    assert_eq!(stage.ask(r#"{"proto":1,"op":"status"}"#)["ok"], true);
    assert!(began.elapsed() < SOON / 4, "{:?}", began.elapsed());
    assert!(
        !waits.hear()["failed"][0].is_null(),
        "it is told in the end"
    );
}

#[test]
fn claude_gets_the_descriptor_limit_that_the_daemon_inherited() {
    let stage = Stage::new(1);
    let told = stage.world.home.path().join("limit");
    let script = format!(
        "#!/bin/sh\nulimit -Sn >{0}.new\nmv {0}.new {0}\nexit 1\n",
        told.display()
    );
    stage.world.replace_claude(&script);
    let ccpd = stage.world.bin("ccpd");
    let line = format!("ulimit -Sn 300; exec {} daemon", ccpd.display());
    let daemon = Running::start(stage.world.command("/bin/sh", &["-c", &line])).expect("starts");
    stage.until(|| stage.health_of(daemon.pid())["phase"] == "ready");
    stage.ask(REFRESH);
    stage.until(|| told.exists());
    assert_eq!(fs::read_to_string(&told).expect("reads").trim(), "300");
    let own = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap_or_default();
    if let Some(line) = own.lines().find(|l| l.starts_with("Max open files")) {
        let soft = line
            .split_ascii_whitespace()
            .nth(3)
            .and_then(|n| n.parse::<u64>().ok());
        assert!(soft.is_some_and(|soft| soft > 300), "{line}");
    }
}

#[test]
fn a_login_that_is_renewed_on_the_way_is_said() {
    for with_daemon in [false, true] {
        let mut stage = Stage::new(1);
        let service = stage.world.standin.service.url();
        stage.world.set("CCP_OAUTH_BASE", service);
        stage.world.ok(&["config", "set", "login.renew", "direct"]);
        stage
            .world
            .ok(&["config", "set", "daemon.autostart", "false"]);
        let credential = stage.world.account_dir(1).join(".credentials.json");
        let text = fs::read_to_string(&credential).expect("reads");
        let mut blob: serde_json::Value = serde_json::from_str(&text).expect("is JSON");
        // Long ago: before the daemon's own first question, too.
        blob["claudeAiOauth"]["expiresAt"] = 7.into();
        let _daemon = with_daemon.then(|| {
            let daemon = stage.start_ready(&[]);
            // Its own first questions are over.
            stage.ask(REFRESH);
            daemon
        });
        fs::write(&credential, blob.to_string()).expect("writes");
        let before = stage.world.standin.service.refreshes();
        let said = stage.world.run(&["refresh", "--all"]).stderr;
        assert!(
            said.contains("a1: login renewed\n") && said.contains("a1: sampled\n"),
            "daemon {with_daemon}: {said}"
        );
        assert_eq!(stage.world.standin.service.refreshes(), before + 1);
        assert_eq!(stage.world.standin.service.double_spends(), 0);
        let again = stage.world.run(&["refresh", "--all"]).stderr;
        assert!(!again.contains("renewed"), "{again}");
    }
}
