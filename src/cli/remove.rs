//! `ccp remove`: an account goes, with its login and its directory; what in there is the person's own goes back to the
//! base first. Each step can be repeated, so a removal that died in the middle is finished by the next one.

use super::accounts;
use super::arguments::Remove;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::prompt::{Prompt, nobody_to_ask};
use super::{sessions, sign_in, sync};
use crate::adapters::overlay::{self, Options, Reason, RemoveError, SyncReport};
use crate::adapters::store::{Account, Store};
use crate::adapters::{clock, creds};
use crate::contract::exit;
use std::fs;

/// Runs `ccp remove`.
pub fn run(context: &Context, arguments: &Remove) -> Outcome {
    let mut store = accounts::open(context)?;
    let account = accounts::find(&store, &arguments.account)?;
    let Some(_lock) = sign_in::hold(&context.home, account.id)? else {
        return Err(Failure::new(format!(
            "somebody signs in to {} at this moment",
            account.id
        ))
        .hint("finish or break off the sign-in first"));
    };
    let what = format!("remove {}", account.id);
    sessions::must_be_idle(context, &account, &what)?;
    if !arguments.yes && !ask(&account)? {
        eprintln!("{} stays", account.id);
        return Ok(exit::OK);
    }
    must_be_whole(context, &account)?;
    close(context, &mut store, &account, &what)?;
    if !arguments.keep_credential {
        creds::remove(&context.home, account.id).map_err(Failure::new)?;
    }
    remove_directory(context, &account)?;
    store.remove_account(account.id)?;
    context.publish(&store)?;
    tidy(context, &account);
    eprintln!("{} ({}) is removed", account.id, account.label);
    Ok(exit::OK)
}

fn ask(account: &Account) -> Result<bool, Failure> {
    let Account { id, label, .. } = account;
    let Some(mut prompt) = Prompt::open() else {
        let hint = format!("`ccp remove {id} --yes` removes without a question");
        return Err(nobody_to_ask(
            &format!("removing {id} has to be confirmed"),
            &hint,
        ));
    };
    let email = account.identity.as_ref().and_then(|i| i.email.as_deref());
    let email = email.map(|e| format!(", {e}")).unwrap_or_default();
    prompt.confirm(
        &format!("Remove {label} ({id}{email}) and its login from this machine?"),
        false,
    )
}

/// Heals the overlay before anything is lost: what cannot go back to the base stops the removal while all is there.
fn must_be_whole(context: &Context, account: &Account) -> Result<(), Failure> {
    if !account.config_dir.is_dir() {
        return Ok(());
    }
    let options = Options::at_leisure(sync::direction(context)?, false);
    let report = overlay::sync(&context.base()?, &account.config_dir, clock::now(), options);
    for healed in &report.healed {
        eprintln!("{}: {healed}", account.label);
    }
    if report.is_complete() {
        Ok(())
    } else {
        Err(unhealed(account, &report))
    }
}

fn unhealed(account: &Account, report: &SyncReport) -> Failure {
    let left = report.left.iter().map(ToString::to_string);
    let failed = report.failed.iter().map(ToString::to_string);
    let lines: Vec<String> = left.chain(failed).map(|l| format!("\n  {l}")).collect();
    let passing = |reason| matches!(reason, Reason::Young | Reason::Open | Reason::Raced);
    let hint = if report.failed.is_empty() && report.left.iter().all(|l| passing(l.reason)) {
        "wait a few seconds, then run the same command again; nothing was removed"
    } else {
        "move or remove these, then run the same command again; nothing was removed"
    };
    Failure::new(format!(
        "cannot remove {}: not everything in it can go back to your own configuration{}",
        account.id,
        lines.concat()
    ))
    .hint(hint)
}

/// Nobody picks the account from here on. Who picked it a moment before is seen by the second look.
fn close(
    context: &Context,
    store: &mut Store,
    account: &Account,
    what: &str,
) -> Result<(), Failure> {
    store.set_needs_login(account.id, true)?;
    context.publish(store)?;
    sessions::must_be_idle(context, account, what).inspect_err(|_| {
        let reopened = store.set_needs_login(account.id, account.health.needs_login);
        if reopened.is_ok() {
            let _ = context.publish(store);
        }
    })
}

fn remove_directory(context: &Context, account: &Account) -> Result<(), Failure> {
    let options = Options::at_leisure(sync::direction(context)?, false);
    let base = context.base()?;
    match overlay::remove_account_dir(&context.home, account.id, &base, clock::now(), options) {
        Ok(_) => Ok(()),
        Err(RemoveError::Unhealed { report, .. }) => Err(unhealed(account, &report)),
        Err(error) => Err(Failure::new(error).hint("the same command goes on where it stopped")),
    }
}

/// What interrupted removals left, and the lock file; neither is in anybody's way.
fn tidy(context: &Context, account: &Account) {
    if let Err(error) = overlay::remove_trash(&context.home) {
        eprintln!("warning: {error}");
    }
    let _ = fs::remove_file(sign_in::lock_file(&context.home, account.id));
}
