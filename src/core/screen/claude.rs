//! What Claude Code draws, as far as it is read off the screen: the text in the input box, and dialogs that take keys
//! which were meant for the box. Learned from 2.1.197 and 2.1.329 (`tests/data/screens`).
//!
//! The box is two rules as wide as the terminal; between them `❯` (or `>`; `!` for a shell command) in the first
//! column, a no-break space, and the text, whose further lines are indented by two.

use super::cell::{Cell, Row, Style};
use super::grid::Grid;

/// A dialog that stands in the way of prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialog {
    /// Whether the directory is trusted.
    Trust,
    /// Whether permissions may be bypassed.
    Bypass,
    /// The first start: the look.
    Onboarding,
    /// How to sign in.
    Login,
    /// Settings that are not understood, hooks of another version among them.
    Hooks,
    /// Whether to resume a long session whole or from a summary.
    Resume,
    /// Where to go back to.
    Rewind,
}

impl Dialog {
    /// Its name in the protocol.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Bypass => "bypass",
            Self::Onboarding => "onboarding",
            Self::Login => "login",
            Self::Hooks => "hooks",
            Self::Resume => "resume",
            Self::Rewind => "rewind",
        }
    }
}

/// Words that only this dialog has, all of them; the first that fits counts.
const DIALOGS: &[(Dialog, &[&str])] = &[
    (Dialog::Login, &["Select login method"]),
    (Dialog::Onboarding, &["Choose the text style"]),
    (Dialog::Trust, &["I trust this folder", "No, exit"]),
    (
        Dialog::Bypass,
        &["Bypass Permissions mode", "Yes, I accept"],
    ),
    (Dialog::Hooks, &["Settings Warning", "Fix with Claude"]),
    (Dialog::Resume, &["Resume full session as-is"]),
    (
        Dialog::Rewind,
        &[
            "Rewind",
            "Restore the code and/or conversation",
            "Esc to cancel",
        ],
    ),
];

/// The dialog on a screen of these rows that has no input box.
pub(super) fn dialog(rows: &[String]) -> Option<Dialog> {
    let shows = |words: &&str| rows.iter().any(|row| row.contains(*words));
    let found = DIALOGS.iter().find(|(_, words)| words.iter().all(shows));
    found.map(|(dialog, _)| *dialog)
}

/// The text in the input box; none when there is no box.
///
/// A box does not show where a long line was wrapped. A line whose next word would not have fitted is taken to go on
/// with it, so that a line end just there reads as a blank.
pub(super) fn pending(grid: &Grid) -> Option<String> {
    let rows: Vec<&Row> = grid.rows.iter().collect();
    let (first, last) = input_box(&rows)?;
    let lines: Vec<String> = rows[first..last].iter().map(|row| typed(row)).collect();
    if is_placeholder(&rows[first..last]) {
        return Some(mode(rows[first]));
    }
    let room = usize::from(grid.cols()).saturating_sub(INDENT + MARGIN);
    Some(mode(rows[first]) + joined(&lines, room).trim())
}

/// Columns before the text of each line.
const INDENT: usize = 2;
/// Columns after it, where the cursor stands at the end of a full line.
const MARGIN: usize = 1;

/// The rows of the lowest box: its first, and the rule under it.
fn input_box(rows: &[&Row]) -> Option<(usize, usize)> {
    let mut last = None;
    for at in (0..rows.len()).rev() {
        if is_rule(rows[at]) {
            last = Some(at);
        } else if at > 0 && is_prompt(rows[at]) && is_rule(rows[at - 1]) {
            return last.map(|last| (at, last));
        } else if !is_indented(rows[at]) {
            last = None;
        }
    }
    None
}

/// A rule may have a few words in it, but not at its beginning.
fn is_rule(row: &Row) -> bool {
    const BEGIN: usize = 3;
    let mut cells = row.cells.iter();
    row.cells.len() > BEGIN && cells.by_ref().take(BEGIN).all(|cell| cell.character == '─')
}

fn is_prompt(row: &Row) -> bool {
    let character = |at: usize| row.cells.get(at).map(|cell| cell.character);
    matches!(character(0), Some('❯' | '>' | '!')) && is_space(character(1).unwrap_or(' '))
}

fn is_indented(row: &Row) -> bool {
    let indent = row.cells.iter().take(INDENT);
    indent.into_iter().all(|cell| is_space(cell.character))
}

const fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\u{a0}')
}

/// A shell command is told by its glyph, which is part of what was typed.
fn mode(row: &Row) -> String {
    let is_command = row.cells.first().is_some_and(|c| c.character == '!');
    if is_command {
        "!".to_owned()
    } else {
        String::new()
    }
}

/// What was typed in a row: dim text is a suggestion.
fn typed(row: &Row) -> String {
    let dim = |cell: &Cell| cell.style.has(Style::DIM);
    let end = row.cells.iter().skip(INDENT).position(dim);
    let end = end.map_or(row.cells.len(), |at| at + INDENT);
    let mut text = String::new();
    row.write_text(INDENT.min(end), end, &mut text);
    text.replace('\u{a0}', " ").trim_end().to_owned()
}

/// Dim text in an empty box, whose first character may stand under the cursor.
fn is_placeholder(rows: &[&Row]) -> bool {
    let mut cells = rows.iter().flat_map(|row| row.cells.iter().skip(INDENT));
    let under_cursor = cells
        .next()
        .is_some_and(|cell| cell.style.has(Style::INVERSE));
    let mut rest = cells.filter(|cell| !is_space(cell.character) && cell.character != Cell::TAIL);
    let first = rest.next();
    under_cursor
        && first.is_some_and(|cell| cell.style.has(Style::DIM))
        && rest.all(|cell| cell.style.has(Style::DIM))
}

fn joined(lines: &[String], room: usize) -> String {
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        text.push_str(line);
        let Some(next) = lines.get(at + 1) else { break };
        let word = next.split(' ').next().map_or(0, width);
        let used = width(line);
        if used >= room && word > 0 {
            // A word longer than the box, cut anywhere.
        } else if !line.is_empty() && word > 0 && used + 1 + word > room {
            text.push(' ');
        } else {
            text.push('\n');
        }
    }
    text
}

fn width(text: &str) -> usize {
    unicode_width::UnicodeWidthStr::width(text)
}
