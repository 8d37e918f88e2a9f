//! Every account: its directory, whose it is, and its login, which is looked at and never read.

use super::{age, count, or_all};
use crate::adapters::creds::{self, Presence};
use crate::adapters::store::Account;
use crate::contract::paths::claude_json;
use crate::core::claude_json::identity::{Identity, identity};
use crate::core::time::Timestamp;
use crate::daemon::roster;
use crate::doctor::patient::{Database, is_own_dir, load_text};
use crate::doctor::{Check, Finding, Patient};
use std::fs;
use std::io;
use std::time::Duration;

/// From this age on the end of a login is near: logins end about 30 days after sign-in.
const OLD_LOGIN: Duration = Duration::from_secs(25 * 24 * 3600);

/// How many there are.
pub const ACCOUNTS: Check = Check {
    id: "accounts",
    question: "are there accounts?",
    look: |patient| {
        vec![match (&patient.database, patient.accounts.len()) {
            (Database::Refused(_), _) => Finding::ok("the database does not tell"),
            (_, 0) => Finding::note("none yet", "`ccp add` signs one in"),
            (_, known) => Finding::ok(count(known, "account")),
        }]
    },
};

/// Findings about accounts that have a directory; the others are [`DIRECTORY`]'s.
fn each(
    patient: &Patient<'_>,
    ok: &str,
    look: impl Fn(&Account) -> Option<Finding>,
) -> Vec<Finding> {
    let present = patient.accounts.iter().filter(|a| is_own_dir(a));
    or_all(patient, present.filter_map(look).collect(), ok)
}

fn sign_in_again(account: &Account) -> String {
    format!("`ccp login {}`", account.id)
}

/// The directory is there.
pub const DIRECTORY: Check = Check {
    id: "account-directory",
    question: "does every account have its directory?",
    look: directory,
};

fn directory(patient: &Patient<'_>) -> Vec<Finding> {
    let missing = patient.accounts.iter().filter(|a| !is_own_dir(a));
    let findings = missing
        .map(|account| {
            let Account { id, label, .. } = account;
            let dir = account.config_dir.display();
            let what = match fs::symlink_metadata(&account.config_dir) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => "is missing".to_owned(),
                Err(error) => format!("cannot be looked at ({error})"),
                Ok(metadata) if metadata.is_symlink() => "is a link".to_owned(),
                Ok(_) => "is no directory".to_owned(),
            };
            let hint = format!("put it back, or `ccp remove {id}` and `ccp add`");
            Finding::problem(format!("{label}: {dir} {what}"), hint)
        })
        .collect();
    or_all(patient, findings, "all there")
}

/// The directory is spelled as it always was: the name of a Keychain item is made from the very string.
pub const DIRECTORY_NAME: Check = Check {
    id: "account-directory-name",
    question: "is every account's directory spelled as at its sign-in?",
    look: |patient| {
        let moved =
            |a: &&Account| a.config_dir.as_os_str() != patient.home().account(a.id).as_os_str();
        let findings = patient.accounts.iter().filter(moved).map(|account| {
            let (was, is) = (&account.config_dir, patient.home().account(account.id));
            Finding::problem(
                format!(
                    "{}: recorded as {}, and now it would be {}",
                    account.label,
                    was.display(),
                    is.display()
                ),
                "set CCP_HOME to what it was; or move state.db aside, run `ccp init`, and sign in again where that is asked for",
            )
        });
        or_all(patient, findings.collect(), "all as recorded")
    },
};

