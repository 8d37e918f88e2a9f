//! On whose login a slot runs: picked at its start, the way a launch is, and counted as a session of that account for as
//! long as its claude lives. Where there are no accounts, slots run on plain claude's own login.

use super::views::Labels;
use crate::adapters::overlay::accept_trust;
use crate::adapters::procs::children;
use crate::adapters::stamp::file_stamp;
use crate::adapters::{files, leases};
use crate::claim::roster::Roster;
use crate::claim::rules::{self, Place};
use crate::claim::{self, Claim, Claimant, Refusal, Wish, announce, roster};
use crate::contract::lease::LeaseName;
use crate::contract::paths::Home;
use crate::contract::snapshot::FileStamp;
use crate::core::account::{AccountId, resolve_reference};
use crate::core::accounts::lease::Holder;
use crate::core::time::Timestamp;
use crate::daemon::configuration;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What a pick is recorded as.
const COMMAND: &str = "pool";
/// How long an account's directory may take to be put in order; it mostly is.
const IN_ORDER: Duration = Duration::from_secs(3);
/// How long claude's lock on its own file is waited for.
const TRUST: Duration = Duration::from_secs(3);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

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

    /// What is known of the accounts, by the settings as they are now. Where these cannot be had, a claim knows whether that
    /// matters.
    fn roster(&self) -> Roster {
        let mut roster = roster::load(&self.home, &self.user_home);
        let _ = configuration::bring_up(&self.home, &mut roster);
        roster
    }

    /// Whether rules let this account serve in this directory. The error is for the client who named it.
    pub(super) fn check_rules(&self, account: AccountId, dir: &Path) -> Result<(), String> {
        let roster = self.roster();
        match rules::bind(&self.home, &roster, &Place::at(dir)).map_err(|r| told(&r))? {
            Some(bound) if !bound.accounts.contains(&account) => {
                Err(told(&bound.bars(account, dir, &roster.snapshot)))
            }
            _ => Ok(()),
        }
    }

    /// The accounts that a rule lets serve in a directory; none where no rule binds.
    pub(super) fn allowed_in(&self, dir: &Path) -> Option<Vec<AccountId>> {
        rules::bound(&self.roster(), &Place::at(dir)).map(|bound| bound.accounts)
    }

    /// The settings of the accounts as a file.
    pub(super) fn settings_file(&self) -> FileStamp {
        file_stamp(&self.home.config())
    }

    /// Picks the account of a slot that runs in this directory and claims it; none where there are none. `wanted` leaves
    /// no choice, but for the rules.
    pub(super) fn pick(
        &self,
        wanted: Option<AccountId>,
        dir: &Path,
        model: Option<&str>,
        claude: &Path,
        now: Timestamp,
    ) -> Result<Option<Given>, String> {
        let roster = self.roster();
        if roster.snapshot.accounts.is_empty() {
            // Plain claude's own login is none that a rule allows, either.
            rules::bind(&self.home, &roster, &Place::at(dir)).map_err(|r| told(&r))?;
        }
        let wanted = wanted.map(|id| id.to_string());
        let wish = Wish {
            account: wanted.as_deref(),
            model,
            // Slots share a directory: by its habits all of them would be on one account.
            cwd: Path::new(""),
            place: Place::at(dir),
            command: COMMAND,
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
            Err(refusal) => Err(told(&refusal)),
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

fn told(refusal: &Refusal) -> String {
    let announce::Failure { error, hint } = announce::refusal(refusal);
    format!("{error}; {hint}")
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
