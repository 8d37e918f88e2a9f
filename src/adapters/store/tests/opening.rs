//! Which files are opened, and that the others stay as they are.

use super::*;
use rusqlite::Connection;

/// Every file of the home with its bytes.
fn bytes_of(home: &Home) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(home.path())
        .expect("lists")
        .map(|e| e.expect("an entry"))
        .map(|e| {
            let name = e.file_name().to_string_lossy().into_owned();
            (name, fs::read(e.path()).expect("reads"))
        })
        .filter(|(name, _)| !name.ends_with("-shm"))
        .collect();
    files.sort();
    files
}

#[test]
fn a_new_database_is_private_and_marked_as_ours() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::new(&dir.path().join("new/home")).expect("absolute");
    let store = Store::open(&home).expect("opens");
    let number = |name| {
        store
            .read(|c| c.pragma_query_value(None, name, |r| r.get::<_, i64>(0)))
            .expect("reads")
    };
    assert_eq!(number("application_id"), APPLICATION_ID);
    assert_eq!(number("user_version"), known_format());
    assert_eq!(number("foreign_keys"), 1);
    for entry in fs::read_dir(home.path()).expect("lists") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
    let mode = fs::metadata(home.path())
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
    store.check_integrity().expect("is whole");
}

#[test]
fn a_database_of_the_first_release_is_brought_to_the_present() {
    let (_dir, home) = home();
    Connection::open(home.state_db())
        .expect("opens")
        .execute_batch(include_str!("../../../../tests/data/state-1.sql"))
        .expect("is made");
    let store = Store::open(&home).expect("opens");
    let picture = store.picture(NOW).expect("reads");
    assert_eq!(labels(&store), [(1, "home".into()), (3, "new".into())]);
    let first = &picture.accounts[0];
    assert_eq!(first.account.config_dir, Path::new("/h/accounts/acct-01"));
    let identity = first.account.identity.as_ref().expect("an identity");
    assert_eq!(identity.display_name.as_deref(), Some("Jo"));
    assert!(first.account.health.needs_login);
    let sample = first.sample.as_ref().expect("a sample");
    assert_eq!((sample.windows.len(), sample.source), (3, Source::Claude));
    assert_eq!(sample.extra.as_ref().and_then(|e| e.used), Some(1234.0));
    assert_eq!(first.overlay.stamp.expect("a stamp").base_listing, u64::MAX);
    assert_eq!(picture.pins.len(), 2);
    assert_eq!(store.picks(9).expect("lists").len(), 1);
    assert_eq!(store.events(9).expect("lists").len(), 2);
    assert!(picture.paused_since.is_some());
    let format = store.read(|c| c.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0)));
    assert_eq!(format.expect("reads"), known_format());
    store.check_integrity().expect("is whole");
}

#[test]
fn a_database_of_a_later_version_is_refused_and_stays_as_it_is() {
    let (_dir, home) = home();
    drop(Store::open(&home).expect("opens"));
    let other = Connection::open(home.state_db()).expect("opens");
    other.pragma_update(None, "user_version", 99).expect("sets");
    // Once with the number in the write-ahead log alone, once in the file.
    for _ in 0..2 {
        let before = bytes_of(&home);
        let error = Store::open(&home).expect_err("is refused");
        assert!(
            matches!(&error, StoreError::Future { found: 99, known, .. } if *known == known_format()),
            "{error}"
        );
        assert!(error.to_string().contains("99"), "{error}");
        assert!(error.hint().is_some());
        assert_eq!(bytes_of(&home), before);
        let _ = other.pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()));
    }
}

#[test]
fn a_database_of_another_program_is_refused_and_stays_as_it_is() {
    for statement in [
        "CREATE TABLE accounts (id)",
        "PRAGMA application_id = 7; CREATE TABLE t (x)",
        "PRAGMA user_version = 3; CREATE TABLE t (x)",
    ] {
        let (_dir, home) = home();
        let other = Connection::open(home.state_db()).expect("opens");
        other.execute_batch(statement).expect("makes");
        drop(other);
        fs::set_permissions(home.state_db(), PermissionsExt::from_mode(0o600)).expect("sets");
        let before = bytes_of(&home);
        let error = Store::open(&home).expect_err("is refused");
        assert!(
            matches!(error, StoreError::Foreign { .. }),
            "{statement}: {error}"
        );
        assert_eq!(bytes_of(&home), before, "{statement}");
    }
}

