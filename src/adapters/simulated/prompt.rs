//! Reading a message request: which prompt it carries, and what a scripted prompt asks the service to do.

use super::fault::Fault;
use serde_json::{Value, json};

/// Text that clients add to a prompt on their own.
const REMINDER: &str = "<system-reminder>";

/// What clients put behind the result of a tool that somebody interrupted.
const INTERRUPTED: &str = "[Request interrupted by user";

/// How much of each prompt of a conversation is remembered: enough to tell which one it was.
const MAX_TURN_CHARACTERS: usize = 200;
/// How many prompts of a conversation are remembered.
const MAX_TURNS: usize = 64;

/// What matters in a message request.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asked {
    pub model: String,
    pub prompt: String,
    pub messages: usize,
    pub max_tokens: Option<u64>,
    pub stream: bool,
    /// Results of the tools called since the prompt.
    pub tool_results: Vec<String>,
    /// Every prompt of the conversation, oldest first, each cut to `MAX_TURN_CHARACTERS`; at most `MAX_TURNS`, the last.
    pub turns: Vec<String>,
    /// JSON schema that the answer has to fit.
    pub schema: Option<Value>,
    pub claimed_account_uuid: Option<String>,
    pub claimed_session: Option<String>,
}

/// A tool call that a prompt scripts: `[[tool:Bash:echo hi]]`, `[[tool:Read:{"file_path":"/etc/hosts"}]]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScriptedTool {
    pub name: String,
    pub input: Value,
}

/// Reads the body of `POST /v1/messages`; missing parts are empty.
pub(super) fn parse(body: &Value) -> Asked {
    let empty = Vec::new();
    let messages = body["messages"].as_array().unwrap_or(&empty);
    let mut asked = Asked {
        model: body["model"].as_str().unwrap_or("simulated").to_owned(),
        messages: messages.len(),
        max_tokens: body["max_tokens"].as_u64(),
        stream: body["stream"].as_bool().unwrap_or(false),
        schema: schema_of(body),
        claimed_account_uuid: claimed(body, "account_uuid"),
        claimed_session: claimed(body, "session_id"),
        ..Asked::default()
    };
    for message in messages
        .iter()
        .rev()
        .filter(|message| message["role"] == "user")
    {
        let (text, mut results) = read_content(&message["content"]);
        // A prompt after an interrupted turn comes in one message with the result of its tool.
        let is_prompt = !text.is_empty();
        if asked.turns.is_empty() && !is_prompt {
            results.append(&mut asked.tool_results);
            asked.tool_results = results;
        }
        if is_prompt {
            if asked.turns.is_empty() {
                asked.prompt.clone_from(&text);
            }
            asked
                .turns
                .push(text.chars().take(MAX_TURN_CHARACTERS).collect());
        }
        if asked.turns.len() == MAX_TURNS {
            break;
        }
    }
    asked.turns.reverse();
    asked
}

/// Own text, which is none of what stands before the tool results, and the tool results among the blocks.
fn read_content(content: &Value) -> (String, Vec<String>) {
    let mut results = Vec::new();
    let mut prompt = String::new();
    for block in as_blocks(content) {
        match block["type"].as_str() {
            Some("tool_result") => {
                results.push(plain_text(&block["content"]));
                prompt.clear();
            }
            Some("text") => {
                let text = block["text"].as_str().unwrap_or_default();
                let own = [REMINDER, INTERRUPTED]
                    .iter()
                    .all(|not| !text.trim_start().starts_with(not));
                if own && !text.trim().is_empty() {
                    prompt = text.to_owned();
                }
            }
            _ => {}
        }
    }
    (prompt, results)
}

fn as_blocks(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        Value::Array(blocks) => blocks.clone(),
        _ => Vec::new(),
    }
}

fn plain_text(content: &Value) -> String {
    let texts = as_blocks(content);
    texts
        .iter()
        .filter_map(|block| block["text"].as_str())
        .collect::<Vec<_>>()
        .join("\n")
}

