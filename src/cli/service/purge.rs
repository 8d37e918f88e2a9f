//! `ccp service uninstall --purge`: everything that ccp put on this machine goes again. What is the person's own goes back
//! to the base first; a step that cannot be done stops the rest, and the same command goes on from there. Only names that
//! ccp gives are deleted in its home, and `~/.claude` is not looked at here at all.

use super::super::alias;
use super::super::arguments::{AliasAction, Statusline, StatuslineAction};
use super::super::background;
use super::super::context::Context;
use super::super::failure::Failure;
use super::super::prompt::{Prompt, nobody_to_ask};
use super::super::{hooks, pool_skill, remove, sessions, statusline};
use crate::adapters::clock;
use crate::adapters::files::Lock;
use crate::adapters::overlay::{remove_entry, remove_trash};
use crate::contract::exit;
use crate::contract::paths::Home;
use crate::core::account::AccountId;
use crate::daemon::roster;
use std::fs;
use std::io;
use std::path::Path;

/// Asks; the answer that changes nothing is the default.
pub(super) fn ask(context: &Context) -> Result<bool, Failure> {
    let Some(mut prompt) = Prompt::open() else {
        return Err(nobody_to_ask(
            "removing everything has to be confirmed",
            "`ccp service uninstall --purge --yes` removes without a question",
        ));
    };
    let accounts = match context.existing_store()? {
        Some(store) => store.accounts()?,
        None => Vec::new(),
    };
    for account in &accounts {
        prompt.say(&format!(
            "  {} ({}) and its login",
            account.id, account.label
        ));
    }
    prompt.say(&format!(
        "  everything of ccp in {}",
        context.home.path().display()
    ));
    prompt.say("What is yours in the accounts goes back to your own configuration first.");
    prompt.confirm("Remove all of this from this machine?", false)
}

/// Heals every account first: what cannot go back to the base stops all of it while everything is still there.
pub(super) fn must_be_possible(context: &Context) -> Result<(), Failure> {
    if let Some(store) = context.existing_store()? {
        for account in store.accounts()? {
            remove::must_be_whole(context, &account)?;
        }
    }
    Ok(())
}

/// Removes everything. The service is gone already, so that nobody writes meanwhile.
pub(super) fn run(context: &Context) -> Result<(), Failure> {
    let _nobody_else = must_have_no_daemon(&context.home)?;
    take_out_of_files(context)?;
    remove_accounts(context)?;
    remove_state(&context.home)
}

/// A daemon that no supervisor knows, started by hand or by a command, would write everything anew: it is ended. The lock
/// that is returned keeps the next one out meanwhile.
fn must_have_no_daemon(home: &Home) -> Result<Option<Lock>, Failure> {
    background::end(home).map_err(|failure| {
        failure.hint("end it, then run the same command again; no account was removed")
    })
}

/// What ccp put into the person's own files.
fn take_out_of_files(context: &Context) -> Result<(), Failure> {
    let code = alias::run(AliasAction::Remove, &context.user_home)?;
    if code != exit::OK {
        return Err(
            Failure::new("a start-up file of a shell still has ccp's line")
                .hint("take it out, then run the same command again; no account was removed"),
        );
    }
    if context.home.statusline_record().exists() {
        let arguments = Statusline {
            action: Some(StatuslineAction::Remove { yes: true }),
            wrap: None,
        };
        statusline::command::run(context, &arguments).map_err(|failure| {
            failure.hint("put your status line in order, then run the same command again; no account was removed")
        })?;
    }
    // Nothing of ours has to be in those settings for it to fail: without ccp the hook does nothing.
    match hooks::install::is_installed(&context.base()?.settings()) {
        Ok(true) => drop(hooks::take_out(context)?),
        Ok(false) => {}
        Err(error) => eprintln!("warning: {error}; a hook of ccp in it does nothing any more"),
    }
    pool_skill::uninstall(context)?;
    Ok(())
}

fn remove_accounts(context: &Context) -> Result<(), Failure> {
    if !context.home.accounts().is_dir() && !context.home.state_db().exists() {
        return Ok(());
    }
    let mut store = context.open_store()?;
    // After a lost database the directories alone know the accounts.
    roster::adopt(&mut store, clock::now()).map_err(Failure::new)?;
    for account in store.accounts()? {
        remove::without_asking(context, &mut store, &account)?;
    }
    let on_disk = roster::numbers_on_disk(&context.home)
        .map_err(|e| Failure::new(format!("cannot read the accounts: {e}")))?;
    sessions::must_all_be_idle(context, "remove what is left of the accounts")?;
    for id in on_disk {
        if context.home.account(id).is_dir() {
            remove::unclaimed(context, id)?;
        }
    }
    remove_trash(&context.home).map_err(Failure::new)?;
    Ok(())
}

fn remove_state(home: &Home) -> Result<(), Failure> {
    let Some(names) = names_in(home.path())? else {
        eprintln!("{} is not there", home.path().display());
        return Ok(());
    };
    for name in names.iter().filter(|name| Home::is_own_name(name)) {
        remove_entry(home, &home.path().join(name)).map_err(Failure::new)?;
    }
    let accounts = home.accounts();
    let left = names_in(&accounts)?.unwrap_or_default();
    if left.iter().all(|name| is_leftover(name)) {
        remove_entry(home, &accounts).map_err(Failure::new)?;
    }
    let mut left = names_in(home.path())?.unwrap_or_default();
    if left.is_empty() {
        fs::remove_dir(home.path()).map_err(|e| unreadable(home.path(), &e))?;
        eprintln!("{} is gone", home.path().display());
    } else {
        left.sort();
        eprintln!(
            "{} stays, for what is in it is not ccp's: {}",
            home.path().display(),
            left.join(", ")
        );
    }
    Ok(())
}

/// Beside the account directories: claude's own locks of them, and hidden files of ours.
fn is_leftover(name: &str) -> bool {
    let hidden = name.strip_prefix('.').is_some_and(|rest| {
        rest == "healing" || rest.split_once('.').is_some_and(|(id, _)| is_account(id))
    });
    hidden || name.strip_suffix(".lock").is_some_and(is_account)
}

fn is_account(name: &str) -> bool {
    AccountId::from_dir_name(name).is_some()
}

/// The names in a directory; none when it is not there.
fn names_in(dir: &Path) -> Result<Option<Vec<String>>, Failure> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(|e| unreadable(dir, &e))?,
    };
    let names: io::Result<Vec<String>> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.map(Some).map_err(|e| unreadable(dir, &e))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot remove {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_a_leftover() {
        for name in [
            ".acct-01.sync",
            ".acct-12.merged",
            ".acct-01.sign-in",
            ".healing",
            "acct-01.lock",
        ] {
            assert!(is_leftover(name), "{name}");
        }
        for name in [
            "acct-01",
            "acct-01.private",
            "trash-acct-01-1",
            "notes",
            ".git",
            ".x.sync",
        ] {
            assert!(!is_leftover(name), "{name}");
        }
    }
}
