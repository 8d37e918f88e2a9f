//! Rows for the decisions, the worked cases, and properties that hold for any accounts.

use super::pick::{NoPick, Reason, Request, next_headroom, pick, rank};
use super::pin::{Activity, Past, Pin};
use super::score::{Assessment, Candidate, Freshness, Tier, assess, is_stale};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Burn, Sample, Source, Used, Window, WindowKind};
use proptest::prelude::*;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);
const MODEL: &str = "fable";

fn id(n: u16) -> AccountId {
    AccountId::new(n).expect("in range")
}

fn window(kind: WindowKind, percent: f64, resets_in: Option<f64>) -> Window {
    let resets_at = resets_in.map(|s| Timestamp::from_unix_ms(NOW.unix_ms() + (s * 1000.0) as i64));
    Window {
        kind,
        used: Used::from_percent(percent).expect("a number"),
        resets_at,
    }
}

fn candidate(n: u16, windows: Vec<Window>) -> Candidate {
    let sample = Sample {
        measured_at: NOW,
        source: Source::Claude,
        windows,
        extra: None,
    };
    Candidate {
        id: id(n),
        sample: Some(sample),
        burn: Burn(0.0),
        sessions: 0,
        limited_until: None,
        needs_login: false,
        stale: false,
    }
}

