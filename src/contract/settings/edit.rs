//! Setting one key in an existing `config.toml`, everything else kept byte for byte: comments, order, blanks.

use super::check;
use super::check::{SettingsError, nearest};
use super::keys::{self, KEYS, Kind};
use super::pools::POOL_KEYS;
use std::fmt;
use toml::de::{DeTable, DeValue};

/// Why a key could not be set. The text is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditError {
    /// There is no such key.
    UnknownKey {
        /// The key as it was asked for.
        path: String,
        /// The nearest one that exists.
        near: Option<String>,
    },
    /// The value is not one that the key takes: which it takes.
    Value(String),
    /// The file was wrong before.
    File(SettingsError),
    /// The table is written in a way that cannot be extended in place.
    NoPlace {
        /// The key.
        path: String,
    },
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKey { path, near: None } => write!(f, "unknown key {path}"),
            Self::UnknownKey {
                path,
                near: Some(near),
            } => write!(f, "unknown key {path}: did you mean {near}?"),
            Self::Value(problem) => f.write_str(problem),
            Self::File(error) => error.fmt(f),
            Self::NoPlace { path } => {
                write!(f, "cannot add {path} to the file: write it there by hand")
            }
        }
    }
}

impl std::error::Error for EditError {}

/// Sets the key `path` (`table.name`) and returns the new text. `value` is as people type it: a word or a path bare or
/// quoted, a list with commas or as TOML.
pub fn set(text: &str, path: &str, value: &str) -> Result<String, EditError> {
    let key = path
        .split_once('.')
        .and_then(|(table, name)| keys::find(table, name))
        .ok_or_else(|| match is_of_a_pool(path) {
            true => EditError::NoPlace {
                path: path.to_owned(),
            },
            false => unknown(path),
        })?;
    if let Some(error) = check::parse(text).err().and_then(first) {
        return Err(EditError::File(error));
    }
    let written = write_value(key.kind, value);
    // The value is checked on its own first, so that a problem names the value and not some line of the file.
    let alone = format!("[{}]\n{} = {written}\n", key.table, key.name);
    if let Some(error) = check::parse(&alone).err().and_then(first) {
        return Err(EditError::Value(error.problem));
    }
    let no_place = || EditError::NoPlace {
        path: path.to_owned(),
    };
    let edited = splice(text, key.table, key.name, &written).ok_or_else(no_place)?;
    // What the text says afterwards must be what it said before, and the new value.
    let mut expected = check::parse(text).map_err(|_| no_place())?;
    let document = DeTable::parse(&alone).map_err(|_| no_place())?;
    check::apply(&alone, &document, &mut expected);
    match check::parse(&edited) {
        Ok(found) if found == expected => Ok(edited),
        _ => Err(no_place()),
    }
}

fn first(errors: Vec<SettingsError>) -> Option<SettingsError> {
    errors.into_iter().next()
}

/// Whether it is a key of a `[pool.NAME]`.
fn is_of_a_pool(path: &str) -> bool {
    let of = path
        .strip_prefix("pool.")
        .and_then(|path| path.rsplit_once('.'));
    of.is_some_and(|(_, name)| POOL_KEYS.iter().any(|key| key.name == name))
}

fn unknown(path: &str) -> EditError {
    let paths: Vec<String> = KEYS.iter().map(keys::Key::path).collect();
    let near = nearest(path, paths.iter().map(String::as_str))
        .map(str::to_owned)
        .or_else(|| KEYS.iter().find(|k| k.name == path).map(keys::Key::path));
    EditError::UnknownKey {
        path: path.to_owned(),
        near,
    }
}

/// The value in TOML. What is TOML of the right shape already is taken as it is.
fn write_value(kind: Kind, value: &str) -> String {
    let value = value.trim();
    match kind {
        Kind::Word(_) | Kind::Directory | Kind::Text if value.starts_with(['"', '\'']) => {
            value.to_owned()
        }
        Kind::Word(_) | Kind::Directory | Kind::Text => quote(value),
        // Anything that is neither is quoted, so that it is refused as a value and not as a line of the file.
        Kind::Flag if matches!(value, "true" | "false") => value.to_owned(),
        Kind::Count(_) if value.parse::<i64>().is_ok() => value.to_owned(),
        Kind::Flag | Kind::Count(_) => quote(value),
        Kind::Words(..) | Kind::Names if value.starts_with('[') => value.to_owned(),
        Kind::Words(..) | Kind::Names => {
            // A name may have blanks, a word has none.
            let between: &[char] = match kind {
                Kind::Names => &[','],
                _ => &[',', ' '],
            };
            let words = value
                .split(between)
                .map(|w| w.trim().trim_matches('"'))
                .filter(|w| !w.is_empty());
            let words: Vec<String> = words.map(quote).collect();
            format!("[{}]", words.join(", "))
        }
    }
}

/// A basic string of TOML; control characters as it wants them.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Replaces the value where the key stands; else adds the key behind its commented default, or below the header of its
/// table, or at the end with a header of its own.
fn splice(text: &str, table: &str, name: &str, written: &str) -> Option<String> {
    let document = DeTable::parse(text).ok()?;
    let content = document
        .get_ref()
        .iter()
        .find(|(k, _)| k.get_ref() == table);
    if let Some((_, content)) = content {
        let DeValue::Table(entries) = content.get_ref() else {
            return None;
        };
        if let Some((_, value)) = entries.iter().find(|(k, _)| k.get_ref() == name) {
            let span = value.span();
            return Some(format!(
                "{}{written}{}",
                &text[..span.start],
                &text[span.end..]
            ));
        }
    }
    let line = format!("{name} = {written}\n");
    if let Some(at) = place_below_header(text, table, name) {
        let before = &text[..at];
        let newline = if before.ends_with('\n') { "" } else { "\n" };
        return Some(format!("{before}{newline}{line}{}", &text[at..]));
    }
    // Where the table cannot be written a second time, the text is none afterwards.
    let newline = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let gap = if text.is_empty() { "" } else { "\n" };
    Some(format!("{text}{newline}{gap}[{table}]\n{line}"))
}

/// The byte offset of the line behind `# name =` in the section of `[table]`, else behind the header itself.
fn place_below_header(text: &str, table: &str, name: &str) -> Option<usize> {
    let mut place = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        offset += line.len();
        let bare = line.trim();
        if let Some(header) = bare.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default().trim();
            if place.is_some() {
                break;
            }
            if header == table {
                place = Some(offset);
            }
        } else if place.is_some() && is_commented_key(bare, name) {
            return Some(offset);
        }
    }
    place
}

fn is_commented_key(line: &str, name: &str) -> bool {
    line.strip_prefix('#')
        .map(str::trim_start)
        .and_then(|rest| rest.strip_prefix(name))
        .is_some_and(|rest| rest.trim_start().starts_with('='))
}
