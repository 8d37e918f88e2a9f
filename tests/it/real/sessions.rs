//! Sessions of the real client under accounts: whose token is used, where a conversation goes on, what of the person's
//! environment reaches it.

use super::stage::{BOUND, PLAIN, Stage, finish, json_of};
use super::terminal::Terminal;
use crate::support::CCP;
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
    let screen = terminal.screen().to_lowercase();
    for dialog in ["trust", "text style", "select login", "press enter"] {
        assert!(!screen.contains(dialog), "{dialog} in:\n{screen}");
    }
    terminal.prompt("and now by hand");
    terminal.wait("answer", |s| {
        s.contains("simulated answer to: and now by hand")
    });
    terminal.prompt("/exit");
    terminal.ended(0);
    stage.was_asked_by("and now by hand", "work");
    let history = std::fs::read_to_string(stage.base().join("history.jsonl")).expect("reads");
    assert!(history.contains("an old prompt") && history.contains("and now by hand"));

    // A session may itself ask ccp for another one.
    let prompt = "[[tool:Bash:ccp run -p inner]]";
    let arguments = ["run", "-p", "--dangerously-skip-permissions", prompt];
    let output = stage.ccp(&arguments).good();
    let inner = "simulated answer to: inner";
    assert!(output.stdout.contains(inner), "{output:#?}");
    stage.was_asked_by("inner", "work");
}

#[test]
fn a_home_where_claude_never_ran_needs_nothing_but_an_account() {
    let Some(stage) = Stage::bare() else { return };
    stage.add("work");
    stage.ccp(&["run", "-p", "hi"]).answers("hi");
    stage.was_asked_by("hi", "work");
    // Nobody has trusted the directory, which is for the person to answer; there is no other question.
    let terminal = Terminal::start(&stage, &format!("{CCP} run"));
    let screen = terminal.wait("first screen", |s| s.contains("trust"));
    assert!(!screen.contains("text style"), "{screen}");
    drop(terminal);
    assert!(!stage.base().join(".credentials.json").exists());
    assert!(!stage.base_json().exists());
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
fn a_status_line_reports_the_limit_that_a_session_meets_and_the_next_one_goes_elsewhere() {
    let Some(stage) = Stage::with(&["work", "home"]) else {
        return;
    };
    let service = &stage.standin.service;
    let settings = stage.base().join("settings.json");
    let before = std::fs::read(&settings).expect("reads");
    stage.ccp(&["statusline", "install", "-y"]).good();
    let wrapped = json_of(&settings);
    assert!(wrapped["statusLine"]["command"].is_string(), "{wrapped:#}");

    let used =
        |percent| service.set_window("work", WindowKind::FiveHour, percent, Resets::In(7200));
    used(44.0);
    let terminal = Terminal::start(&stage, &format!("{CCP} run"));
    terminal.wait_for_idle();
    terminal.prompt("how full is it");
    terminal.wait("status line", |s| s.contains("44%"));
    let account = stage.status_of("work", false);
    assert_eq!(account["sample"]["source"], "live", "{account:#}");
    assert_eq!(account["used_5h_pct"], json!(44.0));
    assert_eq!(account["sessions"], json!(1));
    used(100.0);
    terminal.prompt("one too many");
    terminal.wait("limit", |s| s.contains("hit your 5-hour limit"));
    terminal.wait("status line", |s| s.contains("100%"));
    drop(terminal);

    // Nobody was asked meanwhile: the session itself has said it.
    let probes = |r: &ccp_standin::service::Recorded| r.endpoint == Endpoint::Usage;
    let asked = service.requests().iter().filter(|r| probes(r)).count();
    let said = stage
        .ccp(&["run", "-p", "and now", "--continue"])
        .answers("and now");
    assert!(said.stderr.contains("Selected home"), "{said:#?}");
    stage.was_asked_by("and now", "home");
    assert!(stage.prompts("and now")[0].messages > 1);
    assert_eq!(
        service.requests().iter().filter(|r| probes(r)).count(),
        asked
    );

    stage.ccp(&["statusline", "remove"]).good();
    assert_eq!(std::fs::read(&settings).expect("reads"), before);
}

#[test]
fn a_failed_selection_leads_the_real_client_nowhere() {
    let Some(stage) = Stage::open() else {
        return;
    };
    let prompt = "lead me nowhere";
    let plain = [
        stage.base_json(),
        stage.base().join(".credentials.json"),
        stage.base().join("settings.json"),
    ];
    let before = plain.each_ref().map(|p| std::fs::read(p).expect("reads"));
    let mut command = stage.command("/bin/sh");
    let script = "CLAUDE_CONFIG_DIR=$(ccp select) exec \"$CCP_CLAUDE\" -p \"$0\"";
    command.args(["-c", script, prompt]);
    let output = finish(command).output;
    assert_ne!(output.code, 0, "{output:#?}");
    assert!(output.stdout.contains("Not logged in"), "{output:#?}");
    assert!(stage.prompts(prompt).is_empty(), "it reached the service");
    for (path, before) in plain.iter().zip(before) {
        assert_eq!(std::fs::read(path).expect("reads"), before, "{path:?}");
    }
    let written = std::fs::read_dir(stage.home.work_dir()).expect("lists");
    assert_eq!(
        written.count(),
        0,
        "nothing in the working directory either"
    );
}
