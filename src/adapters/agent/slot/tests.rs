use super::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::time::{Duration, Instant};

fn flags(line: &str) -> Flags {
    Flags::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

fn environment(pairs: &[(&str, &str)]) -> ShellEnvironment {
    let pairs = pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    ShellEnvironment::inherited(pairs)
}

struct Scene {
    dir: tempfile::TempDir,
    claude: PathBuf,
    hooks: HookRoute,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let claude = dir.path().join("claude");
        std::os::unix::fs::symlink("/bin/sh", &claude).expect("links");
        let hooks = HookRoute {
            program: "/opt/ccp d".into(),
            socket: "/run/h.sock".into(),
            token: "secret-token".to_owned(),
        };
        Self { dir, claude, hooks }
    }

    fn plan(
        &self,
        flags: &Flags,
        environment: &ShellEnvironment,
        config_dir: Option<&Path>,
        opening: &Opening,
    ) -> Result<SlotPlan, SlotError> {
        plan(&SlotOrder {
            claude: &self.claude,
            flags,
            cwd: self.dir.path(),
            config_dir,
            plugins: Path::new("/home/u/.claude/plugins"),
            environment,
            pool_dir: Path::new("/pool"),
            pool_session: Some("0123456789ab"),
            hooks: &self.hooks,
            opening,
        })
    }
}

fn settings_of(plan: &SlotPlan) -> Value {
    let at = plan
        .argv
        .iter()
        .position(|word| word == "--settings")
        .expect("has settings");
    serde_json::from_str(plan.argv[at + 1].to_str().expect("text")).expect("JSON")
}

fn variables(plan: &SlotPlan) -> HashMap<&str, &str> {
    let pairs = plan.environment.iter();
    let map: HashMap<_, _> = pairs
        .map(|(name, value)| (name.to_str().expect("text"), value.to_str().expect("text")))
        .collect();
    assert_eq!(map.len(), plan.environment.len(), "none twice");
    map
}

#[test]
fn flags_are_split_as_a_shell_splits_them() {
    for (line, expected) in [
        ("", &[][..]),
        ("  --verbose\t--ide ", &["--verbose", "--ide"]),
        (
            "--model 'a b' --name \"c \\\"d\\\" \\x\"",
            &["--model", "a b", "--name", "c \"d\" \\x"],
        ),
        ("--name a\\ b''c", &["--name", "a bc"]),
        ("--name ''", &["--name", ""]),
        (
            "--add-dir /a /b --verbose",
            &["--add-dir", "/a", "/b", "--verbose"],
        ),
        ("--model=opus", &["--model", "opus"]),
        (
            "--append-system-prompt --dashes",
            &["--append-system-prompt", "--dashes"],
        ),
        (
            "--of-a-later-claude value",
            &["--of-a-later-claude", "value"],
        ),
    ] {
        assert_eq!(flags(line).words(), expected, "{line}");
    }
    assert_eq!(Flags::parse("--name 'a"), Err(FlagsError::OpenQuote('\'')));
    assert_eq!(Flags::parse("\"a"), Err(FlagsError::OpenQuote('"')));
    assert_eq!(Flags::parse("--x \\"), Err(FlagsError::Backslash));
    assert_eq!(
        Flags::parse("--model"),
        Err(FlagsError::NoValue("--model".to_owned()))
    );
}

#[test]
fn flags_that_break_a_slot_are_refused_by_name() {
    for line in [
        "-p",
        "--print",
        "--resume x",
        "-r",
        "-c",
        "--continue",
        "--session-id=x",
        "--output-format json",
        "--bg",
        "--worktree",
        "-h",
        "--version",
        "--bare",
        "-dp",
        "--verbose --no-session-persistence",
    ] {
        assert!(
            matches!(Flags::parse(line), Err(FlagsError::Breaks { .. })),
            "{line}"
        );
    }
    let error = Flags::parse("--model opus -p").expect_err("breaks");
    let text = "`-p` cannot be a flag of a pool: it makes claude print one answer and end";
    assert_eq!(error.to_string(), text);
    for line in [
        "hello",
        "--verbose hello",
        "--model opus hello",
        "--",
        "mcp list",
    ] {
        assert!(
            matches!(Flags::parse(line), Err(FlagsError::Word(_))),
            "{line}"
        );
    }
}

#[test]
fn mode_and_model_of_the_flags_are_known() {
    let modes = [
        ("", None),
        ("--permission-mode plan", Some("plan")),
        (
            "--permission-mode=bypassPermissions",
            Some("bypassPermissions"),
        ),
        ("--dangerously-skip-permissions", Some("bypassPermissions")),
        ("--allow-dangerously-skip-permissions", None),
    ];
    for (line, mode) in modes {
        assert_eq!(flags(line).permission_mode(), mode, "{line}");
    }
    assert_eq!(flags("--model sonnet").model(), Some("sonnet"));
}

