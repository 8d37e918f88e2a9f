//! stub
use crate::core::transcript::{Capture, LastTurn, LastTurnReader, Wanted, is_record_of};
use std::io;
use std::path::Path;
/// stub
pub fn has_prompt(path: &Path, beyond: u64, typed: &str) -> io::Result<bool> {
    let all = std::fs::read(path)?;
    let from = usize::try_from(beyond).unwrap_or(0).min(all.len());
    Ok(all[from..].split(|b| *b == b'\n').any(|line| is_record_of(line, typed)))
}
/// stub
pub fn last_turn(path: &Path) -> io::Result<LastTurn> {
    let all = std::fs::read(path)?;
    let mut reader = LastTurnReader::default();
    for line in all.split(|b| *b == b'\n').rev() {
        if !reader.take(line) { break; }
    }
    Ok(reader.finish())
}
/// stub
pub fn capture(path: &Path, wanted: Wanted) -> io::Result<String> {
    let all = std::fs::read(path)?;
    let mut reader = Capture::new(wanted);
    for line in all.split(|b| *b == b'\n').rev() {
        if !reader.take(line) { break; }
    }
    Ok(reader.finish())
}
