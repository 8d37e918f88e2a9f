//! Picks as they are made, explained.

use super::*;
use crate::contract::record::{self, Circumstances};
use crate::core::account::AccountId;
use crate::core::select::pick::{Request, pick};
use crate::core::select::pin::Past;
use crate::core::select::score::Candidate;
use crate::core::usage::{Burn, Sample, Source, Used, Window, WindowKind};
use std::path::PathBuf;

const NOW: i64 = 1_781_539_080_000;
const LABELS: [&str; 4] = ["work", "home", "side", "old"];

fn id(number: u16) -> AccountId {
    AccountId::new(number).expect("a number")
}

fn candidate(number: u16, used_5h: f64, used_7d: f64) -> Candidate {
    let window = |kind, percent, hours: i64| Window {
        kind,
        used: Used::from_percent(percent).expect("a number"),
        resets_at: Some(Timestamp::from_unix_ms(NOW + hours * 3_600_000)),
    };
    Candidate {
        id: id(number),
        sample: Some(Sample {
            measured_at: Timestamp::from_unix_ms(NOW),
            source: Source::Claude,
            windows: vec![
                window(WindowKind::FiveHour, used_5h, 5),
                window(WindowKind::SevenDay, used_7d, 90),
            ],
            extra: None,
        }),
        burn: Burn(0.0),
        sessions: 0,
        limited_until: None,
        needs_login: false,
        stale: false,
    }
}

fn record(candidates: &[Candidate], forced: Option<u16>, past: Past) -> PickRecord {
    let now = Timestamp::from_unix_ms(NOW);
    let request = Request {
        forced: forced.map(id),
        past,
        model: None,
        allowed: None,
    };
    let picked = pick(candidates, &request, now).expect("somebody can serve");
    let label_of = |id: AccountId| LABELS[usize::from(id.number()) - 1];
    let circumstances = Circumstances {
        at: now,
        command: "run",
        rule: None,
        cwd: PathBuf::from("/home/ann/src/app"),
        model: Some("opus"),
        claude: Some(PathBuf::from("/usr/local/bin/claude")),
        pid: Some(4711),
        machine: "m",
    };
    record::PickRecord::new(&picked, candidates, label_of, circumstances)
}

fn text(record: &PickRecord) -> String {
    explain(&Told {
        record,
        live: true,
        now: Timestamp::from_unix_ms(NOW + 7_500_000),
        zone: &TimeZone::UTC,
        user_home: Path::new("/home/ann"),
    })
}

fn past(manual: Option<u16>, auto: Option<u16>, parallel: bool) -> Past {
    Past {
        manual: manual.map(id),
        auto: auto.map(id),
        parallel,
    }
}

#[test]
fn a_pick_is_explained_with_a_table_that_adds_up() {
    let mut busy = candidate(2, 85.0, 30.0);
    busy.sessions = 3;
    busy.burn = Burn(30.0);
    let mut out = candidate(4, 0.0, 12.0);
    out.needs_login = true;
    let all = [
        candidate(1, 22.0, 46.0),
        busy,
        candidate(3, 61.0, 70.0),
        out,
    ];
    let text = text(&record(&all, None, past(Some(4), None, false)));
    let expected = "\
work was picked 2 h 5 min ago (3:58 PM) by `ccp run`
  because  it had the highest score of 3 accounts that could serve
  pin      pinned to old by order, which needed a sign-in: ranked freely, the pin stays
  where    ~/src/app
  model    opus
  claude   /usr/local/bin/claude
  session  process 4711, still running

  ACCOUNT  5h used  7d used  sessions  burn %/h     5h     7d  live  low5h  runway   login  SCORE
▸ work         22%      46%         0       0.0  +54.6  +13.5   0.0    0.0     0.0     0.0   68.1
  side         61%      70%         0       0.0  +27.3   +7.5   0.0    0.0     0.0     0.0   34.8
  home         85%      30%         3      30.0  +10.5  +17.5  -6.0   -5.0   -13.5     0.0    3.5
  old           0%      12%         0       0.0  +70.0  +22.0   0.0    0.0     0.0  -100.0   -8.0  needs login

the terms of a line add up to its score: 5h = 5-hour headroom, 7d = weekly headroom, live = live sessions, low5h = 5-hour window low, runway = runs out soon, login = login needed
runner-up: side, 33.3 behind
";
    assert_eq!(text, expected, "\n{text}");
    let document = include_str!("../../../../docs/selection.md");
    assert!(
        document.contains(&format!("```\n{text}```")),
        "docs/selection.md shows this very text"
    );
}