#[test]
fn a_damaged_file_is_refused_with_the_next_step_and_stays_as_it_is() {
    let (_dir, home) = home();
    for contents in [
        b"rubbish".to_vec(),
        vec![b'x'; 9000],
        b"SQLite format 3\0".to_vec(),
    ] {
        fs::write(home.state_db(), &contents).expect("writes");
        let error = Store::open(&home).expect_err("is refused");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("state.db"), "{error}");
        assert!(error.hint().expect("a next step").contains("ccp init"));
        assert_eq!(fs::read(home.state_db()).expect("reads"), contents);
    }
}

#[test]
fn damage_inside_is_found_where_it_is_met() {
    let (_dir, store) = with_accounts(&["a", "b"]);
    let home = store.home().clone();
    drop(store);
    let mut bytes = fs::read(home.state_db()).expect("reads");
    assert!(bytes.len() > 8192, "several pages");
    for byte in bytes.iter_mut().skip(4096) {
        *byte = 0x5a;
    }
    fs::write(home.state_db(), &bytes).expect("writes");
    let outcome = Store::open(&home).and_then(|s| s.accounts().map(|_| s));
    assert!(
        matches!(outcome, Err(StoreError::Corrupt { .. })),
        "{outcome:?}"
    );
    let left = fs::read(home.state_db()).expect("reads");
    assert_eq!(left.len(), bytes.len(), "nothing was deleted");
}

#[test]
fn an_empty_file_is_a_new_database() {
    let (_dir, home) = home();
    fs::write(home.state_db(), b"").expect("writes");
    let store = Store::open(&home).expect("opens");
    assert!(store.accounts().expect("lists").is_empty());
    let mode = fs::metadata(home.state_db())
        .expect("is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600, "made private");
}

#[test]
fn no_space_left_is_said_as_such_and_changes_nothing() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let pages: i64 = store
        .read(|c| c.pragma_query_value(None, "page_count", |r| r.get(0)))
        .expect("reads");
    store
        .read(|c| c.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())))
        .expect("limits");
    let event = Event {
        at: NOW,
        account: None,
        kind: "k".into(),
        text: "x".repeat(200_000),
    };
    let error = store.add_event(&event, NOW).expect_err("is full");
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    assert!(store.events(9).expect("lists").is_empty());
    assert_eq!(labels(&store), [(1, "a".into())]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_directory_that_cannot_be_written_is_said_as_such() {
    let (dir, home) = home();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o555)).expect("sets");
    let outcome = std::thread::spawn(move || {
        // SAFETY: the bare system call changes the effective user of this thread alone, which ends right after.
        unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
        Store::open(&home).map(drop)
    })
    .join()
    .expect("ends");
    assert!(
        matches!(outcome, Err(StoreError::ReadOnly { .. })),
        "{outcome:?}"
    );
}

#[test]
fn where_memory_cannot_be_shared_there_is_a_rollback_journal() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let modes = |store: &Store| {
        let ask = |c: &Connection, name: &str| {
            c.pragma_query_value(None, name, |r| r.get::<_, rusqlite::types::Value>(0))
        };
        let found = store.read(|c| Ok((ask(c, "journal_mode")?, ask(c, "synchronous")?)));
        format!("{:?}", found.expect("reads"))
    };
    for (shares, expected) in [
        (false, r#"(Text("delete"), Integer(2))"#),
        (false, r#"(Text("delete"), Integer(2))"#),
        (true, r#"(Text("wal"), Integer(1))"#),
    ] {
        store
            .read(|c| journal::choose_for(c, shares))
            .expect("switches");
        assert_eq!(modes(&store), expected);
        store.set_needs_login(id(1), shares).expect("works");
        store.check_integrity().expect("is whole");
    }
}
