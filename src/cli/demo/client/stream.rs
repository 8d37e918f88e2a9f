//! `claude -p --input-format stream-json`: messages and control requests by line.

use std::io::stdin;

use serde_json::{Value, json};

use super::arguments::Arguments;
use super::conversation::Conversation;
use super::hooks::Hooks;
use super::print::{MODEL, one_turn, result};
use super::registry::Registry;
use super::turn::{Outcome, Turn};
use super::usage;
use super::world::{World, complain, new_id, say};

pub(super) fn run(world: &World, arguments: &Arguments) -> u8 {
    let mut conversation = match Conversation::open(world, arguments) {
        Ok(conversation) => conversation,
        Err(problem) => {
            complain(&problem);
            return 1;
        }
    };
    let hooks = Hooks::load(world, arguments.settings.as_deref());
    let mut registry = Registry::announce(world, &conversation.id, "sdk-cli");
    hooks.fire(
        world,
        &conversation,
        "SessionStart",
        &json!({"source": "startup", "model": MODEL}),
    );
    let mut model = arguments.model.clone().unwrap_or_else(|| MODEL.to_owned());
    for line in stdin().lines() {
        let Ok(message) = line.map(|line| serde_json::from_str::<Value>(&line).unwrap_or_default())
        else {
            break;
        };
        match message["type"].as_str() {
            Some("control_request") => control(world, &message, &mut model),
            Some("user") => {
                let prompt = text_of(&message["message"]["content"]);
                if prompt.trim() == "/clear" {
                    hooks.fire(
                        world,
                        &conversation,
                        "SessionEnd",
                        &json!({"reason": "clear"}),
                    );
                    conversation = Conversation::new(world, new_id());
                    registry.set_session(&conversation.id);
                    hooks.fire(
                        world,
                        &conversation,
                        "SessionStart",
                        &json!({"source": "clear", "model": model}),
                    );
                    say(
                        &json!({"type": "conversation_reset", "session_id": conversation.id})
                            .to_string(),
                    );
                    continue;
                }
                registry.set_status("busy");
                say(&init(world, &conversation.id, &model).to_string());
                let turn = one_turn(world, &hooks, &mut conversation, &prompt, &model);
                registry.set_status("idle");
                report(&turn, &conversation.id);
            }
            _ => {}
        }
    }
    hooks.fire(
        world,
        &conversation,
        "SessionEnd",
        &json!({"reason": "other"}),
    );
    0
}

fn control(world: &World, message: &Value, model: &mut String) {
    let request = &message["request"];
    let response = match request["subtype"].as_str() {
        Some("get_usage") => usage::control_answer(world),
        Some("set_model") => {
            *model = request["model"].as_str().unwrap_or(MODEL).to_owned();
            json!({})
        }
        _ => json!({}),
    };
    let response =
        json!({"subtype": "success", "request_id": message["request_id"], "response": response});
    say(&json!({"type": "control_response", "response": response}).to_string());
}

fn init(world: &World, session: &str, model: &str) -> Value {
    json!({
        "type": "system", "subtype": "init", "cwd": world.cwd_key(), "session_id": session, "model": model,
        "tools": ["Bash"], "mcp_servers": [], "permissionMode": "default", "claude_code_version": super::VERSION,
    })
}

fn report(turn: &Turn, session: &str) {
    if let Outcome::Said(text) = &turn.outcome {
        let content = json!([{"type": "text", "text": text}]);
        let message = json!({"role": "assistant", "type": "message", "model": turn.model, "content": content});
        say(&json!({"type": "assistant", "message": message, "session_id": session}).to_string());
    }
    if !turn.windows.is_null() {
        let (status, resets) = match &turn.outcome {
            Outcome::Limited { resets_at, .. } => ("rejected", json!(resets_at)),
            _ => ("allowed", turn.windows["five_hour"]["resetsAt"].clone()),
        };
        let info = json!({
            "status": status, "resetsAt": resets, "rateLimitType": "five_hour", "unifiedWindows": turn.windows,
        });
        say(
            &json!({"type": "rate_limit_event", "rate_limit_info": info, "session_id": session})
                .to_string(),
        );
    }
    say(&result(turn, session).to_string());
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        other => {
            let texts = other
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|block| block["text"].as_str());
            texts.collect::<Vec<_>>().join("\n")
        }
    }
}
