//! A simulated claude: a box, a conversation, turns, a registry file, hooks; measured behaviour, without a screen.

use crate::core::pool::event::{InBox, Inspection};
use crate::core::pool::id::ClaudeUuid;
use crate::core::pool::status::Readiness;
use crate::core::time::Timestamp;

/// A turn that is under way.
#[derive(Clone, Debug)]
pub(super) struct Working {
    pub(super) text: String,
    pub(super) prompt_id: u64,
    /// Tells it from others when its end comes.
    pub(super) number: u64,
    /// Something was said already: an interrupt does not bring the text back.
    pub(super) said: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Claude {
    pub(super) uuid: ClaudeUuid,
    pub(super) ready: bool,
    pub(super) in_box: String,
    pub(super) rewind: bool,
    pub(super) escaped_at: Option<Timestamp>,
    pub(super) working: Option<Working>,
    /// The registry file, as it lies there.
    pub(super) readiness: Readiness,
    pub(super) since: Timestamp,
    pub(super) written_uuid: Option<ClaudeUuid>,
    pub(super) model: String,
    /// A conversation is being brought back.
    pub(super) resuming: bool,
}

impl Claude {
    pub(super) fn new(uuid: ClaudeUuid) -> Self {
        Self {
            uuid,
            ready: false,
            in_box: String::new(),
            rewind: false,
            escaped_at: None,
            working: None,
            readiness: Readiness::Starting,
            since: Timestamp::default(),
            written_uuid: None,
            model: "sonnet".to_owned(),
            resuming: false,
        }
    }

    pub(super) fn write(&mut self, readiness: Readiness, now: Timestamp) {
        if self.readiness != readiness {
            self.readiness = readiness;
            self.since = now;
        }
        self.written_uuid = Some(self.uuid.clone());
    }

    pub(super) fn inspect(&self, ours: Option<&str>) -> Inspection {
        let in_box = if self.rewind {
            InBox::Hidden
        } else if self.in_box.is_empty() {
            InBox::Nothing
        } else if ours == Some(self.in_box.as_str()) {
            InBox::Ours
        } else {
            InBox::Else
        };
        Inspection {
            readiness: self.readiness.clone(),
            since: self.since,
            uuid: self.written_uuid.clone(),
            in_box,
            rewind: self.rewind,
        }
    }
}
