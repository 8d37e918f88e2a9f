//! The proof that the real client accepts the stand-in: each row runs the pinned Claude Code against it.
#![allow(missing_docs, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ccp_standin::service::{
    AccountSpec, AccountTokens, Endpoint, Fault, Recorded, Resets, WindowKind,
};
use ccp_standin::{Home, Output, Running, Standin, require_real_claude};
use serde_json::{Value, json};

/// A start takes about a second on an idle machine; the machines that run tests are not idle.
const BOUND: Duration = Duration::from_secs(90);

struct World {
    claude: PathBuf,
    home: Home,
    // Before the home, so that nobody serves files that are gone.
    standin: Standin,
}

impl World {
    fn new() -> Option<Self> {
        let claude = require_real_claude()?;
        let home = Home::new().unwrap();
        let standin = Standin::start(&home.ca_file()).unwrap();
        Some(Self {
            claude,
            home,
            standin,
        })
    }

    fn account(&self, name: &str) -> (PathBuf, AccountTokens) {
        let tokens = self.standin.service.add_account(AccountSpec::new(name));
        let dir = self
            .home
            .write_account_dir(name, &self.standin.service.spec(name), &tokens)
            .unwrap();
        (dir, tokens)
    }

    /// An account dir whose access token is over, here and on the service.
    fn expired_account(&self, name: &str) -> PathBuf {
        let mut tokens = self.standin.service.add_account(AccountSpec::new(name));
        self.standin.service.expire_access(name);
        tokens.expires_at = 1;
        self.home
            .write_account_dir(name, &self.standin.service.spec(name), &tokens)
            .unwrap()
    }

    fn start(&self, dir: &Path, arguments: &[&str]) -> Running {
        self.start_with(dir, arguments, &[])
    }

    fn start_with(&self, dir: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> Running {
        let mut command = self.home.command(&self.claude, &self.standin);
        command
            .env("CLAUDE_CONFIG_DIR", dir)
            .args(arguments)
            .envs(variables.iter().copied());
        Running::start(command).unwrap()
    }

    fn run(&self, dir: &Path, arguments: &[&str]) -> Output {
        let mut running = self.start(dir, arguments);
        running.close_stdin();
        running.output(BOUND).expect("claude ends")
    }

    fn prompts(&self, prompt: &str) -> Vec<Recorded> {
        let requests = self.standin.service.requests().into_iter();
        requests
            .filter(|record| record.prompt.as_deref() == Some(prompt))
            .collect()
    }
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn is_signed_in(dir: &Path, account: &AccountSpec) {
    assert_eq!(
        json_of(&dir.join(".claude.json"))["oauthAccount"]["accountUuid"],
        json!(account.uuid)
    );
    let login = json_of(&dir.join(".credentials.json"));
    assert!(
        login["claudeAiOauth"]["refreshToken"]
            .as_str()
            .is_some_and(|token| !token.is_empty())
    );
}

#[test]
fn a_prompt_is_answered_through_the_proxy() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    let output = world.run(&dir, &["-p", "hi"]);
    assert_eq!(
        (output.code, output.stdout.trim()),
        (0, "simulated answer to: hi"),
        "{}",
        output.stderr
    );
    let records = world.prompts("hi");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].account.as_deref(), Some("work"));
    assert_eq!(
        records[0].claimed_account_uuid,
        Some(world.standin.service.spec("work").uuid)
    );
    let unknown: Vec<_> = world
        .standin
        .service
        .requests()
        .into_iter()
        .filter(|record| record.endpoint == Endpoint::Unknown)
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a_scripted_tool_runs() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    let prompt = "go [[tool:Bash:echo t''ool-ran]]";
    let output = world.run(&dir, &["-p", "--dangerously-skip-permissions", prompt]);
    assert!(
        output.stdout.contains("(the tool said: tool-ran)"),
        "{output:?}"
    );
}