#[test]
fn every_reason_and_every_pin_has_a_sentence() {
    let (roomy, full) = (candidate(1, 20.0, 20.0), candidate(2, 100.0, 20.0));
    let other = candidate(3, 30.0, 20.0);
    let pair = [roomy.clone(), other.clone()];
    let mixed = [roomy.clone(), full.clone(), other];
    let nobody = past(None, None, false);
    /// Candidates, the account asked for, the past, the reason, and what is said of the pin.
    type Row<'a> = (&'a [Candidate], Option<u16>, Past, &'a str, Option<&'a str>);
    let rows: [Row<'_>; 9] = [
        (
            &pair,
            None,
            nobody,
            "highest score of 2 accounts that could serve",
            None,
        ),
        (
            &pair,
            Some(3),
            past(Some(1), None, false),
            "it was asked for by name",
            Some("pinned to work by order, but an account was asked for by name"),
        ),
        (
            &pair,
            None,
            past(Some(3), None, false),
            "this directory is pinned to it",
            Some("pinned to side by order\n"),
        ),
        (
            &pair,
            None,
            past(None, Some(3), false),
            "within the hour",
            Some("side was used here last\n"),
        ),
        (
            &mixed[..2],
            None,
            nobody,
            "no other account could serve",
            None,
        ),
        (
            &mixed[1..2],
            None,
            nobody,
            "no account had headroom, and this was the best of the full ones",
            None,
        ),
        (
            &mixed,
            None,
            past(Some(2), None, false),
            "highest score of 2",
            Some("which was used up: ranked freely, the pin stays"),
        ),
        (
            &mixed,
            None,
            past(None, Some(2), false),
            "highest score of 2",
            Some("home was used here last but was used up: the account picked takes its place"),
        ),
        (
            &mixed,
            None,
            past(None, Some(3), true),
            "highest score of 2",
            Some("a session of side was running here: ranked freely, the pin stays with it"),
        ),
    ];
    for (candidates, forced, past, because, pin) in rows {
        let text = text(&record(candidates, forced, past));
        assert!(text.contains(because), "{because}\n{text}");
        match pin {
            Some(pin) => assert!(text.contains(pin), "{pin}\n{text}"),
            None => assert!(!text.contains("  pin  "), "{text}"),
        }
    }
}

#[test]
fn the_margin_tells_who_was_ahead() {
    let pair = [candidate(1, 20.0, 20.0), candidate(2, 30.0, 20.0)];
    let none = past(None, None, false);
    assert!(text(&record(&pair, None, none)).contains("runner-up: home, 7.0 behind\n"));
    assert!(text(&record(&pair, Some(2), none)).contains("runner-up: work, 7.0 ahead\n"));
    assert!(text(&record(&pair[..1], None, none)).contains("there was no other account\n"));
    let level = [candidate(1, 20.0, 20.0), candidate(2, 20.0, 20.0)];
    assert!(text(&record(&level, None, none)).contains("runner-up: home, level;"));
}

#[test]
fn a_reason_of_a_later_version_is_named() {
    let mut record = record(&[candidate(1, 20.0, 20.0)], None, past(None, None, false));
    record.reason = "horoscope\x1b[2J".to_owned();
    let text = text(&record);
    assert!(text.contains("`horoscope\u{fffd}[2J`"), "{text}");
}

/// The document's worked examples are rows of the vectors that the score is tested with.
#[test]
fn the_examples_in_the_document_come_out_as_the_vectors_say() {
    let document = include_str!("../../../../docs/selection.md");
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../../tests/data/scoring-vectors.json"))
            .expect("JSON");
    let cases = vectors["cases"].as_array().expect("cases");
    for name in ["README row 1", "burn, barrier and credit together"] {
        let case = cases.iter().find(|c| c["name"] == name);
        let score = case.expect("a case of this name")["expect"]["score"].as_f64();
        let section = document
            .split(&format!("*{name}*"))
            .nth(1)
            .expect("worked by hand");
        let table = section.split("**score**").next().expect("a sum");
        let shown = format!("| **score** | | **{:.2}** |", score.expect("a number"));
        assert!(document.contains(&shown), "{name}: {shown}");
        let points = table.lines().filter_map(|l| {
            let cell = l.trim_end_matches(" |").rsplit("| ").next()?;
            cell.replace('−', "-").parse::<f64>().ok()
        });
        let sum: f64 = points.sum();
        assert!(
            (sum - score.expect("a number")).abs() < 0.01,
            "{name} adds up to {sum}"
        );
    }
}
