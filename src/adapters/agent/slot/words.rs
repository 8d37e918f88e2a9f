//! Words of a line, split as a POSIX shell splits them: blanks, both kinds of quotes, backslashes. Nothing is expanded.

/// Why a line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unbalanced {
    /// A quote is never closed; which one.
    Quote(char),
    /// It ends in a backslash.
    Backslash,
}

pub(super) fn split(line: &str) -> Result<Vec<String>, Unbalanced> {
    let mut words = Vec::new();
    // None between words: `''` is a word too.
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\'' => single_quoted(&mut characters, word.get_or_insert_default())?,
            '"' => double_quoted(&mut characters, word.get_or_insert_default())?,
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err(Unbalanced::Backslash),
            },
            ' ' | '\t' | '\n' | '\r' => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

fn single_quoted(
    characters: &mut std::str::Chars<'_>,
    word: &mut String,
) -> Result<(), Unbalanced> {
    for character in characters {
        if character == '\'' {
            return Ok(());
        }
        word.push(character);
    }
    Err(Unbalanced::Quote('\''))
}

/// A backslash counts only before what it could mean something for.
fn double_quoted(
    characters: &mut std::str::Chars<'_>,
    word: &mut String,
) -> Result<(), Unbalanced> {
    while let Some(character) = characters.next() {
        match character {
            '"' => return Ok(()),
            '\\' => match characters.next() {
                Some('\n') => {}
                Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                Some(next) => word.extend(['\\', next]),
                None => break,
            },
            _ => word.push(character),
        }
    }
    Err(Unbalanced::Quote('"'))
}
