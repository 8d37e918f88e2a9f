//! `snapshot.json`: what is published for the launcher. Rebuilt from `state.db` at any time, replaced by rename, 0600,
//! no secrets. Fields are only ever added; [`SCHEMA`] changes when an old launcher would misread a new file.

use super::path_text;
use super::paths::Base;
use crate::core::account::{AccountId, Named};
use crate::core::select::score::{Candidate, Freshness, is_stale};
use crate::core::time::Timestamp;
use crate::core::usage::{Burn, ExtraUsage, Sample, Source, Used, Window, WindowKind};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// How often an account is sampled that nobody has said anything else about: the cadence of an idle one.
pub const DEFAULT_CADENCE: Duration = Duration::from_secs(15 * 60);

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When, in milliseconds since the Unix epoch.
    pub generated_at_ms: i64,
    /// The base's directory.
    #[serde(with = "path_text")]
    pub base_dir: PathBuf,
    /// The base's `.claude.json`.
    #[serde(with = "path_text")]
    pub base_json: PathBuf,
    /// Override variables that are left alone at launch (`[env] keep`).
    #[serde(default)]
    pub keep_env: Vec<String>,
    /// Whether settings changed in an account flow back to the base (`[overlay] settings = "two-way"`).
    #[serde(default)]
    pub two_way: bool,
    /// The base's settings name an `apiKeyHelper`, which overrides the login.
    #[serde(default)]
    pub api_key_helper: bool,
    /// Whether a launch starts a daemon where none runs (`[daemon] autostart`).
    #[serde(default)]
    pub autostart: bool,
    /// Since when sampling is paused on purpose.
    #[serde(default)]
    pub paused_since_ms: Option<i64>,
    /// `config.toml` as it was when the settings in here were read from it.
    #[serde(default)]
    pub config: FileStamp,
    /// Which accounts may serve which directories (`[[rule]]`), in order: the first that matches binds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEntry>,
    /// The accounts, by number.
    pub accounts: Vec<AccountEntry>,
    /// Pins of directories.
    #[serde(default)]
    pub pins: Vec<PinEntry>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountEntry {
    /// Its number.
    pub id: u16,
    /// Its label.
    pub label: String,
    /// Its email address, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Its `CLAUDE_CONFIG_DIR`, the exact string to export.
    #[serde(with = "path_text")]
    pub dir: PathBuf,
    /// The last good sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleEntry>,
    /// Pace in percent of the five-hour window per hour.
    #[serde(default)]
    pub burn: f64,
    /// How often it is sampled at present, in milliseconds.
    #[serde(default)]
    pub cadence_ms: u64,
    /// Until when a plan limit refuses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limited_until_ms: Option<i64>,
    /// The login is known to be dead.
    #[serde(default)]
    pub needs_login: bool,
    /// The last renewal of the login failed.
    #[serde(default)]
    pub renewal_failed: bool,
    /// Sessions found running that have no lease.
    #[serde(default)]
    pub unleased_sessions: u32,
    /// What the overlay looked like when it was last in order; none when it has to be looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
}

/// What tells, without reading a file, that an overlay needs no work.
///
/// When every directory time is as it was, nothing was added, removed or replaced. A time of 0 says nothing (it was too
/// fresh to be relied on when it was taken), and then the listings decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Modification time of the base directory, in nanoseconds since the Unix epoch.
    pub base_dir_ns: i64,
    /// Modification time of the account directory, in nanoseconds.
    pub account_dir_ns: i64,
    /// [`crate::core::overlay::listing_hash`] of the base directory.
    pub base_listing: u64,
    /// The same of the account directory.
    pub account_listing: u64,
    /// The base's `.claude.json`.
    pub base_json: FileStamp,
    /// The account's `.claude.json`; compared only where settings flow both ways.
    pub account_json: FileStamp,
}

/// Identity and state of a file; all zero for one that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileStamp {
    /// Inode.
    pub inode: u64,
    /// Length in bytes.
    pub len: u64,
    /// Modification time, in nanoseconds since the Unix epoch.
    pub modified_ns: i64,
}

/// A rule of the person.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RuleEntry {
    /// Its directory, as written: absolute, or starting with `~`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A pattern for the remotes of the directory's git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_remote: Option<String>,
    /// References to accounts, as written.
    pub accounts: Vec<String>,
}

