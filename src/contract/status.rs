//! `ccp status --json` and its mirror `status.json`: what scripts and menu bars read. Stable: fields are only ever
//! added, and [`SCHEMA`] changes when a reader would have to. Instants are RFC 3339 in UTC, whole seconds; percentages
//! are 0 to 100; whatever is unknown is `null`, never 0.

use super::kept::PoolReport;
use super::path_text;
use super::record::TermsRecord;
use super::snapshot::{AccountEntry, ExtraEntry, Snapshot};
use crate::core::account::AccountId;
use crate::core::accounts::forecast::{Forecast, forecast};
use crate::core::calendar::rfc3339;
use crate::core::select::pick::{Request, pick, rank};
use crate::core::select::score::{Assessment, Candidate};
use crate::core::time::Timestamp;
use crate::core::usage::{Sample, Window, WindowKind};
use serde::{Deserialize, Serialize};

/// Version of the format.
pub const SCHEMA: u32 = 1;

/// Everything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When it was put together.
    pub generated_at: String,
    /// Number of the account that a launch without pins would use; null when none can serve.
    pub next: Option<u16>,
    /// The accounts, best first: by tier, then score.
    pub accounts: Vec<AccountStatus>,
    /// All accounts with a login together.
    pub pool: PoolStatus,
    /// The session pools of this machine. Only where they were asked: in `ccp status`, not in its mirror.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pools: Option<Vec<PoolReport>>,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountStatus {
    /// Its number.
    pub id: u16,
    /// Its label.
    pub label: String,
    /// Its email address, where known.
    pub email: Option<String>,
    /// Its `CLAUDE_CONFIG_DIR`; a path that is no Unicode is written as a NUL and hexadecimal digits.
    pub config_dir: String,
    /// `available`, `exhausted`, `rate_limited` or `needs_login`.
    pub tier: String,
    /// The score: percent headroom, higher is emptier.
    pub score: f64,
    /// What the score is made of, in percent points.
    pub components: TermsRecord,
    /// Percent used of the five-hour window; null when unknown, as it is once its reset has passed.
    pub used_5h_pct: Option<f64>,
    /// Percent used of the weekly window; null when unknown, as it is once its reset has passed.
    pub used_7d_pct: Option<f64>,
    /// Next reset of the five-hour window.
    pub resets_5h_at: Option<String>,
    /// Next reset of the weekly window.
    pub resets_7d_at: Option<String>,
    /// Weekly windows of single models.
    pub models: Vec<ModelStatus>,
    /// Paid use beyond the plan, in minor units of its currency.
    pub extra: Option<ExtraEntry>,
    /// Sessions that run, and reservations.
    pub sessions: u32,
    /// Pace in percent of the five-hour window per hour.
    pub burn: f64,
    /// Any of `needs_login`, `rate_limited`, `exhausted`, `stale`, `no_data`, `renewal_failed`, `pinned`.
    pub flags: Vec<String>,
    /// Until when a plan limit refuses it.
    pub limited_until: Option<String>,
    /// When it can serve again, where it cannot now and that is known.
    pub serves_again_at: Option<String>,
    /// The measurement that all this rests on; null when it was never sampled.
    pub sample: Option<SampleStatus>,
    /// Directories pinned to it by order, spelled like `config_dir`.
    pub pinned: Vec<String>,
}

/// The weekly window of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// Display name of the model.
    pub model: String,
    /// Percent used; null when unknown, as it is once its reset has passed.
    pub used_pct: Option<f64>,
    /// Next reset.
    pub resets_at: Option<String>,
}

/// Where the numbers come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampleStatus {
    /// When they were measured.
    pub measured_at: String,
    /// How long ago that was, in seconds.
    pub age_s: u64,
    /// `live`, `claude` or `oauth`.
    pub source: String,
}

/// All accounts with a login together; see [`Forecast`] for how each figure is reckoned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Mean headroom of the five-hour windows, in percent.
    pub remaining_5h_pct: Option<f64>,
    /// Mean headroom of the weekly windows, in percent.
    pub remaining_7d_pct: Option<f64>,
    /// Sum of the paces, in percent of one five-hour window per hour.
    pub burn: Option<f64>,
    /// Mean use of the five-hour windows at their resets, in percent, at the present paces; over 100 does not last.
    pub pace_5h: Option<f64>,
    /// Mean use of the weekly windows at their resets, in percent, going on as since they began.
    pub pace_7d: Option<f64>,
    /// When all five-hour headroom will be gone at the present pace; null when it lasts, or nothing is used.
    pub dry_at: Option<String>,
}

