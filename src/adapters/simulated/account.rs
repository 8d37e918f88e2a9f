//! A simulated account: who it is, how much of its windows is used, and how its usage report spells a reset.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::time::Millis;

/// Who an account is. `new` derives everything from a name; change what the test is about.
#[derive(Clone, Debug)]
pub struct AccountSpec {
    /// What the caller calls the account; the key of every other call.
    pub name: String,
    /// The address shown by `claude auth status`.
    pub email: String,
    /// The account's uuid.
    pub uuid: String,
    /// The organisation's uuid: the second half of the identity.
    pub organization_uuid: String,
    /// The organisation's name.
    pub organization_name: String,
    /// The plan: `max`, `pro`, `team` or `enterprise`.
    pub subscription: String,
    /// The plan's rate limit tier.
    pub rate_limit_tier: String,
}

impl AccountSpec {
    /// A Max account called `name`, with an address and uuids made from it.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            email: format!("{name}@example.test"),
            uuid: uuid_from(&format!("account {name}")),
            organization_uuid: uuid_from(&format!("organization {name}")),
            organization_name: format!("{name}'s organization"),
            subscription: "max".to_owned(),
            rate_limit_tier: "default_claude_max_20x".to_owned(),
        }
    }

    /// The identity as Claude Code writes it into `.claude.json`.
    #[must_use]
    pub fn oauth_account(&self) -> Value {
        json!({
            "accountUuid": self.uuid,
            "emailAddress": self.email,
            "organizationUuid": self.organization_uuid,
            "organizationName": self.organization_name,
            "organizationRole": "admin",
            "workspaceRole": null,
            "displayName": self.name,
            "hasExtraUsageEnabled": false,
            "billingType": "stripe_subscription",
        })
    }
}

/// A version-4-shaped uuid that is always the same for the same text.
fn uuid_from(text: &str) -> String {
    let mut bytes: Vec<u8> = Sha256::digest(text.as_bytes())
        .iter()
        .copied()
        .take(16)
        .collect();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

/// A login: what Claude Code would keep in `.credentials.json`. Made up, but treated as the secret it imitates.
#[derive(Clone)]
pub struct AccountTokens {
    /// Bearer of the API.
    pub access: String,
    /// Good for one renewal.
    pub refresh: String,
    /// When the access token ends, milliseconds since the epoch.
    pub expires_at: Millis,
}

impl fmt::Debug for AccountTokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "AccountTokens(hidden, expires_at {})",
            self.expires_at
        )
    }
}

/// One rate-limit interval.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowKind {
    /// The session window.
    FiveHour,
    /// The weekly window over all models.
    SevenDay,
    /// A weekly window of one model, by its display name.
    WeeklyScoped(String),
}

/// When a window resets, and how the report spells it.
#[derive(Clone, Debug, PartialEq)]
pub enum Resets {
    /// So many seconds after the moment the window is set, as RFC 3339 text.
    In(u64),
    /// Epoch seconds, as RFC 3339 text.
    Rfc3339(u64),
    /// Epoch seconds, as a JSON number that may have a fraction.
    Number(f64),
    /// Epoch seconds, as text.
    NumericText(u64),
    /// `null`.
    Null,
    /// The empty string.
    Empty,
}

impl Resets {
    /// `In` becomes an instant; all others stay.
    pub(super) fn fixed(self, now: Millis) -> Self {
        match self {
            Self::In(seconds) => Self::Rfc3339(now / 1000 + seconds),
            other => other,
        }
    }

    /// Epoch seconds, where they are known.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a time given by a test"
    )]
    pub(super) fn epoch_seconds(&self) -> Option<u64> {
        match self {
            Self::Rfc3339(seconds) | Self::NumericText(seconds) => Some(*seconds),
            Self::Number(seconds) => Some(*seconds as u64),
            Self::In(_) | Self::Null | Self::Empty => None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Rfc3339(seconds) => json!(rfc3339(*seconds)),
            Self::Number(seconds) => json!(seconds),
            Self::NumericText(seconds) => json!(seconds.to_string()),
            Self::In(_) | Self::Null => Value::Null,
            Self::Empty => json!(""),
        }
    }
}

/// `2026-11-20T18:00:00Z`; a time outside the calendar is written as its number.
pub(super) fn rfc3339(seconds: u64) -> String {
    i64::try_from(seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(|| seconds.to_string(), |instant| instant.to_string())
}

/// How much of one window is used.
#[derive(Clone, Debug)]
pub(super) struct Window {
    /// Percent, 0 to 100.
    pub used: f64,
    pub resets: Resets,
}

impl Window {
    /// Full, and not known to have been reset since.
    pub fn is_spent(&self, now: Millis) -> bool {
        self.used >= 100.0
            && self
                .resets
                .epoch_seconds()
                .is_none_or(|reset| reset > now / 1000)
    }
}

/// Paid usage above the plan. Amounts are in minor units (cents).
#[derive(Clone, Debug)]
pub struct ExtraUsage {
    /// Switched on by the account's owner.
    pub enabled: bool,
    /// Used so far this month.
    pub used: f64,
    /// The month's limit; none means unlimited.
    pub limit: Option<f64>,
    /// ISO code.
    pub currency: String,
}

/// An account and what changes about it.
#[derive(Debug)]
pub(super) struct Account {
    pub spec: AccountSpec,
    pub windows: BTreeMap<WindowKind, Window>,
    pub extra: Option<ExtraUsage>,
    /// Percent of the five-hour and of the weekly window that each message uses.
    pub burn: (f64, f64),
}

impl Account {
    pub fn new(spec: AccountSpec, now: Millis) -> Self {
        let window = |seconds| Window {
            used: 0.0,
            resets: Resets::In(seconds).fixed(now),
        };
        let windows = BTreeMap::from([
            (WindowKind::FiveHour, window(5 * 3600)),
            (WindowKind::SevenDay, window(7 * 86_400)),
        ]);
        Self {
            spec,
            windows,
            extra: None,
            burn: (0.0, 0.0),
        }
    }

    /// Books one answered message.
    pub fn spend_message(&mut self) {
        let (five_hour, weekly) = self.burn;
        for (kind, window) in &mut self.windows {
            let burn = if *kind == WindowKind::FiveHour {
                five_hour
            } else {
                weekly
            };
            window.used = (window.used + burn).min(100.0);
        }
    }
}
