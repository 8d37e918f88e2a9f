use super::super::document::Document;
use super::super::keys::PROJECT_KEYS;
use super::*;
use proptest::prelude::*;

const PRIVATE: [&str; 6] = [
    "oauthAccount",
    "userID",
    "numStartups",
    "fooCache",
    "apiKeyHelper",
    "firstStartTime",
];

fn side(text: &str) -> Side<'_> {
    Side::parse(text).expect("parses")
}

/// One line per case: base, account, and what the account becomes ("" when it stays).
fn check_one_way(base: &str, account: &str, expected: &str) -> Outcome {
    // The seeds are not what these rows are about.
    let account = account.replacen(
        '{',
        r#"{"hasCompletedOnboarding":true,"resumeReturnDismissed":true,"#,
        1,
    );
    let outcome = one_way(&side(base), &side(&account), None);
    let found = outcome.account.clone().unwrap_or_default();
    let found = found.replacen(
        r#""hasCompletedOnboarding":true,"resumeReturnDismissed":true,"#,
        "",
        1,
    );
    assert_eq!(found, expected, "{base} {account}");
    assert_eq!(outcome.base, None);
    outcome
}

#[test]
fn preferences_flow_and_everything_of_the_account_stays() {
    check_one_way(r#"{"theme":"x"}"#, r#"{"a":1}"#, r#"{"a":1,"theme":"x"}"#);
    check_one_way(
        r#"{"theme":"x"}"#,
        r#"{"theme":"y","userID":"me"}"#,
        r#"{"theme":"x","userID":"me"}"#,
    );
    check_one_way(r#"{ "theme" : "x" }"#, r#"{"theme":"x"}"#, "");
    check_one_way(r#"{"env":{ "A" : "a  b" }}"#, r#"{"env":{"A":"a  b"}}"#, "");
    check_one_way(
        r#"{"oauthAccount":{"accountUuid":"b"},"userID":"b","xCache":1,"numStartups":4,"apiKeyHelper":"x"}"#,
        r#"{"oauthAccount":{"accountUuid":"a"}}"#,
        "",
    );
    check_one_way(
        r#"{"brandNew":[1, 2]}"#,
        r#"{"a":1.50}"#,
        r#"{"a":1.50,"brandNew":[1, 2]}"#,
    );
}

#[test]
fn of_a_project_only_trust_approvals_and_servers_cross() {
    check_one_way(
        r#"{"projects":{"/p":{"hasTrustDialogAccepted":true,"lastCost":3,"mcpServers":{},"allowedTools":["x"]}}}"#,
        r#"{"projects":{"/q":{"lastCost":9}}}"#,
        r#"{"projects":{"/q":{"lastCost":9},"/p":{"hasTrustDialogAccepted":true}}}"#,
    );
    check_one_way(
        r#"{"projects":{"/p":{"mcpServers":{"s":{}}}}}"#,
        r#"{"projects":{"/p":{"mcpServers":{"t":{}},"lastCost":1}}}"#,
        r#"{"projects":{"/p":{"mcpServers":{"s":{}},"lastCost":1}}}"#,
    );
    // What plain claude writes before it asked does not take back what was answered in an account.
    check_one_way(
        r#"{"projects":{"/p":{"hasTrustDialogAccepted":false,"enabledMcpjsonServers":[]}}}"#,
        r#"{"projects":{"/p":{"hasTrustDialogAccepted":true,"enabledMcpjsonServers":["s"]}}}"#,
        "",
    );
    check_one_way(
        r#"{"projects":{"/p":{"hasTrustDialogAccepted":true}}}"#,
        r#"{"theme":"x"}"#,
        r#"{"theme":"x","projects":{"/p":{"hasTrustDialogAccepted":true}}}"#,
    );
    let outcome = check_one_way(
        r#"{"projects":{"/p":{"hasTrustDialogAccepted":true}},"verbose":true}"#,
        r#"{"projects":null}"#,
        r#"{"projects":null,"verbose":true}"#,
    );
    assert_eq!(
        outcome.problems,
        [Problem::OpaqueProjects(Which::Account)],
        "an unknown shape is kept as it is"
    );
}

#[test]
fn only_what_the_account_changed_itself_counts_as_reverted() {
    let first = one_way(&side(r#"{"theme":"x"}"#), &side("{}"), None);
    let account = first.account.expect("changes");
    let again = one_way(
        &side(r#"{"theme":"y"}"#),
        &side(&account),
        Some(&first.merged),
    );
    assert!(
        again.reverted.is_empty(),
        "the base changed, not the account"
    );
    let changed = account.replace("\"x\"", "\"z\"");
    let again = one_way(
        &side(r#"{"theme":"y"}"#),
        &side(&changed),
        Some(&first.merged),
    );
    assert_eq!(again.reverted, ["theme"]);
    let unknown = one_way(&side(r#"{"theme":"y"}"#), &side(&changed), None);
    assert_eq!(unknown.reverted, ["theme"], "without a memory it is named");
}

#[test]
fn what_vanishes_from_the_base_vanishes_from_an_account_that_did_not_change_it() {
    let base = r#"{"firstStartTime":1,"theme":"x","env":{},"verbose":true,"editorMode":"v","diffTool":"d"}"#;
    let first = one_way(&side(base), &side("{}"), None);
    let account = first.account.expect("changes");
    let check = |base: &str, account: &str| {
        let outcome = one_way(&side(base), &side(account), Some(&first.merged));
        let left = outcome.account.unwrap_or_else(|| account.to_owned());
        (left.contains("\"theme\""), outcome.problems)
    };
    let (kept, problems) = check(&base.replace(r#""theme":"x","#, ""), &account);
    assert!(!kept && problems.is_empty());
    let changed = account.replace("\"x\"", "\"y\"");
    assert!(check(&base.replace(r#""theme":"x","#, ""), &changed).0);
    let (kept, problems) = check(r#"{"firstStartTime":1,"env":{}}"#, &account);
    assert!(kept, "four at once are no removal");
    assert!(matches!(
        problems[..],
        [Problem::RemovalsHeld {
            because: Suspicion::TooMany,
            ..
        }]
    ));
    let (kept, problems) = check(
        &base.replace(r#""firstStartTime":1,"theme":"x","#, ""),
        &account,
    );
    assert!(kept, "the base was made anew");
    assert!(matches!(
        problems[..],
        [Problem::RemovalsHeld {
            because: Suspicion::FirstStart,
            ..
        }]
    ));
}

#[test]
fn a_seed_has_no_identity_and_needs_no_merge() {
    let base = "{\n  \"userID\": \"me\",\n  \"oauthAccount\": {\"accountUuid\": \"b\"},\n  \"theme\": \"x\",\n  \"projects\": {\"/p\": {\"hasTrustDialogAccepted\": true, \"lastCost\": 1}},\n  \"new\": 1\n}";
    let text = seed(&side(base));
    assert_eq!(
        text,
        "{\n  \"theme\": \"x\",\n  \"new\": 1,\n  \"hasCompletedOnboarding\": true,\n  \"resumeReturnDismissed\": true,\n  \"projects\": {\n    \"/p\": {\n      \"hasTrustDialogAccepted\": true\n    }\n  }\n}\n"
    );
    let last = seeded(&side(base));
    let outcome = one_way(&side(base), &side(&text), Some(&last));
    assert_eq!((outcome.account, outcome.merged), (None, last));
}

/// Two texts that hold the same, and the memory of it.
fn agreed(text: &str) -> (String, String, Merged) {
    let account = text.replacen(
        '{',
        r#"{"hasCompletedOnboarding":true,"resumeReturnDismissed":true,"oauthAccount":{"accountUuid":"a"},"firstStartTime":1,"#,
        1,
    );
    let outcome = two_way(&side(text), &side(&account), None, false);
    assert_eq!((&outcome.account, &outcome.base), (&None, &None));
    (text.to_owned(), account, outcome.merged)
}

const FIVE: &str =
    r#"{"theme":"x","verbose":true,"env":{},"editorMode":"v","diffTool":"d","projects":{}}"#;

#[test]
fn two_ways_a_change_crosses_and_the_base_wins_where_both_changed() {
    let (base, account, last) = agreed(FIVE);
    let check =
        |base: &str, account: &str| two_way(&side(base), &side(account), Some(&last), false);
    let theme = |text: &str, to: &str| text.replace("\"x\"", to);

    let there = check(&theme(&base, "\"y\""), &account);
    assert_eq!(there.account, Some(theme(&account, "\"y\"")));
    assert_eq!(there.base, None);

    let back = check(&base, &theme(&account, "\"z\""));
    assert_eq!(back.base, Some(theme(&base, "\"z\"")));
    assert_eq!(back.account, None);

    let both = check(&theme(&base, "\"y\""), &theme(&account, "\"z\""));
    assert_eq!(both.account, Some(theme(&account, "\"y\"")));
    assert_eq!(
        (both.base, &both.reverted[..]),
        (None, &["theme".to_owned()][..])
    );

    let trusted = account.replace(
        r#""projects":{}"#,
        r#""projects":{"/p":{"hasTrustDialogAccepted":true,"lastCost":1}}"#,
    );
    let back = check(&base, &trusted);
    assert_eq!(
        back.base,
        Some(base.replace(
            r#""projects":{}"#,
            r#""projects":{"/p":{"hasTrustDialogAccepted":true}}"#
        ))
    );

    let made_up = account.replacen('{', r#"{"brandNew":1,"#, 1);
    let back = check(&base, &made_up);
    assert_eq!(
        (back.base, back.account),
        (None, None),
        "unlisted keys do not go back"
    );
}

#[test]
fn two_ways_a_removal_crosses_only_when_nothing_speaks_against_it() {
    let (base, account, last) = agreed(FIVE);
    let without = |text: &str| text.replace(r#""theme":"x","#, "");
    let held = |outcome: &Outcome| match &outcome.problems[..] {
        [Problem::RemovalsHeld { because, .. }] => {
            assert_eq!((&outcome.account, &outcome.base), (&None, &None));
            assert_eq!(outcome.merged, last, "what was is remembered");
            Some(*because)
        }
        _ => None,
    };
    let check = |base: &str, account: &str, backup| {
        two_way(&side(base), &side(account), Some(&last), backup)
    };

    let removed = check(&base, &without(&account), false);
    assert_eq!(removed.base, Some(without(&base)));
    let removed = check(&without(&base), &account, false);
    assert_eq!(removed.account, Some(without(&account)));

    let changed = check(&base.replace("\"x\"", "\"y\""), &without(&account), false);
    assert!(changed.account.expect("gets it").contains(r#""theme":"y""#));

    assert_eq!(
        held(&check(&base, &without(&account), true)),
        Some(Suspicion::NewerBackup)
    );
    let other = without(&account).replace(r#""accountUuid":"a""#, r#""accountUuid":"b""#);
    assert_eq!(
        held(&check(&base, &other, false)),
        Some(Suspicion::Identity)
    );
    let anew = without(&account).replace(r#""firstStartTime":1"#, r#""firstStartTime":2"#);
    assert_eq!(
        held(&check(&base, &anew, false)),
        Some(Suspicion::FirstStart)
    );
    let four = account.replace(
        r#""theme":"x","verbose":true,"env":{},"editorMode":"v","#,
        "",
    );
    assert_eq!(held(&check(&base, &four, false)), Some(Suspicion::TooMany));
    let four = r#"{"diffTool":"d"}"#;
    assert_eq!(
        held(&check(four, &account, false)),
        Some(Suspicion::TooMany)
    );

    let never_merged = two_way(&side(&base), &side(&without(&account)), None, false);
    assert_eq!(never_merged.base, None, "never seen to hold it");
    assert!(never_merged.account.expect("gets it").contains("theme"));
}

#[test]
fn the_fingerprint_regards_what_is_shared_alone() {
    let print = |text: &str| side(text).fingerprint();
    let one = print(r#"{"theme":"x","numStartups":1}"#);
    assert_eq!(one, print(r#"{ "numStartups":2, "theme" : "x" }"#));
    assert_ne!(one, print(r#"{"theme":"y"}"#));
    assert_ne!(
        one,
        print(r#"{"theme":"x","projects":{"/p":{"hasTrustDialogAccepted":true}}}"#)
    );
    assert_eq!(
        one,
        print(r#"{"theme":"x","projects":{"/p":{"lastCost":1}}}"#)
    );
}

/// Values as claude might write them, in bytes that a careless copy would change.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("true".to_owned()),
        Just("1.50".to_owned()),
        Just("-0".to_owned()),
        Just("1e400".to_owned()),
        Just("[ 1,\t2 ]".to_owned()),
        Just("{\n    \"b\": 1, \"a\": {} }".to_owned()),
        Just("\"\\u00e9 \\ud800 é\"".to_owned()),
        (0..3_u8).prop_map(|n| n.to_string()),
    ]
}

fn project() -> impl Strategy<Value = String> {
    let keys = prop::sample::subsequence(
        vec![
            "hasTrustDialogAccepted",
            "mcpServers",
            "lastCost",
            "n\\u0065w",
        ],
        0..4,
    );
    (keys, value()).prop_map(|(keys, value)| {
        let fields: Vec<String> = keys.iter().map(|k| format!("\"{k}\": {value}")).collect();
        format!("{{{}}}", fields.join(","))
    })
}

fn text() -> impl Strategy<Value = String> {
    let keys: Vec<&str> = PRIVATE
        .into_iter()
        .chain([
            "theme",
            "verbose",
            "env",
            "mcpServers",
            "editorMode",
            "diffTool",
        ])
        .chain(["brandNew", "\\u0074wo", "résumé", "hasCompletedOnboarding"])
        .collect();
    let count = keys.len();
    let fields = prop::sample::subsequence(keys, 0..count).prop_shuffle();
    let values = prop::collection::vec(value(), count);
    let projects = prop::option::of(prop::collection::vec(project(), 0..3));
    (fields, values, projects, any::<bool>()).prop_map(|(keys, values, projects, lines)| {
        let mut fields: Vec<String> = keys
            .iter()
            .zip(values)
            .map(|(key, value)| match *key {
                "oauthAccount" => format!("\"{key}\":{{\"accountUuid\":\"u{value:?}\"}}")
                    .replace(&format!("{value:?}"), &value.len().to_string()),
                _ => format!("\"{key}\":{value}"),
            })
            .collect();
        if let Some(projects) = projects {
            let projects: Vec<String> = projects
                .iter()
                .enumerate()
                .map(|(n, p)| format!("\"/p{n}\":{p}"))
                .collect();
            let at = fields.len() / 2;
            fields.insert(at, format!("\"projects\":{{{}}}", projects.join(",")));
        }
        let gap = if lines { "\n  " } else { "" };
        format!("{{{gap}{}}}", fields.join(&format!(",{gap}")))
    })
}

/// The fields that must be the same before and after, with their bytes and in their order.
fn kept<'a>(document: &Document<'a>, keeps: impl Fn(&str) -> bool) -> Vec<(&'a str, &'a str)> {
    let top = document.fields.iter().filter(|f| keeps(&f.key()));
    let inner = document
        .project_fields
        .iter()
        .filter(|f| !PROJECT_KEYS.contains(&f.key().as_ref()));
    top.chain(inner).map(|f| (f.raw_key, f.value)).collect()
}

fn is_private(key: &str) -> bool {
    PRIVATE.contains(&key)
}

proptest! {
    #[test]
    fn one_way_is_idempotent_and_keeps_what_is_the_accounts(base in text(), account in text()) {
        let (base, before) = (side(&base), side(&account));
        let outcome = one_way(&base, &before, None);
        prop_assert_eq!(&outcome.base, &None);
        let text = outcome.account.clone().unwrap_or_else(|| account.clone());
        let after = side(&text);
        // Private keys, and keys that the base does not have, byte for byte; nothing private comes along.
        let keeps = |key: &str| is_private(key)
            || base.document.fields.iter().all(|f| f.key() != key)
            && (key != "hasCompletedOnboarding" && key != "resumeReturnDismissed");
        prop_assert_eq!(kept(&before.document, keeps), kept(&after.document, keeps));
        for again in [one_way(&base, &after, Some(&outcome.merged)), one_way(&base, &after, None)] {
            prop_assert_eq!(&again.account, &None);
            prop_assert_eq!(&again.merged, &outcome.merged);
        }
        for shared in &base.shared {
            prop_assert_eq!(after.get(shared.id).map(|s| s.hash), Some(shared.hash));
        }
    }

    #[test]
    fn a_seed_never_holds_what_is_private(base in text()) {
        let text = seed(&side(&base));
        let seeded = side(&text);
        prop_assert!(kept(&seeded.document, is_private).is_empty());
        prop_assert_eq!(seeded.identity(), None);
        prop_assert_eq!(seeded.fingerprint(), side(&base).fingerprint());
    }

    #[test]
    fn two_ways_converge_and_no_identity_crosses(
        first in text(), second in text(), third in text(), account in text(), backup: bool,
    ) {
        // Each side is replaced once more between the merges, so that removals are among the changes.
        let start = two_way(&side(&first), &side(&account), None, false);
        let (mut base, mut held) = (second, third);
        let mut last = start.merged;
        let (base_before, held_before) = (base.clone(), held.clone());
        for round in 0..3 {
            let outcome = two_way(&side(&base), &side(&held), Some(&last), backup);
            if round > 0 {
                prop_assert_eq!((&outcome.base, &outcome.account), (&None, &None));
            }
            base = outcome.base.unwrap_or(base);
            held = outcome.account.unwrap_or(held);
            last = outcome.merged;
        }
        for (before, after) in [(&base_before, &base), (&held_before, &held)] {
            prop_assert_eq!(
                kept(&side(before).document, is_private),
                kept(&side(after).document, is_private)
            );
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in "\\PC{0,40}", cut in 0..200_usize, whole in text()) {
        let _ = Side::parse(&bytes);
        let cut: String = whole.chars().take(cut).collect();
        if cut.len() < whole.len() {
            prop_assert!(Side::parse(&cut).is_none());
        }
    }
}