impl Status {
    /// The status of what was published, at `now`; `sessions` counts the live leases of an account.
    pub fn of(
        snapshot: &Snapshot,
        sessions: impl Fn(AccountId) -> u32,
        model: Option<&str>,
        now: Timestamp,
    ) -> Self {
        let candidates = snapshot.candidates(now, sessions);
        let request = Request {
            model,
            ..Request::default()
        };
        let account = |assessment: &Assessment| {
            let entry = snapshot.account(assessment.id)?;
            let candidate = candidates.iter().find(|c| c.id == assessment.id)?;
            Some(account_status(snapshot, entry, candidate, assessment, now))
        };
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generated_at: rfc3339(now),
            next: pick(&candidates, &request, now).ok().map(|p| p.id.number()),
            accounts: rank(&candidates, model, now)
                .iter()
                .filter_map(account)
                .collect(),
            pool: forecast(&candidates, now).into(),
            pools: None,
        }
    }
}

impl From<Forecast> for PoolStatus {
    fn from(f: Forecast) -> Self {
        Self {
            remaining_5h_pct: f.remaining_5h,
            remaining_7d_pct: f.remaining_7d,
            burn: f.burn,
            pace_5h: f.pace_5h,
            pace_7d: f.pace_7d,
            dry_at: f.dry_at.map(rfc3339),
        }
    }
}

fn account_status(
    snapshot: &Snapshot,
    entry: &AccountEntry,
    candidate: &Candidate,
    assessment: &Assessment,
    now: Timestamp,
) -> AccountStatus {
    let sample = candidate.sample.as_ref();
    let window = |kind| sample.and_then(|s| s.window(&kind));
    let (five, weekly) = (window(WindowKind::FiveHour), window(WindowKind::SevenDay));
    let pinned: Vec<String> = snapshot
        .pins
        .iter()
        .filter(|p| p.manual && p.account == entry.id)
        .map(|p| path_text::encode(&p.dir))
        .collect();
    AccountStatus {
        id: entry.id,
        label: entry.label.clone(),
        email: entry.email.clone(),
        config_dir: path_text::encode(&entry.dir),
        tier: assessment.tier.name().to_owned(),
        score: assessment.score,
        components: (&assessment.terms).into(),
        used_5h_pct: five.and_then(|w| used(w, now)),
        used_7d_pct: weekly.and_then(|w| used(w, now)),
        resets_5h_at: five.and_then(|w| reset(w, now)),
        resets_7d_at: weekly.and_then(|w| reset(w, now)),
        models: models(sample, now),
        extra: entry.sample.as_ref().and_then(|s| s.extra.clone()),
        sessions: candidate.sessions,
        burn: candidate.burn.0,
        flags: flags(entry, candidate, assessment, !pinned.is_empty(), now),
        limited_until: candidate
            .limited_until
            .filter(|until| *until > now)
            .map(rfc3339),
        serves_again_at: assessment.serves_again_at.map(rfc3339),
        sample: sample.map(|s| SampleStatus {
            measured_at: rfc3339(s.measured_at),
            age_s: now.since(s.measured_at).as_secs(),
            source: s.source.name().to_owned(),
        }),
        pinned,
    }
}

fn flags(
    entry: &AccountEntry,
    candidate: &Candidate,
    assessment: &Assessment,
    pinned: bool,
    now: Timestamp,
) -> Vec<String> {
    let limited = candidate.limited_until.is_some_and(|until| until > now);
    let rows = [
        (candidate.needs_login, "needs_login"),
        (limited, "rate_limited"),
        (assessment.exhausted, "exhausted"),
        (candidate.stale && candidate.sample.is_some(), "stale"),
        (candidate.sample.is_none(), "no_data"),
        (entry.renewal_failed, "renewal_failed"),
        (pinned, "pinned"),
    ];
    let set = rows.iter().filter(|(applies, _)| *applies);
    set.map(|(_, name)| (*name).to_owned()).collect()
}

