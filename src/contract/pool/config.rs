//! The configuration of a pool: what `config` answers and changes, and what `config.json` in the pool's directory holds.

use super::error::PoolError;
use super::fields::{integer, kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How many slots are kept fresh when nothing is said.
pub const DEFAULT_KEEP_FRESH: u32 = 1;

/// A pool's configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Arguments for every claude of the pool, split as a shell splits them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// How many slots, from 1 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u32>,
    /// The directory in which the pool's claudes run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// How many slots are kept fresh (1); 0 keeps none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_fresh: Option<u32>,
    /// Keys that others put there, as they are.
    #[serde(flatten)]
    #[cfg_attr(test, schemars(with = "Map<String, Value>"))]
    pub other: Map<String, Value>,
}

impl Config {
    /// Reads the text of a `config.json`. An empty one says nothing. The error names what is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, PoolError> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_slice(text).map_err(PoolError::bad_json)?;
        match value {
            Value::Object(object) => Self::default().changed(&object),
            other => Err(PoolError::bad_json(format!(
                "a configuration is an object, not {}",
                kind(&other)
            ))),
        }
    }

    /// The text for `config.json`.
    #[must_use]
    pub fn text(&self) -> String {
        let value = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{value}\n")
    }

    /// This configuration with the keys of `set` taken over; null deletes a key. Nothing is taken when one is wrong.
    pub fn changed(&self, set: &Map<String, Value>) -> Result<Self, PoolError> {
        let mut next = self.clone();
        for (key, value) in set {
            match key.as_str() {
                "flags" => next.flags = text(key, value)?,
                "dir" => next.dir = text(key, value)?,
                "keepFresh" => next.keep_fresh = count(key, value)?,
                "size" => next.size = count(key, value)?,
                _ if value.is_null() => {
                    next.other.remove(key);
                }
                _ => {
                    next.other.insert(key.clone(), value.clone());
                }
            }
        }
        match next.size {
            Some(0) => Err(PoolError::bad_size()),
            _ => Ok(next),
        }
    }

    /// How many slots are kept fresh.
    #[must_use]
    pub fn fresh_wanted(&self) -> u32 {
        self.keep_fresh.unwrap_or(DEFAULT_KEEP_FRESH)
    }
}

fn text(key: &str, value: &Value) -> Result<Option<String>, PoolError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        other => Err(PoolError::wrong_field(key, "a string", &kind(other))),
    }
}

fn count(key: &str, value: &Value) -> Result<Option<u32>, PoolError> {
    if value.is_null() {
        return Ok(None);
    }
    let Some(number) = integer(value) else {
        return Err(PoolError::wrong_field(key, "an integer", &kind(value)));
    };
    match u32::try_from(number) {
        Ok(number) => Ok(Some(number)),
        Err(_) if key == "size" && number < 0 => Err(PoolError::bad_size()),
        Err(_) => {
            let expected = "an integer that is not negative";
            Err(PoolError::wrong_field(key, expected, &kind(value)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn changed(config: &Config, set: &Value) -> Result<Config, String> {
        let set = set.as_object().expect("an object");
        config.changed(set).map_err(|error| error.text)
    }

    #[test]
    fn keys_are_taken_over_checked_and_deleted() {
        let set = json!({"size": 3, "flags": "--model x", "mine": {"a": 1}, "keepFresh": 0});
        let config = changed(&Config::default(), &set).expect("is right");
        assert_eq!((config.size, config.fresh_wanted()), (Some(3), 0));
        assert_eq!(config.other["mine"], json!({"a": 1}));
        let config = changed(&config, &json!({"mine": null, "keepFresh": null})).expect("right");
        assert_eq!(config.fresh_wanted(), DEFAULT_KEEP_FRESH);
        assert!(config.other.is_empty());
        assert_eq!(Config::parse(config.text().as_bytes()), Ok(config));
    }

    #[test]
    fn a_wrong_key_is_named_and_nothing_is_taken() {
        let rows = [
            (json!({"size": 0}), "pool size must be positive"),
            (json!({"size": -1}), "pool size must be positive"),
            (json!({"size": "3"}), "field `size` must be an integer"),
            (json!({"size": 1.5}), "field `size` must be an integer"),
            (json!({"flags": 1}), "field `flags` must be a string"),
            (json!({"dir": []}), "field `dir` must be a string"),
            (json!({"keepFresh": -1}), "field `keepFresh` must be"),
        ];
        for (set, expected) in rows {
            let error = changed(&Config::default(), &set).expect_err("is wrong");
            assert!(error.starts_with(expected), "{set}: {error}");
        }
    }
}
