use super::*;
use crate::adapters::files::{self, PRIVATE_FILE};
use std::os::unix::fs::PermissionsExt;

fn context(dir: &Path) -> Context {
    let environment = Environment {
        ccp_home: None,
        user_home: Some(dir.to_owned()),
    };
    Context::new(&environment, Timestamp::from_unix_ms(5)).expect("is absolute")
}

fn put(context: &Context, name: &str, text: &str) {
    files::create_private_dir(context.home.path()).expect("creates");
    let path = context.home.path().join(name);
    files::replace(&path, text.as_bytes(), PRIVATE_FILE).expect("writes");
}

#[test]
fn where_the_home_is() {
    let check = |ccp_home: Option<&str>, user_home: Option<&str>| {
        let environment = Environment {
            ccp_home: ccp_home.map(Into::into),
            user_home: user_home.map(Into::into),
        };
        Context::new(&environment, Timestamp::from_unix_ms(0))
            .map(|c| c.home.path().display().to_string())
            .map_err(|e| (e.to_string(), e.hint()))
    };
    assert_eq!(check(None, Some("/u")), Ok("/u/.cc-pool".into()));
    assert_eq!(check(Some("/x/"), Some("/u")), Ok("/x".into()));
    let (text, hint) = check(Some("x"), Some("/u")).expect_err("relative");
    assert_eq!(text, "CCP_HOME is not an absolute path: x");
    assert!(hint.is_some());
    let (text, _) = check(None, None).expect_err("unset");
    assert!(text.contains("HOME is not set"));
    let (text, _) = check(None, Some("u")).expect_err("relative");
    assert_eq!(text, "HOME is not an absolute path: u");
}

#[test]
fn settings_are_the_defaults_or_the_files_or_everything_that_is_wrong() {
    let dir = tempfile::tempdir().expect("a directory");
    let context = context(dir.path());
    assert_eq!(context.settings().expect("defaults"), Settings::default());
    assert!(!context.home.path().exists(), "looking makes nothing");
    put(&context, "config.toml", "[overlay]\nbase = \"~/w\"\n");
    assert_eq!(context.base().expect("reads").dir, dir.path().join("w"));
    put(&context, "config.toml", "[overlai]\n[usage]\nx = 1\n");
    let error = context.settings().expect_err("is wrong");
    let text = error.to_string();
    assert!(
        text.contains("config.toml is wrong:\n  line 1: unknown table overlai"),
        "{text}"
    );
    assert!(text.contains("\n  line 3: unknown key usage.x"), "{text}");
}

#[test]
fn a_home_of_another_tool_is_refused_until_it_is_adopted() {
    let dir = tempfile::tempdir().expect("a directory");
    let context = context(dir.path());
    put(&context, "pool-v1.db", "theirs");
    let error = context.open_store().expect_err("is refused");
    assert!(error.to_string().contains("pool-v1.db"), "{error}");
    assert!(
        error
            .hint()
            .expect("a next step")
            .contains("ccp init --adopt")
    );
    assert!(!context.home.state_db().exists(), "nothing was made");
    assert!(context.existing_store().expect("looks").is_none());

    drop(context.adopt_foreign().expect("adopts"));
    drop(context.open_store().expect("opens"));
    let theirs = std::fs::read(context.home.path().join("pool-v1.db")).expect("reads");
    assert_eq!(theirs, b"theirs");
}

#[test]
fn a_home_that_cannot_be_written_says_so() {
    // Root writes everywhere.
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } == 0 {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mode = |bits| std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(bits));
    mode(0o500).expect("sets");
    let error = context(dir.path()).open_store().expect_err("is refused");
    mode(0o700).expect("sets");
    assert!(error.to_string().ends_with("it is read-only"), "{error}");
    assert!(error.hint().is_some());
}
