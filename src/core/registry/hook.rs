//! What claude hands to a hook on its standard input, as one of a closed list of reports. The shapes are those of 2.1.197
//! and 2.1.329; of events that are not asked for only the name is kept.
//!
//! Hooks are the fast path, never the truth: an interrupted turn fires none, and a prompt that is typed during a turn
//! reports itself when it is queued.

use super::text;
use crate::core::time::Timestamp;
use serde_json::Value;
use std::path::PathBuf;

/// One report of a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookReport {
    /// The conversation it is about. In a `SessionEnd` the one that is left.
    pub session: Option<String>,
    /// Its transcript; the file need not exist before the first prompt.
    pub transcript: Option<PathBuf>,
    /// The working directory at that time.
    pub cwd: Option<PathBuf>,
    /// Claude's own name for the prompt that is being worked on (`prompt_id`): the same in the report that it was accepted
    /// and in that of its turn's end. Absent where the client is older, and before the first prompt.
    pub prompt: Option<String>,
    /// `default`, `acceptEdits`, `plan`, `auto`, `bypassPermissions`… Only prompts and ends of turns carry it.
    pub permission_mode: Option<String>,
    /// What happened.
    pub what: Reported,
}

/// What a hook reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reported {
    /// A conversation is open.
    SessionStart {
        /// How it came to be.
        source: SessionSource,
        /// The model in use; 2.1.329 leaves it out after `/clear`.
        model: Option<String>,
    },
    /// A prompt was accepted.
    PromptSubmitted {
        /// Its text as claude understood it.
        prompt: String,
    },
    /// A turn ended by itself.
    TurnEnded {
        /// The last text of the assistant.
        last_text: Option<String>,
        /// Tasks and timers that go on and will wake the session without a prompt.
        background_work: usize,
    },
    /// A turn ended because a request failed for good.
    TurnFailed {
        /// Why.
        error: TurnError,
        /// What claude shows instead of an answer; it names the reset of a plan limit in words.
        shown: Option<String>,
        /// When the limit resets, where the report says so as a number.
        resets_at: Option<Timestamp>,
    },
    /// Something for the person's attention: `permission_prompt`, `idle_prompt`, `elicitation_dialog`…
    Notification {
        /// Of which kind; empty where an older client gives none.
        kind: String,
        /// The text.
        message: String,
    },
    /// A conversation is left: another one follows, or the process ends.
    SessionEnd {
        /// Why.
        reason: EndReason,
    },
    /// The working directory changed.
    CwdChanged {
        /// To what.
        cwd: PathBuf,
    },
    /// An event of another name.
    Other {
        /// Its name.
        event: String,
    },
}

/// How a conversation was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionSource {
    /// The process began with it.
    Startup,
    /// An earlier one goes on.
    Resume,
    /// The one before was cleared.
    Clear,
    /// The same one, with a summary for its past.
    Compact,
    /// A copy of another one.
    Fork,
    /// A way that came later, by its own name.
    Other(String),
}

/// Why a conversation was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It was cleared; a new one is open.
    Clear,
    /// Another one was resumed in its place.
    Resume,
    /// The person signed out.
    Logout,
    /// The process ends by a word in the prompt.
    PromptExit,
    /// Anything else, a signal among it.
    Other(String),
}

/// Why a turn failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnError {
    /// The plan's limit, or a throttle that outlasted every retry: the shown text and the transcript tell which.
    RateLimit,
    /// The login is not good any more.
    Authentication,
    /// The service is overloaded, or failed by itself.
    Server,
    /// Another error, by claude's own name for it.
    Other(String),
}

/// Why a text is no hook report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnreadableReport {
    /// Not JSON.
    NotJson,
    /// JSON that names no event.
    NoEvent,
}

