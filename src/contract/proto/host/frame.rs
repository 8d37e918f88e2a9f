//! Frames: the length of what follows (4 bytes, big-endian), the length of the head (the same), the head as a JSON
//! object whose `is` names the message, and the body, raw bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// The longest frame, in bytes, its length not counted. A prompt of 16 MiB, which is as long as a request of a client
/// can be, fits.
pub const MAX_FRAME: usize = 32 * 1024 * 1024;
/// The length before a frame, and the one before its head.
const PREFIX: usize = 4;

/// Bytes that are not of this protocol. The connection cannot be used any further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Garbled {
    /// A frame announces more than [`MAX_FRAME`].
    TooLong(usize),
    /// The parts of a frame are not as long as they say.
    Short,
    /// The head is no message that is known.
    Unknown(String),
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong(length) => {
                write!(f, "a frame of {length} bytes is longer than {MAX_FRAME}")
            }
            Self::Short => f.write_str("a frame whose parts do not add up"),
            Self::Unknown(why) => write!(f, "a message that is not known: {why}"),
        }
    }
}

impl std::error::Error for Garbled {}

/// A message as a frame.
pub(super) fn encode(head: &impl Serialize, body: &[u8]) -> Vec<u8> {
    let head = serde_json::to_vec(head).expect("texts, numbers and lists have a JSON form");
    let mut frame = Vec::with_capacity(2 * PREFIX + head.len() + body.len());
    let lengths = [PREFIX + head.len() + body.len(), head.len()];
    for length in lengths {
        // What does not fit is refused by the reader, which takes far less.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        frame.extend_from_slice(&length.to_be_bytes());
    }
    frame.extend_from_slice(&head);
    frame.extend_from_slice(body);
    frame
}

/// Head and body of a frame, its first length left out.
pub(super) fn decode<T: DeserializeOwned>(frame: &[u8]) -> Result<(T, &[u8]), Garbled> {
    let (length, rest) = frame.split_first_chunk().ok_or(Garbled::Short)?;
    let (head, body) = usize::try_from(u32::from_be_bytes(*length))
        .ok()
        .and_then(|length| rest.split_at_checked(length))
        .ok_or(Garbled::Short)?;
    let message = serde_json::from_slice(head).map_err(|e| Garbled::Unknown(e.to_string()))?;
    Ok((message, body))
}

/// Bytes as they come from a connection, cut into frames.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: Vec<u8>,
    /// Bytes of the buffer that were handed out.
    taken: usize,
}

impl Frames {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame, for [`super::ToHost::decode`] or [`super::FromHost::decode`]; none while it is not whole.
    ///
    /// # Errors
    /// When it announces more than fits; the connection is to be closed.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, Garbled> {
        let rest = &self.buffer[self.taken..];
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME {
            return Err(Garbled::TooLong(length));
        }
        let Some(frame) = rest.get(..length) else {
            return Ok(None);
        };
        self.taken += PREFIX + length;
        if self.taken == self.buffer.len() && self.buffer.capacity() > 64 * 1024 {
            // A large one is not kept for as long as the connection lives.
            let frame = frame.to_vec();
            self.buffer = frame;
            self.taken = length;
            return Ok(Some(&self.buffer));
        }
        Ok(Some(&self.buffer[self.taken - length..self.taken]))
    }

    #[cfg(test)]
    pub(super) fn set_aside(&self) -> usize {
        self.buffer.capacity()
    }

    /// Bytes that are waiting for the rest of their frame.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.taken
    }
}

/// For the bytes of a step: in the head stands how many they are, in the body stand they.
pub(super) mod length {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(bytes.len() as u64)
    }

    /// The number's own bytes: nothing is set aside before the body is known to be as long.
    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        u64::deserialize(deserializer).map(|length| length.to_be_bytes().to_vec())
    }

    /// The number that is kept in the place of the bytes.
    pub(in super::super) fn read(kept: &[u8]) -> Option<usize> {
        let number = u64::from_be_bytes(kept.try_into().ok()?);
        usize::try_from(number).ok()
    }
}