#[test]
fn settings_are_ours_and_those_of_the_flags() {
    let scene = Scene::new();
    let nothing = environment(&[]);
    let line = r#"--settings '{"env":{"A":"b"},"hooks":{"Stop":[{"hooks":[]}],"PreToolUse":[]},"autoContinueAtUsageLimit":false}' --dangerously-skip-permissions"#;
    let plan = scene
        .plan(&flags(line), &nothing, None, &Opening::Fresh)
        .expect("plans");
    let settings = settings_of(&plan);
    assert_eq!(settings["env"], json!({"A": "b"}));
    assert_eq!(
        settings["hooks"]["Stop"].as_array().map(Vec::len),
        Some(2),
        "added up"
    );
    assert!(settings["hooks"]["PreToolUse"].is_array());
    assert_eq!(settings["autoContinueAtUsageLimit"], true);
    assert_eq!(settings["skipDangerousModePermissionPrompt"], true);
    for event in settings::EVENTS {
        let hooks = settings["hooks"][*event].as_array().expect("a list");
        let last = &hooks[hooks.len() - 1]["hooks"][0];
        assert_eq!(last["command"], r#"exec "$CCP_HOOK_PROGRAM" hook"#);
    }
    assert!(!plan.hooks_disabled);
    let said = format!("{plan:?}");
    assert!(!said.contains("secret-token"), "{said}");
    assert_eq!(
        plan.argv
            .iter()
            .filter(|word| *word == "--settings")
            .count(),
        1
    );

    let file = scene.dir.path().join("s.json");
    crate::adapters::files::replace(&file, br#"{"disableAllHooks":true}"#, 0o600).expect("writes");
    let plan = scene.plan(&flags("--settings s.json"), &nothing, None, &Opening::Fresh);
    let plan = plan.expect("plans");
    assert!(plan.hooks_disabled);
    assert_eq!(
        settings_of(&plan).get("skipDangerousModePermissionPrompt"),
        None
    );

    for (line, text) in [
        ("--settings none.json", "cannot read"),
        ("--settings '{\"a\":'", "no JSON object"),
        ("--settings s.json --settings /dev/null", "no JSON object"),
    ] {
        let error = scene
            .plan(&flags(line), &nothing, None, &Opening::Fresh)
            .expect_err(line);
        assert!(error.to_string().contains(text), "{line}: {error}");
    }
}

#[test]
fn the_status_line_of_an_account_is_ours_and_that_of_the_flags_is_run_by_it() {
    let scene = Scene::new();
    let line = r#"--settings '{"statusLine":{"type":"command","command":"own $A","padding":2}}'"#;
    let account = Path::new("/home/u/.cc-pool/accounts/acct-01");
    let plan = |line: &str, config_dir| {
        let nothing = environment(&[]);
        let plan = scene.plan(&flags(line), &nothing, config_dir, &Opening::Fresh);
        plan.expect("plans")
    };
    let ours = plan(line, Some(account));
    let status_line = json!({"type": "command", "command": STATUS_COMMAND, "padding": 2});
    assert_eq!(settings_of(&ours)["statusLine"], status_line);
    assert_eq!(variables(&ours).get("CCP_STATUS_LINE"), Some(&"own $A"));
    let bare = plan("", Some(account));
    assert_eq!(settings_of(&bare)["statusLine"]["command"], STATUS_COMMAND);
    assert_eq!(variables(&bare).get("CCP_STATUS_LINE"), None);
    // Plain claude is left as it is.
    let plain = plan(line, None);
    assert_eq!(settings_of(&plain)["statusLine"]["command"], "own $A");
    assert_eq!(variables(&plain).get("CCP_STATUS_LINE"), None);
    assert_eq!(settings_of(&plan("", None)).get("statusLine"), None);
}

#[test]
fn a_slot_begins_with_the_conversation_it_is_told() {
    let scene = Scene::new();
    for (opening, tail) in [
        (Opening::Fresh, &[][..]),
        (Opening::FreshAs("u-1".to_owned()), &["--session-id", "u-1"]),
        (Opening::Resume("u-2".to_owned()), &["--resume", "u-2"]),
    ] {
        let plan = scene.plan(&flags("--verbose"), &environment(&[]), None, &opening);
        let argv = plan.expect("plans").argv;
        assert_eq!(argv[0], scene.claude.as_os_str());
        assert_eq!(argv[1], "--verbose");
        let rest: Vec<&OsStr> = argv[4..].iter().map(OsString::as_os_str).collect();
        assert_eq!(rest, tail);
    }
}

#[test]
fn the_environment_is_the_persons_with_what_a_slot_needs() {
    let scene = Scene::new();
    let daemons = environment(&[
        ("PATH", "/bin"),
        ("HOME", "/home/u"),
        ("CLAUDECODE", "1"),
        ("CLAUDE_CODE_SESSION_ID", "x"),
        ("CLAUDE_PID", "1"),
        ("CLAUDE_CODE_SOMETHING_NEW", "1"),
        ("AI_AGENT", "a"),
        ("CLAUDE_EFFORT", "high"),
        ("CLAUDE_CONFIG_DIR", "/other"),
        ("ANTHROPIC_API_KEY", "k"),
        ("CLAUDE_POOL_SESSION_ID", "other"),
        ("CCP_HOOK_TOKEN", "other"),
        ("TERM", "dumb"),
        ("CCP_ACCOUNT", "work"),
    ]);
    let account = Path::new("/home/u/.cc-pool/accounts/acct-01");
    let plan = scene
        .plan(&flags(""), &daemons, Some(account), &Opening::Fresh)
        .expect("plans");
    let there = variables(&plan);
    for (name, value) in [
        ("PATH", "/bin"),
        ("HOME", "/home/u"),
        ("TERM", "xterm-256color"),
        ("CLAUDE_CONFIG_DIR", "/home/u/.cc-pool/accounts/acct-01"),
        ("CLAUDE_CODE_PLUGIN_CACHE_DIR", "/home/u/.claude/plugins"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL", "1"),
        ("CLAUDE_POOL_DIR", "/pool"),
        ("CLAUDE_POOL_SESSION_ID", "0123456789ab"),
        ("CCP_HOOK_PROGRAM", "/opt/ccp d"),
        ("CCP_HOOK_SOCKET", "/run/h.sock"),
        ("CCP_HOOK_TOKEN", "secret-token"),
    ] {
        assert_eq!(there.get(name), Some(&value), "{name}");
    }
    for name in [
        "CLAUDECODE",
        "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_CODE_SOMETHING_NEW",
        "CLAUDE_PID",
        "AI_AGENT",
        "CLAUDE_EFFORT",
        "ANTHROPIC_API_KEY",
        "CCP_ACCOUNT",
    ] {
        assert_eq!(there.get(name), None, "{name}");
    }
    let plain = scene
        .plan(&flags(""), &daemons, None, &Opening::Fresh)
        .expect("plans");
    let there = variables(&plain);
    assert_eq!(
        there.get("CLAUDE_CONFIG_DIR"),
        None,
        "unset, or another file holds the trust"
    );
    assert_eq!(there.get("CLAUDE_CODE_PLUGIN_CACHE_DIR"), None);
    assert_eq!(
        there.get("ANTHROPIC_API_KEY"),
        Some(&"k"),
        "as the person's own claude has it"
    );
}

#[test]
fn the_login_shell_is_asked_once_and_with_a_bound() {
    let home = tempfile::tempdir().expect("a directory");
    let profile = home.path().join(".profile");
    let text = b"echo noise; export FROM_PROFILE='two\nlines'; export CLAUDE_CODE_USE_BEDROCK=1\n";
    crate::adapters::files::replace(&profile, text, 0o600).expect("writes");
    let home_text = home.path().to_str().expect("text").to_owned();
    let inherited = |shell: &str| {
        let pairs = [
            ("SHELL", shell),
            ("HOME", &home_text),
            ("PATH", "/usr/bin:/bin"),
            ("INHERITED", "yes"),
            ("CLAUDE_CODE_SESSION_ID", "x"),
        ];
        pairs.map(|(name, value)| (OsString::from(name), OsString::from(value)))
    };
    let captured = ShellEnvironment::capture(inherited("/bin/sh"), environment::PATIENCE);
    assert_eq!(captured.problem(), None);
    assert_eq!(captured.get("FROM_PROFILE"), Some(OsStr::new("two\nlines")));
    assert_eq!(
        captured.get("CLAUDE_CODE_USE_BEDROCK"),
        Some(OsStr::new("1")),
        "set by the person"
    );
    assert_eq!(captured.get("INHERITED"), Some(OsStr::new("yes")));
    assert_eq!(captured.get("CLAUDE_CODE_SESSION_ID"), None);
    assert_eq!(captured.get("SHLVL"), None);

    for shell in ["/nowhere/bash", "/bin/false"] {
        let captured = ShellEnvironment::capture(inherited(shell), environment::PATIENCE);
        assert!(
            captured.problem().is_some_and(|p| p.contains(shell)),
            "{shell}"
        );
        assert_eq!(captured.get("INHERITED"), Some(OsStr::new("yes")));
        assert_eq!(captured.get("CLAUDE_CODE_SESSION_ID"), None);
    }
    crate::adapters::files::replace(&profile, b"exec sleep 600\n", 0o600).expect("writes");
    let started = Instant::now();
    let captured = ShellEnvironment::capture(inherited("/bin/sh"), Duration::from_millis(200));
    assert!(captured.problem().is_some_and(|p| p.contains("in time")));
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn an_executable_is_known_by_its_file() {
    let scene = Scene::new();
    let one = ClaudeIdentity::of(&scene.claude).expect("is there");
    assert_eq!(
        one,
        ClaudeIdentity::of(Path::new("/bin/sh")).expect("is there"),
        "links are followed"
    );
    std::fs::remove_file(&scene.claude).expect("removes");
    assert!(ClaudeIdentity::of(&scene.claude).is_err());
    std::os::unix::fs::symlink("/bin/cat", &scene.claude).expect("links");
    assert_ne!(one, ClaudeIdentity::of(&scene.claude).expect("is there"));
}
