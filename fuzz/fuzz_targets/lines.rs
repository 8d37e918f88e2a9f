#![no_main]
//! Bytes of a connection, which arrive in pieces of any size.

use ccp::contract::pool::{Line, Lines};
use libfuzzer_sys::fuzz_target;

fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<Line> {
    let mut lines = Lines::of_requests();
    let mut read = Vec::new();
    for piece in pieces {
        lines.push(&piece);
        while let Some(line) = lines.next() {
            read.push(line);
        }
    }
    read
}

// The first byte says how long the pieces are.
fuzz_target!(|input: &[u8]| {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    let whole = read(std::iter::once(bytes.to_vec()));
    let pieces = read(bytes.chunks(size).map(<[u8]>::to_vec));
    assert_eq!(whole, pieces);
    for line in whole {
        let Line::Text(text) = line else {
            panic!("it is not that long");
        };
        assert!(!text.trim_ascii().is_empty() && !text.contains(&b'\n'));
    }
});
