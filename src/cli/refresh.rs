//! `ccp refresh`, and the sampling that other commands do on the way.

use super::accounts;
use super::background;
use super::claude;
use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::clock;
use crate::adapters::store::Store;
use crate::client;
use crate::contract::exit;
use crate::contract::proto::{Refresh as Ask, Refreshed, Request, Response, Wanted};
use crate::core::account::AccountId;
use crate::daemon::refresh::{self, RefreshError, Round, Which};
use crate::daemon::sampling::{self, Outcome as Sampled, Surroundings};
use std::time::Duration;

/// Runs `ccp refresh`. Quietly, as launches start it, another round that is under way is good enough.
pub fn run(context: &Context, all: bool, quiet: bool) -> Outcome {
    // Why none was started, where none was, concerns nobody here.
    let _ = background::start(context);
    let wanted = if all { Wanted::All } else { Wanted::Stale };
    if let Some(refreshed) = by_daemon(context, wanted) {
        if !quiet {
            tell_of(context, &refreshed)?;
        }
        return Ok(exit::OK);
    }
    // A new database knows of no account, and publishing that would take away what launches still go by.
    let mut store = accounts::open(context)?;
    let which = if all { Which::All } else { Which::Stale };
    if !quiet {
        let round = sample(context, &mut store, which, sampling::BOUND)?;
        tell(&store, &round)?;
        return Ok(exit::OK);
    }
    match attempt(context, &mut store, which, Duration::ZERO)? {
        Ok(_) | Err(RefreshError::Busy) => Ok(exit::OK),
        Err(error) => Err(error.into()),
    }
}

/// Samples, waiting at most `patience` for another round that is under way.
pub fn sample(
    context: &Context,
    store: &mut Store,
    which: Which<'_>,
    patience: Duration,
) -> Result<Round, Failure> {
    Ok(attempt(context, store, which, patience)??)
}

/// What was handed in reaches launches at once. Where that fails, the next command takes it in.
pub fn take_in(context: &Context) {
    let waiting = std::fs::read_dir(context.home.inbox()).is_ok_and(|mut d| d.next().is_some());
    if !waiting {
        return;
    }
    if let Ok(Some(mut store)) = context.existing_store() {
        let _ = sample(context, &mut store, Which::Nobody, Duration::ZERO);
    }
}

/// Samples every account, for a screen that shows the result itself.
pub fn sample_all(context: &Context) -> Result<(), Failure> {
    if by_daemon(context, Wanted::All).is_some() {
        return Ok(());
    }
    let mut store = context.open_store()?;
    sample(context, &mut store, Which::All, sampling::BOUND).map(drop)
}

/// How long a daemon's round may take: its own bound, and some time to publish.
const DAEMON_PATIENCE: Duration = Duration::from_secs(40);

/// Lets the daemon sample, when one runs: it never asks two accounts at once, and knows how long the service wants to
/// be left alone. None: nobody did it, for whatever reason, and it is done here.
pub fn by_daemon(context: &Context, wanted: Wanted) -> Option<Refreshed> {
    let request = Request::Refresh(Ask { wanted });
    match client::ask(&context.home, &request, DAEMON_PATIENCE) {
        Ok(Response::Refresh(refreshed)) => Some(refreshed),
        Ok(_) | Err(_) => None,
    }
}

fn tell_of(context: &Context, refreshed: &Refreshed) -> Result<(), Failure> {
    let accounts = context.open_store()?.accounts()?;
    let label = |number: u16| {
        let account = accounts.iter().find(|a| a.id.number() == number);
        account.map_or_else(|| number.to_string(), |a| a.label.clone())
    };
    for number in &refreshed.renewed {
        eprintln!("{}: login renewed", label(*number));
    }
    for number in &refreshed.sampled {
        eprintln!("{}: sampled", label(*number));
    }
    for failed in &refreshed.failed {
        eprintln!("warning: {}: {}", label(failed.account), failed.problem);
    }
    Ok(())
}

/// The first sample of an account that was just signed in. Without it the account works, with unknown usage, so that
/// a failure is only told.
pub fn first(context: &Context, store: &mut Store, id: AccountId) {
    let round = sample(context, store, Which::Only(&[id]), sampling::BOUND);
    let problem = match &round {
        Ok(round) => round
            .outcomes
            .iter()
            .find_map(|(_, outcome)| problem(outcome)),
        Err(failure) => Some(failure.error.clone()),
    };
    if let Some(problem) = problem {
        eprintln!("warning: its usage is not known yet: {problem}");
    }
}

fn attempt(
    context: &Context,
    store: &mut Store,
    which: Which<'_>,
    patience: Duration,
) -> Result<Result<Round, RefreshError>, Failure> {
    let settings = context.settings()?;
    let base = settings.base(&context.user_home);
    // Without a claude its source has no answer; the others may.
    let claude = claude::find_claude(&context.user_home).ok();
    let inherited: Vec<_> = std::env::vars_os().collect();
    let (api, oauth) = sampling::bases().map_err(Failure::new)?;
    let surroundings = Surroundings {
        home: &context.home,
        claude: claude.as_deref(),
        inherited: &inherited,
        api: &api,
        oauth: &oauth,
        now: &clock::now,
        stop: None,
    };
    Ok(refresh::refresh(
        store,
        &settings,
        &base,
        which,
        surroundings,
        patience,
    ))
}

/// What stood in the way of an account's numbers, as the tail of a sentence.
fn problem(outcome: &Sampled) -> Option<String> {
    match outcome {
        Sampled::Measured { .. } | Sampled::Unchanged { .. } => None,
        Sampled::Throttled { .. } => {
            Some("the service throttles the question, or cannot be reached".to_owned())
        }
        Sampled::LoginSuspected { confirmed: true } => {
            Some("claude says it is logged out".to_owned())
        }
        Sampled::LoginSuspected { confirmed: false } => Some("the login may be dead".to_owned()),
        Sampled::Failed { reason } => Some(reason.clone()),
        Sampled::NotReached => Some("there was no time left to ask".to_owned()),
    }
}

fn tell(store: &Store, round: &Round) -> Result<(), Failure> {
    let accounts = store.accounts()?;
    let told = |id: AccountId, done: &str, problem: Option<String>| {
        let account = accounts.iter().find(|a| a.id == id);
        let label = account.map_or("", |a| a.label.as_str());
        match problem {
            None => eprintln!("{label}: {done}"),
            Some(problem) => eprintln!("warning: {label}: {problem}"),
        }
    };
    for (id, renewed) in &round.renewed {
        told(*id, "login renewed", renewed.problem());
    }
    for (id, outcome) in &round.outcomes {
        told(*id, "sampled", problem(outcome));
    }
    Ok(())
}
