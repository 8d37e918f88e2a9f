//! Rules as whole programs obey them: which account serves which directory, and what is said where none may.

use crate::support::{CCP, CCPD, Pool, put, put_executable};
use ccp::adapters::clock;
use ccp::contract::paths::NOWHERE;
use ccp::contract::snapshot::PinEntry;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Three accounts; without a rule it would always be the third. Nobody publishes anything: no database, no daemon.
struct Ruled(Pool);

impl Ruled {
    fn new(config: &str) -> Self {
        let ruled = Self(Pool::new(&[(80.0, 10.0), (60.0, 10.0), (10.0, 10.0)]));
        ruled.write(config);
        ruled
    }

    fn write(&self, config: &str) {
        put(&self.0.home.config(), config.as_bytes());
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.0.work_dir(name)
    }

    /// As if nothing had been launched yet.
    fn forget(&self) {
        for (lease, _) in self.0.leases() {
            fs::remove_file(self.0.home.leases().join(lease)).expect("removes");
        }
    }

    fn command(&self, dir: &Path, arguments: &[&str]) -> Command {
        let teller = self.0.user_home().join("teller");
        if !teller.exists() {
            put_executable(
                &teller,
                b"#!/bin/sh\nprintf '%s\\n' \"$CLAUDE_CONFIG_DIR\"\n",
            );
        }
        let mut command = self.0.command(CCP);
        command
            .args(arguments)
            .env("CCP_CLAUDE", teller)
            .current_dir(dir)
            .stdin(Stdio::null());
        command
    }

    fn output(&self, dir: &Path, arguments: &[&str]) -> Output {
        self.command(dir, arguments).output().expect("runs")
    }

    #[track_caller]
    fn serves(&self, dir: &Path, expected: u16) -> String {
        let output = self.output(dir, &["run"]);
        self.is_served(&output, expected)
    }

    #[track_caller]
    fn is_served(&self, output: &Output, expected: u16) -> String {
        let printed = text(&output.stdout);
        let account = self.0.account_dir(expected);
        assert!(
            printed.contains(&format!("{}\n", account.display()))
                || printed.contains(&format!("'{}'", account.display())),
            "not {expected}: {output:?}"
        );
        text(&output.stderr)
    }

