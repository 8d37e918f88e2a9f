//! Sessions of the real client under accounts: whose token is used, where a conversation goes on, what of the person's
//! environment reaches it.

use super::stage::{BOUND, PLAIN, Stage, finish, json_of};
use super::terminal::Terminal;
use crate::support::{CCP, put};
use ccp_standin::Running;
use ccp_standin::service::{Endpoint, Resets, WindowKind};
use serde_json::json;
use std::collections::BTreeMap;

#[test]
fn a_fresh_account_answers_at_once_and_shows_no_dialog_in_a_trusted_directory() {
    let Some(stage) = Stage::with(&["work"]) else {
        return;
    };
    let said = stage.ccp(&["run", "-p", "hi"]).answers("hi").stderr;
    assert!(said.contains("Selected work"), "{said}");
    stage.was_asked_by("hi", "work");

    let terminal = Terminal::start(&stage, &format!("{CCP} run"));
    terminal.wait_for_idle();
    let screen = terminal.screen();
    for dialog in [
        "trust",
        "Choose the text style",
        "theme",
        "Select login",
        "Welcome to",
    ] {
        let found = screen.to_lowercase().contains(&dialog.to_lowercase());
        assert!(!found || dialog == "Welcome to", "{dialog} in:\n{screen}");
    }
    terminal.prompt("and now by hand");
    terminal.wait("answer", |s| {
        s.contains("simulated answer to: and now by hand")
    });
    terminal.prompt("/exit");
    terminal.ended(0);
    stage.was_asked_by("and now by hand", "work");
}

#[test]
fn a_conversation_goes_on_under_another_account() {
    let Some(stage) = Stage::with(&["first", "second"]) else {
        return;
    };
    let id = "11111111-2222-4333-8444-555555555555";
    stage
        .run_as("first", &["-p", "one", "--session-id", id])
        .answers("one");
    stage
        .run_as("second", &["-p", "two", "--resume", id])
        .answers("two");
    stage.was_asked_by("one", "first");
    stage.was_asked_by("two", "second");
    let messages = |prompt: &str| stage.prompts(prompt)[0].messages;
    assert!(messages("two") > messages("one"));

    // Nobody says where: the directory stays with the account it was used with last, until that one is full.
    stage
        .ccp(&["run", "-p", "three", "--continue"])
        .answers("three");
    stage.was_asked_by("three", "second");
    let service = &stage.standin.service;
    service.set_window("second", WindowKind::FiveHour, 100.0, Resets::In(7200));
    stage.forget_usage(2);
    stage.ccp(&["refresh", "--all"]).good();
    let said = stage
        .ccp(&["run", "-p", "four", "--continue"])
        .answers("four");
    assert!(said.stderr.contains("Selected first"), "{said:#?}");
    stage.was_asked_by("four", "first");
    assert!(messages("four") > messages("three"));
    assert!(messages("three") > messages("two"));
    let sessions: Vec<_> = ["one", "two", "three", "four"]
        .map(|prompt| stage.prompts(prompt)[0].session_id.clone())
        .into();
    assert_eq!(sessions, vec![Some(id.to_owned()); 4]);
}

#[test]
fn overrides_in_the_environment_do_not_reach_a_session_unless_kept() {
    let Some(stage) = Stage::with(&["work"]) else {
        return;
    };
    let service = &stage.standin.service;
    let stolen = service.sign_in(PLAIN).access;
    let run = |prompt: &str, variables: &[(&str, &str)]| {
        let mut command = stage.command(CCP);
        command
            .envs(variables.iter().copied())
            .args(["run", "-p", prompt]);
        finish(command).answers(prompt).stderr
    };
    for (number, name) in [
        "CLAUDE_CODE_OAUTH_TOKEN",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_API_KEY",
    ]
    .iter()
    .enumerate()
    {
        let prompt = format!("prompt {number}");
        let said = run(&prompt, &[(name, &stolen)]);
        assert!(said.contains(name), "{said}");
        stage.was_asked_by(&prompt, "work");
    }
    stage.configure("[env]\nkeep = [\"CLAUDE_CODE_OAUTH_TOKEN\"]\n");
    // Settings reach launches with the next publication.
    stage.ccp(&["sync"]).good();
    let said = run("kept", &[("CLAUDE_CODE_OAUTH_TOKEN", &stolen)]);
    assert!(!said.contains("CLAUDE_CODE_OAUTH_TOKEN"), "{said}");
    let kept = stage.prompts("kept");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].account.as_deref(), Some(PLAIN));
}

