//! The record of a pick: what `ccp why` explains. Written into the lease at launch, folded into `state.db` later.

use super::path_text;
use super::snapshot::RuleEntry;
use crate::core::account::AccountId;
use crate::core::select::pick::Pick;
use crate::core::select::pin::Pin;
use crate::core::select::score::{Assessment, Candidate, Terms};
use crate::core::time::Timestamp;
use crate::core::usage::WindowKind;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One pick, with everything that went into it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PickRecord {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The account's number.
    pub account: u16,
    /// Its label at that time.
    pub label: String,
    /// What made the pick: `run`, `select`, `env`.
    pub command: String,
    /// [`crate::core::select::pick::Reason::name`].
    pub reason: String,
    /// What the pins of the directory had to say; absent when there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinRecord>,
    /// The rule that bound; absent when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRecord>,
    /// The exact directory launched from, the key of pins.
    #[serde(with = "path_text")]
    pub cwd: PathBuf,
    /// The model the launch would use, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The claude that was executed.
    #[serde(
        default,
        with = "path_text::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub claude: Option<PathBuf>,
    /// Pid of the session; none for a reservation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Boot id, pid namespace and host name of the machine.
    pub machine: String,
    /// Every account that might have served, best first.
    pub ranking: Vec<RankedAccount>,
}

/// A rule that bore on a pick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleRecord {
    /// Its place in `config.toml`, from 1.
    pub number: usize,
    /// What it says.
    #[serde(flatten)]
    pub rule: RuleEntry,
    /// The accounts that it kept out.
    pub barred: Vec<BarredAccount>,
}

/// An account that a rule kept out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BarredAccount {
    /// Its number.
    pub id: u16,
    /// Its label.
    pub label: String,
}

/// How a pin bore on a pick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRecord {
    /// `manual`, `auto`, `bypassed`, `barred`, `abandoned` or `beside`.
    pub kind: String,
    /// The pinned account's number.
    pub account: u16,
}

/// One account's inputs and terms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedAccount {
    /// Its number.
    pub id: u16,
    /// Its label.
    pub label: String,
    /// [`crate::core::select::score::Tier::name`].
    pub tier: String,
    /// The score.
    pub score: f64,
    /// Five-hour use in percent; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_5h: Option<f64>,
    /// Weekly use in percent; absent when unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_7d: Option<f64>,
    /// Live sessions and reservations.
    pub sessions: u32,
    /// Pace in percent of the five-hour window per hour.
    pub burn: f64,
    /// What the score is made of.
    pub terms: TermsRecord,
}

/// [`Terms`] on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "field for field the terms of core::select::score::Terms"
)]
pub struct TermsRecord {
    pub eff_5h: f64,
    pub eff_7d: f64,
    pub raw_5h: f64,
    pub raw_7d: f64,
    pub sessions: f64,
    pub rate_limited: f64,
    pub needs_login: f64,
    pub stale: f64,
    pub barrier_5h: f64,
    pub barrier_7d: f64,
    pub runway: f64,
}

impl From<&Terms> for TermsRecord {
    fn from(t: &Terms) -> Self {
        Self {
            eff_5h: t.eff_5h,
            eff_7d: t.eff_7d,
            raw_5h: t.raw_5h,
            raw_7d: t.raw_7d,
            sessions: t.sessions,
            rate_limited: t.rate_limited,
            needs_login: t.needs_login,
            stale: t.stale,
            barrier_5h: t.barrier_5h,
            barrier_7d: t.barrier_7d,
            runway: t.runway,
        }
    }
}

/// The ranking of a pick with its inputs, in the order of the ranking. `label_of` names an account.
pub fn ranking<'a>(
    ranking: &[Assessment],
    candidates: &[Candidate],
    label_of: impl Fn(AccountId) -> &'a str,
) -> Vec<RankedAccount> {
    let row = |a: &Assessment| {
        let candidate = candidates.iter().find(|c| c.id == a.id);
        let used = |kind: &WindowKind| {
            let sample = candidate.and_then(|c| c.sample.as_ref());
            sample
                .and_then(|s| s.window(kind))
                .map(|w| w.used.percent())
        };
        RankedAccount {
            id: a.id.number(),
            label: label_of(a.id).to_owned(),
            tier: a.tier.name().to_owned(),
            score: a.score,
            used_5h: used(&WindowKind::FiveHour),
            used_7d: used(&WindowKind::SevenDay),
            sessions: candidate.map_or(0, |c| c.sessions),
            burn: candidate.map_or(0.0, |c| c.burn.0),
            terms: (&a.terms).into(),
        }
    };
    ranking.iter().map(row).collect()
}

impl PinRecord {
    /// The record of a pin; none when there was none.
    #[must_use]
    pub fn of(pin: Pin) -> Option<Self> {
        let (kind, id) = match pin {
            Pin::Free => return None,
            Pin::Manual(id) => ("manual", id),
            Pin::Auto(id) => ("auto", id),
            Pin::Bypassed(id) => ("bypassed", id),
            Pin::Barred(id) => ("barred", id),
            Pin::Abandoned(id) => ("abandoned", id),
            Pin::Beside(id) => ("beside", id),
        };
        Some(Self {
            kind: kind.to_owned(),
            account: id.number(),
        })
    }
}

/// What a record says beyond the pick itself.
pub struct Circumstances<'a> {
    /// When.
    pub at: Timestamp,
    /// `run`, `select` or `env`.
    pub command: &'a str,
    /// The rule that bound.
    pub rule: Option<RuleRecord>,
    /// The exact directory launched from.
    pub cwd: PathBuf,
    /// The model, where known.
    pub model: Option<&'a str>,
    /// The claude that will be executed.
    pub claude: Option<PathBuf>,
    /// Pid of the session.
    pub pid: Option<u32>,
    /// Boot id, pid namespace and host name.
    pub machine: &'a str,
}

impl PickRecord {
    /// The record of a pick.
    pub fn new<'a>(
        pick: &Pick,
        candidates: &[Candidate],
        label_of: impl Fn(AccountId) -> &'a str,
        circumstances: Circumstances<'_>,
    ) -> Self {
        Self {
            at_ms: circumstances.at.unix_ms(),
            account: pick.id.number(),
            label: label_of(pick.id).to_owned(),
            command: circumstances.command.to_owned(),
            reason: pick.reason.name().to_owned(),
            pin: PinRecord::of(pick.pin),
            rule: circumstances.rule,
            cwd: circumstances.cwd,
            model: circumstances.model.map(str::to_owned),
            claude: circumstances.claude,
            pid: circumstances.pid,
            machine: circumstances.machine.to_owned(),
            ranking: ranking(&pick.ranking, candidates, label_of),
        }
    }
}
