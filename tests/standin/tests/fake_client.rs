//! The pretend client as a process: it must behave towards `ccp` as the real one does in `real_client.rs`.
#![allow(missing_docs, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ccp_standin::service::{AccountSpec, Endpoint, Fault, Recorded, Resets, WindowKind};
use ccp_standin::{Home, Output, Running, Standin};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(30);
const CLAUDE: &str = env!("CARGO_BIN_EXE_fake-claude");

struct World {
    home: Home,
    standin: Standin,
}

impl World {
    fn new() -> Self {
        let home = Home::new().unwrap();
        let standin = Standin::start(&home.ca_file()).unwrap();
        Self { home, standin }
    }

    fn account(&self, name: &str) -> PathBuf {
        let tokens = self.standin.service.add_account(AccountSpec::new(name));
        self.home
            .write_account_dir(name, &self.standin.service.spec(name), &tokens)
            .unwrap()
    }

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
        let mut command = self.home.command(CLAUDE, &self.standin);
        command
            .env("CLAUDE_CONFIG_DIR", dir)
            .args(arguments)
            .envs(variables.iter().copied());
        Running::start(command).unwrap()
    }

    fn run(&self, dir: &Path, arguments: &[&str]) -> Output {
        let mut running = self.start(dir, arguments);
        running.close_stdin();
        running.output(BOUND).expect("it ends")
    }

    fn prompts(&self, prompt: &str) -> Vec<Recorded> {
        let requests = self.standin.service.requests().into_iter();
        requests
            .filter(|record| record.prompt.as_deref() == Some(prompt))
            .collect()
    }

    fn usage(&self, dir: &Path) -> Value {
        let mut running = self.start(
            dir,
            &[
                "-p",
                "--input-format",
                "stream-json",
                "--output-format",
                "stream-json",
            ],
        );
        let question = json!({"type": "control_request", "request_id": "u", "request": {"subtype": "get_usage"}});
        running.write_line(&question.to_string()).unwrap();
        running.close_stdin();
        let output = running.output(BOUND).unwrap();
        assert_eq!(output.code, 0);
        let answer: Value = serde_json::from_str(output.stdout.trim()).unwrap();
        answer["response"]["response"].clone()
    }
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

#[test]
fn a_prompt_is_answered_and_written_down() {
    let world = World::new();
    let dir = world.account("work");
    assert_eq!(
        world.run(&dir, &["--version"]).stdout,
        "2.1.329 (Claude Code)\n"
    );
    let output = world.run(&dir, &["-p", "hi", "--session-id", "s1"]);
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (0, "simulated answer to: hi\n"),
        "{output:?}"
    );
    let output = world.run(
        &dir,
        &[
            "-p",
            "go [[tool:Bash:echo $CLAUDE_CODE_SESSION_ID]]",
            "--resume",
            "s1",
        ],
    );
    assert!(output.stdout.contains("(the tool said: s1)"), "{output:?}");
    let output = world.run(&dir, &["--continue", "-p", "third"]);
    assert_eq!(
        (output.code, world.prompts("third")[0].session_id.as_deref()),
        (0, Some("s1")),
        "{output:?}"
    );
    assert_eq!(world.prompts("third")[0].messages, 7);
    assert_eq!(world.prompts("hi")[0].session_id.as_deref(), Some("s1"));
    let again = world.run(&dir, &["-p", "hi", "--session-id", "s1"]);
    assert!(
        again.code == 1 && again.stderr.contains("already in use"),
        "{again:?}"
    );
    let unknown = world.run(&dir, &["-p", "hi", "--resume", "s2"]);
    assert!(
        unknown.code == 1 && unknown.stderr.contains("No conversation found"),
        "{unknown:?}"
    );
    assert_eq!(fs::read_dir(dir.join("sessions")).unwrap().count(), 0);
}

