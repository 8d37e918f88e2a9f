//! `ccp add`: a new account from an empty directory to a login that can be picked. Broken off anywhere, it leaves a
//! directory that the next `ccp add` goes on with.

use super::alias;
use super::arguments::Add;
use super::background;
use super::claude::find_claude;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::prompt::Prompt;
use super::refresh;
use super::rename::{PLACEHOLDER, is_placeholder};
use super::sign_in::{self, SignIn};
use crate::adapters::clock;
use crate::adapters::creds;
use crate::adapters::store::{Account, LabelWish, Store, StoreError};
use crate::contract::exit;
use crate::core::account::check_label;
use crate::core::accounts::label::from_identity;
use crate::core::claude_json::identity::Identity;
use crate::daemon::roster;
use std::io::{self, Write as _};

/// How often a number that somebody else takes at the same moment is given up for another.
const MAX_TRIES: u32 = 100;
/// How often a label that cannot be used is asked for again.
const MAX_LABELS: u32 = 5;

/// Runs `ccp add`.
pub fn run(context: &Context, arguments: &Add) -> Outcome {
    let mut prompt = if arguments.yes { None } else { Prompt::open() };
    let here = arguments.run_login || arguments.yes;
    sign_in::place(here, prompt.as_mut(), "ccp add")?;
    // Before anything is made: without claude there is nothing to sign in with.
    find_claude(&context.user_home)?;
    if let Some(label) = &arguments.label {
        check_label(label).map_err(|p| Failure::from(StoreError::Label(p)).code(exit::USAGE))?;
    }
    let mut store = context.open_store()?;
    let mut added = 0;
    loop {
        let label = arguments.label.as_deref().filter(|_| added == 0);
        add_one(context, &mut store, label, here, prompt.as_mut())?;
        added += 1;
        if added < arguments.count {
            continue;
        }
        let another = match prompt.as_mut() {
            Some(prompt) if arguments.count == 1 => {
                prompt.confirm("Add another account?", false)?
            }
            _ => false,
        };
        if !another {
            break;
        }
    }
    background::start_and_tell(context);
    if !arguments.no_alias {
        offer_alias(context, prompt.as_mut())?;
    }
    Ok(exit::OK)
}

fn add_one(
    context: &Context,
    store: &mut Store,
    label: Option<&str>,
    here: bool,
    mut prompt: Option<&mut Prompt>,
) -> Result<(), Failure> {
    if let Some(label) = label {
        refuse_taken(store, label)?;
    }
    let (account, sign_in) = take(context, store)?;
    sign_in::prepare(context, store, &account)?;
    let identity = match sign_in.present() {
        Some(identity) => identity,
        None => {
            let mut place = sign_in::place(here, prompt.as_deref_mut(), "ccp add")?;
            sign_in.run(&mut place)?
        }
    };
    let proposed = record(context, store, &account, &identity, label)?;
    sign_in::warn_about_twins(context, store, account.id)?;
    let asked = match (label, prompt) {
        (None, Some(prompt)) => ask_label(context, store, &account, &proposed, prompt),
        _ => Ok(proposed.clone()),
    };
    if asked.is_ok() {
        refresh::first(context, store, account.id);
        context.publish(store)?;
    }
    // Also when the question was broken off: the account is complete.
    let label = asked.as_ref().unwrap_or(&proposed);
    let email = identity.email.as_deref().unwrap_or("no address");
    eprintln!("{} is signed in as {email}, label {label}", account.id);
    writeln!(io::stdout(), "{}\t{label}", account.id)
        .map_err(|e| Failure::new(format!("cannot print the account: {e}")))?;
    asked.map(drop)
}

/// An account that was begun and not finished, else a new one; nobody else works on it.
fn take(context: &Context, store: &mut Store) -> Result<(Account, SignIn), Failure> {
    for _ in 0..MAX_TRIES {
        let begun = store
            .accounts()?
            .into_iter()
            .filter(|a| a.identity.is_none());
        for account in begun {
            let Some(sign_in) = SignIn::take(context, &account)? else {
                continue;
            };
            // Whoever held it may have finished it, or removed it.
            if store
                .account(account.id)?
                .is_some_and(|a| a.identity.is_none())
            {
                eprintln!("going on with {}", account.id);
                return Ok((account, sign_in));
            }
        }
        let left = |id| creds::is_left(&context.home, id);
        let account = roster::add(store, LabelWish::Like(PLACEHOLDER), left, clock::now())
            .map_err(Failure::new)?;
        // Before there is a directory: without a snapshot a launch would take it for an account that can serve.
        context.publish(store)?;
        if let Some(sign_in) = SignIn::take(context, &account)? {
            return Ok((account, sign_in));
        }
    }
    Err(Failure::new("other `ccp add` take every account first").hint("try again"))
}

/// Records the login under the best label there is without asking: from here on the account is complete.
fn record(
    context: &Context,
    store: &mut Store,
    account: &Account,
    identity: &Identity,
    label: Option<&str>,
) -> Result<String, Failure> {
    store.set_identity(account.id, identity)?;
    let label = match label {
        Some(label) => store.set_label(account.id, label)?,
        None if is_placeholder(&account.label) => {
            let organization = identity.organization_name.as_deref();
            let wish = from_identity(identity.email.as_deref(), organization);
            store.set_label_like(account.id, &wish)?
        }
        None => account.label.clone(),
    };
    store.set_signed_in(account.id, clock::now())?;
    context.publish(store)?;
    Ok(label)
}

fn ask_label(
    context: &Context,
    store: &mut Store,
    account: &Account,
    proposed: &str,
    prompt: &mut Prompt,
) -> Result<String, Failure> {
    for _ in 0..MAX_LABELS {
        let wish = prompt.text("Label", proposed)?;
        match store.set_label(account.id, &wish) {
            Ok(label) => {
                context.publish(store)?;
                return Ok(label);
            }
            Err(error @ (StoreError::Label(_) | StoreError::LabelTaken { .. })) => {
                prompt.say(&error.to_string());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(proposed.to_owned())
}

fn refuse_taken(store: &Store, label: &str) -> Result<(), Failure> {
    let wanted = label.trim().to_lowercase();
    let accounts = store.accounts()?;
    let holder = accounts.iter().find(|a| a.label.to_lowercase() == wanted);
    match holder {
        // The one that this command goes on with may have it already.
        Some(holder) if holder.identity.is_some() => Err(StoreError::LabelTaken {
            label: label.to_owned(),
            holder: holder.id,
        }
        .into()),
        _ => Ok(()),
    }
}

fn offer_alias(context: &Context, prompt: Option<&mut Prompt>) -> Result<(), Failure> {
    if alias::is_settled(&context.user_home) {
        return Ok(());
    }
    let Some(prompt) = prompt else {
        eprintln!("`ccp alias install` makes `claude` mean `ccp run` in your shells");
        return Ok(());
    };
    if prompt.confirm("Make `claude` mean `ccp run` in new shells?", true)? {
        // What could not be installed has been said; the accounts are there all the same.
        alias::install_everywhere(&context.user_home, Some(prompt))?;
    }
    Ok(())
}
