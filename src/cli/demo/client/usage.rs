//! What the usage probe is answered, and the cache that the real client keeps of it.

use serde_json::{Value, json};

use super::files;
use super::login::{self, Trouble};
use super::world::World;
use crate::adapters::simulated::now;

/// Within it, a second probe makes no request.
const FRESH_MILLIS: u64 = 60_000;
/// A failed read is answered from a cache this old, without saying so.
const FALLBACK_MILLIS: u64 = 3_600_000;

/// The `response` of a `get_usage` control request.
pub(super) fn control_answer(world: &World) -> Value {
    let (subscription, limits) = read(world);
    json!({
        "session": {"total_cost_usd": 0, "total_api_duration_ms": 0, "total_duration_ms": 0, "model_usage": {}},
        "subscription_type": subscription,
        "rate_limits_available": subscription.is_some(),
        "rate_limits": limits.map(with_scoped),
        "behaviors": null,
    })
}

/// The lines of `claude -p /usage`.
pub(super) fn as_text(world: &World) -> String {
    let mut lines = vec![
        "You are currently using your subscription to power your Claude Code usage".to_owned(),
    ];
    if let (_, Some(limits)) = read(world) {
        for (key, title) in [
            ("five_hour", "Current session"),
            ("seven_day", "Current week (all models)"),
        ] {
            if let Some(used) = limits[key]["utilization"].as_f64() {
                lines.push(format!("{title}: {used:.0}% used"));
            }
        }
    }
    lines.join("\n")
}

/// The plan, where a login is there, and the report, where one could be had.
fn read(world: &World) -> (Option<String>, Option<Value>) {
    let state = files::load(&world.state_file);
    let account = state["oauthAccount"]["accountUuid"].clone();
    let cache = &state["cachedUsageUtilization"];
    let cache = (cache["accountUuid"] == account)
        .then_some(cache)
        .filter(|cache| cache.is_object());
    let within = |bound: u64| {
        let at = cache?["fetchedAtMs"].as_u64()?;
        (now().saturating_sub(at) < bound)
            .then(|| cache.map(|cache| cache["utilization"].clone()))?
    };
    if let (Some(login), Some(limits)) = (login::load(world), within(FRESH_MILLIS)) {
        return (login.subscription, Some(limits));
    }
    match login::send(world, "GET", "/api/oauth/usage", None) {
        Ok((login, answer)) if answer.status == 200 => {
            let body = answer.json();
            let entry = json!({"fetchedAtMs": now(), "accountUuid": account, "utilization": body});
            // Without the cache the answer is still right.
            let _ = files::change_state(world, |state| state["cachedUsageUtilization"] = entry);
            (
                login.subscription,
                Some(body).filter(|body| body.as_object().is_some_and(|body| !body.is_empty())),
            )
        }
        Ok((login, _)) => (login.subscription, within(FALLBACK_MILLIS)),
        Err(Trouble::Offline(_)) => (
            login::load(world).and_then(|login| login.subscription),
            within(FALLBACK_MILLIS),
        ),
        Err(Trouble::SignedOut | Trouble::Expired) => (None, None),
    }
}

/// Adds the projection of the weekly windows of single models.
fn with_scoped(mut limits: Value) -> Value {
    let empty = Vec::new();
    let scoped: Vec<Value> = limits["limits"]
        .as_array()
        .unwrap_or(&empty)
        .iter()
        .filter(|limit| limit["kind"] == "weekly_scoped")
        .map(|limit| {
            json!({
                "display_name": limit["scope"]["model"]["display_name"],
                "utilization": limit["percent"], "resets_at": limit["resets_at"],
            })
        })
        .collect();
    limits["model_scoped"] = json!(scoped);
    limits
}
