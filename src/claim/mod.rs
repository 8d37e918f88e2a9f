//! One pick, claimed: the snapshot, the leases and the past of a directory go in, an account and a lease come out, all
//! under one short lock so that launches at the same moment see each other.
//!
//! The launcher, `ccp select` and `ccp env` share this room. It needs neither daemon, database nor network, and knows
//! nothing of what happens with the account that was picked.

pub mod announce;
pub mod model;
pub mod roster;
mod sessions;

use crate::adapters::files::{Lock, create_private_dir};
use crate::adapters::leases;
use crate::adapters::procs::{self, Machine};
use crate::contract::exit;
use crate::contract::lease::LeaseName;
use crate::contract::paths::Home;
use crate::contract::record::{Circumstances, PickRecord};
use crate::contract::snapshot::{AccountEntry, Snapshot};
use crate::core::account::{ReferenceProblem, resolve_reference};
use crate::core::accounts::lease::Holder;
use crate::core::hash::hash;
use crate::core::select::pick::{NoPick, Pick, Request, pick};
use crate::core::select::pin::{Past, Pin};
use crate::core::select::score::Candidate;
use crate::core::time::Timestamp;
use roster::{Origin, Roster};
use sessions::Sessions;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a launch waits for another one that is choosing at this moment; then it goes on without the lock.
const LOCK_PATIENCE: Duration = Duration::from_millis(50);

/// Who will hold the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimant {
    /// This process, which is about to become the session.
    ThisProcess,
    /// Somebody who was given the account's directory: a reservation.
    Reservation,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Wish<'a> {
    /// The account that the person names, as typed.
    pub account: Option<&'a str>,
    /// The model the launch will use, where known.
    pub model: Option<&'a str>,
    /// The exact directory launched from; empty when it cannot be told.
    pub cwd: &'a Path,
    /// `run`, `select` or `env`.
    pub command: &'a str,
    /// The claude that will be executed.
    pub claude: Option<&'a Path>,
}

/// A pick, with what went into it.
#[derive(Debug)]
pub struct Choice {
    /// The decision.
    pub pick: Pick,
    /// What was chosen from.
    pub candidates: Vec<Candidate>,
}

/// A pick that has been claimed.
#[derive(Debug)]
pub struct Claim {
    /// The decision and what went into it.
    pub choice: Choice,
    /// The account.
    pub account: AccountEntry,
    /// The lease, when it could be written.
    pub lease: Option<LeaseName>,
    /// What went wrong without preventing the claim: texts for stderr.
    pub problems: Vec<String>,
}

/// Why nothing was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The reference names no account.
    Unknown(String),
    /// The reference names several accounts, by these ids.
    Ambiguous(String, Vec<String>),
    /// There are no accounts.
    NoAccounts,
    /// Every account needs a sign-in; labels.
    AllNeedLogin(Vec<String>),
    /// The named account needs a sign-in; its label.
    NeedsLogin(String),
}

impl Refusal {
    /// The exit code of a command that was refused so.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown(_) | Self::Ambiguous(..) => exit::FAILURE,
            Self::NoAccounts | Self::AllNeedLogin(_) | Self::NeedsLogin(_) => exit::UNAVAILABLE,
        }
    }
}

/// Picks without leaving a trace: what `select --wait` looks at again and again.
pub fn look(
    home: &Home,
    roster: &Roster,
    wish: &Wish<'_>,
    now: Timestamp,
) -> Result<Choice, Refusal> {
    let sessions = Sessions::read(home, &procs::machine(), now);
    choose(home, roster, wish, &sessions, now)
}

/// The accounts as they would be chosen from now.
#[must_use]
pub fn candidates(home: &Home, roster: &Roster, now: Timestamp) -> Vec<Candidate> {
    let sessions = Sessions::read(home, &procs::machine(), now);
    roster.snapshot.candidates(now, |id| sessions.count(id))
}

/// Picks and writes the lease, under the lock.
pub fn claim(
    home: &Home,
    roster: &Roster,
    wish: &Wish<'_>,
    claimant: Claimant,
    now: Timestamp,
) -> Result<Claim, Refusal> {
    let mut problems = Vec::new();
    let _lock = lock(home, &mut problems);
    let machine = procs::machine();
    let sessions = Sessions::read(home, &machine, now);
    problems.extend(sessions.problem.clone());
    let choice = choose(home, roster, wish, &sessions, now)?;
    let account = roster
        .snapshot
        .account(choice.pick.id)
        .ok_or(Refusal::NoAccounts)?
        .clone();
    let lease = write_lease(
        home,
        &roster.snapshot,
        wish,
        claimant,
        &choice,
        &machine,
        now,
    );
    let lease = lease.map_err(|problem| problems.push(problem)).ok();
    Ok(Claim {
        choice,
        account,
        lease,
        problems,
    })
}

/// Gives a claim back: its session never came to be.
pub fn release(home: &Home, claim: &Claim) {
    if let Some(lease) = &claim.lease {
        // One that stays behind is dead at once (its process is gone) or within 30 s (a reservation).
        let _ = leases::remove(&home.leases(), lease);
    }
}

