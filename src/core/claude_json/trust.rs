//! Trust in a directory: whether claude would ask about it at its start, and the text with which it does not.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::path::Path;

const TRUSTED: &str = "hasTrustDialogAccepted";
const PROJECTS: &str = "projects";
/// Answers that a start needs besides: the first-run questions, and one about old conversations that older clients ask
/// while they call themselves idle.
const ANSWERED: &[&str] = &["hasCompletedOnboarding", "resumeReturnDismissed"];

/// Whether a `.claude.json` says that `dir`, or a directory above it, is trusted; none when it is no JSON object.
#[must_use]
pub fn is_trusted(text: &str, dir: &Path) -> Option<bool> {
    let document = Object::parse(text)?;
    let projects = document.object(PROJECTS);
    let is_accepted = |dir: &Path| {
        let project = projects.object(&dir.to_string_lossy());
        project.get(TRUSTED) == Some("true")
    };
    Some(dir.ancestors().any(is_accepted))
}

/// The text with trust in `dir` and the other answers that a start without questions needs; the same text where they are
/// there already. None when it is no JSON object.
#[must_use]
pub fn with_trust<'t>(text: &'t str, dir: &Path) -> Option<Cow<'t, str>> {
    let mut document = Object::parse(text)?;
    let is_answered = ANSWERED.iter().all(|key| document.get(key) == Some("true"));
    if is_answered && is_trusted(text, dir)? {
        return Some(Cow::Borrowed(text));
    }
    for key in ANSWERED {
        document.set(key, "true".to_owned());
    }
    let mut projects = document.object(PROJECTS);
    let name = dir.to_string_lossy();
    let mut project = projects.object(&name);
    project.set(TRUSTED, "true".to_owned());
    projects.set(&name, project.render(3));
    document.set(PROJECTS, projects.render(2));
    Some(Cow::Owned(document.render(1) + "\n"))
}

/// An object with its fields in order; a value is the text it was.
#[derive(Default)]
struct Object(Vec<(String, String)>);

impl Object {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let fields: Fields<'_> = serde_json::from_str(text).ok()?;
        let own = fields
            .0
            .into_iter()
            .map(|(key, value)| (key, value.get().to_owned()));
        Some(Self(own.collect()))
    }

    /// Of a key that is there twice the last counts, as in JavaScript.
    fn get(&self, key: &str) -> Option<&str> {
        let field = self.0.iter().rev().find(|(name, _)| name == key)?;
        Some(&field.1)
    }

    /// The object under a key; an empty one where there is none.
    fn object(&self, key: &str) -> Self {
        self.get(key).and_then(Self::parse).unwrap_or_default()
    }

    fn set(&mut self, key: &str, value: String) {
        match self.0.iter_mut().rev().find(|(name, _)| name == key) {
            Some(field) => field.1 = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Its text, each field on a line of its own, as claude writes it.
    fn render(&self, depth: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let indent = "  ".repeat(depth);
        let line = |(key, value): &(String, String)| {
            format!("{indent}{}: {value}", serde_json::Value::from(key.as_str()))
        };
        let lines: Vec<String> = self.0.iter().map(line).collect();
        format!("{{\n{}\n{}}}", lines.join(",\n"), "  ".repeat(depth - 1))
    }
}

/// The fields of an object, as they stand in the text.
struct Fields<'t>(Vec<(String, &'t RawValue)>);

impl<'de> serde::Deserialize<'de> for Fields<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> serde::de::Visitor<'de> for Reader {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: serde::de::MapAccess<'de>>(
                self,
                mut map: M,
            ) -> Result<Self::Value, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_holds_for_what_is_below() {
        let text = r#"{"projects":{"/srv/a":{"hasTrustDialogAccepted":true},"/srv/b":{"hasTrustDialogAccepted":false},"/c":1}}"#;
        for (dir, expected) in [
            ("/srv/a", true),
            ("/srv/a/deep/er", true),
            ("/srv", false),
            ("/srv/ab", false),
            ("/srv/b", false),
            ("/c", false),
        ] {
            assert_eq!(is_trusted(text, Path::new(dir)), Some(expected), "{dir}");
        }
        assert_eq!(is_trusted("{}", Path::new("/")), Some(false));
        assert_eq!(
            is_trusted(r#"{"projects":[]}"#, Path::new("/")),
            Some(false)
        );
        for torn in ["", "{", "[]", "null"] {
            assert_eq!(is_trusted(torn, Path::new("/")), None, "{torn}");
            assert_eq!(with_trust(torn, Path::new("/")), None, "{torn}");
        }
    }

    #[test]
    fn only_the_answers_are_added_and_nothing_is_written_twice() {
        let text = r#"{"numStartups":1e2,"unknown":{"b": 1,"a":[ 2]},"projects":{"/x":{"lastCost":0.10}},"hasCompletedOnboarding":false}"#;
        let dir = Path::new("/srv/\"odd\" dir");
        let once = with_trust(text, dir).expect("an object").into_owned();
        let expected = r#"{
  "numStartups": 1e2,
  "unknown": {"b": 1,"a":[ 2]},
  "projects": {
    "/x": {"lastCost":0.10},
    "/srv/\"odd\" dir": {
      "hasTrustDialogAccepted": true
    }
  },
  "hasCompletedOnboarding": true,
  "resumeReturnDismissed": true
}
"#;
        assert_eq!(once, expected);
        assert_eq!(is_trusted(&once, &dir.join("below")), Some(true));
        let twice = with_trust(&once, dir).expect("an object");
        assert!(matches!(twice, Cow::Borrowed(text) if text == once));
        let fresh = with_trust("{}", dir).expect("an object");
        assert_eq!(is_trusted(&fresh, dir), Some(true));
    }
}
