//! Logins: single-use rotating refresh tokens, single-use codes bound to a verifier, profile and roles.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::account::Account;
use super::state::{Code, State};
use super::time::Millis;
use super::wire::Response;

/// Scopes that a subscription login has.
const SCOPES: &str =
    "user:profile user:inference user:sessions:claude_code user:mcp_servers user:file_upload";

/// A text nobody can guess, for made-up tokens, codes and verifiers. 64 hexadecimal digits.
#[must_use]
pub fn random_word() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    // Keys of `RandomState` come from the operating system once per thread and then count up: hash them apart.
    let seed: Vec<u8> = (0..4u64)
        .flat_map(|part| RandomState::new().hash_one((count, part)).to_le_bytes())
        .collect();
    Sha256::digest(&seed)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The S256 challenge of a verifier: unpadded base64url of its SHA-256.
#[must_use]
pub fn challenge_of(verifier: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest = Sha256::digest(verifier.as_bytes());
    let mut text = String::new();
    for group in digest.chunks(3) {
        let bits = group
            .iter()
            .fold(0u32, |bits, byte| (bits << 8) | u32::from(*byte))
            << (8 * (3 - group.len()));
        for position in 0..=group.len() {
            let index = (bits >> (18 - 6 * position)) & 0x3f;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

/// What a person's browser ends up with after "Authorize": enough to finish a sign-in either way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The single-use code.
    pub code: String,
    /// The client's state, to be handed back.
    pub state: String,
    /// Where the client wants the code delivered.
    pub redirect_uri: String,
}

impl Authorization {
    /// The URL a browser would be redirected to.
    #[must_use]
    pub fn callback_url(&self) -> String {
        format!(
            "{}?code={}&state={}",
            self.redirect_uri, self.code, self.state
        )
    }

    /// Whether the client listens for the code itself.
    fn is_local(&self) -> bool {
        ["http://localhost:", "http://127.0.0.1:"]
            .iter()
            .any(|start| self.redirect_uri.starts_with(start))
    }

    /// What a person would paste.
    #[must_use]
    pub fn pasted(&self) -> String {
        format!("{}#{}", self.code, self.state)
    }
}

/// Signs `account` in on the authorize page whose query this is.
pub(super) fn authorize(state: &mut State, query: &str, account: &str) -> Option<Authorization> {
    let code = format!("simulated-code-{}", random_word());
    let challenge = parameter(query, "code_challenge");
    let authorization = Authorization {
        code: code.clone(),
        state: parameter(query, "state")?,
        redirect_uri: parameter(query, "redirect_uri")?,
    };
    state.codes.insert(
        code,
        Code {
            account: account.to_owned(),
            challenge,
        },
    );
    Some(authorization)
}

/// The browser's side: the hinted account, or the one named by `set_next_login`, is signed in and sent back.
pub(super) fn authorize_page(state: &mut State, query: &str) -> Response {
    let hint = parameter(query, "login_hint");
    let hinted = hint.and_then(|hint| {
        state
            .accounts
            .values()
            .find(|account| account.spec.email == hint)
            .map(|account| account.spec.name.clone())
    });
    let Some(account) = hinted.or_else(|| state.next_login.clone()) else {
        return Response::error(
            403,
            "permission_error",
            "nobody is signed in here: no hint and no next login",
        );
    };
    match authorize(state, query, &account) {
        // A page of the real service is never somebody's target: the code is shown, as that page would.
        Some(authorization) if !authorization.is_local() => {
            Response::json(200, &json!({"paste": authorization.pasted()}))
        }
        Some(authorization) => {
            Response::json(302, &json!({})).with_header("location", authorization.callback_url())
        }
        None => Response::error(
            400,
            "invalid_request_error",
            "state and redirect_uri are needed",
        ),
    }
}

/// `POST /v1/oauth/token`.
pub(super) fn token(state: &mut State, body: &Value, now: Millis) -> Response {
    match body["grant_type"].as_str() {
        Some("refresh_token") => renew(
            state,
            body["refresh_token"].as_str().unwrap_or_default(),
            now,
        ),
        Some("authorization_code") => exchange(state, body, now),
        _ => invalid("unsupported_grant_type", "grant_type is not supported"),
    }
}

fn renew(state: &mut State, token: &str, now: Millis) -> Response {
    let Some(refresh) = state.refresh.get_mut(token) else {
        return invalid("invalid_grant", "Refresh token not found or invalid");
    };
    if refresh.spent {
        state.double_spends += 1;
        return invalid("invalid_grant", "Refresh token was used before");
    }
    if refresh.revoked {
        return invalid("invalid_grant", "Refresh token was revoked");
    }
    refresh.spent = true;
    let account = refresh.account.clone();
    state.refreshes += 1;
    grant(state, &account, now)
}

fn exchange(state: &mut State, body: &Value, now: Millis) -> Response {
    // Removed whatever comes next: a code is good for one try.
    let Some(code) = body["code"]
        .as_str()
        .and_then(|code| state.codes.remove(code))
    else {
        return invalid("invalid_grant", "Invalid 'code' in token request");
    };
    if let Some(challenge) = &code.challenge {
        let verifier = body["code_verifier"].as_str().unwrap_or_default();
        if challenge_of(verifier) != *challenge {
            return invalid("invalid_grant", "code_verifier does not match");
        }
    }
    grant(state, &code.account, now)
}

fn grant(state: &mut State, account: &str, now: Millis) -> Response {
    let tokens = state.sign_in(account, now);
    let lifetime = state.access_lifetime_seconds;
    let Some(account) = state.accounts.get(account) else {
        return invalid("invalid_grant", "account is gone");
    };
    Response::json(
        200,
        &json!({
            "token_type": "Bearer", "access_token": tokens.access, "refresh_token": tokens.refresh,
            "expires_in": lifetime, "scope": SCOPES,
            "account": {"uuid": account.spec.uuid, "email_address": account.spec.email},
            "organization": {"uuid": account.spec.organization_uuid, "name": account.spec.organization_name},
        }),
    )
}

fn invalid(error: &str, description: &str) -> Response {
    Response::json(
        400,
        &json!({"error": error, "error_description": description}),
    )
}

/// `POST /v1/oauth/token/revoke`: always 200, as RFC 7009 asks.
pub(super) fn revoke(state: &mut State, body: &Value) -> Response {
    let token = body["token"].as_str().unwrap_or_default();
    if let Some(refresh) = state.refresh.get_mut(token) {
        refresh.revoked = true;
    }
    if let Some(access) = state.access.get_mut(token) {
        access.revoked = true;
    }
    Response::json(200, &json!({}))
}

/// `GET /api/oauth/profile`.
pub(super) fn profile(account: &Account) -> Response {
    let spec = &account.spec;
    let extra = account.extra.as_ref().is_some_and(|extra| extra.enabled);
    Response::json(
        200,
        &json!({
            "account": {
                "uuid": spec.uuid, "email": spec.email, "full_name": spec.name, "display_name": spec.name,
                "has_claude_max": spec.subscription == "max", "has_claude_pro": spec.subscription == "pro",
                "created_at": "2025-01-01T00:00:00Z",
            },
            "organization": {
                "uuid": spec.organization_uuid, "name": spec.organization_name,
                "organization_type": format!("claude_{}", spec.subscription),
                "rate_limit_tier": spec.rate_limit_tier, "billing_type": "stripe_subscription",
                "has_extra_usage_enabled": extra, "subscription_status": "active",
                "subscription_created_at": "2025-01-01T00:00:00Z", "seat_tier": null,
            },
            "application": {"name": "Claude Code", "slug": "claude-code"},
        }),
    )
}

/// `GET /api/oauth/claude_cli/roles`.
pub(super) fn roles(account: &Account) -> Response {
    Response::json(
        200,
        &json!({
            "organization_role": "admin", "organization_uuid": account.spec.organization_uuid,
            "organization_name": account.spec.organization_name, "workspace_role": null,
            "workspace_uuid": null, "workspace_name": null,
        }),
    )
}

/// A query parameter, percent-decoded.
#[must_use]
pub fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| decode(value))
    })
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut position = 0;
    while position < bytes.len() {
        let hex = || u8::from_str_radix(text.get(position + 1..position + 3)?, 16).ok();
        match (bytes[position], hex()) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                position += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        position += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}
