//! What a client gets of a transcript: so many turns from the end, in so much detail, as JSONL.

use super::record::{Kind, Record};

/// Fields of a record that are bookkeeping: left out of every detail but `raw`.
const RECORD_FIELDS: &[&str] = &[
    "parentUuid",
    "isSidechain",
    "version",
    "gitBranch",
    "requestId",
    "uuid",
    "timestamp",
    "cwd",
    "sessionId",
    "userType",
    "entrypoint",
    "permissionMode",
    "promptId",
];
/// The same of a record's message.
const MESSAGE_FIELDS: &[&str] = &["model", "id", "usage", "stop_reason", "stop_sequence"];

/// How much of a turn is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The prompt and the last thing the assistant said.
    Last,
    /// The prompt and all the assistant said, without its tool calls.
    Assistant,
    /// Everything of the user and of the assistant, tools and their results included.
    Tools,
    /// The lines as they are, all of them.
    Raw,
}

/// What is wanted of a transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Turns from the end; 0 for all.
    pub turns: usize,
    /// How much of each.
    pub detail: Detail,
}

/// So many bytes of an answer are kept while it is looked for; of what comes before, only where it stands.
const MOST_KEPT: usize = 1024 * 1024;

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// As it is handed over.
    Text(String),
    /// It is to be read again: [`shown`] makes of it what is handed over.
    Line {
        /// Where it begins in the file.
        at: u64,
        /// How long it is.
        bytes: usize,
    },
}

/// What is handed over of a line that was found to be wanted.
#[must_use]
pub fn shown(detail: Detail, line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    let record = Record::parse(&text)?;
    Some(shown_of(detail, &text, &record))
}

fn shown_of(detail: Detail, line: &str, record: &Record<'_>) -> String {
    match detail {
        Detail::Raw => line.trim_end_matches(['\n', '\r']).to_owned(),
        detail => {
            let drops_tools = detail == Detail::Assistant && record.kind() == Kind::Assistant;
            stripped(record, drops_tools)
        }
    }
}

/// Takes a transcript's lines from the last to the first, and keeps what is wanted.
#[derive(Debug)]
pub struct Capture {
    wanted: Wanted,
    /// Last line first.
    kept: Vec<Part>,
    /// Of the text that is kept.
    bytes: usize,
    /// Records of the turn whose prompt is still to come, counted in `kept`.
    open: usize,
    turns: usize,
    has_said: bool,
    enough: bool,
}

impl Capture {
    /// Nothing taken yet.
    #[must_use]
    pub fn new(wanted: Wanted) -> Self {
        Self {
            wanted,
            kept: Vec::new(),
            bytes: 0,
            open: 0,
            turns: 0,
            has_said: false,
            enough: false,
        }
    }

    /// Takes the line before the one taken last, and where in the file it begins. False when no further one is needed.
    pub fn take(&mut self, at: u64, line: &[u8]) -> bool {
        if self.enough {
            return false;
        }
        let text = String::from_utf8_lossy(line);
        if let Some(record) = Record::parse(&text) {
            let bytes = line.len();
            self.take_record(&text, &record, Part::Line { at, bytes });
        }
        !self.enough
    }

    /// The answer: the lines in their order.
    #[must_use]
    pub fn finish(mut self) -> Vec<Part> {
        // What stands before the first prompt belongs to no turn.
        let kept = self.kept.len() - self.open;
        self.kept.truncate(kept);
        self.kept.reverse();
        self.kept
    }

    fn take_record(&mut self, line: &str, record: &Record<'_>, place: Part) {
        let kind = record.kind();
        match kind {
            Kind::Clear => self.enough = true,
            Kind::Prompt => {
                self.keep(line, record, place);
                self.open = 0;
                self.has_said = false;
                self.turns += 1;
                self.enough = self.turns == self.wanted.turns;
            }
            _ => {
                if self.is_wanted(kind, record) {
                    self.keep(line, record, place);
                    self.open += 1;
                }
            }
        }
    }

    fn is_wanted(&mut self, kind: Kind, record: &Record<'_>) -> bool {
        let is_of_turn = matches!(kind, Kind::User | Kind::Interrupted | Kind::Assistant);
        let says = || {
            kind == Kind::Assistant
                && !record.flag("isSidechain")
                && record.assistant_text().is_some()
        };
        match self.wanted.detail {
            Detail::Raw => true,
            Detail::Tools => is_of_turn,
            Detail::Assistant => says(),
            Detail::Last => {
                let is_last = !self.has_said && says();
                self.has_said |= is_last;
                is_last
            }
        }
    }

    fn keep(&mut self, line: &str, record: &Record<'_>, place: Part) {
        if self.bytes > MOST_KEPT {
            return self.kept.push(place);
        }
        let text = shown_of(self.wanted.detail, line, record);
        self.bytes += text.len() + 1;
        self.kept.push(Part::Text(text));
    }
}

fn stripped(record: &Record<'_>, drops_tools: bool) -> String {
    object(record, RECORD_FIELDS, |key, raw| {
        if key != "message" {
            return None;
        }
        let message = Record::parse(raw)?;
        Some(object(&message, MESSAGE_FIELDS, |key, raw| {
            (drops_tools && key == "content" && raw.starts_with('[')).then(|| said(&message))
        }))
    })
}

/// The content without its tool calls.
fn said(message: &Record<'_>) -> String {
    let blocks = message.blocks();
    let kept = blocks.iter().filter(|block| block.kind != "tool_use");
    let kept: Vec<&str> = kept.map(|block| block.raw).collect();
    format!("[{}]", kept.join(","))
}

/// An object without some of its fields, and with others replaced.
fn object(
    record: &Record<'_>,
    without: &[&str],
    replaced: impl Fn(&str, &str) -> Option<String>,
) -> String {
    let mut out = String::from("{");
    for (key, raw) in record.fields() {
        if without.contains(&key) {
            continue;
        }
        if out.len() > 1 {
            out.push(',');
        }
        let quoted = serde_json::Value::from(key).to_string();
        out.push_str(&quoted);
        out.push(':');
        match replaced(key, raw) {
            Some(text) => out.push_str(&text),
            None => out.push_str(raw),
        }
    }
    out.push('}');
    out
}
