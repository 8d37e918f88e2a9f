//! Overlays against real directories: links, healing, the flow of settings, removal, and a disk that does not obey.

#![expect(
    clippy::disallowed_methods,
    reason = "tests write plain files, and a child process is told its directory by a variable"
)]

use ccp::adapters::clock;
use ccp::adapters::overlay::{
    Direction, How, Options, Reason, RemoveError, SettingsProblem, SyncReport, Verdict, health,
    remove_account_dir, remove_trash, seed, sync,
};
use ccp::contract::paths::{Base, Home};
use ccp::core::account::AccountId;
use ccp::core::overlay::BORN_SHARED;
use ccp::core::time::Timestamp;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

struct World {
    _temporary: Option<tempfile::TempDir>,
    base: Base,
    home: Home,
    id: AccountId,
    account: PathBuf,
}

impl World {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let user = temporary.path().join("user");
        let mut world = Self::between(&user, &temporary.path().join("pool"));
        world._temporary = Some(temporary);
        world
    }

    fn between(user: &Path, home: &Path) -> Self {
        let home = Home::new(home).expect("absolute");
        let id = AccountId::new(1).expect("1");
        let account = home.account(id);
        fs::create_dir_all(&account).expect("creates");
        fs::set_permissions(&account, fs::Permissions::from_mode(0o700)).expect("sets");
        fs::create_dir_all(user).expect("creates");
        Self {
            _temporary: None,
            base: Base::default_in(user),
            home,
            id,
            account,
        }
    }

    /// A minute from now, when nothing is young.
    fn later() -> Timestamp {
        clock::now().plus(Duration::from_secs(60))
    }

    fn sync(&self) -> SyncReport {
        self.sync_at(Self::later(), false)
    }

    fn sync_at(&self, now: Timestamp, live_session: bool) -> SyncReport {
        let options = Options::at_leisure(Direction::OneWay, live_session);
        sync(&self.base, &self.account, now, options)
    }

    fn synced() -> Self {
        let world = Self::new();
        assert!(world.sync().is_complete());
        world
    }

    fn in_base(&self, name: &str) -> PathBuf {
        self.base.dir.join(name)
    }

    fn in_account(&self, name: &str) -> PathBuf {
        self.account.join(name)
    }

    fn leads_to_base(&self, name: &str) -> bool {
        fs::read_link(self.in_account(name)).is_ok_and(|target| target == self.in_base(name))
    }
}

/// Writes a file, its directories too, with a modification time of so many seconds after the epoch.
fn put(path: &Path, content: &str, modified: u64) {
    fs::create_dir_all(path.parent().expect("has one")).expect("creates");
    fs::write(path, content).expect("writes");
    let time = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(modified));
    File::options()
        .write(true)
        .open(path)
        .and_then(|f| f.set_times(time))
        .expect("sets the time");
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("({:?})", error.kind()))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("lists");
    let mut names: Vec<String> = entries
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_first_sync_makes_and_links_and_a_second_does_nothing() {
    let world = World::new();
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    for born in BORN_SHARED {
        assert!(
            world.in_base(born).is_dir() && world.leads_to_base(born),
            "{born}"
        );
    }
    assert_eq!(
        fs::metadata(&world.base.dir).expect("is made").mode() & 0o777,
        0o700
    );
    put(&world.in_base("settings.json"), "{}", 1);
    put(&world.in_base(".credentials.json"), "secret", 1);
    put(&world.in_base("daemon/x"), "", 1);
    put(&world.in_base(".DS_Store"), "", 1);
    let report = world.sync();
    assert_eq!(report.linked, ["settings.json"]);
    let report = world.sync();
    assert!(
        report.is_complete() && report.changed_nothing(),
        "{report:?}"
    );
    let mut expected: Vec<&str> = BORN_SHARED.to_vec();
    expected.push("settings.json");
    expected.sort_unstable();
    assert_eq!(names(&world.account), expected);
}

#[test]
fn links_to_what_vanished_and_to_a_former_base_are_put_right() {
    let mut world = World::synced();
    put(&world.in_base("CLAUDE.md"), "", 1);
    world.sync();
    fs::remove_file(world.in_base("CLAUDE.md")).expect("removes");
    let report = world.sync();
    assert_eq!(report.pruned, ["CLAUDE.md"]);
    assert!(fs::symlink_metadata(world.in_account("CLAUDE.md")).is_err());

    put(&world.in_base("only-there.md"), "", 1);
    world.sync();
    let user = world.base.dir.parent().expect("has one").to_owned();
    world.base = Base::at(&user.join("other"), &user);
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.pruned, ["only-there.md"]);
    assert!(world.leads_to_base("projects"));
    assert!(
        user.join(".claude/only-there.md").exists(),
        "the old base is as it was"
    );
}

#[test]
fn links_of_the_persons_own_are_never_lost() {
    let world = World::synced();
    let elsewhere = world.base.dir.with_file_name("dotfiles.md");
    put(&elsewhere, "mine", 1);
    put(&world.in_base("CLAUDE.md"), "base", 1);
    symlink(&elsewhere, world.in_account("CLAUDE.md")).expect("links");
    symlink(&elsewhere, world.in_account("extra.md")).expect("links");
    symlink("nowhere", world.in_account("dangling")).expect("links");
    let report = world.sync();
    let mut left: Vec<_> = report
        .left
        .iter()
        .map(|l| (l.path.clone(), l.reason))
        .collect();
    left.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        left,
        [
            (world.in_account("CLAUDE.md"), Reason::ForeignLink),
            (world.in_account("dangling"), Reason::ForeignLink),
        ]
    );
    assert_eq!(
        fs::read_link(world.in_account("CLAUDE.md")).expect("is there"),
        elsewhere
    );
    assert!(world.leads_to_base("extra.md"));
    assert_eq!(text(&world.in_account("extra.md")), "mine");
}