impl RuleEntry {
    /// What it is known by in a few words: its directory, or else its pattern.
    #[must_use]
    pub fn short(&self) -> &str {
        let text = self.path.as_deref().or(self.git_remote.as_deref());
        text.unwrap_or_default()
    }

    /// `rule 2 (~/work, git_remote github.com/acme/*)`; `number` is its place in the file, from 1.
    #[must_use]
    pub fn name(&self, number: usize) -> String {
        let remote = self.git_remote.as_ref().map(|r| format!("git_remote {r}"));
        let parts: Vec<String> = self.path.clone().into_iter().chain(remote).collect();
        format!("rule {number} ({})", parts.join(", "))
    }
}

/// A pin of a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinEntry {
    /// The exact directory.
    #[serde(with = "path_text")]
    pub dir: PathBuf,
    /// The pinned account's number.
    pub account: u16,
    /// Ordered by the person; otherwise the last activity of an ended session.
    pub manual: bool,
    /// When it was ordered, or the last activity, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// [`Sample`] on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleEntry {
    /// When it was measured, in milliseconds since the Unix epoch.
    pub measured_at_ms: i64,
    /// [`Source::name`].
    pub source: String,
    /// Its windows.
    pub windows: Vec<WindowEntry>,
    /// Paid use beyond the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<ExtraEntry>,
}

/// [`Window`] on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowEntry {
    /// `five_hour`, `seven_day` or `weekly_scoped`.
    pub kind: String,
    /// Display name of the model of a `weekly_scoped` window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Percent used, 0 to 100.
    pub used: f64,
    /// Reset, in milliseconds since the Unix epoch; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resets_at_ms: Option<i64>,
}

/// [`ExtraUsage`] on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExtraEntry {
    /// Whether the account may use it.
    pub enabled: bool,
    /// Used, in minor units.
    pub used: Option<f64>,
    /// Limit, in minor units.
    pub limit: Option<f64>,
    /// ISO 4217 code.
    pub currency: Option<String>,
}

impl From<&Sample> for SampleEntry {
    fn from(sample: &Sample) -> Self {
        let extra = sample.extra.as_ref().map(|e| ExtraEntry {
            enabled: e.enabled,
            used: e.used,
            limit: e.limit,
            currency: e.currency.clone(),
        });
        Self {
            measured_at_ms: sample.measured_at.unix_ms(),
            source: sample.source.name().to_owned(),
            windows: sample.windows.iter().map(WindowEntry::from).collect(),
            extra,
        }
    }
}

impl From<&Window> for WindowEntry {
    fn from(window: &Window) -> Self {
        let (kind, model) = match &window.kind {
            WindowKind::FiveHour => ("five_hour", None),
            WindowKind::SevenDay => ("seven_day", None),
            WindowKind::WeeklyScoped(name) => ("weekly_scoped", Some(name.clone())),
        };
        let resets_at_ms = window.resets_at.map(Timestamp::unix_ms);
        Self {
            kind: kind.to_owned(),
            model,
            used: window.used.percent(),
            resets_at_ms,
        }
    }
}

impl SampleEntry {
    /// Back into the domain; windows of a kind or with a number that this version does not know are left out, and a
    /// sample of an unknown source is none.
    #[must_use]
    pub fn to_sample(&self) -> Option<Sample> {
        let extra = self.extra.as_ref().map(|e| ExtraUsage {
            enabled: e.enabled,
            used: e.used,
            limit: e.limit,
            currency: e.currency.clone(),
        });
        Some(Sample {
            measured_at: Timestamp::from_unix_ms(self.measured_at_ms),
            source: Source::from_name(&self.source)?,
            windows: self
                .windows
                .iter()
                .filter_map(WindowEntry::to_window)
                .collect(),
            extra,
        })
    }
}

impl WindowEntry {
    /// Back into the domain; none for a kind or a number that this version does not know.
    #[must_use]
    pub fn to_window(&self) -> Option<Window> {
        let kind = match (self.kind.as_str(), &self.model) {
            ("five_hour", _) => WindowKind::FiveHour,
            ("seven_day", _) => WindowKind::SevenDay,
            ("weekly_scoped", Some(model)) => WindowKind::WeeklyScoped(model.clone()),
            _ => return None,
        };
        let resets_at = self.resets_at_ms.map(Timestamp::from_unix_ms);
        Some(Window {
            kind,
            used: Used::from_percent(self.used)?,
            resets_at,
        })
    }
}