    #[track_caller]
    fn refuses(&self, output: &Output, error: &str, hint: &str) {
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{said}");
        assert!(said.contains(&format!("error: {error}\n")), "{said}");
        assert!(said.contains(&format!("hint: {hint}")), "{said}");
        assert!(self.0.leases().is_empty(), "nothing is claimed");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const WORK: &str = "[[rule]]\npath = \"~/work\"\naccounts = [\"label1\"]\n";

#[test]
fn the_first_rule_that_matches_binds_here_and_below() {
    let ruled = Ruled::new(&format!(
        "[[rule]]\npath = \"~/work/special\"\naccounts = [2]\n\n{WORK}\n[[rule]]\npath = \"~/work/special/deep\"\naccounts = [\"acct-03\"]\n"
    ));
    let rows = [
        ("work", 1),
        ("work/app/src", 1),
        ("work/special", 2),
        ("work/special/deep", 2),
        ("workshop", 3),
        ("elsewhere", 3),
    ];
    for (dir, expected) in rows {
        let dir = ruled.dir(dir);
        let said = ruled.serves(&dir, expected);
        let binds = expected != 3;
        assert_eq!(said.contains(" · rule ~/work"), binds, "{said}");
        // Every way to an account goes by the same rules.
        for arguments in [
            &["select"][..],
            &["env", "--shell", "bash"],
            &["select", "--wait"],
            &["-p", "hi"],
        ] {
            ruled.is_served(&ruled.output(&dir, arguments), expected);
        }
    }
    let said = ruled.serves(&ruled.dir("work/special/new"), 2);
    let line = "Selected label2 · 5h 60% used · 7d 10% used · rule ~/work/special
";
    assert_eq!(said, line);
}

#[test]
fn a_pick_tells_which_rule_bound() {
    let ruled = Ruled::new(WORK);
    let dir = ruled.dir("work/app");
    ruled.serves(&dir, 1);
    let leases = ruled.0.leases();
    let rule = &leases[0].1["rule"];
    assert_eq!(
        (&rule["number"], &rule["path"]),
        (&1.into(), &"~/work".into())
    );
    assert_eq!(rule["barred"][0]["label"], "label2");
    let why = ruled.output(&dir, &["why"]);
    let why = text(&why.stdout);
    assert!(
        why.contains("  rule     rule 1 (~/work) does not allow label2, label3\n"),
        "{why}"
    );
    assert!(
        why.contains("there was no other account that the rule allows"),
        "{why}"
    );
    let json = ruled.output(&dir, &["select", "--json"]);
    let json: Value = serde_json::from_slice(&json.stdout).expect("is JSON");
    assert_eq!(json["rule"]["number"], 1);
    assert_eq!(json["ranking"].as_array().map(Vec::len), Some(1));
    // What a launch would use is marked so.
    let status = text(&ruled.output(&dir, &["status", "--plain"]).stdout);
    assert!(status.contains("▸ label1"), "{status}");
    let status = text(
        &ruled
            .output(&ruled.dir("elsewhere"), &["status", "--plain"])
            .stdout,
    );
    assert!(status.contains("▸ label3"), "{status}");
}

#[test]
fn links_into_the_directory_count_by_every_name() {
    let ruled = Ruled::new(WORK);
    let (work, data) = (ruled.dir("work"), ruled.dir("data/app"));
    // Into it from elsewhere: the kernel says where one is, whatever the shell calls it.
    let into = ruled.0.user_home().join("into");
    symlink(&work, &into).expect("links");
    ruled.serves(&into, 1);
    // Out of it: only the shell knows by which way one came.
    symlink(&data, work.join("out")).expect("links");
    let by_link = work.join("out");
    let told = |called: &Path| {
        let mut command = ruled.command(&by_link, &["run"]);
        command.env("PWD", called).output().expect("runs")
    };
    ruled.is_served(&told(&by_link), 1);
    ruled.forget();
    ruled.serves(&data, 3);
    // A word of an earlier directory binds nobody.
    ruled.is_served(&told(&work), 3);
    ruled.is_served(&told(&work.join("out/../../data/app")), 3);
    // The rule's own directory may be reached by a link.
    symlink(ruled.dir("data"), ruled.0.user_home().join("linked")).expect("links");
    ruled.write("[[rule]]\npath = \"~/linked\"\naccounts = [2]\n");
    ruled.serves(&data, 2);
    ruled.is_served(&ruled.output(&data, &["select"]), 2);
}

fn git(dir: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", dir)
        .args(["-c", "user.name=a", "-c", "user.email=a@example.test"])
        .args(["-c", "protocol.file.allow=always"])
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(dir);
    let output = command.output().expect("runs git");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

#[test]
fn a_rule_for_a_remote_holds_in_clones_worktrees_and_submodules() {
    if Command::new("git").arg("--version").output().is_err() {
        return ccp_standin::skip("there is no git");
    }
    let ruled = Ruled::new(
        "[[rule]]\ngit_remote = \"git.example/acme/*\"\naccounts = [\"person1@example.test\"]\n\
         [[rule]]\npath = \"~/src\"\ngit_remote = \"*/other/*\"\naccounts = [2]\n",
    );
    let app = ruled.dir("src/app");
    git(&app, &["init", "-q"]);
    git(&app, &["commit", "-q", "--allow-empty", "-m", "one"]);
    ruled.serves(&app, 3);
    git(
        &app,
        &["remote", "add", "origin", "git@Git.Example:acme/app.git"],
    );
    let said = ruled.serves(&app, 1);
    assert!(said.contains(" · rule git.example/acme/*"), "{said}");
    ruled.serves(&ruled.dir("src/app/deep/down"), 1);
    // A worktree elsewhere, and one of a bare clone.
    let worktree = ruled.0.user_home().join("elsewhere/tree");
    git(
        &app,
        &["worktree", "add", "-q", worktree.to_str().expect("text")],
    );
    ruled.serves(&worktree, 1);
    // A submodule is a repository of its own.
    let library = ruled.dir("library");
    git(&library, &["init", "-q"]);
    git(&library, &["commit", "-q", "--allow-empty", "-m", "one"]);
    git(
        &app,
        &[
            "submodule",
            "add",
            "-q",
            library.to_str().expect("text"),
            "sub",
        ],
    );
    let sub = app.join("sub");
    assert!(sub.join(".git").is_file());
    ruled.serves(&sub, 3);
    git(
        &sub,
        &[
            "remote",
            "set-url",
            "origin",
            "https://git.example/acme/library",
        ],
    );
    ruled.serves(&sub, 1);
    // Both have to match where both are named.
    git(
        &sub,
        &[
            "remote",
            "set-url",
            "origin",
            "ssh://git@host:22/other/library",
        ],
    );
    ruled.serves(&sub, 2);
    let outside = ruled.0.user_home().join("clone");
    git(
        ruled.0.user_home(),
        &["clone", "-q", library.to_str().expect("text"), "clone"],
    );
    git(
        &outside,
        &["remote", "set-url", "origin", "https://host/other/library"],
    );
    ruled.serves(&outside, 3);
    // Any of several remotes will do.
    git(
        &outside,
        &[
            "remote",
            "add",
            "upstream",
            "https://git.example/acme/library",
        ],
    );
    ruled.serves(&outside, 1);
}

#[test]
fn nothing_that_git_keeps_can_fail_a_launch() {
    let ruled = Ruled::new("[[rule]]\ngit_remote = \"*\"\naccounts = [1]\n");
    let dir = ruled.dir("app");
    ruled.serves(&dir, 3);
    symlink(".git", dir.join(".git")).expect("links");
    ruled.serves(&dir, 3);
    fs::remove_file(dir.join(".git")).expect("removes");
    put(&dir.join(".git"), b"gitdir: /nowhere\0\n");
    ruled.serves(&dir, 3);
    fs::remove_file(dir.join(".git")).expect("removes");
    fs::create_dir(dir.join(".git")).expect("creates");
    put(&dir.join(".git/HEAD"), b"x");
    let status = Command::new("mkfifo").arg(dir.join(".git/config")).status();
    assert!(status.expect("runs").success());
    ruled.serves(&dir, 3);
}

#[test]
fn a_rule_that_was_just_written_holds_for_the_next_launch() {
    let ruled = Ruled::new("# nothing yet\n");
    let dir = ruled.dir("work");
    ruled.serves(&dir, 3);
    // In place and by replacement, again and again, and every launch looks.
    for (account, arguments) in [
        (1, &["run"][..]),
        (2, &["select"]),
        (1, &["env", "--shell", "bash"]),
        (2, &["select", "--wait"]),
        (1, &["-p", "hi"]),
    ] {
        ruled.write(&format!(
            "[[rule]]\npath = \"~/work\"\naccounts = [{account}]\n# {}\n",
            "x".repeat(usize::from(account))
        ));
        let said = ruled.is_served(&ruled.output(&dir, arguments), account);
        assert!(!said.contains("warning"), "{said}");
    }
    // Once taken in, it is known without a look at the file's text.
    let before = fs::read(ruled.0.home.snapshot()).expect("reads");
    ruled.serves(&dir, 1);
    assert_eq!(fs::read(ruled.0.home.snapshot()).expect("reads"), before);
    fs::remove_file(ruled.0.home.config()).expect("removes");
    ruled.forget();
    ruled.serves(&dir, 3);
    let said = text(&ruled.output(&dir, &["select", "--account", "3"]).stderr);
    assert!(!said.contains("rule"), "no file, no rules: {said}");
}

#[test]
fn rules_that_cannot_be_told_let_nobody_in() {
    let ruled = Ruled::new(WORK);
    let dir = ruled.dir("work");
    ruled.serves(&dir, 1);
    ruled.forget();
    ruled.write("[[rule]]\npath = \"~/work\"\nacounts = [2]\n");
    let config = ruled.0.home.config();
    let error = format!(
        "the rules in {} are not known: it changed and was not taken in",
        config.display()
    );
    for arguments in [&["run"][..], &["select"], &["env"], &["select", "--wait"]] {
        let output = ruled.output(&dir, arguments);
        ruled.refuses(&output, &error, "`ccp config apply`");
        let said = text(&output.stderr);
        assert!(
            said.contains("line 3: unknown key rule.acounts: did you mean rule.accounts?"),
            "{said}"
        );
        if arguments[0] == "select" {
            assert_eq!(text(&output.stdout), format!("{NOWHERE}\n"));
        }
    }
    // A mistake where there are no rules is no reason not to launch.
    ruled.write("[daemon]\nautostrat = true\n");
    let said = ruled.serves(&dir, 1);
    assert!(
        said.contains("line 2: unknown key daemon.autostrat"),
        "{said}"
    );
    let output = ruled.output(&dir, &["config", "apply"]);
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn without_ccpd_beside_it_the_launcher_knows_what_it_does_not_know() {
    let ruled = Ruled::new(WORK);
    let alone = ruled.dir("bin").join("ccp");
    crate::support::copy_executable(CCP, &alone);
    let launch = || {
        let mut command = ruled.0.command(&alone);
        command.arg("run").env("CCP_CLAUDE", "/bin/true");
        command.output().expect("runs")
    };
    let config = ruled.0.home.config();
    let error = format!(
        "the rules in {} are not known: it changed and was not taken in",
        config.display()
    );
    ruled.refuses(&launch(), &error, "`ccp config apply`");
    ruled.write("[env]\nkeep = []\n");
    assert_eq!(launch().status.code(), Some(0), "{:?}", launch());
    let said = text(&launch().stderr);
    assert!(said.contains("changed and is not in force"), "{said}");
}

#[test]
fn nobody_else_serves_whatever_is_said() {
    let ruled = Ruled::new(WORK);
    let dir = ruled.dir("work");
    let name = dir.display().to_string();
    let barred = format!("rule 1 (~/work) allows label1 in {name}, not label3");
    let forced = |arguments: &[&str]| {
        let mut command = ruled.command(&dir, arguments);
        command.env("CCP_ACCOUNT", "label3").output().expect("runs")
    };
    for arguments in [&["run"][..], &["select"], &["env"], &["select", "--wait"]] {
        ruled.refuses(&forced(arguments), &barred, "name label1, or none");
    }
    for arguments in [
        &["select", "--account", "3"][..],
        &["env", "--account", "label3"],
        &["select", "--json", "-a", "3"],
    ] {
        ruled.refuses(
            &ruled.output(&dir, arguments),
            &barred,
            "name label1, or none",
        );
    }
    let output = ruled.output(&dir, &["select", "--account", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    ruled.write("[[rule]]\npath = \"~/work\"\naccounts = [\"gone\", 9]\n");
    let gone = format!("no account that rule 1 (~/work) allows in {name} exists: gone, 9");
    for arguments in [&["run"][..], &["select"], &["env"], &["select", "--wait"]] {
        ruled.refuses(
            &ruled.output(&dir, arguments),
            &gone,
            "`ccp list` shows the accounts",
        );
    }
    let status = ruled.output(&dir, &["status", "--plain"]);
    let said = text(&status.stdout) + &text(&status.stderr);
    assert!(said.contains(&gone) && !said.contains("▸ label"), "{said}");
}

#[test]
fn an_account_of_the_rule_serves_loudly_before_another_one_does() {
    let mut ruled = Ruled::new(WORK);
    let dir = ruled.dir("work");
    ruled.serves(&dir, 1);
    let soon = clock::now().unix_ms() + 3_600_000;
    ruled.0.snapshot.config = serde_json::from_slice::<ccp::contract::snapshot::Snapshot>(
        &fs::read(ruled.0.home.snapshot()).expect("reads"),
    )
    .expect("parses")
    .config;
    ruled.0.snapshot.rules = vec![ccp::contract::snapshot::RuleEntry {
        path: Some("~/work".to_owned()),
        git_remote: None,
        accounts: vec!["1".to_owned()],
    }];
    ruled.0.snapshot.accounts[0].limited_until_ms = Some(soon);
    ruled.0.publish();
    let said = ruled.serves(&dir, 1);
    let loud = "warning: no account that rule 1 (~/work) allows has headroom: label1 is refused by its plan limit";
    assert!(said.contains(loud), "{said}");
    ruled.0.snapshot.accounts[0].limited_until_ms = None;
    ruled.0.snapshot.accounts[0].needs_login = true;
    ruled.0.publish();
    let name = dir.display();
    ruled.forget();
    let error =
        format!("every account that rule 1 (~/work) allows in {name} needs a sign-in: label1");
    ruled.refuses(&ruled.output(&dir, &["run"]), &error, "`ccp login label1`");
    ruled.serves(&ruled.dir("elsewhere"), 3);
}

#[test]
fn a_pin_to_another_account_stays_and_does_not_bind() {
    let mut ruled = Ruled::new("");
    let dir = ruled.dir("work");
    let pin = PinEntry {
        dir: dir.clone(),
        account: 3,
        manual: true,
        at_ms: 1,
    };
    ruled.0.snapshot.pins.push(pin);
    ruled.0.publish();
    let said = ruled.serves(&dir, 3);
    assert!(said.contains("Reusing label3 (pinned)"), "{said}");
    ruled.write(WORK);
    let said = ruled.serves(&dir, 1);
    assert!(
        said.contains(
            "note: label3 is pinned here, but rule 1 (~/work) does not allow it; the pin stays\n"
        ),
        "{said}"
    );
    let why = text(&ruled.output(&dir, &["why"]).stdout);
    assert!(
        why.contains("pinned to label3 by order, whom the rule does not allow"),
        "{why}"
    );
    ruled.write("[[rule]]\npath = \"~/work\"\naccounts = [1, 3]\n");
    let said = ruled.serves(&dir, 3);
    assert!(
        said.contains("Reusing label3 (pinned)") && said.contains("rule ~/work"),
        "{said}"
    );
}

#[test]
fn settings_are_edited_around_rules_and_rules_are_shown() {
    let ruled = Ruled::new(&format!("{WORK}\n[env] # mine\nkeep = []\n"));
    let dir = ruled.dir("work");
    let shown = text(&ruled.output(&dir, &["config"]).stdout);
    let rule = "rule = { path = \"~/work\", accounts = [\"label1\"] }\n";
    assert!(shown.ends_with(rule), "{shown}");
    assert_eq!(
        text(&ruled.output(&dir, &["config", "get", "rule"]).stdout),
        rule
    );
    let output = ruled.output(&dir, &["config", "set", "rule.path", "/x"]);
    assert!(
        text(&output.stderr).contains("error: rules are written into the file by hand"),
        "{output:?}"
    );
    // By the very code of `ccp config set`, which wants a database.
    let edited = Command::new(CCPD)
        .env_clear()
        .env("HOME", ruled.0.user_home())
        .args(["init", "--no-service"])
        .output();
    assert!(edited.expect("runs").status.success());
    let output = ruled.output(&dir, &["config", "set", "env.keep", "ANTHROPIC_API_KEY"]);
    assert!(output.status.success(), "{output:?}");
    let text = fs::read_to_string(ruled.0.home.config()).expect("reads");
    assert_eq!(
        text,
        format!("{WORK}\n[env] # mine\nkeep = [\"ANTHROPIC_API_KEY\"]\n")
    );
}
