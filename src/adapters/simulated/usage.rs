//! `GET /api/oauth/usage` and the unified rate-limit headers: two spellings of the same windows.

use serde_json::{Value, json};

use super::account::{Account, Window, WindowKind};
use super::time::Millis;
use super::wire::Response;

/// When a refusal gives no reset of its own.
const DEFAULT_RESET_SECONDS: u64 = 2 * 3600;
/// From here on the report calls a window critical, and below it a warning.
const CRITICAL_PERCENT: f64 = 90.0;
const WARNING_PERCENT: f64 = 75.0;

/// The body of the usage report. Percent, not fractions.
pub(super) fn report(account: &Account) -> Value {
    let window = |kind| account.windows.get(&kind).map_or(Value::Null, plain);
    let extra = account.extra.as_ref().map_or_else(
        || json!({"is_enabled": false, "monthly_limit": null, "used_credits": null, "utilization": null}),
        |extra| {
            let utilization = extra.limit.filter(|limit| *limit > 0.0).map(|limit| extra.used / limit * 100.0);
            json!({
                "is_enabled": extra.enabled, "monthly_limit": extra.limit, "used_credits": extra.used,
                "utilization": utilization, "currency": extra.currency, "disabled_reason": null,
            })
        },
    );
    json!({
        "five_hour": window(WindowKind::FiveHour), "seven_day": window(WindowKind::SevenDay),
        "seven_day_oauth_apps": null, "seven_day_opus": null, "seven_day_sonnet": null,
        "extra_usage": extra,
        "limits": account.windows.iter().map(|(kind, window)| limit(kind, window)).collect::<Vec<_>>(),
    })
}

fn plain(window: &Window) -> Value {
    json!({"utilization": window.used, "resets_at": window.resets.to_json()})
}

fn limit(kind: &WindowKind, window: &Window) -> Value {
    let (kind, group, scope) = match kind {
        WindowKind::FiveHour => ("session", "session", Value::Null),
        WindowKind::SevenDay => ("weekly_all", "weekly", Value::Null),
        WindowKind::WeeklyScoped(model) => (
            "weekly_scoped",
            "weekly",
            json!({"model": {"display_name": model}, "surface": null}),
        ),
    };
    let severity = match window.used {
        used if used >= CRITICAL_PERCENT => "critical",
        used if used >= WARNING_PERCENT => "warning",
        _ => "normal",
    };
    json!({
        "kind": kind, "group": group, "percent": window.used, "resets_at": window.resets.to_json(),
        "severity": severity, "is_active": true, "scope": scope,
    })
}

/// Which window refuses a message now, if one does.
pub(super) fn refusing(account: &Account, now: Millis) -> Option<&'static str> {
    let spent = |kind| {
        account
            .windows
            .get(&kind)
            .is_some_and(|window| window.is_spent(now))
    };
    if spent(WindowKind::SevenDay) {
        Some("seven_day")
    } else if spent(WindowKind::FiveHour) {
        Some("five_hour")
    } else {
        None
    }
}

/// 429 for an exhausted plan window. Clients do not retry it.
pub(super) fn plan_limit(account: Option<&Account>, claim: &str, now: Millis) -> Response {
    let response = Response::error(
        429,
        "rate_limit_error",
        "This request would exceed your account's rate limit.",
    );
    unified_headers(response, account, Some(claim), now).with_header("x-should-retry", "false")
}

/// Adds the headers that an answer to a message carries; `refused` names the window that refuses.
pub(super) fn unified_headers(
    mut response: Response,
    account: Option<&Account>,
    refused: Option<&str>,
    now: Millis,
) -> Response {
    let prefix = "anthropic-ratelimit-unified";
    let seconds = now / 1000;
    let mut reset = None;
    for (claim, short, kind) in [
        ("five_hour", "5h", WindowKind::FiveHour),
        ("seven_day", "7d", WindowKind::SevenDay),
    ] {
        let window = account.and_then(|account| account.windows.get(&kind));
        let is_refused = refused == Some(claim);
        let used = if is_refused {
            100.0
        } else {
            window.map_or(0.0, |window| window.used)
        };
        let known = window
            .and_then(|window| window.resets.epoch_seconds())
            .filter(|reset| *reset > seconds);
        let window_reset = if is_refused {
            known.or(Some(seconds + DEFAULT_RESET_SECONDS))
        } else {
            known
        };
        let status = if is_refused { "rejected" } else { "allowed" };
        response = response
            .with_header(
                &format!("{prefix}-{short}-utilization"),
                format!("{}", used / 100.0),
            )
            .with_header(&format!("{prefix}-{short}-status"), status);
        if let Some(window_reset) = window_reset {
            response =
                response.with_header(&format!("{prefix}-{short}-reset"), window_reset.to_string());
        }
        if is_refused || (refused.is_none() && claim == "five_hour") {
            reset = window_reset;
        }
    }
    let reset = reset.unwrap_or(seconds + DEFAULT_RESET_SECONDS);
    response
        .with_header(
            &format!("{prefix}-status"),
            if refused.is_some() {
                "rejected"
            } else {
                "allowed"
            },
        )
        .with_header(&format!("{prefix}-reset"), reset.to_string())
        .with_header(
            &format!("{prefix}-representative-claim"),
            refused.unwrap_or("five_hour"),
        )
        .with_header(&format!("{prefix}-overage-status"), "rejected")
        .with_header(
            &format!("{prefix}-overage-disabled-reason"),
            "org_level_disabled",
        )
}
