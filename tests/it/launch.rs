//! `ccp run` and `ccp select` as whole programs: who is picked, what is said, and what happens when things are broken.

use crate::support::{CCP, CCPD, Pool, copy_executable, exec_probe, put, put_executable};
use ccp::adapters::clock;
use ccp::adapters::files::Lock;
use ccp::contract::paths::Home;
use ccp::contract::snapshot::{PinEntry, WindowEntry};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// A claude that says under which account it runs, and ends.
fn teller(pool: &Pool) -> std::path::PathBuf {
    let path = pool.user_home().join("teller");
    put_executable(&path, b"#!/bin/sh\nprintf '%s\\n' \"$CLAUDE_CONFIG_DIR\"\n");
    path
}

fn run(pool: &Pool, prepare: impl FnOnce(&mut Command)) -> Output {
    let mut command = pool.command(CCP);
    command.arg("run").env("CCP_CLAUDE", teller(pool));
    prepare(&mut command);
    command.output().expect("runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The number of the account that a program printed the directory of.
fn account_of(pool: &Pool, output: &Output) -> u16 {
    let dir = output
        .stdout
        .strip_suffix(b"\n")
        .unwrap_or_else(|| panic!("no directory: {output:?}"));
    let numbers = pool.snapshot.accounts.iter().map(|a| a.id);
    let found = numbers
        .into_iter()
        .find(|n| pool.account_dir(*n).as_os_str().as_bytes() == dir);
    found.unwrap_or_else(|| panic!("no account's directory: {output:?}"))
}

#[test]
fn the_emptiest_account_is_launched_and_announced() {
    let pool = Pool::new(&[(80.0, 10.0), (22.0, 46.0), (60.0, 0.0)]);
    let output = run(&pool, |_| {});
    assert_eq!(account_of(&pool, &output), 2);
    assert_eq!(
        text(&output.stderr),
        "Selected label2 · 5h 22% used · 7d 46% used\n"
    );
    let leases = pool.leases();
    assert_eq!(leases.len(), 1);
    assert_eq!(leases[0].1["account"], 2);
    assert_eq!(leases[0].1["reason"], "emptiest");
    assert_eq!(leases[0].1["ranking"].as_array().map(Vec::len), Some(3));
}

#[test]
fn a_first_argument_with_a_dash_needs_no_run() {
    let pool = Pool::new(&[(1.0, 1.0)]);
    let output = pool
        .command(CCP)
        .args(["-p", "hi"])
        .env("CCP_CLAUDE", teller(&pool))
        .output()
        .expect("runs");
    assert_eq!(account_of(&pool, &output), 1);
}

#[test]
fn signing_out_behind_the_alias_says_whom_it_is_about() {
    let pool = Pool::new(&[(1.0, 1.0)]);
    let output = run(&pool, |c| _ = c.args(["auth", "logout"]));
    assert!(
        text(&output.stderr).contains("`auth logout` is about label1 alone"),
        "{output:?}"
    );
    let output = run(&pool, |c| _ = c.args(["auth", "status"]));
    assert!(!text(&output.stderr).contains("note:"), "{output:?}");
}

#[test]
fn an_account_can_be_named_in_every_way() {
    let pool = Pool::new(&[(10.0, 10.0), (90.0, 10.0)]);
    for reference in ["2", "acct-02", "label2", "LABEL2", "person2@example.test"] {
        let output = run(&pool, |c| _ = c.env("CCP_ACCOUNT", reference));
        assert_eq!(account_of(&pool, &output), 2, "{reference}");
    }
    let output = run(&pool, |c| _ = c.env("CCP_ACCOUNT", "nobody"));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("no account is called `nobody`"),
        "{output:?}"
    );
}

#[test]
fn an_ambiguous_reference_lists_the_ids() {
    let mut pool = Pool::new(&[(10.0, 10.0), (90.0, 10.0)]);
    pool.snapshot.accounts[1].email = pool.snapshot.accounts[0].email.clone();
    pool.publish();
    let output = run(&pool, |c| _ = c.env("CCP_ACCOUNT", "person1@example.test"));
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("acct-01, acct-02") && stderr.contains("hint: "),
        "{stderr}"
    );
}

