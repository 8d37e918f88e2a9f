//! Fields of a JSON object, read one by one, so that a wrong one can be named.

use super::error::PoolError;
use serde_json::{Map, Value};

/// One request's object.
pub(super) struct Fields<'a>(pub(super) &'a Map<String, Value>);

/// A field, or the error for whoever sent it.
pub(super) type Read<T> = Result<T, PoolError>;

impl Fields<'_> {
    /// A string; none when it is absent or null.
    pub(super) fn text(&self, name: &str) -> Read<Option<String>> {
        self.read(name, "a string", |v| v.as_str().map(str::to_owned))
    }

    /// A string of which an empty one says nothing; none when it is absent, null or empty.
    pub(super) fn filled(&self, name: &str) -> Read<Option<String>> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    /// The first of two names that is there: the second is another spelling.
    pub(super) fn filled_or(&self, name: &str, alias: &str) -> Read<Option<String>> {
        match self.filled(name)? {
            Some(text) => Ok(Some(text)),
            None => self.filled(alias),
        }
    }

    /// A string that has to be there and say something.
    pub(super) fn required(&self, name: &str) -> Read<String> {
        required(name, self.filled(name)?)
    }

    /// A whole number; none when it is absent or null.
    pub(super) fn integer(&self, name: &str) -> Read<Option<i64>> {
        self.read(name, "an integer", integer)
    }

    /// A whole number in the range of `T`, which is not negative; none when it is absent or null.
    pub(super) fn count<T: TryFrom<i64>>(&self, name: &str) -> Read<Option<T>> {
        self.read(name, "an integer that is not negative", |v| {
            T::try_from(integer(v)?).ok()
        })
    }

    /// True or false; none when it is absent or null.
    pub(super) fn flag(&self, name: &str) -> Read<Option<bool>> {
        self.read(name, "a boolean", Value::as_bool)
    }

    /// An object; none when it is absent or null.
    pub(super) fn object(&self, name: &str) -> Read<Option<Map<String, Value>>> {
        self.read(name, "an object", |v| v.as_object().cloned())
    }

    /// A list of strings; none when it is absent, null or empty: an empty filter is no filter.
    pub(super) fn texts(&self, name: &str) -> Read<Option<Vec<String>>> {
        let texts = self.read(name, "an array of strings", |v| {
            let text = |v: &Value| v.as_str().map(str::to_owned);
            v.as_array()?.iter().map(text).collect()
        })?;
        Ok(texts.filter(|texts: &Vec<String>| !texts.is_empty()))
    }

    /// One word of a few; none when it is absent or null.
    pub(super) fn word<T>(
        &self,
        name: &str,
        words: &str,
        of: impl Fn(&str) -> Option<T>,
    ) -> Read<Option<T>> {
        let expected = one_of(words);
        self.read(name, &expected, |v| of(v.as_str()?))
    }

    /// A list of words of a few; none when it is absent, null or empty.
    pub(super) fn words<T>(
        &self,
        name: &str,
        words: &str,
        of: impl Fn(&str) -> Option<T>,
    ) -> Read<Option<Vec<T>>> {
        let expected = format!("an array of strings, each {}", one_of(words));
        let words = self.read(name, &expected, |v| {
            v.as_array()?.iter().map(|v| of(v.as_str()?)).collect()
        })?;
        Ok(words.filter(|words: &Vec<T>| !words.is_empty()))
    }

    /// A field of any kind that `take` understands; none when it is absent or null.
    pub(super) fn read<T>(
        &self,
        name: &str,
        expected: &str,
        take: impl FnOnce(&Value) -> Option<T>,
    ) -> Read<Option<T>> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match take(value) {
                Some(taken) => Ok(Some(taken)),
                None => Err(PoolError::wrong_field(name, expected, &kind(value))),
            },
        }
    }
}

/// A field that has to be there.
pub(super) fn required<T>(name: &str, value: Option<T>) -> Read<T> {
    value.ok_or_else(|| PoolError::missing_field(name))
}

/// A whole number, also one that was written with a fraction of zero: not every language keeps them apart.
pub(super) fn integer(value: &Value) -> Option<i64> {
    /// Below this every whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = |n: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "it has no fraction and is in range"
        )]
        (n.fract() == 0.0 && n.abs() < EXACT).then_some(n as i64)
    };
    value
        .as_i64()
        .or_else(|| value.as_f64().filter(|_| !value.is_u64()).and_then(float))
}

/// The kind of a value, in words; a short one is shown.
pub(super) fn kind(value: &Value) -> String {
    /// Longer strings are not repeated.
    const SHOWN: usize = 40;
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) => format!("{number}"),
        Value::String(text) if text.len() <= SHOWN => format!("the string {value}"),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

fn one_of(words: &str) -> String {
    let words = words.trim_start_matches('|').replace('|', ", ");
    format!("one of {words}")
}
