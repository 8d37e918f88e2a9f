//! `ccp rename`: one label by hand, or all of them from the addresses.

use super::accounts;
use super::arguments::Rename;
use super::context::Context;
use super::failure::Outcome;
use crate::adapters::store::Account;
use crate::contract::exit;
use crate::core::accounts::label::from_identity;

/// Runs `ccp rename`.
pub fn run(context: &Context, arguments: &Rename) -> Outcome {
    match (&arguments.account, &arguments.name) {
        (Some(account), Some(name)) => one(context, account, name),
        _ => all(context, arguments.force),
    }
}

fn one(context: &Context, reference: &str, name: &str) -> Outcome {
    let mut store = accounts::open(context)?;
    let account = accounts::find(&store, reference)?;
    let label = store.set_label(account.id, name)?;
    context.publish(&store)?;
    eprintln!(
        "{} is now called {label}, not {}",
        account.id, account.label
    );
    Ok(exit::OK)
}

fn all(context: &Context, force: bool) -> Outcome {
    let mut store = accounts::open(context)?;
    let mut changed = 0;
    for account in store.accounts()? {
        let Some(wish) = wish(&account) else {
            continue;
        };
        let is_like_it = account.label == wish || account.label.starts_with(&format!("{wish} "));
        if is_like_it || !(force || is_made_up(&account)) {
            continue;
        }
        let label = store.set_label_like(account.id, &wish)?;
        if label != account.label {
            eprintln!(
                "{} is now called {label}, not {}",
                account.id, account.label
            );
            changed += 1;
        }
    }
    if changed == 0 {
        eprintln!("every label stays as it is");
        return Ok(exit::OK);
    }
    context.publish(&store)?;
    Ok(exit::OK)
}

fn wish(account: &Account) -> Option<String> {
    let identity = account.identity.as_ref()?;
    identity.email.as_ref()?;
    Some(from_identity(
        identity.email.as_deref(),
        identity.organization_name.as_deref(),
    ))
}

/// Whether nobody chose the label: it is what an account is called before its address is known.
fn is_made_up(account: &Account) -> bool {
    is_placeholder(&account.label)
}

/// What an account is called until somebody signs in to it.
pub const PLACEHOLDER: &str = "new";

/// Whether a label is the placeholder, or one that was made from no address.
#[must_use]
pub fn is_placeholder(label: &str) -> bool {
    let is_numbered = |stem: &str| {
        label
            .strip_prefix(stem)
            .is_some_and(|rest| rest.trim().bytes().all(|b| b.is_ascii_digit()))
    };
    is_numbered(PLACEHOLDER) || is_numbered("account")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_label_is_told_from_a_chosen_one() {
        for label in ["new", "new 2", "account", "account 12"] {
            assert!(is_placeholder(label), "{label}");
        }
        for label in ["newton", "new york", "accounting", "work", "jo"] {
            assert!(!is_placeholder(label), "{label}");
        }
    }
}