#[test]
fn the_usage_probe_returns_the_windows_that_were_set() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    let service = &world.standin.service;
    service.set_window("work", WindowKind::FiveHour, 31.4, Resets::In(7200));
    service.set_window(
        "work",
        WindowKind::SevenDay,
        46.0,
        Resets::Number(1_900_000_000.5),
    );
    service.set_window(
        "work",
        WindowKind::WeeklyScoped("Fable".to_owned()),
        88.0,
        Resets::Empty,
    );
    let one = Path::new("1");
    let mut running = world.start_with(
        &dir,
        &[
            "-p",
            "--input-format",
            "stream-json",
            "--output-format",
            "stream-json",
            "--verbose",
            "--no-session-persistence",
            "--strict-mcp-config",
            "--settings",
            r#"{"disableAllHooks":true}"#,
        ],
        // With telemetry on, scoped windows are passed on in `limits` alone: `model_scoped` waits for a feature flag.
        &[
            ("DISABLE_TELEMETRY", one),
            ("DISABLE_ERROR_REPORTING", one),
            ("ENABLE_CLAUDEAI_MCP_SERVERS", Path::new("false")),
        ],
    );
    let question = json!({"type": "control_request", "request_id": "u",
        "request": {"subtype": "get_usage", "skip_behaviors": true}});
    running.write_line(&question.to_string()).unwrap();
    let line = running
        .wait_for_line(|line| line.contains("control_response"), BOUND)
        .expect("an answer");
    running.close_stdin();
    assert_eq!(running.output(BOUND).unwrap().code, 0);
    let answer: Value = serde_json::from_str(&line).unwrap();
    let answer = &answer["response"]["response"];
    assert_eq!(answer["subscription_type"], "max");
    let limits = &answer["rate_limits"];
    assert_eq!(limits["five_hour"]["utilization"], 31.4);
    assert_eq!(limits["seven_day"]["resets_at"], 1_900_000_000.5);
    assert_eq!(
        limits["limits"][2]["scope"]["model"]["display_name"],
        "Fable"
    );
    assert_eq!(
        limits["model_scoped"][0]["display_name"], "Fable",
        "{limits:#}"
    );
    assert!(json_of(&dir.join(".claude.json"))["cachedUsageUtilization"]["fetchedAtMs"].is_u64());
    assert!(
        service
            .requests()
            .iter()
            .all(|record| record.endpoint != Endpoint::Messages)
    );
}

#[test]
fn an_expired_login_is_renewed_once_by_four_starts() {
    let Some(world) = World::new() else { return };
    let dir = world.expired_account("work");
    let service = &world.standin.service;
    let mut starts: Vec<Running> = (0..4).map(|_| world.start(&dir, &["-p", "hi"])).collect();
    starts.iter_mut().for_each(Running::close_stdin);
    for start in &mut starts {
        let output = start.output(BOUND).expect("claude ends");
        assert_eq!(
            (output.code, output.stdout.trim()),
            (0, "simulated answer to: hi"),
            "{}",
            output.stderr
        );
    }
    assert_eq!((service.refreshes(), service.double_spends()), (1, 0));
    assert_eq!(world.prompts("hi").len(), 4);
    is_signed_in(&dir, &service.spec("work"));
}

#[test]
fn a_dead_login_is_blanked_and_said() {
    let Some(world) = World::new() else { return };
    let dir = world.expired_account("work");
    world.standin.service.revoke_refresh("work");
    let output = world.run(&dir, &["-p", "hi"]);
    assert_eq!(output.code, 1);
    assert_eq!(
        json_of(&dir.join(".credentials.json"))["claudeAiOauth"]["refreshToken"],
        ""
    );
    assert_eq!(world.run(&dir, &["auth", "status"]).code, 1);
}

#[test]
fn a_sign_in_completes_by_the_browser() {
    let Some(world) = World::new() else { return };
    let service = &world.standin.service;
    service.add_account(AccountSpec::new("work"));
    let dir = world.home.write_empty_dir("work").unwrap();
    let browser = world
        .home
        .write_browser(Path::new(env!("CARGO_BIN_EXE_fake-claude")))
        .unwrap();
    let mut login = world.start_with(
        &dir,
        &["auth", "login", "--email", &service.spec("work").email],
        &[("BROWSER", browser.as_path())],
    );
    let output = login.output(BOUND).expect("the sign-in ends");
    assert_eq!(output.code, 0, "{output:?}");
    is_signed_in(&dir, &service.spec("work"));
    let status = world.run(&dir, &["auth", "status"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(
        (&status["loggedIn"], &status["email"]),
        (&json!(true), &json!("work@example.test"))
    );
    let out = world.run(&dir, &["auth", "logout"]);
    assert_eq!(out.code, 0, "{out:?}");
    assert!(
        service
            .requests()
            .iter()
            .any(|record| record.endpoint == Endpoint::Revoke)
    );
    assert!(!dir.join(".credentials.json").exists());
}

#[test]
fn a_sign_in_completes_by_a_pasted_code_and_fails_with_a_spent_one() {
    let Some(world) = World::new() else { return };
    let service = &world.standin.service;
    service.add_account(AccountSpec::new("work"));
    let mut pasted = None;
    for (name, code) in [("good", 0), ("bad", 1)] {
        let dir = world.home.write_empty_dir(name).unwrap();
        let mut login = world.start(&dir, &["auth", "login"]);
        let line = login
            .wait_for_line(|line| line.contains("https://"), BOUND)
            .expect("a URL");
        let authorization = service
            .authorize("work", line.split_whitespace().last().unwrap())
            .unwrap();
        // The second try hands in the code that the first one has spent.
        let first: &String = pasted.get_or_insert(authorization.code.clone());
        login
            .write_line(&format!("{first}#{}", authorization.state))
            .unwrap();
        let output = login.output(BOUND).expect("the sign-in ends");
        assert_eq!(output.code, code, "{output:?}");
        if code == 0 {
            is_signed_in(&dir, &service.spec("work"));
        }
    }
}

#[test]
fn the_plan_limit_ends_a_prompt() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    world
        .standin
        .service
        .set_fault("work", Endpoint::Messages, Fault::PlanLimit);
    let output = world.run(&dir, &["-p", "hi"]);
    assert_eq!(output.code, 1);
    assert!(
        output.stdout.contains("hit your 5-hour limit"),
        "{output:?}"
    );
    assert_eq!(world.prompts("hi").len(), 1);
}

#[test]
fn a_throttle_is_retried() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    world
        .standin
        .service
        .set_fault_times("work", Endpoint::Messages, Fault::Throttled(None), 1);
    let output = world.run(&dir, &["-p", "hi"]);
    assert_eq!(
        (output.code, output.stdout.trim()),
        (0, "simulated answer to: hi"),
        "{output:?}"
    );
    assert_eq!(world.prompts("hi").len(), 2);
}

