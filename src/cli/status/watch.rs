//! `ccp status --plain --watch`: the table again whenever it says something else, until Ctrl-C.

use super::source::Source;
use super::{print, tell};
use crate::adapters::procs::interrupt::{Interrupts, Woken};
use crate::adapters::stamp;
use crate::cli::failure::{Failure, Outcome};
use crate::contract::exit;
use crate::tui::table::table;
use jiff::tz::TimeZone;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at the snapshot's file.
const STAMP_GAP: Duration = Duration::from_millis(250);
/// Ages and live sessions are brought up to date this often.
const LOOK_GAP: Duration = Duration::from_secs(1);

pub(super) fn run(source: &Source, snapshot: &Path, zone: &TimeZone, colour: bool) -> Outcome {
    let interrupts = Interrupts::catch()
        .map_err(|error| Failure::new(format!("cannot wait for Ctrl-C: {error}")))?;
    let mut shown = String::new();
    let mut problems: Vec<String> = Vec::new();
    loop {
        let seen = stamp::file_stamp(snapshot);
        let moment = source.look();
        let text = table(&moment, zone, colour);
        if moment.problems != problems || (shown.is_empty() && moment.status.accounts.is_empty()) {
            tell(&moment);
            problems.clone_from(&moment.problems);
        }
        if text != shown {
            let gap = if shown.is_empty() { "" } else { "\n" };
            print(&format!("{gap}{text}"))?;
            shown = text;
        }
        let looked_at = Instant::now();
        while looked_at.elapsed() < LOOK_GAP && stamp::file_stamp(snapshot) == seen {
            if interrupts.wait(None, STAMP_GAP) == Woken::Interrupted {
                return Ok(ended_by(&interrupts));
            }
        }
    }
}

/// Ctrl-C is how one stops watching; any other signal is reported as shells do.
fn ended_by(interrupts: &Interrupts) -> u8 {
    match interrupts.seen() {
        None | Some(exit::INTERRUPTED) => exit::OK,
        Some(code) => code,
    }
}
