#![expect(
    clippy::disallowed_methods,
    reason = "tests damage databases byte by byte"
)]

use super::schema::{APPLICATION_ID, known_format};
use super::*;
use crate::contract::lease::LeaseName;
use crate::contract::record::PickRecord;
use crate::core::account::AccountId;
use crate::core::accounts::lease::Holder;
use crate::core::claude_json::identity::Identity;
use crate::core::usage::{Acceptance, Sample, Source, Used, Window, WindowKind};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};

mod concurrent;
mod opening;

const NOW: Timestamp = Timestamp::from_unix_ms(1_790_000_000_000);

fn minute(m: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW.unix_ms() + m * 60_000)
}

fn id(number: u16) -> AccountId {
    AccountId::new(number).expect("in range")
}

fn home() -> (tempfile::TempDir, Home) {
    let dir = tempfile::tempdir().expect("a directory");
    let home = Home::new(dir.path()).expect("absolute");
    (dir, home)
}

fn with_accounts(labels: &[&str]) -> (tempfile::TempDir, Store) {
    let (dir, home) = home();
    let mut store = Store::open(&home).expect("opens");
    for label in labels {
        store
            .insert_smallest_free(LabelWish::Exactly(label), |_| false, NOW)
            .expect("inserts");
    }
    (dir, store)
}

fn identity(account: &str, organization: &str) -> Identity {
    Identity {
        account_uuid: account.into(),
        organization_uuid: Some(organization.into()),
        organization_name: Some(organization.to_uppercase()),
        email: Some("jo@example.test".into()),
        ..Identity::default()
    }
}

fn sample(at: i64, used: f64, source: Source) -> Sample {
    Sample {
        measured_at: minute(at),
        source,
        windows: vec![Window {
            kind: WindowKind::FiveHour,
            used: Used::from_percent(used).expect("a number"),
            resets_at: Some(minute(10_000)),
        }],
        extra: None,
    }
}

fn lease(account: u16, created: i64, beside: bool) -> LeaseName {
    LeaseName {
        account: id(account),
        holder: Holder::Process { pid: 1, start: 2 },
        machine: 3,
        directory: 4,
        created_at: minute(created),
        beside,
    }
}

fn record(account: u16, at: i64, cwd: &str) -> PickRecord {
    let text = format!(
        r#"{{"at_ms":{},"account":{account},"label":"l","command":"run","reason":"emptiest","cwd":"{cwd}","machine":"m","ranking":[]}}"#,
        minute(at).unix_ms()
    );
    serde_json::from_str(&text).expect("parses")
}

fn labels(store: &Store) -> Vec<(u16, String)> {
    let accounts = store.accounts().expect("lists");
    accounts
        .into_iter()
        .map(|a| (a.id.number(), a.label))
        .collect()
}

#[test]
fn the_smallest_free_number_is_given() {
    let (_dir, mut store) = with_accounts(&["a", "b", "c"]);
    store.remove_account(id(2)).expect("removes");
    let mut next = |taken: &[u16]| {
        let taken: Vec<AccountId> = taken.iter().map(|n| id(*n)).collect();
        let added = store.insert_smallest_free(LabelWish::Like("x"), |i| taken.contains(&i), NOW);
        let added = added.expect("adds");
        (added.id.number(), added.label)
    };
    assert_eq!(
        next(&[2]),
        (4, "x".into()),
        "something is left of the second"
    );
    assert_eq!(next(&[]), (2, "x 2".into()));
    let full = store.insert_smallest_free(LabelWish::Like("x"), |_| true, NOW);
    assert!(matches!(full, Err(StoreError::NoFreeNumber)));
}

