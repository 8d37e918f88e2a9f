//! The one thread that runs claude, or asks the service, for the daemon: one account at a time, under the lock that
//! commands sample under.

use super::main_loop::{Event, Places};
use super::renew::{self, Renewed};
use super::sampling::{self, Outcome, Surroundings};
use crate::adapters::agent::{Environment, Until, auth};
use crate::adapters::files::Lock;
use crate::adapters::{clock, creds};
use crate::contract::settings::Renew;
use crate::core::account::AccountId;
use crate::core::accounts::event::{LoginVerdict, ProbeOutcome};
use crate::core::usage::Source;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

/// How long a round of another ccp is waited for.
const PATIENCE: Duration = Duration::from_secs(25);
/// For so long at a time.
const LOOK: Duration = Duration::from_millis(100);

/// What the thread is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// Ask this source for the usage of this account.
    Probe(AccountId, Source),
    /// Ask claude who is logged in.
    Confirm(AccountId),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Done {
    /// Of [`Job::Probe`].
    Probed {
        /// Which account.
        account: AccountId,
        /// Which source.
        source: Source,
        /// What it said.
        outcome: ProbeOutcome,
        /// Whose numbers they are, where that was said.
        account_uuid: Option<String>,
        /// What became of the logins that were due for direct renewal.
        renewed: Vec<(AccountId, Renewed)>,
    },
    /// Of [`Job::Confirm`].
    Confirmed(AccountId, LoginVerdict),
}

/// Works until there are no more jobs. When `stop` is set, what is under way is broken off: claude is asked to end, and
/// is left alone while it renews its login. A direct renewal is finished.
pub(super) fn work(
    places: &Arc<Places>,
    jobs: &Receiver<Job>,
    events: &SyncSender<Event>,
    stop: &AtomicBool,
) {
    for job in jobs {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let done = match job {
            Job::Probe(account, source) => probe(places, account, source, stop),
            Job::Confirm(account) => Done::Confirmed(account, confirm(places, account, stop)),
        };
        // What was broken off says nothing about anybody.
        if stop.load(Ordering::Relaxed) {
            return;
        }
        // A loop that is gone needs no answers.
        if events.send(Event::Done(done)).is_err() {
            return;
        }
    }
}

fn probe(places: &Places, account: AccountId, source: Source, stop: &AtomicBool) -> Done {
    let mut renewed = Vec::new();
    let (outcome, account_uuid) = match lock(places, stop) {
        Ok(_lock) => sample(places, account, source, stop, &mut renewed),
        Err(reason) => (ProbeOutcome::Failed { reason }, None),
    };
    Done::Probed {
        account,
        source,
        outcome,
        account_uuid,
        renewed,
    }
}

/// Commands sample under this lock, too; its time tells launches that somebody does.
fn lock(places: &Places, stop: &AtomicBool) -> Result<Lock, String> {
    let path = places.home.refresh_lock();
    let until = Until::new(Instant::now() + PATIENCE, Some(stop));
    loop {
        let lock = Lock::acquire(&path, until.left().min(LOOK))
            .map_err(|e| format!("cannot lock {}: {e}", path.display()))?;
        if let Some(lock) = lock {
            let _ = lock.touch(clock::now());
            return Ok(lock);
        }
        if until.left().is_zero() {
            return Err("another ccp is sampling the accounts at this moment".to_owned());
        }
    }
}

fn sample(
    places: &Places,
    account: AccountId,
    source: Source,
    stop: &AtomicBool,
    renewed: &mut Vec<(AccountId, Renewed)>,
) -> (ProbeOutcome, Option<String>) {
    let claude = (places.find_claude)();
    let (api, oauth) = match sampling::bases() {
        Ok(bases) => bases,
        Err(reason) => return (ProbeOutcome::Failed { reason }, None),
    };
    let surroundings = Surroundings {
        home: &places.home,
        claude: claude.as_deref(),
        inherited: &places.inherited,
        api: &api,
        oauth: &oauth,
        now: &clock::now,
        stop: Some(stop),
    };
    *renewed = renew_where_chosen(places, surroundings);
    let deadline = Instant::now() + sampling::BOUND;
    let sampled = sampling::sample_accounts(&[account], &[source], 1, deadline, surroundings);
    let outcome = sampled.into_iter().next().map(|(_, outcome)| outcome);
    match outcome.unwrap_or(Outcome::NotReached) {
        Outcome::Measured {
            sample,
            account_uuid,
            ..
        } => (ProbeOutcome::Measured(sample), account_uuid),
        Outcome::Unchanged { .. } => (ProbeOutcome::Unchanged, None),
        // claude does not tell throttled from offline; the service does.
        Outcome::Throttled { .. } if source == Source::Claude => (ProbeOutcome::NoNumbers, None),
        Outcome::Throttled { retry_after } => (ProbeOutcome::Throttled { retry_after }, None),
        Outcome::LoginSuspected { confirmed } => {
            let verdict = confirmed.then_some(LoginVerdict::LoggedOut);
            (ProbeOutcome::LoginSuspected { verdict }, None)
        }
        Outcome::Failed { reason } => (ProbeOutcome::Failed { reason }, None),
        Outcome::NotReached => {
            let reason = "there was no time left to ask".to_owned();
            (ProbeOutcome::Failed { reason }, None)
        }
    }
}

/// With `login.renew = "direct"`, logins that are due are renewed on the way. What fails is in the database, and the
/// question that follows lets claude try.
fn renew_where_chosen(
    places: &Places,
    surroundings: Surroundings<'_>,
) -> Vec<(AccountId, Renewed)> {
    if !(places.settings)().is_ok_and(|settings| settings.renew == Renew::Direct) {
        return Vec::new();
    }
    let renewed = (places.open_store)().map(|mut store| {
        let now = clock::now();
        renew::renew_due(&mut store, surroundings, now).unwrap_or_default()
    });
    renewed.unwrap_or_default()
}

fn confirm(places: &Places, account: AccountId, stop: &AtomicBool) -> LoginVerdict {
    let Some(claude): Option<PathBuf> = (places.find_claude)() else {
        return LoginVerdict::Unknown;
    };
    let dir = places.home.account(account);
    let environment = Environment::for_account(places.inherited.iter().cloned(), &dir);
    let until = Until::new(Instant::now() + auth::PATIENCE, Some(stop));
    match auth::status_until(&claude, &dir, &environment, until) {
        Ok(status) if status.logged_in => LoginVerdict::LoggedIn,
        Ok(_) if creds::presence(&places.home, account) != creds::Presence::Unknown => {
            LoginVerdict::LoggedOut
        }
        Ok(_) | Err(_) => LoginVerdict::Unknown,
    }
}
