//! Calls of tools: from what a model wrote to requests of the pool. What it got wrong is told in words that it can mend.

use super::tools::{self, Tool};
use crate::contract::pool::{
    DEFAULT_TIMEOUT_MS, Detail, Excerpt, Ls, Source, Start, Status, Verbosity, Wait,
};
use serde_json::{Map, Value, json};

/// A call that can be carried out. A parent is as it was given: none means the conversation this runs in.
#[derive(Clone, Debug, PartialEq)]
pub enum Call {
    /// A new session.
    Start {
        /// What the pool is asked.
        start: Start,
        /// Wait for the answer so many milliseconds.
        block: Option<u64>,
    },
    /// The next prompt of a session.
    Followup {
        /// Id or unique prefix.
        session_id: String,
        /// The prompt.
        prompt: String,
        /// Wait for the answer so many milliseconds.
        block: Option<u64>,
    },
    /// The end of a turn.
    Wait(Wait),
    /// What was said.
    Capture {
        /// Id or unique prefix.
        session_id: String,
        /// Which part.
        excerpt: Excerpt,
    },
    /// The sessions.
    Ls(Ls),
    /// An interruption.
    Stop {
        /// Id or unique prefix.
        session_id: String,
    },
}

/// Why a call cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no such tool, or the call has another shape.
    Call(String),
    /// An argument is missing or wrong: a model can mend that.
    Argument(String),
}

/// Reads the parameters of `tools/call`.
pub fn read(params: &Map<String, Value>) -> Result<Call, Mistake> {
    let Some(name) = params.get("name").and_then(Value::as_str) else {
        return Err(Mistake::Call("`name` has to be a string".to_owned()));
    };
    let Some(tool) = tools::named(name) else {
        let shown: String = name.chars().take(100).collect();
        return Err(Mistake::Call(format!("unknown tool: {shown}")));
    };
    let empty = Map::new();
    let given = match params.get("arguments") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(given)) => given,
        Some(_) => return Err(Mistake::Call("`arguments` has to be an object".to_owned())),
    };
    let arguments = Arguments { given };
    arguments
        .all_of(tool)
        .and_then(|()| arguments.call(tool.name))
        .map_err(Mistake::Argument)
}

/// What a model wrote. Null counts as not given.
struct Arguments<'a> {
    given: &'a Map<String, Value>,
}

impl Arguments<'_> {
    fn call(&self, name: &str) -> Result<Call, String> {
        Ok(match name {
            "start" => Call::Start {
                start: self.start()?,
                block: self.block()?,
            },
            "followup" => Call::Followup {
                session_id: self.needed("sessionId")?,
                prompt: self.needed("prompt")?,
                block: self.block()?,
            },
            "wait" => Call::Wait(Wait {
                session_id: self.text("sessionId")?,
                parent: self.text("parent")?,
                timeout_ms: self.timeout()?,
                excerpt: self.excerpt()?,
            }),
            "capture" => Call::Capture {
                session_id: self.needed("sessionId")?,
                excerpt: self.excerpt()?,
            },
            "ls" => Call::Ls(Ls {
                parent: self.text("parent")?,
                all: self.flag("all")?,
                tree: false,
                archived: self.flag("archived")?,
                statuses: self.statuses()?,
                // A model knows its sessions by their names.
                verbosity: Some(Verbosity::Full),
            }),
            _ => Call::Stop {
                session_id: self.needed("sessionId")?,
            },
        })
    }

    fn start(&self) -> Result<Start, String> {
        let name = self.text("name")?;
        let metadata = name.map(|name| Map::from_iter([("name".to_owned(), json!(name))]));
        Ok(Start {
            prompt: Some(self.needed("prompt")?),
            parent: self.text("parent")?,
            metadata,
            cwd: self.text("cwd")?,
            account: self.text("account")?,
        })
    }

    fn block(&self) -> Result<Option<u64>, String> {
        let timeout = self.timeout()?;
        Ok(self.flag("block")?.then_some(timeout))
    }

    fn timeout(&self) -> Result<u64, String> {
        self.number("timeout", DEFAULT_TIMEOUT_MS)
    }

    fn excerpt(&self) -> Result<Excerpt, String> {
        let turns = self.number("turns", 1)?;
        Ok(Excerpt {
            source: self.word("source", Source::of, Source::WORDS)?,
            turns: u32::try_from(turns).unwrap_or(u32::MAX),
            detail: self.word("detail", Detail::of, Detail::WORDS)?,
        })
    }

    fn statuses(&self) -> Result<Option<Vec<Status>>, String> {
        let Some(value) = self.value("statuses") else {
            return Ok(None);
        };
        let wrong = || self.wrong("statuses", &format!("a list of {}", or(Status::WORDS)));
        let list = value.as_array().ok_or_else(wrong)?;
        let read = |value: &Value| value.as_str().and_then(Status::of).ok_or_else(wrong);
        let statuses: Vec<Status> = list.iter().map(read).collect::<Result<_, _>>()?;
        Ok((!statuses.is_empty()).then_some(statuses))
    }

    /// Refuses what the tool does not take: it was meant to do something.
    fn all_of(&self, tool: &Tool) -> Result<(), String> {
        let known = tool.arguments();
        let Some(name) = self.given.keys().find(|name| !known.contains_key(*name)) else {
            return Ok(());
        };
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let shown: String = name.chars().take(100).collect();
        Err(format!(
            "there is no argument `{shown}`\nnext step: {} takes {}",
            tool.name,
            names.join(", ")
        ))
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.given.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(name, "a string that is not empty")),
        }
    }

    fn needed(&self, name: &str) -> Result<String, String> {
        self.text(name)?
            .ok_or_else(|| format!("argument `{name}` is required"))
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        match self.value(name) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| self.wrong(name, "true or false")),
        }
    }

    fn number(&self, name: &str, usual: u64) -> Result<u64, String> {
        match self.value(name) {
            None => Ok(usual),
            Some(value) => value
                .as_u64()
                .ok_or_else(|| self.wrong(name, "a whole number, 0 or more")),
        }
    }

    fn word<T: Default>(
        &self,
        name: &str,
        of: impl Fn(&str) -> Option<T>,
        words: &str,
    ) -> Result<T, String> {
        match self.value(name) {
            None => Ok(T::default()),
            Some(value) => value
                .as_str()
                .and_then(of)
                .ok_or_else(|| self.wrong(name, &format!("one of {}", or(words)))),
        }
    }

    fn wrong(&self, name: &str, expected: &str) -> String {
        let found = self.value(name).unwrap_or(&Value::Null).to_string();
        let found: String = found.chars().take(60).collect();
        format!("argument `{name}` must be {expected}, not {found}")
    }
}

