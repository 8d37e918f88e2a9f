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

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
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

/// Where the elements of an array are in its text.
#[derive(Debug)]
pub(super) struct Elements<'a> {
    text: &'a str,
    elements: Vec<Range<usize>>,
}

impl<'a> Elements<'a> {
    /// Reads an array; none when the text is not exactly one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let values: Vec<&RawValue> = serde_json::from_str(text).ok()?;
        let range = |value: &&RawValue| {
            let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
            start..start + value.get().len()
        };
        let elements = values.iter().map(range).collect();
        Some(Self { text, elements })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.elements.len()
    }

    /// The first element that is as wanted, by its text.
    pub fn find(&self, is_wanted: impl Fn(&str) -> bool) -> Option<usize> {
        let mut elements = self.elements.iter();
        elements.position(|range| is_wanted(&self.text[range.clone()]))
    }

    /// The text with one more element, the last one.
    pub fn with(&self, value: &str) -> String {
        match self.elements.last() {
            Some(last) => self.replaced(last.end..last.end, &format!(", {value}")),
            None => format!("[{value}]"),
        }
    }

    /// The text without this element.
    pub fn without(&self, index: usize) -> String {
        let Some(element) = self.elements.get(index) else {
            return self.text.to_owned();
        };
        let cut = match (index.checked_sub(1), self.elements.get(index + 1)) {
            (Some(before), _) => self.elements[before].end..element.end,
            (None, Some(after)) => element.start..after.start,
            (None, None) => element.clone(),
        };
        self.replaced(cut, "")
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
    fn one_element_comes_and_goes_and_nothing_else() {
        for text in ["[1]", "[ {\"a\": [1, 2]} ,\n\"b]\" ]"] {
            let longer = Elements::parse(text).expect("an array").with("9");
            let elements = Elements::parse(&longer).expect("an array");
            let index = elements.find(|e| e == "9").expect("is there");
            assert_eq!(index, elements.len() - 1);
            assert_eq!(elements.without(index), text);
        }
        let three = Elements::parse("[1, 2 , 3]").expect("an array");
        assert_eq!(three.without(0), "[2 , 3]");
        assert_eq!(three.without(1), "[1 , 3]");
        assert_eq!(Elements::parse("[ ]").expect("an array").with("1"), "[1]");
        assert!(Elements::parse("{}").is_none() && Elements::parse("[1").is_none());
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
