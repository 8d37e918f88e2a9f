//! From what a person typed to the account it names, for the commands that change something.

use super::context::Context;
use super::failure::Failure;
use crate::adapters::store::{Account, Store};
use crate::claim::{Refusal, announce};
use crate::contract::exit;
use crate::core::account::{Named, ReferenceProblem, resolve_reference};

/// The database, for a command about accounts that are there: where there is none, none is made.
pub fn open(context: &Context) -> Result<Store, Failure> {
    if context.home.state_db().exists() || !context.foreign()?.is_empty() {
        return Ok(context.open_store()?);
    }
    let adoptable = context.home.accounts().is_dir();
    let failure = Failure::from(Refusal::NoAccounts).code(exit::FAILURE);
    Err(if adoptable {
        failure.hint("`ccp init` adopts the account directories that are on disk")
    } else {
        failure
    })
}

/// The one account that `reference` names: id, acct-NN, label or email.
pub fn find(store: &Store, reference: &str) -> Result<Account, Failure> {
    let accounts = store.accounts()?;
    resolve(accounts, reference)
}

/// The same among accounts that were read already.
pub fn resolve(accounts: Vec<Account>, reference: &str) -> Result<Account, Failure> {
    let named = accounts.iter().map(|account| Named {
        id: account.id,
        label: &account.label,
        email: account.identity.as_ref().and_then(|i| i.email.as_deref()),
    });
    let id = resolve_reference(reference, named).map_err(|problem| refused(reference, problem))?;
    let found = accounts.into_iter().find(|account| account.id == id);
    Ok(found.expect("a reference resolves to one of the accounts"))
}

fn refused(reference: &str, problem: ReferenceProblem) -> Failure {
    let refusal = match problem {
        ReferenceProblem::Unknown => Refusal::Unknown(reference.to_owned()),
        ReferenceProblem::Ambiguous(ids) => Refusal::Ambiguous(
            reference.to_owned(),
            ids.iter().map(ToString::to_string).collect(),
        ),
    };
    let told = announce::refusal(&refusal);
    Failure::new(told.error)
        .hint(told.hint)
        .code(refusal.exit_code())
}