#[test]
fn a_login_is_never_reached_through_a_link() {
    let world = World::synced();
    put(&world.in_base(".credentials.json"), "plain claude's", 1);
    symlink(
        world.in_base(".credentials.json"),
        world.in_account(".credentials.json"),
    )
    .expect("links");
    put(
        &world.base.json,
        r#"{"oauthAccount":{"accountUuid":"plain"},"userID":"p","theme":"x"}"#,
        1,
    );
    symlink(&world.base.json, world.in_account(".claude.json")).expect("links");
    assert!(
        health(&world.base, &world.account)
            .iter()
            .any(|f| matches!(f.verdict, Verdict::IdentityIsLink(_)))
    );
    let before = text(&world.base.json);
    let report = world.sync();
    assert_eq!(report.pruned, [".credentials.json"]);
    assert!(matches!(
        report.settings.problems[..],
        [SettingsProblem::WasLink { .. }]
    ));
    let own = world.in_account(".claude.json");
    assert!(fs::symlink_metadata(&own).expect("is there").is_file());
    let found = text(&own);
    assert!(found.contains("theme") && !found.contains("plain") && !found.contains("userID"));
    assert_eq!(text(&world.base.json), before);
    assert_eq!(text(&world.in_base(".credentials.json")), "plain claude's");
}

/// One collision of two files: what each holds and how old it is; what the base holds in the end and what is kept.
fn check_collision(
    name: &str,
    base: (&str, u64),
    account: (&str, u64),
    expected: &str,
    kept: Option<&str>,
) {
    // At the top, and inside a directory that is folded.
    for inside in ["", "projects/-a-b/"] {
        let world = World::synced();
        let path = format!("{inside}{name}");
        put(&world.in_base(&path), base.0, base.1);
        if !inside.is_empty() {
            fs::remove_file(world.in_account("projects")).expect("removes the link");
        }
        put(&world.in_account(&path), account.0, account.1);
        let report = world.sync();
        assert!(report.is_complete(), "{name}: {report:?}");
        assert_eq!(text(&world.in_base(&path)), expected, "{path}");
        assert_eq!(
            text(&world.in_account(&path)),
            expected,
            "{path} through the link"
        );
        let conflict = world.in_base(&format!("{path}.conflict-1"));
        match kept {
            Some(kept) => assert_eq!(text(&conflict), kept, "{path}"),
            None => assert!(!conflict.exists(), "{path}"),
        }
        assert!(!world.in_base(&format!("{path}.conflict-2")).exists());
        let again = world.sync();
        assert!(again.healed.is_empty(), "{again:?}");
    }
}

#[test]
fn two_files_of_one_name_become_one_and_nothing_is_lost() {
    check_collision("settings.json", ("{}", 5), ("{}", 9), "{}", None);
    check_collision("settings.json", ("old", 5), ("new", 9), "new", Some("old"));
    check_collision("settings.json", ("new", 9), ("old", 5), "new", Some("old"));
    check_collision(
        "settings.json",
        ("base", 5),
        ("tied", 5),
        "base",
        Some("tied"),
    );
    check_collision(
        "s.jsonl",
        ("a\nb\n", 9),
        ("a\nb\nc\n", 5),
        "a\nb\nc\n",
        None,
    );
    check_collision("s.jsonl", ("a\nb\nc\n", 5), ("a\n", 9), "a\nb\nc\n", None);
    check_collision(
        "s.jsonl",
        ("a\nb\nc\n", 5),
        ("x\n", 9),
        "a\nb\nc\n",
        Some("x\n"),
    );
    check_collision(
        "s.jsonl",
        ("x\n", 9),
        ("a\nb\nc\n", 5),
        "a\nb\nc\n",
        Some("x\n"),
    );
    check_collision("s.jsonl", ("x\n", 5), ("y\n", 9), "y\n", Some("x\n"));
    check_collision(
        "history.jsonl",
        ("a\nb\n", 9),
        ("b\nc\n", 5),
        "a\nb\nc\n",
        None,
    );
    check_collision("empty", ("", 1), ("", 2), "", None);
}

#[test]
fn copies_are_numbered_on() {
    let world = World::synced();
    for number in 1..=3_u64 {
        put(&world.in_base("settings.json"), "base", 100);
        let _ = fs::remove_file(world.in_account("settings.json"));
        put(
            &world.in_account("settings.json"),
            &format!("mine {number}"),
            number,
        );
        let report = world.sync();
        assert_eq!(report.healed.len(), 1);
        let kept = world.in_base(&format!("settings.json.conflict-{number}"));
        assert_eq!(report.healed[0].how, How::Kept(kept.clone()));
        assert_eq!(text(&kept), format!("mine {number}"));
    }
}

#[test]
fn directories_merge_entry_by_entry_and_one_conflict_does_not_block_the_rest() {
    let world = World::synced();
    fs::remove_file(world.in_account("projects")).expect("removes the link");
    put(&world.in_base("projects/a/1.jsonl"), "1\n", 1);
    put(&world.in_base("projects/c"), "a file", 1);
    put(&world.in_account("projects/a/2.jsonl"), "2\n", 1);
    put(&world.in_account("projects/b/memory/x.md"), "x", 1);
    put(&world.in_account("projects/c/y"), "a directory", 1);
    symlink("1.jsonl", world.in_account("projects/a/last")).expect("links");
    put(&world.in_account("todos-of-mine/t"), "t", 1);
    let report = world.sync();
    assert_eq!(
        report
            .left
            .iter()
            .map(|l| (&l.path, l.reason))
            .collect::<Vec<_>>(),
        [(&world.in_account("projects/c"), Reason::Kinds)]
    );
    assert!(report.failed.is_empty(), "{report:?}");
    assert_eq!(text(&world.in_base("projects/a/2.jsonl")), "2\n");
    assert_eq!(text(&world.in_base("projects/a/1.jsonl")), "1\n");
    assert_eq!(text(&world.in_base("projects/b/memory/x.md")), "x");
    assert_eq!(text(&world.in_base("projects/a/last")), "1\n");
    assert_eq!(text(&world.in_account("projects/c/y")), "a directory");
    assert_eq!(text(&world.in_base("projects/c")), "a file");
    assert!(world.leads_to_base("todos-of-mine"));

    fs::remove_file(world.in_base("projects/c")).expect("the person decides");
    let report = world.sync();
    assert!(
        report.is_complete() && world.leads_to_base("projects"),
        "{report:?}"
    );
    assert_eq!(text(&world.in_base("projects/c/y")), "a directory");
}