impl AccountEntry {
    /// The account's id; none when the file holds a number that is no account's.
    #[must_use]
    pub fn account_id(&self) -> Option<AccountId> {
        AccountId::new(self.id)
    }

    /// What freshness is judged by.
    #[must_use]
    pub fn freshness(&self, paused_since_ms: Option<i64>) -> Freshness {
        Freshness {
            measured_at: self
                .sample
                .as_ref()
                .map(|s| Timestamp::from_unix_ms(s.measured_at_ms)),
            cadence: if self.cadence_ms == 0 {
                DEFAULT_CADENCE
            } else {
                Duration::from_millis(self.cadence_ms)
            },
            paused_since: paused_since_ms.map(Timestamp::from_unix_ms),
            renewal_failed: self.renewal_failed,
        }
    }
}

impl Snapshot {
    /// The base that the accounts present.
    #[must_use]
    pub fn base(&self) -> Base {
        Base {
            dir: self.base_dir.clone(),
            json: self.base_json.clone(),
        }
    }

    /// The account of this id.
    #[must_use]
    pub fn account(&self, id: AccountId) -> Option<&AccountEntry> {
        self.accounts.iter().find(|a| a.id == id.number())
    }

    /// What references are matched against.
    pub fn named(&self) -> impl Iterator<Item = Named<'_>> {
        self.accounts.iter().filter_map(|a| {
            Some(Named {
                id: a.account_id()?,
                label: &a.label,
                email: a.email.as_deref(),
            })
        })
    }

    /// The accounts as selection sees them; `sessions` counts the live leases of one.
    pub fn candidates(
        &self,
        now: Timestamp,
        sessions: impl Fn(AccountId) -> u32,
    ) -> Vec<Candidate> {
        let candidate = |a: &AccountEntry| {
            let id = a.account_id()?;
            Some(Candidate {
                id,
                sample: a.sample.as_ref().and_then(SampleEntry::to_sample),
                burn: Burn(a.burn),
                sessions: sessions(id).saturating_add(a.unleased_sessions),
                limited_until: a.limited_until_ms.map(Timestamp::from_unix_ms),
                needs_login: a.needs_login,
                stale: is_stale(&a.freshness(self.paused_since_ms), now),
            })
        };
        self.accounts.iter().filter_map(candidate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        let used = |p| Used::from_percent(p).expect("a number");
        Sample {
            measured_at: Timestamp::from_unix_ms(5),
            source: Source::Oauth,
            windows: vec![
                Window {
                    kind: WindowKind::FiveHour,
                    used: used(1.5),
                    resets_at: Some(Timestamp::from_unix_ms(9)),
                },
                Window {
                    kind: WindowKind::SevenDay,
                    used: used(2.0),
                    resets_at: None,
                },
                Window {
                    kind: WindowKind::WeeklyScoped("Fable".into()),
                    used: used(3.0),
                    resets_at: None,
                },
            ],
            extra: Some(ExtraUsage {
                enabled: true,
                used: Some(12.0),
                limit: None,
                currency: Some("EUR".into()),
            }),
        }
    }

    #[test]
    fn a_sample_survives_the_wire() {
        let text = serde_json::to_string(&SampleEntry::from(&sample())).expect("serialises");
        let back: SampleEntry = serde_json::from_str(&text).expect("parses");
        assert_eq!(back.to_sample(), Some(sample()));
    }

    #[test]
    fn fields_of_a_later_version_are_ignored_and_of_an_earlier_one_defaulted() {
        let text = r#"{"schema":1,"version":"9","generated_at_ms":1,"base_dir":"/b","base_json":"/b.json","later":[1],
            "accounts":[{"id":1,"label":"a","dir":"/a","later":{}},{"id":0,"label":"b","dir":"/b"}]}"#;
        let snapshot: Snapshot = serde_json::from_str(text).expect("parses");
        assert_eq!(snapshot.accounts.len(), 2);
        let candidates = snapshot.candidates(Timestamp::from_unix_ms(0), |_| 3);
        assert_eq!(candidates.len(), 1, "an impossible number is left out");
        assert_eq!(candidates[0].sessions, 3);
        assert!(candidates[0].stale, "never sampled");
    }
}