#[test]
fn the_exported_directory_is_kept_byte_for_byte() {
    use std::os::unix::ffi::OsStrExt;
    let dir = tempfile::tempdir().expect("a directory");
    let odd = dir.path().join(std::ffi::OsStr::from_bytes(b"o\xffdd"));
    let home = Home::new(&odd).expect("absolute");
    let mut store = Store::open(&home).expect("opens");
    store
        .insert_smallest_free(LabelWish::Exactly("a"), |_| false, NOW)
        .expect("inserts");
    let found = store.accounts().expect("lists");
    assert_eq!(found[0].config_dir, home.account(id(1)));
}

#[test]
fn labels_are_unique_and_valid() {
    let (_dir, mut store) = with_accounts(&["home", "Größe"]);
    let rows = [
        ("work", "work"),
        ("  work  ", "work"),
        ("HOME", "HOME"),
        ("größe", "the label 'größe' belongs to acct-02"),
        ("acct-7", "a label may not look like an account id"),
        ("", "a label may not be empty"),
    ];
    for (wish, expected) in rows {
        let outcome = store.set_label(id(1), wish);
        assert_eq!(
            outcome.unwrap_or_else(|e| e.to_string()),
            expected,
            "{wish}"
        );
    }
    assert!(matches!(
        store.set_label(id(9), "x"),
        Err(StoreError::NoAccount(_))
    ));
    let taken = store.insert_smallest_free(LabelWish::Exactly("Home"), |_| false, NOW);
    assert!(matches!(taken, Err(StoreError::LabelTaken { holder, .. }) if holder == id(1)));
    assert_eq!(labels(&store), [(1, "HOME".into()), (2, "Größe".into())]);

    store
        .set_identity(id(2), &identity("u", "org"))
        .expect("sets");
    assert_eq!(
        store.set_label_like(id(2), "home").expect("renames"),
        "home (ORG)"
    );
    assert_eq!(
        store.set_label_like(id(2), "home").expect("renames"),
        "home (ORG)"
    );
}

#[test]
fn the_same_login_twice_is_reported_and_two_plans_of_one_person_are_not() {
    let (_dir, mut store) = with_accounts(&["a", "b", "c", "d"]);
    for (account, organization) in [(1, "x"), (2, "y"), (4, "x")] {
        let identity = identity("u", organization);
        store.set_identity(id(account), &identity).expect("sets");
    }
    assert_eq!(store.twins().expect("compares"), [vec![id(1), id(4)]]);
    let found = store.account(id(2)).expect("reads").expect("is there");
    assert_eq!(found.identity, Some(identity("u", "y")));
}

#[test]
fn another_person_in_an_account_starts_with_a_clean_record() {
    let (_dir, mut store) = with_accounts(&["a"]);
    store
        .set_identity(id(1), &identity("u", "x"))
        .expect("sets");
    store
        .offer_sample(id(1), &sample(0, 5.0, Source::Claude), NOW)
        .expect("offers");
    store
        .set_limited_until(id(1), Some(minute(9)), NOW)
        .expect("sets");
    store
        .set_identity(id(1), &identity("u", "x"))
        .expect("sets");
    assert!(store.latest_sample(id(1)).expect("reads").is_some());
    store
        .set_identity(id(1), &identity("v", "x"))
        .expect("sets");
    assert!(store.latest_sample(id(1)).expect("reads").is_none());
    let health = store
        .account(id(1))
        .expect("reads")
        .expect("is there")
        .health;
    assert_eq!(health.limited_until, None);
}