impl HookReport {
    /// Parses what a hook reads from its standard input.
    ///
    /// # Errors
    /// When the text is no report at all; fields that are missing are absent.
    pub fn parse(bytes: &[u8]) -> Result<Self, UnreadableReport> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| UnreadableReport::NotJson)?;
        let event = text(&value, "hook_event_name").ok_or(UnreadableReport::NoEvent)?;
        Ok(Self {
            session: text(&value, "session_id"),
            transcript: text(&value, "transcript_path").map(PathBuf::from),
            cwd: text(&value, "cwd").map(PathBuf::from),
            prompt: text(&value, "prompt_id"),
            permission_mode: text(&value, "permission_mode"),
            what: what(event, &value),
        })
    }
}

fn what(event: String, value: &Value) -> Reported {
    match event.as_str() {
        "SessionStart" => Reported::SessionStart {
            source: source(value),
            model: text(value, "model"),
        },
        "UserPromptSubmit" => Reported::PromptSubmitted {
            prompt: value["prompt"].as_str().unwrap_or_default().to_owned(),
        },
        "Stop" => Reported::TurnEnded {
            last_text: text(value, "last_assistant_message"),
            background_work: length(value, "background_tasks") + length(value, "session_crons"),
        },
        "StopFailure" => Reported::TurnFailed {
            error: turn_error(value["error"].as_str().unwrap_or_default()),
            shown: text(value, "last_assistant_message"),
            resets_at: resets_at(value),
        },
        "Notification" => Reported::Notification {
            kind: text(value, "notification_type").unwrap_or_default(),
            message: text(value, "message").unwrap_or_default(),
        },
        "SessionEnd" => Reported::SessionEnd {
            reason: reason(value["reason"].as_str().unwrap_or_default()),
        },
        "CwdChanged" => match text(value, "new_cwd").or_else(|| text(value, "cwd")) {
            Some(cwd) => Reported::CwdChanged { cwd: cwd.into() },
            None => Reported::Other { event },
        },
        _ => Reported::Other { event },
    }
}

fn source(value: &Value) -> SessionSource {
    match value["source"].as_str().unwrap_or_default() {
        "startup" => SessionSource::Startup,
        "resume" => SessionSource::Resume,
        "clear" => SessionSource::Clear,
        "compact" => SessionSource::Compact,
        "fork" => SessionSource::Fork,
        other => SessionSource::Other(other.to_owned()),
    }
}

fn reason(word: &str) -> EndReason {
    match word {
        "clear" => EndReason::Clear,
        "resume" => EndReason::Resume,
        "logout" => EndReason::Logout,
        "prompt_input_exit" => EndReason::PromptExit,
        other => EndReason::Other(other.to_owned()),
    }
}

fn turn_error(word: &str) -> TurnError {
    match word {
        "rate_limit" => TurnError::RateLimit,
        "authentication_failed" | "oauth_org_not_allowed" => TurnError::Authentication,
        "server_error" | "overloaded" | "overloaded_error" => TurnError::Server,
        other => TurnError::Other(other.to_owned()),
    }
}

/// Seconds or milliseconds since the epoch, under the names the client uses for it elsewhere.
fn resets_at(value: &Value) -> Option<Timestamp> {
    let places = [
        &value["resetsAt"],
        &value["resets_at"],
        &value["quotaLimits"]["resetsAt"],
        &value["error_details"]["resetsAt"],
    ];
    let number = places.into_iter().find_map(Value::as_f64)?;
    // No second before the year 5138 is this large, and no millisecond after 1973 this small.
    Some(if number < 1e11 {
        Timestamp::from_unix_seconds(number)
    } else {
        Timestamp::from_unix_seconds(number / 1000.0)
    })
}

