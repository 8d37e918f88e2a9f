//! The tools as a model sees them: names, what they are for, what they take and give. Also the list against which the
//! arguments of a call are checked.

use super::conversation::Version;
use crate::contract::pool::{DEFAULT_TIMEOUT_MS, Detail, Source, Status};
use serde_json::{Map, Value, json};

/// What every model is told of the server, once.
pub const INSTRUCTIONS: &str = "A pool of warm Claude Code sessions. `start` gives a prompt to a new session, which knows nothing of \
this conversation, and returns its sessionId at once; `wait` returns its answer, `followup` goes on in the same session. \
Start several, then `wait` without a sessionId for whichever finishes first. Sessions are kept: `capture` reads an answer again.";

/// A tool.
#[derive(Clone, Copy, Debug)]
pub struct Tool {
    /// What it is called by.
    pub name: &'static str,
    title: &'static str,
    description: &'static str,
    /// It changes nothing.
    reads: bool,
    takes: fn() -> Value,
    required: &'static [&'static str],
    gives: fn() -> Value,
}

/// All of them.
pub const TOOLS: &[Tool] = &[
    Tool {
        name: "start",
        title: "Start a session",
        description: "Start a new Claude Code session with a prompt. It works on its own, in its own context: put \
everything it has to know into the prompt. Returns its sessionId at once (status `queued` when all slots are busy; it \
begins by itself). With block it returns the answer, or, when that takes longer than timeout, an error while the session \
goes on: then call wait.",
        reads: false,
        takes: start,
        required: &["prompt"],
        gives: session,
    },
    Tool {
        name: "followup",
        title: "Give a session another prompt",
        description: "Give a session its next prompt; it remembers the earlier ones. The session must not be working: wait \
for it or stop it first. With block it returns the answer.",
        reads: false,
        takes: followup,
        required: &["sessionId", "prompt"],
        gives: session,
    },
    Tool {
        name: "wait",
        title: "Wait for an answer",
        description: "Wait until a session has finished its turn and return what it said; at once when it is idle. Without \
sessionId: the first to finish of the sessions that this conversation started and that are still busy, an error when none \
is.",
        reads: true,
        takes: wait,
        required: &[],
        gives: session,
    },
    Tool {
        name: "capture",
        title: "Read a session",
        description: "Read what a session said, without waiting: the last answer by default, earlier turns and tool calls on \
request. While it works this is what there is so far.",
        reads: true,
        takes: capture,
        required: &["sessionId"],
        gives: session,
    },
    Tool {
        name: "ls",
        title: "List sessions",
        description: "List the sessions that this conversation started, with their status: queued, idle (finished), \
processing, offloaded (finished and put away; followup resumes it), error, archived.",
        reads: true,
        takes: ls,
        required: &[],
        gives: sessions,
    },
    Tool {
        name: "stop",
        title: "Interrupt a session",
        description: "Interrupt a session that works, or take a queued prompt back. The session stays and takes a followup.",
        reads: false,
        takes: || json!({"sessionId": session_id()}),
        required: &["sessionId"],
        gives: session,
    },
];

/// The tool of this name.
pub fn named(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl Tool {
    /// As `tools/list` shows it to a client of this version.
    pub fn shown(&self, version: Version) -> Value {
        let mut shown = json!({
            "name": self.name,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": (self.takes)(),
                "required": self.required,
                "additionalProperties": false,
            },
        });
        if version.has_annotations() {
            shown["annotations"] = json!({
                "title": self.title, "readOnlyHint": self.reads, "destructiveHint": false,
                "idempotentHint": self.reads, "openWorldHint": !self.reads,
            });
        }
        if version.has_structured_content() {
            shown["title"] = json!(self.title);
            shown["outputSchema"] = (self.gives)();
        }
        shown
    }

    /// The names of its arguments.
    pub fn arguments(&self) -> Map<String, Value> {
        match (self.takes)() {
            Value::Object(arguments) => arguments,
            _ => Map::new(),
        }
    }
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn flag(description: &str) -> Value {
    json!({"type": "boolean", "default": false, "description": description})
}

fn session_id() -> Value {
    text("The session's id, or as much of its beginning as no other has")
}

fn timeout() -> Value {
    json!({
        "type": "integer", "minimum": 0, "default": DEFAULT_TIMEOUT_MS,
        "description": "How long to wait at most, in milliseconds",
    })
}

fn words<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> Vec<&'static str> {
    all.iter().map(|one| word(*one)).collect()
}

