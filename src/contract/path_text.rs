//! Paths in JSON. A path is bytes and JSON is Unicode: valid UTF-8 is written as it is, anything else as a NUL
//! (which no path holds) followed by the bytes in hexadecimal. Nothing is lost either way.

use serde::{Deserialize, Deserializer, Serializer};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The text of a path.
#[must_use]
pub fn encode(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    std::str::from_utf8(bytes).map_or_else(|_| encode_bytes(bytes), str::to_owned)
}

fn encode_bytes(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(1 + bytes.len() * 2);
    text.push('\0');
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The path of a text; none when it starts with a NUL and no even number of hexadecimal digits follows.
#[must_use]
pub fn decode(text: &str) -> Option<PathBuf> {
    let Some(hex) = text.strip_prefix('\0') else {
        return Some(PathBuf::from(OsStr::new(text)));
    };
    let digits = hex.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = digits
        .map(|pair| match pair {
            [_, _] => std::str::from_utf8(pair)
                .ok()
                .and_then(|p| u8::from_str_radix(p, 16).ok()),
            _ => None,
        })
        .collect();
    bytes.map(|b| PathBuf::from(OsString::from_vec(b)))
}

/// For `#[serde(with = "path_text")]`.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&encode(path))
}

/// For `#[serde(with = "path_text")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    decode(&text)
        .ok_or_else(|| serde::de::Error::custom("a path that is neither text nor hexadecimal"))
}

/// The same for a path that may be absent.
pub mod option {
    use super::{Deserialize, Deserializer, Path, PathBuf, Serializer, decode, encode};

    /// For `#[serde(with = "path_text::option")]`.
    pub fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match path {
            Some(path) => serializer.serialize_some(&encode(Path::new(path))),
            None => serializer.serialize_none(),
        }
    }

    /// For `#[serde(with = "path_text::option")]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|t| {
            decode(&t).ok_or_else(|| {
                serde::de::Error::custom("a path that is neither text nor hexadecimal")
            })
        })
        .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_path_comes_back_as_it_was(bytes in prop::collection::vec(1..=255u8, 0..40)) {
            let path = PathBuf::from(OsString::from_vec(bytes));
            prop_assert_eq!(decode(&encode(&path)), Some(path));
        }
    }

    #[test]
    fn broken_hexadecimal_is_no_path() {
        for text in ["\0f", "\0zz", "\0ff0"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
