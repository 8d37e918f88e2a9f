//! What makes another terminal show what this one shows, and behave as it does: what a person who attaches gets first.

use super::cell::Style;
use super::grid::{Cursor, Grid};
use super::terminal::Terminal;
use std::io::Write as _;

/// Ends whatever sequence was cut off, and what could keep the painting from being seen: synchronized output, the
/// alternate screen, a scrolling region, origin mode, insert mode, graphics instead of letters.
const CALM: &[u8] =
    b"\x18\x1b\\\x1b[?2026l\x1b[?1049l\x1b[m\x1b[r\x1b[?6l\x1b[4l\x1b[?7h\x1b(B\x1b)B\x0f\x1b[?25l";

/// The bytes. Nothing among them asks the terminal anything, names the window or touches the clipboard.
pub(super) fn repaint(terminal: &Terminal) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 * 1024);
    out.extend_from_slice(CALM);
    out.extend_from_slice(b"\x1b[H\x1b[2J");
    write_history(terminal, &mut out);
    write_grid(&terminal.main, &mut out);
    if let Some(alternate) = &terminal.alternate {
        write_cursor(&terminal.main, &mut out);
        out.extend_from_slice(b"\x1b[?1049h\x1b[r\x1b[?6l\x1b[m\x1b(B\x1b)B\x0f\x1b[H\x1b[2J");
        write_grid(alternate, &mut out);
    }
    terminal.modes.write(&mut out);
    // After the modes: one of them (origin) is the cursor's, and setting it moves it.
    write_cursor(terminal.grid(), &mut out);
    out
}

/// Lets the lines above the screen scroll through, so that the other terminal has them above its screen too.
fn write_history(terminal: &Terminal, out: &mut Vec<u8>) {
    let mut any = false;
    for line in terminal.history.lines() {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        any = true;
    }
    if any {
        out.resize(out.len() + usize::from(terminal.main.height()) - 1, b'\n');
        out.extend_from_slice(b"\x1b[H\x1b[2J");
    }
}

fn write_grid(grid: &Grid, out: &mut Vec<u8>) {
    for (at, row) in (1..).zip(&grid.rows) {
        if row.seen_length() > 0 {
            let _ = write!(out, "\x1b[{at}H");
            row.write_styled(out);
        }
    }
}

/// The region, the saved cursor, and the cursor itself.
fn write_cursor(grid: &Grid, out: &mut Vec<u8>) {
    if (grid.top, grid.bottom) != (0, grid.height() - 1) {
        let _ = write!(out, "\x1b[{};{}r", grid.top + 1, grid.bottom + 1);
    }
    if grid.saved != Cursor::default() {
        write_place(grid, &grid.saved, out);
        out.extend_from_slice(b"\x1b7");
    }
    write_place(grid, &grid.cursor, out);
}

fn write_place(grid: &Grid, cursor: &Cursor, out: &mut Vec<u8>) {
    let row = if cursor.is_origin {
        out.extend_from_slice(b"\x1b[?6h");
        cursor.row.saturating_sub(grid.top)
    } else {
        out.extend_from_slice(b"\x1b[?6l");
        cursor.row
    };
    let _ = write!(out, "\x1b[{};{}H", row + 1, cursor.col + 1);
    if cursor.wraps {
        // Only writing in the last column leaves a terminal about to wrap: the character there is written once more.
        let row = &grid.rows[usize::from(cursor.row.min(grid.height() - 1))];
        let end = row.cells.len();
        let wide = row.cells[end - 1].character == super::cell::Cell::TAIL;
        let from = end - 1 - usize::from(wide && end > 1);
        let _ = write!(out, "\x1b(B\x0f\x1b[{}G", from + 1);
        row.cells[from].style.write(out);
        let mut text = String::new();
        row.write_text(from, end, &mut text);
        out.extend_from_slice(text.as_bytes());
    }
    if cursor.style == Style::default() {
        out.extend_from_slice(b"\x1b[m");
    } else {
        cursor.style.write(out);
    }
    for (set, graphics) in [b'(', b')'].into_iter().zip(cursor.graphics) {
        out.extend_from_slice(&[0x1b, set, if graphics { b'0' } else { b'B' }]);
    }
    out.push(if cursor.shifted { 0x0e } else { 0x0f });
}
