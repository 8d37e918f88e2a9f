//! Lines that scrolled off the top, kept as the text that repaints them: a line of cells would take sixteen times the
//! room, and a host is to be small.

use super::cell::Row;
use std::collections::VecDeque;

/// The most lines that are kept.
pub const MAX_LINES: usize = 2_000;
/// The most bytes that are kept, the lines' own administration included.
pub const MAX_BYTES: usize = 256 * 1024;
/// What a line takes besides its text: the vector's own fields.
const PER_LINE: usize = size_of::<Box<[u8]>>();

/// The lines above the screen.
#[derive(Debug, Default)]
pub(super) struct History {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// Reused for each line, so that a line is allocated once and with its very length.
    scratch: Vec<u8>,
}

impl History {
    pub fn push(&mut self, row: &Row) {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        row.write_styled(&mut scratch);
        self.bytes += scratch.len() + PER_LINE;
        self.lines.push_back(scratch.as_slice().into());
        self.scratch = scratch;
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(dropped) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= dropped.len() + PER_LINE;
        }
    }

    pub fn clear(&mut self) {
        self.lines.clear();
        self.bytes = 0;
    }

    /// The lines as they are painted, oldest first, without their ends.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(AsRef::as_ref)
    }

    /// Their text.
    pub fn texts(&self) -> impl Iterator<Item = String> {
        self.lines().map(plain)
    }

    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

/// What is left of a painted line without its styles. They are our own, so that every escape is `ESC [ … m`.
fn plain(line: &[u8]) -> String {
    let mut text = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(escape) = rest.iter().position(|byte| *byte == 0x1b) {
        text.extend_from_slice(&rest[..escape]);
        let end = rest[escape..].iter().position(|byte| *byte == b'm');
        rest = end.map_or(&[][..], |end| &rest[escape + end + 1..]);
    }
    text.extend_from_slice(rest);
    let mut text = String::from_utf8_lossy(&text).into_owned();
    text.truncate(text.trim_end_matches(' ').len());
    text
}