#[test]
fn six_sessions_at_once_spread_and_renew_each_login_once() {
    let names = ["one", "two", "three"];
    let Some(stage) = Stage::with(&names) else {
        return;
    };
    let service = &stage.standin.service;
    for (number, name) in (1..).zip(names) {
        service.expire_access(name);
        stage.edit(&stage.account(number).join(".credentials.json"), |login| {
            login["claudeAiOauth"]["expiresAt"] = json!(1);
        });
    }
    let before = service.refreshes();
    let mut sessions: Vec<Running> = (0..6)
        .map(|number| {
            let dir = stage.home.path().join(format!("dir{number}"));
            std::fs::create_dir(&dir).expect("makes");
            let mut command = stage.command(CCP);
            // Each takes a while, so that all run at the same time.
            let prompt = format!("{number} [[wait:4000]]");
            command.current_dir(dir).args(["run", "-p", &prompt]);
            Running::start(command).expect("starts")
        })
        .collect();
    sessions.iter_mut().for_each(Running::close_stdin);
    let mut refreshing = [0; 2].map(|_| stage.start(&["refresh", "--all"]));
    for (number, session) in sessions.iter_mut().enumerate() {
        let output = session.output(BOUND).expect("ends");
        let answer = format!("simulated answer to: {number} [[wait:4000]]");
        assert_eq!(
            (output.code, output.stdout.trim()),
            (0, answer.as_str()),
            "{output:#?}"
        );
    }
    for refresh in &mut refreshing {
        let output = refresh.output(BOUND).expect("ends");
        assert_eq!(output.code, 0, "{output:#?}");
    }
    let mut spread: BTreeMap<String, u32> = BTreeMap::new();
    for record in service.requests() {
        if record.endpoint == Endpoint::Messages
            && record.prompt.is_some_and(|p| p.contains("[[wait"))
        {
            *spread.entry(record.account.expect("known")).or_default() += 1;
        }
    }
    let expected = names.map(|name| (name.to_owned(), 2));
    assert_eq!(spread, BTreeMap::from(expected));
    assert_eq!(
        (service.refreshes() - before, service.double_spends()),
        (3, 0)
    );
    let status = stage.status(true);
    for account in status["accounts"].as_array().expect("a list") {
        assert_eq!(account["tier"], "available", "{account:#}");
        assert_eq!(account["flags"], json!([]), "{account:#}");
    }
}

#[test]
fn a_status_line_reports_the_usage_of_a_session_and_is_taken_out_again() {
    let Some(stage) = Stage::with(&["work"]) else {
        return;
    };
    let settings = stage.base().join("settings.json");
    let before = std::fs::read(&settings).expect("reads");
    stage.ccp(&["statusline", "install", "-y"]).good();
    let wrapped = json_of(&settings);
    assert!(wrapped["statusLine"]["command"].is_string(), "{wrapped:#}");
    stage
        .standin
        .service
        .set_window("work", WindowKind::FiveHour, 44.0, Resets::In(7200));
    let terminal = Terminal::start(&stage, &format!("{CCP} run"));
    terminal.wait_for_idle();
    terminal.prompt("how full is it");
    terminal.wait("status line", |s| s.contains("44%"));
    terminal.prompt("/exit");
    terminal.ended(0);
    drop(terminal);
    // Whatever rounds of sampling were under way fold the report in; a status of now needs none.
    assert_eq!(stage.wait_for_quiet(), []);
    stage.ccp(&["refresh"]).good();
    let account = stage.status_of("work", false);
    assert_eq!(account["sample"]["source"], "live", "{account:#}");
    assert_eq!(account["used_5h_pct"], json!(44.0));
    stage.ccp(&["statusline", "remove"]).good();
    assert_eq!(std::fs::read(&settings).expect("reads"), before);
    put(&settings, &before);
}
