//! Rows and a cursor: what the alternate screen has as well as the usual one.

use super::cell::{Cell, Row, Style};
use super::history::History;
use std::collections::VecDeque;

/// Where the next character goes, and how it will look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    pub row: u16,
    pub col: u16,
    pub style: Style,
    /// The last column is written, and the next character begins a new line.
    pub wraps: bool,
    /// Places are counted from the top of the scrolling region.
    pub is_origin: bool,
    /// Whether each of the two character sets is the one of line graphics, and which of the two is in use.
    pub graphics: [bool; 2],
    pub shifted: bool,
}

/// A screen of rows.
#[derive(Debug)]
pub(super) struct Grid {
    pub rows: VecDeque<Row>,
    pub cursor: Cursor,
    pub saved: Cursor,
    /// The scrolling region, both inclusive.
    pub top: u16,
    pub bottom: u16,
    cols: u16,
    /// Whether what leaves at the top is kept.
    keeps: bool,
}

impl Grid {
    pub fn new(cols: u16, rows: u16, keeps: bool) -> Self {
        Self {
            rows: (0..rows)
                .map(|_| Row::blank(cols, Style::default()))
                .collect(),
            cursor: Cursor::default(),
            saved: Cursor::default(),
            top: 0,
            bottom: rows - 1,
            cols,
            keeps,
        }
    }

    pub const fn cols(&self) -> u16 {
        self.cols
    }

    pub fn height(&self) -> u16 {
        u16::try_from(self.rows.len()).unwrap_or(u16::MAX)
    }

    pub fn row(&mut self, at: u16) -> &mut Row {
        &mut self.rows[usize::from(at)]
    }

    /// The row the cursor is in.
    pub fn current(&mut self) -> &mut Row {
        let at = self.cursor.row;
        self.row(at)
    }

    /// Puts one character of this width (1 or 2) at the cursor.
    pub fn put(&mut self, character: char, width: u16, inserts: bool, history: &mut History) {
        if self.cursor.col + width > self.cols {
            self.cursor.wraps = true;
        }
        if self.cursor.wraps {
            self.cursor.wraps = false;
            self.cursor.col = 0;
            self.line_feed(history);
        }
        if width > self.cols {
            return;
        }
        let (col, style, cols) = (self.cursor.col, self.cursor.style, self.cols);
        if inserts {
            self.insert_blanks(width);
        }
        let row = self.current();
        let at = usize::from(col);
        row.split_wide(at);
        row.split_wide(at + usize::from(width));
        row.cells[at] = Cell { character, style };
        row.drop_marks(col);
        if width == 2 {
            row.cells[at + 1] = Cell {
                character: Cell::TAIL,
                style,
            };
            row.drop_marks(col + 1);
        }
        if col + width >= cols {
            self.cursor.col = cols - 1;
            self.cursor.wraps = true;
        } else {
            self.cursor.col = col + width;
        }
    }

    /// Puts printable ASCII from the cursor on, wrapping at the end of a line.
    pub fn put_run(&mut self, ascii: &[u8], history: &mut History) {
        let mut rest = ascii;
        while !rest.is_empty() {
            if self.cursor.wraps {
                self.cursor.wraps = false;
                self.cursor.col = 0;
                self.line_feed(history);
            }
            let (col, style, cols) = (self.cursor.col, self.cursor.style, self.cols);
            let (from, room) = (usize::from(col), usize::from(cols - col));
            let (now, later) = rest.split_at(rest.len().min(room));
            let to = from + now.len();
            let row = self.current();
            row.split_wide(from);
            row.split_wide(to);
            for (cell, byte) in row.cells[from..to].iter_mut().zip(now) {
                *cell = Cell {
                    character: char::from(*byte),
                    style,
                };
            }
            row.drop_marks_in(from..to);
            if to >= usize::from(cols) {
                self.cursor.col = cols - 1;
                self.cursor.wraps = true;
            } else {
                self.cursor.col = col + u16::try_from(now.len()).unwrap_or(0);
            }
            rest = later;
        }
    }

    /// Adds a mark to the character before the cursor.
    pub fn mark(&mut self, mark: char) {
        let mut col = self.cursor.col;
        if !self.cursor.wraps {
            let Some(before) = col.checked_sub(1) else {
                return;
            };
            col = before;
        }
        let row = self.current();
        if col > 0 && row.cells[usize::from(col)].character == Cell::TAIL {
            col -= 1;
        }
        row.add_mark(col, mark);
    }

    /// Down one line, scrolling at the bottom of the region.
    pub fn line_feed(&mut self, history: &mut History) {
        if self.cursor.row == self.bottom {
            self.scroll_up(1, history);
        } else if self.cursor.row + 1 < self.height() {
            self.cursor.row += 1;
        }
    }

    /// Up one line, scrolling at the top of the region.
    pub fn reverse_feed(&mut self) {
        if self.cursor.row == self.top {
            self.scroll_down(1);
        } else {
            self.cursor.row = self.cursor.row.saturating_sub(1);
        }
    }

    /// Moves the region's lines up.
    pub fn scroll_up(&mut self, lines: u16, history: &mut History) {
        let style = self.cursor.style.erased();
        for _ in 0..lines.min(self.bottom - self.top + 1) {
            let Some(mut row) = self.rows.remove(usize::from(self.top)) else {
                return;
            };
            if self.keeps && self.top == 0 {
                history.push(&row);
            }
            row.clear(style);
            self.rows.insert(usize::from(self.bottom), row);
        }
    }

