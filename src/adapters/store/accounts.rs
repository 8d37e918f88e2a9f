//! Accounts: who they are and how they do.

use super::health::{Health, Problem};
use super::{Outcome, Refusal, Store, StoreError, instant};
use crate::core::account::{AccountId, check_label};
use crate::core::accounts::label::{from_identity, unique};
use crate::core::claude_json::identity::Identity;
use crate::core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

/// One account.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its number.
    pub id: AccountId,
    /// Its label, unique without regard to letter case.
    pub label: String,
    /// Whose login it is; none before the first sign-in.
    pub identity: Option<Identity>,
    /// Its `CLAUDE_CONFIG_DIR`, byte for byte what is exported.
    pub config_dir: PathBuf,
    /// When it was added or adopted.
    pub added_at: Timestamp,
    /// When its present login was made, as far as ccp saw that.
    pub signed_in_at: Option<Timestamp>,
    /// How it does.
    pub health: Health,
}

/// The label that a new account shall have.
#[derive(Clone, Copy, Debug)]
pub enum LabelWish<'a> {
    /// This one; an error when it is taken.
    Exactly(&'a str),
    /// One like this, made unique.
    Like(&'a str),
    /// One that the identity suggests, made unique.
    Of(&'a Identity),
}

const COLUMNS: &str = "
    a.id, a.label, a.email, a.account_uuid, a.organization_uuid, a.organization_name, a.config_dir, a.added_at,
    a.signed_in_at, h.needs_login, h.renewal_failed, h.limited_until, h.unknown_since, h.problem, h.probed_at,
    h.cadence, h.unleased_sessions, a.display_name, a.organization_type, a.organization_role";

impl Store {
    /// All accounts, by number.
    pub fn accounts(&self) -> Outcome<Vec<Account>> {
        self.read(list)
    }

    /// One account; none when there is no such row.
    pub fn account(&self, id: AccountId) -> Outcome<Option<Account>> {
        Ok(self.accounts()?.into_iter().find(|a| a.id == id))
    }

    /// Adds an account under the smallest number that has no row and is not `taken` (a directory, a credential, a lease
    /// is left of an earlier one). Of many processes that add at once, each gets its own number.
    pub fn insert_smallest_free(
        &mut self,
        label: LabelWish<'_>,
        taken: impl Fn(AccountId) -> bool,
        now: Timestamp,
    ) -> Outcome<Account> {
        let home = self.home.clone();
        self.change(|t| {
            let present = list(t)?;
            let id = (1..=AccountId::MAX)
                .filter_map(AccountId::new)
                .find(|id| !present.iter().any(|a| a.id == *id) && !taken(*id))
                .ok_or(StoreError::NoFreeNumber)?;
            insert(t, &present, id, label, home.account(id), now)
        })
    }

    /// Adds the account of a directory found on disk under that directory's number. None when the row is there already.
    pub fn adopt(
        &mut self,
        id: AccountId,
        label: LabelWish<'_>,
        identity: &Identity,
        now: Timestamp,
    ) -> Outcome<Option<Account>> {
        let dir = self.home.account(id);
        self.change(|t| {
            let present = list(t)?;
            if present.iter().any(|a| a.id == id) {
                return Ok(None);
            }
            let mut account = insert(t, &present, id, label, dir, now)?;
            write_identity(t, id, identity)?;
            account.identity = Some(identity.clone());
            Ok(Some(account))
        })
    }

    /// Renames an account. Returns the label as it is kept (trimmed).
    pub fn set_label(&mut self, id: AccountId, label: &str) -> Outcome<String> {
        let label = check_label(label).map_err(StoreError::Label)?.to_owned();
        self.change(|t| {
            refuse_taken(&list(t)?, &label, Some(id))?;
            let changed = t.execute(
                "UPDATE accounts SET label = ?2 WHERE id = ?1",
                params![id.number(), label],
            )?;
            expect_row(changed, id)
        })?;
        Ok(label)
    }

    /// Renames an account to something like `wish`, made unique. Returns the label it got.
    pub fn set_label_like(&mut self, id: AccountId, wish: &str) -> Outcome<String> {
        self.change(|t| {
            let present = list(t)?;
            let organization = present
                .iter()
                .find(|a| a.id == id)
                .ok_or(StoreError::NoAccount(id))?
                .identity
                .as_ref()
                .and_then(|i| i.organization_name.clone());
            let label = unique(wish, organization.as_deref(), |l| {
                holder(&present, l, Some(id)).is_some()
            });
            t.execute(
                "UPDATE accounts SET label = ?2 WHERE id = ?1",
                params![id.number(), label],
            )?;
            Ok(label)
        })
    }

    /// Records whose login it is. A different person or organisation than before starts with a clean record: the old
    /// samples and limits were somebody else's.
    pub fn set_identity(&mut self, id: AccountId, identity: &Identity) -> Outcome<()> {
        self.change(|t| {
            let before = list(t)?
                .into_iter()
                .find(|a| a.id == id)
                .ok_or(StoreError::NoAccount(id))?
                .identity;
            let other = before.is_some_and(|b| !same_identity(&b, identity));
            if other {
                t.execute("DELETE FROM samples WHERE account = ?1", [id.number()])?;
                t.execute(
                    "UPDATE health SET limited_until = NULL, limited_reported = NULL WHERE account = ?1",
                    [id.number()],
                )?;
            }
            write_identity(t, id, identity)
        })
    }

    /// Records a sign-in: the login is young and works.
    pub fn set_signed_in(&mut self, id: AccountId, now: Timestamp) -> Outcome<()> {
        self.change(|t| {
            let changed = t.execute(
                "UPDATE accounts SET signed_in_at = ?2 WHERE id = ?1",
                params![id.number(), now.unix_ms()],
            )?;
            expect_row(changed, id)?;
            t.execute(
                "UPDATE health SET needs_login = 0, renewal_failed = 0 WHERE account = ?1",
                [id.number()],
            )?;
            Ok(())
        })
    }

    /// Removes an account with everything that is kept about it. One that is gone already is no error.
    pub fn remove_account(&mut self, id: AccountId) -> Outcome<()> {
        self.change(|t| {
            // Samples, health, pins, picks, events and overlay state go with the row.
            t.execute("DELETE FROM accounts WHERE id = ?1", [id.number()])?;
            Ok(())
        })
    }

    /// Accounts that are the same login twice, each group by number.
    pub fn twins(&self) -> Outcome<Vec<Vec<AccountId>>> {
        let accounts = self.accounts()?;
        let mut groups: Vec<(&Identity, Vec<AccountId>)> = Vec::new();
        for account in &accounts {
            let Some(identity) = &account.identity else {
                continue;
            };
            match groups.iter_mut().find(|(i, _)| same_identity(i, identity)) {
                Some((_, ids)) => ids.push(account.id),
                None => groups.push((identity, vec![account.id])),
            }
        }
        Ok(groups
            .into_iter()
            .map(|(_, ids)| ids)
            .filter(|ids| ids.len() > 1)
            .collect())
    }
}

fn same_identity(a: &Identity, b: &Identity) -> bool {
    a.account_uuid == b.account_uuid && a.organization_uuid == b.organization_uuid
}

/// A change of no row is a change of an account that is not there.
pub(super) fn expect_row(changed: usize, id: AccountId) -> Result<(), Refusal> {
    if changed == 0 {
        Err(StoreError::NoAccount(id).into())
    } else {
        Ok(())
    }
}

fn insert(
    connection: &Connection,
    present: &[Account],
    id: AccountId,
    wish: LabelWish<'_>,
    config_dir: PathBuf,
    now: Timestamp,
) -> Result<Account, Refusal> {
    let label = match wish {
        LabelWish::Exactly(text) => {
            let label = check_label(text).map_err(StoreError::Label)?.to_owned();
            refuse_taken(present, &label, None)?;
            label
        }
        LabelWish::Like(text) => unique(text, None, |l| holder(present, l, None).is_some()),
        LabelWish::Of(identity) => {
            let organization = identity.organization_name.as_deref();
            let wish = from_identity(identity.email.as_deref(), organization);
            unique(&wish, organization, |l| holder(present, l, None).is_some())
        }
    };
    connection.execute(
        "INSERT INTO accounts (id, label, config_dir, added_at) VALUES (?1, ?2, ?3, ?4)",
        params![
            id.number(),
            label,
            config_dir.as_os_str().as_bytes(),
            now.unix_ms()
        ],
    )?;
    connection.execute("INSERT INTO health (account) VALUES (?1)", [id.number()])?;
    Ok(Account {
        id,
        label,
        identity: None,
        config_dir,
        added_at: now,
        signed_in_at: None,
        health: Health::default(),
    })
}

fn write_identity(
    connection: &Connection,
    id: AccountId,
    identity: &Identity,
) -> Result<(), Refusal> {
    let changed = connection.execute(
        "UPDATE accounts SET account_uuid = ?2, organization_uuid = ?3, organization_name = ?4, email = ?5,
            display_name = ?6, organization_type = ?7, organization_role = ?8
         WHERE id = ?1",
        params![
            id.number(),
            identity.account_uuid,
            identity.organization_uuid,
            identity.organization_name,
            identity.email,
            identity.display_name,
            identity.organization_type,
            identity.organization_role
        ],
    )?;
    expect_row(changed, id)
}

/// Who has this label, apart from `except`.
fn holder(accounts: &[Account], label: &str, except: Option<AccountId>) -> Option<AccountId> {
    let wanted = label.to_lowercase();
    accounts
        .iter()
        .find(|a| Some(a.id) != except && a.label.to_lowercase() == wanted)
        .map(|a| a.id)
}

fn refuse_taken(
    accounts: &[Account],
    label: &str,
    except: Option<AccountId>,
) -> Result<(), StoreError> {
    match holder(accounts, label, except) {
        Some(holder) => Err(StoreError::LabelTaken {
            label: label.to_owned(),
            holder,
        }),
        None => Ok(()),
    }
}

/// All accounts, by number.
pub(super) fn list(connection: &Connection) -> rusqlite::Result<Vec<Account>> {
    let mut statement = connection.prepare(&format!(
        "SELECT {COLUMNS} FROM accounts a JOIN health h ON h.account = a.id ORDER BY a.id"
    ))?;
    let rows = statement.query_map([], from_row)?;
    // The table holds no number that is no account's: it has a check.
    rows.filter_map(Result::transpose).collect()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Option<Account>> {
    let Some(id) = AccountId::new(row.get(0)?) else {
        return Ok(None);
    };
    let identity = match row.get::<_, Option<String>>(3)? {
        None => None,
        Some(account_uuid) => Some(Identity {
            account_uuid,
            email: row.get(2)?,
            organization_uuid: row.get(4)?,
            organization_name: row.get(5)?,
            display_name: row.get(17)?,
            organization_type: row.get(18)?,
            organization_role: row.get(19)?,
        }),
    };
    let problem = match (row.get(12)?, row.get(13)?) {
        (Some(since), Some(text)) => Some(Problem {
            since: Timestamp::from_unix_ms(since),
            text,
        }),
        _ => None,
    };
    Ok(Some(Account {
        id,
        label: row.get(1)?,
        identity,
        config_dir: PathBuf::from(OsString::from_vec(row.get(6)?)),
        added_at: Timestamp::from_unix_ms(row.get(7)?),
        signed_in_at: instant(row.get(8)?),
        health: Health {
            needs_login: row.get(9)?,
            renewal_failed: row.get(10)?,
            limited_until: instant(row.get(11)?),
            problem,
            probed_at: instant(row.get(14)?),
            cadence: row
                .get::<_, Option<i64>>(15)?
                .and_then(|ms| u64::try_from(ms).ok())
                .map(Duration::from_millis),
            unleased_sessions: row.get(16)?,
        },
    }))
}

/// Whether there is such an account.
pub(super) fn exists(connection: &Connection, id: AccountId) -> rusqlite::Result<bool> {
    let found = connection
        .query_row(
            "SELECT 1 FROM accounts WHERE id = ?1",
            [id.number()],
            |_| Ok(()),
        )
        .optional()?;
    Ok(found.is_some())
}
