//! One turn: the conversation goes to the service, scripted tools are run, the outcome is what the person reads.

use std::time::Duration;

use serde_json::{Value, json};

use super::files;
use super::login::{self, Trouble};
use super::world::World;
use crate::adapters::simulated::client::Answer;
use crate::adapters::simulated::now;

/// Model calls of one turn; a scripted prompt has a few tools.
const MAX_CALLS: usize = 32;
/// Tries of a call that the service could not take now.
const MAX_TRIES: u32 = 4;
/// What is passed on of a tool's output.
const MAX_TOOL_OUTPUT: usize = 8 * 1024;

/// How a turn ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Said(String),
    /// The plan's limit.
    Limited {
        text: String,
        resets_at: Option<u64>,
    },
    Failed {
        text: String,
        status: u16,
    },
}

impl Outcome {
    pub fn text(&self) -> &str {
        match self {
            Self::Said(text) | Self::Limited { text, .. } | Self::Failed { text, .. } => text,
        }
    }

    pub fn is_good(&self) -> bool {
        matches!(self, Self::Said(_))
    }
}

/// A finished turn.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub outcome: Outcome,
    /// What it adds to the conversation.
    pub messages: Vec<Value>,
    pub model: String,
    /// Windows as the service's headers told them: `{five_hour: {utilization, resetsAt}, seven_day}`.
    pub windows: Value,
}

/// Takes the turn that the last message asks for.
pub(super) fn take(world: &World, session: &str, model: &str, mut messages: Vec<Value>) -> Turn {
    let before = messages.len();
    let account = files::load(&world.state_file)["oauthAccount"]["accountUuid"].clone();
    let user = json!({"device_id": "simulated", "account_uuid": account, "session_id": session})
        .to_string();
    let mut windows = Value::Null;
    let mut outcome = Outcome::Failed {
        text: "API Error: too many tool calls".to_owned(),
        status: 0,
    };
    for _ in 0..MAX_CALLS {
        let body = json!({"model": model, "max_tokens": 32_000, "messages": messages, "metadata": {"user_id": user}});
        let answer = match call(world, &body) {
            Ok(answer) => answer,
            Err(trouble) => {
                outcome = describe_trouble(&trouble);
                break;
            }
        };
        windows = windows_of(&answer);
        if answer.status != 200 {
            outcome = describe(&answer);
            break;
        }
        let content = answer.json()["content"].clone();
        messages.push(json!({"role": "assistant", "content": content}));
        let Some(result) = run_tool(world, session, &content[0]) else {
            outcome = Outcome::Said(content[0]["text"].as_str().unwrap_or_default().to_owned());
            break;
        };
        messages.push(json!({"role": "user", "content": [result]}));
    }
    Turn {
        outcome,
        messages: messages.split_off(before),
        model: model.to_owned(),
        windows,
    }
}

/// Throttles and server errors are tried again, a plan limit is not.
#[expect(
    clippy::disallowed_methods,
    reason = "a throttled client has nothing to wait for but time"
)]
fn call(world: &World, body: &Value) -> Result<Answer, Trouble> {
    let mut attempt = 1;
    loop {
        let (_, answer) = login::send(world, "POST", "/v1/messages?beta=true", Some(body))?;
        let may_pass = matches!(answer.status, 429 | 500 | 529) && !is_plan_limit(&answer);
        if !may_pass || attempt == MAX_TRIES {
            return Ok(answer);
        }
        std::thread::sleep(Duration::from_millis(50) * attempt);
        attempt += 1;
    }
}

fn is_plan_limit(answer: &Answer) -> bool {
    answer.header("anthropic-ratelimit-unified-status") == Some("rejected")
}

fn describe(answer: &Answer) -> Outcome {
    let status = answer.status;
    if status == 429 && is_plan_limit(answer) {
        let claim = match answer.header("anthropic-ratelimit-unified-representative-claim") {
            Some("seven_day") => "weekly limit",
            _ => "5-hour limit",
        };
        let resets_at = answer
            .header("anthropic-ratelimit-unified-reset")
            .and_then(|reset| reset.parse().ok());
        let resets = resets_at
            .map(|at| format!(" · resets {}", reset_text(at, now() / 1000)))
            .unwrap_or_default();
        return Outcome::Limited {
            text: format!("You've hit your {claim}{resets}"),
            resets_at,
        };
    }
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap_or("unknown error")
        .to_owned();
    let prefix = if status == 401 {
        "Failed to authenticate. "
    } else {
        ""
    };
    Outcome::Failed {
        text: format!("{prefix}API Error: {status} {message}"),
        status,
    }
}

fn describe_trouble(trouble: &Trouble) -> Outcome {
    let text = match trouble {
        Trouble::SignedOut => "Not logged in · Please run /login".to_owned(),
        Trouble::Expired => {
            "Failed to authenticate: OAuth session expired and could not be refreshed".to_owned()
        }
        Trouble::Offline(error) => format!("API Error: Unable to connect to API ({error})"),
    };
    let status = if matches!(trouble, Trouble::Offline(_)) {
        0
    } else {
        401
    };
    Outcome::Failed { text, status }
}

/// `6pm (UTC)`, `6:30pm (UTC)`, `Nov 25, 6pm (UTC)`.
fn reset_text(at: u64, now: u64) -> String {
    let zone = jiff::tz::TimeZone::system();
    let name = zone.iana_name().unwrap_or("local time").to_owned();
    let Some(instant) = i64::try_from(at)
        .ok()
        .and_then(|at| jiff::Timestamp::from_second(at).ok())
    else {
        return "later".to_owned();
    };
    let local = instant.to_zoned(zone);
    let day = if at > now + 86_400 { "%b %-d, " } else { "" };
    let minutes = if local.minute() == 0 { "" } else { ":%M" };
    let text = local.strftime(&format!("{day}%-I{minutes}%P")).to_string();
    format!("{text} ({name})")
}

fn windows_of(answer: &Answer) -> Value {
    let mut windows = json!({});
    for (key, short) in [("five_hour", "5h"), ("seven_day", "7d")] {
        let read =
            |what: &str| answer.header(&format!("anthropic-ratelimit-unified-{short}-{what}"));
        if let Some(used) = read("utilization").and_then(|used| used.parse::<f64>().ok()) {
            let resets = read("reset").and_then(|reset| reset.parse::<u64>().ok());
            windows[key] = json!({"utilization": used, "resetsAt": resets});
        }
    }
    windows
}

/// Runs a scripted `Bash`; every other tool answers with its name.
fn run_tool(world: &World, session: &str, block: &Value) -> Option<Value> {
    if block["type"] != "tool_use" {
        return None;
    }
    let output = match (block["name"].as_str(), block["input"]["command"].as_str()) {
        (Some("Bash"), Some(command)) => world
            .shell(command, session)
            .stdin(std::process::Stdio::null())
            .output()
            .map_or_else(
                |error| error.to_string(),
                |output| {
                    String::from_utf8_lossy(&output.stdout)
                        .chars()
                        .take(MAX_TOOL_OUTPUT)
                        .collect()
                },
            ),
        (name, _) => format!("{} is simulated", name.unwrap_or("the tool")),
    };
    Some(json!({"type": "tool_result", "tool_use_id": block["id"], "content": output}))
}
