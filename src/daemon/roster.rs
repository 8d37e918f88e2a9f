//! What is on disk about accounts, beside the database: directories, their identities, leases. Adopts directories that
//! have no row, and gives new accounts a number that nothing is left of.

use crate::adapters::leases;
use crate::adapters::store::{Account, LabelWish, Store, StoreError};
use crate::contract::paths::{Home, claude_json};
use crate::core::account::AccountId;
use crate::core::claude_json::identity::{Identity, identity};
use crate::core::time::Timestamp;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The largest `.claude.json` that is read, in bytes: claude's own grow to a few megabytes.
const MAX_CLAUDE_JSON: u64 = 64 * 1024 * 1024;

/// Numbers of which something is left on disk: a directory, its private backing, or a lease. (`acct-NN.lock` beside a
/// directory is claude's lock, and no account.) A credential outside the directory is the caller's to ask for.
pub fn numbers_on_disk(home: &Home) -> io::Result<BTreeSet<AccountId>> {
    let mut numbers = BTreeSet::new();
    for name in names_in(&home.accounts())? {
        let stem = name.strip_suffix(".private").unwrap_or(&name);
        numbers.extend(AccountId::from_dir_name(stem));
    }
    let leases = leases::list(&home.leases())?.leases;
    numbers.extend(leases.into_iter().map(|l| l.account));
    Ok(numbers)
}

/// Adds an account under the smallest number of which nothing is left anywhere; `has_credential` tells whether a
/// credential outside the directories is (a Keychain item on macOS).
pub fn add(
    store: &mut Store,
    label: LabelWish<'_>,
    has_credential: impl Fn(AccountId) -> bool,
    now: Timestamp,
) -> Result<Account, RosterError> {
    let home = store.home().clone();
    let on_disk = numbers_on_disk(&home).map_err(|source| RosterError::Look {
        path: home.path().to_owned(),
        source,
    })?;
    let taken = |id: AccountId| on_disk.contains(&id) || has_credential(id);
    Ok(store.insert_smallest_free(label, taken, now)?)
}

/// The identity in an account directory; none when nobody is logged in there or the file cannot be read.
#[must_use]
pub fn identity_of(account_dir: &Path) -> Option<Identity> {
    let mut text = String::new();
    File::open(claude_json(account_dir))
        .ok()?
        .take(MAX_CLAUDE_JSON)
        .read_to_string(&mut text)
        .ok()?;
    identity(&text)
}

/// Gives every account directory that carries an identity and has no row its row, under its own number: after a lost
/// database, or a move from another tool with the same layout. Returns what was adopted.
pub fn adopt(store: &mut Store, now: Timestamp) -> Result<Vec<Account>, RosterError> {
    let mut adopted = Vec::new();
    for (id, identity) in adoptable(store)? {
        let wish = LabelWish::Of(&identity);
        adopted.extend(store.adopt(id, wish, &identity, now)?);
    }
    Ok(adopted)
}

/// The account directories that [`adopt`] would adopt, by number.
pub fn adoptable(store: &Store) -> Result<Vec<(AccountId, Identity)>, RosterError> {
    let home = store.home();
    let known: BTreeSet<AccountId> = store.accounts()?.iter().map(|a| a.id).collect();
    let names = names_in(&home.accounts()).map_err(|source| RosterError::Look {
        path: home.accounts(),
        source,
    })?;
    let mut ids: Vec<AccountId> = names
        .iter()
        .filter_map(|n| AccountId::from_dir_name(n))
        .filter(|id| !known.contains(id))
        .collect();
    ids.sort_unstable();
    let is_dir = |id: &AccountId| {
        fs::symlink_metadata(home.account(*id)).is_ok_and(|m| m.file_type().is_dir())
    };
    Ok(ids
        .into_iter()
        .filter(is_dir)
        .filter_map(|id| Some((id, identity_of(&home.account(id))?)))
        .collect())
}

fn names_in(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

/// Why the roster could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// A directory of the home cannot be listed.
    #[error("cannot list {path}: {source}")]
    Look {
        /// The directory.
        path: std::path::PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::new(dir.path()).expect("absolute");
        (dir, home)
    }

    fn id(number: u16) -> AccountId {
        AccountId::new(number).expect("in range")
    }

    fn account_dir(home: &Home, number: u16, json: &str) {
        let dir = home.account(id(number));
        fs::create_dir_all(&dir).expect("creates");
        crate::adapters::files::replace_rebuildable(&claude_json(&dir), json.as_bytes(), 0o600)
            .expect("writes");
    }

    fn json(uuid: &str, email: &str, organization: &str) -> String {
        format!(
            r#"{{"oauthAccount":{{"accountUuid":"{uuid}","emailAddress":"{email}","organizationUuid":"{uuid}-{organization}","organizationName":"{organization}"}}}}"#
        )
    }

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    #[test]
    fn directories_with_an_identity_are_adopted_once_under_their_own_numbers() {
        let (_dir, home) = home();
        account_dir(&home, 2, &json("u", "jo@example.test", "Home"));
        account_dir(&home, 3, &json("u", "jo@example.test", "Acme"));
        account_dir(&home, 5, "{}");
        account_dir(&home, 6, "not json");
        fs::create_dir_all(home.accounts().join("acct-02.lock")).expect("claude's lock");
        let mut store = Store::open(&home).expect("opens");
        let adopted = adopt(&mut store, NOW).expect("adopts");
        let found: Vec<_> = adopted
            .iter()
            .map(|a| (a.id.number(), a.label.as_str()))
            .collect();
        assert_eq!(found, [(2, "jo"), (3, "jo (Acme)")]);
        assert_eq!(adopt(&mut store, NOW).expect("adopts"), []);
        assert_eq!(store.accounts().expect("lists"), adopted);
        assert_eq!(
            store.twins().expect("compares"),
            Vec::<Vec<AccountId>>::new(),
            "two organisations"
        );

        account_dir(&home, 7, &json("u", "jo@example.test", "Acme"));
        adopt(&mut store, NOW).expect("adopts");
        assert_eq!(store.twins().expect("compares"), [vec![id(3), id(7)]]);
    }

    #[test]
    fn a_number_of_which_something_is_left_is_not_given_away() {
        let (_dir, home) = home();
        fs::create_dir_all(home.account(id(1))).expect("a directory");
        fs::create_dir_all(home.accounts().join("acct-02.private")).expect("a backing");
        fs::create_dir_all(home.accounts().join("acct-04.lock")).expect("claude's lock");
        let mut store = Store::open(&home).expect("opens");
        let lease = crate::contract::lease::LeaseName {
            account: id(3),
            holder: crate::core::accounts::lease::Holder::Reservation { tag: 1 },
            machine: 1,
            directory: 1,
            created_at: NOW,
            beside: false,
        };
        leases::write(&home.leases(), &lease, b"{}").expect("writes");
        let mut next = |credential: u16| {
            add(
                &mut store,
                LabelWish::Like("new"),
                |i| i == id(credential),
                NOW,
            )
            .expect("adds")
            .id
            .number()
        };
        assert_eq!(next(4), 5, "a credential is left of the fourth");
        assert_eq!(next(9999), 4);
        assert_eq!(next(9999), 6);
    }
}