#[test]
fn a_full_account_is_launched_only_loudly() {
    let mut pool = Pool::new(&[(100.0, 10.0), (99.0, 99.0)]);
    let soon = clock::now().plus(Duration::from_secs(8_000)).unix_ms();
    for account in &mut pool.snapshot.accounts {
        for window in &mut account.sample.as_mut().expect("sampled").windows {
            window.resets_at_ms = Some(soon);
        }
    }
    pool.publish();
    let output = run(&pool, |_| {});
    assert_eq!(
        account_of(&pool, &output),
        2,
        "headroom wins, however little"
    );

    pool.snapshot.accounts[1]
        .sample
        .as_mut()
        .expect("sampled")
        .windows[1]
        .used = 100.0;
    pool.publish();
    let output = run(&pool, |c| _ = c.current_dir(pool.work_dir("elsewhere")));
    assert!(output.status.success());
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("warning: no account has headroom: label") && stderr.contains("2 h 13 min"),
        "{stderr}"
    );
}

#[test]
fn without_a_usable_account_there_is_no_launch_and_never_plain_claude() {
    let mut pool = Pool::new(&[(10.0, 10.0)]);
    pool.snapshot.accounts[0].needs_login = true;
    pool.publish();
    let output = run(&pool, |_| {});
    assert_eq!(output.status.code(), Some(69));
    assert!(output.stdout.is_empty());
    assert!(
        text(&output.stderr).contains("`ccp login label1`"),
        "{output:?}"
    );

    let empty = Pool::new(&[]);
    let output = run(&empty, |_| {});
    assert_eq!(output.status.code(), Some(69));
    assert!(text(&output.stderr).contains("`ccp add`"), "{output:?}");
    assert!(empty.leases().is_empty());
}

#[test]
fn ten_launches_at_once_spread() {
    let pool = Pool::new(&[
        (10.0, 10.0),
        (10.0, 10.0),
        (10.0, 10.0),
        (10.0, 10.0),
        (10.0, 10.0),
    ]);
    // Sessions that stay alive until their standard input is closed.
    let claude = pool.user_home().join("lingering");
    put_executable(
        &claude,
        b"#!/bin/sh\nprintf '%s\\n' \"$CLAUDE_CONFIG_DIR\"\nread line\n",
    );
    let dirs: Vec<_> = (0..10).map(|n| pool.work_dir(&format!("dir{n}"))).collect();
    let start = |dir: &Path| -> Child {
        let mut command = pool.command(CCP);
        command
            .arg("run")
            .env("CCP_CLAUDE", &claude)
            .current_dir(dir);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts")
    };
    let children: Vec<Child> = dirs.iter().map(|d| start(d)).collect();
    // Every session has announced itself, so every lease is written; only then may one end.
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut running = Vec::new();
    for mut child in children {
        let mut line = String::new();
        let mut reader = std::io::BufReader::new(child.stdout.take().expect("piped"));
        std::io::BufRead::read_line(&mut reader, &mut line).expect("reads");
        *counts.entry(line).or_default() += 1;
        running.push((child, reader));
    }
    for (mut child, _) in running {
        drop(child.stdin.take());
        child.wait().expect("ends");
    }
    // Two each. A launch waits 50 ms for the lock at most, and on a machine that is stalled for longer one may go on
    // without having seen another.
    let even = counts.len() == 5 && counts.values().all(|n| (1..=3).contains(n));
    assert!(even, "{counts:?}");
}

#[test]
fn selections_at_once_spread_too() {
    let pool = Pool::new(&[(10.0, 10.0), (10.0, 10.0), (10.0, 10.0)]);
    let start = || {
        let mut command = pool.command(CCP);
        command
            .arg("select")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts")
    };
    let children: Vec<Child> = (0..9).map(|_| start()).collect();
    let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
    for child in children {
        let output = child.wait_with_output().expect("ends");
        *counts.entry(account_of(&pool, &output)).or_default() += 1;
    }
    let even = counts.len() == 3 && counts.values().all(|n| (2..=4).contains(n));
    assert!(even, "{counts:?}");
}

