//! The flow of `.claude.json` between the base and an account, beside a claude that writes too.

use super::{World, put, text};
use ccp::adapters::overlay::{Direction, Options, SettingsProblem, seed, sync};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Duration;

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
