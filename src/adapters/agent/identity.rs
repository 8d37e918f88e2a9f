//! What claude wrote down about an account in its `.claude.json`: who is signed in, and the usage it last saw. Read
//! only, without claude's lock: claude replaces the file by rename, and a torn one is read as if it said nothing.

use crate::contract::paths::claude_json;
use crate::core::time::Timestamp;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// A `.claude.json` with years of projects has a few megabytes.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Who is signed in: the account and the organisation. A personal plan and a team seat differ in the second alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `oauthAccount.accountUuid`.
    pub account_uuid: String,
    /// `oauthAccount.organizationUuid`.
    pub organization_uuid: Option<String>,
    /// `oauthAccount.organizationName`.
    pub organization_name: Option<String>,
    /// `oauthAccount.emailAddress`.
    pub email: Option<String>,
    /// `oauthAccount.profileFetchedAt`, in milliseconds: moves with each sign-in.
    pub profile_fetched_at_ms: Option<i64>,
}

impl Identity {
    /// Whether both are the same account in the same organisation.
    #[must_use]
    pub fn is_same_account(&self, other: &Self) -> bool {
        (&self.account_uuid, &self.organization_uuid)
            == (&other.account_uuid, &other.organization_uuid)
    }
}

/// The usage claude last saw, in its own words.
#[derive(Clone, Debug, PartialEq)]
pub struct CachedUsage {
    /// When it asked the service.
    pub fetched_at: Timestamp,
    /// Whose usage it is.
    pub account_uuid: Option<String>,
    /// The body of the service's answer.
    pub body: Value,
}

/// Both, as far as they are there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClaudeState {
    /// Who is signed in.
    pub identity: Option<Identity>,
    /// The usage it last saw. Clients before 2.1.329 do not write it.
    pub usage: Option<CachedUsage>,
}

/// Loads what claude wrote down in `account_dir`. Nothing readable is nothing known.
#[must_use]
pub fn load(account_dir: &Path) -> ClaudeState {
    let mut text = Vec::new();
    let read = File::open(claude_json(account_dir))
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text));
    let value: Value = match read {
        Ok(_) => serde_json::from_slice(&text).unwrap_or_default(),
        Err(_) => Value::Null,
    };
    parse(&value)
}

fn parse(value: &Value) -> ClaudeState {
    ClaudeState {
        identity: identity(&value["oauthAccount"]),
        usage: cached_usage(&value["cachedUsageUtilization"]),
    }
}

fn identity(value: &Value) -> Option<Identity> {
    Some(Identity {
        account_uuid: text(&value["accountUuid"])?,
        organization_uuid: text(&value["organizationUuid"]),
        organization_name: text(&value["organizationName"]),
        email: text(&value["emailAddress"]),
        profile_fetched_at_ms: value["profileFetchedAt"].as_i64(),
    })
}

fn cached_usage(value: &Value) -> Option<CachedUsage> {
    let fetched_at = value["fetchedAtMs"].as_f64()?;
    Some(CachedUsage {
        fetched_at: Timestamp::from_unix_seconds(fetched_at / 1000.0),
        account_uuid: text(&value["accountUuid"]),
        body: value["utilization"].clone(),
    })
}

fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_identity_needs_an_account() {
        let known = |value: Value| {
            parse(&json!({"oauthAccount": value}))
                .identity
                .map(|i| i.account_uuid)
        };
        assert_eq!(known(json!({"accountUuid": "a"})), Some("a".into()));
        for none in [
            json!(null),
            json!({}),
            json!({"accountUuid": ""}),
            json!({"accountUuid": 7}),
            json!("a"),
        ] {
            assert_eq!(known(none), None);
        }
    }

    #[test]
    fn nothing_readable_is_nothing_known() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(load(dir.path()), ClaudeState::default());
        for text in ["", "{", "[]", "\u{0}"] {
            crate::adapters::files::replace(&claude_json(dir.path()), text.as_bytes(), 0o600)
                .expect("writes");
            assert_eq!(load(dir.path()), ClaudeState::default(), "{text}");
        }
    }
}
