//! `auth login`, `auth logout`, `auth status`: the same order of writes, the same exit codes.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use std::{fs, io};

use serde_json::{Value, json};

use super::files;
use super::login::{self, CLIENT_ID};
use super::world::{World, complain, say};
use crate::adapters::simulated::{challenge_of, now, parameter, random_word};

/// Where a code is shown that has to be pasted.
const PASTE_REDIRECT: &str = "https://platform.claude.com/oauth/code/callback";
/// Where the browser ends up after a sign-in.
const SUCCESS: &str = "https://platform.claude.com/oauth/code/success?app=claude-code";
const SCOPE: &str = "org:create_api_key user:profile user:inference user:sessions:claude_code";
/// A browser that connects and says nothing does not block the paste.
const CALLBACK_BOUND: Duration = Duration::from_secs(10);

pub(super) fn run(world: &World, words: &[String]) -> u8 {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["login", options @ ..] => match sign_in(world, email_of(options)) {
            Ok(()) => {
                say("Login successful.");
                0
            }
            Err(reason) => {
                complain(&format!("Couldn't log in: {reason}"));
                1
            }
        },
        ["logout", ..] => sign_out(world),
        ["status", ..] | [] => status(world),
        _ => {
            complain("error: unknown command of auth");
            1
        }
    }
}

fn email_of<'a>(options: &[&'a str]) -> Option<&'a str> {
    let position = options.iter().position(|option| *option == "--email")?;
    options.get(position + 1).copied()
}

fn status(world: &World) -> u8 {
    let Ok(login) = login::fresh(world) else {
        say(&format!(
            "{:#}",
            json!({"loggedIn": false, "authMethod": "none", "apiProvider": "firstParty"})
        ));
        return 1;
    };
    let state = files::load(&world.state_file);
    let identity = &state["oauthAccount"];
    say(&format!(
        "{:#}",
        json!({
            "loggedIn": true, "authMethod": "claude.ai", "apiProvider": "firstParty",
            "email": identity["emailAddress"], "orgId": identity["organizationUuid"],
            "orgName": identity["organizationName"], "subscriptionType": login.subscription,
        })
    ));
    0
}

fn sign_out(world: &World) -> u8 {
    let stored = files::load(&world.credential_file());
    let token = &stored["claudeAiOauth"]["refreshToken"];
    let request =
        json!({"token": token, "token_type_hint": "refresh_token", "client_id": CLIENT_ID});
    // The local login ends whether or not the service hears of it.
    let _ = world.send("POST", "/v1/oauth/token/revoke", None, Some(&request));
    let removed = fs::remove_file(world.credential_file());
    let forgotten = files::change_state(world, forget_identity);
    match (removed, forgotten) {
        (Err(error), _) if error.kind() != io::ErrorKind::NotFound => failed(&error),
        (_, Err(error)) => failed(&error),
        _ => {
            say("Successfully logged out from your Anthropic account.");
            0
        }
    }
}

fn failed(error: &io::Error) -> u8 {
    complain(&format!("Couldn't log out: {error}"));
    1
}

fn forget_identity(state: &mut Value) {
    if let Some(state) = state.as_object_mut() {
        state.remove("oauthAccount");
        state.remove("cachedUsageUtilization");
    }
}

/// A code and a state, from the callback or from a paste, with the redirect that belongs to them.
struct Returned {
    code: String,
    state: String,
    redirect: String,
    browser: Option<TcpStream>,
}

fn sign_in(world: &World, email: Option<&str>) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    files::change_state(world, |state| {
        if state["firstStartTime"].is_null() {
            state["firstStartTime"] = json!(now());
        }
    })
    .map_err(text)?;
    let (verifier, expected) = (random_word(), random_word());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(text)?;
    let port = listener.local_addr().map_err(text)?.port();
    let callback = format!("http://localhost:{port}/callback");
    let url =
        |redirect: &str| authorize_url(world, redirect, &challenge_of(&verifier), &expected, email);
    say("Opening browser to sign in…");
    say(&format!(
        "If the browser didn't open, visit: {}",
        url(PASTE_REDIRECT)
    ));
    say("Paste code here if prompted > ");
    if let Some(browser) = &world.browser {
        let mut command = Command::new(browser);
        // A browser that fails is ignored: the code can still be pasted.
        let _ = command
            .arg(url(&callback))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn();
    }
    let mut returned = wait_for_code(listener, callback)?;
    let result = if returned.code.is_empty() {
        Err("No authorization code received".to_owned())
    } else if returned.state == expected {
        exchange(world, &returned, &verifier)
    } else {
        Err("Invalid state parameter".to_owned())
    };
    if let Some(browser) = &mut returned.browser {
        answer_browser(browser, result.is_ok());
    }
    result
}

