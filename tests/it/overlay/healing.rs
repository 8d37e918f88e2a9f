//! What took the place of a link is folded back, and nothing is lost.

use super::{World, put, text};
use ccp::adapters::clock;
use ccp::adapters::overlay::{How, Reason};
use std::fs;
use std::os::unix::fs::symlink;
#[cfg(target_os = "linux")]
use std::{path::Path, process::Command};

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
    assert!(!report.is_settled(), "the session will end");
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
