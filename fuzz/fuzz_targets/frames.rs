#![no_main]
//! Bytes between a pool's daemon and a slot's host, and the record that a host leaves.

use ccp::contract::proto::host::{Frames, FromHost, HostRecord, Launch, ToHost};
use libfuzzer_sys::fuzz_target;

// The first byte says how long the pieces are.
fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let _ = HostRecord::parse(bytes);
    let _ = Launch::parse(bytes);
    // Without a connection around it: most random lengths lead nowhere.
    if let Ok(message) = ToHost::decode(bytes) {
        let frame = message.encode();
        assert_eq!(ToHost::decode(&frame[4..]), Ok(message));
    }
    if let Ok(message) = FromHost::decode(bytes) {
        let frame = message.encode();
        assert_eq!(FromHost::decode(&frame[4..]), Ok(message));
    }
    let mut frames = Frames::default();
    for piece in bytes.chunks(size) {
        frames.push(piece);
        loop {
            match frames.next_frame() {
                Ok(Some(frame)) => {
                    let _ = (ToHost::decode(frame), FromHost::decode(frame));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
