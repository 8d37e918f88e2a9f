//! From one request to one response: the whole behaviour of the service, without sockets and without a clock.

use serde_json::{Value, json};
use std::time::{Duration, Instant};

use super::fault::{Endpoint, Fault};
use super::log::Recorded;
use super::prompt::{self, Asked};
use super::state::State;
use super::time::Millis;
use super::wire::{Pacing, Request, Response};
use super::{messages, oauth, usage};

/// Start-up chatter of Claude Code, by the beginning of its path.
const BACKGROUND: &[&str] = &[
    "/api/claude_cli/",
    "/api/claude_cli_",
    "/api/claude_code",
    "/api/event_logging/",
    "/api/artifacts/",
    "/api/directory/",
    "/api/eval/",
    "/api/features/",
    "/api/frame/",
    "/api/hello",
    "/api/oauth/",
    "/api/organization/",
    "/api/organizations/",
    "/api/web/",
    "/v1/oauth/hello",
    "/v1/mcp_servers",
    "/v1/privacy-consents/",
    "/v1/environment_providers",
    "/v1/code/",
    "/oauth/code/success",
];

/// Answers `request`, books what it changed, and writes it into the log.
pub(super) fn respond(state: &mut State, request: &Request, now: Millis) -> Response {
    let endpoint = classify(&request.method, &request.path);
    let body = request.json();
    let account = account_of(state, request, &body);
    let asked = matches!(endpoint, Endpoint::Messages | Endpoint::CountTokens)
        .then(|| prompt::parse(&body));
    let scripted = |state: &mut State| match (&asked, endpoint) {
        (Some(asked), Endpoint::Messages) => state.take_scripted_fault(&asked.prompt),
        _ => None,
    };
    let fault = state
        .take_fault(account.as_deref(), endpoint)
        .or_else(|| scripted(state));
    let response = match failure(state, account.as_deref(), fault.as_ref(), now) {
        Some(failure) => failure,
        None => {
            let healthy = answer(
                state,
                endpoint,
                request,
                &body,
                account.as_deref(),
                asked.as_ref(),
                now,
            );
            paced(healthy, endpoint, fault, asked.as_ref())
        }
    };
    state.log.push(record(
        request,
        endpoint,
        account,
        asked,
        &body,
        response.status,
    ));
    response
}

fn classify(method: &str, path: &str) -> Endpoint {
    match (method, path) {
        ("POST", "/v1/messages") => Endpoint::Messages,
        ("POST", "/v1/messages/count_tokens") => Endpoint::CountTokens,
        ("GET", "/api/oauth/usage") => Endpoint::Usage,
        ("GET", "/api/oauth/profile") => Endpoint::Profile,
        ("GET", "/api/oauth/claude_cli/roles") => Endpoint::Roles,
        ("POST", "/v1/oauth/token") => Endpoint::Token,
        ("POST", "/v1/oauth/token/revoke") => Endpoint::Revoke,
        ("GET", "/cai/oauth/authorize" | "/oauth/authorize") => Endpoint::Authorize,
        (_, path) if BACKGROUND.iter().any(|prefix| path.starts_with(prefix)) => {
            Endpoint::Background
        }
        _ => Endpoint::Unknown,
    }
}

/// Whose token, refresh token or code this is, also when it is no longer good.
fn account_of(state: &State, request: &Request, body: &Value) -> Option<String> {
    let by_bearer = request
        .bearer()
        .and_then(|token| state.access.get(token))
        .map(|access| &access.account);
    let by_refresh = || {
        state
            .refresh
            .get(body["refresh_token"].as_str()?)
            .map(|refresh| &refresh.account)
    };
    let by_code = || {
        state
            .codes
            .get(body["code"].as_str()?)
            .map(|code| &code.account)
    };
    by_bearer.or_else(by_refresh).or_else(by_code).cloned()
}

/// The response of a fault that replaces the answer.
fn failure(
    state: &State,
    account: Option<&str>,
    fault: Option<&(String, Fault)>,
    now: Millis,
) -> Option<Response> {
    let account = account.and_then(|account| state.accounts.get(account));
    Some(match &fault?.1 {
        Fault::PlanLimit => usage::plan_limit(account, "five_hour", now),
        Fault::WeeklyLimit => usage::plan_limit(account, "seven_day", now),
        Fault::Throttled(after) => {
            let response = Response::error(
                429,
                "rate_limit_error",
                "Rate limited. Please try again later.",
            );
            match after {
                Some(seconds) => response.with_header("retry-after", seconds.to_string()),
                None => response,
            }
        }
        Fault::ServerError => Response::error(500, "api_error", "Internal server error"),
        Fault::Overloaded => Response::error(529, "overloaded_error", "Overloaded"),
        Fault::Unauthorized => unauthorized("Invalid bearer token"),
        Fault::Forbidden => Response::error(403, "permission_error", "Request not allowed"),
        Fault::InvalidScope => Response::json(400, &json!({"error": "invalid_scope"})),
        Fault::Delay(_) | Fault::Hang | Fault::StalledStream => return None,
    })
}

fn unauthorized(message: &str) -> Response {
    Response::error(401, "authentication_error", message)
}

