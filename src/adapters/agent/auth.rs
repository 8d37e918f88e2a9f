//! Asking the real `claude` who is logged in. Since 2.1.329 it renews an expired login while at it, which makes this
//! the cheapest health check there is (0.2 s).

use super::process::{Agent, Environment, Unread};
use super::until::Until;
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long it may take: one renewal at a slow service included.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// claude's word for a login of the subscription kind.
const SUBSCRIPTION_METHOD: &str = "claude.ai";

/// What `claude auth status` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthStatus {
    /// Whether somebody is.
    pub logged_in: bool,
    /// `claude.ai` for a subscription, `api_key` and others for everything else.
    pub method: Option<String>,
    /// `max`, `pro`, `team`, `enterprise`.
    pub subscription: Option<String>,
    /// The account's email address.
    pub email: Option<String>,
}

impl AuthStatus {
    /// Whether a plan is signed in, and not an API or console login.
    #[must_use]
    pub fn is_subscription(&self) -> bool {
        self.logged_in && self.method.as_deref() == Some(SUBSCRIPTION_METHOD)
    }
}

/// Why claude did not say who is logged in.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// It could not be started.
    #[error("cannot start {}: {source}", path.display())]
    Start {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It said nothing in time, and was ended.
    #[error("`claude auth status` did not answer within {} s", after.as_secs_f32().ceil())]
    Hang {
        /// How long it was waited for.
        after: Duration,
    },
    /// It said something else.
    #[error("`claude auth status` gave no answer that can be read")]
    NoAnswer,
}

/// Asks `claude auth status` under an account's environment, in its directory.
pub fn status(
    claude: &Path,
    account_dir: &Path,
    environment: &Environment,
    timeout: Duration,
) -> Result<AuthStatus, AuthError> {
    let until = Until::from(Instant::now() + timeout);
    status_until(claude, account_dir, environment, until)
}

/// The same, but for who may lose interest.
pub fn status_until(
    claude: &Path,
    account_dir: &Path,
    environment: &Environment,
    deadline: Until<'_>,
) -> Result<AuthStatus, AuthError> {
    let timeout = deadline.left();
    let mut command = environment
        .clone()
        .with("DISABLE_AUTOUPDATER", "1")
        .command(claude);
    command
        .args(["auth", "status", "--json"])
        .current_dir(account_dir);
    let (mut agent, stdin, mut output) =
        Agent::start_piped(command, account_dir).map_err(|source| AuthError::Start {
            path: claude.to_owned(),
            source,
        })?;
    drop(stdin);
    let said = match output.rest(deadline) {
        Ok(text) => parse(text).ok_or(AuthError::NoAnswer),
        Err(Unread::Late) => Err(AuthError::Hang { after: timeout }),
        Err(Unread::TooMuch | Unread::Failed) => Err(AuthError::NoAnswer),
    };
    if said.is_ok() {
        agent.wait(deadline);
    }
    said
}

fn parse(text: &[u8]) -> Option<AuthStatus> {
    let value: Value = serde_json::from_slice(text).ok()?;
    let word = |name: &str| {
        value[name]
            .as_str()
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
    };
    Some(AuthStatus {
        logged_in: value["loggedIn"].as_bool()?,
        method: word("authMethod"),
        subscription: word("subscriptionType"),
        email: word("email"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_subscription_login_is_one() {
        let is_one =
            |text: &str| parse(text.as_bytes()).is_some_and(|status| status.is_subscription());
        assert!(is_one(
            r#"{"loggedIn":true,"authMethod":"claude.ai","subscriptionType":"max"}"#
        ));
        assert!(is_one(r#"{"loggedIn":true,"authMethod":"claude.ai"}"#));
        assert!(!is_one(r#"{"loggedIn":true,"authMethod":"api_key"}"#));
        assert!(!is_one(r#"{"loggedIn":true,"authMethod":"oauth_token"}"#));
        assert!(!is_one(r#"{"loggedIn":false,"authMethod":"claude.ai"}"#));
        for garbage in ["", "Not logged in", "{}", "[]", r#"{"loggedIn":"yes"}"#] {
            assert_eq!(parse(garbage.as_bytes()), None, "{garbage}");
        }
    }
}
