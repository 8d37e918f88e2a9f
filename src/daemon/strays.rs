//! Sessions without a lease: started by `ccp select` or `ccp env`, by claude itself (`--bg`), or by hand with the account's
//! directory. They are found by the `CLAUDE_CONFIG_DIR` in their environment.
//!
//! claude keeps a file `sessions/PID.json` for every session that runs, so the few processes named there are looked at
//! and no others. A claude that has none yet (its trust dialog is open) or never has one is found by its name, in a
//! look at the whole process table, which is rare. What merely inherited the variable is no session: a program
//! that a session started, the supervisor and the spare processes of `--bg` (claude 2.1.329).

use super::fold::counts;
use crate::adapters::procs::environment::{called, first_argument, of_process};
use crate::adapters::procs::{self, ancestors};
use crate::adapters::store::{Account, Store, StoreError};
use crate::adapters::{clock, leases};
use crate::contract::paths::Home;
use crate::contract::vars;
use crate::core::account::AccountId;
use crate::core::accounts::lease::Holder;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What claude is called.
const CLAUDE: &str = "claude";
/// First arguments of a claude that is no session: supervisor, hosts and spares of `--bg` (seen with 2.1.329), and
/// commands that ask or change something.
const NO_SESSION: &[&str] = &[
    "agents",
    "attach",
    "auth",
    "bg-pty-host",
    "bg-spare",
    "config",
    "daemon",
    "doctor",
    "install",
    "logs",
    "mcp",
    "plugin",
    "setup-token",
    "stop",
    "update",
];
/// The largest registry entry that is read, in bytes: they have less than one thousand.
const MAX_ENTRY: u64 = 64 * 1024;

/// One process, told from a later one with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stray {
    /// Its number.
    pub(super) pid: u32,
    /// Its start time.
    pub(super) start: u64,
}

/// How closely is looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// At the processes that claude itself lists.
    Listed,
    /// At all processes that are called claude, too.
    Everywhere,
}

/// Sessions of these accounts that have no lease, and whose they are. An error means that it cannot be told, which is to
/// be taken for "some".
pub(super) fn find(
    home: &Home,
    accounts: &[Account],
    look: Look,
) -> io::Result<BTreeMap<Stray, AccountId>> {
    let listed = listed(accounts)?;
    let mut pids: BTreeSet<u32> = listed.keys().copied().collect();
    if look == Look::Everywhere {
        pids.extend(called(CLAUDE)?);
    }
    let mut seen: BTreeMap<u32, (Stray, AccountId)> = BTreeMap::new();
    for pid in pids {
        let Some(start) = procs::start_time(pid) else {
            continue;
        };
        let entry = listed.get(&pid);
        if let Some(account) = account_of(pid, accounts)?
            && !entry.is_some_and(|path| is_of_another(path, start))
        {
            seen.insert(pid, (Stray { pid, start }, account));
        }
    }
    if seen.is_empty() {
        return Ok(BTreeMap::new());
    }
    let leased = leased(home)?;
    let is_session = |pid: u32, account: AccountId| {
        let above = ancestors(pid);
        let inherits = above.iter().any(|ancestor| {
            let is_listed = listed.contains_key(ancestor) || !listed.contains_key(&pid);
            let same = seen.get(ancestor).is_some_and(|(_, of)| *of == account);
            leased.contains(ancestor) || is_listed && same
        });
        !leased.contains(&pid) && !inherits && (listed.contains_key(&pid) || may_be_session(pid))
    };
    Ok(seen
        .values()
        .filter(|(stray, account)| is_session(stray.pid, *account))
        .copied()
        .collect())
}

/// The accounts' registries: pid and entry of each session that claude lists. They are one directory, shared, unless an
/// overlay is out of order.
fn listed(accounts: &[Account]) -> io::Result<BTreeMap<u32, PathBuf>> {
    let mut known = BTreeSet::new();
    let mut listed = BTreeMap::new();
    for account in accounts {
        let dir = account.config_dir.join("sessions");
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let metadata = match fs::metadata(&dir) {
            Err(error) if gone(&error) => continue,
            metadata => metadata?,
        };
        if !known.insert((metadata.dev(), metadata.ino())) {
            continue;
        }
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            if let Some(pid) = pid_of_entry(&entry.file_name()) {
                listed.insert(pid, entry.path());
            }
        }
    }
    Ok(listed)
}

