//! What a terminal does with what it is sent (ECMA-48, DEC STD 070, xterm's control sequences). Queries, titles, the
//! clipboard and links are left alone: nobody who looks at the picture later should answer for them.

use super::cell::{Color, Style};
use super::grid::{Cursor, Grid};
use super::history::History;
use super::modes::Modes;
use unicode_width::UnicodeWidthChar as _;
use vte::{Params, Perform};

/// Every eighth column is a tab stop.
const TAB: u16 = 8;

/// The state of a terminal.
#[derive(Debug)]
pub(super) struct Terminal {
    pub main: Grid,
    /// The alternate screen, while it is shown.
    pub alternate: Option<Grid>,
    pub history: History,
    pub modes: Modes,
    /// The last character, which REP repeats.
    last: Option<char>,
    /// The parser is surely between sequences: what follows up to the next escape is text. Whoever hands bytes to the
    /// parser clears it; the end of a sequence sets it.
    pub between: bool,
}

impl Terminal {
    pub fn new(cols: u16, rows: u16) -> Self {
        Self {
            main: Grid::new(cols, rows, true),
            alternate: None,
            history: History::default(),
            modes: Modes::default(),
            last: None,
            between: true,
        }
    }

    /// The screen that is shown.
    pub fn grid(&self) -> &Grid {
        self.alternate.as_ref().unwrap_or(&self.main)
    }

