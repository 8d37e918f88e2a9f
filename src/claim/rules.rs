//! Which rule of `config.toml` binds a launch, and whom it lets serve. The rules are in the snapshot; whether these are
//! the file's is looked at with every launch, since one that was just written has to hold.

use super::roster::Roster;
use super::{Obstacle, Refusal, label_of};
use crate::adapters::place;
use crate::contract::paths::{Home, expand};
use crate::contract::record::{BarredAccount, RuleRecord};
use crate::contract::snapshot::{RuleEntry, Snapshot};
use crate::core::account::{AccountId, Named};
use crate::core::select::rules::{self, Rule, admitted, asks_for_remotes, binding};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The longest `config.toml` that is looked through for rules.
const MAX_CONFIG: u64 = 1 << 20;

/// The directory that rules are looked up for.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Where the session will run; empty when the directory is gone, or nobody says which.
    pub dir: &'a Path,
    /// What the shell calls it (`PWD`): a link may have led there.
    pub called: Option<&'a Path>,
}

impl<'a> Place<'a> {
    /// A directory of which only the path is known.
    #[must_use]
    pub const fn at(dir: &'a Path) -> Self {
        Self { dir, called: None }
    }
}

/// A rule that binds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its place in the file, from 1.
    pub number: usize,
    /// What it says.
    pub rule: RuleEntry,
    /// Whom it lets serve, of those that there are.
    pub accounts: Vec<AccountId>,
}

impl Bound {
    /// `rule 2 (~/work)`.
    #[must_use]
    pub fn name(&self) -> String {
        self.rule.name(self.number)
    }

    /// Labels of the accounts that it lets serve.
    #[must_use]
    pub fn labels(&self, snapshot: &Snapshot) -> Vec<String> {
        let labels = self.accounts.iter().map(|id| label_of(snapshot, *id));
        labels.map(str::to_owned).collect()
    }

    /// The refusal of an account that somebody named and this rule does not allow.
    #[must_use]
    pub fn bars(&self, named: AccountId, dir: &Path, snapshot: &Snapshot) -> Refusal {
        let labels = self.labels(snapshot);
        let references = || self.rule.accounts.clone();
        Refusal::Rule {
            rule: self.name(),
            dir: dir.to_owned(),
            why: Obstacle::Barred {
                named: label_of(snapshot, named).to_owned(),
                allowed: if labels.is_empty() {
                    references()
                } else {
                    labels
                },
            },
        }
    }

    /// For the record of a pick.
    #[must_use]
    pub fn record(&self, snapshot: &Snapshot) -> RuleRecord {
        let others = snapshot.named().filter(|a| !self.accounts.contains(&a.id));
        RuleRecord {
            number: self.number,
            rule: self.rule.clone(),
            barred: others
                .map(|a| BarredAccount {
                    id: a.id.number(),
                    label: a.label.to_owned(),
                })
                .collect(),
        }
    }
}

/// The rule that binds in this place; none where none does. Refuses where nobody can tell.
pub fn bind(home: &Home, roster: &Roster, place: &Place<'_>) -> Result<Option<Bound>, Refusal> {
    if roster.is_behind && file_has_rules(home) {
        return Err(Refusal::RulesUnknown(home.config()));
    }
    Ok(bound(roster, place))
}

/// The rule that binds by what a roster knows, whether or not that is the file's.
#[must_use]
pub fn bound(roster: &Roster, place: &Place<'_>) -> Option<Bound> {
    let entries = &roster.snapshot.rules;
    if entries.is_empty() {
        return None;
    }
    let mut here = rules::Place {
        dirs: place::names(place.dir, place.called),
        remotes: Vec::new(),
    };
    let rules: Vec<Rule> = entries
        .iter()
        .map(|entry| rule(entry, &roster.user_home, &here))
        .collect();
    if asks_for_remotes(&rules, &here) {
        here.remotes = place::remotes(place.dir);
    }
    let index = binding(&rules, &here)?;
    let named: Vec<Named<'_>> = roster.snapshot.named().collect();
    Some(Bound {
        number: index + 1,
        rule: entries[index].clone(),
        accounts: admitted(&entries[index].accounts, &named).accounts,
    })
}

/// A rule with the names of its directory. They are looked up where the name in the file does not decide.
fn rule(entry: &RuleEntry, user_home: &Path, here: &rules::Place) -> Rule {
    let dirs = entry.path.as_ref().map(|path| {
        let dir = expand(path, user_home);
        if here.dirs.iter().any(|name| name.starts_with(&dir)) {
            vec![dir]
        } else {
            place::forms(&dir)
        }
    });
    Rule {
        dirs,
        remote: entry.git_remote.clone(),
        accounts: entry.accounts.clone(),
    }
}

/// Whether `config.toml` has rules, as far as can be told without reading it as TOML: then a launch that does not know
/// them goes nowhere. One that cannot be read has none that anybody could obey.
fn file_has_rules(home: &Home) -> bool {
    let path = home.config();
    let is_file = std::fs::metadata(&path).is_ok_and(|m| m.is_file());
    let mut text = Vec::new();
    is_file
        && File::open(path)
            .and_then(|file| file.take(MAX_CONFIG).read_to_end(&mut text))
            .is_ok()
        && has_rules(&text)
}

/// Whether a line is the header of a rule, or the key of all of them.
fn has_rules(text: &[u8]) -> bool {
    text.split(|b| *b == b'\n').any(|line| {
        let line = String::from_utf8_lossy(line);
        let bare = line.trim_start_matches(|c: char| c == '[' || c.is_whitespace());
        let bare = bare.trim_start_matches(['"', '\'']);
        let rest = bare.strip_prefix("rule");
        rest.is_some_and(|rest| {
            !rest.starts_with(|c: char| c.is_alphanumeric() || "_-".contains(c))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_rules_is_told_by_its_headers() {
        let rows = [
            ("", false),
            ("[env]\nkeep = []\n", false),
            ("# [[rule]]\n", false),
            ("[[rule]]\n", true),
            ("x = 1\r\n  [[ rule ]] # why\r\n", true),
            ("[[\"rule\"]]\n", true),
            ("rule = [{path = '/'}]\n", true),
            ("[rule", true),
            ("[[rules]]\n", false),
            ("rule_of = 1\n", false),
        ];
        for (text, expected) in rows {
            assert_eq!(has_rules(text.as_bytes()), expected, "{text}");
        }
    }
}
