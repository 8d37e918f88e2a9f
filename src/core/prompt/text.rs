//! Which characters claude's prompt takes, and when two texts are the same prompt to it.

/// A tab becomes as many blanks in claude's prompt.
const TAB: &str = "    ";

/// Tags that claude puts around a paste of more than three lines or 800 characters before the model sees it.
const PASTE_OPENING: &str = "<pasted_content id=\"";
const PASTE_CLOSING: &str = "</pasted_content id=\"";
/// After the opening quote: four digits, `">` and a line feed that may be there.
const PASTE_ID: usize = 4;

/// The text as claude would have it: line ends are line feeds, tabs are blanks, escape sequences and invisible characters
/// are gone, and so is white space at the end, which is never submitted.
pub(super) fn typed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' => {
                characters.next_if_eq(&'\n');
                out.push('\n');
            }
            '\n' => out.push('\n'),
            '\t' => out.push_str(TAB),
            '\u{1b}' => skip_sequence(&mut characters),
            // One-character forms of the introducers.
            '\u{9b}' => skip_control_sequence(&mut characters),
            _ if is_invisible(character) => {}
            _ => out.push(character),
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// What follows an ESC that belongs to it.
fn skip_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match characters.peek() {
        Some('[') => {
            characters.next();
            skip_control_sequence(characters);
        }
        // A string (title, clipboard): up to BEL or ST, but never more than its own line.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            characters.next();
            while let Some(next) = characters.peek() {
                match next {
                    '\n' | '\r' => return,
                    '\u{7}' | '\u{9c}' => {
                        characters.next();
                        return;
                    }
                    '\u{1b}' => return,
                    _ => {
                        characters.next();
                    }
                }
            }
        }
        // ST.
        Some('\\') => {
            characters.next();
        }
        _ => {}
    }
}

/// Parameters, then one final character. What cannot be part of one stays text.
fn skip_control_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while characters
        .next_if(|next| ('\u{20}'..='\u{3f}').contains(next))
        .is_some()
    {}
    characters.next_if(|next| ('\u{40}'..='\u{7e}').contains(next));
}

/// Control characters, and those that have no width and mean nothing to a reader: a command must not hide behind them.
/// U+200D stays: it joins emoji.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Whether what claude reports or wrote down is the prompt that was typed. Everything that claude changes does not
/// count: white space, composed or decomposed letters, invisible characters, the tags around a paste.
#[must_use]
pub fn same_prompt(typed: &str, seen: &str) -> bool {
    skeleton(typed) == skeleton(seen)
}

/// What no normalisation changes: ASCII that no mark is put on, ideographs and pictures. All that may be composed or
/// decomposed is left out, so that no table of characters is needed.
fn skeleton(text: &str) -> String {
    let text = without_paste_tags(text);
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            // U+0338 strikes signs through: `=` becomes one letter with it.
            '\u{300}'..='\u{36f}' => {
                out.pop();
            }
            '!'..='~' | '\u{4e00}'..='\u{9fff}' | '\u{1f000}'..='\u{1faff}' => out.push(character),
            // Any other letter stands between its neighbours, lest a mark after it take one of them away.
            _ if character.is_alphabetic() => out.push('\0'),
            _ => {}
        }
    }
    out.retain(|character| character != '\0');
    out
}

fn without_paste_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("pasted_content id=\"") {
        let is_opening = rest[..at].ends_with('<');
        let is_closing = rest[..at].ends_with("</");
        let tag = if is_closing {
            PASTE_CLOSING
        } else {
            PASTE_OPENING
        };
        let start = at + "pasted_content id=\"".len();
        let after = rest
            .get(start + PASTE_ID..)
            .filter(|after| after.starts_with("\">"));
        match after {
            Some(after) if is_opening || is_closing => {
                out.push_str(&rest[..start - tag.len()]);
                rest = &after[2..];
            }
            _ => {
                out.push_str(&rest[..start]);
                rest = &rest[start..];
            }
        }
    }
    out.push_str(rest);
    out
}
