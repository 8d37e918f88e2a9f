//! A sample as a session or a pool hands it in: one JSON object, on the daemon's socket or as a file in `inbox/`.

use super::snapshot::{ExtraEntry, SampleEntry, WindowEntry};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::Sample;
use serde::{Deserialize, Serialize};

/// What somebody measured of an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The account's number.
    pub account: u16,
    /// The person's account at the service, where the reporter knows it: a report of another one is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_uuid: Option<String>,
    /// When it was measured, in milliseconds since the Unix epoch.
    pub measured_at_ms: i64,
    /// Name of the source: `live`, `claude`, `oauth`.
    pub source: String,
    /// The windows; empty when only a limit is reported.
    #[serde(default)]
    pub windows: Vec<WindowEntry>,
    /// Paid use beyond the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<ExtraEntry>,
    /// A session was refused by the plan limit; until when, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_until_ms: Option<i64>,
}

impl Report {
    /// The account; none when the number is no account's.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        AccountId::new(self.account)
    }

    /// The sample in it; none when no window is of use.
    #[must_use]
    pub fn sample(&self) -> Option<Sample> {
        let entry = SampleEntry {
            measured_at_ms: self.measured_at_ms,
            source: self.source.clone(),
            windows: self.windows.clone(),
            extra: self.extra.clone(),
        };
        entry.to_sample().filter(|s| !s.windows.is_empty())
    }

    /// When it was measured.
    #[must_use]
    pub const fn measured_at(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.measured_at_ms)
    }
}