#[test]
fn a_directory_sticks_to_its_account() {
    let mut pool = Pool::new(&[(20.0, 10.0), (10.0, 10.0)]);
    assert_eq!(account_of(&pool, &run(&pool, |_| {})), 2);
    // The other one is emptier now, but caches are warm here.
    pool.snapshot.accounts[0]
        .sample
        .as_mut()
        .expect("sampled")
        .windows[0]
        .used = 0.0;
    pool.publish();
    let output = run(&pool, |_| {});
    assert_eq!(account_of(&pool, &output), 2);
    assert!(
        text(&output.stderr).starts_with("Reusing label2 (pinned) · "),
        "{output:?}"
    );
    let output = run(&pool, |c| _ = c.current_dir(pool.work_dir("other")));
    assert_eq!(
        account_of(&pool, &output),
        1,
        "another directory ranks freely"
    );
    // Less than ten percent headroom: abandoned.
    pool.snapshot.accounts[1]
        .sample
        .as_mut()
        .expect("sampled")
        .windows[0]
        .used = 91.0;
    pool.publish();
    assert_eq!(account_of(&pool, &run(&pool, |_| {})), 1);
    assert_eq!(
        account_of(&pool, &run(&pool, |_| {})),
        1,
        "the new winner has the pin"
    );
}

#[test]
fn a_manual_pin_binds_while_it_can_serve() {
    let mut pool = Pool::new(&[(90.0, 10.0), (10.0, 10.0)]);
    let dir = pool.work_dir("project");
    let at_ms = clock::now().unix_ms();
    pool.snapshot.pins.push(PinEntry {
        dir: dir.clone(),
        account: 1,
        manual: true,
        at_ms,
    });
    pool.publish();
    let here = |pool: &Pool| run(pool, |c| _ = c.current_dir(&dir));
    assert_eq!(account_of(&pool, &here(&pool)), 1);
    pool.snapshot.accounts[0].limited_until_ms = Some(at_ms + 600_000);
    pool.publish();
    let output = here(&pool);
    assert_eq!(account_of(&pool, &output), 2);
    assert!(
        text(&output.stderr).contains("label1 is pinned here but is refused by its plan limit"),
        "{output:?}"
    );
}

