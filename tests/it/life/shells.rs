//! What ccp hands to shells: variables, aliases, completions.

use super::world::World;
use ccp_standin::Home;
use ccp_standin::service::AccountSpec;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The shells that are installed here, of those asked for.
fn installed(names: &[&'static str]) -> Vec<&'static str> {
    let is_there = |name: &&&str| {
        let there = is_installed(name);
        if !there {
            ccp_standin::skip(&format!("{name} is not installed"));
        }
        there
    };
    names.iter().filter(is_there).copied().collect()
}

fn is_installed(name: &str) -> bool {
    let script = format!("command -v {name}");
    let found = Command::new("/bin/sh").args(["-c", &script]).output();
    found.is_ok_and(|o| o.status.success())
}

fn said(world: &World, shell: &str, script: &str) -> String {
    let output = world
        .command(shell, &["-c", script])
        .output()
        .expect("the shell is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shell}: {script}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A home whose name is hard to quote.
fn awkward() -> World {
    let home = Home::new().expect("a home");
    let ccp_home = home.path().join("it's \"$HOME\" `x`\n\\ü");
    fs::create_dir(&ccp_home).expect("creates");
    let world = World::with_ccp_home(home, ccp_home);
    world.leave_account(1, &AccountSpec::new("jo"));
    world.ok(&["init"]);
    world
}

#[test]
fn every_shell_reads_the_variables_back_exactly() {
    let mut world = awkward();
    let dir = world.account_dir(1);
    let dir = dir.to_str().expect("text");
    world.set("ANTHROPIC_API_KEY", "made-up");
    let show = "printf '%s|%s' \"$CLAUDE_CONFIG_DIR\" \"${ANTHROPIC_API_KEY-unset}\"";
    for shell in installed(&["bash", "zsh"]) {
        let script = format!("eval \"$(ccp env --shell {shell} 2>/dev/null)\"; {show}");
        assert_eq!(
            said(&world, shell, &script),
            format!("{dir}|unset"),
            "{shell}"
        );
    }
    for shell in installed(&["fish"]) {
        let script =
            "ccp env --shell fish 2>/dev/null | source; printf '%s' \"$CLAUDE_CONFIG_DIR\"";
        assert_eq!(said(&world, shell, script), dir);
    }
    // npm's `nushell` brings it, with 70 MB: it is tried where a person has it.
    if is_installed("nu") {
        let shell = "nu";
        let file = world.home.path().join("env.nu");
        fs::write(&file, world.ok(&["env", "--shell", "nu"])).expect("writes");
        let script = format!(
            "source '{}'; print -n $\"($env.CLAUDE_CONFIG_DIR)|('ANTHROPIC_API_KEY' in $env)\"",
            file.display()
        );
        assert_eq!(said(&world, shell, &script), format!("{dir}|false"));
        let script = "ccp env --shell json | from json | load-env; print -n $env.CLAUDE_CONFIG_DIR";
        assert_eq!(said(&world, shell, script), dir);
    }
    let json: serde_json::Value =
        serde_json::from_str(&world.ok(&["env", "--shell", "json"])).expect("is JSON");
    assert_eq!(json["CLAUDE_CONFIG_DIR"], dir);
    assert!(json["ANTHROPIC_API_KEY"].is_null());
    let plugins = world.home.path().join(".claude/plugins");
    assert_eq!(
        json["CLAUDE_CODE_PLUGIN_CACHE_DIR"],
        plugins.to_str().expect("text")
    );
}

fn rc_files(home: &Path) -> [(&'static str, std::path::PathBuf); 3] {
    [
        ("zsh", home.join("z dot/.zshrc")),
        ("bash", home.join(".bashrc")),
        ("fish", home.join("xdg/fish/config.fish")),
    ]
}

#[test]
fn the_alias_works_and_goes_in_every_shell() {
    let mut world = World::new();
    let home = world.home.path().to_owned();
    world.set("ZDOTDIR", home.join("z dot"));
    world.set("XDG_CONFIG_HOME", home.join("xdg"));
    for (_, path) in rc_files(&home) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("creates");
        fs::write(&path, "# mine\n").expect("writes");
    }
    let texts = || rc_files(&home).map(|(_, path)| fs::read_to_string(path).expect("reads"));
    world.ok(&["alias", "install"]);
    let once = texts();
    world.ok(&["alias", "install"]);
    assert_eq!(texts(), once, "a second time changes nothing");
    let shown = world.ok(&["alias", "show"]);
    for (shell, path) in rc_files(&home) {
        let line = once
            .iter()
            .find(|t| t.contains("ccp run"))
            .expect("is there");
        assert!(shown.contains(path.to_str().expect("text")), "{shown}");
        assert!(line.ends_with("# ccp\n"), "{line}");
        if installed(&[shell]).is_empty() {
            continue;
        }
        let syntax = Command::new(shell)
            .arg("-n")
            .arg(&path)
            .status()
            .expect("runs");
        assert!(syntax.success(), "{shell} cannot read its file");
    }
    for shell in installed(&["bash"]) {
        let rc = home.join(".bashrc");
        let script = format!(
            "shopt -s expand_aliases; . '{}'; alias claude",
            rc.display()
        );
        assert!(said(&world, shell, &script).contains("ccp run"));
        let gone = format!(
            "PATH=/usr/bin:/bin; . '{}'; ! alias claude 2>/dev/null",
            rc.display()
        );
        said(&world, shell, &gone);
    }
    for shell in installed(&["zsh", "fish"]) {
        let (_, path) = rc_files(&home)
            .into_iter()
            .find(|(s, _)| *s == shell)
            .expect("is one");
        let query = if shell == "fish" {
            "functions claude"
        } else {
            "alias claude"
        };
        let script = format!(". '{}'; {query}", path.display());
        assert!(said(&world, shell, &script).contains("ccp run"), "{shell}");
    }
    world.ok(&["alias", "remove"]);
    assert_eq!(texts(), ["# mine\n"; 3].map(str::to_owned));
    world.ok(&["alias", "remove"]);
}

#[test]
fn an_alias_of_the_persons_own_is_wrapped_only_on_request() {
    use super::terminal::Terminal;
    let world = World::new();
    let rc = world.home.path().join(".bashrc");
    let own = "alias claude=\"~/.claude/local/claude\"\n";
    fs::write(&rc, own).expect("writes");
    let output = world.run(&["alias", "install"]);
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(
        output.stdout.starts_with("command -v ccp"),
        "the line to add by hand"
    );
    assert_eq!(fs::read_to_string(&rc).expect("reads"), own);

    let mut terminal = Terminal::start(&world, &["alias", "install"], None);
    terminal.answer("mean ccp with that claude? [Y/n]", "\n");
    assert_eq!(terminal.end().0, 0);
    let text = fs::read_to_string(&rc).expect("reads");
    let claude = world.home.path().join(".claude/local/claude");
    let expected = format!(
        "alias claude='CCP_CLAUDE={} ccp run' # ccp\n",
        claude.display()
    );
    assert!(text.starts_with(own) && text.ends_with(&expected), "{text}");
    world.ok(&["alias", "remove"]);
    assert_eq!(fs::read_to_string(&rc).expect("reads"), own);
}

#[test]
fn completions_and_pages_are_made_from_the_command_line() {
    let world = World::new();
    for shell in installed(&["bash", "zsh", "fish"]) {
        let script = world.ok(&["completions", shell]);
        assert!(script.contains("rename"), "{shell}");
        let file = world.home.path().join("completions");
        fs::write(&file, script).expect("writes");
        let syntax = Command::new(shell)
            .arg("-n")
            .arg(&file)
            .status()
            .expect("runs");
        assert!(syntax.success(), "{shell} cannot read its completions");
    }
    assert!(world.ok(&["man"]).contains(".TH ccp 1"));
    let out = world.home.path().join("man");
    world.ok(&["man", "--out", out.to_str().expect("text")]);
    assert!(out.join("ccp-add.1").is_file());
    assert!(world.ok(&["help", "exit-codes"]).contains("69"));
    assert!(world.ok(&["help", "add"]).contains("--run-login"));
    world.fails(2, &["help", "nonsense"]);
}
