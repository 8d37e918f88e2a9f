//! What a merge leaves for the next one: per shared key the hash of the value that both sides held, never the value.

use super::ids::IdMap;
use crate::core::hash;
use std::fmt::Write as _;

/// What both sides held after the last merge.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Merged {
    /// Fingerprint of what the base shared.
    pub fingerprint: u64,
    /// Hash of the account's identity, where it had one.
    pub identity: Option<u64>,
    /// Hash of the account's `firstStartTime`, where it had one.
    pub first_start: Option<u64>,
    /// The same of the base.
    pub base_first_start: Option<u64>,
    pub(super) values: IdMap<u64>,
}

/// First line of the text form; another version's is as if it were not there.
const HEAD: &str = "ccp merged 1";

/// How long a line of the text form is: two numbers.
const BYTES_OF_A_LINE: usize = 34;

impl Merged {
    /// The hash of the value that both sides held at `slot`.
    pub(super) fn get(&self, slot: u64) -> Option<u64> {
        self.values.get(&slot).copied()
    }

    pub(super) fn set(&mut self, slot: u64, value: u64) {
        self.values.insert(slot, value);
    }

    /// Makes room for so many more values.
    pub(super) fn reserve(&mut self, values: usize) {
        self.values.reserve(values);
    }

    /// The text form: hexadecimal numbers alone.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD}\nfingerprint {:x}\n", self.fingerprint);
        // Some thousand lines: room for them at once.
        text.reserve(self.values.len() * BYTES_OF_A_LINE);
        let named = [
            ("identity", self.identity),
            ("first-start", self.first_start),
            ("base-first-start", self.base_first_start),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                let _ = writeln!(text, "{name} {value:x}");
            }
        }
        let mut values: Vec<_> = self.values.iter().collect();
        values.sort_unstable();
        for (slot, value) in values {
            let _ = writeln!(text, "{slot:x} {value:x}");
        }
        let sum = hash::hash(text.as_bytes());
        let _ = writeln!(text, "end {sum:x}");
        text
    }

    /// Reads the text form; none when it is not whole.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.rfind("end ")?;
        let sum = u64::from_str_radix(text[end..].strip_prefix("end ")?.trim(), 16).ok()?;
        let mut lines = text[..end].lines();
        if lines.next()? != HEAD || sum != hash::hash(&text.as_bytes()[..end]) {
            return None;
        }
        let mut merged = Self::default();
        merged.reserve(end / BYTES_OF_A_LINE);
        for line in lines {
            let (name, value) = line.split_once(' ')?;
            let value = u64::from_str_radix(value, 16).ok()?;
            match name {
                "fingerprint" => merged.fingerprint = value,
                "identity" => merged.identity = Some(value),
                "first-start" => merged.first_start = Some(value),
                "base-first-start" => merged.base_first_start = Some(value),
                slot => merged.set(u64::from_str_radix(slot, 16).ok()?, value),
            }
        }
        Some(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_comes_back_and_half_of_it_does_not() {
        let mut merged = Merged {
            fingerprint: 7,
            identity: Some(u64::MAX),
            first_start: None,
            base_first_start: Some(0),
            ..Merged::default()
        };
        merged.set(1, 2);
        merged.set(u64::MAX, 0);
        let text = merged.to_text();
        assert_eq!(Merged::parse(&text), Some(merged));
        for end in 0..text.len() - 1 {
            assert_eq!(Merged::parse(&text[..end]), None, "cut at {end}");
        }
        assert_eq!(Merged::parse(&text.replace("merged 1", "merged 2")), None);
    }
}