#[test]
fn a_model_window_counts_for_the_model_that_is_launched() {
    let mut pool = Pool::new(&[(0.0, 0.0), (50.0, 0.0)]);
    let scoped = WindowEntry {
        kind: "weekly_scoped".to_owned(),
        model: Some("Fable".to_owned()),
        used: 100.0,
        resets_at_ms: Some(clock::now().plus(Duration::from_secs(90_000)).unix_ms()),
    };
    pool.snapshot.accounts[0]
        .sample
        .as_mut()
        .expect("sampled")
        .windows
        .push(scoped);
    pool.publish();
    let with = |name: &str, prepare: &dyn Fn(&mut Command)| {
        let output = run(&pool, |c| {
            c.current_dir(pool.work_dir(name));
            prepare(c);
        });
        account_of(&pool, &output)
    };
    assert_eq!(with("a", &|_| {}), 1);
    assert_eq!(with("b", &|c| _ = c.args(["--model", "fable"])), 2);
    assert_eq!(
        with("c", &|c| _ = c.env("ANTHROPIC_MODEL", "claude-fable-5")),
        2
    );
    put(&pool.base.settings(), br#"{"model":"fable"}"#);
    assert_eq!(with("d", &|_| {}), 2);
    assert_eq!(with("e", &|c| _ = c.args(["--model=sonnet"])), 1);
}

#[test]
fn a_broken_snapshot_does_not_stop_a_launch() {
    let cases: [(&str, &[u8]); 5] = [
        ("is damaged", b"{"),
        ("is damaged", b""),
        ("is damaged", b"{\"schema\":1}"),
        (
            "another version of ccp (format 99",
            b"{\"schema\":99,\"accounts\":7}",
        ),
        ("is damaged", b"\xff\xfe\x00"),
    ];
    for (expected, contents) in cases {
        let pool = Pool::new(&[(80.0, 10.0), (10.0, 10.0)]);
        put(&pool.home.snapshot(), contents);
        let output = run(&pool, |_| {});
        assert!([1, 2].contains(&account_of(&pool, &output)));
        let stderr = text(&output.stderr);
        assert!(
            stderr.contains(expected) && stderr.contains("account last used"),
            "{stderr}"
        );
    }
}

#[test]
fn without_a_snapshot_the_account_last_used_goes_on() {
    let pool = Pool::new(&[(10.0, 10.0), (90.0, 10.0)]);
    run(&pool, |c| {
        _ = c
            .env("CCP_ACCOUNT", "2")
            .current_dir(pool.work_dir("there"))
    });
    fs::remove_file(pool.home.snapshot()).expect("removes");
    assert_eq!(account_of(&pool, &run(&pool, |_| {})), 2);
}

#[test]
fn a_stale_snapshot_still_holds_and_says_its_age() {
    let mut pool = Pool::new(&[(80.0, 10.0), (10.0, 10.0)]);
    let old = clock::now().minus(Duration::from_secs(3 * 3600)).unix_ms();
    for account in &mut pool.snapshot.accounts {
        account.sample.as_mut().expect("sampled").measured_at_ms = old;
    }
    pool.publish();
    let output = run(&pool, |_| {});
    assert_eq!(account_of(&pool, &output), 2);
    assert!(
        text(&output.stderr).contains("measured 3 h 0 min ago"),
        "{output:?}"
    );
}

#[test]
fn clock_jumps_do_no_harm() {
    for jump in [-86_400_i64, 86_400 * 400] {
        let mut pool = Pool::new(&[(80.0, 10.0), (10.0, 10.0)]);
        for account in &mut pool.snapshot.accounts {
            let sample = account.sample.as_mut().expect("sampled");
            sample.measured_at_ms += jump * 1_000;
        }
        pool.snapshot.generated_at_ms += jump * 1_000;
        pool.publish();
        assert_eq!(account_of(&pool, &run(&pool, |_| {})), 2, "{jump}");
    }
}

#[test]
fn a_held_lock_delays_a_launch_but_does_not_stop_it() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let _held = Lock::acquire(&pool.home.lease_lock(), Duration::ZERO)
        .expect("opens")
        .expect("free");
    assert_eq!(account_of(&pool, &run(&pool, |_| {})), 1);
}

#[test]
fn garbage_among_the_leases_does_no_harm() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    for name in [
        "",
        "x",
        "acct-01.p1",
        "acct-99.p1-1.0000000000000000.0000000000000000.5.s",
    ] {
        if !name.is_empty() {
            put(&pool.home.leases().join(name), b"not json");
        }
    }
    put(&pool.home.leases().join(OsStr::from_bytes(b"\xff")), b"");
    assert_eq!(account_of(&pool, &run(&pool, |_| {})), 1);
}

#[test]
fn homes_with_difficult_names_work() {
    for name in ["with space", "quote'\"s", "new\nline", "größe"] {
        let root = tempfile::Builder::new()
            .prefix(name)
            .tempdir()
            .expect("creates");
        let pool = Pool::in_dir(root, &[(10.0, 10.0)]);
        assert_eq!(account_of(&pool, &run(&pool, |_| {})), 1, "{name}");
        let output = pool.command(CCP).arg("select").output().expect("runs");
        assert_eq!(account_of(&pool, &output), 1, "{name}");
    }
    let root = tempfile::Builder::new()
        .prefix(OsStr::from_bytes(b"\xff\xfe"))
        .tempdir()
        .expect("creates");
    let pool = Pool::in_dir(root, &[(10.0, 10.0)]);
    let output = pool
        .command(CCP)
        .arg("run")
        .env("CCP_CLAUDE", teller(&pool))
        .output()
        .expect("runs");
    assert_eq!(account_of(&pool, &output), 1);
}

#[test]
fn home_may_be_missing_or_wrong() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let home = pool.home.path();
    let output = run(&pool, |c| _ = c.env_remove("HOME").env("CCP_HOME", home));
    assert_eq!(account_of(&pool, &output), 1, "CCP_HOME is enough");
    let output = run(&pool, |c| _ = c.env("CCP_HOME", "relative/path"));
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("CCP_HOME is not an absolute path: relative/path"),
        "{stderr}"
    );
}