/// `.claude.json` is one JSON object.
pub const STATE: Check = Check {
    id: "account-state",
    question: "can every account's .claude.json be read?",
    look: |patient| {
        each(patient, "all whole", |account| {
            let path = claude_json(&account.config_dir);
            let label = &account.label;
            let what = match load_text(&path) {
                Ok(text) => match serde_json::from_str::<serde_json::Value>(&text) {
                    Ok(value) if value.is_object() => return None,
                    _ => "is not one JSON object".to_owned(),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => "is missing".to_owned(),
                Err(error) => format!("cannot be read ({error})"),
            };
            let backups = account.config_dir.join("backups");
            let hint = format!(
                "put a copy from {} back, or {}",
                backups.display(),
                sign_in_again(account)
            );
            Some(Finding::problem(
                format!("{label}: {} {what}", path.display()),
                hint,
            ))
        })
    },
};

/// The account is still the person it was.
pub const IDENTITY: Check = Check {
    id: "account-identity",
    question: "is every account signed in as who it was?",
    look: |patient| {
        each(patient, "all are who they were", |account| {
            let label = &account.label;
            let Some(known) = &account.identity else {
                let text = format!("{label}: its first sign-in was not finished");
                let hint = format!("{}, or `ccp remove {}`", sign_in_again(account), account.id);
                return Some(Finding::problem(text, hint));
            };
            match roster::identity_of(&account.config_dir) {
                Some(found) if is_same(&found, known) => None,
                Some(found) => Some(Finding::problem(
                    format!("{label}: was {}, and is {} now", name(known), name(&found)),
                    sign_in_again(account),
                )),
                None => Some(Finding::problem(
                    format!("{label}: nobody is signed in"),
                    sign_in_again(account),
                )),
            }
        })
    },
};

fn is_same(a: &Identity, b: &Identity) -> bool {
    (&a.account_uuid, &a.organization_uuid) == (&b.account_uuid, &b.organization_uuid)
}

fn name(identity: &Identity) -> &str {
    identity.email.as_deref().unwrap_or(&identity.account_uuid)
}

/// No subscription is counted twice.
pub const CLASH: Check = Check {
    id: "identity-clash",
    question: "is every account a subscription of its own?",
    look: clash,
};

fn clash(patient: &Patient<'_>) -> Vec<Finding> {
    let known: Vec<(&Account, Identity)> = patient
        .accounts
        .iter()
        .filter_map(|a| Some((a, roster::identity_of(&a.config_dir)?)))
        .collect();
    let mut findings = Vec::new();
    for (index, (account, own)) in known.iter().enumerate() {
        if let Some((other, _)) = known[..index].iter().find(|(_, i)| is_same(i, own)) {
            findings.push(Finding::problem(
                format!(
                    "{} and {} are both {}",
                    other.label,
                    account.label,
                    name(own)
                ),
                format!("`ccp remove {}`, or sign another one in there", account.id),
            ));
        }
    }
    let plain = load_text(&patient.base.json)
        .ok()
        .and_then(|t| identity(&t));
    if let Some(plain) = plain {
        let same = known.iter().filter(|(_, own)| is_same(own, &plain));
        findings.extend(same.map(|(account, own)| {
            Finding::note(
                format!("{} is {}, as is plain claude", account.label, name(own)),
                "they share one quota, which plain sessions use without being counted",
            )
        }));
    }
    or_all(patient, findings, "each is its own")
}

/// A login is there. It is not read.
pub const CREDENTIAL: Check = Check {
    id: "account-credential",
    question: "does every account have a login?",
    look: |patient| {
        each(patient, "all have one", |account| {
            // An account that never was signed in has been told of already.
            account.identity.as_ref()?;
            let label = &account.label;
            match creds::presence(patient.home(), account.id) {
                Presence::Present(_) => None,
                Presence::Absent => Some(Finding::problem(
                    format!("{label}: there is none"),
                    sign_in_again(account),
                )),
                Presence::Unknown => Some(Finding::note(
                    format!("{label}: it cannot be told"),
                    "unlock the Keychain (`security unlock-keychain`), or look whether the file is a link",
                )),
            }
        })
    },
};

/// The login is not known to be dead.
pub const LOGIN: Check = Check {
    id: "account-login",
    question: "does every login work, as far as is known?",
    look: |patient| {
        each(patient, "no evidence against any", |account| {
            let label = &account.label;
            let health = &account.health;
            if health.needs_login {
                let text = format!("{label}: claude says that it is signed out");
                return Some(Finding::problem(text, sign_in_again(account)));
            }
            health.renewal_failed.then(|| {
                let text = format!("{label}: its last renewal failed");
                Finding::note(text, "`ccp refresh --all` tries again")
            })
        })
    },
};

/// How old the logins are.
pub const LOGIN_AGE: Check = Check {
    id: "login-age",
    question: "will every login last?",
    look: |patient| {
        let known = patient.accounts.iter();
        let findings = known.filter_map(|account| login_age(patient, account));
        or_all(patient, findings.collect(), "no sign-in is known")
    },
};

fn login_age(patient: &Patient<'_>, account: &Account) -> Option<Finding> {
    let label = &account.label;
    // A sign-in that ccp did not see is at least as old as the last renewal, which is when claude wrote the login.
    let (since, what) = match account.signed_in_at {
        Some(at) => (at, "signed in"),
        None => (written_at(patient, account)?, "login last written"),
    };
    let old = patient.now().since(since);
    let text = format!("{label}: {what} {} ago", age(old));
    if old < OLD_LOGIN {
        return Some(Finding::ok(text));
    }
    let again = sign_in_again(account);
    let hint = format!("logins end about 30 days after sign-in: {again}");
    Some(Finding::note(text, hint))
}

fn written_at(patient: &Patient<'_>, account: &Account) -> Option<Timestamp> {
    match creds::presence(patient.home(), account.id) {
        Presence::Present(stamp) if stamp.modified_ns > 0 => {
            Some(Timestamp::from_unix_ms(stamp.modified_ns / 1_000_000))
        }
        _ => None,
    }
}