#[test]
fn what_may_be_in_use_is_left_for_later() {
    let world = World::synced();
    put(&world.in_account("fresh.md"), "x", 1);
    let report = world.sync_at(clock::now(), false);
    assert_eq!(report.left[0].reason, Reason::Young);
    assert!(!report.is_settled(), "a stamp taken now would hide it");
    assert!(world.in_account("fresh.md").is_file() && !world.in_base("fresh.md").exists());

    fs::remove_file(world.in_account("projects")).expect("removes the link");
    put(&world.in_account("projects/a/1.jsonl"), "1\n", 1);
    put(&world.in_account("history.jsonl"), "h\n", 1);
    let report = world.sync_at(World::later(), true);
    assert!(
        world.leads_to_base("fresh.md"),
        "a plain file does not wait for sessions"
    );
    let left: Vec<Reason> = report.left.iter().map(|l| l.reason).collect();
    assert_eq!(left, [Reason::LiveSession, Reason::LiveSession]);
    assert!(report.is_settled());
    assert!(world.sync().is_complete());
    assert_eq!(text(&world.in_base("projects/a/1.jsonl")), "1\n");
}

#[cfg(target_os = "linux")]
/// A process that holds `path` open until its input ends.
fn holder_of(path: &Path) -> std::process::Child {
    let mut child = Command::new("sh")
        .args(["-c", "exec 3<\"$1\"; echo open; read -r _", "sh"])
        .arg(path)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sh runs");
    let mut line = String::new();
    let output = child.stdout.as_mut().expect("piped");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).expect("answers");
    assert_eq!(line, "open\n");
    child
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_process_has_open_is_left_for_later() {
    let world = World::synced();
    fs::remove_file(world.in_account("plans")).expect("removes the link");
    put(&world.in_account("plans/p.md"), "x", 1);
    put(&world.in_account("settings.json"), "mine", 9);
    put(&world.in_base("settings.json"), "base", 5);
    let in_account = holder_of(&world.in_account("plans/p.md"));
    let in_base = holder_of(&world.in_base("settings.json"));
    let report = world.sync();
    let reasons: Vec<Reason> = report.left.iter().map(|l| l.reason).collect();
    assert_eq!(reasons, [Reason::Open, Reason::Open], "{report:?}");
    assert_eq!(text(&world.in_base("settings.json")), "base");
    for mut child in [in_account, in_base] {
        drop(child.stdin.take());
        child.wait().expect("ends");
    }
    assert!(world.sync().is_complete());
    assert_eq!(text(&world.in_base("settings.json")), "mine");
}

#[test]
fn a_base_kept_by_a_dotfile_manager_stays_one() {
    let world = World::synced();
    let real = world
        .base
        .dir
        .with_file_name("dotfiles")
        .join("settings.json");
    put(&real, "old", 5);
    symlink(&real, world.in_base("settings.json")).expect("links");
    put(&world.in_account("settings.json"), "new", 9);
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(text(&real), "new", "written where the link leads");
    assert_eq!(
        fs::read_link(world.in_base("settings.json")).expect("is a link"),
        real
    );
    assert_eq!(text(&world.in_base("settings.json.conflict-1")), "old");
}

#[test]
fn links_that_lead_in_circles_harm_nobody() {
    let world = World::synced();
    symlink("loop", world.in_base("loop")).expect("links");
    put(&world.in_account("self.md"), "mine", 1);
    symlink(world.in_account("self.md"), world.in_base("self.md")).expect("links");
    fs::create_dir(world.in_account("round")).expect("creates");
    put(&world.in_account("round/x"), "x", 1);
    symlink(&world.account, world.in_base("round")).expect("links");
    symlink(world.in_account("self"), world.in_account("self")).expect("links");
    let report = world.sync();
    assert_eq!(text(&world.in_account("self.md")), "mine");
    assert_eq!(text(&world.in_account("round/x")), "x");
    let mut left: Vec<_> = report
        .left
        .iter()
        .map(|l| (l.path.clone(), l.reason))
        .collect();
    left.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        left,
        [
            (world.in_account("round"), Reason::Itself),
            (world.in_account("self"), Reason::ForeignLink),
            (world.in_account("self.md"), Reason::Itself),
        ]
    );
    assert_eq!(
        report.linked,
        ["loop"],
        "a link of the base's is an entry like any other"
    );
}

#[test]
fn names_need_be_no_text() {
    let world = World::synced();
    for name in [&b"\xff\xfe.md"[..], b"two\nlines", b"-rf *", b" "] {
        let name = OsStr::from_bytes(name);
        if let Err(error) = fs::write(world.base.dir.join(name), "x") {
            println!("skipped {name:?}: {error}");
            continue;
        }
        let mut stray = name.to_owned();
        stray.push("2");
        fs::write(world.account.join(&stray), "y").expect("writes");
        let report = world.sync();
        assert!(report.is_complete(), "{report:?}");
        assert_eq!(report.healed.len(), 1);
        assert_eq!(report.healed[0].to_string().lines().count(), 1);
        assert_eq!(fs::read(world.account.join(name)).expect("reads"), b"x");
        assert_eq!(fs::read(world.base.dir.join(&stray)).expect("reads"), b"y");
    }
}

#[test]
fn a_home_inside_the_base_is_not_shared_with_itself() {
    let temporary = tempfile::tempdir().expect("a directory");
    let user = temporary.path().join("user");
    let world = World::between(&user, &user.join(".claude/pool"));
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    assert!(!names(&world.account).contains(&"pool".to_owned()));
}

