//! Accounts and their logins.

use super::{Then, check, edit, healthy};
use crate::life::world::id;
use ccp::adapters::clock;
use std::fs;
use std::time::Duration;

#[test]
fn a_lost_directory_is_not_made_up() {
    let world = healthy();
    fs::rename(world.account_dir(1), world.home.path().join("away")).expect("moves");
    let hint = Then::Hint("`ccp remove acct-01`");
    check(&world, "account-directory", '✗', "is missing", hint);
    let away = world.home.path().join("away");
    std::os::unix::fs::symlink(away, world.account_dir(1)).expect("links");
    let hint = Then::Hint("put it back");
    check(&world, "account-directory", '✗', "is a link", hint);
}

#[test]
fn a_home_that_moved_is_noticed_by_the_names_of_its_directories() {
    let mut world = healthy();
    let moved = world.home.path().join("moved");
    fs::rename(world.ccp_home().path(), &moved).expect("moves");
    world.set("CCP_HOME", &moved);
    let hint = Then::Hint("set CCP_HOME to what it was");
    check(&world, "account-directory-name", '✗', "recorded as", hint);
}

#[test]
fn a_torn_state_file_is_left_as_it_is() {
    let world = healthy();
    let path = world.account_dir(1).join(".claude.json");
    fs::write(&path, "{\"oauthAccount\":").expect("writes");
    let hint = Then::Hint("backups");
    check(&world, "account-state", '✗', "is not one JSON object", hint);
    assert_eq!(fs::read(&path).expect("reads"), b"{\"oauthAccount\":");
}

#[test]
fn another_person_in_an_accounts_place_is_noticed() {
    let world = healthy();
    let path = world.account_dir(1).join(".claude.json");
    edit(&path, |v| {
        v["oauthAccount"]["accountUuid"] = "somebody".into()
    });
    let hint = || Then::Hint("`ccp login acct-01`");
    check(&world, "account-identity", '✗', "was ", hint());
    edit(&path, |v| v["oauthAccount"] = serde_json::Value::Null);
    check(
        &world,
        "account-identity",
        '✗',
        "nobody is signed in",
        hint(),
    );
}

#[test]
fn one_subscription_is_not_counted_twice() {
    let world = healthy();
    let state = |number| world.account_dir(number).join(".claude.json");
    let text = fs::read(state(1)).expect("reads");
    let first: serde_json::Value = serde_json::from_slice(&text).expect("is JSON");
    let identity = &first["oauthAccount"];
    edit(&world.home.path().join(".claude.json"), |v| {
        v["oauthAccount"] = identity.clone();
    });
    let hint = Then::Hint("share one quota");
    check(&world, "identity-clash", '!', "as is plain claude", hint);
    edit(&state(2), |v| v["oauthAccount"] = identity.clone());
    let hint = Then::Hint("`ccp remove acct-02`");
    check(&world, "identity-clash", '✗', "are both", hint);
}

#[test]
fn a_login_that_is_not_there_is_asked_for() {
    let world = healthy();
    let login = world.account_dir(1).join(".credentials.json");
    let away = world.home.path().join("away");
    fs::rename(&login, &away).expect("moves");
    let hint = Then::Hint("`ccp login acct-01`");
    check(&world, "account-credential", '✗', "there is none", hint);
    std::os::unix::fs::symlink(&away, &login).expect("links");
    let said = world.run(&["doctor"]).stdout;
    let line = super::line_of(&said, "account-credential");
    assert!(
        line.starts_with('!') && line.contains("cannot be told"),
        "{line}"
    );
}

#[test]
fn evidence_against_a_login_is_told() {
    let world = healthy();
    let renewal = world.store().set_renewal_failed(id(1), true);
    renewal.expect("records");
    let hint = Then::Hint("`ccp refresh --all`");
    check(&world, "account-login", '!', "last renewal failed", hint);
    let needs = world.store().set_needs_login(id(1), true);
    needs.expect("records");
    let hint = Then::Hint("`ccp login acct-01`");
    check(&world, "account-login", '✗', "signed out", hint);
}

#[test]
fn an_old_login_is_warned_about() {
    let world = healthy();
    let days = |days: u64| Duration::from_secs(days * 24 * 3600 + 60);
    let signed_in = |ago| {
        let at = clock::now().minus(ago);
        world.store().set_signed_in(id(1), at).expect("records");
    };
    signed_in(days(24));
    let said = world.ok(&["doctor"]);
    let line = super::line_of(&said, "login-age");
    assert!(
        line.starts_with('✓') && line.contains("24 days ago"),
        "{line}"
    );
    signed_in(days(25));
    let hint = Then::Hint("logins end about 30 days after sign-in: `ccp login acct-01`");
    check(&world, "login-age", '!', "25 days ago", hint);
}