#[test]
fn health_is_kept_apart() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let health = |store: &Store| {
        store
            .account(id(1))
            .expect("reads")
            .expect("is there")
            .health
    };
    store.set_needs_login(id(1), true).expect("sets");
    store.set_renewal_failed(id(1), true).expect("sets");
    store
        .set_cadence(id(1), Duration::from_secs(180))
        .expect("sets");
    store.set_unleased_sessions(id(1), 2).expect("sets");
    store
        .set_probed(id(1), Some("offline"), minute(1))
        .expect("sets");
    store
        .set_probed(id(1), Some("throttled"), minute(2))
        .expect("sets");
    let found = health(&store);
    assert!(found.needs_login && found.renewal_failed);
    assert_eq!(
        (found.cadence, found.unleased_sessions),
        (Some(Duration::from_secs(180)), 2)
    );
    let problem = found.problem.expect("a problem");
    assert_eq!(
        (problem.since, problem.text.as_str()),
        (minute(1), "throttled")
    );
    assert_eq!(found.probed_at, Some(minute(2)));
    assert_eq!(
        found.limited_until, None,
        "a throttled poll is no exhausted account"
    );

    store.set_probed(id(1), None, minute(3)).expect("sets");
    store.set_signed_in(id(1), minute(4)).expect("sets");
    let found = health(&store);
    assert!(!found.needs_login && !found.renewal_failed && found.problem.is_none());

    assert!(
        store
            .set_limited_until(id(1), Some(minute(60)), minute(5))
            .expect("sets")
    );
    assert!(
        !store
            .set_limited_until(id(1), None, minute(4))
            .expect("is late")
    );
    assert_eq!(health(&store).limited_until, Some(minute(60)));
    assert!(
        store
            .set_limited_until(id(1), None, minute(6))
            .expect("lifts")
    );
    assert_eq!(health(&store).limited_until, None);
}

#[test]
fn samples_are_taken_when_newer_and_pruned_when_old() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let day = 24 * 60;
    let rows = [
        (sample(0, 50.0, Source::Claude), 0, Acceptance::Accepted),
        (sample(0, 50.0, Source::Claude), 1, Acceptance::Unchanged),
        (sample(-5, 50.0, Source::Live), 1, Acceptance::Older),
        (sample(2, 20.0, Source::Live), 2, Acceptance::Shrunk),
        (sample(2, 60.0, Source::Live), 2, Acceptance::Accepted),
        (
            sample(34 * day, 70.0, Source::Live),
            34 * day,
            Acceptance::Accepted,
        ),
    ];
    for (sample, now, expected) in rows {
        let found = store
            .offer_sample(id(1), &sample, minute(now))
            .expect("offers");
        assert_eq!(found, expected, "{sample:?}");
    }
    let all = |store: &Store| store.samples_since(id(1), minute(-100)).expect("reads");
    assert_eq!(all(&store).len(), 3);
    let last = sample(35 * day + 1, 80.0, Source::Oauth);
    store
        .offer_sample(id(1), &last, minute(35 * day + 1))
        .expect("offers");
    assert_eq!(all(&store).len(), 3, "the first is older than 35 days");
    assert_eq!(store.latest_sample(id(1)).expect("reads"), Some(last));
    let unknown = store.offer_sample(id(2), &sample(0, 1.0, Source::Live), NOW);
    assert!(matches!(unknown, Err(StoreError::NoAccount(_))));
}

#[test]
fn what_a_source_leaves_out_is_carried_over() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let mut probe = sample(0, 50.0, Source::Claude);
    probe.windows.push(Window {
        kind: WindowKind::WeeklyScoped("Fable".into()),
        used: Used::from_percent(88.0).expect("a number"),
        resets_at: None,
    });
    store.offer_sample(id(1), &probe, NOW).expect("offers");
    store
        .offer_sample(id(1), &sample(1, 51.0, Source::Live), minute(1))
        .expect("offers");
    let found = store
        .latest_sample(id(1))
        .expect("reads")
        .expect("is there");
    assert_eq!(found.windows.len(), 2);
    assert_eq!(found.windows[1], probe.windows[1]);
}

#[test]
fn a_clock_that_was_ahead_does_not_block_later_samples() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let offer = |store: &mut Store, at, now| {
        let sample = sample(at, 1.0, Source::Live);
        store
            .offer_sample(id(1), &sample, minute(now))
            .expect("offers")
    };
    assert_eq!(offer(&mut store, 900, 0), Acceptance::Accepted);
    let held = store
        .latest_sample(id(1))
        .expect("reads")
        .expect("is there");
    assert_eq!(held.measured_at, minute(0), "measured now at the latest");
    // The clock ran an hour ahead, and was set back.
    assert_eq!(offer(&mut store, 60, 60), Acceptance::Accepted);
    assert_eq!(offer(&mut store, 1, 1), Acceptance::Accepted);
}

