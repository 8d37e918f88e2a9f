//! The corpus of `fuzz/`, and what becomes of it when bytes are changed, taken out, doubled or joined: a short run of the
//! same questions that libFuzzer asks, for machines without it.

use ccp::contract::pool::{Line, Lines, Request, import};
use ccp::contract::proto::host::{Frames, FromHost, HostRecord, Launch, ToHost};
use std::fs;
use std::path::Path;

const ROUNDS: u32 = 20_000;

/// Numbers that are the same in every run.
struct Chooser(u64);

impl Chooser {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % bound.max(1)
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries = fs::read_dir(&dir).expect("the corpus is in the tree");
    let mut paths: Vec<_> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() > 2, "{name}");
    let read = |path| fs::read(path).expect("reads");
    paths.into_iter().map(read).collect()
}

fn mutated(all: &[Vec<u8>], chooser: &mut Chooser) -> Vec<u8> {
    const ODD: &[u8] = b"\0\xff\"{}[]\\,:-0e9\n\r \x80";
    let mut bytes = all[chooser.below(all.len())].clone();
    for _ in 0..=chooser.below(4) {
        let at = chooser.below(bytes.len());
        match chooser.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << chooser.below(8),
            1 if !bytes.is_empty() => bytes[at] = ODD[chooser.below(ODD.len())],
            2 => bytes.insert(at, ODD[chooser.below(ODD.len())]),
            3 => bytes.truncate(at),
            4 => {
                let end = (at + chooser.below(20)).min(bytes.len());
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => bytes.extend_from_slice(&all[chooser.below(all.len())]),
        }
    }
    bytes
}

fn each(name: &str, mut check: impl FnMut(&[u8])) {
    let all = corpus(name);
    all.iter().for_each(|bytes| check(bytes));
    let mut chooser = Chooser(0x9e37_79b9_7f4a_7c15);
    for _ in 0..ROUNDS {
        check(&mutated(&all, &mut chooser));
    }
}

#[test]
fn a_changed_request_is_read_or_refused_in_one_line() {
    let (mut read, mut refused) = (0, 0);
    each("request", |line| {
        let _ = import(line);
        match Request::parse(line) {
            Ok(_) => read += 1,
            Err(no) => {
                refused += 1;
                let reply = no.error.line(no.id.as_ref());
                assert_eq!(reply.find('\n'), Some(reply.len() - 1), "{reply}");
                serde_json::from_str::<serde_json::Value>(&reply).expect("a reply is JSON");
            }
        }
    });
    assert!(read > 100 && refused > 100, "{read} {refused}");
}

#[test]
fn changed_bytes_are_the_same_lines_in_pieces_of_any_size() {
    let lines = |bytes: &[u8], size: usize| {
        let (mut lines, mut read) = (Lines::of_requests(), Vec::new());
        for piece in bytes.chunks(size) {
            lines.push(piece);
            read.extend(std::iter::from_fn(|| lines.next()));
        }
        read
    };
    each("lines", |bytes| {
        let whole = lines(bytes, bytes.len().max(1));
        for size in [1, 3, 17] {
            assert_eq!(lines(bytes, size), whole);
        }
        let is_full = |line: &Line| matches!(line, Line::Text(t) if !t.trim_ascii().is_empty());
        assert!(whole.iter().all(is_full));
    });
}

#[test]
fn a_changed_frame_is_read_as_what_it_says_or_refused() {
    let mut read = 0;
    each("frames", |input| {
        let Some((size, bytes)) = input.split_first() else {
            return;
        };
        let _ = (HostRecord::parse(bytes), Launch::parse(bytes));
        if let Ok(message) = ToHost::decode(bytes) {
            assert_eq!(ToHost::decode(&message.encode()[4..]), Ok(message));
            read += 1;
        }
        if let Ok(message) = FromHost::decode(bytes) {
            assert_eq!(FromHost::decode(&message.encode()[4..]), Ok(message));
            read += 1;
        }
        let mut frames = Frames::default();
        for piece in bytes.chunks(usize::from(*size).max(1)) {
            frames.push(piece);
            while let Ok(Some(frame)) = frames.next_frame() {
                let _ = (ToHost::decode(frame), FromHost::decode(frame));
            }
        }
    });
    assert!(read > 100, "{read}");
}
