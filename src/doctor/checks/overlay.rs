//! Every entry of every overlay: links where links should be, files where files should be.

use super::{age, or_all};
use crate::adapters::files::{PRIVATE_DIR, PRIVATE_FILE};
use crate::adapters::overlay::{Finding as Found, Verdict as Wrong};
use crate::adapters::store::Account;
use crate::contract::paths::claude_json;
use crate::contract::settings::Flow;
use crate::doctor::patient::Database;
use crate::doctor::{Check, Finding, Mend, Patient};
use std::path::{Path, PathBuf};

/// So many links into one other directory show that it was the base once; a sync puts these right.
const LINKS_OF_A_BASE: usize = 3;

/// Who may read what is the account's own.
pub const PERMISSIONS: Check = Check {
    id: "overlay-permissions",
    question: "is what is an account's own closed to others?",
    look: |patient| {
        each(patient, "all private", |_, found| match found.verdict {
            Wrong::Permissions(mode) => {
                let wanted = if found.path.is_dir() {
                    PRIVATE_DIR
                } else {
                    PRIVATE_FILE
                };
                let text = format!("{} is {mode:04o}", found.path.display());
                let mend = Mend::Mode(found.path.clone(), wanted);
                Some(Finding::problem(text, mend))
            }
            _ => None,
        })
    },
};

/// What is an account's own must not be shared: it would mix identities.
pub const PRIVATE: Check = Check {
    id: "overlay-private",
    question: "is nothing shared that is an account's own?",
    look: |patient| {
        each(patient, "nothing", |account, found| match &found.verdict {
            Wrong::IdentityIsLink(target) | Wrong::PrivateIsLink(target) => {
                let path = &found.path;
                let text = format!("{} is a link to {}", path.display(), target.display());
                let name = path.file_name().unwrap_or_default();
                let is_state = name == ".claude.json";
                Some(if is_state || *target == patient.base.dir.join(name) {
                    Finding::problem(text, Mend::Sync(account.id))
                } else {
                    Finding::problem(text, format!("remove the link {path:?}"))
                })
            }
            Wrong::LegacyIdentity => Some(Finding::note(
                format!("{} is read instead of .claude.json", found.path.display()),
                "settings do not flow into it: move it away and sign in again",
            )),
            _ => None,
        })
    },
};

/// The links.
pub const LINKS: Check = Check {
    id: "overlay-links",
    question: "does every account show the base's entries?",
    look: |patient| {
        each(patient, "all links are in order", |account, found| {
            look_at_link(patient, account, found)
        })
    },
};

fn look_at_link(patient: &Patient<'_>, account: &Account, found: &Found) -> Option<Finding> {
    let path = &found.path;
    let mend = Mend::Sync(account.id);
    match &found.verdict {
        Wrong::MissingLink => Some(Finding::problem(format!("{path:?} is missing"), mend)),
        Wrong::StaleLink => {
            let text = format!("{path:?} leads nowhere");
            Some(Finding::problem(text, mend))
        }
        Wrong::WrongTarget(target) => {
            let text = format!("{path:?} leads to {target:?}");
            let moved = leads_to_former_base(patient, account, target)
                || is_for_the_base(patient, path, target);
            Some(if moved {
                Finding::problem(text, mend)
            } else {
                let hint = "remove the link and run `ccp sync`, unless you made it on purpose";
                Finding::note(text, hint)
            })
        }
        Wrong::Unreadable(kind) if *path == patient.base.dir => {
            let text = format!("the base {path:?} cannot be listed ({kind})");
            Some(if *kind == std::io::ErrorKind::NotFound {
                Finding::problem(text, mend)
            } else {
                Finding::problem(text, "make it readable, or set `[overlay] base`")
            })
        }
        Wrong::Unreadable(kind) => Some(Finding::problem(
            format!("{path:?} cannot be looked at ({kind})"),
            "make it readable",
        )),
        _ => None,
    }
}

