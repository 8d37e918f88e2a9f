//! Which accounts may serve a directory: the first of the person's rules that matches it decides. Knows the names of the
//! directory and the remotes of its repository, and not how they were found.

use super::remote;
use crate::core::account::{AccountId, Named, ReferenceProblem, resolve_reference};
use std::path::PathBuf;

/// One rule. It matches where all that it names matches.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Rule {
    /// Its directory by every name it has: the rule matches there and below. None: anywhere.
    pub dirs: Option<Vec<PathBuf>>,
    /// A pattern that one of the repository's remotes has to match. None: any directory will do, in a repository or not.
    pub remote: Option<String>,
    /// Who may serve: references as people type them.
    pub accounts: Vec<String>,
}

/// A directory that is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Place {
    /// Every name it has: where the kernel says it is, and by which links the person came. None when it is gone.
    pub dirs: Vec<PathBuf>,
    /// URLs of the remotes of the git repository that it is in.
    pub remotes: Vec<String>,
}

impl Rule {
    /// Whether the directory is in the rule's, whatever the remotes.
    fn covers(&self, place: &Place) -> bool {
        let is_in = |dir: &PathBuf| place.dirs.iter().any(|name| name.starts_with(dir));
        self.dirs.as_ref().is_none_or(|dirs| dirs.iter().any(is_in))
    }

    fn matches(&self, place: &Place) -> bool {
        let is_wanted = |wanted: &String| {
            let mut remotes = place.remotes.iter();
            remotes.any(|url| remote::matches(wanted, url))
        };
        self.covers(place) && self.remote.as_ref().is_none_or(is_wanted)
    }
}

/// Whether the remotes have to be known to tell which rule binds.
#[must_use]
pub fn asks_for_remotes(rules: &[Rule], place: &Place) -> bool {
    let first = rules.iter().find(|rule| rule.covers(place));
    first.is_some_and(|rule| rule.remote.is_some())
}

/// The rule that binds: the index of the first that matches.
#[must_use]
pub fn binding(rules: &[Rule], place: &Place) -> Option<usize> {
    rules.iter().position(|rule| rule.matches(place))
}

/// Whom the references of a rule name.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Admitted {
    /// The accounts, by number.
    pub accounts: Vec<AccountId>,
    /// References that name no account, or more than one. They let nobody in.
    pub unknown: Vec<String>,
}

