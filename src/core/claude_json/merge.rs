//! The merge of a base's and an account's `.claude.json`. It decides from two texts and what was left by the last merge,
//! and says what each text becomes; it writes nothing.

use super::document::Document;
use super::keys::SEEDS;
use super::merged::Merged;
use super::render::{Edits, render};
pub use super::side::Side;
use super::side::{Shared, Slot};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Which of the two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The person's own.
    Base,
    /// The account's.
    Account,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Base => "the base's .claude.json",
            Self::Account => "the account's .claude.json",
        })
    }
}

/// What speaks against carrying a removal from one side to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspicion {
    /// More than [`MOST_REMOVED`] keys are gone at once.
    TooMany,
    /// Somebody else is logged in, or nobody any more.
    Identity,
    /// `firstStartTime` is another or gone: the file was made anew.
    FirstStart,
    /// claude keeps a copy that is newer than the file.
    NewerBackup,
}

/// The most keys (or projects) that may vanish between two merges and still count as removed on purpose.
pub const MOST_REMOVED: usize = 3;

/// How many keys a message names.
const MOST_NAMED: usize = 5;

/// What a merge could not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// `projects` is not an object of objects: nothing in it was touched.
    OpaqueProjects(Which),
    /// Keys are gone on one side, and it does not look as if anybody removed them: both sides keep what they have.
    RemovalsHeld {
        /// Where they are gone.
        from: Which,
        /// Their names.
        keys: Vec<String>,
        /// What speaks against it.
        because: Suspicion,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpaqueProjects(which) => write!(f, "`projects` in {which} has an unknown shape"),
            Self::RemovalsHeld {
                from,
                keys,
                because,
            } => {
                let why = match because {
                    Suspicion::TooMany => "too many at once",
                    Suspicion::Identity => "its identity changed",
                    Suspicion::FirstStart => "it was made anew",
                    Suspicion::NewerBackup => "a backup of it is newer",
                };
                let named = keys.len().min(MOST_NAMED);
                write!(f, "{}", keys[..named].join(", "))?;
                if keys.len() > named {
                    write!(f, " and {} more", keys.len() - named)?;
                }
                write!(f, " gone from {from}, kept elsewhere: {why}")
            }
        }
    }
}

/// What a merge decided.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The account's new text; none when it stays as it is.
    pub account: Option<String>,
    /// The base's new text; none when it stays as it is, as it always does one way.
    pub base: Option<String>,
    /// Names of the keys where a value of the account gave way although the account had changed it.
    pub reverted: Vec<String>,
    /// What could not be done.
    pub problems: Vec<Problem>,
    /// What to hand to the next merge, once the texts are written.
    pub merged: Merged,
}

/// The text that a new account begins with: what the base shares, and the seeds. Nobody's identity.
#[must_use]
pub fn seed(base: &Side<'_>) -> String {
    let empty = Document {
        lines: true,
        ..Document::default()
    };
    let mut edits = Edits::default();
    for shared in &base.shared {
        edits.set(&shared.slot, shared.value);
    }
    for key in SEEDS {
        edits.set(&Slot::Top(Cow::Borrowed(key)), "true");
    }
    render(&empty, &edits)
}

/// What both sides hold right after [`seed`] was written.
#[must_use]
pub fn seeded(base: &Side<'_>) -> Merged {
    let mut merged = Merged {
        fingerprint: base.fingerprint(),
        base_first_start: base.first_start(),
        ..Merged::default()
    };
    for shared in &base.shared {
        merged.set(shared.id, shared.hash);
    }
    merged
}

/// Carries what the base shares into the account, and nothing back. A key that vanished from the base vanishes from the
/// account too, where the account held it unchanged since `last` and no suspicion speaks against it.
#[must_use]
pub fn one_way(base: &Side<'_>, account: &Side<'_>, last: Option<&Merged>) -> Outcome {
    let mut merge = Merge::new(base, account, last, false);
    for shared in &base.shared {
        match account.get(shared.id) {
            Some(held) if held.hash == shared.hash => merge.agreed(shared),
            held => {
                merge.carry_to_account(shared);
                if held.is_some_and(|h| merge.last_hash(h) != Some(h.hash)) {
                    merge.outcome.reverted.push(shared.slot.to_string());
                }
            }
        }
    }
    for held in &account.shared {
        if base.get(held.id).is_none() && merge.last_hash(held) == Some(held.hash) {
            merge.gone_from_base.push(held);
        }
    }
    merge.finish(false, false)
}