/// Faults of time are put on top of the right answer.
fn paced(
    mut response: Response,
    endpoint: Endpoint,
    fault: Option<(String, Fault)>,
    asked: Option<&Asked>,
) -> Response {
    let wait = asked.and_then(|asked| prompt::scripted_wait(&asked.prompt));
    let pace = asked
        .filter(|asked| asked.stream)
        .and_then(|asked| prompt::scripted_pace(&asked.prompt));
    response.pacing = match fault {
        Some((_, Fault::Delay(delay))) => Pacing::After(delay),
        Some((name, Fault::Hang)) => Pacing::Held(name, endpoint),
        Some((name, Fault::StalledStream)) => Pacing::Stalled(name, endpoint),
        _ => match (pace, wait) {
            (Some(between), first) => Pacing::Events {
                first: Duration::from_millis(first.unwrap_or(0)),
                between: Duration::from_millis(between),
            },
            (None, Some(millis)) => Pacing::After(Duration::from_millis(millis)),
            (None, None) => Pacing::AtOnce,
        },
    };
    response
}

fn answer(
    state: &mut State,
    endpoint: Endpoint,
    request: &Request,
    body: &Value,
    account: Option<&str>,
    asked: Option<&Asked>,
    now: Millis,
) -> Response {
    match endpoint {
        Endpoint::Token => return oauth::token(state, body, now),
        Endpoint::Revoke => return oauth::revoke(state, body),
        Endpoint::Authorize => return oauth::authorize_page(state, &request.query),
        Endpoint::Background => return Response::json(200, &background(&request.path)),
        Endpoint::Unknown => return Response::error(404, "not_found_error", "Not found"),
        _ => {}
    }
    let access = request.bearer().and_then(|token| state.access.get(token));
    match access {
        None => return unauthorized("Invalid bearer token"),
        Some(access) if access.revoked => return unauthorized("OAuth token has been revoked"),
        // The usage endpoint answers an expired token as if it were a throttle.
        Some(access) if access.expires_at <= now && endpoint == Endpoint::Usage => {
            return Response::error(
                429,
                "rate_limit_error",
                "Rate limited. Please try again later.",
            );
        }
        Some(access) if access.expires_at <= now => return unauthorized("OAuth token has expired"),
        Some(_) => {}
    }
    let Some(account) = account.and_then(|account| state.accounts.get_mut(account)) else {
        return unauthorized("Invalid bearer token");
    };
    match endpoint {
        Endpoint::Usage => Response::json(200, &usage::report(account)),
        Endpoint::Profile => oauth::profile(account),
        Endpoint::Roles => oauth::roles(account),
        Endpoint::CountTokens => messages::count_tokens(request.body.len()),
        _ => {
            if let Some(claim) = usage::refusing(account, now) {
                return usage::plan_limit(Some(account), claim, now);
            }
            account.spend_message();
            let response = messages::respond(asked.unwrap_or(&Asked::default()));
            usage::unified_headers(response, Some(account), None, now)
        }
    }
}

/// Something harmless for the start-up chatter.
fn background(path: &str) -> Value {
    match path {
        "/api/claude_code_penguin_mode" => {
            json!({"enabled": false, "disabled_reason": "preference"})
        }
        "/api/claude_code_grove" => {
            json!({"grove_enabled": false, "domain_excluded": true, "notice_is_grace_period": false, "notice_reminder_frequency": null})
        }
        "/v1/mcp_servers" => json!({"data": [], "has_more": false}),
        path if path.starts_with("/api/eval/") => json!({"features": {}}),
        _ => json!({}),
    }
}

fn record(
    request: &Request,
    endpoint: Endpoint,
    account: Option<String>,
    asked: Option<Asked>,
    body: &Value,
    status: u16,
) -> Recorded {
    let asked_ref = asked.as_ref();
    Recorded {
        number: 0,
        method: request.method.clone(),
        path: request.path.clone(),
        query: if endpoint == Endpoint::Authorize {
            String::new()
        } else {
            request.query.clone()
        },
        endpoint,
        account,
        model: asked_ref.map(|asked| asked.model.clone()),
        turns: asked_ref.map_or_else(Vec::new, |asked| asked.turns.clone()),
        messages: asked_ref.map_or(0, |asked| asked.messages),
        max_tokens: asked_ref.and_then(|asked| asked.max_tokens),
        claimed_account_uuid: asked_ref.and_then(|asked| asked.claimed_account_uuid.clone()),
        session_id: request
            .header("x-claude-code-session-id")
            .map(str::to_owned)
            .or_else(|| asked_ref.and_then(|asked| asked.claimed_session.clone())),
        user_agent: request.header("user-agent").map(str::to_owned),
        grant_type: body["grant_type"]
            .as_str()
            .filter(|_| endpoint == Endpoint::Token)
            .map(str::to_owned),
        scope: body["scope"]
            .as_str()
            .filter(|_| endpoint == Endpoint::Token)
            .map(str::to_owned),
        prompt: asked.map(|asked| asked.prompt),
        status,
        received_at: Instant::now(),
        sent_at: None,
    }
}
