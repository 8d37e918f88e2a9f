//! The screen of a slot: bytes in, picture out. What is on it and above it as text, what makes another terminal show
//! the same, what stands in claude's input box, which dialog is open.
//!
//! Knows nothing of the terminal's size changing by itself, of time, or of who looks. The emulator is our own on top of
//! the `vte` parser, since a host is to be small: lines that scrolled off are kept as text, where the emulators to be
//! had keep cells.

mod cell;
mod claude;
mod grid;
mod history;
mod modes;
mod repaint;
mod skim;
mod terminal;
#[cfg(test)]
mod tests;
mod utf8;

pub use claude::Dialog;
pub use history::{MAX_BYTES, MAX_LINES};

use terminal::Terminal;

/// The largest screen that is emulated, in columns and in rows.
pub const MAX_SIDE: u16 = 1_000;

/// An emulated terminal.
pub struct Screen {
    parser: vte::Parser,
    terminal: Terminal,
    cut: utf8::Cut,
    /// Whether a sequence may be open, so that nothing may be passed over: an escape came since the last stretch of plain
    /// text.
    escapes: bool,
}

impl Screen {
    /// An empty one; sides are cut to what [`MAX_SIDE`] allows, and are at least 1.
    #[must_use]
    pub fn new(cols: u16, rows: u16) -> Self {
        let [cols, rows] = [cols, rows].map(|side| side.clamp(1, MAX_SIDE));
        Self {
            parser: vte::Parser::new(),
            terminal: Terminal::new(cols, rows),
            cut: utf8::Cut::default(),
            escapes: false,
        }
    }

    /// Follows what a program wrote. A sequence or a character may be cut anywhere between two calls.
    pub fn feed(&mut self, bytes: &[u8]) {
        let (before, whole) = self.cut.join(bytes);
        self.follow(before.as_bytes());
        // The rest of a sequence that was cut.
        let cut = &whole[..whole.len().min(CALM_AFTER)];
        let count = self
            .parser
            .advance_until_terminated(&mut self.terminal, cut);
        let rest = &whole[count..];
        let from = if self.may_skim() {
            skim::begin(rest, MAX_LINES + usize::from(self.terminal.main.height()))
        } else {
            0
        };
        for style in skim::styles(&rest[..from]) {
            self.follow(&rest[style]);
        }
        self.follow(&rest[from..]);
        // Over some plain text any sequence that was cut off is complete.
        let tail = &whole[whole.len().saturating_sub(CALM_AFTER)..];
        self.escapes = whole.len() < CALM_AFTER && self.escapes || tail.contains(&0x1b);
    }

    /// Text between sequences goes to the terminal at once, and only sequences to the parser, byte by byte: most of what a
    /// program writes is text.
    fn follow(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.terminal.between {
                let escape = rest.iter().position(|byte| *byte == 0x1b);
                let (text, later) = rest.split_at(escape.unwrap_or(rest.len()));
                if let Ok(text) = std::str::from_utf8(text) {
                    self.terminal.text(text);
                    rest = later;
                    if rest.is_empty() {
                        return;
                    }
                }
                // An escape; or what is no text, which the parser reads until the next sequence is over.
                self.terminal.between = false;
            }
            let count = self
                .parser
                .advance_until_terminated(&mut self.terminal, rest);
            rest = &rest[count..];
        }
    }

    /// Plain text scrolls only where nothing restrains it.
    fn may_skim(&self) -> bool {
        let grid = &self.terminal.main;
        let whole = (grid.top, grid.bottom) == (0, grid.height() - 1);
        let calm = self.terminal.between || !self.escapes;
        calm && whole && self.terminal.alternate.is_none()
    }

    /// Changes the size.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        let [cols, rows] = [cols, rows].map(|side| side.clamp(1, MAX_SIDE));
        self.terminal.resize(cols, rows);
    }

    /// What makes another terminal show this picture with the lines above it, and be in the same modes. Contains no
    /// query, no title and nothing for the clipboard.
    #[must_use]
    pub fn repaint(&self) -> Vec<u8> {
        repaint::repaint(&self.terminal)
    }

    /// The lines above the screen and those on it, without blanks at their ends and without empty lines at the end.
    #[must_use]
    pub fn text(&self) -> String {
        joined(self.terminal.history.texts().chain(self.rows()))
    }

    /// The lowest rows of the screen that have anything on them, at most this many.
    #[must_use]
    pub fn bottom(&self, rows: u16) -> String {
        let mut all: Vec<String> = self.rows().collect();
        let length = all
            .iter()
            .rposition(|r| !r.is_empty())
            .map_or(0, |at| at + 1);
        all.truncate(length);
        joined(
            all.into_iter()
                .skip(length.saturating_sub(usize::from(rows))),
        )
    }

    /// The text in claude's input box; empty when there is none, or no box.
    #[must_use]
    pub fn pending(&self) -> String {
        claude::pending(self.terminal.grid()).unwrap_or_default()
    }

    /// Whether claude's input box is on the screen.
    #[must_use]
    pub fn has_input_box(&self) -> bool {
        claude::pending(self.terminal.grid()).is_some()
    }

    /// The dialog that is on the screen, of those that stand in the way of prompts.
    #[must_use]
    pub fn dialog(&self) -> Option<Dialog> {
        if self.has_input_box() {
            return None;
        }
        claude::dialog(&self.rows().collect::<Vec<_>>())
    }

    fn rows(&self) -> impl Iterator<Item = String> {
        self.terminal.grid().rows.iter().map(cell::Row::text)
    }
}

/// No sequence that is not a string of the terminal's own (a title) is this long; and a title that is followed by so much
/// text without an escape is broken anyway.
const CALM_AFTER: usize = 4 * 1024;

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (cols, rows) = (self.terminal.main.cols(), self.terminal.main.height());
        write!(f, "Screen({cols}x{rows})")
    }
}

fn joined(lines: impl Iterator<Item = String>) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text.truncate(text.trim_end_matches('\n').len());
    text
}

/// The text of a screen from the prompt on that is the `turns`-th from the end; all of it for 0, or when it holds fewer.
/// The prompt that stands in the input box was not sent and is no turn.
#[must_use]
pub fn last_turns(text: &str, turns: u32) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_prompt = |line: &&str| {
        let rest = line.strip_prefix("❯").or_else(|| line.strip_prefix('>'));
        rest.is_some_and(|rest| rest.starts_with([' ', '\u{a0}']) && !rest.trim().is_empty())
    };
    // The box stands between two rules: its first line comes right after one.
    let in_box = |at: usize| at > 0 && lines[at - 1].starts_with("───");
    let prompts: Vec<usize> = (0..lines.len())
        .filter(|at| is_prompt(&lines[*at]) && !in_box(*at))
        .collect();
    let wanted = usize::try_from(turns).unwrap_or(usize::MAX);
    let begin = match prompts.len().checked_sub(wanted) {
        Some(first) if turns > 0 => prompts[first],
        _ => 0,
    };
    lines[begin..].join("\n")
}