/// Merges both ways, against what both held after the last merge. Where both sides changed a key the base's value
/// stays; where one removed it and the other changed it, the change stays. `newer_backup`: claude keeps a copy of the
/// account's file that is newer than the file.
#[must_use]
pub fn two_way(
    base: &Side<'_>,
    account: &Side<'_>,
    last: Option<&Merged>,
    newer_backup: bool,
) -> Outcome {
    let mut merge = Merge::new(base, account, last, true);
    for shared in &base.shared {
        merge.base_holds(shared);
    }
    for held in &account.shared {
        if base.get(held.id).is_none() {
            merge.account_alone_holds(held);
        }
    }
    merge.finish(true, newer_backup)
}

struct Merge<'m, 'a> {
    base: &'m Side<'a>,
    account: &'m Side<'a>,
    last: Option<&'m Merged>,
    account_edits: Edits<'m>,
    base_edits: Edits<'m>,
    gone_from_base: Vec<&'m Shared<'a>>,
    gone_from_account: Vec<&'m Shared<'a>>,
    outcome: Outcome,
}

impl<'m, 'a> Merge<'m, 'a> {
    fn new(
        base: &'m Side<'a>,
        account: &'m Side<'a>,
        last: Option<&'m Merged>,
        back: bool,
    ) -> Self {
        let mut merge = Self {
            base,
            account,
            last,
            account_edits: Edits::default(),
            base_edits: Edits::default(),
            gone_from_base: Vec::new(),
            gone_from_account: Vec::new(),
            outcome: Outcome::default(),
        };
        for (which, side) in [(Which::Base, base), (Which::Account, account)] {
            if side.projects_are_opaque() {
                merge.outcome.problems.push(Problem::OpaqueProjects(which));
            }
        }
        merge.outcome.merged.reserve(base.shared.len());
        merge.account_edits.keep_projects = account.projects_are_opaque();
        merge.base_edits.keep_projects = base.projects_are_opaque() || !back;
        merge
    }

    fn last_hash(&self, shared: &Shared<'_>) -> Option<u64> {
        self.last?.get(shared.id)
    }

    /// Nothing can be said about projects where one side's cannot be read.
    fn is_out_of_reach(&self, slot: &Slot<'_>) -> bool {
        matches!(slot, Slot::Project(..))
            && (self.base.projects_are_opaque() || self.account.projects_are_opaque())
    }

    fn agreed(&mut self, shared: &Shared<'_>) {
        self.outcome.merged.set(shared.id, shared.hash);
    }

    fn carry_to_account(&mut self, shared: &'m Shared<'a>) {
        if !self.is_out_of_reach(&shared.slot) {
            self.account_edits.set(&shared.slot, shared.value);
            self.agreed(shared);
        }
    }

    fn carry_to_base(&mut self, held: &'m Shared<'a>) {
        if !self.is_out_of_reach(&held.slot) {
            self.base_edits.set(&held.slot, held.value);
            self.agreed(held);
        }
    }

    fn base_holds(&mut self, shared: &'m Shared<'a>) {
        let base_changed = self.last_hash(shared) != Some(shared.hash);
        let Some(held) = self.account.get(shared.id) else {
            if base_changed || !shared.slot.goes_back() {
                self.carry_to_account(shared);
            } else {
                self.gone_from_account.push(shared);
            }
            return;
        };
        if held.hash == shared.hash {
            self.agreed(shared);
        } else if base_changed {
            if self.last_hash(held) != Some(held.hash) {
                self.outcome.reverted.push(shared.slot.to_string());
            }
            self.carry_to_account(shared);
        } else if shared.slot.goes_back() {
            self.carry_to_base(held);
        } else {
            // Unlisted, and changed in the account alone: it may be about the account.
            self.agreed(shared);
        }
    }

