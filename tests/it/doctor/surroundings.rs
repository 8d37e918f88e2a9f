//! claude, shells, the environment, processes.

use super::{Then, check, edit, healthy, line_of};
use crate::life::world::{BOUND, World};
use ccp_standin::Running;
use serde_json::Value;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

fn says<'t>(text: &'t str, id: &str, sign: char, found: &str) -> &'t str {
    let line = line_of(text, id);
    assert!(line.starts_with(sign) && line.contains(found), "{line}");
    line
}

#[test]
fn the_claude_of_a_launch_is_named() {
    let mut world = healthy();
    let bin = world.bin("claude");
    says(
        &world.ok(&["doctor"]),
        "claude-found",
        '✓',
        bin.to_str().expect("text"),
    );
    world.set("CCP_CLAUDE", "/nowhere/claude");
    let hint = Then::Hint("install Claude Code, or set CCP_CLAUDE");
    check(&world, "claude-found", '✗', "/nowhere/claude", hint);
}

#[test]
fn a_claude_that_was_not_tested_is_noticed() {
    let world = healthy();
    says(&world.ok(&["doctor"]), "claude-version", '✓', "2.1.329");
    let id = "claude-version";
    // One script for all, written once: a file that is open for writing anywhere cannot be executed.
    let said = world.home.path().join("said");
    let answer = |text: &str| fs::write(&said, text).expect("writes");
    world.replace_claude(&format!("exec cat '{}'", said.display()));
    for (text, sign, found, hint) in [
        (
            "2.2.0 (Claude Code)\n",
            '!',
            "newer than tested",
            "update ccp",
        ),
        (
            "2.1.100 (Claude Code)\n",
            '!',
            "older than tested",
            "claude update",
        ),
        ("nonsense\n", '✗', "no answer that can be read", "--version"),
    ] {
        answer(text);
        check(&world, id, sign, found, Then::Hint(hint));
    }
}

/// Both executables in a directory of their own, where the launcher's can be changed.
fn installed_elsewhere(world: &World) -> std::path::PathBuf {
    let dir = world.home.path().join("elsewhere");
    fs::create_dir(&dir).expect("creates");
    let ccpd = env!("CARGO_BIN_EXE_ccpd");
    let target = dir.join("ccpd");
    if fs::hard_link(ccpd, &target).is_err() {
        fs::copy(ccpd, &target).expect("copies");
    }
    dir
}

#[test]
fn a_launcher_of_another_version_or_none_is_noticed() {
    let world = healthy();
    says(&world.ok(&["doctor"]), "executables", '✓', "both are");
    let dir = installed_elsewhere(&world);
    let run = || {
        let command = world.command(dir.join("ccpd"), &["doctor", "--fix"]);
        let mut running = Running::start(command).expect("starts");
        running.close_stdin();
        let output = running.output(BOUND).expect("it ends");
        assert_eq!(output.code, 1, "{}", output.stdout);
        output.stdout
    };
    let hint = "install ccp again";
    assert!(says(&run(), "executables", '✗', "cannot be read").contains(hint));
    let launcher = dir.join("ccp");
    fs::write(&launcher, "#!/bin/sh\n").expect("writes");
    assert!(says(&run(), "executables", '✗', "is not the launcher").contains(hint));
    fs::write(&launcher, "..ccp launcher 0.0.9 needs..").expect("writes");
    assert!(says(&run(), "executables", '✗', "is 0.0.9").contains(hint));
}

#[test]
fn a_ccp_that_path_does_not_lead_to_is_noticed() {
    let mut world = healthy();
    let bin = world.home.path().join("bin");
    says(
        &world.ok(&["doctor"]),
        "ccp-on-path",
        '✓',
        bin.to_str().expect("text"),
    );
    world.set("PATH", "/usr/bin:/bin");
    world.set("CCP_CLAUDE", world.bin("claude"));
    let hint = || Then::Hint("PATH");
    check(&world, "ccp-on-path", '!', "is not on PATH", hint());
    let other = world.home.path().join("other");
    fs::create_dir(&other).expect("creates");
    fs::write(other.join("ccp"), "#!/bin/sh\n").expect("writes");
    super::set_mode(&other.join("ccp"), 0o755);
    world.set("PATH", format!("{}:/usr/bin:/bin", other.display()));
    check(&world, "ccp-on-path", '!', "is another one", hint());
}

#[test]
fn what_claude_means_in_a_shell_is_told() {
    let world = healthy();
    let id = "shell-alias";
    check(&world, id, '!', "bash: ", Then::Hint("`ccp alias install`"));
    world.ok(&["alias", "install"]);
    says(&world.ok(&["doctor"]), id, '✓', "bash: ccp run");
    let zsh = world.home.path().join(".zshrc");
    fs::write(&zsh, "alias claude='docker run claude'\n").expect("writes");
    check(
        &world,
        id,
        '!',
        "zsh: your own",
        Then::Hint("`ccp alias show`"),
    );
    assert!(
        fs::read_to_string(zsh)
            .expect("reads")
            .starts_with("alias claude")
    );
}

