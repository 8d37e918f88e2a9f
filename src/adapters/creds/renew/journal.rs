//! A grant on its way into the store: written beside it as soon as the service has answered, so that from then on neither
//! a crash nor a full disk loses it. It names, by hash, the token that was spent for it, and counts for no other.

use super::blob::quoted;
use super::{Grant, Secret};
use crate::adapters::creds::{CredsError, file};
use crate::core::time::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A grant is about 500 bytes; the longest tokens that are taken from the service fit.
pub(super) const ROOM: usize = 64 * 1024;

/// A grant and the token that was spent for it.
#[derive(Debug)]
pub(super) struct Entry {
    spent: String,
    pub grant: Grant,
}

impl Entry {
    /// Whether the grant was had for this very token.
    pub fn is_for(&self, refresh: &Secret) -> bool {
        self.spent == hash_of(refresh)
    }
}

/// Where the grant of an account stands. The name is private to every overlay.
pub(super) fn path(account_dir: &Path) -> PathBuf {
    account_dir.join(".credentials.json.tmp.ccp-grant")
}

/// Where the new store of an account is prepared.
pub(super) fn new_store(account_dir: &Path) -> PathBuf {
    account_dir.join(".credentials.json.tmp.ccp-new")
}

/// Removes what a renewal that was killed has left.
pub(in crate::adapters::creds) fn clear(account_dir: &Path) {
    let _ = fs::remove_file(path(account_dir));
    let _ = fs::remove_file(new_store(account_dir));
}

/// The text of an entry.
pub(super) fn text(spent: &Secret, grant: &Grant) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(ROOM));
    let _ = write!(text, "{{\"spent\":\"{}\",\"accessToken\":", hash_of(spent));
    text.push_str(&quoted(grant.access.expose()));
    if let Some(refresh) = &grant.refresh {
        text.push_str(",\"refreshToken\":");
        text.push_str(&quoted(refresh.expose()));
    }
    let _ = write!(text, ",\"expiresAt\":{}", grant.expires_at.unix_ms());
    if let Some(ends) = grant.refresh_expires_at {
        let _ = write!(text, ",\"refreshTokenExpiresAt\":{}", ends.unix_ms());
    }
    if let Some(scopes) = &grant.scopes {
        let list = serde_json::Value::from(scopes.clone());
        let _ = write!(text, ",\"scopes\":{list}");
    }
    text.push('}');
    text
}

/// The entry of an account; none when there is none, or one that was not finished. One that cannot be read is an error:
/// it may be all that is left of a login.
pub(super) fn load(account_dir: &Path) -> Result<Option<Entry>, CredsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stored {
        spent: String,
        access_token: String,
        refresh_token: Option<String>,
        expires_at: i64,
        refresh_token_expires_at: Option<i64>,
        scopes: Option<Vec<String>>,
    }
    let Some(text) = file::read(&path(account_dir))? else {
        return Ok(None);
    };
    // A kill may come between writing it and cutting off the space that was reserved.
    let end = text
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |at| at + 1);
    let stored: Option<Stored> = serde_json::from_slice(&text[..end]).ok();
    Ok(stored.map(|stored| Entry {
        spent: stored.spent,
        grant: Grant {
            access: Secret::new(stored.access_token),
            refresh: stored.refresh_token.map(Secret::new),
            expires_at: Timestamp::from_unix_ms(stored.expires_at),
            refresh_expires_at: stored.refresh_token_expires_at.map(Timestamp::from_unix_ms),
            scopes: stored.scopes,
        },
    }))
}

fn hash_of(secret: &Secret) -> String {
    let digest = Sha256::digest(secret.expose().as_bytes());
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::files::{PRIVATE_FILE, replace};

    #[test]
    fn an_entry_counts_for_the_token_it_was_had_for_and_only_when_it_is_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let secret = |text: &str| Secret::new(text.to_owned());
        assert!(load(dir.path()).expect("nothing to read").is_none());
        let grant = Grant {
            access: secret("a\"\\"),
            refresh: Some(secret("r2")),
            expires_at: Timestamp::from_unix_ms(5),
            refresh_expires_at: Some(Timestamp::from_unix_ms(6)),
            scopes: Some(vec!["x".to_owned()]),
        };
        let text = text(&secret("r1"), &grant);
        assert!(!text.contains("r1"), "the spent token is only named");
        let put = |bytes: &[u8]| replace(&path(dir.path()), bytes, PRIVATE_FILE).expect("writes");
        let padded = [text.as_bytes(), &[0; 100]].concat();
        for whole in [text.as_bytes(), padded.as_slice()] {
            put(whole);
            let entry = load(dir.path()).expect("reads").expect("is whole");
            assert!(entry.is_for(&secret("r1")) && !entry.is_for(&secret("r2")));
            assert_eq!(entry.grant.access.expose(), "a\"\\");
            assert_eq!(entry.grant.expires_at, grant.expires_at);
            assert_eq!(entry.grant.refresh_expires_at, grant.refresh_expires_at);
            assert_eq!(entry.grant.scopes, grant.scopes);
        }
        for length in 0..text.len() {
            put(&padded[..length]);
            assert!(load(dir.path()).expect("reads").is_none(), "{length}");
        }
        clear(dir.path());
        assert!(!path(dir.path()).exists());
    }
}
