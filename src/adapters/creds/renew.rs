//! Renewing a login in claude's place, for those who chose `[login] renew = "direct"`: everything about it but the
//! question to the service. Refresh tokens are good for one use, so a renewal is a transaction: [`begin`] takes our own
//! lock and claude's, reads the store again and takes the space that the answer will need; then the caller asks the
//! service; then [`Renewal::complete`] puts the answer beside the store first and into it after that. What a kill in
//! between leaves is completed by the next [`begin`].
//!
//! Refuses to know how the service is asked, and what a failure means for the account.

mod blob;
pub(super) mod journal;
mod locks;
mod reserve;

use super::{CredsError, Secret, file, own_dir};
use crate::adapters::files::pause;
use crate::adapters::procs::hold::HeldSignals;
use crate::contract::paths::{Home, account_credential};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use blob::{Content, Login, Unreadable};
use locks::Locks;
use reserve::Reserved;
use std::fmt;
use std::fs::{File, TryLockError};
#[cfg(not(target_os = "macos"))]
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long each of claude's locks is waited for: who holds one is renewing, and that serves as well.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How long the lock of the store is waited for. claude holds it for a millisecond; a dead holder's is free by then, and
/// after that the answer is written in any case, since it cannot be had twice.
const STORAGE_PATIENCE: Duration = Duration::from_secs(70);
/// What the store may grow by between our reading and our writing.
const MARGIN_BYTES: usize = 64 * 1024;
/// How often writing is tried, and how long is waited in between.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(200);

/// What the service gives for a refresh token.
#[derive(Debug)]
pub struct Grant {
    /// The new access token.
    pub access: Secret,
    /// The new refresh token; none where the old one stays good.
    pub refresh: Option<Secret>,
    /// When the access token ends.
    pub expires_at: Timestamp,
    /// When the refresh token ends, where the service says so.
    pub refresh_expires_at: Option<Timestamp>,
    /// What the tokens are good for, where the service says so.
    pub scopes: Option<Vec<String>>,
}

/// What a renewal has just done; a test ends the process there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All locks are held.
    Locked,
    /// The space for the answer is taken. The service is asked next.
    Reserved,
    /// The service has answered, and the answer is in memory alone.
    Answered,
    /// The answer is on the disk, beside the store.
    Noted,
    /// The answer is in the store.
    Stored,
}

/// What can be told of a login's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// There is no login that could be renewed.
    Nothing,
    /// Its access token ends then.
    EndsAt(Timestamp),
    /// A renewal was interrupted and is to be completed.
    Interrupted,
}

/// What [`begin`] came to.
#[derive(Debug)]
pub enum Begun<'a> {
    /// The service is to be asked now.
    Ready(Box<Renewal<'a>>),
    /// It is not due, or there is no login; somebody else may have renewed it meanwhile.
    NotDue,
    /// Somebody else is renewing it.
    Busy,
    /// A renewal that had been interrupted was completed.
    Completed {
        /// When the access token ends.
        expires_at: Timestamp,
    },
}

/// Whether an answer was needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It is in the store.
    Stored,
    /// There is another login by now, or none, and that stands.
    Superseded,
}

/// Looks at the end of an account's login. Takes no lock and writes nothing; the tokens are passed over.
pub fn outlook(home: &Home, account: AccountId) -> Result<Outlook, CredsError> {
    let dir = own_dir(home, account)?;
    if journal::path(&dir).symlink_metadata().is_ok() {
        return Ok(Outlook::Interrupted);
    }
    let store = Store::of(&dir, account)?;
    Ok(match store.content()? {
        Content::Login(login) => ends_at(&login).map_or(Outlook::Nothing, Outlook::EndsAt),
        Content::Nothing | Content::Blanked => Outlook::Nothing,
    })
}

/// Gets everything ready for asking the service, when the access token ends at `due` or before. Completes a renewal that
/// was interrupted in any case. `watch` is told of each step.
pub fn begin<'a>(
    home: &Home,
    account: AccountId,
    due: Timestamp,
    watch: &'a dyn Fn(Step),
) -> Result<Begun<'a>, CredsError> {
    let dir = own_dir(home, account)?;
    let failed = |action| {
        let path = dir.clone();
        move |source| CredsError::File {
            action,
            path,
            source,
        }
    };
    // On the directory itself: it leaves nothing behind, and goes with the account.
    let own = File::open(&dir).map_err(failed("lock"))?;
    match own.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Begun::Busy),
        Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
    }
    let signals = HeldSignals::hold();
    let Some(locks) = Locks::take(&dir, LOCK_PATIENCE).map_err(failed("lock"))? else {
        return Ok(Begun::Busy);
    };
    watch(Step::Locked);
    let store = Store::of(&dir, account)?;
    if let Some(expires_at) = complete_interrupted(&store, &dir, &locks)? {
        return Ok(Begun::Completed { expires_at });
    }
    journal::clear(&dir);
    let Content::Login(login) = store.content()? else {
        return Ok(Begun::NotDue);
    };
    if ends_at(&login).is_none_or(|end| end > due) {
        return Ok(Begun::NotDue);
    }
    store.prove_writable(&locks)?;
    let note = Reserved::new(journal::path(&dir), journal::ROOM).map_err(failed("prepare"))?;
    let new = store.reserve(&dir)?;
    watch(Step::Reserved);
    Ok(Begun::Ready(Box::new(Renewal {
        note,
        writer: Writer { store, new },
        login,
        watch,
        locks,
        _own: own,
        _signals: signals,
    })))
}