fn leads_to_former_base(patient: &Patient<'_>, account: &Account, target: &Path) -> bool {
    let into_same = |found: &&Found| match &found.verdict {
        Wrong::WrongTarget(other) => {
            other.parent() == target.parent() && other.file_name() == found.path.file_name()
        }
        _ => false,
    };
    let all = of(patient, account);
    target.is_absolute() && all.iter().filter(into_same).count() >= LINKS_OF_A_BASE
}

/// A link of the person's own that means the same in the base, which has nothing of the name.
fn is_for_the_base(patient: &Patient<'_>, path: &Path, target: &Path) -> bool {
    let in_base: PathBuf = patient.base.dir.join(path.file_name().unwrap_or_default());
    target.is_absolute() && path.exists() && std::fs::symlink_metadata(in_base).is_err()
}

/// Real files where links should be.
pub const STRAYS: Check = Check {
    id: "overlay-strays",
    question: "is everything that is to be shared in the base?",
    look: |patient| {
        each(patient, "everything", |account, found| {
            match found.verdict {
                Wrong::Stray => {
                    let text = format!("{:?} is {}'s alone", found.path, account.label);
                    Some(Finding::problem(text, Mend::Sync(account.id)))
                }
                _ => None,
            }
        })
    },
};

/// Copies that wait for a person.
pub const CONFLICTS: Check = Check {
    id: "overlay-conflicts",
    question: "did two accounts write different things under one name?",
    look: |patient| {
        let mut seen: Vec<&Path> = Vec::new();
        let mut findings = Vec::new();
        for found in patient.overlays.iter().flatten() {
            // It is in the base, and every account sees it.
            if found.verdict == Wrong::ConflictCopy && !seen.contains(&found.path.as_path()) {
                seen.push(&found.path);
                findings.push(Finding::note(
                    format!("{:?} is the copy that lost", found.path),
                    "compare the two, keep one and delete the other",
                ));
            }
        }
        or_all(patient, findings, "no")
    },
};

/// Merges that were stopped because the account's file did not look right.
pub const MERGES: Check = Check {
    id: "merge-stops",
    question: "do settings flow both ways, where they are to?",
    look: merges,
};

fn merges(patient: &Patient<'_>) -> Vec<Finding> {
    let is_two_way = patient
        .settings
        .as_ref()
        .is_ok_and(|s| s.flow == Flow::TwoWay);
    let (true, Database::Open(store)) = (is_two_way, &patient.database) else {
        return vec![Finding::ok("they flow one way")];
    };
    let findings = patient
        .accounts
        .iter()
        .filter_map(|account| {
            let held = store.overlay_state(account.id).ok()?.held?;
            let since = age(patient.now().since(held.since));
            let text = format!("{}: stopped {since} ago: {}", account.label, held.text);
            let own = claude_json(&account.config_dir);
            let base = patient.base.json.display();
            let hint = format!("compare {} with {base}; both were kept", own.display());
            Some(Finding::note(text, hint))
        })
        .collect();
    or_all(patient, findings, "they do")
}

fn of<'p>(patient: &'p Patient<'_>, account: &Account) -> &'p [Found] {
    let index = patient.accounts.iter().position(|a| a.id == account.id);
    index
        .and_then(|i| patient.overlays.get(i))
        .map_or(&[], Vec::as_slice)
}

fn each(
    patient: &Patient<'_>,
    ok: &str,
    judge: impl Fn(&Account, &Found) -> Option<Finding>,
) -> Vec<Finding> {
    let pairs = patient.accounts.iter().zip(&patient.overlays);
    let all = pairs.flat_map(|(account, found)| found.iter().map(move |f| (account, f)));
    let mut findings: Vec<Finding> = Vec::new();
    for finding in all.filter_map(|(account, found)| judge(account, found)) {
        // The base is looked at once for each account.
        if !findings.iter().any(|f| f.found == finding.found) {
            findings.push(finding);
        }
    }
    or_all(patient, findings, ok)
}