#[test]
fn every_worked_case_comes_out_to_a_hundredth() {
    let text = include_str!("../../../tests/data/scoring-vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("the vectors are JSON");
    let cases = vectors["cases"].as_array().expect("cases");
    assert!(cases.len() >= 22, "the table of worked cases shrank");
    for case in cases {
        let (name, input) = (case["name"].as_str().expect("name"), &case["input"]);
        let number = |key: &str| input[key].as_f64();
        let mut windows = vec![
            window(
                WindowKind::FiveHour,
                number("used_5h").unwrap_or(0.0),
                number("resets_5h_in"),
            ),
            window(
                WindowKind::SevenDay,
                number("used_7d").unwrap_or(0.0),
                number("resets_7d_in"),
            ),
        ];
        if let Some(scoped) = number("scoped_used") {
            windows.push(window(
                WindowKind::WeeklyScoped("Fable".into()),
                scoped,
                number("resets_7d_in"),
            ));
        }
        let mut c = candidate(1, windows);
        c.burn = Burn(number("burn_5h").unwrap_or(0.0));
        c.sessions = u32::try_from(input["sessions"].as_u64().unwrap_or(0)).expect("small");
        c.stale = input["stale"].as_bool().unwrap_or(false);
        let limited = input["rate_limited"].as_bool().unwrap_or(false);
        c.limited_until = limited.then(|| NOW.plus(Duration::from_secs(60)));
        if input["sampled"].as_bool() == Some(false) {
            c.sample = None;
        }
        let found = assess(&c, Some(MODEL), NOW);
        let numbers = [
            ("score", found.score),
            ("eff_5h", found.terms.eff_5h),
            ("eff_7d", found.terms.eff_7d),
            ("raw_5h", found.terms.raw_5h),
            ("raw_7d", found.terms.raw_7d),
        ];
        for (key, value) in numbers {
            let expected = case["expect"][key]
                .as_f64()
                .unwrap_or_else(|| panic!("{name}: no {key}"));
            assert!(
                (value - expected).abs() < 0.01,
                "{name}: {key} is {value}, expected {expected}"
            );
        }
        assert_eq!(
            case["expect"]["exhausted"].as_bool(),
            Some(found.exhausted),
            "{name}: exhausted"
        );
        assert_eq!(
            case["expect"]["available"].as_bool(),
            Some(found.available()),
            "{name}: available"
        );
    }
}

/// Reads `a 5h=90% b 5h=10% pin=a …` and says who is picked and why.
fn check(accounts: &str, expected: &str) {
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut request = Request::default();
    let allow = accounts
        .split_whitespace()
        .find_map(|word| word.strip_prefix("allow="));
    let allowed = allow.map(|names| {
        let names = names.bytes().filter(u8::is_ascii_lowercase);
        names
            .map(|b| id(u16::from(b - b'a') + 1))
            .collect::<Vec<_>>()
    });
    request.allowed = allowed.as_deref();
    let letter = |text: &str| id(u16::from(text.as_bytes()[0] - b'a') + 1);
    for word in accounts.split_whitespace() {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let percent = || value.trim_end_matches('%').parse::<f64>().expect("percent");
        let last = candidates.last_mut();
        match (key, last) {
            ("5h", Some(c)) => add(
                c,
                window(WindowKind::FiveHour, percent(), Some(3600.0 * 4.0)),
            ),
            ("7d", Some(c)) => add(
                c,
                window(WindowKind::SevenDay, percent(), Some(86400.0 * 3.0)),
            ),
            ("fable", Some(c)) => add(
                c,
                window(
                    WindowKind::WeeklyScoped("Fable".into()),
                    percent(),
                    Some(86400.0),
                ),
            ),
            ("live", Some(c)) => c.sessions = value.parse().expect("count"),
            ("limited", Some(c)) => {
                let seconds = value.parse().expect("seconds");
                c.limited_until = Some(NOW.plus(Duration::from_secs(seconds)));
            }
            ("login", Some(c)) => c.needs_login = true,
            ("unsampled", Some(c)) => c.sample = None,
            ("pin", _) => request.past.manual = Some(letter(value)),
            ("used-here", _) => request.past.auto = Some(letter(value)),
            ("running-here", _) => request.past.parallel = true,
            ("force", _) => request.forced = Some(letter(value)),
            ("model", _) => request.model = Some(value),
            ("allow", _) => {}
            (name, _) if name.len() == 1 => {
                candidates.push(candidate(letter(name).number(), vec![]))
            }
            (other, _) => panic!("unknown word {other}"),
        }
    }
    let found = match pick(&candidates, &request, NOW) {
        Ok(p) => {
            let name = char::from(b'a' + u8::try_from(p.id.number()).expect("small") - 1);
            let pin = match p.pin {
                Pin::Bypassed(_) => ", pin bypassed",
                Pin::Barred(_) => ", pin barred",
                Pin::Abandoned(_) => ", pin abandoned",
                Pin::Beside(_) => ", beside a live session",
                Pin::Free | Pin::Manual(_) | Pin::Auto(_) => "",
            };
            format!("{name} {}{pin}", p.reason.name())
        }
        Err(problem) => format!("{problem:?}"),
    };
    assert_eq!(found, expected, "{accounts}");
}

fn add(candidate: &mut Candidate, window: Window) {
    candidate
        .sample
        .as_mut()
        .expect("sampled")
        .windows
        .push(window);
}

#[test]
fn picks() {
    check("", "NoAccounts");
    check("a 5h=90% b 5h=10%", "b emptiest");
    check("a 5h=10% b 5h=10%", "a emptiest");
    check("a 5h=10% b 5h=10% live=1", "a emptiest");
    check("a 5h=10% live=1 b 5h=10%", "b emptiest");
    check("a", "a only_available");
    check("a 5h=100% b 5h=90%", "b only_available");
    check("a unsampled b 5h=20%", "b emptiest");
    check("a unsampled b 5h=60%", "a emptiest");
    // Never an exhausted account while another has headroom, however bad the other is.
    check("a 5h=100% b 5h=99% 7d=99% live=30", "b only_available");
    check("a 5h=100% b 7d=100%", "b fallback_exhausted");
    check("a 5h=100% b limited=60", "a fallback_exhausted");
    check("a limited=600 b limited=60", "b fallback_rate_limited");
    check("a login b limited=60", "b fallback_rate_limited");
    check("a login b login", "AllNeedLogin");
    check("a login b 5h=99%", "b only_available");
}

#[test]
fn pins() {
    check("a 5h=90% b 5h=10% pin=a", "a pinned");
    check("a 5h=100% b 5h=10% pin=a", "b only_available, pin bypassed");
    check("a login b 5h=10% pin=a", "b only_available, pin bypassed");
    check("a 5h=85% b 5h=10% used-here=a", "a reused");
    check("a 5h=95% b 5h=10% used-here=a", "b emptiest, pin abandoned");
    check(
        "a 5h=50% b 5h=10% used-here=a running-here",
        "b emptiest, beside a live session",
    );
    check(
        "a 5h=50% b 5h=10% pin=a used-here=b running-here",
        "a pinned",
    );
    check("a 5h=50% b 5h=10% pin=c", "b emptiest");
    check(
        "a 5h=100% b 7d=100% pin=a",
        "b fallback_exhausted, pin bypassed",
    );
}

#[test]
fn a_rule_leaves_the_others_out() {
    check("a 5h=10% b 5h=90% allow=b", "b only_available");
    check("a 5h=10% b 5h=90% c 5h=80% allow=bc", "c emptiest");
    // Loud, as without a rule, and still within it.
    check("a 5h=10% b 5h=100% allow=b", "b fallback_exhausted");
    check(
        "a b limited=60 c limited=9 allow=bc",
        "c fallback_rate_limited",
    );
    check("a b login allow=b", "AllNeedLogin");
    check("a b allow=c", "NoAccounts");
    check("a b allow=-", "NoAccounts");
    check("a b pin=b allow=b", "b pinned");
    check("a b 5h=50% c pin=a allow=bc", "c emptiest, pin barred");
    check("a b login pin=a allow=b", "AllNeedLogin");
    check("a b 5h=50% c used-here=a allow=bc", "c emptiest");
    check("a b 5h=50% c used-here=b allow=bc", "b reused");
    check(
        "a b 5h=50% c used-here=a running-here allow=bc",
        "c emptiest",
    );
    check("a b force=a allow=b", "ForcedBarred(AccountId(1))");
    check("a b force=b allow=b", "b forced");
    check("a b force=c allow=b", "ForcedUnknown(AccountId(3))");
}

#[test]
fn a_named_account_is_taken_whatever_its_numbers_but_not_without_a_login() {
    check("a 5h=100% b 5h=10% force=a", "a forced");
    check("a 5h=100% b 5h=10% pin=b force=a", "a forced");
    check("a login b force=a", "ForcedNeedsLogin(AccountId(1))");
    check("a b force=c", "ForcedUnknown(AccountId(3))");
}

#[test]
fn a_model_window_binds_only_the_launch_that_uses_the_model() {
    check("a 5h=0% fable=100% b 5h=50%", "a emptiest");
    check(
        "a 5h=0% fable=100% b 5h=50% model=fable",
        "b only_available",
    );
    check(
        "a 5h=0% fable=100% b 5h=50% model=claude-fable-5",
        "b only_available",
    );
    check("a 5h=0% fable=100% b 5h=50% model=sonnet", "a emptiest");
}

#[test]
fn the_past_of_a_directory() {
    let minutes = |m: u64| NOW.minus(Duration::from_secs(60 * m));
    let activity = |n, ago, live, beside| Activity {
        account: id(n),
        at: minutes(ago),
        live,
        beside,
    };
    let rows: [(&str, Vec<Activity>, Option<u16>, bool); 6] = [
        ("nothing happened", vec![], None, false),
        (
            "within the hour",
            vec![activity(1, 59, false, false)],
            Some(1),
            false,
        ),
        (
            "longer ago",
            vec![activity(1, 61, false, false)],
            None,
            false,
        ),
        (
            "a running session keeps it alive",
            vec![activity(1, 300, true, false)],
            Some(1),
            true,
        ),
        (
            "the last one counts",
            vec![activity(1, 10, false, false), activity(2, 5, false, false)],
            Some(2),
            false,
        ),
        (
            "one beside a live session does not",
            vec![activity(1, 10, false, false), activity(2, 5, false, true)],
            Some(1),
            false,
        ),
    ];
    for (name, traces, auto, parallel) in rows {
        let expected = Past {
            manual: None,
            auto: auto.map(id),
            parallel,
        };
        assert_eq!(Past::read(None, &traces, NOW), expected, "{name}");
    }
}

#[test]
fn staleness_follows_the_accounts_own_cadence() {
    let minutes = |m: u64| Duration::from_secs(60 * m);
    let base = Freshness {
        measured_at: Some(NOW.minus(minutes(20))),
        cadence: minutes(15),
        paused_since: None,
        renewal_failed: false,
    };
    let rows = [
        ("within twice the cadence", base, false),
        (
            "beyond it",
            Freshness {
                measured_at: Some(NOW.minus(minutes(31))),
                ..base
            },
            true,
        ),
        (
            "never before six minutes",
            Freshness {
                measured_at: Some(NOW.minus(minutes(5))),
                cadence: minutes(1),
                ..base
            },
            false,
        ),
        (
            "never sampled",
            Freshness {
                measured_at: None,
                ..base
            },
            true,
        ),
        (
            "renewal failed",
            Freshness {
                renewal_failed: true,
                ..base
            },
            true,
        ),
        (
            "a pause does not age it",
            Freshness {
                measured_at: Some(NOW.minus(minutes(600))),
                paused_since: Some(NOW.minus(minutes(590))),
                ..base
            },
            false,
        ),
        (
            "from the future",
            Freshness {
                measured_at: Some(NOW.plus(minutes(600))),
                ..base
            },
            false,
        ),
    ];
    for (name, freshness, expected) in rows {
        assert_eq!(is_stale(&freshness, NOW), expected, "{name}");
    }
}

#[test]
fn waiting_goes_to_the_reset_that_frees_an_account() {
    let full = |n, five: f64, week: f64| {
        let w = vec![
            window(WindowKind::FiveHour, 100.0, Some(five)),
            window(WindowKind::SevenDay, 100.0, Some(week)),
        ];
        candidate(n, w)
    };
    let five_only = candidate(3, vec![window(WindowKind::FiveHour, 100.0, Some(900.0))]);
    let seconds =
        |c: &[Candidate]| next_headroom(&rank(c, None, NOW)).map(|t| t.ms_since(NOW) / 1000);
    assert_eq!(
        seconds(&[full(1, 60.0, 7000.0)]),
        Some(7000),
        "both windows have to reset"
    );
    assert_eq!(
        seconds(&[full(1, 60.0, 7000.0), five_only.clone()]),
        Some(900)
    );
    assert_eq!(
        seconds(&[five_only, candidate(4, vec![])]),
        None,
        "one has headroom already"
    );
}

prop_compose! {
    fn any_window(kind: WindowKind)(
        percent in prop_oneof![Just(0.0), Just(100.0), 0.0..=100.0f64],
        resets in prop_oneof![Just(None), (-90_000.0..600_000.0f64).prop_map(Some)],
    ) -> Window {
        window(kind.clone(), percent, resets)
    }
}

prop_compose! {
    fn any_candidate()(
        five in any_window(WindowKind::FiveHour),
        week in any_window(WindowKind::SevenDay),
        scoped in proptest::option::of(any_window(WindowKind::WeeklyScoped("Fable".into()))),
        sampled in prop::bool::weighted(0.9),
        burn in -5.0..60.0f64,
        sessions in 0..12u32,
        limited in proptest::option::weighted(0.2, 1..100_000u64),
        needs_login in prop::bool::weighted(0.15),
        stale in any::<bool>(),
    ) -> Candidate {
        let mut c = candidate(1, [Some(five), Some(week), scoped].into_iter().flatten().collect());
        c.burn = Burn(burn);
        c.sessions = sessions;
        c.limited_until = limited.map(|s| NOW.plus(Duration::from_secs(s)));
        c.needs_login = needs_login;
        c.stale = stale;
        if !sampled { c.sample = None; }
        c
    }
}

fn any_candidates() -> impl Strategy<Value = Vec<Candidate>> {
    prop::collection::vec(any_candidate(), 1..12).prop_map(|mut all| {
        for (n, c) in (1..).zip(&mut all) {
            c.id = id(n);
        }
        all
    })
}

proptest! {
    #[test]
    fn the_pick_is_the_argmax_and_never_a_worse_tier(candidates in any_candidates(), with_model in any::<bool>()) {
        let model = with_model.then_some(MODEL);
        let request = Request { model, ..Request::default() };
        let assessments: Vec<Assessment> = candidates.iter().map(|c| assess(c, model, NOW)).collect();
        let best_tier = assessments.iter().map(|a| a.tier).min().expect("at least one");
        match pick(&candidates, &request, NOW) {
            Ok(p) => {
                let chosen = assessments.iter().find(|a| a.id == p.id).expect("from the list");
                prop_assert_eq!(chosen.tier, best_tier);
                prop_assert_ne!(chosen.tier, Tier::NeedsLogin);
                prop_assert_eq!(p.reason.is_fallback(), !chosen.available());
                if chosen.tier != Tier::RateLimited {
                    let best = assessments.iter().filter(|a| a.tier == best_tier).map(|a| a.score).fold(f64::MIN, f64::max);
                    prop_assert!(chosen.score >= best);
                }
            }
            Err(problem) => {
                prop_assert_eq!(problem, NoPick::AllNeedLogin);
                prop_assert_eq!(best_tier, Tier::NeedsLogin);
            }
        }
    }

    #[test]
    fn an_account_that_a_rule_does_not_allow_never_serves(
        candidates in any_candidates(), allowed in prop::collection::vec(1..14u16, 0..6), pinned in 0..13u16, used_here in 0..13u16,
        named in prop::option::weighted(0.3, 1..12u16), parallel in any::<bool>(),
    ) {
        let allowed: Vec<AccountId> = allowed.into_iter().map(id).collect();
        let past = Past { manual: AccountId::new(pinned), auto: AccountId::new(used_here), parallel };
        let forced = named.map(id);
        let request = Request { past, forced, allowed: Some(&allowed), model: None };
        let left: Vec<Candidate> = candidates.iter().filter(|c| allowed.contains(&c.id)).cloned().collect();
        let past = Past { auto: past.auto.filter(|id| allowed.contains(id)), ..past };
        let alone = pick(&left, &Request { past, allowed: None, ..request.clone() }, NOW);
        match pick(&candidates, &request, NOW) {
            Ok(p) => {
                prop_assert!(allowed.contains(&p.id));
                prop_assert!(p.ranking.iter().all(|a| allowed.contains(&a.id)));
                // Just as if there were no others: also when none has headroom.
                let alone = alone.expect("the same accounts");
                prop_assert_eq!(p.reason.is_fallback(), alone.reason.is_fallback());
                if matches!(p.pin, Pin::Barred(_)) {
                    prop_assert!(!allowed.contains(&id(pinned)));
                } else {
                    prop_assert_eq!((p.id, p.pin), (alone.id, alone.pin));
                }
            }
            Err(NoPick::ForcedBarred(barred)) => {
                prop_assert!(!allowed.contains(&barred) && candidates.iter().any(|c| c.id == barred));
            }
            Err(_) => prop_assert!(alone.is_err()),
        }
    }

    #[test]
    fn headroom_never_hurts(c in any_candidate(), which in 0..3usize, less in 0.0..100.0f64, with_model in any::<bool>()) {
        let model = with_model.then_some(MODEL);
        let before = assess(&c, model, NOW);
        let mut emptier = c.clone();
        let Some(w) = emptier.sample.as_mut().and_then(|s| s.windows.get_mut(which)) else { return Ok(()) };
        w.used = Used::from_percent(w.used.percent() - less).expect("a number");
        let after = assess(&emptier, model, NOW);
        prop_assert!(after.score >= before.score - 1e-9, "{before:?} {after:?}");
        prop_assert!(after.tier <= before.tier);
    }

    #[test]
    fn an_exhausted_account_is_never_picked_or_pinned_while_another_is_available(
        candidates in any_candidates(), pinned in 1..12u16, used_here in 1..12u16,
    ) {
        let past = Past { manual: Some(id(pinned)), auto: Some(id(used_here)), parallel: false };
        let available = candidates.iter().any(|c| assess(c, None, NOW).available());
        if let Ok(p) = pick(&candidates, &Request { past, ..Request::default() }, NOW) {
            prop_assert!(!available || p.assessment().available());
        }
    }

    #[test]
    fn parallel_picks_spread_evenly_over_equal_accounts(accounts in 1..8u16, each in 1..6u16, used in 0.0..75.0f64) {
        let mut candidates: Vec<_> =
            (1..=accounts).map(|n| candidate(n, vec![window(WindowKind::FiveHour, used, None)])).collect();
        for _ in 0..accounts * each {
            let p = pick(&candidates, &Request::default(), NOW).expect("all are available");
            prop_assert!(matches!(p.reason, Reason::Emptiest | Reason::OnlyAvailable));
            candidates.iter_mut().find(|c| c.id == p.id).expect("from the list").sessions += 1;
        }
        for c in &candidates {
            prop_assert_eq!(c.sessions, u32::from(each));
        }
    }
}