/// A renewal between the question and the answer. Dropping it lets go of everything and changes nothing.
pub struct Renewal<'a> {
    note: Reserved,
    writer: Writer,
    login: Login,
    watch: &'a dyn Fn(Step),
    locks: Locks,
    _own: File,
    _signals: HeldSignals,
}

impl fmt::Debug for Renewal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("account", &self.writer.store.account)
            .finish_non_exhaustive()
    }
}

impl Renewal<'_> {
    /// The token to spend.
    #[must_use]
    pub fn refresh_token(&self) -> &Secret {
        &self.login.refresh
    }

    /// The client that signed in, where it is not the usual one.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.login.client_id.as_deref()
    }

    /// What the login's tokens are good for; empty where that is not said.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.login.scopes
    }

    /// Whether claude knows the login to be a subscription's.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.login.is_subscription
    }

    /// Whether the locks are still ours and the token is still the one in the store: asked right before it is spent.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.locks.are_ours() && self.is_stored()
    }

    /// Whether the token is still the one in the store: asked when the service refuses it.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.writer.store.content(), Ok(Content::Login(login))
            if login.refresh.expose() == self.login.refresh.expose())
    }

    /// Puts the answer in the place of the token that was spent for it.
    pub fn complete(mut self, grant: &Grant) -> Result<Completed, CredsError> {
        (self.watch)(Step::Answered);
        let text = journal::text(&self.login.refresh, grant);
        let noted = self.writer.needs_note() && self.note.fill(text.as_bytes()).is_ok();
        if noted {
            self.note.keep();
            (self.watch)(Step::Noted);
        }
        let is_spent = |refresh: &Secret| refresh.expose() == self.login.refresh.expose();
        let mut write = |patience| self.writer.write(grant, &is_spent, &self.locks, patience);
        let mut result = write(STORAGE_PATIENCE);
        for _ in 1..TRIES {
            if result.is_ok() {
                break;
            }
            // Nothing has been lost yet: where a disk is full, something may be removed.
            pause(BETWEEN_TRIES);
            result = write(Duration::ZERO);
        }
        match result {
            Ok(completed) => {
                (self.watch)(Step::Stored);
                journal::clear(&self.writer.store.dir);
                Ok(completed)
            }
            Err(_) if !noted && self.note.fill(text.as_bytes()).is_err() => Err(CredsError::Lost {
                account: self.writer.store.account,
            }),
            Err(error) => {
                self.note.keep();
                Err(error)
            }
        }
    }
}

/// Completes what a renewal that was killed has left, where the token it spent is still in the store, or claude blanked
/// it because it was spent. When the access token ends.
fn complete_interrupted(
    store: &Store,
    dir: &Path,
    locks: &Locks,
) -> Result<Option<Timestamp>, CredsError> {
    let Some(entry) = journal::load(dir)? else {
        return Ok(None);
    };
    let store = store.again();
    let _ = std::fs::remove_file(journal::new_store(dir));
    let new = store.reserve(dir)?;
    let mut writer = Writer { store, new };
    let is_spent = |refresh: &Secret| entry.is_for(refresh);
    let written = writer.write(&entry.grant, &is_spent, locks, STORAGE_PATIENCE)?;
    journal::clear(dir);
    locks.release_storage();
    Ok((written == Completed::Stored).then_some(entry.grant.expires_at))
}

fn ends_at(login: &Login) -> Option<Timestamp> {
    let ms = login.expires_at_ms?;
    Some(Timestamp::from_unix_seconds(ms / 1000.0))
}

/// Where the login of one account is.
#[derive(Debug)]
struct Store {
    dir: PathBuf,
    account: AccountId,
    #[cfg(target_os = "macos")]
    in_keychain: bool,
}

impl Store {
    fn of(dir: &Path, account: AccountId) -> Result<Self, CredsError> {
        Ok(Self {
            dir: dir.to_owned(),
            account,
            // claude reads the Keychain first, and the file only where it has no item.
            #[cfg(target_os = "macos")]
            in_keychain: super::keychain::read(dir, account)?.is_some(),
        })
    }

