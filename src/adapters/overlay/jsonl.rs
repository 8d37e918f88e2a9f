//! Joining two histories line by line.

use serde::Deserialize;
use std::collections::HashMap;

/// The largest history that is joined in memory; a larger one is treated like any other file.
pub(super) const MOST_BYTES: u64 = 128 * 1024 * 1024;

#[derive(Deserialize)]
struct Timed {
    timestamp: f64,
}

/// All lines of `ours`, and those of `theirs` that it lacks. In the order of their times where every line has one, else
/// theirs come last. A line that is there twice on one side stays there twice.
pub(super) fn join(ours: &[u8], theirs: &[u8]) -> Vec<u8> {
    let ours = lines(ours);
    let mut spare: HashMap<&[u8], usize> = HashMap::new();
    for line in &ours {
        *spare.entry(line).or_default() += 1;
    }
    let missing: Vec<&[u8]> = lines(theirs)
        .into_iter()
        .filter(|line| match spare.get_mut(line) {
            Some(count) if *count > 0 => {
                *count -= 1;
                false
            }
            _ => true,
        })
        .collect();
    let mut out = Vec::new();
    for line in in_order(&ours, &missing) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .collect()
}

fn in_order<'a>(ours: &[&'a [u8]], theirs: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let timed = |lines: &[&'a [u8]]| -> Option<Vec<(f64, &'a [u8])>> {
        let time = |line: &&'a [u8]| {
            let timed: Timed = serde_json::from_slice(line).ok()?;
            Some((timed.timestamp, *line))
        };
        lines.iter().map(time).collect()
    };
    let (Some(ours_timed), Some(theirs_timed)) = (timed(ours), timed(theirs)) else {
        return [ours, theirs].concat();
    };
    let mut all = [ours_timed, theirs_timed].concat();
    // Stable: lines of one time stay in the order they had.
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_lost_and_none_is_doubled() {
        let check = |ours: &str, theirs: &str, expected: &str| {
            let joined = join(ours.as_bytes(), theirs.as_bytes());
            assert_eq!(String::from_utf8_lossy(&joined), expected);
            let again = join(&joined, theirs.as_bytes());
            assert_eq!(joined, again, "once more changes nothing");
        };
        check("a\nb\n", "b\nc\n", "a\nb\nc\n");
        check("a\na\n", "a\na\na\n", "a\na\na\n");
        check("", "a", "a\n");
        check(
            "{\"timestamp\":1}\n{\"timestamp\":5}\n",
            "{\"timestamp\":3}\n{\"timestamp\":5}\n",
            "{\"timestamp\":1}\n{\"timestamp\":3}\n{\"timestamp\":5}\n",
        );
        check("{\"timestamp\":9}\n", "torn\n", "{\"timestamp\":9}\ntorn\n");
    }
}
