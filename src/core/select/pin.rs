//! Stickiness: a launch from a directory goes on with the account used there last, as long as that makes sense.

use super::score::Assessment;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::time::Duration;

/// How long an automatic pin outlives the last activity in its directory: prompt caches are warm about that long.
pub const AUTO_PIN_TTL: Duration = Duration::from_secs(3600);
/// An automatic pin needs this much raw headroom (percent) in the five-hour window.
pub const AUTO_PIN_HEADROOM: f64 = 10.0;

/// One trace of activity in the directory that is launched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Whose.
    pub account: AccountId,
    /// The last sign of life.
    pub at: Timestamp,
    /// The session still runs, or its reservation still stands.
    pub live: bool,
    /// It ranked freely beside a live session, and so does not move the pin.
    pub beside: bool,
}

/// What the past of a directory says about the next launch from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Past {
    /// The standing order of the person, if there is one.
    pub manual: Option<AccountId>,
    /// The account used there last, within the hour.
    pub auto: Option<AccountId>,
    /// A session is live there now: a new one ranks freely and does not move the automatic pin.
    pub parallel: bool,
}

impl Past {
    /// Reads the past from a manual pin and the traces of activity in this directory.
    #[must_use]
    pub fn read(manual: Option<AccountId>, activity: &[Activity], now: Timestamp) -> Self {
        let recent = |a: &&Activity| a.live || now.since(a.at) <= AUTO_PIN_TTL;
        let auto = activity
            .iter()
            .filter(|a| !a.beside)
            .filter(recent)
            .max_by_key(|a| (a.live, a.at, a.account))
            .map(|a| a.account);
        Self {
            manual,
            auto,
            parallel: activity.iter().any(|a| a.live),
        }
    }
}

/// How the pins of a directory bear on a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// None: rank freely.
    Free,
    /// The manual pin binds.
    Manual(AccountId),
    /// The automatic pin binds.
    Auto(AccountId),
    /// The manual pin's account cannot serve now: rank freely, keep the pin, say so.
    Bypassed(AccountId),
    /// A rule lets others serve here, not the manual pin's account: rank those, keep the pin, say so.
    Barred(AccountId),
    /// The automatic pin's account is too full or out of service: the new winner takes the pin.
    Abandoned(AccountId),
    /// A session is live in this directory: rank freely, leave the pin where it is.
    Beside(AccountId),
}

/// Decides which pin binds, given how the accounts stand.
#[must_use]
pub fn resolve(past: &Past, assessments: &[Assessment]) -> Pin {
    let find = |id: AccountId| assessments.iter().find(|a| a.id == id);
    if let Some(id) = past.manual {
        // A pin on an account that is gone is nobody's: it is cleaned up where accounts are removed.
        match find(id) {
            Some(a) if a.available() => return Pin::Manual(id),
            Some(_) => return Pin::Bypassed(id),
            None => {}
        }
    }
    let Some(id) = past.auto else {
        return Pin::Free;
    };
    if past.parallel {
        return Pin::Beside(id);
    }
    match find(id) {
        Some(a) if a.available() && a.terms.raw_5h >= AUTO_PIN_HEADROOM => Pin::Auto(id),
        Some(_) => Pin::Abandoned(id),
        None => Pin::Free,
    }
}