#[test]
fn the_usage_probe_answers_like_the_real_one() {
    let world = World::new();
    let service = &world.standin.service;
    let dir = world.account("work");
    service.set_window("work", WindowKind::FiveHour, 31.4, Resets::In(7200));
    service.set_window(
        "work",
        WindowKind::WeeklyScoped("Fable".to_owned()),
        88.0,
        Resets::Null,
    );
    let answer = world.usage(&dir);
    assert_eq!(
        (
            &answer["subscription_type"],
            &answer["rate_limits_available"]
        ),
        (&json!("max"), &json!(true))
    );
    assert_eq!(answer["rate_limits"]["five_hour"]["utilization"], 31.4);
    assert_eq!(
        answer["rate_limits"]["model_scoped"][0]["display_name"],
        "Fable"
    );
    let cache = json_of(&dir.join(".claude.json"))["cachedUsageUtilization"].clone();
    assert_eq!(cache["accountUuid"], json!(service.spec("work").uuid));
    // Within a minute the cache answers.
    world.usage(&dir);
    let probes = service
        .requests()
        .into_iter()
        .filter(|record| record.endpoint == Endpoint::Usage)
        .count();
    assert_eq!(probes, 1);

    let throttled = world.account("throttled");
    service.set_fault("throttled", Endpoint::Usage, Fault::Throttled(None));
    let answer = world.usage(&throttled);
    assert_eq!(
        (&answer["subscription_type"], &answer["rate_limits"]),
        (&json!("max"), &Value::Null)
    );

    let empty = world.home.write_empty_dir("empty").unwrap();
    let answer = world.usage(&empty);
    assert_eq!(
        (&answer["subscription_type"], &answer["rate_limits"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn an_expired_login_is_renewed_once_by_eight_starts() {
    let world = World::new();
    let service = &world.standin.service;
    let dir = world.expired_account("work");
    let mut starts: Vec<Running> = (0..8).map(|_| world.start(&dir, &["-p", "hi"])).collect();
    for start in &mut starts {
        start.close_stdin();
        assert_eq!(
            start.output(BOUND).unwrap().stdout,
            "simulated answer to: hi\n"
        );
    }
    assert_eq!((service.refreshes(), service.double_spends()), (1, 0));
    service.revoke_access("work");
    assert_eq!(world.run(&dir, &["-p", "hi"]).code, 0);
    assert_eq!(service.refreshes(), 2);
    service.revoke_access("work");
    service.revoke_refresh("work");
    assert_eq!(world.run(&dir, &["-p", "hi"]).code, 1);
    assert_eq!(
        json_of(&dir.join(".credentials.json"))["claudeAiOauth"]["accessToken"],
        ""
    );
    assert_eq!(world.run(&dir, &["auth", "status"]).code, 1);
}

#[test]
fn a_sign_in_completes_by_browser_and_by_paste() {
    let world = World::new();
    let service = &world.standin.service;
    service.add_account(AccountSpec::new("work"));
    let browser = world.home.write_browser(Path::new(CLAUDE)).unwrap();
    let dir = world.home.write_empty_dir("browser").unwrap();
    let email = service.spec("work").email;
    let mut login = world.start_with(
        &dir,
        &["auth", "login", "--email", &email],
        &[("BROWSER", browser.as_path())],
    );
    assert_eq!(login.output(BOUND).unwrap().code, 0);
    let status: Value = serde_json::from_str(&world.run(&dir, &["auth", "status"]).stdout).unwrap();
    assert_eq!(
        (&status["email"], &status["subscriptionType"]),
        (&json!(email), &json!("max"))
    );
    assert_eq!(world.run(&dir, &["auth", "logout"]).code, 0);
    assert!(!dir.join(".credentials.json").exists());
    assert!(json_of(&dir.join(".claude.json"))["oauthAccount"].is_null());

    for (name, spoil, code) in [("paste", "", 0), ("spoilt", "x", 1)] {
        let dir = world.home.write_empty_dir(name).unwrap();
        let mut login = world.start(&dir, &["auth", "login"]);
        let line = login
            .wait_for_line(|line| line.contains("visit: "), BOUND)
            .unwrap();
        let authorization = service
            .authorize("work", line.split_whitespace().last().unwrap())
            .unwrap();
        login.write_line("junk").unwrap();
        assert!(
            login
                .wait_for_line(|line| line.contains("full code"), BOUND)
                .is_some()
        );
        login
            .write_line(&format!("{}{spoil}", authorization.pasted()))
            .unwrap();
        assert_eq!(login.output(BOUND).unwrap().code, code);
        assert_eq!(dir.join(".credentials.json").exists(), code == 0);
    }
}

#[test]
fn the_plan_limit_is_said_and_a_throttle_is_retried() {
    let world = World::new();
    let dir = world.account("work");
    world
        .standin
        .service
        .set_fault("work", Endpoint::Messages, Fault::PlanLimit);
    let output = world.run(&dir, &["-p", "hi"]);
    assert_eq!(output.code, 1);
    assert!(
        output
            .stdout
            .starts_with("You've hit your 5-hour limit · resets "),
        "{output:?}"
    );
    world
        .standin
        .service
        .set_fault_times("work", Endpoint::Messages, Fault::Overloaded, 2);
    assert_eq!(world.run(&dir, &["-p", "hi"]).code, 0);
}

#[test]
fn a_session_tells_the_registry_the_hooks_and_the_status_line() {
    let world = World::new();
    let dir = world.account("work");
    let log = world.home.path().join("hooks");
    let hook = format!("cat >> {0}; echo >> {0}", log.display());
    let event = json!([{"hooks": [{"type": "command", "command": hook}]}]);
    let settings = json!({
        "hooks": {"SessionStart": event, "UserPromptSubmit": event, "Stop": event, "SessionEnd": event},
        "statusLine": {"type": "command", "command": "cat"},
    });
    world
        .standin
        .service
        .set_window("work", WindowKind::FiveHour, 31.0, Resets::In(7200));
    world
        .standin
        .service
        .set_fault("work", Endpoint::Messages, Fault::Hang);
    let mut session = world.start(&dir, &["--settings", &settings.to_string()]);
    assert!(
        session
            .wait_for_line(|line| line.contains("work@example.test"), BOUND)
            .is_some()
    );
    session.write_line("one").unwrap();
    let asked = world
        .standin
        .service
        .wait_for(|record| record.prompt.as_deref() == Some("one"), BOUND);
    assert!(asked.is_some());
    let registry = dir.join(format!("sessions/{}.json", session.pid()));
    assert_eq!(json_of(&registry)["status"], "busy");
    world
        .standin
        .service
        .clear_fault("work", Endpoint::Messages);
    assert!(
        session
            .wait_for_line(|line| line == "● simulated answer to: one", BOUND)
            .is_some()
    );
    let line = session
        .wait_for_line(|line| line.contains("rate_limits"), BOUND)
        .unwrap();
    let status: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(status["rate_limits"]["five_hour"]["used_percentage"], 31.0);
    session.write_line("/exit").unwrap();
    assert_eq!(session.output(BOUND).unwrap().code, 0);
    assert!(!registry.exists());
    let reports = fs::read_to_string(&log).unwrap();
    let names: Vec<String> = reports
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|report| report["hook_event_name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        ["SessionStart", "UserPromptSubmit", "Stop", "SessionEnd"]
    );
}

#[test]
fn servers_go_where_the_real_client_keeps_them() {
    let world = World::new();
    let dir = world.account("work");
    assert_eq!(
        world
            .run(
                &dir,
                &["mcp", "add", "-s", "user", "all", "--", "ccp", "mcp"]
            )
            .code,
        0
    );
    assert_eq!(
        world
            .run(&dir, &["mcp", "add", "here", "-e", "A=b", "--", "x"])
            .code,
        0
    );
    let state = json_of(&dir.join(".claude.json"));
    assert_eq!(
        state["mcpServers"]["all"],
        json!({"type": "stdio", "command": "ccp", "args": ["mcp"], "env": {}})
    );
    let work = world.home.work_dir();
    assert_eq!(
        state["projects"][work.to_str().unwrap()]["mcpServers"]["here"]["env"]["A"],
        "b"
    );
    assert_eq!(world.run(&dir, &["mcp", "remove", "all"]).code, 0);
    assert_eq!(json_of(&dir.join(".claude.json"))["mcpServers"], json!({}));
}

#[test]
fn a_real_login_and_a_missing_service_are_refused() {
    let world = World::new();
    let dir = world.home.write_empty_dir("real").unwrap();
    let file = dir.join(".credentials.json");
    let text = json!({"claudeAiOauth": {"accessToken": "sk-ant-oat01-x", "refreshToken": "y"}})
        .to_string();
    std::io::Write::write_all(&mut fs::File::create(&file).unwrap(), text.as_bytes()).unwrap();
    for arguments in [&["auth", "logout"][..], &["auth", "login"], &["-p", "hi"]] {
        let output = world.run(&dir, arguments);
        assert!(
            output.code == 1 && output.stderr.contains("holds a real login"),
            "{output:?}"
        );
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let work = world.account("work");
    for service in ["", "http://192.0.2.1:80", "https://api.anthropic.com"] {
        let mut session = world.start_with(
            &work,
            &["-p", "hi"],
            &[("CCP_SIMULATED_SERVICE", Path::new(service))],
        );
        session.close_stdin();
        assert!(
            session
                .output(BOUND)
                .unwrap()
                .stderr
                .contains("on loopback"),
            "{service}"
        );
    }
}

#[test]
fn tests_of_other_crates_find_it() {
    let world = World::new();
    let mut command = world
        .home
        .command(ccp_standin::fake_claude(), &world.standin);
    command.arg("--version");
    assert_eq!(
        Running::start(command).unwrap().output(BOUND).unwrap().code,
        0
    );
}
