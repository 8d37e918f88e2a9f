//! From the text of a `config.toml` to settings, or to everything that is wrong with it.

use super::Settings;
use super::keys::{self, KEYS, Kind, TABLES, Value};
use super::pools::{POOL_KEYS, check_pool};
use std::fmt;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// Line of the file, from 1.
    pub line: usize,
    /// What is wrong: names the key and what is expected.
    pub problem: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl std::error::Error for SettingsError {}

/// See [`Settings::parse`].
pub(super) fn parse(text: &str) -> Result<Settings, Vec<SettingsError>> {
    let document = DeTable::parse(text).map_err(|error| {
        vec![SettingsError {
            line: error.span().map_or(1, |s| line_of(text, s.start)),
            problem: error.message().lines().collect::<Vec<_>>().join(", "),
        }]
    })?;
    let mut settings = Settings::default();
    let errors = apply(text, &document, &mut settings);
    if errors.is_empty() {
        Ok(settings)
    } else {
        Err(errors)
    }
}

/// Puts every key of a document into `settings`. Returns what is wrong, by line.
pub(super) fn apply(
    text: &str,
    document: &Spanned<DeTable<'_>>,
    settings: &mut Settings,
) -> Vec<SettingsError> {
    let mut errors = Vec::new();
    for (table, content) in document.get_ref() {
        let line = line_of(text, table.span().start);
        let name = table.get_ref().as_ref();
        match content.get_ref() {
            _ if !is_table(name) => errors.push(SettingsError {
                line,
                problem: unknown_table(name, content.get_ref()),
            }),
            DeValue::Table(entries) => {
                check_table(name, entries, text, settings, &mut errors);
            }
            other => errors.push(SettingsError {
                line,
                problem: format!("{name} is a table, [{name}], not {}", article(other)),
            }),
        }
    }
    errors.sort_by_key(|e| e.line);
    errors
}

fn check_table(
    table: &str,
    entries: &DeTable<'_>,
    text: &str,
    settings: &mut Settings,
    errors: &mut Vec<SettingsError>,
) {
    for (name, value) in entries {
        if let ("pool", DeValue::Table(pool)) = (table, value.get_ref()) {
            check_pool(name, pool, text, &mut settings.pools, errors);
            continue;
        }
        let outcome = match keys::find(table, name.get_ref()) {
            None => Err((name.span().start, unknown_key(table, name.get_ref()))),
            Some(key) => {
                check_value(&key.path(), key.kind, value).map(|value| (key.store)(settings, value))
            }
        };
        if let Err((at, problem)) = outcome {
            errors.push(SettingsError {
                line: line_of(text, at),
                problem,
            });
        }
    }
}

/// The value, or the byte offset of what is wrong with it and what that is.
pub(super) fn check_value(
    path: &str,
    kind: Kind,
    value: &Spanned<DeValue<'_>>,
) -> Result<Value, (usize, String)> {
    let at = value.span().start;
    let expected = || format!("{path} takes {}", kind.expected());
    let wrong_type = || {
        (
            at,
            format!("{}, not {}", expected(), article(value.get_ref())),
        )
    };
    match (kind, value.get_ref()) {
        (Kind::Word(words), DeValue::String(word)) => known_word(word, words)
            .map(Value::Text)
            .map_err(|near| (at, format!("{}, not \"{word}\"{near}", expected()))),
        (Kind::Directory, DeValue::String(dir)) if is_directory(dir) => {
            Ok(Value::Text(dir.to_string()))
        }
        (Kind::Directory, DeValue::String(dir)) => {
            Err((at, format!("{}, not \"{dir}\"", expected())))
        }
        (Kind::Text, DeValue::String(text)) => Ok(Value::Text(text.to_string())),
        (Kind::Count(least), DeValue::Integer(number)) => {
            let count = u32::from_str_radix(number.as_str(), number.radix()).ok();
            count
                .filter(|count| *count >= least)
                .map(|count| Value::Text(count.to_string()))
                .ok_or_else(|| (at, format!("{}, not {number}", expected())))
        }
        (Kind::Words(words, least), DeValue::Array(items)) => {
            check_list((path, kind), at, items, least, |word| {
                known_word(word, words)
            })
        }
        (Kind::Names, DeValue::Array(items)) => {
            let is_name = |name: &str| !name.trim().is_empty() && !name.contains('\0');
            check_list((path, kind), at, items, 1, |name| {
                is_name(name)
                    .then(|| name.to_owned())
                    .ok_or_else(String::new)
            })
        }
        (Kind::Flag, DeValue::Boolean(flag)) => Ok(Value::Text(flag.to_string())),
        (
            Kind::Word(_)
            | Kind::Words(..)
            | Kind::Names
            | Kind::Directory
            | Kind::Flag
            | Kind::Text
            | Kind::Count(_),
            _,
        ) => Err(wrong_type()),
    }
}

