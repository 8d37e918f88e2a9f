//! The documentation is held to what the code does: every example is parsed and printed back, and the schema is the one
//! that the types make.

use crate::contract::pool::{Code, Event, Message, Reply, Request};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Rewrites the schema instead of comparing it.
const REWRITE: &str = "CCP_WRITE_SCHEMA";

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(name)
}

/// The lines of every block that is marked like this.
fn examples(mark: &str) -> Vec<String> {
    let text = std::fs::read_to_string(docs("protocol.md")).expect("is readable");
    let opening = format!("```json {mark}");
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == opening;
        } else if inside {
            lines.push(line.to_owned());
        }
    }
    assert!(!lines.is_empty(), "there are blocks `{opening}`");
    lines
}

fn value(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// The names that the variants of a tagged enum have, as its schema tells them.
fn names_of<T: JsonSchema>(tag: &str) -> BTreeSet<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>();
    let variants = schema.get("oneOf").and_then(Value::as_array).cloned();
    let name = |variant: &Value| {
        let name = variant["properties"][tag]["const"].as_str();
        name.unwrap_or_else(|| panic!("{variant} has a {tag}"))
            .to_owned()
    };
    variants.expect("is an enum").iter().map(name).collect()
}

#[test]
fn every_request_of_the_documentation_is_parsed_and_printed_back() {
    let mut seen = BTreeSet::new();
    for line in examples("client") {
        let incoming =
            Request::parse(line.as_bytes()).unwrap_or_else(|r| panic!("{line}: {}", r.error));
        let printed = incoming.request.line(incoming.id.as_ref());
        assert_eq!(value(&printed), value(&line));
        seen.insert(incoming.request.name().to_owned());
    }
    assert_eq!(seen, names_of::<Request>("type"));
}

#[test]
fn every_answer_of_the_documentation_is_parsed_and_printed_back() {
    let (mut replies, mut events) = (BTreeSet::new(), BTreeSet::new());
    for line in examples("pool") {
        let given = value(&line);
        let id = given.get("id").cloned();
        let name = |field: &str| given[field].as_str().unwrap_or_default().to_owned();
        let printed = match Message::parse(line.as_bytes()) {
            Ok(Message::Reply(reply)) => {
                replies.insert(name("type"));
                reply.line(id.as_ref())
            }
            Ok(Message::Event(event)) => {
                events.insert(event.name().to_owned());
                event.line()
            }
            Ok(Message::Error(error)) => {
                assert!(!matches!(error.code, Code::Other(_)), "{line}");
                error.line(id.as_ref())
            }
            Err(error) => panic!("{line}: {error}"),
        };
        assert_eq!(value(&printed), given);
    }
    assert_eq!(replies, names_of::<Reply>("type"));
    assert_eq!(events, names_of::<Event>("event"));
}

#[test]
fn other_spellings_of_the_documentation_mean_what_stands_below_them() {
    let lines = examples("same");
    for pair in lines.chunks(2) {
        let [other, same] = pair else {
            panic!("{pair:?} is no pair")
        };
        let parsed = |line: &String| {
            Request::parse(line.as_bytes())
                .expect("is a request")
                .request
        };
        assert_eq!(parsed(other), parsed(same), "{other}");
        assert_eq!(value(&parsed(same).line(None)), value(same));
    }
}

#[test]
fn every_code_is_documented() {
    let text = std::fs::read_to_string(docs("protocol.md")).expect("is readable");
    for (_, word) in Code::all() {
        assert!(text.contains(&format!("`{word}`")), "{word}");
    }
}

fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    generator.subschema_for::<Request>();
    generator.subschema_for::<Reply>();
    generator.subschema_for::<Event>();
    let mut definitions = generator.take_definitions(true);
    let codes: Vec<&str> = Code::all().iter().map(|(_, word)| *word).collect();
    let error = json!({
        "description": "It could not be done.",
        "type": "object",
        "properties": {
            "type": {"const": "error"},
            "error": {"description": "For people.", "type": "string"},
            "code": {"description": "For programs; newer versions have more. An addition of ccp.", "type": "string", "examples": codes},
        },
        "required": ["type", "error"],
    });
    definitions.insert("Error".to_owned(), error);
    let is_event = json!({"properties": {"type": {"const": "event"}}, "required": ["type"]});
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The protocol of a session pool",
        "description": "One line is one object. A request may have `id`, any JSON value; its answer has it too.",
        "anyOf": [
            {"title": "client to pool", "$ref": "#/$defs/Request"},
            {"title": "answer", "$ref": "#/$defs/Reply"},
            {"title": "error", "$ref": "#/$defs/Error"},
            {"title": "event", "allOf": [is_event, {"$ref": "#/$defs/Event"}]},
        ],
        "$defs": definitions,
    })
}

#[test]
fn the_schema_is_the_one_that_the_types_make() {
    let path = docs("protocol.schema.json");
    let text = format!("{:#}\n", schema());
    if std::env::var_os(REWRITE).is_some() {
        let mut file = std::fs::File::create(&path).expect("can be written");
        file.write_all(text.as_bytes()).expect("can be written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == text,
        "{} is old: run this test with {REWRITE}=1",
        path.display()
    );
}
