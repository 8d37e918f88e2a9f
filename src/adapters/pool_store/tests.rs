use super::*;
use crate::core::account::AccountId;
use crate::core::pool::id::{DeliveryNumber, Generation, Place, SlotId};
use crate::core::pool::record::{Metadata, Rest, Seat};
use crate::core::time::Timestamp;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn place(slot: u32, generation: u64) -> Place {
    Place {
        slot: SlotId(slot),
        generation: Generation(generation),
    }
}

fn session(bits: u64) -> SessionRecord {
    let odd = PathBuf::from(OsString::from_vec(b"/tmp/\xff x".to_vec()));
    SessionRecord {
        id: SessionId::from_bits(bits),
        uuid: Some(ClaudeUuid::new("6f1e")),
        has_transcript: true,
        rest: Rest::Offloaded,
        seat: Some(Seat {
            place: place(3, u64::MAX),
            loaded: true,
        }),
        order: Some(7),
        priority: -2,
        pinned_until: Some(Timestamp::from_unix_ms(5)),
        parent: "p".to_owned(),
        cwd: odd.clone(),
        spawn_cwd: odd,
        created_at: Timestamp::from_unix_ms(bits.cast_signed()),
        last_used_at: Timestamp::from_unix_ms(2),
        metadata: Metadata::from([("tags".to_owned(), "[1,\"é\"]".to_owned())]),
        account: AccountId::new(4),
        model: Some("m".to_owned()),
        saved_input: Some("half\nline".to_owned()),
        was_live: true,
    }
}

fn prompt(bits: u64, number: u64) -> PromptRecord {
    PromptRecord {
        session: SessionId::from_bits(bits),
        text: Arc::from("do it \0 é"),
        delivery: Some(Delivery {
            place: place(1, 2),
            number: DeliveryNumber(number),
        }),
        redelivered: true,
        taken: true,
        accepted_at: Timestamp::from_unix_ms(77),
        conversations: vec![ClaudeUuid::new("6f1e"), ClaudeUuid::new("7a")],
    }
}

fn boxed(record: SessionRecord) -> Change {
    Change::Session(Box::new(record))
}

#[test]
fn what_was_written_is_there_after_a_restart_in_private_files() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("pool.db");
    let mut failed = session(2);
    failed.rest = Rest::Failed("it would not start".to_owned());
    failed.seat = None;
    failed.order = None;
    let mut archived = session(3);
    archived.rest = Rest::Archived(Timestamp::from_unix_ms(9));
    let disposition = Disposition {
        mode: Some("plan".to_owned()),
        model: None,
    };
    let changes = [
        boxed(session(1)),
        boxed(failed.clone()),
        boxed(archived.clone()),
        Change::Prompt(prompt(1, 4)),
        Change::Baseline {
            build: Build(u64::MAX),
            disposition: disposition.clone(),
        },
    ];
    {
        let mut store = PoolStore::open(&path).expect("opens");
        store.write(&changes, |_, _| 70).expect("writes");
        // Writing a session again keeps its prompt.
        store.write(&changes[..1], |_, _| 0).expect("writes");
        for name in ["pool.db", "pool.db-wal"] {
            let mode = fs::metadata(dir.path().join(name)).expect("is there");
            assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
        }
    }
    let store = PoolStore::open(&path).expect("opens");
    let expected = Contents {
        sessions: vec![session(1), failed, archived],
        prompts: vec![prompt(1, 4)],
        baseline: Some((Build(u64::MAX), disposition)),
    };
    assert_eq!(store.load().expect("loads"), expected);
}

#[test]
fn the_transcripts_length_is_kept_with_each_new_delivery() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = PoolStore::open(&dir.path().join("pool.db")).expect("opens");
    let id = SessionId::from_bits(1);
    let before = |store: &PoolStore, number| {
        let delivery = prompt(1, number).delivery.expect("has one");
        store.length_before(id, delivery).expect("reads")
    };
    let mut put = |change: Change, length: u64| {
        let changes = [boxed(session(1)), change];
        store
            .write(&changes, |_, uuid| {
                assert_eq!(uuid.map(ClaudeUuid::as_str), Some("6f1e"));
                length
            })
            .expect("writes");
    };
    put(Change::Prompt(prompt(1, 4)), 70);
    put(Change::Prompt(prompt(1, 4)), 99);
    assert_eq!(before(&store, 4), Some(70), "the same delivery, again");
    assert_eq!(before(&store, 5), None);
    let mut put = |change: Change, length: u64| {
        store.write(&[change], |_, _| length).expect("writes");
    };
    put(Change::Prompt(prompt(1, 5)), 99);
    assert_eq!(before(&store, 5), Some(99));
    assert_eq!(before(&store, 4), None);
    let mut put = |change: Change| store.write(&[change], |_, _| 0).expect("writes");
    put(Change::Deleted(id));
    assert_eq!(store.load().expect("loads"), Contents::default());
}

#[test]
fn a_write_that_fails_leaves_nothing_of_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = PoolStore::open(&dir.path().join("pool.db")).expect("opens");
    // A prompt of a session that is not there breaks the transaction at its end or before.
    let changes = [boxed(session(1)), Change::Prompt(prompt(2, 1))];
    store.write(&changes, |_, _| 0).expect_err("is refused");
    assert_eq!(store.load().expect("loads"), Contents::default());
    store.write(&changes[..1], |_, _| 0).expect("goes on");
}

#[test]
fn files_that_are_not_ours_are_left_as_they_are() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = dir.path().join("text.db");
    let words = "not a database at all, but quite long".repeat(50);
    files::replace(&text, words.as_bytes(), PRIVATE_FILE).expect("writes");
    let error = PoolStore::open(&text).expect_err("is refused").to_string();
    assert!(error.contains("is not a pool's database"), "{error}");
    let other = dir.path().join("other.db");
    let theirs = Connection::open(&other).expect("opens");
    theirs
        .execute_batch("CREATE TABLE t (a); PRAGMA user_version = 9;")
        .expect("makes");
    drop(theirs);
    let error = PoolStore::open(&other).expect_err("is refused").to_string();
    assert!(error.contains("is not a pool's database"), "{error}");
    let newer = dir.path().join("newer.db");
    drop(PoolStore::open(&newer).expect("opens"));
    let changed = Connection::open(&newer).expect("opens");
    changed
        .pragma_update(None, "user_version", 99)
        .expect("sets");
    drop(changed);
    let error = PoolStore::open(&newer).expect_err("is refused").to_string();
    assert!(error.contains("update ccp"), "{error}");
}
