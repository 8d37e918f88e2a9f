//! The credential file of an account's directory, in claude's own format.

use super::{AccessToken, CredsError, Presence, Secret, stamp_of};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use serde::Deserialize;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// The longest file that is a login without being one: `{}` and a line end.
const EMPTY_BYTES: u64 = 3;
/// The same blob holds the tokens of MCP servers, so it may be larger than one login.
const MAX_BYTES: u64 = 1024 * 1024;

pub(super) fn presence(path: &Path) -> Presence {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => Presence::Unknown,
        Ok(metadata) if metadata.len() <= EMPTY_BYTES => Presence::Absent,
        Ok(metadata) => Presence::Present(stamp_of(&metadata)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Presence::Absent,
        Err(_) => Presence::Unknown,
    }
}

pub(super) fn remove(path: &Path) -> Result<bool, CredsError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(failed("remove", path, source)),
    }
}

pub(super) fn read(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, CredsError> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed("read", path, source)),
    };
    let length = file.metadata().map_or(0, |m| m.len()).min(MAX_BYTES);
    // With room for all of it, so that growing leaves no copy behind.
    let mut blob = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(MAX_BYTES)
        .read_to_end(&mut blob)
        .map_err(|source| failed("read", path, source))?;
    Ok(Some(blob))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> CredsError {
    CredsError::File {
        action,
        path: path.to_owned(),
        source,
    }
}

/// The access token of claude's blob and its end; what else is in it is skipped, not kept.
pub(super) fn parse_token(
    blob: &[u8],
    account: AccountId,
) -> Result<Option<AccessToken>, CredsError> {
    #[derive(Deserialize)]
    struct Blob {
        #[serde(rename = "claudeAiOauth")]
        login: Option<Login>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Login {
        #[serde(default)]
        access_token: Option<String>,
        #[serde(default)]
        expires_at: Option<f64>,
    }
    // The parser's own message may quote what it stumbled over.
    let blob: Blob =
        serde_json::from_slice(blob).map_err(|_| CredsError::Unreadable { account })?;
    let Some(login) = blob.login else {
        return Ok(None);
    };
    let secret = login
        .access_token
        .filter(|text| !text.is_empty())
        .map(Secret::new);
    Ok(secret.map(|secret| AccessToken {
        secret,
        expires_at: Timestamp::from_unix_seconds(login.expires_at.unwrap_or(0.0) / 1000.0),
    }))
}
