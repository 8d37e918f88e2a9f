//! `claude -p PROMPT`: one turn, its text on standard output.

use std::io::Read;

use serde_json::{Value, json};

use super::arguments::Arguments;
use super::conversation::Conversation;
use super::hooks::Hooks;
use super::registry::Registry;
use super::turn::{self, Outcome, Turn};
use super::usage;
use super::world::{World, complain, say};

/// The model that is named where none was asked for.
pub(super) const MODEL: &str = "claude-simulated";
/// A piped prompt; the real client takes 10 MB.
const MAX_PIPED_BYTES: u64 = 10 * 1024 * 1024;

pub(super) fn run(world: &World, arguments: &Arguments) -> u8 {
    let prompt = arguments.prompt.clone().unwrap_or_else(read_piped);
    if prompt.trim().is_empty() {
        complain(
            "Error: Input must be provided either through stdin or as a prompt argument when using --print",
        );
        return 1;
    }
    if prompt.trim() == "/usage" {
        say(&usage::as_text(world));
        return 0;
    }
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
    let model = arguments.model.as_deref().unwrap_or(MODEL);
    registry.set_status("busy");
    let turn = one_turn(world, &hooks, &mut conversation, &prompt, model);
    registry.set_status("idle");
    hooks.fire(
        world,
        &conversation,
        "SessionEnd",
        &json!({"reason": "other"}),
    );
    match arguments.output_format.as_deref() {
        Some("json" | "stream-json") => say(&result(&turn, &conversation.id).to_string()),
        _ => say(turn.outcome.text()),
    }
    u8::from(!turn.outcome.is_good())
}

/// A turn with its hooks and records.
pub(super) fn one_turn(
    world: &World,
    hooks: &Hooks,
    conversation: &mut Conversation,
    prompt: &str,
    model: &str,
) -> Turn {
    hooks.fire(
        world,
        conversation,
        "UserPromptSubmit",
        &json!({"prompt": prompt}),
    );
    conversation.add_prompt(world, prompt);
    let turn = turn::take(
        world,
        &conversation.id,
        model,
        conversation.messages.clone(),
    );
    conversation.add_turn(world, &turn);
    end_turn(world, hooks, conversation, &turn);
    turn
}

/// `Stop`, or `StopFailure` where the service refused.
pub(super) fn end_turn(world: &World, hooks: &Hooks, conversation: &Conversation, turn: &Turn) {
    let text = turn.outcome.text();
    match &turn.outcome {
        Outcome::Said(_) => {
            let extra = json!({"last_assistant_message": text, "stop_hook_active": false, "background_tasks": []});
            hooks.fire(world, conversation, "Stop", &extra);
        }
        Outcome::Limited { .. } | Outcome::Failed { .. } => {
            let error = match &turn.outcome {
                Outcome::Limited { .. } => "rate_limit",
                Outcome::Failed { status: 401, .. } => "authentication_failed",
                _ => "unknown",
            };
            let extra = json!({"error": error, "last_assistant_message": text});
            hooks.fire(world, conversation, "StopFailure", &extra);
        }
    }
}

/// The `result` message of the JSON formats.
pub(super) fn result(turn: &Turn, session: &str) -> Value {
    let mut result = json!({
        "type": "result", "subtype": "success", "is_error": !turn.outcome.is_good(), "num_turns": 1,
        "result": turn.outcome.text(), "session_id": session, "total_cost_usd": 0, "duration_ms": 1,
    });
    match &turn.outcome {
        Outcome::Said(_) => {}
        Outcome::Limited { .. } => {
            result["api_error_status"] = json!(429);
            result["api_error"] = json!("usage_limit_reached");
        }
        Outcome::Failed { status, .. } => result["api_error_status"] = json!(status),
    }
    result
}

fn read_piped() -> String {
    let mut text = String::new();
    // Bytes that are no text make an empty prompt, which is refused by name.
    let _ = std::io::stdin()
        .lock()
        .take(MAX_PIPED_BYTES)
        .read_to_string(&mut text);
    text.trim_end().to_owned()
}
