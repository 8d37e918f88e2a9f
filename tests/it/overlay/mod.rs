//! Overlays against real directories: links, healing, the flow of settings, removal, and a disk that does not obey.

#![expect(
    clippy::disallowed_methods,
    reason = "tests write plain files, and a child process is told its directory by a variable"
)]

#[cfg(target_os = "linux")]
pub mod disks;
mod healing;
mod health;
mod links;
mod removal;
mod settings;
mod together;

use ccp::adapters::clock;
use ccp::adapters::overlay::{Direction, Options, SyncReport, sync};
use ccp::contract::paths::{Base, Home};
use ccp::core::account::AccountId;
use ccp::core::time::Timestamp;
use std::fs::{self, File, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

/// Variable that names the directory a child of a test works in. A test that needs a process of its own runs this very
/// binary again for itself alone, with this set, and is the child then.
const DIRECTORY: &str = "CCP_TEST_DIRECTORY";

/// The directory of a child; none in the test that everybody runs.
fn given() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

struct World {
    _temporary: Option<tempfile::TempDir>,
    base: Base,
    home: Home,
    id: AccountId,
    account: PathBuf,
}

impl World {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a directory");
        let user = temporary.path().join("user");
        let mut world = Self::between(&user, &temporary.path().join("pool"));
        world._temporary = Some(temporary);
        world
    }

    fn between(user: &Path, home: &Path) -> Self {
        let home = Home::new(home).expect("absolute");
        let id = AccountId::new(1).expect("1");
        let account = home.account(id);
        fs::create_dir_all(&account).expect("creates");
        fs::set_permissions(&account, fs::Permissions::from_mode(0o700)).expect("sets");
        fs::create_dir_all(user).expect("creates");
        Self {
            _temporary: None,
            base: Base::default_in(user),
            home,
            id,
            account,
        }
    }

    /// A minute from now, when nothing is young.
    fn later() -> Timestamp {
        clock::now().plus(Duration::from_secs(60))
    }

    fn sync(&self) -> SyncReport {
        self.sync_at(Self::later(), false)
    }

    fn sync_at(&self, now: Timestamp, live_session: bool) -> SyncReport {
        let options = Options::at_leisure(Direction::OneWay, live_session);
        sync(&self.base, &self.account, now, options)
    }

    fn synced() -> Self {
        let world = Self::new();
        assert!(world.sync().is_complete());
        world
    }

    fn in_base(&self, name: &str) -> PathBuf {
        self.base.dir.join(name)
    }

    fn in_account(&self, name: &str) -> PathBuf {
        self.account.join(name)
    }

    fn leads_to_base(&self, name: &str) -> bool {
        fs::read_link(self.in_account(name)).is_ok_and(|target| target == self.in_base(name))
    }
}

/// Writes a file, its directories too, with a modification time of so many seconds after the epoch.
fn put(path: &Path, content: &str, modified: u64) {
    fs::create_dir_all(path.parent().expect("has one")).expect("creates");
    fs::write(path, content).expect("writes");
    let time = FileTimes::new().set_modified(UNIX_EPOCH + Duration::from_secs(modified));
    File::options()
        .write(true)
        .open(path)
        .and_then(|f| f.set_times(time))
        .expect("sets the time");
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("({:?})", error.kind()))
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("lists");
    let mut names: Vec<String> = entries
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}
