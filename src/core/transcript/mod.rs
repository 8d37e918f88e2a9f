//! A session's transcript: JSONL that claude appends to, one record a line. From records to turns, from turns to what a
//! client asked for. Lines come from the END of the file, last one first, so that an answer costs what the answer needs;
//! who reads them is not known here.
//!
//! The text is another program's, and changes with its versions (seen: 2.1.197, 2.1.329). Nothing in it is an error: a
//! line that is no record is passed over.

mod capture;
mod last_turn;
mod opening;
mod place;
mod record;

#[cfg(test)]
mod tests;

pub use capture::{Capture, Detail, Part, Wanted, shown};
pub use last_turn::{ApiFailure, LastTurn, LastTurnReader};
pub use opening::OpeningReader;
pub use place::project_dir_name;

use record::Record;

/// Whether this line is the record of a prompt that was typed as `typed`.
#[must_use]
pub fn is_record_of(line: &[u8], typed: &str) -> bool {
    let text = String::from_utf8_lossy(line);
    let Some(record) = Record::parse(&text) else {
        return false;
    };
    // Queued while a turn ran, a prompt is first written down as such.
    let seen = record.prompt_text().or_else(|| record.queued_text());
    seen.is_some_and(|seen| super::prompt::same_prompt(typed, &seen))
}

/// The organisation whose credential is used from this line on, where the line says so (2.1.329 notes each change).
#[must_use]
pub fn organization_in(line: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(line);
    if !text.contains("credential_org") {
        return None;
    }
    let attachment = Record::parse(&text)?.object("attachment")?;
    let is_one = attachment.text("type").as_deref() == Some("credential_org");
    attachment.text("organizationUuid").filter(|_| is_one)
}
