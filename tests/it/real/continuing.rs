//! A conversation that ran into the plan's limit goes on under another account, with the real client.

use super::stage::{BOUND, Stage, json_of};
use super::terminal::Terminal;
use crate::support::CCP;
use ccp::adapters::files::pause;
use ccp_standin::service::{Endpoint, Fault};
use std::fs;
use std::time::{Duration, Instant};

const ID: &str = "11111111-2222-4333-8444-555555555555";

#[test]
fn a_conversation_at_its_limit_goes_on_under_another_account() {
    let Some(stage) = Stage::with(&["first", "second"]) else {
        return;
    };
    let plain = || {
        let names = [".credentials.json", "settings.json"];
        let files = names.map(|name| fs::read(stage.base().join(name)).expect("reads"));
        (files, fs::read(stage.base_json()).expect("reads"))
    };
    let before = plain();
    stage
        .run_as("first", &["-p", "one", "--session-id", ID])
        .answers("one");
    let service = &stage.standin.service;
    service.set_fault("first", Endpoint::Messages, Fault::PlanLimit);
    let refused = stage.run_as("first", &["-p", "two", "--resume", ID]);
    assert_eq!(refused.output.code, 1, "{refused:#?}");

    // Nobody reported the limit: the conversation itself tells.
    let said = stage.ccp(&["continue", "-p", "three"]).answers("three");
    assert!(said.stderr.contains("Selected second"), "{said:#?}");
    stage.was_asked_by("three", "second");
    let (one, three) = (&stage.prompts("one")[0], &stage.prompts("three")[0]);
    assert!(three.messages > one.messages, "the earlier turns are there");
    assert_eq!(three.session_id.as_deref(), Some(ID));
    assert!(stage.status_of("first", false)["limited_until"].is_string());
    assert!(
        before == plain(),
        "plain claude's own files are as they were"
    );

    let terminal = Terminal::start(&stage, &format!("{CCP} continue"));
    terminal.wait_for_idle();
    let error = stage.ccp(&["continue", "-p", "four"]);
    assert_eq!(error.output.code, 1, "{error:#?}");
    let said = &error.output.stderr;
    assert!(said.contains("session is open elsewhere (pid "), "{said}");
    assert!(stage.prompts("four").is_empty());
    terminal.prompt("/exit");
    terminal.ended(0);
}

#[test]
fn a_turn_that_fails_on_the_limit_is_known_at_once_and_says_where_to_go_on() {
    let Some(stage) = Stage::with(&["first", "second"]) else {
        return;
    };
    stage.ccp(&["hooks", "install", "-y"]).good();
    stage.ccp(&["statusline", "install", "-y"]).good();
    let service = &stage.standin.service;
    let terminal = Terminal::start(&stage, &format!("CCP_ACCOUNT=first {CCP} run"));
    let raw = stage.home.path().join("raw");
    terminal.tmux(&["pipe-pane", "-o", &format!("cat > '{}'", raw.display())]);
    terminal.wait_for_idle();
    service.set_fault("first", Endpoint::Messages, Fault::PlanLimit);
    terminal.prompt("too much");
    terminal.wait("limit", |s| s.contains("Usage limit reached"));
    let shown = Instant::now();
    let snapshot = stage.home.path().join(".cc-pool/snapshot.json");
    let is_known = || json_of(&snapshot)["accounts"][0]["limited_until_ms"].is_number();
    while !is_known() {
        assert!(shown.elapsed() < BOUND, "launches do not know of the limit");
        pause(Duration::from_millis(10));
    }
    terminal.wait("advice", |s| s.contains("`ccp continue` goes on as second"));
    // What claude shows of such a hook: a notification of the terminal, and nothing else.
    terminal.wait("notification", |_| {
        let written = fs::read(&raw).unwrap_or_default();
        let written = String::from_utf8_lossy(&written);
        let notified = written.split("\u{1b}]9;").skip(1);
        let mut notified = notified.filter_map(|rest| rest.split_once('\u{7}'));
        notified
            .any(|(text, _)| text.contains("first is at its limit") && text.ends_with("as second"))
    });
    let settings = json_of(&stage.base().join("settings.json"));
    assert!(settings["hooks"]["SessionStart"].is_array(), "{settings:#}");
}
