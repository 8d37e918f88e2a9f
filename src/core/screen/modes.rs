//! Switches of a terminal that a program leaves on for what comes later: a repaint has to set them again.

use std::io::Write as _;

/// The private modes (DECSET) that are kept, with whether a terminal begins with them on.
///
/// Left out on purpose: 2026 (output is withheld until it is switched off again) and 47, 1047, 1049 (which screen is
/// shown; that is painted).
const PRIVATE: &[(u16, bool)] = &[
    (1, false),    // cursor keys send application sequences
    (7, true),     // lines wrap
    (9, false),    // mouse: presses, as the X10 did
    (12, false),   // the cursor blinks
    (25, true),    // the cursor is shown
    (45, false),   // backspace wraps
    (66, false),   // the keypad sends application sequences
    (1000, false), // mouse: presses and releases
    (1002, false), // mouse: drags too
    (1003, false), // mouse: every move
    (1004, false), // focus is reported
    (1005, false), // mouse places in UTF-8
    (1006, false), // mouse places as numbers
    (1007, false), // the wheel sends cursor keys
    (1015, false), // mouse places as urxvt has them
    (1016, false), // mouse places in pixels
    (2004, false), // what is pasted is bracketed
    (2031, false), // changes of the colour scheme are reported
    (2048, false), // changes of the size are reported
];

/// Programs nest keyboard protocols a level or two deep.
const MAX_KEYBOARDS: usize = 16;

/// The switches as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Modes {
    private: Vec<bool>,
    /// Characters push the rest of the line right.
    pub inserts: bool,
    /// The keypad sends application sequences (DECKPAM).
    keypad: bool,
    /// The shape of the cursor, as DECSCUSR numbers it.
    pub cursor_shape: u16,
    /// xterm's modifyOtherKeys; 0 is off.
    pub other_keys: u16,
    /// Flags of the kitty keyboard protocol, innermost last.
    keyboards: Vec<u16>,
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            private: PRIVATE.iter().map(|(_, begins_on)| *begins_on).collect(),
            inserts: false,
            keypad: false,
            cursor_shape: 0,
            other_keys: 0,
            keyboards: Vec::new(),
        }
    }
}

impl Modes {
    pub fn set(&mut self, mode: u16, on: bool) {
        if let Some(at) = PRIVATE.iter().position(|(number, _)| *number == mode) {
            self.private[at] = on;
        }
    }

    pub const fn set_keypad(&mut self, on: bool) {
        self.keypad = on;
    }

    fn is_set(&self, mode: u16) -> bool {
        let at = PRIVATE.iter().position(|(number, _)| *number == mode);
        at.is_some_and(|at| self.private[at])
    }

    pub fn wraps(&self) -> bool {
        self.is_set(7)
    }

    pub fn push_keyboard(&mut self, flags: u16) {
        if self.keyboards.len() == MAX_KEYBOARDS {
            self.keyboards.remove(0);
        }
        self.keyboards.push(flags);
    }

    pub fn pop_keyboards(&mut self, count: u16) {
        let left = self.keyboards.len().saturating_sub(usize::from(count));
        self.keyboards.truncate(left);
    }

    /// `CSI = flags ; how u`: 1 replaces, 2 adds, 3 takes away.
    pub fn change_keyboard(&mut self, flags: u16, how: u16) {
        let now = self.keyboards.pop().unwrap_or(0);
        self.keyboards.push(match how {
            2 => now | flags,
            3 => now & !flags,
            _ => flags,
        });
    }

    /// Sets every switch, whatever it was before.
    pub fn write(&self, out: &mut Vec<u8>) {
        for ((number, _), on) in PRIVATE.iter().zip(&self.private) {
            let _ = write!(out, "\x1b[?{number}{}", if *on { 'h' } else { 'l' });
        }
        let _ = write!(out, "\x1b[4{}", if self.inserts { 'h' } else { 'l' });
        let _ = write!(out, "\x1b{}", if self.keypad { '=' } else { '>' });
        let _ = write!(out, "\x1b[{} q", self.cursor_shape);
        if self.other_keys == 0 {
            out.extend_from_slice(b"\x1b[>4m");
        } else {
            let _ = write!(out, "\x1b[>4;{}m", self.other_keys);
        }
        let _ = write!(out, "\x1b[<{MAX_KEYBOARDS}u");
        for flags in &self.keyboards {
            let _ = write!(out, "\x1b[>{flags}u");
        }
    }
}
