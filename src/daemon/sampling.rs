//! Sampling accounts now: several at a time, each by the first source that has an answer, all within one bound. It
//! returns what was found out; keeping it is for whoever asked.

use crate::adapters::agent::{
    Environment, Until, auth,
    probe::{self, Answer, Probe, ProbeError, Question},
};
use crate::adapters::claude_api::{self, ApiBase, ApiError, Bearer};
use crate::adapters::creds::{self, Presence};
use crate::contract::paths::Home;
use crate::contract::vars;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::{Sample, Source};
use std::ffi::OsString;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Probes that run at once on demand: each is a process of half a second of CPU.
pub const PARALLELISM: usize = 4;
/// How long sampling on demand takes at most, all accounts together.
pub const BOUND: Duration = Duration::from_secs(25);
/// With less time than this left, an account is not begun with.
const LEAST: Duration = Duration::from_millis(500);

/// Where the service and its token endpoint are, for the `oauth` source and direct renewal: its own addresses, unless the
/// environment moves them. An error names the variable.
pub fn bases() -> Result<(ApiBase, ApiBase), String> {
    let base = |variable: &str, default: fn() -> ApiBase| match std::env::var_os(variable)
        .filter(|v| !v.is_empty())
    {
        None => Ok(default()),
        Some(value) => ApiBase::parse(&value.to_string_lossy())
            .map_err(|e| format!("{variable} is wrong: {e}")),
    };
    Ok((
        base(vars::CCP_API_BASE, ApiBase::default)?,
        base(vars::CCP_OAUTH_BASE, ApiBase::of_tokens)?,
    ))
}

/// What samples are taken with.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// Where the accounts are.
    pub home: &'a Home,
    /// The claude executable; none when there is none, and then its source has no answer.
    pub claude: Option<&'a Path>,
    /// The environment to derive each account's from.
    pub inherited: &'a [(OsString, OsString)],
    /// Where the `oauth` source asks.
    pub api: &'a ApiBase,
    /// Where direct renewal asks.
    pub oauth: &'a ApiBase,
    /// The wall clock.
    pub now: &'a (dyn Fn() -> Timestamp + Sync),
    /// Nobody wants to know any more once this is set.
    pub stop: Option<&'a AtomicBool>,
}

/// What sampling one account came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// New numbers.
    Measured {
        /// The numbers.
        sample: Sample,
        /// Whose they are, by claude's own record; a sample counts only for this account.
        account_uuid: Option<String>,
        /// Parts of the answer that were not understood.
        problems: Vec<String>,
    },
    /// The numbers held already: no answer, and no error.
    Unchanged {
        /// When they were measured.
        measured_at: Timestamp,
    },
    /// The service throttles or cannot be reached; this says nothing about the account's own limits.
    Throttled {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// There is reason to believe that the login is dead.
    LoginSuspected {
        /// `claude auth status` says logged out, and the place where the login would be can be read. It takes two such
        /// answers, a minute apart, to be sure.
        confirmed: bool,
    },
    /// No source had an answer.
    Failed {
        /// Why, of the last one tried.
        reason: String,
    },
    /// The time was over before this account's turn.
    NotReached,
}

impl Outcome {
    /// Whether another source may do better.
    const fn is_answer(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::NotReached)
    }
}