fn lock(home: &Home, problems: &mut Vec<String>) -> Option<Lock> {
    let acquire = || Lock::acquire(&home.lease_lock(), LOCK_PATIENCE);
    let missing = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let result = match acquire() {
        Err(error) if missing(&error) => {
            create_private_dir(&home.leases()).and_then(|()| acquire())
        }
        result => result,
    };
    match result {
        Ok(Some(lock)) => Some(lock),
        Ok(None) => None,
        Err(error) => {
            problems.push(format!(
                "cannot lock {}: {error}",
                home.lease_lock().display()
            ));
            None
        }
    }
}

fn choose(
    home: &Home,
    roster: &Roster,
    wish: &Wish<'_>,
    sessions: &Sessions,
    now: Timestamp,
) -> Result<Choice, Refusal> {
    let snapshot = &roster.snapshot;
    let forced = wish
        .account
        .map(|text| resolve(text, snapshot))
        .transpose()?;
    let candidates = snapshot.candidates(now, |id| sessions.count(id));
    // What has no directory has no habits there either.
    let mut past = match wish.cwd.as_os_str().is_empty() {
        true => Past::default(),
        false => sessions.past(home, snapshot, wish.cwd, now),
    };
    if let Origin::Rebuilt { .. } = roster.origin {
        // Nothing is known of anybody's headroom: the account last used, wherever that was.
        past.auto = past.auto.or(sessions.last_used(&candidates));
        past.parallel = false;
    }
    let request = Request {
        forced,
        past,
        model: wish.model,
    };
    let pick = pick(&candidates, &request, now).map_err(|problem| refuse(problem, snapshot))?;
    Ok(Choice { pick, candidates })
}

fn resolve(text: &str, snapshot: &Snapshot) -> Result<crate::core::account::AccountId, Refusal> {
    resolve_reference(text, snapshot.named()).map_err(|problem| match problem {
        ReferenceProblem::Unknown => Refusal::Unknown(text.to_owned()),
        ReferenceProblem::Ambiguous(ids) => Refusal::Ambiguous(
            text.to_owned(),
            ids.iter().map(ToString::to_string).collect(),
        ),
    })
}

fn refuse(problem: NoPick, snapshot: &Snapshot) -> Refusal {
    match problem {
        NoPick::NoAccounts => Refusal::NoAccounts,
        NoPick::AllNeedLogin => {
            Refusal::AllNeedLogin(snapshot.accounts.iter().map(|a| a.label.clone()).collect())
        }
        NoPick::ForcedNeedsLogin(id) => Refusal::NeedsLogin(label_of(snapshot, id).to_owned()),
        NoPick::ForcedUnknown(id) => Refusal::Unknown(id.to_string()),
    }
}

/// The label of an account; empty for one that the snapshot does not hold.
pub fn label_of(snapshot: &Snapshot, id: crate::core::account::AccountId) -> &str {
    snapshot.account(id).map_or("", |a| a.label.as_str())
}

fn write_lease(
    home: &Home,
    snapshot: &Snapshot,
    wish: &Wish<'_>,
    claimant: Claimant,
    choice: &Choice,
    machine: &Machine,
    now: Timestamp,
) -> Result<LeaseName, String> {
    let own = || procs::own_holder().ok_or("cannot read the process table");
    let holder = match claimant {
        Claimant::ThisProcess => own()?,
        Claimant::Reservation => Holder::Reservation { tag: tag(now) },
    };
    let lease = LeaseName {
        account: choice.pick.id,
        holder,
        machine: machine.hash,
        directory: directory_key(wish.cwd),
        created_at: now,
        beside: matches!(choice.pick.pin, Pin::Beside(_)),
    };
    let pid = match holder {
        Holder::Process { pid, .. } => Some(pid),
        Holder::Reservation { .. } => None,
    };
    let circumstances = Circumstances {
        at: now,
        command: wish.command,
        cwd: wish.cwd.to_owned(),
        model: wish.model,
        claude: wish.claude.map(PathBuf::from),
        pid,
        machine: &machine.text,
    };
    let record = PickRecord::new(
        &choice.pick,
        &choice.candidates,
        |id| label_of(snapshot, id),
        circumstances,
    );
    let text = serde_json::to_vec(&record).map_err(|e| format!("cannot describe the pick: {e}"))?;
    let dir = home.leases();
    leases::write(&dir, &lease, &text)
        .map_err(|e| format!("cannot write a lease in {}: {e}", dir.display()))?;
    Ok(lease)
}

/// The key of pins and stickiness: the exact directory.
#[must_use]
pub fn directory_key(cwd: &Path) -> u64 {
    hash(cwd.as_os_str().as_bytes())
}

/// Two reservations of one process within a millisecond differ by the address of a fresh allocation, those of two
/// processes by the pid.
fn tag(now: Timestamp) -> u64 {
    let fresh = Box::new(0_u8);
    let address = (&raw const *fresh) as u64;
    let mut seed = hash(&std::process::id().to_ne_bytes());
    for part in [now.unix_ms().to_ne_bytes(), address.to_ne_bytes()] {
        seed = crate::core::hash::extend(seed, &part);
    }
    seed
}
