//! What ccp keeps: settings, database, leases, snapshot.

use super::{age, count, is_older, or_ok};
use crate::adapters::store::StoreError;
use crate::adapters::{leases, procs};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::daemon::{fold, publish, roster};
use crate::doctor::patient::Database;
use crate::doctor::{Check, Finding, Mend, Patient};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// A snapshot older than this is worth a word: somebody has not launched anything, or nothing can be published.
const OLD_SNAPSHOT: Duration = Duration::from_secs(24 * 3600);
/// Clocks that differ by less than this agree.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

/// `config.toml`.
pub const SETTINGS: Check = Check {
    id: "settings",
    question: "is config.toml valid?",
    look: settings,
};

fn settings(patient: &Patient<'_>) -> Vec<Finding> {
    let path = patient.home().config();
    vec![match &patient.settings {
        Ok(_) if path.exists() => Finding::ok("config.toml is valid"),
        Ok(_) => Finding::ok("no config.toml: the defaults hold"),
        Err(why) => Finding::problem(
            format!("{}: {why}", path.display()),
            "`ccp help config` explains every key",
        ),
    }]
}

/// `state.db`.
pub const DATABASE: Check = Check {
    id: "database",
    question: "can the database be read, and is it whole?",
    look: database,
};

fn database(patient: &Patient<'_>) -> Vec<Finding> {
    vec![match &patient.database {
        Database::Open(store) => match store.check_integrity() {
            Ok(()) => Finding::ok("state.db is whole"),
            Err(error) => refused(&error),
        },
        Database::Refused(error) => refused(error),
        Database::Missing => match dirs_with_identity(patient) {
            0 => Finding::ok("there is none yet"),
            dirs => {
                let dirs = count(dirs, "account");
                Finding::problem(format!("it is missing; on disk: {dirs}"), Mend::Adopt)
            }
        },
    }]
}

fn refused(error: &StoreError) -> Finding {
    let hint = error.hint().unwrap_or("look at the file's directory");
    let text = match error {
        // Its own text ends with what the hint says.
        StoreError::Corrupt { path, detail } => format!("{} is damaged ({detail})", path.display()),
        other => other.to_string(),
    };
    Finding::problem(text, hint)
}

fn dirs_with_identity(patient: &Patient<'_>) -> usize {
    let home = patient.home();
    let numbers = roster::numbers_on_disk(home).unwrap_or_default();
    let has_identity = |id: &&AccountId| roster::identity_of(&home.account(**id)).is_some();
    numbers.iter().filter(has_identity).count()
}

/// Account directories that no row knows.
pub const ORPHANS: Check = Check {
    id: "orphans",
    question: "are there account directories that ccp does not know?",
    look: orphans,
};

fn orphans(patient: &Patient<'_>) -> Vec<Finding> {
    let Database::Open(store) = &patient.database else {
        return vec![Finding::ok("nothing to compare with")];
    };
    let home = patient.home();
    let mut findings = Vec::new();
    for id in roster::numbers_on_disk(home).unwrap_or_default() {
        let dir = home.account(id);
        let is_dir = fs::symlink_metadata(&dir).is_ok_and(|m| m.is_dir());
        if !is_dir || patient.accounts.iter().any(|a| a.id == id) {
            continue;
        }
        let shown = dir.display();
        findings.push(match roster::identity_of(&dir) {
            Some(identity) => {
                let who = identity.email.unwrap_or(identity.account_uuid);
                let text = format!("{shown} is {who}'s, and has no row");
                Finding::problem(text, Mend::Adopt)
            }
            None => Finding::note(
                format!("{shown} has no row and nobody is signed in there"),
                "move it away if you do not need it",
            ),
        });
    }
    if let Err(error) = roster::adoptable(store) {
        findings.push(Finding::problem(
            error.to_string(),
            "make the directory readable",
        ));
    }
    or_ok(findings, "none")
}

/// Leases.
pub const LEASES: Check = Check {
    id: "leases",
    question: "is every lease a session's or a claim's?",
    look: leases_in_order,
};

fn leases_in_order(patient: &Patient<'_>) -> Vec<Finding> {
    let dir = patient.home().leases();
    let listing = match leases::list(&dir) {
        Ok(listing) => listing,
        Err(error) => {
            let text = format!("{} cannot be read: {error}", dir.display());
            return vec![Finding::problem(text, "make it readable")];
        }
    };
    let machine = procs::machine();
    let (live, ended): (Vec<_>, Vec<_>) = listing
        .leases
        .iter()
        .partition(|lease| fold::counts(lease, &machine, patient.now()));
    let mut findings = Vec::new();
    if !ended.is_empty() {
        let text = format!("{} not recorded yet", count(ended.len(), "ended lease"));
        findings.push(Finding::note(text, Mend::Tidy));
    }
    let old = |path: &&PathBuf| is_older(path, fold::GARBAGE_COUNTS, patient.now());
    for path in listing.garbage.iter().filter(old) {
        let text = format!("{} is no lease", path.display());
        findings.push(Finding::note(text, Mend::Tidy));
    }
    or_ok(findings, count(live.len(), "live lease"))
}

/// `snapshot.json`.
pub const SNAPSHOT: Check = Check {
    id: "snapshot",
    question: "does the snapshot say what the database says?",
    look: snapshot,
};

fn snapshot(patient: &Patient<'_>) -> Vec<Finding> {
    let path = patient.home().snapshot();
    let broken = |text: String| vec![Finding::problem(text, Mend::Publish)];
    let Some(snapshot) = publish::load_snapshot(patient.home()) else {
        return match (&patient.database, path.exists()) {
            (Database::Open(_), true) => broken(format!("{} cannot be read", path.display())),
            (Database::Open(_), false) => broken("there is none".to_owned()),
            _ => vec![Finding::ok("there is none yet")],
        };
    };
    if !matches!(patient.database, Database::Open(_)) {
        return vec![Finding::ok("nothing to compare with")];
    }
    let published = snapshot.accounts.iter().map(|a| (a.id, &a.label, &a.dir));
    let known = patient.accounts.iter();
    let known = known.map(|a| (a.id.number(), &a.label, &a.config_dir));
    if !published.eq(known) {
        return broken("its accounts are not those of the database".to_owned());
    }
    if patient.settings.is_ok() && snapshot.base_dir != patient.base.dir {
        let shown = snapshot.base_dir.display();
        return broken(format!("it names another base: {shown}"));
    }
    let at = Timestamp::from_unix_ms(snapshot.generated_at_ms);
    let old = patient.now().since(at);
    if at > patient.now().plus(CLOCK_SLACK) {
        return broken("it is from the future: the clock was set back".to_owned());
    }
    let text = format!("{} old", age(old));
    if old > OLD_SNAPSHOT {
        return vec![Finding::note(text, Mend::Publish)];
    }
    vec![Finding::ok(text)]
}
