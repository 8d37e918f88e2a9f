//! `POST /v1/messages`: an answer that follows from the prompt alone, as one JSON object or as an event stream.

use serde_json::{Map, Value, json};

use super::prompt::{Asked, ScriptedTool, scripted_text, scripted_tools};
use super::wire::{Pacing, Response};

/// Characters of one text delta: small enough that a sentence streams in several.
const DELTA_CHARACTERS: usize = 24;
/// How much of a tool's result is repeated in the answer.
const RESULT_CHARACTERS: usize = 200;

/// What the model "says".
#[derive(Debug, PartialEq)]
enum Said {
    Text(String),
    Tool(ScriptedTool),
}

/// The answer to a message request that nothing is wrong with.
pub(super) fn respond(asked: &Asked) -> Response {
    let said = say(asked);
    if asked.stream {
        let body = stream(asked, &said).into_bytes();
        let content_type = "text/event-stream";
        return Response {
            status: 200,
            content_type,
            headers: Vec::new(),
            body,
            pacing: Pacing::AtOnce,
        };
    }
    let stop = stop_reason(&said);
    let mut message = envelope(asked);
    message["content"] = json!([block(asked, &said)]);
    message["stop_reason"] = json!(stop);
    message["usage"] = usage(asked, 12);
    Response::json(200, &message)
}

/// `POST /v1/messages/count_tokens`: a number that grows with the body.
pub(super) fn count_tokens(body_bytes: usize) -> Response {
    Response::json(200, &json!({"input_tokens": body_bytes / 4 + 1}))
}

fn say(asked: &Asked) -> Said {
    if let Some(schema) = &asked.schema {
        return Said::Text(fit(schema).to_string());
    }
    let tools = scripted_tools(&asked.prompt);
    if let Some(tool) = tools.into_iter().nth(asked.tool_results.len()) {
        return Said::Tool(tool);
    }
    if let Some(text) = scripted_text(&asked.prompt) {
        return Said::Text(text.to_owned());
    }
    let mut text = format!("simulated answer to: {}", asked.prompt);
    if let Some(result) = asked.tool_results.last() {
        let result: String = result.chars().take(RESULT_CHARACTERS).collect();
        text.push_str(&format!(" (the tool said: {})", result.trim()));
    }
    Said::Text(text)
}

/// A small value that fits a JSON schema of the kind clients ask small questions with.
fn fit(schema: &Value) -> Value {
    if let Some(first) = schema["enum"].as_array().and_then(|values| values.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let empty = Map::new();
            let properties = schema["properties"].as_object().unwrap_or(&empty);
            properties
                .iter()
                .map(|(name, schema)| (name.clone(), fit(schema)))
                .collect()
        }
        Some("array") => json!([]),
        Some("boolean") => json!(false),
        Some("integer" | "number") => json!(0),
        Some("null") => Value::Null,
        _ => json!("simulated"),
    }
}

fn envelope(asked: &Asked) -> Value {
    json!({
        "id": format!("msg_simulated_{}_{}", asked.messages, asked.tool_results.len()),
        "type": "message", "role": "assistant", "model": asked.model, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage(asked, 1),
    })
}

fn usage(asked: &Asked, output_tokens: usize) -> Value {
    json!({
        "input_tokens": asked.prompt.len() / 4 + 1, "output_tokens": output_tokens,
        "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "service_tier": "standard",
    })
}

fn stop_reason(said: &Said) -> &'static str {
    match said {
        Said::Text(_) => "end_turn",
        Said::Tool(_) => "tool_use",
    }
}

fn block(asked: &Asked, said: &Said) -> Value {
    match said {
        Said::Text(text) => json!({"type": "text", "text": text}),
        Said::Tool(tool) => {
            let id = format!(
                "toolu_simulated_{}_{}",
                asked.messages,
                asked.tool_results.len()
            );
            json!({"type": "tool_use", "id": id, "name": tool.name, "input": tool.input})
        }
    }
}

/// The same answer as server-sent events.
fn stream(asked: &Asked, said: &Said) -> String {
    let mut events = String::new();
    let mut send = |value: Value| {
        let name = value["type"].as_str().unwrap_or_default().to_owned();
        events.push_str(&format!("event: {name}\ndata: {value}\n\n"));
    };
    send(json!({"type": "message_start", "message": envelope(asked)}));
    let mut start = block(asked, said);
    match said {
        Said::Text(_) => start["text"] = json!(""),
        Said::Tool(_) => start["input"] = json!({}),
    }
    send(json!({"type": "content_block_start", "index": 0, "content_block": start}));
    for delta in deltas(said) {
        send(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    }
    send(json!({"type": "content_block_stop", "index": 0}));
    let delta = json!({"stop_reason": stop_reason(said), "stop_sequence": null});
    send(json!({"type": "message_delta", "delta": delta, "usage": {"output_tokens": 12}}));
    send(json!({"type": "message_stop"}));
    events
}

fn deltas(said: &Said) -> Vec<Value> {
    match said {
        Said::Text(text) => {
            let characters: Vec<char> = text.chars().collect();
            let pieces = characters
                .chunks(DELTA_CHARACTERS)
                .map(|piece| piece.iter().collect::<String>());
            pieces
                .map(|piece| json!({"type": "text_delta", "text": piece}))
                .collect()
        }
        Said::Tool(tool) => {
            vec![json!({"type": "input_json_delta", "partial_json": tool.input.to_string()})]
        }
    }
}