    fn account_alone_holds(&mut self, held: &'m Shared<'a>) {
        if self.last_hash(held) == Some(held.hash) {
            self.gone_from_base.push(held);
        } else if held.slot.goes_back() {
            self.carry_to_base(held);
        }
    }

    fn finish(mut self, back: bool, newer_backup: bool) -> Outcome {
        let lost_from_base = self.within_reach(|m| &mut m.gone_from_base);
        let lost_from_account = self.within_reach(|m| &mut m.gone_from_account);
        let of_base = self.suspect_base(&lost_from_base);
        let of_account = self.suspect_account(&lost_from_account, newer_backup);
        self.report_held(Which::Base, &lost_from_base, of_base);
        self.report_held(Which::Account, &lost_from_account, of_account);
        let held = of_base.or(of_account).is_some();
        if held && back {
            // Something is wrong with one of the two: touch neither, and remember what was.
            return Outcome {
                problems: self.outcome.problems,
                merged: self.last.cloned().unwrap_or_default(),
                ..Outcome::default()
            };
        }
        for shared in lost_from_base {
            if held {
                self.outcome.merged.set(shared.id, shared.hash);
            } else {
                self.account_edits.remove(&shared.slot);
            }
        }
        for shared in lost_from_account {
            self.base_edits.remove(&shared.slot);
        }
        for key in SEEDS {
            if self.account.document.value(key).is_none() {
                let slot = Slot::Top(Cow::Borrowed(key));
                self.account_edits.set(&slot, "true");
            }
        }
        self.close(back, held)
    }

    fn close(self, back: bool, held: bool) -> Outcome {
        let (base, account) = (self.base, self.account);
        let mut outcome = self.outcome;
        outcome.account = self.account_edits.apply(&account.document);
        if back {
            outcome.base = self.base_edits.apply(&base.document);
        }
        outcome.merged.fingerprint = base.fingerprint();
        outcome.merged.identity = account.identity_hash();
        outcome.merged.first_start = account.first_start();
        // A base that was made anew stays suspect as long as removals are held back.
        outcome.merged.base_first_start = match self.last {
            Some(last) if held => last.base_first_start,
            _ => base.first_start(),
        };
        outcome
    }

    fn within_reach(
        &mut self,
        lost: impl FnOnce(&mut Self) -> &mut Vec<&'m Shared<'a>>,
    ) -> Vec<&'m Shared<'a>> {
        let mut lost = std::mem::take(lost(self));
        lost.retain(|s| !self.is_out_of_reach(&s.slot));
        lost
    }

    fn report_held(&mut self, from: Which, lost: &[&Shared<'_>], because: Option<Suspicion>) {
        if let Some(because) = because {
            let keys = lost.iter().map(|s| s.slot.to_string()).collect();
            self.outcome.problems.push(Problem::RemovalsHeld {
                from,
                keys,
                because,
            });
        }
    }

    fn suspect_base(&self, lost: &[&Shared<'_>]) -> Option<Suspicion> {
        let last = self.last.filter(|_| !lost.is_empty())?;
        if last.base_first_start.is_some() && last.base_first_start != self.base.first_start() {
            return Some(Suspicion::FirstStart);
        }
        (removed(lost) > MOST_REMOVED).then_some(Suspicion::TooMany)
    }

    fn suspect_account(&self, lost: &[&Shared<'_>], newer_backup: bool) -> Option<Suspicion> {
        let last = self.last.filter(|_| !lost.is_empty())?;
        if last.identity.is_some() && last.identity != self.account.identity_hash() {
            Some(Suspicion::Identity)
        } else if last.first_start.is_some() && last.first_start != self.account.first_start() {
            Some(Suspicion::FirstStart)
        } else if newer_backup {
            Some(Suspicion::NewerBackup)
        } else {
            (removed(lost) > MOST_REMOVED).then_some(Suspicion::TooMany)
        }
    }
}

/// How many things a person would have had to remove: keys, and projects as one each.
fn removed(lost: &[&Shared<'_>]) -> usize {
    let things: HashSet<&str> = lost
        .iter()
        .map(|s| match &s.slot {
            Slot::Top(name) | Slot::Project(name, _) => name.as_ref(),
        })
        .collect();
    things.len()
}

#[cfg(test)]
mod tests;