/// Samples `accounts`, at most `parallelism` at a time and all by `deadline`, each by `sources` in order (`live` is what
/// sessions report by themselves, and cannot be asked for). Results are in the order of `accounts`.
#[must_use]
pub fn sample_accounts(
    accounts: &[AccountId],
    sources: &[Source],
    parallelism: usize,
    deadline: Instant,
    surroundings: Surroundings<'_>,
) -> Vec<(AccountId, Outcome)> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(accounts.len()));
    let work = || {
        while let Some((index, account)) = take(accounts, &next) {
            let outcome = sample(account, sources, deadline, surroundings);
            let mut done = done.lock().unwrap_or_else(|broken| broken.into_inner());
            done.push((index, outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..parallelism.clamp(1, accounts.len().max(1)) {
            scope.spawn(work);
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    done.sort_by_key(|(index, _)| *index);
    done.into_iter()
        .map(|(index, outcome)| (accounts[index], outcome))
        .collect()
}

fn take(accounts: &[AccountId], next: &AtomicUsize) -> Option<(usize, AccountId)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    accounts.get(index).map(|account| (index, *account))
}

fn sample(
    account: AccountId,
    sources: &[Source],
    deadline: Instant,
    surroundings: Surroundings<'_>,
) -> Outcome {
    let mut outcome = Outcome::Failed {
        reason: "no usage source can be asked".to_owned(),
    };
    for source in sources {
        let left = deadline.saturating_duration_since(Instant::now());
        if left < LEAST {
            return Outcome::NotReached;
        }
        outcome = match source {
            Source::Live => continue,
            Source::Claude => ask_claude(account, left, surroundings),
            Source::Oauth => ask_service(account, left, surroundings),
        };
        if outcome.is_answer() {
            break;
        }
    }
    outcome
}

fn failed(error: &impl std::fmt::Display) -> Outcome {
    Outcome::Failed {
        reason: error.to_string(),
    }
}

fn ask_claude(account: AccountId, left: Duration, surroundings: Surroundings<'_>) -> Outcome {
    let Some(claude) = surroundings.claude else {
        return failed(&"claude not found");
    };
    let account_dir = surroundings.home.account(account);
    let environment =
        Environment::for_account(surroundings.inherited.iter().cloned(), &account_dir);
    let started = Instant::now();
    let credential = creds::presence(surroundings.home, account);
    let question = Question {
        claude,
        account_dir: &account_dir,
        probe_dir: &surroundings.home.probe_dir(),
        environment: environment.clone(),
        timeout: left.min(probe::PATIENCE),
        stop: surroundings.stop,
    };
    let probed = probe::probe(&question, surroundings.now);
    let suspected = match &probed {
        Ok(probe) => match probe.answer {
            Answer::LoginSuspected => true,
            // A claude that finds its login dead while it answers blanks it, and still names the plan.
            Answer::Throttled => creds::presence(surroundings.home, account) != credential,
            Answer::Measured(_) | Answer::Unchanged { .. } => false,
        },
        Err(_) => false,
    };
    if suspected {
        let left = left.saturating_sub(started.elapsed());
        confirm(account, claude, &environment, left, surroundings)
    } else {
        outcome_of(probed)
    }
}

fn outcome_of(probed: Result<Probe, ProbeError>) -> Outcome {
    let probe = match probed {
        Ok(probe) => probe,
        Err(error) => return failed(&error),
    };
    match probe.answer {
        Answer::Measured(sample) => Outcome::Measured {
            sample,
            account_uuid: probe.identity.map(|identity| identity.account_uuid),
            problems: probe.problems.iter().map(ToString::to_string).collect(),
        },
        Answer::Unchanged { measured_at } => Outcome::Unchanged { measured_at },
        Answer::Throttled => Outcome::Throttled { retry_after: None },
        Answer::LoginSuspected => Outcome::LoginSuspected { confirmed: false },
    }
}

/// Asks claude about a login that looks dead. A place that cannot be read (a locked Keychain) leaves it open.
fn confirm(
    account: AccountId,
    claude: &Path,
    environment: &Environment,
    left: Duration,
    surroundings: Surroundings<'_>,
) -> Outcome {
    let account_dir = surroundings.home.account(account);
    let until = Instant::now() + left.min(auth::PATIENCE);
    let until = Until::new(until, surroundings.stop);
    match auth::status_until(claude, &account_dir, environment, until) {
        // It renewed the login while at it, so the next probe has numbers.
        Ok(status) if status.logged_in => Outcome::Throttled { retry_after: None },
        Ok(_) => Outcome::LoginSuspected {
            confirmed: creds::presence(surroundings.home, account) != Presence::Unknown,
        },
        Err(_) => Outcome::LoginSuspected { confirmed: false },
    }
}

fn ask_service(account: AccountId, left: Duration, surroundings: Surroundings<'_>) -> Outcome {
    let token = match creds::read_access_token(surroundings.home, account) {
        Ok(Some(token)) => token,
        Ok(None) => return Outcome::LoginSuspected { confirmed: false },
        Err(error) => return failed(&error),
    };
    let bearer = Bearer {
        token: token.secret.expose(),
        expires_at: token.expires_at,
    };
    let now = (surroundings.now)();
    let timeout = left.min(claude_api::TIMEOUT);
    match claude_api::fetch_usage(surroundings.api, bearer, now, timeout) {
        Ok((report, problems)) => Outcome::Measured {
            sample: Sample {
                measured_at: (surroundings.now)(),
                source: Source::Oauth,
                windows: report.windows,
                extra: report.extra,
            },
            // The token is the account's own, so the numbers are.
            account_uuid: None,
            problems: problems.iter().map(ToString::to_string).collect(),
        },
        Err(ApiError::Throttled { retry_after }) => Outcome::Throttled { retry_after },
        Err(error) => failed(&error),
    }
}
