//! The token endpoint: one refresh token for a new pair of tokens, for those who chose direct renewal. The request is
//! the one claude 2.1.329 sends, under our own name. Bodies are neither logged nor repeated in an error.

use super::{ApiBase, ApiError, MAX_BODY_BYTES, client, transport_cause};
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::io::Read;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long an answer is waited for. Long: a token whose answer is not waited for is spent all the same.
pub const TOKEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The client that claude signs in as.
const CLIENT_ID: &str = "9d1c250a-e61b-44d9-88ed-5944d1962f5e";
/// What it asks for, for a subscription login that it made itself.
const USUAL: [&str; 6] = [
    "user:profile",
    INFERENCE,
    "user:sessions:claude_code",
    "user:mcp_servers",
    "user:file_upload",
    "user:plugins",
];
/// By this one claude tells a subscription login.
const INFERENCE: &str = "user:inference";
/// What it asks for besides, where the login has it already.
const KEPT: [&str; 3] = [
    "user:projects:read",
    "user:projects:write",
    "user:privacy_consents:write",
];
/// Room for any real answer: a token has about a hundred letters.
const USUAL_BODY_BYTES: usize = 16 * 1024;

/// A new pair of tokens. Not printable.
pub struct TokenGrant {
    /// Bearer of the API.
    pub access_token: Zeroizing<String>,
    /// Good for the next renewal; none where the old one stays good.
    pub refresh_token: Option<Zeroizing<String>>,
    /// Life of the access token; zero where it is not said, so that the next who looks renews it.
    pub expires_in: Duration,
    /// Life of the refresh token, where it is said.
    pub refresh_expires_in: Option<Duration>,
    /// What the tokens are good for, where it is said.
    pub scopes: Option<Vec<String>>,
}

impl fmt::Debug for TokenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenGrant(hidden)")
    }
}

/// The login that is renewed, as far as the request says something of it.
#[derive(Clone, Copy, Debug)]
pub struct Renewing<'a> {
    /// The client that signed in, where it is not the usual one.
    pub client_id: Option<&'a str>,
    /// What its tokens are good for; empty where that is not known.
    pub scopes: &'a [String],
    /// It is known to be a subscription's.
    pub is_subscription: bool,
}

impl Renewing<'_> {
    /// What is asked for: more than the login has, where claude itself made it, so that a login learns what later
    /// versions of claude can do.
    #[must_use]
    pub fn scope(&self) -> String {
        if self.is_usual() {
            let kept = KEPT.iter().filter(|kept| self.has(kept));
            return USUAL
                .iter()
                .chain(kept)
                .copied()
                .collect::<Vec<_>>()
                .join(" ");
        }
        if self.scopes.is_empty() {
            return USUAL.join(" ");
        }
        self.scopes.join(" ")
    }

    /// What is asked for after [`TokenError::InvalidScope`]: what the login has. None where claude does not ask again.
    #[must_use]
    pub fn scope_it_has(&self) -> Option<String> {
        let own = (self.is_usual() && self.has(INFERENCE)).then(|| self.scopes.join(" "))?;
        (own != self.scope()).then_some(own)
    }

    fn is_usual(&self) -> bool {
        (self.has(INFERENCE) || self.is_subscription) && self.client_id.is_none()
    }

    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
}

/// Why there are no new tokens.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The refresh token is dead: it was used before, revoked, or its time is over. The one definitive answer.
    #[error("the service does not accept the refresh token")]
    InvalidGrant,
    /// The service does not know what was asked for, or does not give it to this login. The token is not spent.
    #[error("the service does not grant what was asked for")]
    InvalidScope,
    /// Any other refusal; it says nothing about the login.
    #[error("the token endpoint answered with status {0}")]
    Status(u16),
    /// Nothing came back in time, or no connection was had.
    #[error("cannot reach the token endpoint: {0}")]
    Transport(&'static str),
    /// The answer is no grant.
    #[error("the token endpoint's answer cannot be read: {0}")]
    Body(&'static str),
    /// This machine's TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

/// Spends `refresh_token`, as `client_id` (none: the usual client), for tokens that are good for `scope`.
pub fn renew(
    base: &ApiBase,
    refresh_token: &str,
    client_id: Option<&str>,
    scope: &str,
    timeout: Duration,
) -> Result<TokenGrant, TokenError> {
    let client = client(base, timeout).map_err(|error| match error {
        ApiError::Tls(cause) => TokenError::Tls(cause),
        _ => TokenError::Transport("no client"),
    })?;
    // The library keeps its own copy of the body until it is sent, which cannot be wiped.
    let body = request(refresh_token, client_id.unwrap_or(CLIENT_ID), scope);
    let response = client
        .post(base.join("v1/oauth/token"))
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(body.to_vec())
        .send()
        .map_err(|error| TokenError::Transport(transport_cause(&error)))?;
    let status = response.status();
    // So that growing leaves no copy behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(USUAL_BODY_BYTES));
    response
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut answer)
        .map_err(|_| TokenError::Transport("the answer broke off"))?;
    if answer.len() as u64 > MAX_BODY_BYTES {
        return Err(TokenError::Body("it is too long"));
    }
    read(status, &answer)
}

fn request(refresh_token: &str, client_id: &str, scope: &str) -> Zeroizing<Vec<u8>> {
    #[derive(Serialize)]
    struct Request<'a> {
        grant_type: &'static str,
        refresh_token: &'a str,
        client_id: &'a str,
        scope: &'a str,
    }
    let request = Request {
        grant_type: "refresh_token",
        refresh_token,
        client_id,
        scope,
    };
    let mut body = Zeroizing::new(Vec::with_capacity(6 * refresh_token.len() + 1024));
    serde_json::to_writer(&mut *body, &request).expect("texts are JSON and memory takes them");
    body
}

