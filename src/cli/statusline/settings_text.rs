//! A JSON object as text, changed in one member and in nothing else: order, white space and everything unknown stay as
//! the person wrote them.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::ops::Range;

/// Where the members of an object are in its text.
#[derive(Debug)]
pub(super) struct Members<'a> {
    text: &'a str,
    /// Names, and where their values are.
    members: Vec<(String, Range<usize>)>,
}

struct Ordered<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Ordered<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Ordered<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl<'a> Members<'a> {
    /// Reads an object; none when the text is not exactly one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let Ordered(members) = serde_json::from_str(text).ok()?;
        let range = |value: &RawValue| {
            let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
            start..start + value.get().len()
        };
        let members = members.into_iter().map(|(n, v)| (n, range(v))).collect();
        Some(Self { text, members })
    }

    /// The value of a member as it is written; none when there is none.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let (_, range) = self.members.iter().rfind(|(n, _)| n == name)?;
        Some(&self.text[range.clone()])
    }

    /// Whether a name occurs more than once, so that no two readers need agree on what it means.
    pub fn is_ambiguous(&self, name: &str) -> bool {
        self.members.iter().filter(|(n, _)| n == name).count() > 1
    }

    /// The text with this member set: in its place, or after the last one.
    pub fn with(&self, name: &str, value: &str) -> String {
        let (at, new) = match self.members.iter().rfind(|(n, _)| n == name) {
            Some((_, range)) => (range.clone(), value.to_owned()),
            None => {
                let name = serde_json::Value::from(name);
                let after = self.members.last().map(|(_, range)| range.end);
                match after {
                    Some(end) => (end..end, format!(",\n  {name}: {value}")),
                    None => (self.inside(), format!("\n  {name}: {value}\n")),
                }
            }
        };
        self.replaced(at, &new)
    }

    /// The text without this member.
    pub fn without(&self, name: &str) -> String {
        let Some(index) = self.members.iter().rposition(|(n, _)| n == name) else {
            return self.text.to_owned();
        };
        let end = self.members[index].1.end;
        if index > 0 {
            return self.replaced(self.members[index - 1].1.end..end, "");
        }
        if self.members.len() == 1 {
            return self.replaced(self.inside(), "");
        }
        let rest = &self.text[end..];
        let comma = rest.find(',').map_or(end, |comma| end + comma + 1);
        self.replaced(self.inside().start..comma, "")
    }

    /// Between the braces.
    fn inside(&self) -> Range<usize> {
        let start = self.text.find('{').map_or(0, |at| at + 1);
        start..self.text.rfind('}').unwrap_or(start)
    }

    fn replaced(&self, at: Range<usize>, new: &str) -> String {
        let mut text = self.text.to_owned();
        text.replace_range(at, new);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_member_changes_and_nothing_else() {
        let rows = [
            ("{}", "{\n  \"x\": 1\n}", "{}"),
            ("{ }\n", "{\n  \"x\": 1\n}\n", "{}\n"),
            (
                "{\"b\": {\"x\":[1, 2]},\n \"a\":1}\n",
                "{\"b\": {\"x\":[1, 2]},\n \"a\":1,\n  \"x\": 1}\n",
                "{\"b\": {\"x\":[1, 2]},\n \"a\":1}\n",
            ),
            (
                "{\"x\" :0, \"a\": 2}",
                "{\"x\" :1, \"a\": 2}",
                "{ \"a\": 2}",
            ),
            (
                "{\"a\": 2 ,\"x\":\"}\" }",
                "{\"a\": 2 ,\"x\":1 }",
                "{\"a\": 2 }",
            ),
        ];
        for (text, with, without) in rows {
            let set = Members::parse(text).expect("an object").with("x", "1");
            assert_eq!(set, with, "{text}");
            let back = Members::parse(&set).expect("an object");
            assert_eq!(back.get("x"), Some("1"));
            assert_eq!(back.without("x"), without, "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "null", "{", "{} x", "{\"a\":}", "// c\n{}"] {
            assert!(Members::parse(text).is_none(), "{text}");
        }
        let twice = Members::parse("{\"x\":1,\"x\":2}").expect("an object");
        assert!(twice.is_ambiguous("x") && !twice.is_ambiguous("y"));
    }
}
