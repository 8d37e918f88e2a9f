//! The two endpoints of the service that ccp may ask itself, each off unless chosen: usage, with an account's own access
//! token (the `oauth` usage source), and tokens, with its refresh token ([`token`], direct renewal). It says openly who
//! asks (`User-Agent: ccp/VERSION`) and keeps nothing; error texts name a status, never a body or a token.

mod base;
mod retry_after;
pub mod token;

pub use base::{ApiBase, BaseError};

use crate::contract::usage_body::{self, Report};
use crate::core::time::Timestamp;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::redirect;
use std::io::Read;
use std::time::Duration;

/// What claude's own client allows the endpoint.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// A body has about 2 kB.
const MAX_BODY_BYTES: u64 = 1024 * 1024;
/// Names the kind of token that is sent; the endpoint asks for it.
const BETA: (&str, &str) = ("anthropic-beta", "oauth-2025-04-20");

/// A token to ask with.
#[derive(Clone, Copy)]
pub struct Bearer<'a> {
    /// The access token.
    pub token: &'a str,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Why the endpoint gave no numbers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// The access token is over, so it was not sent: the service would answer that it is throttled. claude renews it at
    /// the next launch or probe.
    #[error("the access token has expired")]
    Expired,
    /// Too many requests.
    #[error("the usage endpoint is throttled")]
    Throttled {
        /// How long the service asks to be left alone, where it says so and can be believed.
        retry_after: Option<Duration>,
    },
    /// The service does not accept the login (any more).
    #[error("the service does not accept the access token")]
    Unauthorized,
    /// It answered with another status.
    #[error("the usage endpoint answered with status {0}")]
    Status(u16),
    /// Nothing came back in time, or no connection was had.
    #[error("cannot reach the usage endpoint: {0}")]
    Transport(&'static str),
    /// The answer is no usage report.
    #[error("the usage endpoint's answer cannot be read: {0}")]
    Body(&'static str),
    /// This machine's TLS cannot be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
}

impl ApiError {
    /// Whether the service was not reached at all, which is no fault of the account.
    #[must_use]
    pub const fn is_transport(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Tls(_))
    }
}

/// Fetches the usage of the account that `bearer` belongs to.
pub fn fetch_usage(
    base: &ApiBase,
    bearer: Bearer<'_>,
    now: Timestamp,
    timeout: Duration,
) -> Result<(Report, Vec<usage_body::Problem>), ApiError> {
    if bearer.expires_at <= now {
        return Err(ApiError::Expired);
    }
    let mut authorization = HeaderValue::try_from(format!("Bearer {}", bearer.token))
        .map_err(|_| ApiError::Unauthorized)?;
    authorization.set_sensitive(true);
    let response = client(base, timeout)?
        .get(base.join("api/oauth/usage"))
        .header(AUTHORIZATION, authorization)
        .header(BETA.0, BETA.1)
        .header(ACCEPT, "application/json")
        .send()
        .map_err(|error| ApiError::Transport(transport_cause(&error)))?;
    read(response, now)
}

fn client(base: &ApiBase, timeout: Duration) -> Result<Client, ApiError> {
    let mut builder = Client::builder()
        .user_agent(concat!("ccp/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .connect_timeout(timeout)
        // A token goes where it was meant to go and nowhere else.
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0);
    if base.is_loopback() {
        builder = builder.no_proxy();
    }
    #[cfg(not(target_os = "macos"))]
    {
        builder = builder.tls_backend_preconfigured(tls_config()?);
    }
    builder.build().map_err(|e| ApiError::Tls(e.to_string()))
}

/// The system's certificates and ring, for this client alone: no provider is installed for the whole process.
#[cfg(not(target_os = "macos"))]
fn tls_config() -> Result<rustls::ClientConfig, ApiError> {
    use rustls_platform_verifier::BuilderVerifierExt;
    let failed = |error: rustls::Error| ApiError::Tls(error.to_string());
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .with_platform_verifier()
        .map_err(failed)?
        .with_no_client_auth())
}

fn transport_cause(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    }
}

fn read(
    response: Response,
    now: Timestamp,
) -> Result<(Report, Vec<usage_body::Problem>), ApiError> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::TOO_MANY_REQUESTS => {
            let header = response.headers().get(RETRY_AFTER);
            let text = header.and_then(|value| value.to_str().ok());
            return Err(ApiError::Throttled {
                retry_after: text.and_then(|text| retry_after::parse(text, now)),
            });
        }
        StatusCode::UNAUTHORIZED => return Err(ApiError::Unauthorized),
        other => return Err(ApiError::Status(other.as_u16())),
    }
    let mut body = Vec::new();
    response
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut body)
        .map_err(|_| ApiError::Transport("the answer broke off"))?;
    if body.len() as u64 > MAX_BODY_BYTES {
        return Err(ApiError::Body("it is too long"));
    }
    let value = serde_json::from_slice(&body).map_err(|_| ApiError::Body("it is not JSON"))?;
    let (report, problems) = usage_body::parse(&value);
    if report.windows.is_empty() {
        return Err(ApiError::Body("it has no windows"));
    }
    Ok((report, problems))
}
