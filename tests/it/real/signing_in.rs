//! Accounts are signed in by the real client's own sign-in, and a login that died is found out and replaced.

use super::stage::{BOUND, Stage, json_of};
use crate::support::CCP;
use ccp_standin::Running;
use ccp_standin::service::{AccountSpec, Resets, WindowKind};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// That this account is signed in at the service as `name`, in files that nobody else reads.
fn is_signed_in(stage: &Stage, number: u16, name: &str) {
    let dir = stage.account(number);
    let spec = stage.standin.service.spec(name);
    let state = json_of(&dir.join(".claude.json"));
    assert_eq!(state["oauthAccount"]["accountUuid"], json!(spec.uuid));
    let login = json_of(&dir.join(".credentials.json"));
    let refresh = login["claudeAiOauth"]["refreshToken"].as_str();
    assert!(refresh.is_some_and(|token| !token.is_empty()));
    let mode = |path| {
        fs::symlink_metadata(path)
            .expect("is there")
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode(dir.join(".credentials.json")), 0o600);
    assert_eq!(mode(dir.join(".claude.json")), 0o600);
    assert_eq!(mode(dir), 0o700);
}

#[test]
fn an_account_is_added_by_the_browser_and_sampled_by_the_client() {
    let Some(stage) = Stage::open() else { return };
    stage.add("work");
    is_signed_in(&stage, 1, "work");
    let account = stage.status_of("work", false);
    assert_eq!(account["email"], "work@example.test");
    assert_eq!(account["sample"]["source"], "claude");
    assert_eq!(
        (&account["used_5h_pct"], &account["used_7d_pct"]),
        (&json!(10.0), &json!(20.0))
    );
    let service = &stage.standin.service;
    service.set_window("work", WindowKind::FiveHour, 31.5, Resets::In(7200));
    service.set_window(
        "work",
        WindowKind::WeeklyScoped("Fable".to_owned()),
        88.0,
        Resets::In(7200),
    );
    // For a minute claude answers from its note, which is no error and no new sample.
    let account = stage.status_of("work", true);
    assert_eq!(
        (&account["used_5h_pct"], &account["flags"]),
        (&json!(10.0), &json!([]))
    );
    stage.forget_usage(1);
    let account = stage.status_of("work", true);
    assert_eq!(account["sample"]["source"], "claude", "{account:#}");
    assert_eq!(account["used_5h_pct"], json!(31.5));
    assert_eq!(account["models"][0]["model"], "Fable", "{account:#}");
    assert_eq!(account["models"][0]["used_pct"], json!(88.0));
}

#[test]
fn an_account_is_added_by_a_pasted_code() {
    let Some(stage) = Stage::open() else { return };
    let service = &stage.standin.service;
    service.add_account(AccountSpec::new("work"));
    let mut command = stage.command(CCP);
    command.env("BROWSER", "/bin/true").args([
        "add",
        "--run-login",
        "-y",
        "--no-alias",
        "--label",
        "mine",
    ]);
    let mut adding = Running::start(command).expect("starts");
    let line = adding.wait_for_line(|line| line.contains("https://"), BOUND);
    let line = line.expect("a URL");
    let url = line.split_whitespace().last().expect("a word");
    let authorization = service.authorize("work", url).expect("a whole URL");
    adding.write_line(&authorization.pasted()).expect("pastes");
    let output = adding.output(BOUND).expect("ends");
    assert_eq!(output.code, 0, "{output:#?}");
    assert!(output.stdout.ends_with("acct-01\tmine\n"), "{output:#?}");
    is_signed_in(&stage, 1, "work");
    // What the service tells nobody but claude is nowhere in what ccp keeps.
    let login = json_of(&stage.account(1).join(".credentials.json"));
    for secret in ["accessToken", "refreshToken"] {
        let secret = login["claudeAiOauth"][secret].as_str().expect("a token");
        for file in ["state.db", "state.db-wal", "snapshot.json", "status.json"] {
            let bytes = fs::read(stage.home.path().join(".cc-pool").join(file)).unwrap_or_default();
            let found = bytes.windows(secret.len()).any(|w| w == secret.as_bytes());
            assert!(!found, "a secret in {file}");
        }
    }
}

#[test]
fn a_login_that_died_is_found_out_by_evidence_and_signed_in_again() {
    let Some(stage) = Stage::with(&["work", "home"]) else {
        return;
    };
    let service = &stage.standin.service;
    service.set_window("home", WindowKind::FiveHour, 60.0, Resets::In(7200));
    stage.forget_usage(2);
    service.revoke_access("work");
    service.revoke_refresh("work");
    stage.forget_usage(1);
    // The first answer "logged out" is a suspicion: it may be a network that answers nonsense.
    let said = stage.ccp(&["refresh", "--all"]).good().stderr;
    assert!(
        said.contains("work: claude says it is logged out"),
        "{said}"
    );
    assert_eq!(stage.status_of("work", false)["tier"], "available");
    stage.a_minute_passes(1);
    stage.ccp(&["refresh", "--all"]).good();
    let account = stage.status_of("work", false);
    assert_eq!(account["tier"], "needs_login", "{account:#}");

    // It was the emptier one, and is not picked any more.
    stage.ccp(&["run", "-p", "hi"]).answers("hi");
    stage.was_asked_by("hi", "home");
    let refused = stage.run_as("work", &["-p", "never"]).output;
    assert_eq!(refused.code, 69, "{refused:#?}");
    assert!(refused.stderr.contains("`ccp login work`"), "{refused:#?}");
    assert_eq!(stage.prompts("never").len(), 0);

    stage.ccp(&["login", "work", "--run-login"]).good();
    is_signed_in(&stage, 1, "work");
    let account = stage.status_of("work", false);
    assert_eq!(
        (&account["tier"], &account["flags"]),
        (&json!("available"), &json!([]))
    );
    stage.run_as("work", &["-p", "again"]).answers("again");
    stage.was_asked_by("again", "work");
}