#[test]
fn live_sessions_report_the_windows() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    world
        .standin
        .service
        .set_window("work", WindowKind::FiveHour, 31.0, Resets::In(7200));
    let output = world.run(
        &dir,
        &["-p", "hi", "--output-format", "stream-json", "--verbose"],
    );
    let events = output
        .stdout
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let info = events
        .map(|event| event["rate_limit_info"].clone())
        .find(|info| !info.is_null());
    let info = info.expect("a rate_limit_event");
    assert_eq!(info["status"], "allowed");
    assert_eq!(
        info["unifiedWindows"]["five_hour"]["utilization"], 0.31,
        "{info}"
    );
}

#[test]
fn a_conversation_resumes_under_another_account() {
    let Some(world) = World::new() else { return };
    let (first, _) = world.account("first");
    let (second, _) = world.account("second");
    let shared = world.home.path().join("projects");
    fs::create_dir(&shared).unwrap();
    for dir in [&first, &second] {
        std::os::unix::fs::symlink(&shared, dir.join("projects")).unwrap();
    }
    let id = "11111111-2222-4333-8444-555555555555";
    assert_eq!(
        world.run(&first, &["-p", "one", "--session-id", id]).code,
        0
    );
    let output = world.run(&second, &["-p", "two", "--resume", id]);
    assert_eq!(
        (output.code, output.stdout.trim()),
        (0, "simulated answer to: two"),
        "{output:?}"
    );
    let (one, two) = (&world.prompts("one")[0], &world.prompts("two")[0]);
    assert_eq!(
        (one.account.as_deref(), two.account.as_deref()),
        (Some("first"), Some("second"))
    );
    assert!(
        two.messages > one.messages,
        "{} then {}",
        one.messages,
        two.messages
    );
}

#[test]
fn a_revoked_token_is_renewed_and_the_prompt_goes_through() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    let service = &world.standin.service;
    service.revoke_access("work");
    let output = world.run(&dir, &["-p", "hi"]);
    assert_eq!(
        (output.code, output.stdout.trim()),
        (0, "simulated answer to: hi"),
        "{output:?}"
    );
    assert_eq!((service.refreshes(), service.double_spends()), (1, 0));
}

#[test]
fn a_stalled_stream_is_finished_when_it_flows_again() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    world
        .standin
        .service
        .set_fault("work", Endpoint::Messages, Fault::StalledStream);
    let mut running = world.start(&dir, &["-p", "hi"]);
    running.close_stdin();
    let asked = world
        .standin
        .service
        .wait_for(|record| record.prompt.as_deref() == Some("hi"), BOUND);
    assert!(asked.is_some());
    world
        .standin
        .service
        .clear_fault("work", Endpoint::Messages);
    let output = running.output(BOUND).expect("claude ends");
    assert_eq!(
        (output.code, output.stdout.trim()),
        (0, "simulated answer to: hi"),
        "{output:?}"
    );
}

#[test]
fn the_base_url_way_uses_the_login_of_the_dir() {
    let Some(world) = World::new() else { return };
    let (dir, _) = world.account("work");
    let url = world.standin.service.url();
    let mut running = world.start_with(
        &dir,
        &["-p", "hi"],
        &[
            ("ANTHROPIC_BASE_URL", Path::new(&url)),
            ("HTTPS_PROXY", Path::new("")),
        ],
    );
    running.close_stdin();
    let output = running.output(BOUND).expect("claude ends");
    assert_eq!(
        (output.code, output.stdout.trim()),
        (0, "simulated answer to: hi"),
        "{output:?}"
    );
    assert_eq!(world.prompts("hi")[0].account.as_deref(), Some("work"));
}