    /// Moves the region's lines down.
    pub fn scroll_down(&mut self, lines: u16) {
        self.shift_down(self.top, lines);
    }

    /// Puts blank lines in at the cursor; the lowest of the region are lost.
    pub fn insert_lines(&mut self, lines: u16) {
        if (self.top..=self.bottom).contains(&self.cursor.row) {
            self.shift_down(self.cursor.row, lines);
            self.begin_line();
        }
    }

    fn shift_down(&mut self, from: u16, lines: u16) {
        let style = self.cursor.style.erased();
        for _ in 0..lines.min(self.bottom - from + 1) {
            if let Some(mut row) = self.rows.remove(usize::from(self.bottom)) {
                row.clear(style);
                self.rows.insert(usize::from(from), row);
            }
        }
    }

    /// Takes lines out at the cursor; blank ones come in at the bottom of the region.
    pub fn delete_lines(&mut self, lines: u16) {
        if !(self.top..=self.bottom).contains(&self.cursor.row) {
            return;
        }
        let style = self.cursor.style.erased();
        for _ in 0..lines.min(self.bottom - self.cursor.row + 1) {
            if let Some(mut row) = self.rows.remove(usize::from(self.cursor.row)) {
                row.clear(style);
                self.rows.insert(usize::from(self.bottom), row);
            }
        }
        self.begin_line();
    }

    /// Puts the cursor at the beginning of its line.
    pub const fn begin_line(&mut self) {
        self.cursor.col = 0;
        self.cursor.wraps = false;
    }

    /// Moves the rest of the line right.
    pub fn insert_blanks(&mut self, count: u16) {
        let (at, style) = (usize::from(self.cursor.col), self.cursor.style.erased());
        let row = self.current();
        let count = usize::from(count).min(row.cells.len() - at);
        row.split_wide(at);
        row.split_wide(row.cells.len() - count);
        row.cells[at..].rotate_right(count);
        row.cells[at..at + count].fill(Cell::blank(style));
        row.marks.retain(|(place, _)| usize::from(*place) < at);
    }

    /// Moves the rest of the line left.
    pub fn delete_characters(&mut self, count: u16) {
        let (at, style) = (usize::from(self.cursor.col), self.cursor.style.erased());
        let row = self.current();
        let length = row.cells.len();
        let count = usize::from(count).min(length - at);
        row.split_wide(at);
        row.split_wide(at + count);
        row.cells[at..].rotate_left(count);
        row.cells[length - count..].fill(Cell::blank(style));
        row.marks.retain(|(place, _)| usize::from(*place) < at);
    }

    /// Erases whole lines.
    pub fn erase_lines(&mut self, from: u16, to: u16) {
        let style = self.cursor.style.erased();
        for row in self
            .rows
            .range_mut(usize::from(from)..usize::from(to.min(self.height())))
        {
            row.clear(style);
        }
    }

    /// Puts the cursor somewhere, counted from 0, within what there is.
    pub fn go(&mut self, row: u16, col: u16) {
        let (first, last) = if self.cursor.is_origin {
            (self.top, self.bottom)
        } else {
            (0, self.height() - 1)
        };
        self.cursor.row = row.saturating_add(first).min(last);
        self.cursor.col = col.min(self.cols - 1);
        self.cursor.wraps = false;
    }

    /// Moves the cursor up or down, stopping at the region when it begins inside it.
    pub fn go_vertically(&mut self, down: i32) {
        let row = i32::from(self.cursor.row);
        let (top, bottom) = (i32::from(self.top), i32::from(self.bottom));
        let low = if row >= top { top } else { 0 };
        let high = if row <= bottom {
            bottom
        } else {
            i32::from(self.height()) - 1
        };
        let row = (row + down).clamp(low, high);
        self.cursor.row = u16::try_from(row).unwrap_or(0);
        self.cursor.wraps = false;
    }

    /// Changes the size. Lines are cut or filled up, not wrapped anew: what draws on a terminal draws again.
    pub fn resize(&mut self, cols: u16, rows: u16, history: &mut History) {
        for row in &mut self.rows {
            row.split_wide(usize::from(cols));
            row.cells
                .resize(usize::from(cols), Cell::blank(Style::default()));
            row.marks.retain(|(at, _)| *at < cols);
        }
        while self.rows.len() > usize::from(rows) {
            let last = self.rows.len() - 1;
            if usize::from(self.cursor.row) < last && self.rows[last].seen_length() == 0 {
                self.rows.pop_back();
            } else if let Some(row) = self.rows.pop_front() {
                if self.keeps {
                    history.push(&row);
                }
                self.cursor.row = self.cursor.row.saturating_sub(1);
                self.saved.row = self.saved.row.saturating_sub(1);
            }
        }
        while self.rows.len() < usize::from(rows) {
            self.rows.push_back(Row::blank(cols, Style::default()));
        }
        self.cols = cols;
        self.top = 0;
        self.bottom = rows - 1;
        for cursor in [&mut self.cursor, &mut self.saved] {
            cursor.row = cursor.row.min(rows - 1);
            cursor.col = cursor.col.min(cols - 1);
            cursor.wraps = false;
        }
    }
}
