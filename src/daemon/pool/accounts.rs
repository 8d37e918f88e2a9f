//! On whose login a slot runs: picked at its start, the way a launch is, and counted as a session of that account for as
//! long as its claude lives. Where there are no accounts, slots run on plain claude's own login.

use super::views::Labels;
use crate::adapters::overlay::accept_trust;
use crate::adapters::procs::children;
use crate::adapters::{files, leases};
use crate::claim::{self, Claim, Claimant, Refusal, Wish, announce, roster};
use crate::contract::lease::LeaseName;
use crate::contract::paths::Home;
use crate::contract::snapshot::Snapshot;
use crate::core::account::{AccountId, resolve_reference};
use crate::core::accounts::lease::Holder;
use crate::core::select::pick::rank;
use crate::core::select::score::{Assessment, Candidate};
use crate::core::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long an account's directory may take to be put in order; it mostly is.
const IN_ORDER: Duration = Duration::from_secs(3);
/// How long claude's lock on its own file is waited for.
const TRUST: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// What a pick is for, as it is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// A slot is started.
    Slot,
    /// A session goes on under another account.
    Handoff,
}

impl Why {
    const fn word(self) -> &'static str {
        match self {
            Self::Slot => "pool",
            Self::Handoff => "handoff",
        }
    }
}

/// Where the accounts are.
#[derive(Clone, Debug)]
pub(super) struct Accounts {
    /// The home of ccp.
    pub(super) home: Home,
    /// The person's home directory.
    pub(super) user_home: PathBuf,
    /// This program.
    pub(super) program: PathBuf,
}

/// How the accounts stand.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Best first.
    pub(super) ranking: Vec<Assessment>,
    /// Those that serve beyond their plan, which is billed.
    pub(super) billed: BTreeSet<AccountId>,
}

/// What a slot was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// Which account.
    pub(super) id: AccountId,
    /// Its directory.
    pub(super) dir: PathBuf,
    /// The claim on it until claude runs.
    pub(super) lease: Option<LeaseName>,
}

/// The accounts that a pool may use, as `config.toml` names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Only {
    /// The pool's name.
    pub(super) pool: String,
    /// The accounts: by label, email or id.
    pub(super) names: Vec<String>,
}

impl fmt::Display for Only {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.join("`, `");
        write!(
            f,
            "the accounts of pool.{} in config.toml (`{names}`)",
            self.pool
        )
    }
}

impl Only {
    /// Leaves these accounts alone in the snapshot. The error is for whoever wants a slot.
    fn restrict(&self, snapshot: &mut Snapshot, wanted: Option<AccountId>) -> Result<(), String> {
        let resolved = self
            .names
            .iter()
            .map(|name| resolve_reference(name, snapshot.named()));
        let allowed: Vec<AccountId> = resolved.filter_map(Result::ok).collect();
        if allowed.is_empty() {
            return Err(format!(
                "none of {self} is known here; `ccp list` shows the accounts, `ccp config path` the file"
            ));
        }
        if let Some(wanted) = wanted.filter(|wanted| !allowed.contains(wanted)) {
            return Err(format!(
                "{wanted} is none of {self}; add it there, or name one of them"
            ));
        }
        let is_allowed = |id: u16| allowed.iter().any(|allowed| allowed.number() == id);
        snapshot.accounts.retain(|account| is_allowed(account.id));
        Ok(())
    }
}

impl Accounts {
    /// What accounts are called.
    pub(super) fn labels(&self) -> Labels {
        let roster = roster::load(&self.home, &self.user_home);
        let all = roster.snapshot.named();
        all.map(|account| (account.id, account.label.to_owned()))
            .collect()
    }

    /// The account that a client names: by number, id, label or email. The error is for that client.
    pub(super) fn resolve(&self, reference: &str) -> Result<AccountId, String> {
        let roster = roster::load(&self.home, &self.user_home);
        resolve_reference(reference, roster.snapshot.named())
            .map_err(|_| format!("no account, or more than one, is called `{reference}`"))
    }

    /// The accounts that a pool may use, best first, as far as is known; `refused` are known to be refused until then.
    /// None where there are none.
    pub(super) fn standing(
        &self,
        only: Option<&Only>,
        refused: &BTreeMap<AccountId, Timestamp>,
        model: Option<&str>,
        now: Timestamp,
    ) -> Option<Standing> {
        let mut roster = roster::load(&self.home, &self.user_home);
        if roster.snapshot.accounts.is_empty() {
            return None;
        }
        if let Some(only) = only {
            // A list of which no account is known leaves none; the start of a slot says so.
            let _ = only.restrict(&mut roster.snapshot, None);
        }
        let mut candidates = claim::candidates(&self.home, &roster, now);
        let has_extra = |candidate: &&Candidate| {
            let extra = candidate.sample.as_ref().and_then(|s| s.extra.as_ref());
            extra.is_some_and(|extra| extra.enabled)
        };
        let billed = candidates.iter().filter(has_extra).map(|c| c.id).collect();
        for candidate in &mut candidates {
            let known = refused.get(&candidate.id).copied();
            candidate.limited_until = candidate.limited_until.max(known);
        }
        let ranking = rank(&candidates, model, now);
        Some(Standing { ranking, billed })
    }