#[test]
fn variables_that_replace_a_login_are_named_without_their_values() {
    let mut world = healthy();
    let id = "environment-overrides";
    world.set("ANTHROPIC_API_KEY", "made-up-secret");
    check(
        &world,
        id,
        '!',
        "ANTHROPIC_API_KEY is set; launches remove it",
        Then::Hint("unset it"),
    );
    world.ok(&["config", "set", "env.keep", "[\"ANTHROPIC_API_KEY\"]"]);
    check(
        &world,
        id,
        '!',
        "lets it through",
        Then::Hint("in place of"),
    );
    world.set(
        "ANTHROPIC_BASE_URL",
        "https://me:made-up-secret@proxy.example.test",
    );
    check(
        &world,
        "base-url",
        '!',
        "receives the accounts' tokens",
        Then::Hint("unset it"),
    );
    for arguments in [&["doctor"][..], &["doctor", "--json"]] {
        let output = world.run(arguments);
        assert!(!(output.stdout + &output.stderr).contains("made-up-secret"));
    }
}

#[test]
fn settings_of_claude_are_read_and_left_alone() {
    let mut world = healthy();
    let settings = world.home.path().join(".claude/settings.json");
    edit(&settings, |v| v["apiKeyHelper"] = "/bin/key".into());
    check(
        &world,
        "api-key-helper",
        '!',
        "`apiKeyHelper`",
        Then::Hint("settings.json"),
    );
    fs::write(&settings, "{").expect("writes");
    check(
        &world,
        "base-settings",
        '✗',
        "settings.json",
        Then::Hint("by hand"),
    );
    assert_eq!(fs::read(&settings).expect("reads"), b"{");
    fs::write(&settings, "{}").expect("writes");

    world.ok(&["statusline", "install", "--yes"]);
    world.ok(&["hooks", "install", "--yes"]);
    let told = world.ok(&["doctor"]);
    says(&told, "statusline", '✓', "installed");
    says(&told, "hooks", '✓', "it is installed");
    edit(&settings, |v| v["disableAllHooks"] = true.into());
    check(
        &world,
        "statusline",
        '!',
        "disableAllHooks",
        Then::Hint("ccp statusline remove"),
    );
    check(
        &world,
        "hooks",
        '!',
        "disableAllHooks",
        Then::Hint("ccp hooks remove"),
    );
    world.set("CCP_CLAUDE", world.bin("claude"));
    world.set("PATH", "/usr/bin:/bin");
    check(
        &world,
        "statusline",
        '✗',
        "ccp is not on PATH",
        Then::Hint("ccp statusline remove"),
    );
    edit(&settings, |v| v["statusLine"]["command"] = "mine".into());
    check(
        &world,
        "statusline",
        '!',
        "replaced",
        Then::Hint("ccp statusline remove"),
    );
}

#[test]
fn every_claude_is_listed_with_the_account_it_uses() {
    let world = healthy();
    let start = |dir: Option<&str>| {
        let mut command = Command::new("/bin/sh");
        command.arg0("claude").args(["-c", "read line"]);
        command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        if let Some(dir) = dir {
            command.env("CLAUDE_CONFIG_DIR", dir);
        }
        command.spawn().expect("starts")
    };
    let account = world.account_dir(1);
    let children = [
        (start(account.to_str()), "uses jo without a lease"),
        (start(None), "uses plain claude's login"),
        (
            start(Some("/of/somebody")),
            "uses /of/somebody, which is no account",
        ),
    ];
    let found = || -> Value {
        let output = world.run(&["doctor", "--fix", "--json"]);
        let report: Value = serde_json::from_str(&output.stdout).expect("is JSON");
        let mut checks = report["checks"].as_array().expect("a list").iter();
        let found = checks.find(|c| c["id"] == "claude-processes");
        found.expect("is one of them").clone()
    };
    let label = world.store().accounts().expect("lists")[0].label.clone();
    let before = found();
    for (child, text) in &children {
        let expected = format!("process {} {}", child.id(), text.replace("jo", &label));
        let mut findings = before["findings"].as_array().expect("a list").iter();
        let finding = findings.find(|f| f["found"] == expected.as_str());
        let finding = finding.unwrap_or_else(|| panic!("{expected}: {before}"));
        assert_eq!(finding["verdict"], "note");
        assert!(
            finding["hint"]
                .as_str()
                .is_some_and(|h| h.contains("`ccp`"))
        );
    }
    for (mut child, _) in children {
        drop(child.stdin.take());
        let pid = child.id();
        child.wait().expect("ends");
        assert!(!found().to_string().contains(&format!("process {pid} ")));
    }
}

#[test]
fn sessions_are_counted_with_the_account_they_use() {
    let world = healthy();
    world.replace_claude("exec -a claude /bin/sh -c 'echo up; read line'");
    let script = world.home.path().join("claude-script");
    let text = fs::read_to_string(&script).expect("reads");
    // `exec -a` is not of every shell.
    fs::write(&script, text.replace("#!/bin/sh", "#!/bin/bash")).expect("writes");
    let mut session = world.start(&["run"]);
    session.wait_for_line(|l| l == "up", BOUND).expect("is up");
    let accounts = world.store().accounts().expect("lists");
    let said = world.run(&["doctor"]).stdout;
    let line = line_of(&said, "claude-processes");
    let counts = |label: &str| line.contains(&format!("1 session: {label} 1"));
    let others = line.starts_with('!');
    assert!(
        others || accounts.iter().any(|a| counts(&a.label)),
        "{line}"
    );
    session.write_line("end").expect("is there");
    session.output(BOUND).expect("ends");
}
