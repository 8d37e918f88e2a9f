//! Disks that do not obey: full ones, other ones, read-only ones, and directories that cannot be entered. Each test runs
//! again as a child inside such a place.

use super::removal::remove;
use super::{DIRECTORY, World, given, names, put, text};
use ccp::adapters::overlay::RemoveError;
use ccp::core::overlay::BORN_SHARED;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory to work in, where this process is the child behind `wrapper`. Else it runs `test`, named by its whole path,
/// again as that child,
/// and there is nothing left to do. Where the system does not allow the wrapper, the proof is skipped aloud, and in CI it
/// fails.
fn run_inside(wrapper: &[&str], test: &str) -> Option<PathBuf> {
    if let Some(given) = given() {
        return Some(given);
    }
    let temporary = tempfile::tempdir().expect("a directory");
    let run = |tail: &[&OsStr]| {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).args(tail);
        command.env(DIRECTORY, temporary.path()).output()
    };
    let possible = run(&[OsStr::new("true")]).is_ok_and(|o| o.status.success());
    if !possible {
        ccp_standin::skip(&format!("{test}: {wrapper:?} is not possible here"));
        return None;
    }
    let own = std::env::current_exe().expect("has a path");
    let words = ["--exact", test, "--nocapture"].map(OsStr::new);
    let mut tail = vec![own.as_os_str()];
    tail.extend(words);
    let output = run(&tail).expect("runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    None
}

/// A private mount namespace with a small file system at `$CCP_TEST_DIRECTORY/small`.
pub fn with_small_disk(test: &str) -> Option<PathBuf> {
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
    )
}

#[test]
fn a_full_disk_loses_nothing() {
    let Some(given) = with_small_disk("overlay::disks::a_full_disk_loses_nothing") else {
        return;
    };
    let small = given.join("small");
    let world = World::between(&small.join("user"), &given.join("pool"));
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

#[test]
fn entries_cross_file_systems_whole() {
    let Some(given) = with_small_disk("overlay::disks::entries_cross_file_systems_whole") else {
        return;
    };
    let world = World::between(&given.join("small/user"), &given.join("pool"));
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
    let dotfile = given.join("dotfiles/CLAUDE.md");
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

#[test]
fn a_read_only_base_is_linked_all_the_same() {
    let Some(given) = with_small_disk("overlay::disks::a_read_only_base_is_linked_all_the_same")
    else {
        return;
    };
    let small = given.join("small");
    let world = World::between(&small.join("user"), &given.join("pool"));
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

#[test]
fn removal_does_not_reach_into_a_mount() {
    let Some(given) = with_small_disk("overlay::disks::removal_does_not_reach_into_a_mount") else {
        return;
    };
    let world = World::between(&given.join("user"), &given.join("pool"));
    assert!(world.sync().is_complete());
    let mounted = world.in_account("cache/other place");
    put(&given.join("small/precious"), "x", 1);
    fs::create_dir_all(&mounted).expect("creates");
    let bind = Command::new("mount")
        .arg("--bind")
        .args([&given.join("small"), &mounted])
        .status();
    assert!(bind.expect("mount runs").success());
    assert!(matches!(remove(&world), Err(RemoveError::Mounted { .. })));
    assert_eq!(text(&mounted.join("precious")), "x");
    assert!(world.leads_to_base("projects"), "nothing was touched");
}

#[test]
fn what_cannot_be_entered_is_reported_alone() {
    // Root without its capabilities is held to modes like everybody else.
    let wrapper: &[&str] = if fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0) {
        &["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    } else {
        &["env"]
    };
    let Some(given) = run_inside(
        wrapper,
        "overlay::disks::what_cannot_be_entered_is_reported_alone",
    ) else {
        return;
    };
    let world = World::between(&given.join("user"), &given.join("pool"));
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