fn authorize_url(
    world: &World,
    redirect: &str,
    challenge: &str,
    state: &str,
    email: Option<&str>,
) -> String {
    let query = [
        ("code", "true"),
        ("client_id", CLIENT_ID),
        ("response_type", "code"),
        ("redirect_uri", redirect),
        ("scope", SCOPE),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256"),
        ("state", state),
    ];
    let hint = email.map(|email| ("login_hint", email));
    let query: Vec<String> = query
        .into_iter()
        .chain(hint)
        .map(|(key, value)| format!("{key}={}", percent_encode(value)))
        .collect();
    format!("{}/cai/oauth/authorize?{}", world.service, query.join("&"))
}

fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Whatever comes first. The end of the input is no answer: the browser may still come back.
fn wait_for_code(listener: TcpListener, callback: String) -> Result<Returned, String> {
    let (sender, receiver) = channel();
    let pasted = sender.clone();
    std::thread::spawn(move || read_pasted(&pasted));
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            if let Some(returned) = read_callback(stream, &callback) {
                let _ = sender.send(returned);
                return;
            }
        }
    });
    receiver
        .recv()
        .map_err(|_| "nobody can answer any more".to_owned())
}

fn read_pasted(sender: &Sender<Returned>) {
    for line in io::stdin().lines() {
        let Ok(line) = line else { return };
        match line.trim().split_once('#') {
            Some((code, state)) if !code.is_empty() && !state.is_empty() => {
                let redirect = PASTE_REDIRECT.to_owned();
                let _ = sender.send(Returned {
                    code: code.to_owned(),
                    state: state.to_owned(),
                    redirect,
                    browser: None,
                });
                return;
            }
            _ => say("That doesn't look like the full code. Paste it whole, with the # in it > "),
        }
    }
}

fn read_callback(stream: TcpStream, callback: &str) -> Option<Returned> {
    stream.set_read_timeout(Some(CALLBACK_BOUND)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (path, query) = line.split_whitespace().nth(1)?.split_once('?')?;
    if path != "/callback" {
        return None;
    }
    let mut header = String::new();
    while reader.read_line(&mut header).is_ok_and(|count| count > 2) {
        header.clear();
    }
    Some(Returned {
        code: parameter(query, "code").unwrap_or_default(),
        state: parameter(query, "state").unwrap_or_default(),
        redirect: callback.to_owned(),
        browser: Some(reader.into_inner()),
    })
}

fn answer_browser(browser: &mut TcpStream, signed_in: bool) {
    let (status, location) = if signed_in {
        ("302 Found", format!("location: {SUCCESS}\r\n"))
    } else {
        ("400 Bad Request", String::new())
    };
    let head =
        format!("HTTP/1.1 {status}\r\n{location}content-length: 0\r\nconnection: close\r\n\r\n");
    let _ = browser.write_all(head.as_bytes());
}

/// Trades the code for a login and writes it in the real client's order: `{}`, the credential, the identity.
fn exchange(world: &World, returned: &Returned, verifier: &str) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    let request = json!({
        "grant_type": "authorization_code", "code": returned.code, "redirect_uri": returned.redirect,
        "client_id": CLIENT_ID, "code_verifier": verifier, "state": returned.state,
    });
    let answer = world
        .send("POST", "/v1/oauth/token", None, Some(&request))
        .map_err(text)?;
    if answer.status != 200 {
        return Err(format!("Request failed with status code {}", answer.status));
    }
    let grant = answer.json();
    let bearer = grant["access_token"].as_str();
    let profile = world
        .send("GET", "/api/oauth/profile", bearer, None)
        .map_err(text)?
        .json();
    let roles = world
        .send("GET", "/api/oauth/claude_cli/roles", bearer, None)
        .map_err(text)?
        .json();
    let mut stored = files::load(&world.credential_file());
    if let Some(stored) = stored.as_object_mut() {
        stored.remove("claudeAiOauth");
    }
    files::replace(&world.credential_file(), &stored).map_err(text)?;
    files::change_state(world, forget_identity).map_err(text)?;
    let organization = &profile["organization"];
    let plan = organization["organization_type"]
        .as_str()
        .and_then(|kind| kind.strip_prefix("claude_"));
    login::change(world, |login| {
        login::write_grant(login, &grant);
        login["subscriptionType"] = json!(plan);
        login["rateLimitTier"] = organization["rate_limit_tier"].clone();
    })
    .map_err(text)?;
    files::change_state(world, |state| {
        state["oauthAccount"] = json!({
            "accountUuid": grant["account"]["uuid"], "emailAddress": grant["account"]["email_address"],
            "organizationUuid": grant["organization"]["uuid"], "organizationName": grant["organization"]["name"],
            "organizationRole": roles["organization_role"], "workspaceRole": roles["workspace_role"],
            "displayName": profile["account"]["display_name"], "billingType": organization["billing_type"],
            "hasExtraUsageEnabled": organization["has_extra_usage_enabled"],
        });
    })
    .map_err(text)
}
