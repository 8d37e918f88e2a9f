//! One line taken apart: fields in their order, each a slice of the line, so that what is handed on is what was written.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// A JSON object as it stands in a text.
#[derive(Debug, Default)]
pub(super) struct Record<'a> {
    fields: Vec<(String, &'a str)>,
}

/// What a record is for the structure of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody's prompt: a turn begins.
    Prompt,
    /// Anything else that the conversation holds under the user's name: results of tools, what claude adds by itself.
    User,
    /// Something of the assistant's.
    Assistant,
    /// The conversation was emptied: nothing before belongs to it.
    Clear,
    /// The note that the turn was interrupted.
    Interrupted,
    /// The note that the turn is over.
    TurnOver,
    /// Bookkeeping.
    Other,
}

/// The user's own words never begin like this; what claude records of its local commands does.
const LOCAL_COMMAND: &[&str] = &[
    "<local-command-stdout>",
    "<local-command-stderr>",
    "<local-command-caveat>",
    "<bash-input>",
    "<bash-stdout>",
    "<bash-stderr>",
    // A command for the model has its message before its name; one that claude obeys itself, its name first.
    "<command-name>",
];
const CLEAR: &str = "<command-name>/clear</command-name>";
const INTERRUPTED: &str = "[Request interrupted by user";
/// What claude tells the model by itself, under the user's name.
const NOTIFICATION: &str = "<task-notification>";

/// A block of a message's content.
pub(super) struct Block<'a> {
    /// `text`, `tool_use`, `tool_result`, `thinking`, `image`…
    pub kind: String,
    /// The whole of it.
    pub raw: &'a str,
}

impl<'a> Record<'a> {
    /// The record of a line; none when it is no JSON object.
    pub fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim();
        if !line.starts_with('{') {
            return None;
        }
        serde_json::from_str(line).ok()
    }

    /// The text of a value as it stands in the line.
    pub fn raw(&self, key: &str) -> Option<&'a str> {
        let field = self.fields.iter().rev().find(|(name, _)| name == key)?;
        Some(field.1)
    }

    pub fn text(&self, key: &str) -> Option<String> {
        let raw = self.raw(key).filter(|raw| raw.starts_with('"'))?;
        serde_json::from_str(raw).ok()
    }

    pub fn flag(&self, key: &str) -> bool {
        self.raw(key) == Some("true")
    }

    /// A value that is an object.
    pub fn object(&self, key: &str) -> Option<Self> {
        Self::parse(self.raw(key)?)
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.fields.iter().map(|(name, raw)| (name.as_str(), *raw))
    }

    /// What it is for the structure of the transcript.
    pub fn kind(&self) -> Kind {
        match self.text("type").unwrap_or_default().as_str() {
            "assistant" => Kind::Assistant,
            "user" => self.user_kind(),
            "system" => match self.text("subtype").as_deref() {
                Some("turn_duration" | "stop_hook_summary") => Kind::TurnOver,
                _ => Kind::Other,
            },
            _ => Kind::Other,
        }
    }

    fn user_kind(&self) -> Kind {
        let aside = ["isMeta", "isSidechain", "isCompactSummary"];
        if aside.iter().any(|key| self.flag(key)) {
            return Kind::User;
        }
        let Some(message) = self.object("message") else {
            return Kind::User;
        };
        let Some(text) = message.own_text() else {
            return Kind::User;
        };
        let start = text.trim_start();
        if start.starts_with(CLEAR) {
            Kind::Clear
        } else if start.starts_with(INTERRUPTED) {
            Kind::Interrupted
        } else if start.starts_with(NOTIFICATION)
            || LOCAL_COMMAND.iter().any(|mark| start.starts_with(mark))
        {
            Kind::User
        } else {
            Kind::Prompt
        }
    }

    /// Of a message: its text where it is text that somebody wrote; none for the results of tools.
    fn own_text(&self) -> Option<String> {
        let blocks = match self.raw("content")? {
            raw if raw.starts_with('"') => return serde_json::from_str(raw).ok(),
            _ => self.blocks(),
        };
        if blocks.iter().any(|block| block.kind == "tool_result") {
            return None;
        }
        let texts: Vec<String> = texts(&blocks);
        (!texts.is_empty()).then(|| texts.join("\n"))
    }

    /// Of a message: the blocks of its content; none where it is plain text.
    pub fn blocks(&self) -> Vec<Block<'a>> {
        let raws: Vec<&'a RawValue> = self
            .raw("content")
            .and_then(|raw| serde_json::from_str(raw).ok())
            .unwrap_or_default();
        let blocks = raws.into_iter().map(|raw| Block {
            kind: Record::parse(raw.get())
                .and_then(|block| block.text("type"))
                .unwrap_or_default(),
            raw: raw.get(),
        });
        blocks.collect()
    }

    /// Of an assistant's record: its text, where it has some.
    pub fn assistant_text(&self) -> Option<String> {
        let message = self.object("message")?;
        let text = match message.raw("content")? {
            raw if raw.starts_with('"') => serde_json::from_str(raw).ok()?,
            _ => texts(&message.blocks()).concat(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// The prompt as it was typed, where this is the record of one.
    pub fn prompt_text(&self) -> Option<String> {
        let kind = self.kind();
        if self.text("type").as_deref() != Some("user") || kind == Kind::Interrupted {
            return None;
        }
        let text = self.object("message")?.own_text()?;
        match command_line(&text) {
            Some(line) => Some(line),
            None => (kind == Kind::Prompt).then_some(text),
        }
    }

    /// The prompt that waits for the end of the turn, where this is the record of one.
    pub fn queued_text(&self) -> Option<String> {
        match self.text("type")?.as_str() {
            "queue-operation" => self.text("content"),
            "attachment" => {
                let attachment = self.object("attachment")?;
                let is_queued = attachment.text("type").as_deref() == Some("queued_command");
                attachment.text("prompt").filter(|_| is_queued)
            }
            _ => None,
        }
    }
}

/// The command line of a record of a command: `/greet you`.
fn command_line(text: &str) -> Option<String> {
    let name = between(text, "<command-name>", "</command-name>")?;
    let start = text.trim_start();
    if !start.starts_with("<command-") {
        return None;
    }
    let arguments = between(text, "<command-args>", "</command-args>").unwrap_or_default();
    let slash = if name.starts_with('/') { "" } else { "/" };
    Some(format!("{slash}{name} {arguments}").trim_end().to_owned())
}

fn between<'t>(text: &'t str, opening: &str, closing: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(opening)?;
    rest.split_once(closing).map(|(inside, _)| inside)
}

fn texts(blocks: &[Block<'_>]) -> Vec<String> {
    let texts = blocks.iter().filter(|block| block.kind == "text");
    texts
        .filter_map(|block| Record::parse(block.raw)?.text("text"))
        .filter(|text| !text.is_empty())
        .collect()
}

impl<'de> Deserialize<'de> for Record<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Record<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::with_capacity(24);
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push((key, value.get()));
                }
                Ok(Record { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