#[test]
fn fifty_syncs_at_once_end_as_one_would() {
    let world = World::synced();
    put(&world.base.json, r#"{"theme":"x"}"#, 1);
    seed(&world.base, &world.account, Duration::ZERO).expect("seeds");
    for number in 0..40 {
        put(&world.in_base(&format!("base-{number}")), "b", 1);
        put(&world.in_account(&format!("new-{number}")), "n", 1);
        put(&world.in_base(&format!("both-{number}")), "old", 1);
        put(&world.in_account(&format!("both-{number}")), "new", 2);
    }
    let reports: Vec<SyncReport> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50).map(|_| scope.spawn(|| world.sync())).collect();
        threads
            .into_iter()
            .map(|t| t.join().expect("ends"))
            .collect()
    });
    for report in &reports {
        assert!(report.is_complete(), "{report:?}");
    }
    let healed: usize = reports.iter().map(|r| r.healed.len()).sum();
    assert_eq!(healed, 80, "each entry was healed once");
    for number in 0..40 {
        assert_eq!(text(&world.in_account(&format!("both-{number}"))), "new");
        assert_eq!(
            text(&world.in_base(&format!("both-{number}.conflict-1"))),
            "old"
        );
        assert!(world.leads_to_base(&format!("new-{number}")));
        assert!(world.leads_to_base(&format!("base-{number}")));
    }
    assert!(
        health(&world.base, &world.account)
            .iter()
            .all(|f| f.verdict == Verdict::ConflictCopy)
    );
    let litter = |n: &String| n.contains(".tmp.") || n.contains(".lock");
    assert!(!names(&world.base.dir).iter().any(litter));
    assert!(!names(&world.account).iter().any(litter));
}

#[test]
fn accounts_healed_at_once_lose_nothing_of_each_other() {
    let world = World::synced();
    put(&world.in_base("settings.json"), "base", 50);
    let accounts: Vec<PathBuf> = (2..12_u64)
        .map(|number| {
            let id = AccountId::new(number as u16).expect("in range");
            let account = world.home.account(id);
            put(
                &account.join("settings.json"),
                &format!("of {id}"),
                number * 10,
            );
            account
        })
        .collect();
    std::thread::scope(|scope| {
        for account in &accounts {
            let options = Options::at_leisure(Direction::OneWay, false);
            let base = &world.base;
            let run = move || sync(base, account, World::later(), options);
            scope.spawn(move || assert!(run().is_complete()));
        }
    });
    assert_eq!(
        text(&world.in_base("settings.json")),
        "of acct-11",
        "the newest"
    );
    let mut found: Vec<String> = names(&world.base.dir)
        .iter()
        .filter(|n| n.starts_with("settings.json"))
        .map(|n| text(&world.in_base(n)))
        .collect();
    found.sort();
    let mut expected: Vec<String> = (2..12).map(|n| format!("of acct-{n:02}")).collect();
    expected.insert(0, "base".to_owned());
    assert_eq!(found, expected);
}

#[test]
fn a_sync_killed_at_any_moment_loses_nothing() {
    const ENTRIES: usize = 60;
    let own = std::env::current_exe().expect("has a path");
    for round in 0..8 {
        let temporary = tempfile::tempdir().expect("a directory");
        let at = temporary.path();
        let world = World::between(&at.join("user"), &at.join("pool"));
        assert!(world.sync().is_complete());
        fs::remove_file(world.in_account("plans")).expect("removes the link");
        for number in 0..ENTRIES {
            let name = format!("plans/p{number}");
            put(&world.in_base(&name), &format!("base {number}"), 5);
            put(
                &world.in_account(&name),
                &format!("mine {number}"),
                5 + number as u64 % 3 - 1,
            );
        }
        let mut child = Command::new(&own)
            .args(["--exact", "overlay::inside_a_sync", "--ignored"])
            .env(DIRECTORY, at)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("runs");
        // Killed once so many were judged, or when it was faster.
        let judged = || names(&world.in_base("plans")).len() - ENTRIES;
        let started = std::time::Instant::now();
        while judged() < round * 8 && child.try_wait().expect("looks").is_none() {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::hint::spin_loop();
        }
        child.kill().expect("kills");
        child.wait().expect("ends");
        assert!(world.sync().is_complete());
        let plans = world.in_base("plans");
        let found: Vec<String> = names(&plans).iter().map(|n| text(&plans.join(n))).collect();
        for number in 0..ENTRIES {
            assert!(found.contains(&format!("base {number}")), "round {round}");
            assert!(found.contains(&format!("mine {number}")), "round {round}");
        }
        assert_eq!(found.len(), 2 * ENTRIES, "and none is there twice");
    }
}

#[test]
#[ignore = "run by a_sync_killed_at_any_moment_loses_nothing"]
fn inside_a_sync() {
    let world = World::between(&given().join("user"), &given().join("pool"));
    let _ = world.sync();
}

#[test]
fn a_sync_waits_for_another_with_a_bound() {
    let world = World::synced();
    let path = world.home.accounts().join(".acct-01.sync");
    let _held = ccp::adapters::files::Lock::acquire(&path, Duration::ZERO)
        .expect("opens")
        .expect("is free");
    let mut options = Options::at_launch(Direction::OneWay, false);
    options.sync_wait = Duration::from_millis(5);
    assert!(sync(&world.base, &world.account, World::later(), options).busy);
}

