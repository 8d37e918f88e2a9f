//! The conversations of a directory, newest first, as a person tells them apart.

use super::super::failure::Failure;
use crate::adapters::transcripts::{self, Listed};
use crate::claim::announce::span;
use crate::core::time::Timestamp;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The longest part of a prompt that is shown, in characters.
const MOST_OF_A_PROMPT: usize = 48;

/// A conversation that somebody has begun.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Its transcript.
    pub(super) file: Listed,
    /// Where it began.
    pub(super) cwd: PathBuf,
    first: String,
}

/// The newest conversations that began in `cwd` and have a prompt, so many at most. A transcript that cannot be read is
/// passed by, unless none can.
pub(super) fn newest(base: &Path, cwd: &Path, most: usize) -> Result<Vec<Conversation>, Failure> {
    let mut problem = None;
    let mut found = Vec::new();
    for file in transcripts::list(base, cwd).map_err(Failure::new)? {
        let opening = match transcripts::opening(&file.path) {
            Ok(opening) => opening,
            Err(error) => {
                problem.get_or_insert(error);
                continue;
            }
        };
        let began_in = opening.cwd().unwrap_or(cwd).to_owned();
        let Some(first) = opening.prompt().filter(|_| is_same(&began_in, cwd)) else {
            continue;
        };
        let first = first.to_owned();
        found.push(Conversation {
            file,
            cwd: began_in,
            first,
        });
        if found.len() == most {
            break;
        }
    }
    match problem {
        Some(error) if found.is_empty() => Err(Failure::new(error)),
        _ => Ok(found),
    }
}

/// Whether both are one directory: `/a.b` and `/a-b` keep their transcripts in one place.
fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path| fs::canonicalize(path).ok();
    a == b || real(a).is_some_and(|a| Some(a) == real(b))
}

impl Conversation {
    /// When something was last said in it.
    fn modified(&self) -> Timestamp {
        let since = self.file.modified.duration_since(UNIX_EPOCH);
        let ms = since.unwrap_or_default().as_millis();
        Timestamp::from_unix_ms(i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// A line that says which one it is: when it was used last, its first prompt, and its last one where that is another.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let age = now.unix_ms().saturating_sub(self.modified().unix_ms());
        let when = format!("{} ago", span(age.max(0)));
        let last = transcripts::last_turn(&self.file.path).ok();
        let last = last.and_then(|turn| turn.prompt);
        let first = cut(&self.first);
        match last.map(|last| cut(&last)).filter(|last| *last != first) {
            Some(last) => format!("{when} · {first} … {last}"),
            None => format!("{when} · {first}"),
        }
    }
}

/// On one line, without what a terminal would obey, and not too long.
fn cut(prompt: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = prompt.chars().map(visible).collect();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= MOST_OF_A_PROMPT {
        return text;
    }
    let kept: String = text.chars().take(MOST_OF_A_PROMPT - 1).collect();
    format!("{}…", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_shown_on_one_short_line() {
        let long = "word ".repeat(40);
        let rows = [
            ("hi", "hi"),
            (" two\nlines\t here ", "two lines here"),
            ("\u{1b}[31mred", "[31mred"),
        ];
        for (prompt, shown) in rows {
            assert_eq!(cut(prompt), shown);
        }
        let shown = cut(&long);
        assert!(shown.chars().count() <= MOST_OF_A_PROMPT && shown.ends_with('…'));
    }
}
