//! The home and what lies about in it.

use super::{Then, check, healthy, line_of, set_mode};
use std::fs;
use std::time::{Duration, SystemTime};

#[test]
fn another_tools_files_are_named_and_nothing_is_mended_beside_them() {
    let world = healthy();
    let home = world.ccp_home();
    fs::write(home.path().join("pool.db"), "theirs").expect("writes");
    set_mode(home.path(), 0o755);
    let hint = Then::Hint("ccp init --adopt");
    check(&world, "foreign-tool", '✗', "pool.db", hint);
    let said = world.run(&["doctor", "--fix"]).stdout;
    let line = line_of(&said, "home-permissions");
    assert!(
        line.starts_with('✗') && line.contains("another tool's files"),
        "{line}"
    );
    world.ok(&["init", "--adopt"]);
    let said = world.ok(&["doctor", "--fix"]);
    assert!(line_of(&said, "foreign-tool").starts_with('✓'), "{said}");
    assert!(
        line_of(&said, "home-permissions").contains("[fixed: "),
        "{said}"
    );
    assert_eq!(
        fs::read(home.path().join("pool.db")).expect("reads"),
        b"theirs"
    );
}

#[test]
fn a_home_that_others_may_enter_is_closed() {
    let world = healthy();
    set_mode(world.ccp_home().path(), 0o755);
    check(
        &world,
        "home-permissions",
        '✗',
        "is 0755",
        Then::Fixed("0700"),
    );
    set_mode(&world.ccp_home().snapshot(), 0o644);
    check(
        &world,
        "home-permissions",
        '✗',
        "is 0644",
        Then::Fixed("0600"),
    );
}

#[test]
fn a_disk_without_room_is_a_problem() {
    let world = healthy();
    let home = world.home.path().join("small");
    fs::create_dir(&home).expect("creates");
    let ccp = world.bin("ccp");
    let script =
        "mount -t tmpfs -o size=20m,mode=700 tmpfs \"$CCP_HOME\" || exit 77; exec \"$0\" doctor";
    let inside = world
        .command(
            "unshare",
            &["--map-root-user", "--mount", "sh", "-c", script],
        )
        .arg(&ccp)
        .env("CCP_HOME", &home)
        .output();
    let Ok(output) = inside.map(|o| {
        (
            o.status.code(),
            String::from_utf8_lossy(&o.stdout).into_owned(),
        )
    }) else {
        eprintln!("SKIPPED: unshare is not installed");
        return;
    };
    if !output.1.contains("disk-space") {
        eprintln!("SKIPPED: no file system can be mounted here");
        return;
    }
    let line = line_of(&output.1, "disk-space");
    assert!(
        line.starts_with('✗') && line.contains("free some space"),
        "{line}"
    );
    assert_eq!(output.0, Some(1));
}

#[test]
fn half_written_files_of_dead_processes_go() {
    let world = healthy();
    let home = world.ccp_home();
    let left = home.path().join("snapshot.json.tmp.4294967295.3");
    let alive = home
        .path()
        .join(format!("status.json.tmp.{}.3", std::process::id()));
    let theirs = home.path().join("notes.tmp.mine");
    let young = home.path().join("snapshot.json.tmp.4294967295.4");
    for path in [&left, &alive, &theirs, &young] {
        fs::write(path, "{").expect("writes");
    }
    for path in [&left, &alive, &theirs] {
        let file = fs::File::options().append(true).open(path);
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(9);
        file.and_then(|f| f.set_modified(long_ago)).expect("sets");
    }
    check(
        &world,
        "temporary-files",
        '!',
        "was never finished",
        Then::Fixed("removed"),
    );
    assert!(!left.exists() && alive.exists() && theirs.exists() && young.exists());
}

#[test]
fn what_an_interrupted_removal_left_goes() {
    let world = healthy();
    let trash = world.ccp_home().accounts().join("trash-acct-07-1");
    fs::create_dir_all(trash.join("deep")).expect("creates");
    std::os::unix::fs::symlink(world.home.path().join(".claude"), trash.join("link"))
        .expect("links");
    check(
        &world,
        "trash",
        '!',
        "trash-acct-07-1",
        Then::Fixed("deleted"),
    );
    assert!(!trash.exists());
    assert!(world.home.path().join(".claude/settings.json").exists());
}

#[test]
fn a_home_that_is_not_made_yet_is_not_made_by_looking() {
    let mut world = healthy();
    let nowhere = world.home.path().join("nowhere");
    world.set("CCP_HOME", &nowhere);
    for arguments in [&["doctor"][..], &["doctor", "--fix"]] {
        let said = world.ok(arguments);
        assert!(line_of(&said, "home-permissions").contains("not made yet"));
        assert!(line_of(&said, "accounts").starts_with('!'));
        assert!(line_of(&said, "accounts").contains("`ccp add`"));
        assert!(!nowhere.exists());
    }
}
