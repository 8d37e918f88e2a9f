//! Every path on disk that ccp knows.

#[cfg(feature = "full")]
pub mod pool;

use crate::core::account::AccountId;
use std::path::{Path, PathBuf};

/// Name of the state directory below the home directory.
pub const DEFAULT_HOME_NAME: &str = ".cc-pool";

/// The directory, in one of claude's config directories, that is there while a claude renews the login; its time is kept
/// fresh meanwhile (Claude Code 2.1.329).
pub const CLAUDE_REFRESH_LOCK: &str = ".oauth_refresh.lock";

/// What `ccp select` prints where no account can be had, so that `CLAUDE_CONFIG_DIR=$(ccp select) claude` fails, and says
/// so, although `$(…)` hides the exit code. Nothing can be made below a device. Claude Code 2.1.329 answers "Not logged in"
/// there and touches no file; with an *empty* `CLAUDE_CONFIG_DIR` it rewrites plain claude's own `~/.claude.json` and writes
/// into the working directory.
pub const NOWHERE: &str = "/dev/null/no-account-can-serve";

/// What ccp has directly in its home, but for the account directories.
const OWN_NAMES: &[&str] = &[
    "config.toml",
    "daemon.lock",
    "daemon.sock",
    "daemon.starts",
    "inbox",
    "leases",
    "logs",
    "pools.json",
    "probe",
    "refresh.lock",
    "snapshot.json",
    "state.db",
    "state.lock",
    "status.json",
    "statusline",
    "statusline.json",
];

/// `CCP_HOME` and what is in it. One canonical spelling, absolute and without a trailing slash: claude derives the name
/// of an account's Keychain item from the very string that is exported as `CLAUDE_CONFIG_DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// The home at `path`; none when the path is not absolute.
    #[must_use]
    pub fn new(path: &Path) -> Option<Self> {
        // Rebuilding from components drops trailing slashes and `.`, and resolves nothing.
        path.is_absolute()
            .then(|| Self(path.components().collect()))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The database.
    #[must_use]
    pub fn state_db(&self) -> PathBuf {
        self.0.join("state.db")
    }

    /// What the launcher reads.
    #[must_use]
    pub fn snapshot(&self) -> PathBuf {
        self.0.join("snapshot.json")
    }

    /// The public mirror of `ccp status --json`.
    #[must_use]
    pub fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    /// The person's settings.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Live and reserved sessions, one small file each.
    #[must_use]
    pub fn leases(&self) -> PathBuf {
        self.0.join("leases")
    }

    /// Held from reading the leases to writing one's own.
    #[must_use]
    pub fn lease_lock(&self) -> PathBuf {
        self.leases().join(".lock")
    }

    /// Held while the accounts or what is published about them change.
    #[must_use]
    pub fn state_lock(&self) -> PathBuf {
        self.0.join("state.lock")
    }

    /// Held while somebody samples the accounts; touched at each attempt.
    #[must_use]
    pub fn refresh_lock(&self) -> PathBuf {
        self.0.join("refresh.lock")
    }

    /// Where the daemon listens, as long as the path is short enough for the system.
    #[must_use]
    pub fn daemon_socket(&self) -> PathBuf {
        self.0.join("daemon.sock")
    }

    /// Held by the running daemon for its whole life; says who it is.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.0.join("daemon.lock")
    }

    /// When daemons were started by other commands, so that one that dies again and again is left alone.
    #[must_use]
    pub fn daemon_starts(&self) -> PathBuf {
        self.0.join("daemon.starts")
    }

    /// How the session pools stand that the daemon keeps running; there while it runs.
    #[must_use]
    pub fn kept_pools(&self) -> PathBuf {
        self.0.join("pools.json")
    }

    /// What the daemon did; older ones are `daemon.log.1` and so on.
    #[must_use]
    pub fn daemon_log(&self) -> PathBuf {
        self.logs().join("daemon.log")
    }

    /// Samples handed in while nobody listens, one file each.
    #[must_use]
    pub fn inbox(&self) -> PathBuf {
        self.0.join("inbox")
    }

    /// What each session's status line reported last, one small file each.
    #[must_use]
    pub fn statusline_notes(&self) -> PathBuf {
        self.0.join("statusline")
    }

    /// The person's own status line, while ccp's stands in its place.
    #[must_use]
    pub fn statusline_record(&self) -> PathBuf {
        self.0.join("statusline.json")
    }

    /// Logs, and what was moved out of the way.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.0.join("logs")
    }

    /// An empty directory for probes to run in.
    #[must_use]
    pub fn probe_dir(&self) -> PathBuf {
        self.0.join("probe")
    }

    /// The account directories.
    #[must_use]
    pub fn accounts(&self) -> PathBuf {
        self.0.join("accounts")
    }

    /// An account's `CLAUDE_CONFIG_DIR`.
    #[must_use]
    pub fn account(&self, id: AccountId) -> PathBuf {
        self.accounts().join(id.to_string())
    }

    /// Whether ccp gives this name to something directly in its home, the account directories left out: what may go when
    /// everything goes. A person's or another tool's file in the same place has another name.
    #[must_use]
    pub fn is_own_name(name: &str) -> bool {
        let stem = name
            .strip_prefix("state.db")
            .filter(|rest| matches!(*rest, "-wal" | "-shm" | "-journal"))
            .map_or(name, |_| "state.db");
        // What a writer that died left: `NAME.tmp.PID.NUMBER`.
        let stem = stem.split_once(".tmp.").map_or(stem, |(stem, _)| stem);
        OWN_NAMES.contains(&stem)
    }

    /// Whether `path` lies in an account directory of this home, spelled as ccp spells it.
    #[must_use]
    pub fn holds_account_dir(&self, path: &Path) -> bool {
        path.strip_prefix(self.accounts())
            .is_ok_and(|rest| rest.components().next().is_some())
    }
}