    pub fn grid_mut(&mut self) -> &mut Grid {
        self.alternate.as_mut().unwrap_or(&mut self.main)
    }

    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.main.resize(cols, rows, &mut self.history);
        if let Some(alternate) = &mut self.alternate {
            alternate.resize(cols, rows, &mut self.history);
        }
    }

    fn show_alternate(&mut self, on: bool) {
        if on && self.alternate.is_none() {
            let (cols, rows) = (self.main.cols(), self.main.height());
            let mut grid = Grid::new(cols, rows, false);
            grid.cursor = self.main.cursor;
            self.alternate = Some(grid);
        } else if !on && let Some(left) = self.alternate.take() {
            let Cursor { row, col, .. } = left.cursor;
            (self.main.cursor.row, self.main.cursor.col) = (row, col);
            self.main.cursor.wraps = false;
        }
    }

    fn set_private(&mut self, mode: u16, on: bool) {
        match mode {
            6 => {
                let grid = self.grid_mut();
                grid.cursor.is_origin = on;
                grid.go(0, 0);
            }
            47 | 1047 => self.show_alternate(on),
            1048 => self.save_cursor(on),
            1049 if on => {
                self.save_cursor(true);
                self.show_alternate(true);
            }
            1049 => {
                self.show_alternate(false);
                self.save_cursor(false);
            }
            _ => self.modes.set(mode, on),
        }
    }

    /// Saves the cursor, or puts the saved one back.
    fn save_cursor(&mut self, saves: bool) {
        let grid = self.grid_mut();
        if saves {
            grid.saved = grid.cursor;
        } else {
            grid.cursor = grid.saved;
            if grid.cursor.is_origin {
                // The region may have changed since, and origin mode keeps the cursor in it.
                grid.cursor.row = grid.cursor.row.clamp(grid.top, grid.bottom);
            }
        }
    }

    /// Text and control characters other than escape: what the parser would do with them between sequences.
    pub fn text(&mut self, text: &str) {
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            let run = if self.takes_runs() {
                rest.bytes()
                    .take_while(|b| (0x20..0x7f).contains(b))
                    .count()
            } else {
                0
            };
            if run > 0 {
                let (ascii, later) = rest.split_at(run);
                self.put_run(ascii.as_bytes());
                rest = later;
                continue;
            }
            match first {
                0x00..0x20 => {
                    self.execute(first);
                    rest = &rest[1..];
                }
                _ => {
                    let Some(character) = rest.chars().next() else {
                        return;
                    };
                    match character {
                        '\u{80}'..='\u{9f}' => {}
                        _ => self.print(character),
                    }
                    rest = &rest[character.len_utf8()..];
                }
            }
        }
    }

    /// Whether printable ASCII goes into the cells as it is, many at a time.
    fn takes_runs(&self) -> bool {
        let cursor = &self.grid().cursor;
        let drawn = cursor.graphics[usize::from(cursor.shifted)];
        self.modes.wraps() && !self.modes.inserts && !drawn
    }

    /// Puts printable ASCII: as [`Terminal::put`] for each, with wrapping on and nothing that inserts.
    fn put_run(&mut self, ascii: &[u8]) {
        self.last = ascii.last().copied().map(char::from);
        let grid = self.alternate.as_mut().unwrap_or(&mut self.main);
        grid.put_run(ascii, &mut self.history);
    }

    fn put(&mut self, character: char) {
        let width = match character.width() {
            Some(0) => return self.grid_mut().mark(character),
            Some(2) => 2,
            Some(_) => 1,
            None => return,
        };
        self.last = Some(character);
        let (wraps, inserts) = (self.modes.wraps(), self.modes.inserts);
        let grid = self.alternate.as_mut().unwrap_or(&mut self.main);
        if !wraps {
            grid.cursor.wraps = false;
            let last = grid.cols().saturating_sub(width);
            grid.cursor.col = grid.cursor.col.min(last);
        }
        grid.put(character, width, inserts, &mut self.history);
    }

    fn feed_line(&mut self) {
        let grid = self.alternate.as_mut().unwrap_or(&mut self.main);
        grid.cursor.wraps = false;
        grid.line_feed(&mut self.history);
    }

    fn erase_display(&mut self, how: u16) {
        let grid = self.alternate.as_mut().unwrap_or(&mut self.main);
        let (row, rows) = (grid.cursor.row, grid.height());
        match how {
            0 => {
                erase_line(grid, 0);
                grid.erase_lines(row + 1, rows);
            }
            1 => {
                erase_line(grid, 1);
                grid.erase_lines(0, row);
            }
            2 => grid.erase_lines(0, rows),
            3 => self.history.clear(),
            _ => {}
        }
    }

    fn repeat(&mut self, count: u16) {
        let room = u32::from(self.main.cols()) * u32::from(self.main.height());
        let Some(last) = self.last else { return };
        for _ in 0..u32::from(count).min(room) {
            self.put(last);
        }
    }

    fn set_region(&mut self, top: u16, bottom: u16) {
        let grid = self.grid_mut();
        let rows = grid.height();
        let bottom = if bottom == 0 { rows } else { bottom.min(rows) };
        if top < bottom {
            (grid.top, grid.bottom) = (top.max(1) - 1, bottom - 1);
            grid.go(0, 0);
        }
    }

    fn reset(&mut self) {
        let history = std::mem::take(&mut self.history);
        *self = Self::new(self.main.cols(), self.main.height());
        self.history = history;
    }

    fn soft_reset(&mut self) {
        self.modes = Modes::default();
        let grid = self.grid_mut();
        (grid.top, grid.bottom) = (0, grid.height() - 1);
        grid.cursor = Cursor {
            row: grid.cursor.row,
            col: grid.cursor.col,
            ..Cursor::default()
        };
        grid.saved = Cursor::default();
    }

    fn plain_sequence(&mut self, params: &Params, action: char) {
        let first = number(params, 0);
        let count = first.max(1);
        let down = i32::from(count);
        let grid = self.alternate.as_mut().unwrap_or(&mut self.main);
        let cursor = grid.cursor;
        match action {
            '@' => grid.insert_blanks(count),
            'A' => grid.go_vertically(-down),
            'B' | 'e' => grid.go_vertically(down),
            'C' | 'a' => go_to_column(grid, cursor.col.saturating_add(count)),
            'D' => go_to_column(grid, cursor.col.saturating_sub(count)),
            'E' | 'F' => {
                grid.go_vertically(if action == 'E' { down } else { -down });
                grid.begin_line();
            }
            'G' | '`' => go_to_column(grid, count - 1),
            'H' | 'f' => grid.go(count - 1, number(params, 1).max(1) - 1),
            'I' => go_to_column(
                grid,
                (cursor.col / TAB).saturating_add(count).saturating_mul(TAB),
            ),
            'Z' => go_to_column(grid, cursor.col.div_ceil(TAB).saturating_sub(count) * TAB),
            'J' => self.erase_display(first),
            'K' => erase_line(grid, first),
            'L' => grid.insert_lines(count),
            'M' => grid.delete_lines(count),
            'P' => grid.delete_characters(count),
            'S' => grid.scroll_up(count, &mut self.history),
            'T' => grid.scroll_down(count),
            'X' => {
                let from = usize::from(cursor.col);
                let style = cursor.style.erased();
                grid.current().erase(from, from + usize::from(count), style);
            }
            'b' => self.repeat(count),
            'd' => {
                grid.go(count - 1, cursor.col);
            }
            'h' | 'l' if first == 4 => self.modes.inserts = action == 'h',
            'm' => style(params, &mut grid.cursor.style),
            'r' => self.set_region(first, number(params, 1)),
            's' => self.save_cursor(true),
            'u' => self.save_cursor(false),
            _ => {}
        }
    }
}

