//! The text of a `.claude.json`, taken apart in one pass and put together again. Values are never interpreted: each is
//! a slice of the text it came from, so that what is not changed is written back byte for byte.

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// The one key whose value is taken apart further.
pub(super) const PROJECTS: &str = "projects";

/// About how long a project's field is, to make room beforehand.
const BYTES_OF_A_FIELD: usize = 128;

/// A key and its value, as they stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    /// The key with its quotes and escapes.
    pub raw_key: &'a str,
    /// The value.
    pub value: &'a str,
}

impl<'a> Field<'a> {
    /// The key without quotes and escapes.
    pub fn key(self) -> Cow<'a, str> {
        unquoted(self.raw_key)
    }
}

/// A key without quotes and escapes. One that no text can hold (half of a surrogate pair) stays as it is written.
pub(super) fn unquoted(raw_key: &str) -> Cow<'_, str> {
    let end = raw_key.len().saturating_sub(1);
    let inner = raw_key.get(1..end).unwrap_or(raw_key);
    if !inner.as_bytes().contains(&b'\\') {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str::<String>(raw_key).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// One entry of `projects`.
#[derive(Clone, Debug)]
pub(super) struct Project<'a> {
    /// The path with its quotes and escapes.
    pub raw_path: &'a str,
    /// Where its fields are in [`Document::project_fields`].
    pub fields: Range<usize>,
}

/// A text taken apart.
#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    /// The top-level fields in order, `projects` too where it could not be taken apart.
    pub fields: Vec<Field<'a>>,
    /// Before which top-level field `projects` stood, where it was taken apart.
    pub projects_at: Option<usize>,
    /// The entries of `projects` in order.
    pub projects: Vec<Project<'a>>,
    /// The fields of all projects, one after the other.
    pub project_fields: Vec<Field<'a>>,
    /// Whether the text has its entries on lines of their own.
    pub lines: bool,
}

impl<'a> Document<'a> {
    /// Takes a text apart; none when it is not one whole JSON object. A `projects` of an unknown shape is one opaque
    /// value.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut document = Self::parse_as(text, true).or_else(|| Self::parse_as(text, false))?;
        document.lines = text.trim_end().contains('\n');
        Some(document)
    }

    fn parse_as(text: &'a str, open_projects: bool) -> Option<Self> {
        let mut document = Self::default();
        if open_projects {
            // In a file of megabytes most is projects; one growth too few or many does not matter.
            document
                .project_fields
                .reserve(text.len() / BYTES_OF_A_FIELD);
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let top = Top {
            document: &mut document,
            open_projects,
        };
        top.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(document)
    }

    /// The value of a top-level key; of a key that is there twice the last, as in JavaScript.
    pub fn value(&self, key: &str) -> Option<&'a str> {
        let field = self.fields.iter().rev().find(|f| f.key() == key)?;
        Some(field.value)
    }

    /// The fields of one project.
    pub fn fields_of(&self, project: &Project<'a>) -> &[Field<'a>] {
        &self.project_fields[project.fields.clone()]
    }
}

struct Top<'d, 'a> {
    document: &'d mut Document<'a>,
    open_projects: bool,
}

impl<'a> DeserializeSeed<'a> for Top<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Top<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(raw_key) = map.next_key::<&RawValue>()?.map(RawValue::get) {
            if self.open_projects && unquoted(raw_key) == PROJECTS {
                if self.document.projects_at.is_some() {
                    return Err(A::Error::custom("projects is there twice"));
                }
                self.document.projects_at = Some(self.document.fields.len());
                map.next_value_seed(Projects(self.document))?;
            } else {
                let value = map.next_value::<&RawValue>()?.get();
                self.document.fields.push(Field { raw_key, value });
            }
        }
        Ok(())
    }
}

struct Projects<'d, 'a>(&'d mut Document<'a>);

impl<'a> DeserializeSeed<'a> for Projects<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Projects<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of projects")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(raw_path) = map.next_key::<&RawValue>()?.map(RawValue::get) {
            let start = self.0.project_fields.len();
            map.next_value_seed(Fields(&mut self.0.project_fields))?;
            let fields = start..self.0.project_fields.len();
            self.0.projects.push(Project { raw_path, fields });
        }
        Ok(())
    }
}

struct Fields<'d, 'a>(&'d mut Vec<Field<'a>>);

impl<'a> DeserializeSeed<'a> for Fields<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Fields<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of a project's fields")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(raw_key) = map.next_key::<&RawValue>()?.map(RawValue::get) {
            let value = map.next_value::<&RawValue>()?.get();
            self.0.push(Field { raw_key, value });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_apart_without_touching_its_values() {
        let text = "{\n  \"a\": 1.50,\n  \"projects\": {\"/p\": {\"k\\u0065y\": [ 1 ], \"x\": \"\\ud800\"}},\n \"b\" : {\"c\":null} }\n";
        let document = Document::parse(text).expect("parses");
        assert_eq!(document.value("a"), Some("1.50"));
        assert_eq!(document.value("b"), Some("{\"c\":null}"));
        assert_eq!(document.projects_at, Some(1));
        let fields = document.fields_of(&document.projects[0]);
        assert_eq!(fields[0].key(), "key");
        assert_eq!(fields[0].raw_key, "\"k\\u0065y\"");
        assert_eq!(fields[1].value, "\"\\ud800\"");
        assert!(document.lines);
    }

    #[test]
    fn a_strange_projects_is_one_value_and_half_a_text_is_none() {
        for value in ["null", "[]", "7", "{\"/p\":3}"] {
            let text = format!("{{\"projects\":{value},\"a\":1}}");
            let document = Document::parse(&text).expect("parses");
            assert_eq!(document.projects_at, None, "{value}");
            assert_eq!(document.value("projects"), Some(value));
        }
        for bad in [
            "",
            "null",
            "[]",
            "{",
            "{\"a\":1",
            "{\"a\":1}{",
            "{\"a\":}",
            "{a:1}",
            "\u{0}",
        ] {
            assert!(Document::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Document::parse("\u{feff}{}").is_some());
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(Document::parse(&deep).is_some());
    }
}
