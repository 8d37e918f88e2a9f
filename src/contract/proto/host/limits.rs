//! What a slot's status line is given of its account's limits, as it goes to the host and on to the pool's daemon: a
//! report like those of hooks, with an event of our own.

use crate::contract::usage_body;
use crate::core::usage::Window;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The event by which these reports are told from those of hooks.
const EVENT: &str = "StatusLine";
/// The longest limits that are passed on, as text: those of today have 120 bytes.
const MAX_LIMITS: usize = 16 * 1024;

/// The limits as claude had them when it drew its status line. It draws it after a turn, and in between for reasons of its
/// own: then the numbers are those of before, and only what goes with them tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitsSeen {
    hook_event_name: String,
    /// The conversation.
    pub session_id: String,
    /// It has a prompt since it was opened, resumed or begun anew.
    #[serde(default)]
    pub prompted: bool,
    /// For how long the service answered this conversation, in milliseconds: each answer adds to it.
    #[serde(default)]
    pub answered_ms: f64,
    rate_limits: Value,
}

impl LimitsSeen {
    /// Reads what claude gives its status line; none where it says nothing of limits.
    #[must_use]
    pub fn of_status(json: &[u8]) -> Option<Self> {
        let mut status: Value = serde_json::from_slice(json).ok()?;
        let rate_limits = status.get_mut("rate_limits")?.take();
        let is_fit = rate_limits.is_object() && rate_limits.to_string().len() <= MAX_LIMITS;
        is_fit.then(|| Self {
            hook_event_name: EVENT.to_owned(),
            session_id: status["session_id"].as_str().unwrap_or_default().to_owned(),
            prompted: status["prompt_id"].is_string(),
            answered_ms: status["cost"]["total_api_duration_ms"]
                .as_f64()
                .unwrap_or_default(),
            rate_limits,
        })
    }

    /// Reads a report; none where it is one of a hook.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let seen: Self = serde_json::from_slice(json).ok()?;
        (seen.hook_event_name == EVENT).then_some(seen)
    }

    /// The report. The same limits seen again under the same circumstances are the same bytes.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers have a JSON form")
    }

    /// The windows.
    #[must_use]
    pub fn windows(&self) -> Vec<Window> {
        usage_body::parse(&self.rate_limits).0.windows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As 2.1.329 gave it after a turn, without what is not looked at.
    const STATUS: &str = r#"{"session_id":"s","transcript_path":"/p/s.jsonl","prompt_id":"p","cost":{"total_cost_usd":0.1,"total_api_duration_ms":205},"rate_limits":{"five_hour":{"used_percentage":31,"resets_at":1795275624},"seven_day":{"used_percentage":2.5,"resets_at":1795873224}}}"#;

    #[test]
    fn limits_pass_through_a_report_and_nothing_else_does() {
        let seen = LimitsSeen::of_status(STATUS.as_bytes()).expect("has limits");
        assert_eq!((seen.prompted, seen.answered_ms), (true, 205.0));
        let text = seen.text();
        assert!(!String::from_utf8_lossy(&text).contains("/p/s.jsonl"));
        let again = LimitsSeen::parse(&text).expect("is one");
        assert_eq!(again, seen);
        assert_eq!(again.text(), text);
        let used: Vec<f64> = again.windows().iter().map(|w| w.used.percent()).collect();
        assert_eq!(used, [31.0, 2.5]);
    }

    #[test]
    fn what_has_no_limits_is_none() {
        for text in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"rate_limits":null}"#,
            r#"{"rate_limits":7}"#,
        ] {
            assert_eq!(LimitsSeen::of_status(text.as_bytes()), None, "{text}");
        }
        let large = format!(r#"{{"rate_limits":{{"a":"{}"}}}}"#, "a".repeat(MAX_LIMITS));
        assert_eq!(LimitsSeen::of_status(large.as_bytes()), None);
        for hook in [r#"{"hook_event_name":"Stop"}"#, STATUS, "{}"] {
            assert_eq!(LimitsSeen::parse(hook.as_bytes()), None, "{hook}");
        }
    }
}