fn read(status: StatusCode, answer: &[u8]) -> Result<TokenGrant, TokenError> {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    // Only the access token is insisted on: with the rest in an odd shape, the answer still is all there is of a login
    // whose old token has been spent.
    #[derive(Deserialize)]
    struct Answer {
        access_token: String,
        #[serde(default)]
        refresh_token: Value,
        #[serde(default)]
        expires_in: Value,
        #[serde(default)]
        refresh_token_expires_in: Value,
        #[serde(default)]
        scope: Value,
    }
    if !status.is_success() {
        let refusal: Option<Refusal> = serde_json::from_slice(answer).ok();
        let code = refusal.map(|refusal| refusal.error).unwrap_or_default();
        return Err(match code.as_str() {
            "invalid_grant" if status.is_client_error() => TokenError::InvalidGrant,
            "invalid_scope" if status == StatusCode::BAD_REQUEST => TokenError::InvalidScope,
            _ => TokenError::Status(status.as_u16()),
        });
    }
    // The parser's own message may quote what it stumbled over.
    let answer: Answer =
        serde_json::from_slice(answer).map_err(|_| TokenError::Body("it is no grant"))?;
    let access_token = Zeroizing::new(answer.access_token);
    if access_token.is_empty() {
        return Err(TokenError::Body("it has no token"));
    }
    let refresh_token = match answer.refresh_token {
        Value::String(text) if !text.is_empty() => Some(Zeroizing::new(text)),
        _ => None,
    };
    let seconds = |value: &Value| {
        let seconds = value.as_f64()?;
        Duration::try_from_secs_f64(seconds).ok()
    };
    let scope = answer.scope.as_str();
    Ok(TokenGrant {
        access_token,
        refresh_token,
        expires_in: seconds(&answer.expires_in).unwrap_or_default(),
        refresh_expires_in: seconds(&answer.refresh_token_expires_in),
        scopes: scope.map(|scope| scope.split_ascii_whitespace().map(str::to_owned).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_answer_is_definitive() {
        let rows = [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"used"}"#,
                TokenError::InvalidGrant,
            ),
            (
                401,
                r#"{"error":"invalid_grant"}"#,
                TokenError::InvalidGrant,
            ),
            (
                400,
                r#"{"error":"invalid_scope"}"#,
                TokenError::InvalidScope,
            ),
            (403, r#"{"error":"invalid_scope"}"#, TokenError::Status(403)),
            (
                400,
                r#"{"error":{"type":"invalid_grant"}}"#,
                TokenError::Status(400),
            ),
            (400, "invalid_grant", TokenError::Status(400)),
            (500, r#"{"error":"invalid_grant"}"#, TokenError::Status(500)),
            (429, "{}", TokenError::Status(429)),
            (302, "", TokenError::Status(302)),
            (
                200,
                r#"{"error":"invalid_grant"}"#,
                TokenError::Body("it is no grant"),
            ),
            (
                200,
                r#"{"access_token":"","expires_in":1}"#,
                TokenError::Body("it has no token"),
            ),
            (200, "secret", TokenError::Body("it is no grant")),
        ];
        for (status, body, expected) in rows {
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(
                read(status, body.as_bytes()).expect_err(body),
                expected,
                "{body}"
            );
        }
    }

    #[test]
    fn what_is_asked_for_is_what_claude_asks_for() {
        let row = |scopes: &str, client_id, is_subscription| {
            let scopes: Vec<String> = scopes.split_whitespace().map(str::to_owned).collect();
            let renewing = Renewing {
                client_id,
                scopes: &scopes,
                is_subscription,
            };
            (renewing.scope(), renewing.scope_it_has())
        };
        let usual = USUAL.join(" ");
        let own = "user:inference user:profile user:privacy_consents:write user:odd";
        assert_eq!(
            row(own, None, false),
            (
                format!("{usual} user:privacy_consents:write"),
                Some(own.to_owned())
            )
        );
        assert_eq!(row("", None, true), (usual.clone(), None));
        assert_eq!(row("user:profile", None, true), (usual.clone(), None));
        assert_eq!(row("", None, false), (usual.clone(), None));
        assert_eq!(row(&usual, None, true), (usual.clone(), None), "the same");
        for (scopes, client) in [("user:profile", None), (own, Some("another"))] {
            assert_eq!(row(scopes, client, false), (scopes.to_owned(), None));
        }
    }

    #[test]
    fn a_grant_is_read_and_not_shown() {
        let body = r#"{"access_token":"a-secret","refresh_token":"r-secret","expires_in":28800,
            "refresh_token_expires_in":2592000.5,"scope":"x  y","account":{}}"#;
        let grant = read(StatusCode::OK, body.as_bytes()).expect("a grant");
        assert_eq!(grant.access_token.as_str(), "a-secret");
        assert_eq!(
            grant.refresh_token.as_ref().map(|t| t.as_str()),
            Some("r-secret")
        );
        assert_eq!(grant.expires_in, Duration::from_secs(28800));
        assert_eq!(
            grant.refresh_expires_in,
            Some(Duration::from_millis(2_592_000_500))
        );
        assert_eq!(grant.scopes, Some(vec!["x".to_owned(), "y".to_owned()]));
        assert!(!format!("{grant:?}").contains("secret"));
        let kept =
            read(StatusCode::OK, br#"{"access_token":"a","expires_in":1}"#).expect("a grant");
        assert!(kept.refresh_token.is_none());
    }
}
