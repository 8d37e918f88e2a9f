//! What a running claude says about itself: the session file it keeps for its process, and the reports of its hooks.
//! Both are another program's text, read leniently: a value that is missing or of another type is absent, never an
//! error, and a word that is new is kept as it is. Where the texts come from is not known here.

mod hook;
mod session_file;

pub use hook::{EndReason, HookReport, Reported, SessionSource, TurnError, UnreadableReport};
pub use session_file::{Kind, Readiness, SessionFile, Unreadable};

use serde_json::Value;

/// The text under a key; none where it is missing, empty or no text.
fn text(value: &Value, key: &str) -> Option<String> {
    value[key]
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}