/// The person's own config directory, which every account presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// `~/.claude`.
    pub dir: PathBuf,
    /// `~/.claude.json`, or `DIR/.claude.json` for a base that is some other directory: claude keeps it beside the
    /// directory only when `CLAUDE_CONFIG_DIR` is unset.
    pub json: PathBuf,
}

impl Base {
    /// Plain claude's own: `~/.claude` and `~/.claude.json`.
    #[must_use]
    pub fn default_in(user_home: &Path) -> Self {
        Self {
            dir: user_home.join(".claude"),
            json: user_home.join(".claude.json"),
        }
    }

    /// The base at `dir`.
    #[must_use]
    pub fn at(dir: &Path, user_home: &Path) -> Self {
        let default = Self::default_in(user_home);
        if dir == default.dir {
            default
        } else {
            Self {
                dir: dir.to_owned(),
                json: dir.join(".claude.json"),
            }
        }
    }

    /// The plugin store that all accounts use.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.dir.join("plugins")
    }

    /// The person's settings for claude.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.dir.join("settings.json")
    }
}

/// claude's identity, trust and preferences inside a config directory.
#[must_use]
pub fn claude_json(config_dir: &Path) -> PathBuf {
    config_dir.join(".claude.json")
}

/// An account's credential file on Linux. Only ever asked for inside an account directory.
#[must_use]
pub fn account_credential(account_dir: &Path) -> PathBuf {
    account_dir.join(".credentials.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_of_home() {
        let home = |p: &str| Home::new(Path::new(p)).map(|h| h.path().to_owned());
        assert_eq!(home("/x/y/"), Some(PathBuf::from("/x/y")));
        assert_eq!(home("/x/./y//z"), Some(PathBuf::from("/x/y/z")));
        assert_eq!(home("relative"), None);
        let spelled = Home::new(Path::new("/x/y/")).expect("absolute");
        assert_eq!(
            spelled.account(AccountId::new(3).expect("3")).to_str(),
            Some("/x/y/accounts/acct-03")
        );
    }

    #[test]
    fn what_is_ours_in_the_home_has_a_name_that_is_known() {
        let home = Home::new(Path::new("/h")).expect("absolute");
        for path in [
            home.state_db(),
            home.snapshot(),
            home.status(),
            home.config(),
            home.leases(),
            home.state_lock(),
            home.refresh_lock(),
            home.daemon_socket(),
            home.daemon_lock(),
            home.daemon_starts(),
            home.kept_pools(),
            home.inbox(),
            home.statusline_notes(),
            home.statusline_record(),
            home.logs(),
            home.probe_dir(),
        ] {
            let name = path.file_name().and_then(|n| n.to_str()).expect("text");
            assert!(Home::is_own_name(name), "{name}");
        }
        for name in ["state.db-wal", "snapshot.json.tmp.12.0"] {
            assert!(Home::is_own_name(name), "{name}");
        }
        for name in ["accounts", "pool.db", "notes", "state.db.old", "x.tmp.1.2"] {
            assert!(!Home::is_own_name(name), "{name}");
        }
    }

    #[test]
    fn what_lies_in_an_account_directory() {
        let home = Home::new(Path::new("/h")).expect("absolute");
        assert!(home.holds_account_dir(Path::new("/h/accounts/acct-01")));
        assert!(home.holds_account_dir(Path::new("/h/accounts/acct-01/x")));
        assert!(!home.holds_account_dir(Path::new("/h/accounts")));
        assert!(!home.holds_account_dir(Path::new("/h/other")));
    }

    #[test]
    fn the_json_of_a_base_is_where_claude_keeps_it() {
        let user = Path::new("/u");
        assert_eq!(
            Base::at(Path::new("/u/.claude"), user).json,
            Path::new("/u/.claude.json")
        );
        assert_eq!(
            Base::at(Path::new("/u/work"), user).json,
            Path::new("/u/work/.claude.json")
        );
    }
}