fn or(words: &str) -> String {
    words.trim_start_matches('|').replace('|', ", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(name: &str, arguments: Value) -> Result<Call, Mistake> {
        let params = json!({"name": name, "arguments": arguments});
        read(params.as_object().expect("an object"))
    }

    #[test]
    fn calls_become_requests() {
        let rows = [
            (
                called(
                    "start",
                    json!({"prompt": "p", "name": "n", "block": true, "timeout": 5, "parent": "none"}),
                ),
                Call::Start {
                    start: Start {
                        prompt: Some("p".to_owned()),
                        parent: Some("none".to_owned()),
                        metadata: json!({"name": "n"}).as_object().cloned(),
                        ..Start::default()
                    },
                    block: Some(5),
                },
            ),
            (
                called(
                    "followup",
                    json!({"sessionId": "ab", "prompt": "p", "timeout": 5}),
                ),
                Call::Followup {
                    session_id: "ab".to_owned(),
                    prompt: "p".to_owned(),
                    block: None,
                },
            ),
            (called("wait", Value::Null), Call::Wait(Wait::default())),
            (
                called(
                    "capture",
                    json!({"sessionId": "ab", "turns": 0, "detail": "raw", "source": null}),
                ),
                Call::Capture {
                    session_id: "ab".to_owned(),
                    excerpt: Excerpt {
                        source: Source::Jsonl,
                        turns: 0,
                        detail: Detail::Raw,
                    },
                },
            ),
            (
                called("ls", json!({"all": true, "statuses": ["idle"]})),
                Call::Ls(Ls {
                    all: true,
                    statuses: Some(vec![Status::Idle]),
                    verbosity: Some(Verbosity::Full),
                    ..Ls::default()
                }),
            ),
            (
                called("stop", json!({"sessionId": "ab"})),
                Call::Stop {
                    session_id: "ab".to_owned(),
                },
            ),
        ];
        for (found, expected) in rows {
            assert_eq!(found, Ok(expected));
        }
    }

    #[test]
    fn a_model_is_told_what_to_mend() {
        for (name, arguments, told) in [
            ("start", json!({}), "argument `prompt` is required"),
            (
                "start",
                json!({"prompt": " "}),
                "argument `prompt` must be a string that is not empty, not \" \"",
            ),
            (
                "start",
                json!({"prompt": "p", "timeout_ms": 1}),
                "there is no argument `timeout_ms`\nnext step: start takes",
            ),
            (
                "start",
                json!({"prompt": "p", "block": "yes"}),
                "argument `block` must be true or false, not \"yes\"",
            ),
            (
                "wait",
                json!({"timeout": -1}),
                "argument `timeout` must be a whole number, 0 or more, not -1",
            ),
            (
                "capture",
                json!({"sessionId": "a", "detail": "all"}),
                "one of last, assistant, tools, raw, not \"all\"",
            ),
            ("ls", json!({"statuses": "idle"}), "a list of queued, idle"),
        ] {
            match called(name, arguments) {
                Err(Mistake::Argument(text)) => assert!(text.contains(told), "{text}"),
                other => panic!("{other:?}"),
            }
        }
        for (params, told) in [
            (json!({"name": "fly"}), "unknown tool: fly"),
            (json!({}), "`name` has to be a string"),
            (
                json!({"name": "ls", "arguments": [1]}),
                "`arguments` has to be an object",
            ),
        ] {
            let mistake = read(params.as_object().expect("an object"));
            assert_eq!(mistake, Err(Mistake::Call(told.to_owned())));
        }
    }
}