#[test]
fn a_directory_that_is_gone_can_be_launched_from() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let script = format!("mkdir gone && cd gone && rmdir ../gone && exec {CCP} run");
    let output = pool
        .command("/bin/sh")
        .args(["-c", &script])
        .env("CCP_CLAUDE", teller(&pool))
        .output()
        .expect("runs");
    assert_eq!(account_of(&pool, &output), 1);
}

#[test]
fn a_home_that_cannot_be_written_still_launches() {
    // Root writes anywhere, so the launch runs as somebody else.
    let pool = Pool::new(&[(80.0, 10.0), (10.0, 10.0)]);
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets")
    };
    open(pool.user_home(), 0o755);
    open(pool.home.path(), 0o555);
    open(&pool.home.leases(), 0o555);
    let teller = teller(&pool);
    let exe = pool.user_home().join("ccp");
    copy_executable(CCP, &exe);
    let mut command = pool.command(&exe);
    command.arg("run").env("CCP_CLAUDE", teller);
    if running_as_root() {
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    }
    let output = command.output().expect("runs");
    open(&pool.home.leases(), 0o755);
    open(pool.home.path(), 0o755);
    assert_eq!(account_of(&pool, &output), 2, "{output:?}");
    assert!(
        text(&output.stderr).contains("warning: cannot "),
        "{output:?}"
    );
}

fn running_as_root() -> bool {
    // SAFETY: takes and touches nothing.
    unsafe { libc::geteuid() == 0 }
}

#[test]
fn select_prints_the_directory_and_nothing_else() {
    let pool = Pool::new(&[(80.0, 10.0), (10.0, 10.0)]);
    let output = pool.command(CCP).args(["select"]).output().expect("runs");
    assert_eq!(
        output.stdout,
        [pool.account_dir(2).as_os_str().as_bytes(), b"\n"].concat()
    );
    let output = pool
        .command(CCP)
        .args(["select", "--account", "label1"])
        .output()
        .expect("runs");
    assert_eq!(account_of(&pool, &output), 1);
    assert!(
        pool.leases()
            .iter()
            .all(|(name, record)| name.contains(".r") && record["command"] == "select")
    );
}

#[test]
fn a_missing_sibling_is_named() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let alone = pool.work_dir("alone").join("ccp");
    copy_executable(CCP, &alone);
    let output = pool.command(&alone).arg("status").output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("cannot run {}", alone.with_file_name("ccpd").display());
    assert!(text(&output.stderr).contains(&expected), "{output:?}");
    // A launch needs no sibling.
    let output = pool
        .command(&alone)
        .arg("run")
        .env("CCP_CLAUDE", teller(&pool))
        .output()
        .expect("runs");
    assert_eq!(account_of(&pool, &output), 1);
}

#[test]
fn symlink_loops_on_the_way_do_no_harm() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let bin = pool.work_dir("bin");
    std::os::unix::fs::symlink(bin.join("claude"), bin.join("claude")).expect("links");
    let real = pool.work_dir("real");
    copy_executable(exec_probe(), &real.join("claude"));
    let path = format!("{}:{}", bin.display(), real.display());
    let out = pool.user_home().join("facts");
    let output = pool
        .command(CCP)
        .arg("run")
        .env("PATH", path)
        .env("PROBE_OUT", &out)
        .output()
        .expect("runs");
    assert!(output.status.success() && out.exists(), "{output:?}");
    // A home that leads to itself is no home.
    let looped = pool.user_home().join("loop");
    std::os::unix::fs::symlink(&looped, &looped).expect("links");
    let output = run(&pool, |c| _ = c.env("CCP_HOME", &looped));
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(Home::new(&looped).is_some());
}

#[test]
fn a_refresh_without_a_database_leaves_launches_what_they_go_by() {
    let pool = Pool::new(&[(10.0, 10.0)]);
    let published = fs::read(pool.home.snapshot()).expect("reads");
    let mut refresh = pool.command(CCPD);
    let output = refresh.args(["refresh", "--quiet"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!pool.home.state_db().exists());
    assert_eq!(fs::read(pool.home.snapshot()).expect("reads"), published);
}
