//! Fields of a JSON object, read one by one, so that a wrong one can be named.

use serde_json::{Map, Value};

/// One request's object.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

/// What is wrong with a field, as the message for whoever sent it.
pub(super) type Read<T> = Result<T, String>;

impl Fields<'_> {
    /// A text; none when it is absent or null.
    pub(super) fn text(&self, name: &str) -> Read<Option<String>> {
        self.read(name, "a text", |v| v.as_str().map(str::to_owned))
    }

    /// A whole number that is not negative; none when it is absent or null.
    pub(super) fn number(&self, name: &str) -> Read<Option<u64>> {
        self.read(name, "a whole number", Value::as_u64)
    }

    /// True or false; none when it is absent or null.
    pub(super) fn flag(&self, name: &str) -> Read<Option<bool>> {
        self.read(name, "true or false", Value::as_bool)
    }

    /// A list of numbers of accounts; none when it is absent or null.
    pub(super) fn numbers(&self, name: &str) -> Read<Option<Vec<u16>>> {
        self.read(name, "a list of account numbers", |v| {
            let number = |v: &Value| v.as_u64().and_then(|n| u16::try_from(n).ok());
            v.as_array()?.iter().map(number).collect()
        })
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        take: impl FnOnce(&Value) -> Option<T>,
    ) -> Read<Option<T>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match take(value) {
                Some(taken) => Ok(Some(taken)),
                None => Err(format!("`{name}` takes {expected}, not {}", kind(value))),
            },
        }
    }
}

/// A field that has to be there.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Read<T> {
    value.ok_or_else(|| format!("`{name}` is missing"))
}

/// The kind of a value, in words.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "this number",
        Value::String(_) => "a text",
        Value::Array(_) => "this list",
        Value::Object(_) => "an object",
    }
}
