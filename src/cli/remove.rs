//! `ccp remove`: an account goes, with its login and its directory; what in there is the person's own goes back to the
//! base first. Each step can be repeated, so a removal that died in the middle is finished by the next one.

use super::accounts;
use super::arguments::Remove;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::prompt::{Prompt, nobody_to_ask};
use super::{sessions, sign_in, sync};
use crate::adapters::files::Lock;
use crate::adapters::overlay::{self, Options, Reason, RemoveError, SyncReport};
use crate::adapters::store::{Account, Store};
use crate::adapters::{clock, creds};
use crate::contract::exit;
use crate::core::account::AccountId;
use std::fs;
use std::time::Duration;

/// A round of questions takes 25 s at most.
const QUESTION: Duration = Duration::from_secs(30);

/// Runs `ccp remove`.
pub fn run(context: &Context, arguments: &Remove) -> Outcome {
    let mut store = accounts::open(context)?;
    let account = accounts::find(&store, &arguments.account)?;
    let what = format!("remove {}", account.id);
    let _lock = hold(context, account.id)?;
    sessions::must_be_idle(context, &account, &what)?;
    if !arguments.yes && !ask(&account)? {
        eprintln!("{} stays", account.id);
        return Ok(exit::OK);
    }
    take_away(context, &mut store, &account, arguments.keep_credential)?;
    Ok(exit::OK)
}

/// The same without a question and with the login, for a command that removes every account.
pub fn without_asking(
    context: &Context,
    store: &mut Store,
    account: &Account,
) -> Result<(), Failure> {
    let _lock = hold(context, account.id)?;
    sessions::must_be_idle(context, account, &format!("remove {}", account.id))?;
    take_away(context, store, account, false)
}

/// Removes a directory of this home that no account has: a sign-in that was broken off. Its login goes too, if there is
/// one.
pub fn unclaimed(context: &Context, id: AccountId) -> Result<(), Failure> {
    let _lock = hold(context, id)?;
    creds::remove(&context.home, id).map_err(Failure::new)?;
    remove_directory(context, id)?;
    tidy(context, id);
    eprintln!("{id} is removed");
    Ok(())
}

fn hold(context: &Context, id: AccountId) -> Result<Lock, Failure> {
    sign_in::hold(&context.home, id)?.ok_or_else(|| {
        Failure::new(format!("somebody signs in to {id} at this moment"))
            .hint("finish or break off the sign-in first")
    })
}

fn take_away(
    context: &Context,
    store: &mut Store,
    account: &Account,
    keep_credential: bool,
) -> Result<(), Failure> {
    must_be_whole(context, account)?;
    let _unasked = ask_nothing(context)?;
    close(context, store, account, &format!("remove {}", account.id))?;
    if !keep_credential {
        creds::remove(&context.home, account.id).map_err(Failure::new)?;
    }
    remove_directory(context, account.id)?;
    store.remove_account(account.id)?;
    context.publish(store)?;
    tidy(context, account.id);
    eprintln!("{} ({}) is removed", account.id, account.label);
    Ok(())
}

/// A question to claude is no session; ended here or not, a claude that is asked would write into a directory that is gone.
fn ask_nothing(context: &Context) -> Result<Lock, Failure> {
    let path = context.home.refresh_lock();
    let lock = Lock::acquire(&path, QUESTION);
    lock.map_err(|e| Failure::new(format!("cannot lock {}: {e}", path.display())))?
        .ok_or_else(|| {
            Failure::new("the accounts are being asked for their usage").hint("try again")
        })
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
pub fn must_be_whole(context: &Context, account: &Account) -> Result<(), Failure> {
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
        Err(unhealed(account.id, &report))
    }
}

fn unhealed(id: AccountId, report: &SyncReport) -> Failure {
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
        "cannot remove {id}: not everything in it can go back to your own configuration{}",
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

fn remove_directory(context: &Context, id: AccountId) -> Result<(), Failure> {
    let options = Options::at_leisure(sync::direction(context)?, false);
    let base = context.base()?;
    match overlay::remove_account_dir(&context.home, id, &base, clock::now(), options) {
        Ok(_) => Ok(()),
        Err(RemoveError::Unhealed { report, .. }) => Err(unhealed(id, &report)),
        Err(error) => Err(Failure::new(error).hint("the same command goes on where it stopped")),
    }
}

/// What interrupted removals left, and the lock file; neither is in anybody's way.
fn tidy(context: &Context, id: AccountId) {
    if let Err(error) = overlay::remove_trash(&context.home) {
        eprintln!("warning: {error}");
    }
    let _ = fs::remove_file(sign_in::lock_file(&context.home, id));
}