fn length(value: &Value, key: &str) -> usize {
    value[key].as_array().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports as claude 2.1.329 made them, without what they have in common.
    #[track_caller]
    fn check(fields: &str, expected: Reported) {
        let text = format!(
            r#"{{"session_id":"s","transcript_path":"/p/s.jsonl","cwd":"/srv","permission_mode":"default",{fields}}}"#
        );
        let report = HookReport::parse(text.as_bytes()).expect("a report");
        assert_eq!(report.session.as_deref(), Some("s"));
        assert_eq!(report.permission_mode.as_deref(), Some("default"));
        assert_eq!(report.what, expected, "{fields}");
    }

    #[test]
    fn reports_of_the_real_client_are_read() {
        check(
            r#""hook_event_name":"SessionStart","source":"startup","model":"claude-opus-5-5""#,
            Reported::SessionStart {
                source: SessionSource::Startup,
                model: Some("claude-opus-5-5".to_owned()),
            },
        );
        check(
            r#""hook_event_name":"SessionStart","source":"clear""#,
            Reported::SessionStart {
                source: SessionSource::Clear,
                model: None,
            },
        );
        check(
            r#""hook_event_name":"UserPromptSubmit","prompt_id":"i","prompt":"hello there""#,
            Reported::PromptSubmitted {
                prompt: "hello there".to_owned(),
            },
        );
        check(
            r#""hook_event_name":"Stop","effort":{"level":"medium"},"last_assistant_message":"a","background_tasks":[{}],"session_crons":[{},{}]"#,
            Reported::TurnEnded {
                last_text: Some("a".to_owned()),
                background_work: 3,
            },
        );
        check(
            r#""hook_event_name":"SessionEnd","reason":"resume""#,
            Reported::SessionEnd {
                reason: EndReason::Resume,
            },
        );
        check(
            r#""hook_event_name":"Notification","message":"m","notification_type":"permission_prompt""#,
            Reported::Notification {
                kind: "permission_prompt".to_owned(),
                message: "m".to_owned(),
            },
        );
        check(
            r#""hook_event_name":"CwdChanged","old_cwd":"/srv","new_cwd":"/srv/b""#,
            Reported::CwdChanged {
                cwd: "/srv/b".into(),
            },
        );
        let event = "PreToolUse".to_owned();
        check(
            r#""hook_event_name":"PreToolUse""#,
            Reported::Other { event },
        );
    }

    #[test]
    fn why_a_turn_failed_is_told_by_its_word() {
        for (word, error) in [
            ("rate_limit", TurnError::RateLimit),
            ("server_error", TurnError::Server),
            ("authentication_failed", TurnError::Authentication),
            ("new_word", TurnError::Other("new_word".to_owned())),
        ] {
            let fields = format!(
                r#""hook_event_name":"StopFailure","error":"{word}","last_assistant_message":"shown""#
            );
            let expected = Reported::TurnFailed {
                error,
                shown: Some("shown".to_owned()),
                resets_at: None,
            };
            check(&fields, expected);
        }
        let fields = r#""hook_event_name":"StopFailure","error":"rate_limit","quotaLimits":{"resetsAt":1795265369}"#;
        let expected = Reported::TurnFailed {
            error: TurnError::RateLimit,
            shown: None,
            resets_at: Some(Timestamp::from_unix_ms(1_795_265_369_000)),
        };
        check(fields, expected);
    }

    #[test]
    fn what_is_no_report_is_said_to_be_none() {
        for text in ["", "{", "{\"hook_event_name\":\"Stop\"", "\u{feff}"] {
            let parsed = HookReport::parse(text.as_bytes());
            assert_eq!(parsed, Err(UnreadableReport::NotJson), "{text:?}");
        }
        for text in ["{}", "[]", "7", r#"{"hook_event_name":3}"#] {
            let parsed = HookReport::parse(text.as_bytes());
            assert_eq!(parsed, Err(UnreadableReport::NoEvent), "{text}");
        }
        let bare = HookReport::parse(br#"{"hook_event_name":"Stop","background_tasks":7}"#);
        let what = Reported::TurnEnded {
            last_text: None,
            background_work: 0,
        };
        assert_eq!(bare.map(|report| report.what), Ok(what));
    }
}