#[test]
fn pace_comes_from_the_last_samples() {
    let (_dir, mut store) = with_accounts(&["a"]);
    for (at, used) in [(0, 10.0), (15, 15.0), (30, 20.0)] {
        store
            .offer_sample(id(1), &sample(at, used, Source::Live), minute(at))
            .expect("offers");
    }
    assert!((store.burn(id(1), minute(30)).expect("reads").0 - 20.0).abs() < 1e-9);
    assert!(store.burn(id(1), minute(90)).expect("reads").0.abs() < 1e-9);
}

#[test]
fn a_directory_has_an_order_and_a_memory() {
    let (_dir, mut store) = with_accounts(&["a", "b"]);
    let w = Path::new("/w");
    let pins = |store: &Store| -> Vec<(u16, bool, Timestamp)> {
        let pins = store.pins().expect("lists");
        pins.into_iter()
            .map(|p| (p.account.number(), p.manual, p.at))
            .collect()
    };
    store.note_activity(w, id(1), minute(5)).expect("notes");
    store.note_activity(w, id(2), minute(4)).expect("is older");
    store.pin(w, id(2), minute(6)).expect("pins");
    store.pin(w, id(1), minute(7)).expect("pins anew");
    assert_eq!(pins(&store), [(1, true, minute(7)), (1, false, minute(5))]);
    store.note_activity(w, id(2), minute(8)).expect("notes");
    store.note_activity(w, id(9), minute(9)).expect("nobody's");
    store.prune_pins(minute(68)).expect("prunes");
    assert_eq!(pins(&store), [(1, true, minute(7)), (2, false, minute(8))]);
    store.prune_pins(minute(69)).expect("prunes");
    assert_eq!(pins(&store), [(1, true, minute(7))]);
    assert_eq!(store.unpin(w).expect("forgets").len(), 1);
    assert!(store.unpin(w).expect("forgets").is_empty());
    assert!(matches!(
        store.pin(w, id(9), NOW),
        Err(StoreError::NoAccount(_))
    ));
}

#[test]
fn a_lease_is_one_pick_however_often_it_is_folded() {
    let (_dir, mut store) = with_accounts(&["a", "b"]);
    let ended = |account, at, beside| Ended {
        lease: lease(account, at, beside),
        record: Some(record(account, at, "/w")),
        ended_at: minute(at + 10),
    };
    let batch = [ended(1, 1, false), ended(2, 5, true), ended(7, 6, false)];
    for _ in 0..3 {
        store.fold(&batch, minute(20)).expect("folds");
    }
    store
        .add_pick(&lease(1, 1, false), &record(1, 1, "/w"))
        .expect("is there already");
    let picks: Vec<u16> = store
        .picks(9)
        .expect("lists")
        .iter()
        .map(|p| p.record.account)
        .collect();
    assert_eq!(picks, [2, 1], "newest first; the seventh account is gone");
    let pins = store.pins().expect("lists");
    assert_eq!(pins.len(), 1);
    assert_eq!(
        (pins[0].account, pins[0].at),
        (id(1), minute(11)),
        "one beside moves nothing"
    );
    assert_eq!(store.picks(1).expect("lists").len(), 1);
}

