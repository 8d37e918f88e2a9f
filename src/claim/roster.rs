//! What is known of the accounts: the snapshot, or, without one, the account directories themselves.

use crate::adapters::stamp::file_stamp;
use crate::contract::paths::{Base, Home, claude_json};
use crate::contract::snapshot::{AccountEntry, FileStamp, SCHEMA, Snapshot};
use crate::core::account::AccountId;
use serde::Deserialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The accounts, and where the knowledge of them came from.
#[derive(Debug)]
pub struct Roster {
    /// What is known.
    pub snapshot: Snapshot,
    /// From where.
    pub origin: Origin,
    /// `config.toml` is not what the settings in the snapshot were read from.
    pub is_behind: bool,
    /// The person's home directory, to which `~` in settings leads.
    pub user_home: PathBuf,
}

/// Where a roster came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `snapshot.json`, as published.
    Published,
    /// The account directories: there was no snapshot to be read. Nothing is known of usage or pins.
    Rebuilt {
        /// What was wrong with the snapshot; none when there simply is none and there are no accounts either.
        why: Option<String>,
    },
}

/// Loads the snapshot; falls back to the account directories, which always tell who there is.
#[must_use]
pub fn load(home: &Home, user_home: &Path) -> Roster {
    let (snapshot, origin) = match load_snapshot(home) {
        Ok(snapshot) => (snapshot, Origin::Published),
        Err(why) => {
            let snapshot = rebuild(home, user_home);
            let why = (!snapshot.accounts.is_empty()).then_some(why);
            (snapshot, Origin::Rebuilt { why })
        }
    };
    Roster {
        is_behind: is_behind(home, &snapshot),
        snapshot,
        origin,
        user_home: user_home.to_owned(),
    }
}

/// Whether `config.toml` is not what the settings in a snapshot were read from.
#[must_use]
pub fn is_behind(home: &Home, snapshot: &Snapshot) -> bool {
    file_stamp(&home.config()) != snapshot.config
}

fn load_snapshot(home: &Home) -> Result<Snapshot, String> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let path = home.snapshot();
    let name = path.display();
    let bytes = fs::read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{name} is missing"),
        _ => format!("cannot read {name}: {error}"),
    })?;
    let other = |schema| {
        format!("{name} is of another version of ccp (format {schema}, this one reads {SCHEMA})")
    };
    match serde_json::from_slice::<Snapshot>(&bytes) {
        Ok(snapshot) if snapshot.schema == SCHEMA => Ok(snapshot),
        Ok(snapshot) => Err(other(snapshot.schema)),
        // Another version may have changed any other field: its number is the better explanation.
        Err(error) => match serde_json::from_slice::<Head>(&bytes) {
            Ok(head) if head.schema != SCHEMA => Err(other(head.schema)),
            _ => Err(format!("{name} is damaged: {error}")),
        },
    }
}

fn rebuild(home: &Home, user_home: &Path) -> Snapshot {
    let base = Base::default_in(user_home);
    let mut accounts: Vec<AccountEntry> = Vec::new();
    for entry in fs::read_dir(home.accounts())
        .into_iter()
        .flatten()
        .flatten()
    {
        let Some(id) = entry
            .file_name()
            .to_str()
            .and_then(AccountId::from_dir_name)
        else {
            continue;
        };
        let dir = home.account(id);
        // A directory without this file was never signed in.
        if claude_json(&dir).is_file() {
            accounts.push(bare_entry(id, dir));
        }
    }
    accounts.sort_by_key(|a| a.id);
    Snapshot {
        schema: SCHEMA,
        version: String::new(),
        generated_at_ms: 0,
        base_dir: base.dir,
        base_json: base.json,
        keep_env: Vec::new(),
        two_way: false,
        api_key_helper: false,
        autostart: false,
        paused_since_ms: None,
        config: FileStamp::default(),
        rules: Vec::new(),
        accounts,
        pins: Vec::new(),
    }
}

fn bare_entry(id: AccountId, dir: std::path::PathBuf) -> AccountEntry {
    AccountEntry {
        id: id.number(),
        label: id.to_string(),
        email: None,
        dir,
        sample: None,
        burn: 0.0,
        cadence_ms: 0,
        limited_until_ms: None,
        needs_login: false,
        renewal_failed: false,
        unleased_sessions: 0,
        stamp: None,
    }
}
