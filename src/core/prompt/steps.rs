//! The keys of a delivery. All of it was measured with claude 2.1.329 in a terminal, and holds for 2.1.197 too:
//!
//! - A paste of more than three lines or of more than 800 UTF-16 units reaches the model inside `<pasted_content>` tags.
//!   Several smaller pastes right after each other arrive as the text they are: 100 kB in 190 pastes, 300 lines in 150.
//! - Ctrl-U takes away what is before the cursor in its line *as it is shown*, and pressed again joins it with the line
//!   before: three lines take five. Ctrl-K does the same forwards. Text after the cursor stays, wherever it is.
//! - Control characters depend on how many of them claude happens to read at once: sixty are sixty key presses, three
//!   hundred are nothing, and two different ones in a row are text. Spelled as `CSI 117;5u` and `CSI 107;5u` they are key
//!   presses in any number and company.

use super::Prompt;
use std::time::Duration;

/// Line feeds in one paste, at most.
const PASTE_BREAKS: usize = 2;
/// UTF-16 units in one paste, at most: well below the 800 from which it would be tagged.
const PASTE_UNITS: usize = 560;
/// From the last paste to Enter: what comes earlier is taken for a part of the paste by older clients.
const BEFORE_SUBMIT: Duration = Duration::from_millis(100);
/// The same where the client is known to tell Enter from the end of a paste, even in one write with it: what is left is
/// for the terminal to hand them over one after the other.
const BEFORE_SUBMIT_QUICK: Duration = Duration::from_millis(10);
/// The first version that was seen to: 2.1.197 was seen not to.
const QUICK_SINCE: [u32; 3] = [2, 1, 329];
/// A paste that is the path of a picture attaches the picture in its place; one that is half of such a path does not.
const PICTURES: &[&str] = &[".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp"];
/// How often each key is pressed: that empties 150 lines as they are shown, on either side of the cursor.
const PRESSES: usize = 300;

const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
const CTRL_K: &[u8] = b"\x1b[107;5u";
const CTRL_U: &[u8] = b"\x1b[117;5u";
const ENTER: &[u8] = b"\r";

/// One step of what is done to a terminal, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes for one write.
    Write(Vec<u8>),
    /// Nothing for so long.
    Pause(Duration),
}

/// Types a prompt into an empty box and submits it.
///
/// A blank goes behind it, which claude drops again: Enter after a backslash would break the line, and after `@word`
/// would take a suggestion instead.
#[must_use]
pub fn delivery_steps(prompt: &Prompt) -> Vec<Step> {
    delivered(prompt, BEFORE_SUBMIT)
}

/// The same for a client of a version that [`takes_enter_at_once`]. One paste is not waited for; several still are.
#[must_use]
pub fn quick_delivery_steps(prompt: &Prompt) -> Vec<Step> {
    let text = format!("{} ", prompt.typed());
    let is_one_paste = end_of_part(&text) == text.len() && inside_picture_name(&text).is_none();
    delivered(
        prompt,
        if is_one_paste {
            BEFORE_SUBMIT_QUICK
        } else {
            BEFORE_SUBMIT
        },
    )
}

fn delivered(prompt: &Prompt, before_submit: Duration) -> Vec<Step> {
    let mut steps = pastes(&format!("{} ", prompt.typed()));
    steps.push(Step::Pause(before_submit));
    steps.extend(submit_steps());
    steps
}

/// Whether a client of this version takes Enter for what it is, however soon after a paste. One whose version is spelled
/// in another way is not known to.
#[must_use]
pub fn takes_enter_at_once(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    let (Some(major), Some(minor), Some(patch)) = (next(), next(), next()) else {
        return false;
    };
    [major, minor, patch] >= QUICK_SINCE
}

/// Enter alone: for a text that is in the box already.
#[must_use]
pub fn submit_steps() -> Vec<Step> {
    vec![Step::Write(ENTER.to_vec())]
}

/// Puts text into the box and leaves it there: what a person had half typed before a delivery.
#[must_use]
pub fn restore_steps(text: &str) -> Vec<Step> {
    pastes(&super::text::typed(text))
}

fn pastes(text: &str) -> Vec<Step> {
    if text.is_empty() {
        return Vec::new();
    }
    let mut bytes = Vec::with_capacity(text.len() * 2);
    for part in parts(text) {
        bytes.extend_from_slice(PASTE_START);
        bytes.extend_from_slice(part.as_bytes());
        bytes.extend_from_slice(PASTE_END);
    }
    vec![Step::Write(bytes)]
}

/// Empties the box, wherever the cursor is in it. Nothing happens to an empty one. Who reads the box afterwards and
/// finds text does it again.
#[must_use]
pub fn clear_steps() -> Vec<Step> {
    let keys = [CTRL_U.repeat(PRESSES), CTRL_K.repeat(PRESSES)];
    vec![Step::Write(keys.concat())]
}

/// The text in pieces that claude takes as they are. They end after a line feed or a blank where there is one, and never
/// between a character and the marks or joiners that follow it.
fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let end = end_of_part(rest);
        let end = inside_picture_name(&rest[..end]).unwrap_or(end);
        let (part, later) = rest.split_at(end);
        parts.push(part);
        rest = later;
    }
    parts
}

/// A place within the first name of a picture.
fn inside_picture_name(part: &str) -> Option<usize> {
    let lower = part.to_ascii_lowercase();
    let found = PICTURES.iter().filter_map(|name| lower.find(name));
    found.min().map(|dot| dot + 2)
}

fn end_of_part(text: &str) -> usize {
    let (mut units, mut breaks) = (0, 0);
    let (mut at_blank, mut at_character) = (0, 0);
    let mut previous = None;
    for (at, character) in text.char_indices() {
        let joined = previous == Some('\u{200d}') || joins(character);
        if at > 0 && !joined {
            at_character = at;
        }
        units += character.len_utf16();
        if units > PASTE_UNITS {
            let cut = if at_blank > 0 { at_blank } else { at_character };
            // One character with hundreds of marks is cut anyway.
            return if cut > 0 { cut } else { at };
        }
        let end = at + character.len_utf8();
        if character == '\n' {
            breaks += 1;
            if breaks == PASTE_BREAKS {
                return end;
            }
        }
        if character.is_whitespace() {
            at_blank = end;
        }
        previous = Some(character);
    }
    text.len()
}

/// Whether a character belongs to the one before it.
fn joins(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}'
        | '\u{900}'..='\u{903}' | '\u{93a}'..='\u{94f}' | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}'
        | '\u{1160}'..='\u{11ff}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{200d}'
        | '\u{20d0}'..='\u{20ff}' | '\u{3099}' | '\u{309a}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}'
        | '\u{1f3fb}'..='\u{1f3ff}')
}

#[cfg(test)]
pub(super) fn parts_of(text: &str) -> Vec<&str> {
    parts(text)
}