/// The process of a registry entry, by its name; none for what is no entry.
pub(super) fn pid_of_entry(name: &OsStr) -> Option<u32> {
    let pid = name.to_str()?.strip_suffix(".json")?;
    pid.bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| pid.parse().ok())?
}

/// Whether an entry was left behind by a killed claude, and its number belongs to another process by now. claude writes
/// the start time as Linux has it; elsewhere nothing is said.
fn is_of_another(entry: &Path, start: u64) -> bool {
    let mut text = Vec::new();
    let read = File::open(entry).and_then(|f| f.take(MAX_ENTRY).read_to_end(&mut text));
    // Written in place: one that is being written says nothing.
    let entry: Option<serde_json::Value> =
        read.ok().and_then(|_| serde_json::from_slice(&text).ok());
    let noted = entry.and_then(|entry| entry["procStart"].as_str()?.parse::<u64>().ok());
    cfg!(target_os = "linux") && noted.is_some_and(|noted| noted != start)
}

/// The account that a process was started under; none for plain claude, and for one that ccp only asks something.
fn account_of(pid: u32, accounts: &[Account]) -> io::Result<Option<AccountId>> {
    let variables = of_process(pid, [vars::CLAUDE_CONFIG_DIR, vars::CCP_PROBE])?;
    let Some([Some(dir), None]) = variables else {
        return Ok(None);
    };
    let is_its = |account: &&Account| account.config_dir.as_os_str() == dir;
    Ok(accounts.iter().find(is_its).map(|account| account.id))
}

/// A claude that no registry lists counts unless its first argument says that it is something else.
fn may_be_session(pid: u32) -> bool {
    let first = first_argument(pid);
    !first.is_some_and(|first| NO_SESSION.iter().any(|word| first == *word))
}

/// Processes of live leases.
fn leased(home: &Home) -> io::Result<BTreeSet<u32>> {
    let (this, now) = (procs::machine(), clock::now());
    let live = leases::list(&home.leases())?.leases.into_iter();
    let pids = live
        .filter(|lease| lease.machine == this.hash && counts(lease, &this, now))
        .filter_map(|lease| match lease.holder {
            Holder::Process { pid, .. } => Some(pid),
            Holder::Reservation { .. } => None,
        });
    Ok(pids.collect())
}

/// Looks everywhere, and notes with each account how many there are: for commands that work without a daemon.
pub(super) fn note(store: &mut Store) -> Result<(), StoreError> {
    let accounts = store.accounts()?;
    let found = find(store.home(), &accounts, Look::Everywhere).ok();
    for account in accounts {
        let before = account.health.unleased_sessions;
        let count = match &found {
            Some(found) => found.values().filter(|of| **of == account.id).count(),
            // What cannot be told means busy.
            None => usize::try_from(before).unwrap_or(usize::MAX).max(1),
        };
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if count != before {
            store.set_unleased_sessions(account.id, count)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_the_registry_are_told_from_their_neighbours() {
        for (name, expected) in [
            ("4711.json", Some(4711)),
            ("4711.ab12.key", None),
            ("4711.json.tmp.1", None),
            ("x.json", None),
            ("+1.json", None),
            (".json", None),
            ("99999999999.json", None),
        ] {
            assert_eq!(pid_of_entry(OsStr::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn an_entry_is_of_another_only_when_it_says_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("1.json");
        for (text, expected) in [
            (r#"{"procStart":"5"}"#, false),
            (r#"{"procStart":"6"}"#, cfg!(target_os = "linux")),
            (r#"{"procStart":"yesterday"}"#, false),
            (r#"{"procSt"#, false),
            ("[]", false),
        ] {
            crate::adapters::files::replace_rebuildable(&path, text.as_bytes(), 0o600)
                .expect("writes");
            assert_eq!(is_of_another(&path, 5), expected, "{text}");
        }
        assert!(!is_of_another(&dir.path().join("2.json"), 5));
    }
}
