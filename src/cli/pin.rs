//! `ccp pin` and `ccp unpin`: standing orders for a directory.

use super::accounts;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::reserve;
use crate::adapters::store::Store;
use crate::claim::rules::{self, Place};
use crate::contract::exit;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs `ccp pin ACCOUNT [DIR]`.
pub fn pin(context: &Context, reference: &str, dir: Option<&Path>) -> Outcome {
    let mut store = accounts::open(context)?;
    let account = accounts::find(&store, reference)?;
    let dir = existing(dir)?;
    let before = store
        .pins()?
        .into_iter()
        .find(|pin| pin.manual && pin.dir == dir);
    store.pin(&dir, account.id, context.now)?;
    context.publish(&store)?;
    let place = dir.display();
    match before {
        Some(pin) if pin.account == account.id => {
            eprintln!("{place} was pinned to {} already", account.label);
        }
        Some(pin) => {
            let old = label(&store, pin.account)?;
            eprintln!("{place} is now pinned to {}, not to {old}", account.label);
        }
        None => eprintln!("{place} is now pinned to {}", account.label),
    }
    let roster = reserve::roster(context);
    let bound = rules::bound(&roster, &Place::at(&dir));
    if let Some(bound) = bound.filter(|bound| !bound.accounts.contains(&account.id)) {
        let (rule, label) = (bound.name(), &account.label);
        eprintln!("note: {rule} does not allow {label} there: the pin does not bind");
    }
    Ok(exit::OK)
}

/// Runs `ccp unpin [DIR]`. The memory of the last account used there goes, too: "take it back" means "choose anew".
pub fn unpin(context: &Context, dir: Option<&Path>) -> Outcome {
    let mut store = accounts::open(context)?;
    let dir = match dir {
        // A directory that is gone can still be unpinned.
        Some(dir) => existing(Some(dir)).or_else(|_| absolute(dir))?,
        None => existing(None)?,
    };
    let forgotten = store.unpin(&dir)?;
    context.publish(&store)?;
    let place = dir.display();
    match forgotten.iter().find(|pin| pin.manual) {
        Some(pin) => eprintln!(
            "{place} is no longer pinned to {}",
            label(&store, pin.account)?
        ),
        None => eprintln!("{place} was not pinned"),
    }
    Ok(exit::OK)
}

fn label(store: &Store, id: crate::core::account::AccountId) -> Result<String, Failure> {
    let account = store.account(id)?;
    Ok(account.map_or_else(|| id.to_string(), |a| a.label))
}

/// The directory as a process that works in it sees it (getcwd(3)): absolute, links resolved. It is the key of pins.
fn existing(dir: Option<&Path>) -> Result<PathBuf, Failure> {
    let fail = |path: &Path, error: std::io::Error| {
        Failure::new(format!("cannot pin {}: {error}", path.display()))
            .hint("name a directory that exists")
    };
    let Some(dir) = dir else {
        return env::current_dir().map_err(|e| fail(Path::new("the current directory"), e));
    };
    let path = fs::canonicalize(dir).map_err(|e| fail(dir, e))?;
    if path.is_dir() {
        Ok(path)
    } else {
        Err(fail(dir, std::io::ErrorKind::NotADirectory.into()))
    }
}

fn absolute(dir: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(dir)
        .map(|path| path.components().collect())
        .map_err(|e| Failure::new(format!("cannot tell where {} is: {e}", dir.display())))
}