    fn again(&self) -> Self {
        Self {
            dir: self.dir.clone(),
            account: self.account,
            #[cfg(target_os = "macos")]
            in_keychain: self.in_keychain,
        }
    }

    fn path(&self) -> PathBuf {
        account_credential(&self.dir)
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>, CredsError> {
        #[cfg(target_os = "macos")]
        if self.in_keychain {
            return super::keychain::read(&self.dir, self.account);
        }
        file::read(&self.path())
    }

    fn content(&self) -> Result<Content, CredsError> {
        match self.read()? {
            Some(blob) => blob::read(&blob).map_err(|Unreadable| self.unreadable()),
            None => Ok(Content::Nothing),
        }
    }

    fn unreadable(&self) -> CredsError {
        CredsError::Unreadable {
            account: self.account,
        }
    }

    /// Takes the space for a new file; none where the store is no file.
    fn reserve(&self, dir: &Path) -> Result<Option<Reserved>, CredsError> {
        #[cfg(target_os = "macos")]
        if self.in_keychain {
            return Ok(None);
        }
        let bytes = self.read()?.map_or(0, |blob| blob.len()) + MARGIN_BYTES;
        let path = journal::new_store(dir);
        match Reserved::new(path.clone(), bytes) {
            Ok(reserved) => Ok(Some(reserved)),
            Err(source) => Err(CredsError::File {
                action: "prepare",
                path,
                source,
            }),
        }
    }

    /// A Keychain that is locked or asks is found out before a token is spent: what is there is written once more.
    fn prove_writable(&self, locks: &Locks) -> Result<(), CredsError> {
        #[cfg(target_os = "macos")]
        if self.in_keychain {
            self.lock_storage(locks, STORAGE_PATIENCE)?;
            if let Some(blob) = self.read()? {
                super::keychain::write(&self.dir, self.account, &blob)?;
            }
            locks.release_storage();
        }
        #[cfg(not(target_os = "macos"))]
        let _ = locks;
        Ok(())
    }

    /// Takes claude's lock of the store; when the patience is over it is done without.
    fn lock_storage(&self, locks: &Locks, patience: Duration) -> Result<(), CredsError> {
        locks
            .take_storage(patience)
            .map(drop)
            .map_err(|source| CredsError::File {
                action: "lock",
                path: self.dir.clone(),
                source,
            })
    }
}

/// A store and the space for its next contents.
#[derive(Debug)]
struct Writer {
    store: Store,
    new: Option<Reserved>,
}

impl Writer {
    /// A file of its own is worth having where the store is a file too; a Keychain is not to be copied to the disk
    /// unless there is no other way.
    fn needs_note(&self) -> bool {
        self.new.is_some()
    }

    /// Compare and swap: the tokens of `grant` take the place of the login that `is_spent` recognises.
    fn write(
        &mut self,
        grant: &Grant,
        is_spent: &dyn Fn(&Secret) -> bool,
        locks: &Locks,
        patience: Duration,
    ) -> Result<Completed, CredsError> {
        self.store.lock_storage(locks, patience)?;
        let result = self.swap(grant, is_spent);
        locks.release_storage();
        result
    }

    fn swap(
        &mut self,
        grant: &Grant,
        is_spent: &dyn Fn(&Secret) -> bool,
    ) -> Result<Completed, CredsError> {
        let Some(blob) = self.store.read()? else {
            // Signed out meanwhile.
            return Ok(Completed::Superseded);
        };
        match blob::read(&blob).map_err(|Unreadable| self.store.unreadable())? {
            // claude blanks a login when the token it presents was spent already: by us.
            Content::Blanked if grant.refresh.is_some() => {}
            Content::Login(login) if is_spent(&login.refresh) => {}
            Content::Login(_) | Content::Blanked | Content::Nothing => {
                return Ok(Completed::Superseded);
            }
        }
        let edited = blob::edit(&blob, grant).map_err(|Unreadable| self.store.unreadable())?;
        self.put(&edited)?;
        Ok(Completed::Stored)
    }

    fn put(&mut self, contents: &[u8]) -> Result<(), CredsError> {
        let path = self.store.path();
        match &mut self.new {
            Some(new) => new
                .fill(contents)
                .and_then(|()| new.rename_to(&path))
                .map_err(|source| CredsError::File {
                    action: "write",
                    path,
                    source,
                }),
            #[cfg(target_os = "macos")]
            None => super::keychain::write(&self.store.dir, self.store.account, contents),
            #[cfg(not(target_os = "macos"))]
            None => Err(CredsError::File {
                action: "write",
                path,
                source: io::ErrorKind::Unsupported.into(),
            }),
        }
    }
}
