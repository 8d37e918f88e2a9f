//! A conversation and its transcript: `projects/<encoded cwd>/<id>.jsonl`, one record a line.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::VERSION;
use super::arguments::Arguments;
use super::files;
use super::turn::{Outcome, Turn};
use super::world::{World, encode_path, new_id};
use crate::adapters::simulated::now;

/// What was said so far, and where it is written.
#[derive(Clone, Debug)]
pub(super) struct Conversation {
    pub id: String,
    pub file: PathBuf,
    /// As sent to the service.
    pub messages: Vec<Value>,
    persists: bool,
    last_record: Value,
}

impl Conversation {
    /// A new one, or the one that the arguments name.
    pub fn open(world: &World, arguments: &Arguments) -> Result<Self, String> {
        let resumed = match &arguments.resume {
            None if arguments.latest => {
                Some(Self::latest(world).ok_or("No conversation found to continue")?)
            }
            named => named.clone(),
        };
        let mut conversation = match &resumed {
            Some(id) => Self::resume(world, id)?,
            None => Self::new(world, arguments.session_id.clone().unwrap_or_else(new_id)),
        };
        if resumed.is_none() && conversation.file.exists() {
            return Err(format!(
                "Error: Session ID {} is already in use.",
                conversation.id
            ));
        }
        if arguments.fork {
            let fork = Self::new(world, arguments.session_id.clone().unwrap_or_else(new_id));
            // An unwritable copy shows at the first record of the fork.
            let _ = fs::copy(&conversation.file, &fork.file);
            conversation = Self {
                id: fork.id,
                file: fork.file,
                ..conversation
            };
        }
        conversation.persists = !arguments.no_persistence;
        Ok(conversation)
    }

    /// An empty conversation in this working directory.
    pub fn new(world: &World, id: String) -> Self {
        let file = world
            .config_dir
            .join("projects")
            .join(encode_path(&world.cwd))
            .join(format!("{id}.jsonl"));
        Self {
            id,
            file,
            messages: Vec::new(),
            persists: true,
            last_record: Value::Null,
        }
    }

    /// Id of the newest conversation of this working directory.
    fn latest(world: &World) -> Option<String> {
        let directory = world
            .config_dir
            .join("projects")
            .join(encode_path(&world.cwd));
        let files = fs::read_dir(directory)
            .ok()?
            .flatten()
            .map(|entry| entry.path());
        let transcripts = files.filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "jsonl")
        });
        let newest = transcripts.max_by_key(|file| {
            fs::metadata(file)
                .and_then(|metadata| metadata.modified())
                .ok()
        })?;
        Some(newest.file_stem()?.to_string_lossy().into_owned())
    }

    /// A conversation from its transcript, of this or of another working directory.
    pub fn resume(world: &World, id: &str) -> Result<Self, String> {
        let mut conversation = Self::new(world, id.to_owned());
        if !conversation.file.exists() {
            let projects = fs::read_dir(world.config_dir.join("projects"))
                .into_iter()
                .flatten()
                .flatten();
            let found = projects
                .map(|entry| entry.path().join(format!("{id}.jsonl")))
                .find(|file| file.exists());
            conversation.file =
                found.ok_or_else(|| format!("No conversation found with session ID: {id}"))?;
        }
        let text = fs::read_to_string(&conversation.file).map_err(|error| error.to_string())?;
        for record in text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        {
            let message = &record["message"];
            if message["role"].is_string() && record["isApiErrorMessage"] != true {
                conversation
                    .messages
                    .push(json!({"role": message["role"], "content": message["content"]}));
            }
            conversation.last_record = record["uuid"].clone();
        }
        Ok(conversation)
    }

    /// Takes in a prompt.
    pub fn add_prompt(&mut self, world: &World, prompt: &str) {
        let message = json!({"role": "user", "content": prompt});
        self.messages.push(message.clone());
        self.write(world, "user", message, json!({}));
    }

    /// Takes in how the turn ended.
    pub fn add_turn(&mut self, world: &World, turn: &Turn) {
        for message in &turn.messages {
            let kind = message["role"].as_str().unwrap_or("assistant").to_owned();
            self.messages.push(message.clone());
            let message = if kind == "assistant" {
                assistant(&turn.model, &message["content"])
            } else {
                message.clone()
            };
            self.write(world, &kind, message, json!({}));
        }
        if let Outcome::Limited { text, .. } | Outcome::Failed { text, .. } = &turn.outcome {
            let extra = match &turn.outcome {
                Outcome::Limited { resets_at, .. } => json!({
                    "isApiErrorMessage": true, "error": "rate_limit", "apiError": "usage_limit_reached",
                    "quotaLimits": {"resetsAt": resets_at},
                }),
                _ => json!({"isApiErrorMessage": true, "error": "unknown"}),
            };
            let message = assistant("<synthetic>", &json!([{"type": "text", "text": text}]));
            self.write(world, "assistant", message, extra);
        }
    }

    fn write(&mut self, world: &World, kind: &str, message: Value, extra: Value) {
        if !self.persists {
            return;
        }
        let id = new_id();
        let mut record = json!({
            "parentUuid": self.last_record, "isSidechain": false, "userType": "external", "cwd": world.cwd_key(),
            "sessionId": self.id, "version": VERSION, "type": kind, "message": message, "uuid": id,
            "timestamp": timestamp(),
        });
        for (key, value) in extra.as_object().into_iter().flatten() {
            record[key] = value.clone();
        }
        self.last_record = json!(id);
        // A full disk must not end the conversation.
        let _ = files::append(&self.file, &record);
    }
}

fn assistant(model: &str, content: &Value) -> Value {
    json!({
        "id": format!("msg_{}", new_id()), "type": "message", "role": "assistant", "model": model,
        "content": content, "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    })
}

fn timestamp() -> String {
    let millis = i64::try_from(now()).unwrap_or(0);
    jiff::Timestamp::from_millisecond(millis)
        .map(|instant| format!("{instant:.3}"))
        .unwrap_or_default()
}