#[test]
fn settings_flow_one_way_and_the_base_is_never_written() {
    let world = World::new();
    put(
        &world.base.json,
        r#"{"oauthAccount":{"accountUuid":"b"},"theme":"x"}"#,
        1,
    );
    seed(&world.base, &world.account, Duration::ZERO).expect("seeds");
    let own = world.in_account(".claude.json");
    assert_eq!(fs::metadata(&own).expect("is there").mode() & 0o777, 0o600);
    let logged_in = text(&own).replacen('{', r#"{"oauthAccount":{"accountUuid":"a"},"#, 1);
    put(&own, &logged_in, 1);
    let inode = fs::metadata(&own).expect("is there").ino();
    let report = world.sync();
    assert!(!report.settings.wrote_account && report.settings.problems.is_empty());
    assert_eq!(
        fs::metadata(&own).expect("is there").ino(),
        inode,
        "nothing to change"
    );

    let base_text = r#"{"oauthAccount":{"accountUuid":"b"},"theme":"y"}"#;
    put(&world.base.json, base_text, 2);
    let report = world.sync();
    assert!(report.settings.wrote_account && report.settings.reverted.is_empty());
    assert!(text(&own).contains(r#""theme": "y""#) && text(&own).contains(r#""accountUuid":"a""#));
    assert_eq!(fs::metadata(&own).expect("is there").mode() & 0o777, 0o600);
    put(&own, &text(&own).replace("\"y\"", "\"z\""), 3);
    put(&world.base.json, &base_text.replace("\"y\"", "\"w\""), 3);
    assert_eq!(world.sync().settings.reverted, ["theme"]);
    assert_eq!(text(&world.base.json), base_text.replace("\"y\"", "\"w\""));
    assert!(!world.in_account(".claude.json.lock").exists());
}

#[test]
fn a_torn_file_is_never_replaced() {
    let world = World::new();
    let own = world.in_account(".claude.json");
    for direction in [Direction::OneWay, Direction::TwoWay] {
        for (base, account) in [
            (r#"{"theme":"#, "{}"),
            (r#"{"theme":"x"}"#, "{\"a\""),
            ("\u{0}", ""),
        ] {
            put(&world.base.json, base, 1);
            put(&own, account, 1);
            let options = Options::at_launch(direction, false);
            let report = sync(&world.base, &world.account, World::later(), options);
            assert!(
                matches!(report.settings.problems[..], [SettingsProblem::Torn(_)]),
                "{report:?}"
            );
            assert_eq!(
                (text(&world.base.json), text(&own)),
                (base.into(), account.into())
            );
        }
    }
    fs::write(&world.base.json, b"{\"theme\":\"\xff\"}").expect("writes");
    put(&own, "{}", 1);
    assert!(matches!(
        world.sync().settings.problems[..],
        [SettingsProblem::Torn(_)]
    ));
}

#[test]
fn a_lock_that_claude_holds_is_respected() {
    let world = World::new();
    put(&world.base.json, r#"{"theme":"x"}"#, 1);
    put(&world.in_account(".claude.json"), "{}", 1);
    fs::create_dir(world.in_account(".claude.json.lock")).expect("claude takes it");
    let options = Options::at_launch(Direction::OneWay, false);
    let report = sync(&world.base, &world.account, World::later(), options);
    assert!(matches!(
        report.settings.problems[..],
        [SettingsProblem::Busy(_)]
    ));
    assert_eq!(text(&world.in_account(".claude.json")), "{}");
    fs::remove_dir(world.in_account(".claude.json.lock")).expect("claude lets go");
    assert!(
        world.sync().settings.wrote_account,
        "the next sync catches up"
    );
}

/// What claude does to its file: under its lock, read, change, replace.
fn change_as_claude_does(path: &Path, change: impl Fn(&mut serde_json::Value)) {
    let lock = path.with_file_name(".claude.json.lock");
    let started = std::time::Instant::now();
    while fs::create_dir(&lock).is_err() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "somebody keeps the lock"
        );
        std::thread::yield_now();
    }
    let mut value = serde_json::from_str(&text(path)).expect("is whole at any time");
    change(&mut value);
    let temporary = path.with_file_name(".claude.json.tmp.claude");
    fs::write(
        &temporary,
        serde_json::to_string_pretty(&value).expect("prints"),
    )
    .expect("writes");
    fs::rename(&temporary, path).expect("replaces");
    fs::remove_dir(&lock).expect("lets go");
}

#[test]
fn no_write_of_claudes_is_lost_beside_a_merge() {
    const WRITES: u64 = 150;
    for direction in [Direction::OneWay, Direction::TwoWay] {
        let world = World::synced();
        put(&world.base.json, r#"{"numStartups":0,"theme":"0"}"#, 1);
        put(&world.in_account(".claude.json"), r#"{"numStartups":0}"#, 1);
        let count = |path: &Path| {
            for _ in 0..WRITES {
                change_as_claude_does(path, |v| {
                    v["numStartups"] = (v["numStartups"].as_u64().expect("a number") + 1).into();
                });
            }
        };
        let (base, own) = (&world.base.json, &world.in_account(".claude.json"));
        std::thread::scope(|scope| {
            let counters = [scope.spawn(|| count(base)), scope.spawn(|| count(own))];
            let mut theme = 0;
            while !counters
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                theme += 1;
                change_as_claude_does(base, |v| v["theme"] = theme.to_string().into());
                let options = Options::at_leisure(direction, false);
                let _ = sync(&world.base, &world.account, World::later(), options);
            }
        });
        let options = Options::at_leisure(direction, false);
        let _ = sync(&world.base, &world.account, World::later(), options);
        let value = |path: &Path| -> serde_json::Value {
            serde_json::from_str(&text(path)).expect("is whole")
        };
        for path in [base, own] {
            assert_eq!(value(path)["numStartups"], WRITES, "{path:?}");
        }
        assert_eq!(value(base)["theme"], value(own)["theme"]);
    }
}

#[test]
fn two_ways_a_setting_reaches_the_base_where_it_really_is() {
    let world = World::new();
    let real = world
        .base
        .dir
        .with_file_name("dotfiles")
        .join("claude.json");
    put(
        &real,
        r#"{"oauthAccount":{"accountUuid":"b"},"theme":"x"}"#,
        1,
    );
    symlink(&real, &world.base.json).expect("links");
    seed(&world.base, &world.account, Duration::ZERO).expect("seeds");
    let own = world.in_account(".claude.json");
    let changed = text(&own).replace("\"x\"", "\"dark-ansi\"").replacen(
        '{',
        r#"{"oauthAccount":{"accountUuid":"a"},"#,
        1,
    );
    put(&own, &changed, 2);
    let options = Options::at_leisure(Direction::TwoWay, false);
    let run = || sync(&world.base, &world.account, World::later(), options).settings;
    let report = run();
    assert!(
        report.wrote_base && report.problems.is_empty(),
        "{report:?}"
    );
    assert!(
        fs::symlink_metadata(&world.base.json)
            .expect("is there")
            .is_symlink()
    );
    assert_eq!(
        text(&real),
        r#"{"oauthAccount":{"accountUuid":"b"},"theme":"dark-ansi"}"#
    );
    let report = run();
    assert!(!report.wrote_base && !report.wrote_account);

    // A removal crosses; with a newer backup beside it, it does not.
    let removed = text(&own).replace("\"theme\": \"dark-ansi\",", "");
    put(&own, &removed, 3);
    put(&world.in_account("backups/.claude.json.backup.9"), "{}", 9);
    let report = run();
    assert!(!report.wrote_base && matches!(report.problems[..], [SettingsProblem::Merge(_)]));
    fs::remove_dir_all(world.in_account("backups")).expect("removes");
    assert!(run().wrote_base);
    assert!(!text(&real).contains("theme"));
}

#[test]
fn health_sees_every_kind_and_changes_nothing() {
    let world = World::synced();
    put(&world.in_base("missing"), "", 1);
    put(&world.in_base("x.conflict-1"), "", 1);
    symlink(
        world.in_base("x.conflict-1"),
        world.in_account("x.conflict-1"),
    )
    .expect("links");
    symlink(world.in_base("gone"), world.in_account("gone")).expect("links");
    symlink("/nowhere", world.in_account("foreign")).expect("links");
    symlink(world.in_base("daemon"), world.in_account("daemon")).expect("links");
    put(&world.in_account("stray"), "", 1);
    put(&world.in_account(".claude.json"), "{}", 1);
    fs::set_permissions(
        world.in_account(".claude.json"),
        fs::Permissions::from_mode(0o644),
    )
    .expect("sets");
    put(&world.in_account(".config.json"), "{}", 1);
    let found = health(&world.base, &world.account);
    let mut expected = vec![
        (
            world.in_account(".claude.json"),
            Verdict::Permissions(0o644),
        ),
        (world.in_account(".config.json"), Verdict::LegacyIdentity),
        (
            world.in_account("daemon"),
            Verdict::PrivateIsLink(world.in_base("daemon")),
        ),
        (
            world.in_account("foreign"),
            Verdict::WrongTarget("/nowhere".into()),
        ),
        (world.in_account("gone"), Verdict::StaleLink),
        (world.in_account("missing"), Verdict::MissingLink),
        (world.in_account("stray"), Verdict::Stray),
        (world.in_base("x.conflict-1"), Verdict::ConflictCopy),
    ];
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let again: Vec<_> = found
        .iter()
        .map(|f| (f.path.clone(), f.verdict.clone()))
        .collect();
    assert_eq!(again, expected);
    assert_eq!(health(&world.base, &world.account), found);
}

fn remove(world: &World) -> Result<SyncReport, RemoveError> {
    let options = Options::at_leisure(Direction::OneWay, false);
    remove_account_dir(&world.home, world.id, &world.base, World::later(), options)
}

#[test]
fn removal_brings_strays_home_and_follows_no_link() {
    let world = World::synced();
    put(&world.in_base("settings.json"), "{}", 1);
    world.sync();
    put(&world.in_account("new.md"), "mine", 1);
    put(&world.in_account("daemon/deep/er/x"), "x", 1);
    symlink(&world.base.dir, world.in_account("daemon/up")).expect("links");
    put(&world.in_account(".credentials.json"), "secret", 1);
    let locked = world.in_account("cache/locked");
    put(&locked.join("x"), "x", 1);
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("sets");
    let report = remove(&world).expect("removes");
    assert_eq!(report.healed.len(), 1);
    assert_eq!(text(&world.in_base("new.md")), "mine");
    assert_eq!(text(&world.in_base("settings.json")), "{}");
    assert_eq!(names(&world.home.accounts()), [".healing"]);
    remove(&world).expect("is gone already");
}

#[test]
fn removal_stops_at_a_conflict() {
    let world = World::synced();
    put(&world.in_base("thing"), "a file", 1);
    fs::create_dir(world.in_account("thing")).expect("creates");
    put(&world.in_account("thing/x"), "x", 1);
    let Err(RemoveError::Unhealed { report, .. }) = remove(&world) else {
        panic!("it must not go")
    };
    assert_eq!(report.left[0].reason, Reason::Kinds);
    assert_eq!(text(&world.in_account("thing/x")), "x");
}

#[test]
fn what_an_interrupted_removal_left_is_swept() {
    let world = World::synced();
    fs::rename(
        &world.account,
        world.home.accounts().join("trash-acct-01-1"),
    )
    .expect("renames");
    put(&world.home.accounts().join("trash-talk"), "mine", 1);
    assert_eq!(remove_trash(&world.home).expect("sweeps").len(), 1);
    assert!(!names(&world.home.accounts()).contains(&"trash-acct-01-1".to_owned()));
    assert!(world.home.accounts().join("trash-talk").exists());
    assert!(world.in_base("projects").is_dir());
}

/// Variable that names the directory a child of these tests works in.
const DIRECTORY: &str = "CCP_TEST_DIRECTORY";

/// Runs one of the ignored tests below in a child process, behind `wrapper`. Where the system does not allow the
/// wrapper, the proof is skipped aloud, and in CI it fails.
#[cfg(target_os = "linux")]
fn run_inside(wrapper: &[&str], test: &str) {
    let temporary = tempfile::tempdir().expect("a directory");
    let run = |tail: &[&OsStr]| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).args(tail);
        command.env(DIRECTORY, temporary.path()).output()
    };
    let possible = run(&[OsStr::new("true")]).is_ok_and(|o| o.status.success());
    if !possible {
        assert!(
            std::env::var_os("CI").is_none(),
            "{wrapper:?} must work in CI"
        );
        println!("skipped {test}: {wrapper:?} is not possible here");
        return;
    }
    let own = std::env::current_exe().expect("has a path");
    let words = ["--exact", test, "--ignored", "--nocapture"].map(OsStr::new);
    let mut tail = vec![own.as_os_str()];
    tail.extend(words);
    let output = run(&tail).expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A private mount namespace with a small file system at `$CCP_TEST_DIRECTORY/small`.
#[cfg(target_os = "linux")]
fn with_small_disk(test: &str) {
    let script = "mkdir -p \"$CCP_TEST_DIRECTORY/small\" && \
         mount -t tmpfs -o size=1m,mode=700 none \"$CCP_TEST_DIRECTORY/small\" && exec \"$@\"";
    run_inside(
        &[
            "unshare",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ],
        test,
    );
}

fn given() -> PathBuf {
    PathBuf::from(std::env::var_os(DIRECTORY).expect("run by another test"))
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing() {
    with_small_disk("overlay::inside_a_full_disk");
}

#[test]
#[ignore = "run by a_full_disk_loses_nothing"]
fn inside_a_full_disk() {
    let small = given().join("small");
    let world = World::between(&small.join("user"), &given().join("pool"));
    assert!(world.sync().is_complete());
    put(&world.base.json, r#"{"theme":"x"}"#, 1);
    put(&world.in_base("settings.json"), "base", 1);
    put(&world.in_base("history.jsonl"), "base\n", 1);
    let large = "x".repeat(60_000);
    put(&world.in_account("settings.json"), &large, 9);
    put(&world.in_account("history.jsonl"), &large, 9);
    put(&world.in_account("new/large"), &large, 1);
    put(&world.in_account(".claude.json"), "{}", 1);
    let mut filler = File::create(small.join("filler")).expect("creates");
    while std::io::Write::write_all(&mut filler, &[0; 4096]).is_ok() {}
    let report = world.sync();
    assert!(!report.failed.is_empty(), "{report:?}");
    assert!(report.settings.wrote_account, "the other disk has room");
    assert_eq!(text(&world.in_base("settings.json")), "base");
    assert_eq!(text(&world.in_account("settings.json")), large);
    assert_eq!(text(&world.in_account("history.jsonl")), large);
    assert_eq!(text(&world.in_account("new/large")), large);
    assert!(
        !names(&world.base.dir).iter().any(|n| n.contains(".tmp.")),
        "no halves are left"
    );

    drop(filler);
    fs::remove_file(small.join("filler")).expect("makes room");
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(text(&world.in_base("settings.json")), large);
    assert_eq!(text(&world.in_base("settings.json.conflict-1")), "base");
    assert_eq!(
        text(&world.in_base("history.jsonl")),
        format!("base\n{large}\n")
    );
}

#[cfg(target_os = "linux")]
#[test]
fn entries_cross_file_systems_whole() {
    with_small_disk("overlay::inside_two_file_systems");
}

#[test]
#[ignore = "run by entries_cross_file_systems_whole"]
fn inside_two_file_systems() {
    let world = World::between(&given().join("small/user"), &given().join("pool"));
    assert!(world.sync().is_complete());
    put(&world.in_base("settings.json"), "old", 5);
    put(&world.in_account("settings.json"), "new", 9);
    put(&world.in_account("new/a/b"), "x", 7);
    fs::set_permissions(
        world.in_account("new/a/b"),
        fs::Permissions::from_mode(0o750),
    )
    .expect("sets");
    symlink("b", world.in_account("new/a/link")).expect("links");
    let dotfile = given().join("dotfiles/CLAUDE.md");
    put(&dotfile, "old", 5);
    symlink(&dotfile, world.in_base("CLAUDE.md")).expect("links");
    put(&world.in_account("CLAUDE.md"), "new", 9);
    let report = world.sync();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(text(&world.in_base("settings.json")), "new");
    assert_eq!(text(&world.in_base("settings.json.conflict-1")), "old");
    let moved = fs::metadata(world.in_base("new/a/link")).expect("is there");
    assert_eq!((moved.mode() & 0o777, moved.mtime()), (0o750, 7));
    assert!(world.leads_to_base("new"));
    assert_eq!(text(&dotfile), "new");
    assert_eq!(text(&world.in_base("CLAUDE.md.conflict-1")), "old");
    assert!(!names(&world.base.dir).iter().any(|n| n.contains(".tmp.")));
}

#[cfg(target_os = "linux")]
#[test]
fn a_read_only_base_is_linked_all_the_same() {
    with_small_disk("overlay::inside_a_read_only_base");
}

#[test]
#[ignore = "run by a_read_only_base_is_linked_all_the_same"]
fn inside_a_read_only_base() {
    let small = given().join("small");
    let world = World::between(&small.join("user"), &given().join("pool"));
    put(&world.in_base("settings.json"), "base", 5);
    put(&world.in_base("CLAUDE.md"), "base", 5);
    put(&world.in_account("settings.json"), "mine", 9);
    put(&world.in_account("new"), "mine", 9);
    let remount = Command::new("mount")
        .args(["-o", "remount,bind,ro"])
        .arg(&small)
        .status();
    assert!(remount.expect("mount runs").success());
    let report = world.sync();
    assert_eq!(report.linked, ["CLAUDE.md"]);
    assert_eq!(report.failed.len(), BORN_SHARED.len() + 2, "{report:?}");
    assert_eq!(text(&world.in_account("settings.json")), "mine");
    assert_eq!(text(&world.in_account("new")), "mine");
}

#[cfg(target_os = "linux")]
#[test]
fn removal_does_not_reach_into_a_mount() {
    with_small_disk("overlay::inside_a_mount");
}

#[test]
#[ignore = "run by removal_does_not_reach_into_a_mount"]
fn inside_a_mount() {
    let world = World::between(&given().join("user"), &given().join("pool"));
    assert!(world.sync().is_complete());
    let mounted = world.in_account("cache/other place");
    put(&given().join("small/precious"), "x", 1);
    fs::create_dir_all(&mounted).expect("creates");
    let bind = Command::new("mount")
        .arg("--bind")
        .args([&given().join("small"), &mounted])
        .status();
    assert!(bind.expect("mount runs").success());
    assert!(matches!(remove(&world), Err(RemoveError::Mounted { .. })));
    assert_eq!(text(&mounted.join("precious")), "x");
    assert!(world.leads_to_base("projects"), "nothing was touched");
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_entered_is_reported_alone() {
    // Root without its capabilities is held to modes like everybody else.
    let wrapper: &[&str] = if fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0) {
        &["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    } else {
        &["env"]
    };
    run_inside(wrapper, "overlay::inside_without_rights");
}

#[test]
#[ignore = "run by what_cannot_be_entered_is_reported_alone"]
fn inside_without_rights() {
    let world = World::between(&given().join("user"), &given().join("pool"));
    assert!(world.sync().is_complete());
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("sets");
    };
    put(&world.in_account("closed/x"), "x", 1);
    put(&world.in_base("closed/y"), "y", 1);
    put(&world.in_account("fine"), "x", 1);
    mode(&world.in_account("closed"), 0o000);
    assert!(
        fs::read_dir(world.in_account("closed")).is_err(),
        "modes hold here"
    );
    let report = world.sync();
    assert_eq!(report.failed.len(), 1, "{report:?}");
    assert_eq!(report.failed[0].path, world.in_account("closed"));
    assert!(world.leads_to_base("fine"));
    mode(&world.in_account("closed"), 0o700);
    assert!(world.sync().is_complete());

    mode(&world.base.dir, 0o000);
    let report = world.sync();
    assert_eq!(report.failed.len(), 1, "{report:?}");
    assert!(
        fs::symlink_metadata(world.in_account("fine")).is_ok(),
        "no link was pruned"
    );
    mode(&world.base.dir, 0o700);
    mode(&world.account, 0o500);
    put(&world.in_base("more"), "x", 1);
    assert_eq!(world.sync().failed.len(), 1);
    mode(&world.account, 0o700);

    // Removal gives itself the rights it needs below the directory.
    put(&world.in_account("cache/locked/x"), "x", 1);
    mode(&world.in_account("cache/locked"), 0o000);
    remove(&world).expect("removes");
    assert!(!world.account.exists());
}

#[test]
fn every_row_of_the_tables_is_in_the_document() {
    use ccp::core::{claude_json::keys, overlay};
    let document = include_str!("../../docs/overlays.md");
    for rule in overlay::RULES {
        let name = match rule.pattern {
            overlay::Pattern::Is(text) => text.to_owned(),
            overlay::Pattern::Starts(text) => format!("{text}*"),
            overlay::Pattern::Ends(text) => format!("*{text}"),
            overlay::Pattern::Has(text) => format!("*{text}*"),
        };
        let class = format!("{:?}", rule.class).to_lowercase();
        let row = format!("| `{name}` | {class} | {} |", rule.reason);
        assert!(document.contains(&row), "{row}");
    }
    for group in keys::KEYS {
        let sharing = format!("{:?}", group.sharing).to_lowercase();
        let start = format!("| {sharing} | {} | ", group.reason);
        let row = document.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("{start}"));
        for pattern in group.keys {
            let name = match pattern {
                keys::Pattern::Is(text) => (*text).to_owned(),
                keys::Pattern::Starts(text) => format!("{text}*"),
                keys::Pattern::Between(start, end) => format!("{start}*{end}"),
                keys::Pattern::Has(text) => format!("*{text}*"),
            };
            assert!(row.contains(&format!("`{name}`")), "{name}");
        }
    }
    for name in overlay::BORN_SHARED.iter().chain(&keys::PROJECT_KEYS) {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}

/// The least and the median of some runs, in milliseconds.
struct Times(Vec<f64>);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut times = self.0.clone();
        times.sort_by(f64::total_cmp);
        write!(f, "{:.2} / {:.2} ms", times[0], times[times.len() / 2])
    }
}

fn times(runs: usize, mut run: impl FnMut()) -> Times {
    let once = |_| {
        let started = std::time::Instant::now();
        run();
        started.elapsed().as_secs_f64() * 1000.0
    };
    Times((0..runs).map(once).collect())
}

/// A `.claude.json` of about so many bytes: projects with what claude keeps in them, and caches.
fn large_settings(bytes: usize, theme: &str) -> String {
    let mut text = format!("{{\n  \"theme\": \"{theme}\",\n  \"projects\": {{\n");
    let mut number = 0;
    while text.len() < bytes / 2 {
        let gap = if number == 0 { "" } else { ",\n" };
        text.push_str(&format!(
            "{gap}    \"/home/me/src/project-{number}\": {{\n      \"allowedTools\": [],\n      \
             \"mcpServers\": {{}},\n      \"enabledMcpjsonServers\": [],\n      \
             \"hasTrustDialogAccepted\": true,\n      \"lastCost\": 0.25,\n      \
             \"lastSessionId\": \"0c6a43bc-0000-4000-8000-{number:012}\",\n      \
             \"exampleFiles\": [\n        \"a.rs\",\n        \"b.rs\"\n      ]\n    }}"
        ));
        number += 1;
    }
    text.push_str("\n  },\n  \"cachedFeatureFlags\": {");
    let mut flag = 0;
    while text.len() < bytes {
        let gap = if flag == 0 { "" } else { "," };
        text.push_str(&format!(
            "{gap}\n    \"flag_{flag}\": {{\"on\": true, \"value\": [1, 2, 3]}}"
        ));
        flag += 1;
    }
    text.push_str("\n  }\n}\n");
    text
}

#[test]
#[ignore = "prints figures; run it with --release and --nocapture"]
fn figures() {
    for entries in [60, 1_000, 10_000] {
        let world = World::new();
        for number in 0..entries {
            put(&world.in_base(&format!("entry-{number}")), "x", 1);
        }
        let first = times(1, || assert!(world.sync().is_complete()));
        let again = times(41, || assert!(world.sync().changed_nothing()));
        println!(
            "{entries:>6} entries: first sync {first}, nothing to do {again} (least / median)"
        );
    }
    for kilobytes in [50, 1_000, 5_000] {
        let world = World::synced();
        let own = world.in_account(".claude.json");
        let settings = |theme: usize| large_settings(kilobytes * 1_000, &theme.to_string());
        // The account has the same, so that both sides are large; one setting differs each time.
        put(&world.base.json, &settings(0), 1);
        put(&own, &settings(0), 1);
        let _ = world.sync();
        let mut merges = Times(Vec::new());
        for round in 1..22 {
            put(&world.base.json, &settings(round), 1);
            // Else the merge pays for writing the base to the disk too.
            File::open(&world.base.json)
                .and_then(|f| f.sync_all())
                .expect("syncs");
            let merge = times(1, || assert!(world.sync().settings.wrote_account));
            merges.0.extend(merge.0);
        }
        let same = times(21, || assert!(!world.sync().settings.wrote_account));
        let bytes = fs::read_to_string(&world.base.json).expect("reads");
        let parse = times(21, || {
            assert!(ccp::core::claude_json::merge::Side::parse(&bytes).is_some());
        });
        let write = times(21, || {
            ccp::adapters::files::replace(&own, bytes.as_bytes(), 0o600).expect("writes");
        });
        println!(
            "{kilobytes:>6} kB: one way, written {merges}; unchanged {same}; parse {parse}; the write alone {write}"
        );
    }
}