impl Perform for Terminal {
    fn print(&mut self, character: char) {
        let cursor = &self.grid().cursor;
        let drawn = cursor.graphics[usize::from(cursor.shifted)];
        self.put(if drawn {
            line_graphic(character)
        } else {
            character
        });
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            0x08 => {
                let grid = self.grid_mut();
                grid.cursor.col = grid.cursor.col.saturating_sub(1);
                grid.cursor.wraps = false;
            }
            b'\t' => {
                let grid = self.grid_mut();
                let next = (grid.cursor.col / TAB + 1).saturating_mul(TAB);
                go_to_column(grid, next);
            }
            b'\n' | 0x0b | 0x0c => self.feed_line(),
            b'\r' => self.grid_mut().begin_line(),
            0x0e | 0x0f => self.grid_mut().cursor.shifted = byte == 0x0e,
            _ => {}
        }
    }

    fn osc_dispatch(&mut self, _: &[&[u8]], by_bell: bool) {
        // Otherwise the escape of its end is still to be completed.
        self.between = by_bell;
    }

    fn terminated(&self) -> bool {
        self.between
    }

    fn csi_dispatch(&mut self, params: &Params, between: &[u8], ignore: bool, action: char) {
        self.between = true;
        if ignore {
            return;
        }
        let first = number(params, 0);
        match (between, action) {
            ([], _) => self.plain_sequence(params, action),
            (b"?", 'h' | 'l') => {
                for mode in params.iter().filter_map(|param| param.first()) {
                    self.set_private(*mode, action == 'h');
                }
            }
            (b"?", 'J') => self.erase_display(first),
            (b"?", 'K') => erase_line(self.grid_mut(), first),
            (b" ", 'q') => self.modes.cursor_shape = first.min(6),
            (b"!", 'p') => self.soft_reset(),
            (b">", 'u') => self.modes.push_keyboard(first),
            (b"<", 'u') => self.modes.pop_keyboards(first.max(1)),
            (b"=", 'u') => self.modes.change_keyboard(first, number(params, 1)),
            (b">", 'm') if first == 4 => self.modes.other_keys = number(params, 1).min(2),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, between: &[u8], ignore: bool, byte: u8) {
        self.between = true;
        if ignore {
            return;
        }
        match (between, byte) {
            ([], b'7') => self.save_cursor(true),
            ([], b'8') => self.save_cursor(false),
            ([], b'=' | b'>') => self.modes.set_keypad(byte == b'='),
            ([], b'D') => self.feed_line(),
            ([], b'E') => {
                self.grid_mut().begin_line();
                self.feed_line();
            }
            ([], b'M') => {
                let grid = self.grid_mut();
                grid.cursor.wraps = false;
                grid.reverse_feed();
            }
            ([], b'c') => self.reset(),
            ([b'('], _) => self.grid_mut().cursor.graphics[0] = byte == b'0',
            ([b')'], _) => self.grid_mut().cursor.graphics[1] = byte == b'0',
            _ => {}
        }
    }
}

