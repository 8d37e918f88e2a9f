//! `ccp login`: signs an account in again. A login of somebody else in its place is not taken silently.

use super::accounts;
use super::arguments::Login;
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::prompt::Prompt;
use super::refresh;
use super::rename::is_placeholder;
use super::sign_in::{self, SignIn, is_same};
use crate::adapters::clock;
use crate::adapters::store::{Account, Store};
use crate::contract::exit;
use crate::core::accounts::label::from_identity;
use crate::core::claude_json::identity::Identity;

/// Runs `ccp login`.
pub fn run(context: &Context, arguments: &Login) -> Outcome {
    let mut prompt = Prompt::open();
    let mut store = accounts::open(context)?;
    let account = accounts::find(&store, &arguments.account)?;
    let command = format!("ccp login {}", account.id);
    sign_in::place(arguments.run_login, prompt.as_mut(), &command)?;
    let Some(sign_in) = SignIn::take(context, &account)? else {
        return Err(
            Failure::new(format!("somebody signs in to {} already", account.id))
                .hint("finish or break off that one first"),
        );
    };
    sign_in::prepare(context, &mut store, &account)?;
    let mut place = sign_in::place(arguments.run_login, prompt.as_mut(), &command)?;
    let identity = sign_in.run(&mut place)?;
    if let Some(before) = account.identity.as_ref().filter(|b| !is_same(b, &identity)) {
        accept_other(
            context,
            &mut store,
            &account,
            before,
            &identity,
            prompt.as_mut(),
        )?;
    }
    store.set_identity(account.id, &identity)?;
    if is_placeholder(&account.label) {
        let wish = from_identity(
            identity.email.as_deref(),
            identity.organization_name.as_deref(),
        );
        store.set_label_like(account.id, &wish)?;
    }
    store.set_signed_in(account.id, clock::now())?;
    sign_in::warn_about_twins(context, &store, account.id)?;
    refresh::first(context, &mut store, account.id);
    context.publish(&store)?;
    eprintln!("{} is signed in as {}", account.label, name_of(&identity));
    Ok(exit::OK)
}

/// Asks whether the account is to be somebody else's from now on. When not, it is not picked until the right person has
/// signed in: what is in its directory now is the other one's login.
fn accept_other(
    context: &Context,
    store: &mut Store,
    account: &Account,
    before: &Identity,
    now: &Identity,
    prompt: Option<&mut Prompt>,
) -> Result<(), Failure> {
    // Until it is accepted; also when the answer is Ctrl-C.
    store.set_needs_login(account.id, true)?;
    context.publish(store)?;
    let (old, new) = (name_of(before), name_of(now));
    let accepted = match prompt {
        Some(prompt) => {
            let question = format!(
                "{} was {old} and is now signed in as {new}. Keep the new login?",
                account.label
            );
            prompt.confirm(&question, false)?
        }
        None => false,
    };
    if accepted {
        return Ok(());
    }
    Err(Failure::new(format!(
        "{} is {old}, but {new} is signed in there now; it is not used until that is settled",
        account.label
    ))
    .hint(format!(
        "`ccp login {}` signs {old} in again; `ccp add` is for another account",
        account.id
    )))
}

fn name_of(identity: &Identity) -> String {
    let email = identity.email.as_deref().unwrap_or("an unnamed account");
    match identity.organization_name.as_deref() {
        Some(organization) => format!("{email} ({organization})"),
        None => email.to_owned(),
    }
}
