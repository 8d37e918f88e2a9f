//! Where claude keeps the login of an account: a 0600 file in the account's directory on Linux, an item of the login
//! Keychain on macOS (with the file as claude's own fallback). Everything here takes the home and an account's id, so no
//! call can name plain claude's own login.
//!
//! Seeing that a login is there, and removing it, reads no secret. What does read one is [`read_access_token`], for those
//! who chose the `oauth` usage source, and [`renew`], for those who chose direct renewal.

mod file;
#[cfg(target_os = "macos")]
mod keychain;
pub mod name;
pub mod renew;
mod secret;

pub use secret::Secret;

use crate::adapters::files::modified_ns;
use crate::contract::paths::{Home, account_credential};
use crate::contract::snapshot::FileStamp;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What can be told of an account's login without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// There is one. The stamp changes whenever claude writes it.
    Present(FileStamp),
    /// There is none, or an empty one that claude writes on the way to a login.
    Absent,
    /// It cannot be told: the Keychain is locked, the directory is not to be entered, a link stands in its place.
    Unknown,
}

/// Why a login could not be removed, read or renewed.
#[derive(Debug, thiserror::Error)]
pub enum CredsError {
    /// The account's directory is a link or no directory, so that what is in it may be somebody else's.
    #[error("{} is not a directory of its own", path.display())]
    NotOwnDirectory {
        /// Which.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried: `read`, `write`, `remove`, `lock` or `prepare`.
        action: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is no login of claude's.
    #[error("the login of {account} is not in a form that can be read")]
    Unreadable {
        /// Whose.
        account: AccountId,
    },
    /// The service answered, and its answer could be written nowhere.
    #[error("the renewed login of {account} could not be written, and is lost")]
    Lost {
        /// Whose.
        account: AccountId,
    },
    /// The Keychain refused.
    #[error("the Keychain refused to {action} the login of {account} (code {code})")]
    Keychain {
        /// `read`, `write` or `remove`.
        action: &'static str,
        /// Whose.
        account: AccountId,
        /// The system's status code.
        code: i32,
    },
}

/// An access token and when it ends.
#[derive(Debug)]
pub struct AccessToken {
    /// The token.
    pub secret: Secret,
    /// When it ends, by claude's own note.
    pub expires_at: Timestamp,
}

/// Whether the account has a login. Reads no secret and causes no prompt.
#[must_use]
pub fn presence(home: &Home, account: AccountId) -> Presence {
    let Ok(dir) = own_dir(home, account) else {
        return if home.account(account).exists() {
            Presence::Unknown
        } else {
            Presence::Absent
        };
    };
    #[cfg(target_os = "macos")]
    match keychain::presence(&dir) {
        Presence::Absent => {}
        found => return found,
    }
    file::presence(&account_credential(&dir))
}

/// Whether a login of this number is left though its directory may be gone: the Keychain keeps items for itself.
#[must_use]
pub fn is_left(home: &Home, account: AccountId) -> bool {
    #[cfg(target_os = "macos")]
    return matches!(
        keychain::presence(&home.account(account)),
        Presence::Present(_)
    );
    #[cfg(not(target_os = "macos"))]
    {
        // The file is in the directory, and goes with it.
        let _ = (home, account);
        false
    }
}

/// Removes the login of an account for good; whether there was one. claude is not told, and the service still knows it.
pub fn remove(home: &Home, account: AccountId) -> Result<bool, CredsError> {
    let dir = match own_dir(home, account) {
        Ok(dir) => dir,
        Err(_) if !home.account(account).exists() => return Ok(false),
        Err(error) => return Err(error),
    };
    #[cfg(target_os = "macos")]
    let in_keychain = keychain::remove(&dir, account)?;
    #[cfg(not(target_os = "macos"))]
    let in_keychain = false;
    // A grant that an interrupted renewal left must not bring the login back.
    renew::journal::clear(&dir);
    Ok(file::remove(&account_credential(&dir))? || in_keychain)
}

/// Reads the access token of an account, and nothing else of its login: the refresh token is passed over unread. Only
/// for the `oauth` usage source, which is off unless chosen. None when there is no login, or a blanked one.
pub fn read_access_token(
    home: &Home,
    account: AccountId,
) -> Result<Option<AccessToken>, CredsError> {
    let dir = own_dir(home, account)?;
    #[cfg(target_os = "macos")]
    if let Some(blob) = keychain::read(&dir, account)? {
        return file::parse_token(&blob, account);
    }
    match file::read(&account_credential(&dir))? {
        Some(blob) => file::parse_token(&blob, account),
        None => Ok(None),
    }
}

/// The account's directory, when it is a directory and no link to somebody else's.
fn own_dir(home: &Home, account: AccountId) -> Result<PathBuf, CredsError> {
    let path = home.account(account);
    let is_own = |path: &Path| fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    if is_own(&path) {
        Ok(path)
    } else {
        Err(CredsError::NotOwnDirectory { path })
    }
}

/// The stamp of a file, the link itself where it is one.
fn stamp_of(metadata: &fs::Metadata) -> FileStamp {
    use std::os::unix::fs::MetadataExt;
    FileStamp {
        inode: metadata.ino(),
        len: metadata.len(),
        modified_ns: modified_ns(metadata),
    }
}

#[cfg(all(test, not(target_os = "macos")))]
#[expect(clippy::disallowed_methods, reason = "tests write made-up logins")]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn home() -> (tempfile::TempDir, Home, AccountId) {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::new(dir.path()).expect("absolute");
        let account = AccountId::new(1).expect("1");
        fs::create_dir_all(home.account(account)).expect("creates");
        (dir, home, account)
    }

    fn write(home: &Home, account: AccountId, text: &str) {
        fs::write(account_credential(&home.account(account)), text).expect("writes");
    }

    #[test]
    fn a_login_is_there_when_it_is_more_than_an_empty_object() {
        let (_dir, home, account) = home();
        assert_eq!(presence(&home, account), Presence::Absent);
        for empty in ["", "{}", "{}\n"] {
            write(&home, account, empty);
            assert_eq!(presence(&home, account), Presence::Absent, "{empty:?}");
        }
        write(&home, account, r#"{"claudeAiOauth":{}}"#);
        assert!(matches!(presence(&home, account), Presence::Present(_)));
        let nobody = AccountId::new(7).expect("7");
        assert_eq!(presence(&home, nobody), Presence::Absent);
    }

    #[test]
    fn a_link_is_nobodys_login() {
        let (dir, home, account) = home();
        let plain = dir.path().join("plain");
        fs::create_dir(&plain).expect("creates");
        fs::write(plain.join(".credentials.json"), r#"{"claudeAiOauth":{}}"#).expect("writes");
        // The file of an account is a link to plain claude's.
        symlink(
            plain.join(".credentials.json"),
            account_credential(&home.account(account)),
        )
        .expect("links");
        assert_eq!(presence(&home, account), Presence::Unknown);
        assert!(read_access_token(&home, account).is_err());
        assert!(remove(&home, account).expect("removes the link"));
        // The directory of an account is a link to plain claude's.
        let linked = AccountId::new(2).expect("2");
        symlink(&plain, home.account(linked)).expect("links");
        assert_eq!(presence(&home, linked), Presence::Unknown);
        assert!(read_access_token(&home, linked).is_err());
        assert!(remove(&home, linked).is_err());
        assert!(plain.join(".credentials.json").exists(), "left alone");
    }

    #[test]
    fn removing_is_for_good_and_happens_once() {
        let (_dir, home, account) = home();
        write(&home, account, r#"{"claudeAiOauth":{}}"#);
        assert!(remove(&home, account).expect("removes"));
        assert!(!remove(&home, account).expect("nothing is left"));
        assert!(!remove(&home, AccountId::new(9).expect("9")).expect("never was"));
    }

    #[test]
    fn the_access_token_is_read_and_never_shown() {
        let (_dir, home, account) = home();
        assert!(read_access_token(&home, account).expect("reads").is_none());
        write(
            &home,
            account,
            r#"{"mcpOAuth":{"x":1},"claudeAiOauth":{"accessToken":"made-up-a","refreshToken":"made-up-r","expiresAt":1900000000000}}"#,
        );
        let token = read_access_token(&home, account)
            .expect("reads")
            .expect("is there");
        assert_eq!(token.secret.expose(), "made-up-a");
        assert_eq!(token.expires_at.unix_ms(), 1_900_000_000_000);
        assert!(!format!("{token:?}").contains("made-up"));
        for blank in [
            r#"{"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}}"#,
            r#"{"mcpOAuth":{}}"#,
        ] {
            write(&home, account, blank);
            assert!(
                read_access_token(&home, account).expect("reads").is_none(),
                "{blank}"
            );
        }
        write(
            &home,
            account,
            r#"{"claudeAiOauth":{"accessToken":"made-up-a""#,
        );
        let error = read_access_token(&home, account).expect_err("torn");
        assert_eq!(
            error.to_string(),
            "the login of acct-01 is not in a form that can be read"
        );
    }
}