/// Finds out whom a rule admits.
#[must_use]
pub fn admitted(references: &[String], accounts: &[Named<'_>]) -> Admitted {
    let mut found = Admitted::default();
    for reference in references {
        match resolve_reference(reference, accounts.iter().copied()) {
            Ok(id) => found.accounts.push(id),
            Err(ReferenceProblem::Unknown | ReferenceProblem::Ambiguous(_)) => {
                found.unknown.push(reference.clone());
            }
        }
    }
    found.accounts.sort_unstable();
    found.accounts.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `dir,dir:remote` → who; a part that is empty is not named.
    fn rule(text: &str) -> Rule {
        let (place, accounts) = text.split_once("->").expect("a rule");
        let (dirs, remote) = place.trim().split_once(' ').unwrap_or((place.trim(), ""));
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Rule {
            dirs: some(dirs.trim_matches('-'))
                .map(|dirs| dirs.split(',').map(PathBuf::from).collect()),
            remote: some(remote.trim()),
            accounts: accounts.split_whitespace().map(str::to_owned).collect(),
        }
    }

    fn place(dirs: &str, remotes: &str) -> Place {
        let words =
            |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        Place {
            dirs: words(dirs).into_iter().map(PathBuf::from).collect(),
            remotes: words(remotes),
        }
    }

    #[test]
    fn the_first_rule_that_matches_binds() {
        let rules = [
            "/u/work/acme git.example/acme/* -> a",
            "/u/work -> b",
            "- git.example/acme/* -> c",
            "/u/play,/data/play -> d",
        ]
        .map(rule);
        let acme = "git@git.example:acme/app.git";
        let rows = [
            ("/u/work/acme/app", acme, Some(0)),
            (
                "/u/work/acme",
                "/elsewhere git@git.example:acme/app",
                Some(0),
            ),
            ("/u/work/acme/app", "", Some(1)),
            ("/u/work/acme/app", "https://git.example/other/app", Some(1)),
            ("/u/work", acme, Some(1)),
            ("/u/work/", acme, Some(1)),
            ("/u/workshop", "", None),
            ("/u/work2", acme, Some(2)),
            ("/u", acme, Some(2)),
            ("/u", "", None),
            ("/data/play/x", "", Some(3)),
            // By one name it is elsewhere, by the other one there.
            ("/mnt/x /u/work/x", "", Some(1)),
            ("/mnt/x", "", None),
            // A directory that is gone.
            ("", "", None),
            ("", acme, Some(2)),
        ];
        for (dirs, remotes, expected) in rows {
            let place = place(dirs, remotes);
            assert_eq!(binding(&rules, &place), expected, "{dirs} {remotes}");
        }
    }

    #[test]
    fn remotes_are_asked_for_where_they_decide() {
        let rows = [
            (vec!["/u/work -> a"], false),
            (vec!["/u/work x/* -> a"], true),
            (vec!["- x/* -> a"], true),
            (vec!["/elsewhere x/* -> a"], false),
            (vec!["/elsewhere x/* -> a", "/u -> b"], false),
            (vec!["/u -> b", "- x/* -> a"], false),
            (vec!["/elsewhere -> b", "- x/* -> a"], true),
            (vec![], false),
        ];
        let place = place("/u/work/app", "");
        for (rules, expected) in rows {
            let parsed: Vec<Rule> = rules.iter().map(|text| rule(text)).collect();
            assert_eq!(asks_for_remotes(&parsed, &place), expected, "{rules:?}");
        }
    }

    #[test]
    fn references_that_name_nobody_let_nobody_in() {
        let id = |n| AccountId::new(n).expect("in range");
        let named = |n, label, email| Named {
            id: id(n),
            label,
            email: Some(email),
        };
        let accounts = [
            named(1, "work", "me@acme.test"),
            named(2, "home", "me@home.test"),
            named(3, "team", "me@acme.test"),
        ];
        let rows: [(&[&str], &[u16], &[&str]); 5] = [
            (&["work"], &[1], &[]),
            (&["3", "acct-01", "Work"], &[1, 3], &[]),
            (&["gone", "me@home.test"], &[2], &["gone"]),
            (&["me@acme.test"], &[], &["me@acme.test"]),
            (&["acct-09", "9"], &[], &["acct-09", "9"]),
        ];
        for (references, expected, unknown) in rows {
            let references: Vec<String> = references.iter().map(|r| (*r).to_owned()).collect();
            let found = admitted(&references, &accounts);
            let expected: Vec<AccountId> = expected.iter().map(|n| id(*n)).collect();
            assert_eq!(
                (found.accounts, found.unknown),
                (expected, unknown.iter().map(|u| (*u).to_owned()).collect()),
                "{references:?}"
            );
        }
    }

    fn any_place() -> impl Strategy<Value = Place> {
        let dir = "/[ab](/[ab]){0,3}".prop_map(PathBuf::from);
        let url = "(https://|git@)?[ab](:|/)[ab]{1,2}(\\.git)?";
        (
            prop::collection::vec(dir, 0..3),
            prop::collection::vec(url, 0..3),
        )
            .prop_map(|(dirs, remotes)| Place { dirs, remotes })
    }

    fn any_rule() -> impl Strategy<Value = Rule> {
        let dir = "/[ab](/[ab]){0,2}".prop_map(PathBuf::from);
        let dirs = proptest::option::of(prop::collection::vec(dir, 1..3));
        (dirs, proptest::option::of("[ab*]/[ab*]{1,2}")).prop_map(|(dirs, remote)| Rule {
            dirs,
            remote,
            accounts: vec!["1".to_owned()],
        })
    }

    proptest! {
        #[test]
        fn what_comes_behind_the_rule_that_binds_does_not_count(
            rules in prop::collection::vec(any_rule(), 0..6), more in prop::collection::vec(any_rule(), 0..4), place in any_place(),
        ) {
            let bound = binding(&rules, &place);
            let longer: Vec<Rule> = rules.iter().chain(&more).cloned().collect();
            if let Some(index) = bound {
                prop_assert_eq!(binding(&longer, &place), Some(index));
                // All before it say no by themselves, and it says yes by itself.
                for (n, rule) in rules.iter().enumerate().take(index + 1) {
                    prop_assert_eq!(binding(std::slice::from_ref(rule), &place).is_some(), n == index);
                }
            } else {
                prop_assert!(binding(&longer, &place).is_none_or(|index| index >= rules.len()));
            }
        }

        #[test]
        fn remotes_that_are_not_asked_for_change_nothing(
            rules in prop::collection::vec(any_rule(), 0..6), place in any_place(),
        ) {
            let blind = Place { remotes: Vec::new(), ..place.clone() };
            if !asks_for_remotes(&rules, &place) {
                prop_assert_eq!(binding(&rules, &blind), binding(&rules, &place));
            }
        }
    }
}
