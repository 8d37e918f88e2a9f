use super::*;
use crate::adapters::store::LabelWish;
use crate::core::usage::{Sample, Source, Used, Window, WindowKind};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

fn later(minutes: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(minutes * 60))
}

fn id(number: u16) -> AccountId {
    AccountId::new(number).expect("in range")
}

fn scene() -> (tempfile::TempDir, Store, Base) {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::new(&dir.path().join("home")).expect("absolute");
    let mut store = Store::open(&home).expect("opens");
    for label in ["a", "b"] {
        let added = store.insert_smallest_free(LabelWish::Exactly(label), |_| false, NOW);
        added.expect("adds");
    }
    let base = Base::default_in(dir.path());
    (dir, store, base)
}

fn sample(used: f64) -> Sample {
    Sample {
        measured_at: NOW,
        source: Source::Claude,
        windows: vec![Window {
            kind: WindowKind::FiveHour,
            used: Used::from_percent(used).expect("a number"),
            resets_at: Some(later(60)),
        }],
        extra: None,
    }
}

#[test]
fn what_is_in_the_database_is_what_a_launch_reads() {
    let (_dir, mut store, base) = scene();
    store
        .offer_sample(id(1), &sample(42.0), NOW)
        .expect("offers");
    store
        .set_limited_until(id(1), Some(later(9)), NOW)
        .expect("sets");
    store.set_needs_login(id(2), true).expect("sets");
    store
        .set_cadence(id(2), Duration::from_secs(180))
        .expect("sets");
    store.pin(Path::new("/w"), id(2), NOW).expect("pins");
    store
        .note_activity(Path::new("/v"), id(1), NOW)
        .expect("notes");
    let settings = Settings {
        flow: Flow::TwoWay,
        keep_env: vec!["ANTHROPIC_API_KEY".into()],
        ..Settings::default()
    };
    let written = publish_snapshot(&store, &settings, &base, later(1)).expect("publishes");
    let read = load_snapshot(store.home()).expect("is there");
    assert_eq!(read, written);
    assert_eq!(read.base(), base);
    assert!(read.two_way && read.keep_env == settings.keep_env);
    assert_eq!(read.pins.len(), 2);
    let candidates = read.candidates(later(1), |_| 1);
    assert_eq!(candidates[0].sample, Some(sample(42.0)));
    assert_eq!(candidates[0].limited_until, Some(later(9)));
    assert!(candidates[1].needs_login && candidates[1].stale);
    assert_eq!(read.accounts[1].cadence_ms, 180_000);
    assert_eq!(read.accounts[0].cadence_ms, 900_000);
    assert_eq!(read.accounts[0].dir, store.home().account(id(1)));

    let over = publish_snapshot(&store, &settings, &base, later(61)).expect("publishes");
    assert_eq!(over.accounts[0].limited_until_ms, None);
    assert_eq!(
        over.pins.len(),
        1,
        "the memory has run out, the order has not"
    );
    let mode = fs::metadata(store.home().snapshot())
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_api_key_helper_is_noticed_where_there_is_one() {
    let (_dir, store, base) = scene();
    fs::create_dir_all(&base.dir).expect("creates");
    for (text, expected) in [
        (r#"{"apiKeyHelper":"/bin/key"}"#, true),
        (r#"{"apiKeyHelper":" "}"#, false),
        (r#"{"apiKeyHelper":null}"#, false),
        (r#"{"model":"opus"}"#, false),
        ("[]", false),
        ("not json", false),
    ] {
        files::replace(&base.settings(), text.as_bytes(), PRIVATE_FILE).expect("writes");
        let snapshot = publish_snapshot(&store, &Settings::default(), &base, NOW);
        assert_eq!(
            snapshot.expect("publishes").api_key_helper,
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_snapshot_that_cannot_be_read_is_none() {
    let (_dir, store, base) = scene();
    assert_eq!(load_snapshot(store.home()), None);
    publish_snapshot(&store, &Settings::default(), &base, NOW).expect("publishes");
    let path = store.home().snapshot();
    let text = fs::read_to_string(&path).expect("reads");
    for other in [
        text.replacen("\"schema\":1", "\"schema\":2", 1),
        text[..text.len() / 2].to_owned(),
    ] {
        files::replace(&path, other.as_bytes(), PRIVATE_FILE).expect("writes");
        assert_eq!(load_snapshot(store.home()), None);
    }
}

#[test]
fn the_mirror_says_what_the_status_says() {
    let (_dir, mut store, base) = scene();
    store
        .offer_sample(id(1), &sample(42.0), NOW)
        .expect("offers");
    let snapshot = publish_snapshot(&store, &Settings::default(), &base, NOW).expect("publishes");
    let lease = crate::contract::lease::LeaseName {
        account: id(1),
        holder: procs::own_holder().expect("this process runs"),
        machine: procs::machine().hash,
        directory: 1,
        created_at: NOW,
        beside: false,
    };
    leases::write(&store.home().leases(), &lease, b"{}").expect("writes");
    let status = publish_status(&mut store, &snapshot, NOW).expect("publishes");
    let text = fs::read(store.home().status()).expect("reads");
    assert_eq!(
        serde_json::from_slice::<Status>(&text).expect("parses"),
        status
    );
    assert_eq!(status.accounts[0].sessions, 1);
    assert_eq!(
        store.meta(Meta::LastSweep).expect("reads"),
        Some(NOW.unix_ms().to_string())
    );
}

#[test]
fn a_home_that_cannot_be_written_is_an_error_that_names_the_file() {
    let (_dir, store, base) = scene();
    fs::create_dir_all(store.home().snapshot().join("in the way")).expect("creates");
    let error = publish_snapshot(&store, &Settings::default(), &base, NOW).expect_err("fails");
    assert!(error.to_string().contains("snapshot.json"), "{error}");
}