    /// Picks the account of a slot and claims it; none where there are none. `wanted` leaves no choice, `only` leaves
    /// those that the person named for this pool.
    pub(super) fn pick(
        &self,
        wanted: Option<AccountId>,
        only: Option<&Only>,
        why: Why,
        model: Option<&str>,
        claude: &Path,
        now: Timestamp,
    ) -> Result<Option<Given>, String> {
        let mut roster = roster::load(&self.home, &self.user_home);
        if let Some(only) = only {
            only.restrict(&mut roster.snapshot, wanted)?;
        } else if roster.snapshot.accounts.is_empty() && wanted.is_none() {
            return Ok(None);
        }
        let wanted = wanted.map(|id| id.to_string());
        let wish = Wish {
            account: wanted.as_deref(),
            model,
            // Slots share a directory: by its habits all of them would be on one account.
            cwd: Path::new(""),
            command: why.word(),
            claude: Some(claude),
        };
        match claim::claim(&self.home, &roster, &wish, Claimant::Reservation, now) {
            Ok(Claim {
                choice,
                account,
                lease,
                ..
            }) => Ok(Some(Given {
                id: choice.pick.id,
                dir: account.dir,
                lease,
            })),
            Err(Refusal::NoAccounts) => Ok(None),
            Err(refusal) => {
                let announce::Failure { error, hint } = announce::refusal(&refusal);
                let of = only.map_or_else(String::new, |only| format!("of {only}: "));
                Err(format!("{of}{error}; {hint}"))
            }
        }
    }

    /// Sees to it that a claude under this account finds everything in its place, and asks nothing about this directory.
    pub(super) fn prepare(&self, given: &Given, trusted: Option<&Path>) -> Result<(), String> {
        self.put_in_order(given);
        let Some(dir) = trusted else { return Ok(()) };
        accept_trust(&given.dir, dir, TRUST)
            .map(|_| ())
            .map_err(|error| error.to_string())
    }

    /// A directory that is not in order is no reason not to start; the next launch sees to it.
    fn put_in_order(&self, given: &Given) {
        let mut command = Command::new(&self.program);
        command.args(["sync", "--quiet", "--account", &given.id.to_string()]);
        if let Some(lease) = &given.lease {
            // Its session has not begun: the directory is not in use for that.
            command.args(["--launching", &lease.to_string()]);
        }
        command
            .env(crate::contract::vars::CCP_HOME, self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Ok(mut child) = command.spawn() {
            wait_for(&mut child);
        }
    }

    /// From now on this process holds the claim.
    pub(super) fn hold(&self, lease: &LeaseName, pid: u32, start: u64) {
        // A claim that cannot be written is not counted; the daemon of the accounts finds the process by itself.
        let process = Holder::Process { pid, start };
        let _ = leases::hand_over(&self.home.leases(), lease, process);
    }
}

fn wait_for(child: &mut Child) {
    let since = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if since.elapsed() >= IN_ORDER {
            children::signal_child(child.id(), children::Signal::Terminate);
            let _ = child.wait();
            return;
        }
        files::pause(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restricted(names: &[&str], wanted: Option<u16>) -> Result<Vec<u16>, String> {
        let account = |id: u16, label: &str| {
            format!(r#"{{"id":{id},"label":"{label}","email":"{label}@x.test","dir":"/{id}"}}"#)
        };
        let accounts = [account(1, "work"), account(2, "home"), account(3, "other")].join(",");
        let text = format!(
            r#"{{"schema":1,"version":"1","generated_at_ms":1,"base_dir":"/b","base_json":"/j","accounts":[{accounts}],"pins":[]}}"#
        );
        let mut snapshot: Snapshot = serde_json::from_str(&text).expect("parses");
        let only = Only {
            pool: "p".to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let wanted = wanted.and_then(AccountId::new);
        only.restrict(&mut snapshot, wanted)?;
        Ok(snapshot.accounts.iter().map(|account| account.id).collect())
    }

    #[test]
    fn only_those_that_are_named_are_left() {
        assert_eq!(restricted(&["home", "work@x.test"], None), Ok(vec![1, 2]));
        assert_eq!(restricted(&["acct-03"], Some(3)), Ok(vec![3]));
        // One that is gone keeps nobody else out.
        assert_eq!(restricted(&["gone", "home"], None), Ok(vec![2]));
        let nobody = restricted(&["gone", "lost"], None).expect_err("nobody");
        assert!(
            nobody.starts_with("none of the accounts of pool.p in config.toml (`gone`, `lost`) is known here; `ccp list`"),
            "{nobody}"
        );
        let other = restricted(&["home"], Some(1)).expect_err("is none of them");
        assert!(
            other.starts_with("acct-01 is none of the accounts of pool.p"),
            "{other}"
        );
    }
}