/// A parameter's number; 0 when it is absent.
fn number(params: &Params, at: usize) -> u16 {
    let param = params.iter().nth(at);
    param.and_then(|p| p.first().copied()).unwrap_or(0)
}

fn go_to_column(grid: &mut Grid, col: u16) {
    grid.cursor.col = col.min(grid.cols() - 1);
    grid.cursor.wraps = false;
}

/// 0: from the cursor on, 1: up to and with it, 2: all of the line.
fn erase_line(grid: &mut Grid, how: u16) {
    let (col, style) = (usize::from(grid.cursor.col), grid.cursor.style.erased());
    let end = usize::from(grid.cols());
    match how {
        0 => grid.current().erase(col, end, style),
        1 => grid.current().erase(0, col + 1, style),
        2 => grid.current().erase(0, end, style),
        _ => {}
    }
}

/// Select graphic rendition. Colours come as `38;5;N`, `38;2;R;G;B`, and with colons, where an empty colour space may
/// stand before the three.
fn style(params: &Params, style: &mut Style) {
    let mut params = params.iter();
    while let Some(param) = params.next() {
        let code = param.first().copied().unwrap_or(0);
        match code {
            0 => *style = Style::default(),
            4 if param.get(1) == Some(&0) => {
                style.flags &= !(Style::UNDERLINE | Style::DOUBLE);
            }
            1..=9 => style.flags |= flag(code),
            21 => style.flags |= Style::DOUBLE,
            22 => style.flags &= !(Style::BOLD | Style::DIM),
            24 => style.flags &= !(Style::UNDERLINE | Style::DOUBLE),
            23 | 25 | 27..=29 => style.flags &= !flag(code - 20),
            30..=37 => style.foreground = indexed(code - 30),
            40..=47 => style.background = indexed(code - 40),
            90..=97 => style.foreground = indexed(code - 82),
            100..=107 => style.background = indexed(code - 92),
            39 => style.foreground = Color::Default,
            49 => style.background = Color::Default,
            38 | 48 | 58 => {
                let color = if param.len() > 1 {
                    color_of(&param[1..])
                } else {
                    let mut next = || params.next().and_then(|p| p.first().copied()).unwrap_or(0);
                    match next() {
                        5 => color_of(&[5, next()]),
                        2 => color_of(&[2, next(), next(), next()]),
                        _ => None,
                    }
                };
                match (code, color) {
                    (38, Some(color)) => style.foreground = color,
                    (48, Some(color)) => style.background = color,
                    // 58 is the underline's colour, which is not kept.
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// The flag that a code from 1 to 9 sets.
const fn flag(code: u16) -> u16 {
    match code {
        1 => Style::BOLD,
        2 => Style::DIM,
        3 => Style::ITALIC,
        4 => Style::UNDERLINE,
        5 | 6 => Style::BLINK,
        7 => Style::INVERSE,
        8 => Style::HIDDEN,
        9 => Style::STRIKE,
        _ => 0,
    }
}

fn indexed(index: u16) -> Color {
    u8::try_from(index).map_or(Color::Default, Color::Indexed)
}

fn color_of(parts: &[u16]) -> Option<Color> {
    let byte = |part: u16| u8::try_from(part).ok();
    match *parts {
        [5, index] => Some(Color::Indexed(byte(index)?)),
        [2, red, green, blue] | [2, _, red, green, blue, ..] => {
            Some(Color::Rgb(byte(red)?, byte(green)?, byte(blue)?))
        }
        _ => None,
    }
}

/// DEC special graphics, from `` ` `` to `~`.
fn line_graphic(character: char) -> char {
    const DRAWN: &str = "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·";
    let at = u32::from(character).checked_sub(u32::from('`'));
    at.and_then(|at| DRAWN.chars().nth(usize::try_from(at).ok()?))
        .unwrap_or(character)
}
