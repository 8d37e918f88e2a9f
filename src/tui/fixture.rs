//! Accounts in every state, for the tests of this room.

use super::rows::Moment;
use crate::contract::snapshot::Snapshot;
use crate::contract::status::Status;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Monday, 15 June 2026, 15:58 UTC.
pub(super) const NOW: i64 = 1_781_539_080_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

pub(super) fn zone() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a zone")
}

fn window(kind: &str, used: f64, resets: i64) -> Value {
    json!({"kind": kind, "used": used, "resets_at_ms": NOW + resets})
}

fn sample(age: i64, source: &str, windows: &[Value], extra: Value) -> Value {
    json!({"measured_at_ms": NOW - age, "source": source, "windows": windows, "extra": extra})
}

fn account(id: u16, label: &str, sample: Value, rest: Value) -> Value {
    let mut account = json!({"id": id, "label": label, "dir": format!("/home/ann/.cc-pool/accounts/acct-{id:02}")});
    let into = account.as_object_mut().expect("an object");
    if !sample.is_null() {
        into.insert("sample".to_owned(), sample);
    }
    into.extend(rest.as_object().cloned().unwrap_or_default());
    account
}

fn accounts() -> Vec<Value> {
    let scoped = json!({"kind": "weekly_scoped", "model": "Opus", "used": 88.0, "resets_at_ms": NOW + 60 * HOUR});
    let paid = json!({"enabled": true, "used": 320.0, "limit": 5000.0, "currency": "USD"});
    let five = |used, hours| window("five_hour", used, hours * HOUR + 2 * MINUTE);
    let week = |used, hours| window("seven_day", used, hours * HOUR);
    vec![
        account(
            1,
            "work",
            sample(
                2 * MINUTE,
                "live",
                &[five(22.4, 4), week(46.0, 28), scoped],
                Value::Null,
            ),
            json!({"email": "ann@example.com", "burn": 12.0}),
        ),
        account(
            2,
            "home",
            sample(
                40 * MINUTE,
                "claude",
                &[five(75.0, 2), week(30.0, 100)],
                paid,
            ),
            json!({"email": "ann@example.org", "burn": 30.0}),
        ),
        account(
            3,
            "日本の口座",
            sample(
                MINUTE,
                "claude",
                &[five(100.0, 1), week(71.0, 24 * 9)],
                Value::Null,
            ),
            Value::Null,
        ),
        account(
            4,
            "side project with a rather long name",
            sample(
                MINUTE,
                "oauth",
                &[five(10.0, 3), week(95.0, 50)],
                Value::Null,
            ),
            json!({"limited_until_ms": NOW + 3 * HOUR}),
        ),
        account(
            5,
            "old",
            sample(
                50 * HOUR,
                "claude",
                &[five(50.0, -45), week(12.0, 30)],
                Value::Null,
            ),
            json!({"needs_login": true}),
        ),
        account(6, "new", Value::Null, Value::Null),
    ]
}

/// All accounts; `work` has two live sessions, `home` is pinned to the present directory.
pub(super) fn moment() -> Moment {
    moment_of(&accounts())
}

/// No accounts at all.
pub(super) fn nobody() -> Moment {
    moment_of(&[])
}

fn moment_of(accounts: &[Value]) -> Moment {
    let snapshot: Snapshot = serde_json::from_value(json!({
        "schema": 1, "version": "1", "generated_at_ms": NOW, "base_dir": "/home/ann/.claude",
        "base_json": "/home/ann/.claude.json", "accounts": accounts,
        "pins": [{"dir": "/here", "account": 2, "manual": true, "at_ms": 1},
            {"dir": "/there", "account": 2, "manual": true, "at_ms": 1}],
    }))
    .expect("a snapshot");
    let now = Timestamp::from_unix_ms(NOW);
    let id = |n| AccountId::new(n).expect("a number");
    let day = 24 * HOUR;
    Moment {
        status: Status::of(&snapshot, |a| if a == id(1) { 2 } else { 0 }, None, now),
        next: (!accounts.is_empty()).then(|| id(2)),
        pinned_here: (!accounts.is_empty()).then(|| id(2)),
        signed_in: vec![
            (id(1), Timestamp::from_unix_ms(NOW - 12 * day)),
            (id(2), Timestamp::from_unix_ms(NOW - 31 * day)),
        ],
        problems: Vec::new(),
        now,
    }
}

/// Compares with `tests/data/tui/NAME.txt`; `CCP_GOLDEN=write` writes the file instead.
pub(super) fn golden(name: &str, found: &str) {
    let dir: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tui");
    let path = dir.join(format!("{name}.txt"));
    if std::env::var_os("CCP_GOLDEN").is_some_and(|v| v == "write") {
        crate::adapters::files::replace_rebuildable(&path, found.as_bytes(), 0o644)
            .expect("writes the golden file");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} differs; found:\n{found}",
        path.display()
    );
}
