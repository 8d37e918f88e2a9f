//! The names of things: sessions, slots and the processes in them, commands to a host, replies that are owed.

use std::fmt;
use std::sync::Arc;

/// A session, for life. Printed as 12 lower-case hex characters, which is what clients see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// How many characters an id has.
    pub const CHARS: usize = 12;

    /// The id made of the lower 48 bits; random ones are the daemon's to draw.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & 0xffff_ffff_ffff)
    }

    /// From exactly 12 lower-case hex characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() != Self::CHARS || !plain {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }

    /// The lowest and the highest id that begin with `prefix`; none when no id can.
    pub(super) fn range(prefix: &str) -> Option<(Self, Self)> {
        let plain = prefix
            .bytes()
            .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if prefix.is_empty() || prefix.len() > Self::CHARS || !plain {
            return None;
        }
        let free = 4 * (Self::CHARS - prefix.len());
        let low = u64::from_str_radix(prefix, 16).ok()? << free;
        Some((Self(low), Self(low | ((1_u64 << free) - 1))))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// A slot's number, from 1; the name of its directory. Numbers of slots that left the pool are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub u32);

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which process of a slot: every process that the pool ever starts has a higher one than those before it. The host keeps
/// it in its record and says it on every connection, so that nothing meant for one process reaches the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// One process in one slot: what every message to and from a host is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The slot.
    pub slot: SlotId,
    /// Which of its processes.
    pub generation: Generation,
}

/// The number of a command that types, rising per process, with gaps. A host carries out each number once: one that is
/// not above the last it has done is answered as done, and not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DeliveryNumber(pub u64);

/// Names a client's pending reply. Whoever sends a request chooses it, and no two of a machine's life are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names a write that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// The id that claude itself gives a conversation (`session_id` of hooks, `sessionId` of its registry). Opaque.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaudeUuid(Arc<str>);

impl ClaudeUuid {
    /// As claude writes it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// As claude writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The id that claude gives one prompt (`prompt_id` of hooks), where its version has one. Opaque.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PromptId(Arc<str>);

impl PromptId {
    /// As claude writes it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

/// What a process was started from: the pool's flags and environment, and claude's resolved path, inode and modification
/// time, hashed by the daemon. Two processes with the same one are interchangeable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Build(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_is_twelve_lower_case_hex_characters() {
        let id = SessionId::parse("00ab12cd34ef").expect("valid");
        assert_eq!(id.to_string(), "00ab12cd34ef");
        for text in [
            "",
            "00ab12cd34e",
            "00ab12cd34eff",
            "00AB12CD34EF",
            "+0ab12cd34ef",
        ] {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
        assert_eq!(SessionId::from_bits(u64::MAX).to_string(), "ffffffffffff");
    }

    #[test]
    fn a_prefix_spans_the_ids_that_begin_with_it() {
        let (low, high) = SessionId::range("a1").expect("hex");
        assert_eq!(low.to_string(), "a10000000000");
        assert_eq!(high.to_string(), "a1ffffffffff");
        let (low, high) = SessionId::range("00ab12cd34ef").expect("hex");
        assert_eq!(low, high);
        for text in ["", "x", "A1", "00ab12cd34ef0"] {
            assert_eq!(SessionId::range(text), None, "{text}");
        }
    }
}