fn turns() -> Value {
    json!({
        "type": "integer", "minimum": 0, "default": 1,
        "description": "How many turns from the end; a turn is a prompt and all that follows. 0 is all",
    })
}

fn detail() -> Value {
    json!({
        "type": "string", "enum": words(Detail::ALL, Detail::word), "default": Detail::default().word(),
        "description": "last: the final answer of each turn, as text. assistant: everything it said. tools: tool calls and \
    results too, as JSON lines. raw: the transcript's own lines",
    })
}

fn start() -> Value {
    json!({
        "prompt": text("The task, complete in itself"),
        "name": text("A short name, shown by ls"),
        "cwd": text("The directory it works in; has to exist. The pool's own by default, which starts faster"),
        "account": text("The account it runs on: number or label. By default the one with the most headroom"),
        "parent": text("Whose child it is; by default this conversation's, `none` for nobody's"),
        "block": flag("Wait for the answer"),
        "timeout": timeout(),
    })
}

fn followup() -> Value {
    json!({
        "sessionId": session_id(),
        "prompt": text("The next prompt"),
        "block": flag("Wait for the answer"),
        "timeout": timeout(),
    })
}

fn wait() -> Value {
    json!({
        "sessionId": session_id(),
        "parent": text("Without sessionId: whose children; by default this conversation's, `none` for those of nobody"),
        "timeout": timeout(),
        "turns": turns(),
        "detail": detail(),
    })
}

fn capture() -> Value {
    json!({
        "sessionId": session_id(),
        "source": {
            "type": "string", "enum": words(Source::ALL, Source::word), "default": Source::default().word(),
            "description": "jsonl: the transcript. buffer: what its terminal shows, while it is loaded",
        },
        "turns": turns(),
        "detail": detail(),
    })
}

fn ls() -> Value {
    json!({
        "parent": text("Whose children; by default this conversation's, `none` for all sessions"),
        "all": flag("All sessions of the pool, whoever started them"),
        "statuses": {
            "type": "array", "items": {"type": "string", "enum": words(Status::ALL, Status::word)},
            "description": "Only those with one of these",
        },
        "archived": flag("Archived ones too"),
    })
}

fn session() -> Value {
    json!({
        "type": "object",
        "properties": {
            "sessionId": {"type": "string"},
            "status": {"type": "string", "enum": words(Status::ALL, Status::word)},
            "text": text("What was said"),
            "truncated": {"type": "boolean", "description": "The beginning of the text is left out"},
        },
        "required": ["sessionId"],
    })
}

fn sessions() -> Value {
    json!({
        "type": "object",
        "properties": {"sessions": {"type": "array", "items": {
            "type": "object",
            "properties": {
                "sessionId": {"type": "string"},
                "status": {"type": "string", "enum": words(Status::ALL, Status::word)},
                "name": {"type": "string"},
                "cwd": {"type": "string"},
                "parent": {"type": "string"},
                "createdAt": {"type": "string"},
                "waitingFor": text("What a person has to decide before it goes on"),
                "children": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["sessionId", "status"],
        }}},
        "required": ["sessions"],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_shown_as_far_as_the_version_goes() {
        for (version, annotations, structured) in [
            (Version::V2024_11_05, false, false),
            (Version::V2025_03_26, true, false),
            (Version::V2025_06_18, true, true),
            (Version::V2025_11_25, true, true),
        ] {
            for tool in TOOLS {
                let shown = tool.shown(version);
                assert_eq!(
                    shown.get("annotations").is_some(),
                    annotations,
                    "{version:?}"
                );
                assert_eq!(
                    shown.get("outputSchema").is_some(),
                    structured,
                    "{version:?}"
                );
                assert_eq!(shown.get("title").is_some(), structured, "{version:?}");
            }
        }
    }

    #[test]
    fn what_is_required_is_described() {
        for tool in TOOLS {
            let arguments = tool.arguments();
            for name in tool.required {
                assert!(arguments.contains_key(*name), "{}: {name}", tool.name);
            }
            for (name, schema) in arguments {
                let told = schema["description"].as_str().unwrap_or_default();
                assert!(!told.is_empty(), "{}: {name}", tool.name);
            }
        }
    }
}