#[test]
fn history_stays_small() {
    let (_dir, mut store) = with_accounts(&["a"]);
    let event = |at| Event {
        at: minute(at),
        account: Some(id(1)),
        kind: "k".into(),
        text: "t".into(),
    };
    store.add_event(&event(0), NOW).expect("adds");
    store
        .change(|t| {
            for n in 0..KEPT_ROWS {
                t.execute(
                    "INSERT INTO events (at, kind, text) VALUES (?1, 'k', 't')",
                    [minute(1).unix_ms() + i64::from(n)],
                )?;
            }
            Ok(())
        })
        .expect("fills");
    store.add_event(&event(900), minute(900)).expect("adds");
    let events = store.events(KEPT_ROWS * 2).expect("lists");
    assert_eq!(events.len(), KEPT_ROWS as usize);
    assert_eq!(
        (events[0].at, events[0].account),
        (minute(900), Some(id(1)))
    );
    let later = 36 * 24 * 60;
    store.add_event(&event(later), minute(later)).expect("adds");
    assert_eq!(store.events(9).expect("lists").len(), 1);
}

#[test]
fn a_removed_account_leaves_no_trace() {
    let (_dir, mut store) = with_accounts(&["a", "b"]);
    for account in [1, 2] {
        store
            .offer_sample(id(account), &sample(0, 5.0, Source::Live), NOW)
            .expect("offers");
        store.pin(Path::new("/w"), id(account), NOW).expect("pins");
        store
            .add_pick(&lease(account, 0, false), &record(account, 0, "/w"))
            .expect("adds");
        let event = Event {
            at: NOW,
            account: Some(id(account)),
            kind: "k".into(),
            text: "t".into(),
        };
        store.add_event(&event, NOW).expect("adds");
        store.set_merged(id(account), Some("{}")).expect("sets");
    }
    store.remove_account(id(2)).expect("removes");
    store.remove_account(id(2)).expect("is gone already");
    for (table, column) in [
        ("accounts", "id"),
        ("health", "account"),
        ("samples", "account"),
        ("pins", "account"),
        ("picks", "account"),
        ("events", "account"),
        ("overlay_state", "account"),
    ] {
        let count = |id: u16| -> i64 {
            let question = format!("SELECT count(*) FROM {table} WHERE {column} = ?1");
            store
                .read(|c| c.query_row(&question, [id], |r| r.get(0)))
                .expect("counts")
        };
        assert_eq!(count(2), 0, "{table}");
        assert!(count(1) > 0 || table == "pins", "{table}");
    }
    let windows: i64 = store
        .read(|c| c.query_row("SELECT count(*) FROM windows", [], |r| r.get(0)))
        .expect("counts");
    assert_eq!(windows, 1);
    store.check_integrity().expect("is whole");
}

#[test]
fn overlay_state_and_single_facts_come_back() {
    let (_dir, mut store) = with_accounts(&["a"]);
    assert_eq!(
        store.overlay_state(id(1)).expect("reads"),
        OverlayState::default()
    );
    let stamp = crate::contract::snapshot::Stamp {
        base_dir_ns: 1,
        account_dir_ns: -2,
        base_listing: u64::MAX,
        account_listing: 3,
        base_json: Default::default(),
        account_json: Default::default(),
    };
    store.set_merged(id(1), Some("{\"k\":1}")).expect("sets");
    store.set_stamp(id(1), Some(&stamp)).expect("sets");
    let found = store.overlay_state(id(1)).expect("reads");
    assert_eq!(
        (found.stamp, found.merged.as_deref()),
        (Some(stamp), Some("{\"k\":1}"))
    );
    store.set_stamp(id(1), None).expect("clears");
    assert_eq!(store.overlay_state(id(1)).expect("reads").stamp, None);
    assert!(matches!(
        store.set_stamp(id(5), None),
        Err(StoreError::NoAccount(_))
    ));

    assert_eq!(store.meta(Meta::PausedSince).expect("reads"), None);
    store.set_meta(Meta::PausedSince, Some("5")).expect("sets");
    assert_eq!(
        store.picture(NOW).expect("reads").paused_since,
        Some(Timestamp::from_unix_ms(5))
    );
    store.set_meta(Meta::PausedSince, None).expect("forgets");
    assert_eq!(store.meta(Meta::PausedSince).expect("reads"), None);
}