fn models(sample: Option<&Sample>, now: Timestamp) -> Vec<ModelStatus> {
    let windows = sample.into_iter().flat_map(|s| &s.windows);
    windows
        .filter_map(|w| match &w.kind {
            WindowKind::WeeklyScoped(model) => Some(ModelStatus {
                model: model.clone(),
                used_pct: used(w, now),
                resets_at: reset(w, now),
            }),
            WindowKind::FiveHour | WindowKind::SevenDay => None,
        })
        .collect()
}

/// The number of a window that is gone says nothing about the present one.
fn used(window: &Window, now: Timestamp) -> Option<f64> {
    (!window.has_reset(now)).then(|| window.used.percent())
}

fn reset(window: &Window, now: Timestamp) -> Option<String> {
    window.resets_at.filter(|at| *at > now).map(rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_781_539_080_000;

    fn status(accounts: &str) -> Status {
        let text = format!(
            r#"{{"schema":1,"version":"1","generated_at_ms":1,"base_dir":"/b","base_json":"/b.json","accounts":[{accounts}],
            "pins":[{{"dir":"/w","account":1,"manual":true,"at_ms":1}},{{"dir":"/v","account":1,"manual":false,"at_ms":1}}]}}"#
        );
        let snapshot: Snapshot = serde_json::from_str(&text).expect("parses");
        Status::of(&snapshot, |_| 2, None, Timestamp::from_unix_ms(NOW + 999))
    }

    #[test]
    fn unknown_is_null_and_never_zero() {
        let found = status(r#"{"id":1,"label":"a","dir":"/a"}"#);
        let json = serde_json::to_value(&found).expect("serialises");
        assert_eq!(json["generated_at"], "2026-06-15T15:58:00Z");
        let account = &json["accounts"][0];
        for field in [
            "used_5h_pct",
            "used_7d_pct",
            "resets_5h_at",
            "sample",
            "email",
        ] {
            assert!(account[field].is_null(), "{field}");
        }
        for (field, value) in json["pool"].as_object().expect("an object") {
            assert!(value.is_null(), "{field}");
        }
        assert_eq!(account["flags"], serde_json::json!(["no_data", "pinned"]));
        assert_eq!(account["pinned"], serde_json::json!(["/w"]));
        assert_eq!(account["sessions"], 2);
        assert_eq!(json["next"], 1);
    }

    #[test]
    fn accounts_come_best_first_with_what_is_measured() {
        let window = |kind: &str, used: f64, hours: i64| {
            let at = NOW + hours * 3_600_000;
            format!(r#"{{"kind":"{kind}","model":"Fable","used":{used},"resets_at_ms":{at}}}"#)
        };
        let account = |id: u16, five: f64, hours: i64, rest: &str| {
            format!(
                r#"{{"id":{id},"label":"l{id}","dir":"/{id}","sample":{{"measured_at_ms":{},"source":"live","windows":[{},{}]}}{rest}}}"#,
                NOW - 60_000,
                window("five_hour", five, hours),
                window("weekly_scoped", 88.0, 50),
            )
        };
        let accounts = [
            account(1, 100.0, 2, ""),
            account(2, 30.0, 1, r#","limited_until_ms":1"#),
            account(3, 10.0, -1, r#","needs_login":true"#),
        ];
        let found = status(&accounts.join(","));
        let order: Vec<u16> = found.accounts.iter().map(|a| a.id).collect();
        assert_eq!(order, [2, 1, 3]);
        assert_eq!(found.next, Some(2));
        assert_eq!(found.pool.remaining_5h_pct, Some(35.0));
        let best = &found.accounts[0];
        assert_eq!(best.resets_5h_at.as_deref(), Some("2026-06-15T16:58:00Z"));
        assert_eq!(best.models[0].model, "Fable");
        assert_eq!(best.limited_until, None, "a limit that is over");
        let sample = best.sample.as_ref().expect("sampled");
        assert_eq!((sample.age_s, sample.source.as_str()), (60, "live"));
        assert_eq!(found.accounts[1].flags, ["exhausted", "pinned"]);
        let signed_out = &found.accounts[2];
        assert_eq!(
            (signed_out.used_5h_pct, signed_out.resets_5h_at.as_ref()),
            (None, None)
        );
    }
}
