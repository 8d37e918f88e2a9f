//! `ccp init`: makes `CCP_HOME`, its settings and its database, and gives every account directory on disk its row.

use super::arguments::{Init, ServiceAction};
use super::background;
use super::config;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::prompt::Prompt;
use super::service;
use super::sessions;
use crate::adapters::files;
use crate::adapters::store::Store;
use crate::contract::exit;
use crate::contract::paths::Base;
use crate::daemon::roster;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Runs `ccp init`.
pub fn run(context: &Context, arguments: &Init) -> Outcome {
    let wanted = arguments.base.as_deref().map(base_dir).transpose()?;
    files::create_private_dir(context.home.path()).map_err(|e| {
        Failure::new(format!(
            "cannot make {}: {e}",
            context.home.path().display()
        ))
    })?;
    let mut store = if arguments.adopt {
        context.adopt_foreign()?
    } else {
        context.open_store()?
    };
    let home = context.home.path().display();
    let created = config::create(context)?;
    // Also tells, before anything else changes, that the settings can be read.
    let before = context.base()?;
    if let Some(dir) = wanted {
        change_base(context, &store, &before, &dir)?;
    }
    let adopted = roster::adopt(&mut store, context.now).map_err(Failure::new)?;
    for account in &adopted {
        eprintln!("adopted {} as {}", account.id, account.label);
    }
    context.publish(&store)?;
    eprintln!(
        "{home} is ready; the base is {}",
        context.base()?.dir.display()
    );
    if created {
        eprintln!("settings: {}", context.home.config().display());
    }
    if store.accounts()?.is_empty() {
        eprintln!("next: `ccp add` signs in an account");
    }
    if !arguments.no_service {
        keep_running(context, !store.accounts()?.is_empty())?;
    }
    Ok(exit::OK)
}

/// Offers the service on a terminal; without one, and for a no, a daemon in the background does where there is something
/// to do for it.
fn keep_running(context: &Context, has_accounts: bool) -> Result<(), Failure> {
    if let Some(mut prompt) = Prompt::open()
        && service::is_possible(context)
        && prompt.confirm(
            "Let the system keep ccp's daemon running from sign-in on?",
            false,
        )?
    {
        return service::run(context, ServiceAction::Install).map(drop);
    }
    if has_accounts {
        background::start_and_tell(context);
    }
    Ok(())
}

/// The base as it is to be kept: absolute, and a directory. Links in it stay: it is the person's name for the place.
fn base_dir(dir: &Path) -> Result<PathBuf, Failure> {
    let fail =
        |e: io::Error| Failure::new(format!("cannot use {} as the base: {e}", dir.display()));
    let path = std::path::absolute(dir).map_err(fail)?;
    if !fs::metadata(&path).map_err(fail)?.is_dir() {
        return Err(fail(io::ErrorKind::NotADirectory.into()));
    }
    Ok(path.components().collect())
}

fn change_base(context: &Context, store: &Store, before: &Base, dir: &Path) -> Result<(), Failure> {
    if before.dir == dir {
        return Ok(());
    }
    if context.home.path().starts_with(dir) || dir.starts_with(context.home.accounts()) {
        let error = format!(
            "cannot use {} as the base: it and {} hold each other",
            dir.display(),
            context.home.path().display()
        );
        return Err(Failure::new(error));
    }
    let accounts = store.accounts()?;
    for account in &accounts {
        sessions::must_be_idle(context, account, "change the base")?;
    }
    let text = dir
        .to_str()
        .ok_or_else(|| Failure::new(format!("{} is not UTF-8", dir.display())))?;
    config::edit(context, "overlay.base", text)?;
    eprintln!("the base was {}", before.dir.display());
    Ok(())
}
