//! The login of the config dir: loaded, renewed once by whoever holds the locks, blanked when it is dead.

use std::fmt;
use std::io;

use serde_json::{Value, json};

use super::files::{self, Lock, beside};
use super::world::World;
use crate::adapters::simulated::client::Answer;
use crate::adapters::simulated::now;

/// A token is renewed when this little of its life is left.
const RENEW_MILLIS: u64 = 300_000;
/// The client id that Claude Code presents.
pub(super) const CLIENT_ID: &str = "9d1c250a-e61b-44d9-88ed-5944d1962f5e";

/// A usable login. Not printable.
pub(super) struct Login {
    pub access: String,
    refresh: String,
    expires_at: u64,
    pub subscription: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Login(hidden)")
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Never signed in, or signed out.
    SignedOut,
    /// The refresh token is dead; the credential has been blanked.
    Expired,
    /// The service cannot be reached.
    Offline(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Offline(error)
    }
}

/// The login as stored, however old.
pub(super) fn load(world: &World) -> Option<Login> {
    let stored = files::load(&world.credential_file());
    let login = &stored["claudeAiOauth"];
    let text = |key: &str| {
        login[key]
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    Some(Login {
        access: text("accessToken")?,
        refresh: text("refreshToken").unwrap_or_default(),
        expires_at: login["expiresAt"].as_u64().unwrap_or(0),
        subscription: text("subscriptionType"),
    })
}

/// The login, renewed first if its time is nearly over.
pub(super) fn fresh(world: &World) -> Result<Login, Trouble> {
    let login = load(world).ok_or(Trouble::SignedOut)?;
    if now() + RENEW_MILLIS < login.expires_at {
        Ok(login)
    } else {
        renew(world, &login)
    }
}

/// One request with the login; a 401 renews it and tries once more.
pub(super) fn send(
    world: &World,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(Login, Answer), Trouble> {
    let login = fresh(world)?;
    let answer = world.send(method, path, Some(&login.access), body)?;
    if answer.status != 401 {
        return Ok((login, answer));
    }
    let login = renew(world, &login)?;
    let answer = world.send(method, path, Some(&login.access), body)?;
    Ok((login, answer))
}

/// Spends the refresh token, unless somebody else did while we waited for the locks.
fn renew(world: &World, old: &Login) -> Result<Login, Trouble> {
    let _own = Lock::take(world.config_dir.join(".oauth_refresh.lock"))?;
    let real = std::fs::canonicalize(&world.config_dir)?;
    let _sibling = Lock::take(beside(&real, ".lock"))?;
    let stored = load(world).ok_or(Trouble::Expired)?;
    if stored.access != old.access {
        return Ok(stored);
    }
    let request = json!({"grant_type": "refresh_token", "refresh_token": stored.refresh, "client_id": CLIENT_ID});
    // The old token is tried anyway where none can be had: the service has the last word.
    let Ok(answer) = world.send("POST", "/v1/oauth/token", None, Some(&request)) else {
        return Ok(stored);
    };
    let body = answer.json();
    if body["error"] == "invalid_grant" {
        change(world, |login| {
            login["accessToken"] = json!("");
            login["refreshToken"] = json!("");
            login["expiresAt"] = json!(0);
        })?;
        return Err(Trouble::Expired);
    }
    if answer.status != 200 {
        return Ok(stored);
    }
    change(world, |login| write_grant(login, &body))?;
    load(world).ok_or(Trouble::Expired)
}

/// Copies what a grant says into `claudeAiOauth`.
pub(super) fn write_grant(login: &mut Value, grant: &Value) {
    login["accessToken"] = grant["access_token"].clone();
    if grant["refresh_token"].is_string() {
        login["refreshToken"] = grant["refresh_token"].clone();
    }
    login["expiresAt"] = json!(now() + grant["expires_in"].as_u64().unwrap_or(0) * 1000);
    if let Some(scope) = grant["scope"].as_str() {
        login["scopes"] = json!(scope.split(' ').collect::<Vec<_>>());
    }
}

/// Changes the stored login and keeps every other key of the file.
pub(super) fn change(world: &World, change: impl FnOnce(&mut Value)) -> io::Result<()> {
    let mut stored = files::load(&world.credential_file());
    if !stored["claudeAiOauth"].is_object() {
        stored["claudeAiOauth"] = json!({});
    }
    change(&mut stored["claudeAiOauth"]);
    files::replace(&world.credential_file(), &stored)
}