/// A list of texts that are all as they should be, none twice, at least so many.
fn check_list(
    (path, kind): (&str, Kind),
    at: usize,
    items: &DeArray<'_>,
    least: usize,
    check: impl Fn(&str) -> Result<String, String>,
) -> Result<Value, (usize, String)> {
    let expected = || format!("{path} takes {}", kind.expected());
    let mut list: Vec<String> = Vec::new();
    for item in items.iter() {
        let at = item.span().start;
        let DeValue::String(word) = item.get_ref() else {
            let found = article(item.get_ref());
            return Err((at, format!("{}, not {found}", expected())));
        };
        let word =
            check(word).map_err(|near| (at, format!("{}, not \"{word}\"{near}", expected())))?;
        if list.contains(&word) {
            return Err((at, format!("{path} names \"{word}\" twice")));
        }
        list.push(word);
    }
    if list.len() < least {
        return Err((at, format!("{path} may not be empty")));
    }
    Ok(Value::List(list))
}

/// The word itself when it is known, else a remark that names the nearest one.
fn known_word(word: &str, words: &[&str]) -> Result<String, String> {
    if words.contains(&word) {
        return Ok(word.to_owned());
    }
    Err(nearest(word, words.iter().copied())
        .map(|n| format!(": did you mean \"{n}\"?"))
        .unwrap_or_default())
}

/// A path of somebody else's home (`~name/…`) cannot be told without asking the system, so it is none.
fn is_directory(path: &str) -> bool {
    let rooted = path.starts_with('/') || path == "~" || path.starts_with("~/");
    rooted && !path.contains('\0')
}

fn is_table(name: &str) -> bool {
    TABLES.iter().any(|(table, _)| *table == name)
}

fn unknown_key(table: &str, name: &str) -> String {
    if table == "pool" && POOL_KEYS.iter().any(|k| k.name == name) {
        return format!("unknown key pool.{name}: did you mean {name}, below [pool.default]?");
    }
    let here = KEYS.iter().filter(|k| k.table == table).map(|k| k.name);
    if let Some(near) = nearest(name, here.clone()) {
        return format!("unknown key {table}.{name}: did you mean {table}.{near}?");
    }
    if let Some(key) = KEYS.iter().find(|k| k.name == name) {
        return format!("unknown key {table}.{name}: did you mean {}?", key.path());
    }
    let known: Vec<&str> = here.collect();
    format!(
        "unknown key {table}.{name}: [{table}] has {}",
        known.join(", ")
    )
}

fn unknown_table(name: &str, content: &DeValue<'_>) -> String {
    let is_table = matches!(content, DeValue::Table(_) | DeValue::Array(_));
    if let Some(key) = KEYS.iter().find(|k| k.name == name).filter(|_| !is_table) {
        return format!(
            "unknown key {name}: did you mean {}, below [{}]?",
            key.path(),
            key.table
        );
    }
    let what = if is_table { "table" } else { "key" };
    let tables = TABLES.iter().map(|(table, _)| *table);
    if let Some(near) = nearest(name, tables.clone()) {
        return format!("unknown {what} {name}: did you mean [{near}]?");
    }
    let known: Vec<String> = tables.map(|t| format!("[{t}]")).collect();
    format!("unknown {what} {name}: there are {}", known.join(", "))
}

fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// The line, from 1, of a byte offset.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|b| **b == b'\n').count()
}

/// The word nearest to `word`, when it is near enough to be meant: a third of its letters may differ.
pub(super) fn nearest<'a>(word: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1) + 1;
    words
        .map(|w| (distance(&word.to_lowercase(), &w.to_lowercase()), w))
        .filter(|(d, w)| *d <= limit && *d < w.chars().count())
        .min_by_key(|(d, _)| *d)
        .map(|(_, w)| w)
}

/// Edit distance: insertions, deletions and replacements of one letter.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}