fn schema_of(body: &Value) -> Option<Value> {
    [&body["output_config"]["format"], &body["output_format"]]
        .into_iter()
        .find(|format| format["type"] == "json_schema")
        .map(|format| format["schema"].clone())
}

/// What the client says about itself in `metadata.user_id`.
fn claimed(body: &Value, key: &str) -> Option<String> {
    let user: Value = serde_json::from_str(body["metadata"]["user_id"].as_str()?).ok()?;
    user[key].as_str().map(str::to_owned)
}

/// The tools a prompt scripts, in order.
pub(super) fn scripted_tools(prompt: &str) -> Vec<ScriptedTool> {
    markers(prompt, "[[tool:")
        .filter_map(|marker| {
            let (name, input) = marker.split_once(':')?;
            let input = match serde_json::from_str(input) {
                Ok(Value::Object(object)) => Value::Object(object),
                _ => json!({"command": input, "description": "scripted by the prompt"}),
            };
            Some(ScriptedTool {
                name: name.to_owned(),
                input,
            })
        })
        .collect()
}

/// `[[wait:500]]`: the answer takes so many milliseconds, at most a minute.
pub(super) fn scripted_wait(prompt: &str) -> Option<u64> {
    markers(prompt, "[[wait:")
        .next()?
        .parse()
        .ok()
        .map(|millis: u64| millis.min(60_000))
}

/// `[[say:TEXT]]`: the answer is this text, not an echo of the prompt.
pub(super) fn scripted_text(prompt: &str) -> Option<&str> {
    markers(prompt, "[[say:").next()
}

/// `[[pace:50]]`: so many milliseconds pass between two events of a streamed answer, at most ten seconds.
pub(super) fn scripted_pace(prompt: &str) -> Option<u64> {
    markers(prompt, "[[pace:")
        .next()?
        .parse()
        .ok()
        .map(|millis: u64| millis.min(10_000))
}

/// `[[fail:529:2]]`: the first two requests with this prompt, under whichever account, fail; `[[fail:limit]]`: all of
/// them do. Kinds: `limit`, `weekly`, `throttled`, `401`, `403`, `500`, `529`.
pub(super) fn scripted_fault(prompt: &str) -> Option<(Fault, u32)> {
    let marker = markers(prompt, "[[fail:").next()?;
    let (kind, times) = marker.split_once(':').unwrap_or((marker, ""));
    let fault = match kind {
        "limit" => Fault::PlanLimit,
        "weekly" => Fault::WeeklyLimit,
        "throttled" => Fault::Throttled(None),
        "401" => Fault::Unauthorized,
        "403" => Fault::Forbidden,
        "500" => Fault::ServerError,
        "529" => Fault::Overloaded,
        _ => return None,
    };
    Some((fault, times.parse().unwrap_or(u32::MAX)))
}

fn markers<'a>(prompt: &'a str, opening: &'a str) -> impl Iterator<Item = &'a str> {
    prompt
        .split(opening)
        .skip(1)
        .filter_map(|rest| rest.split_once("]]").map(|(marker, _)| marker))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_may_come_behind_the_result_of_a_refused_tool() {
        let result = json!({"type": "tool_result", "content": "refused"});
        let text = |text: &str| json!({"type": "text", "text": text});
        let asked = |last: Vec<Value>| {
            let first = json!({"role": "user", "content": "first"});
            parse(&json!({"messages": [first, {"role": "user", "content": last}]}))
        };
        let goes_on = asked(vec![
            result.clone(),
            text("<system-reminder>x</system-reminder>"),
        ]);
        assert_eq!(goes_on.turns, ["first"]);
        assert_eq!(goes_on.tool_results, ["refused"]);
        let interrupted = text("[Request interrupted by user for tool use]");
        let next = asked(vec![result, interrupted, text("next")]);
        assert_eq!((next.prompt.as_str(), next.turns.len()), ("next", 2));
        assert_eq!(next.tool_results, [""; 0]);
    }
}
