//! One place of the screen: a character and how it looks.

use std::io::Write as _;

/// A colour as a program asked for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Color {
    /// The terminal's own.
    #[default]
    Default,
    /// One of the palette of 256.
    Indexed(u8),
    /// Red, green, blue.
    Rgb(u8, u8, u8),
}

/// How a character looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub foreground: Color,
    pub background: Color,
    pub flags: u16,
}

impl Style {
    pub const BOLD: u16 = 1;
    pub const DIM: u16 = 1 << 1;
    pub const ITALIC: u16 = 1 << 2;
    pub const UNDERLINE: u16 = 1 << 3;
    pub const BLINK: u16 = 1 << 4;
    pub const INVERSE: u16 = 1 << 5;
    pub const HIDDEN: u16 = 1 << 6;
    pub const STRIKE: u16 = 1 << 7;
    pub const DOUBLE: u16 = 1 << 8;

    /// Each flag with the number that sets it (ECMA-48, select graphic rendition).
    const CODES: &[(u16, &'static str)] = &[
        (Self::BOLD, ";1"),
        (Self::DIM, ";2"),
        (Self::ITALIC, ";3"),
        (Self::UNDERLINE, ";4"),
        (Self::BLINK, ";5"),
        (Self::INVERSE, ";7"),
        (Self::HIDDEN, ";8"),
        (Self::STRIKE, ";9"),
        (Self::DOUBLE, ";21"),
    ];

    pub const fn has(self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// What an erased place keeps: the background alone.
    pub fn erased(self) -> Self {
        Self {
            background: self.background,
            ..Self::default()
        }
    }

    /// The sequence that sets exactly this, whatever was set before.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"\x1b[0");
        for (flag, code) in Self::CODES {
            if self.has(*flag) {
                out.extend_from_slice(code.as_bytes());
            }
        }
        write_color(self.foreground, 3, out);
        write_color(self.background, 4, out);
        out.push(b'm');
    }
}

/// `tens` is 3 for the foreground and 4 for the background.
fn write_color(color: Color, tens: u8, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = match color {
        Color::Default => Ok(()),
        Color::Indexed(index @ 0..8) => write!(out, ";{tens}{index}"),
        Color::Indexed(index @ 8..16) => write!(out, ";{}{}", tens + 6, index - 8),
        Color::Indexed(index) => write!(out, ";{tens}8;5;{index}"),
        Color::Rgb(red, green, blue) => write!(out, ";{tens}8;2;{red};{green};{blue}"),
    };
}

/// One place of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    /// The character; [`Cell::TAIL`] right of a wide one.
    pub character: char,
    pub style: Style,
}

impl Cell {
    /// Stands in the second place of a wide character.
    pub const TAIL: char = '\0';

    pub const fn blank(style: Style) -> Self {
        Self {
            character: ' ',
            style,
        }
    }

    /// Whether nothing of it would be seen on an empty screen.
    pub fn is_blank(self) -> bool {
        const SEEN: u16 = Style::UNDERLINE | Style::INVERSE | Style::STRIKE | Style::DOUBLE;
        self.character == ' '
            && self.style.background == Color::Default
            && self.style.flags & SEEN == 0
    }
}

/// One line of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub cells: Vec<Cell>,
    /// Marks that combine with the character in a place, in order of writing. Rare.
    pub marks: Vec<(u16, char)>,
}

/// More marks than this on one line are dropped: nobody's language has them.
const MAX_MARKS: usize = 256;

impl Row {
    pub fn blank(cols: u16, style: Style) -> Self {
        Self {
            cells: vec![Cell::blank(style); usize::from(cols)],
            marks: Vec::new(),
        }
    }

    /// Makes it blank without giving its memory back.
    pub fn clear(&mut self, style: Style) {
        self.cells.fill(Cell::blank(style));
        self.marks.clear();
    }

    /// Erases places; half a wide character goes with the other half.
    pub fn erase(&mut self, from: usize, to: usize, style: Style) {
        let to = to.min(self.cells.len());
        if from >= to {
            return;
        }
        self.split_wide(from);
        self.split_wide(to);
        self.cells[from..to].fill(Cell::blank(style));
        self.marks
            .retain(|(at, _)| !(from..to).contains(&usize::from(*at)));
    }

    /// Blanks a wide character that would be cut before this place.
    pub fn split_wide(&mut self, at: usize) {
        if at > 0 && at < self.cells.len() && self.cells[at].character == Cell::TAIL {
            self.cells[at].character = ' ';
            self.cells[at - 1].character = ' ';
        }
    }

    pub fn add_mark(&mut self, at: u16, mark: char) {
        if self.marks.len() < MAX_MARKS {
            self.marks.push((at, mark));
        }
    }

    pub fn drop_marks(&mut self, at: u16) {
        if !self.marks.is_empty() {
            self.marks.retain(|(place, _)| *place != at);
        }
    }

    pub fn drop_marks_in(&mut self, places: std::ops::Range<usize>) {
        if !self.marks.is_empty() {
            self.marks
                .retain(|(place, _)| !places.contains(&usize::from(*place)));
        }
    }

    /// How many places there are up to the last that can be seen.
    pub fn seen_length(&self) -> usize {
        let last = self.cells.iter().rposition(|cell| !cell.is_blank());
        last.map_or(0, |last| last + 1)
    }

    /// Writes the characters of a range, marks included.
    pub fn write_text(&self, from: usize, to: usize, text: &mut String) {
        for (at, cell) in (from..).zip(&self.cells[from..to.min(self.cells.len())]) {
            if cell.character != Cell::TAIL {
                text.push(cell.character);
            }
            if !self.marks.is_empty() {
                let here = self.marks.iter().filter(|(m, _)| usize::from(*m) == at);
                text.extend(here.map(|(_, mark)| mark));
            }
        }
    }

    /// The characters, without blanks at the end.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write_text(0, self.seen_length(), &mut text);
        text.truncate(text.trim_end_matches(' ').len());
        text
    }

    /// Writes the line as it looks, beginning and ending with the usual style.
    pub fn write_styled(&self, out: &mut Vec<u8>) {
        let end = self.seen_length();
        let mut style = Style::default();
        let mut at = 0;
        let mut text = String::new();
        while at < end {
            let this = self.cells[at].style;
            let run = self.cells[at..end]
                .iter()
                .take_while(|cell| cell.style == this)
                .count();
            if this != style {
                this.write(out);
                style = this;
            }
            if self.marks.is_empty() {
                write_characters(&self.cells[at..at + run], out);
            } else {
                text.clear();
                self.write_text(at, at + run, &mut text);
                out.extend_from_slice(text.as_bytes());
            }
            at += run;
        }
        if style != Style::default() {
            out.extend_from_slice(b"\x1b[m");
        }
    }
}

fn write_characters(cells: &[Cell], out: &mut Vec<u8>) {
    for cell in cells {
        match cell.character {
            Cell::TAIL => {}
            ascii if ascii.is_ascii() => out.push(ascii as u8),
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
