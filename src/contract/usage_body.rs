//! What the service says about usage, as it reaches us: the body of its usage endpoint, passed on as `rate_limits` by
//! the agent's answer to `get_usage` and kept in `.claude.json` under `cachedUsageUtilization.utilization`, and the
//! `rate_limits` of the status line. Foreign text: what is not understood is left out and named, and nothing fails. It
//! refuses to know when a body was measured, and whose it is.
//!
//! Seen in the bodies of Claude Code 2.1.197 and 2.1.329: `utilization` is a percentage (31.0 is 31 %), never a fraction;
//! `resets_at` is a number of seconds with or without a fraction, the same as text, RFC 3339, `null` or empty.

use crate::core::time::Timestamp;
use crate::core::usage::{ExtraUsage, Used, Window, WindowKind};
use serde_json::Value;
use std::fmt;

/// More entries of `limits[]` and `model_scoped[]` than any plan has; the rest is not read.
const MAX_ENTRIES: usize = 64;
/// The longest model name kept, in characters: it has to fit a table.
const MAX_NAME_CHARS: usize = 64;
/// The last second of the year 9999. A larger number counts something else than seconds.
const MAX_UNIX_SECONDS: f64 = 253_402_300_799.0;

/// Windows of single models that older bodies name by a field of their own.
const MODEL_FIELDS: &[(&str, &str)] = &[("seven_day_opus", "Opus"), ("seven_day_sonnet", "Sonnet")];

/// What a body says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The windows it has; at most one of a kind.
    pub windows: Vec<Window>,
    /// Paid use beyond the plan, where it tells.
    pub extra: Option<ExtraUsage>,
}

/// A part that was not understood and is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field concerned.
    pub field: String,
    /// What is wrong with it.
    pub cause: Cause,
}

/// What is wrong with a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It should have been an object.
    NotAnObject,
    /// Its percentage is no number.
    Percent,
    /// Its reset is neither a time nor unknown.
    ResetsAt,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.cause {
            Cause::NotAnObject => "is not an object",
            Cause::Percent => "has no percentage",
            Cause::ResetsAt => "has a reset that is no time",
        };
        write!(f, "{} {cause}", self.field)
    }
}

/// Reads a body. The shape of the status line (`used_percentage` instead of `utilization`) is read too.
#[must_use]
pub fn parse(body: &Value) -> (Report, Vec<Problem>) {
    let mut reader = Reader::default();
    if !body.is_object() {
        reader.problem("body", Cause::NotAnObject);
        return (reader.report, reader.problems);
    }
    reader.window("five_hour", WindowKind::FiveHour, &body["five_hour"]);
    reader.window("seven_day", WindowKind::SevenDay, &body["seven_day"]);
    for entry in entries(&body["limits"]) {
        if let Some(kind) = limit_kind(entry) {
            reader.window("limits", kind, entry);
        }
    }
    for entry in entries(&body["model_scoped"]) {
        if let Some(name) = model_name(&entry["display_name"]) {
            reader.window("model_scoped", WindowKind::WeeklyScoped(name), entry);
        }
    }
    for (field, model) in MODEL_FIELDS {
        if !reader.names_model(model) {
            let kind = WindowKind::WeeklyScoped((*model).to_owned());
            reader.window(field, kind, &body[*field]);
        }
    }
    reader.report.extra = extra_usage(&body["extra_usage"]);
    (reader.report, reader.problems)
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten().take(MAX_ENTRIES)
}

/// The window an entry of `limits[]` is about; none for kinds we do not know and for scopes other than a model.
fn limit_kind(entry: &Value) -> Option<WindowKind> {
    match entry["kind"].as_str()? {
        "session" => Some(WindowKind::FiveHour),
        "weekly_all" => Some(WindowKind::SevenDay),
        "weekly_scoped" => {
            model_name(&entry["scope"]["model"]["display_name"]).map(WindowKind::WeeklyScoped)
        }
        _ => None,
    }
}

fn model_name(name: &Value) -> Option<String> {
    let printable = name.as_str()?.trim().chars().filter(|c| !c.is_control());
    let name: String = printable.take(MAX_NAME_CHARS).collect();
    (!name.is_empty()).then_some(name)
}

#[derive(Default)]
struct Reader {
    report: Report,
    problems: Vec<Problem>,
}

impl Reader {
    fn problem(&mut self, field: &str, cause: Cause) {
        self.problems.push(Problem {
            field: field.to_owned(),
            cause,
        });
    }

    fn names_model(&self, model: &str) -> bool {
        let wanted = model.to_lowercase();
        self.report.windows.iter().any(|window| match &window.kind {
            WindowKind::WeeklyScoped(name) => name.to_lowercase().contains(&wanted),
            WindowKind::FiveHour | WindowKind::SevenDay => false,
        })
    }

    /// Takes a window in, unless one of its kind is there already.
    fn window(&mut self, field: &str, kind: WindowKind, value: &Value) {
        if value.is_null() || self.report.windows.iter().any(|w| w.kind == kind) {
            return;
        }
        match window_numbers(value) {
            Ok(None) => {}
            Ok(Some((used, resets_at))) => self.report.windows.push(Window {
                kind,
                used,
                resets_at,
            }),
            Err(cause) => self.problem(field, cause),
        }
    }
}

/// The numbers of a window; none when the service leaves the percentage open.
fn window_numbers(value: &Value) -> Result<Option<(Used, Option<Timestamp>)>, Cause> {
    let fields = value.as_object().ok_or(Cause::NotAnObject)?;
    let percent = ["utilization", "used_percentage", "percent"]
        .into_iter()
        .find_map(|name| fields.get(name))
        .ok_or(Cause::Percent)?;
    if percent.is_null() {
        return Ok(None);
    }
    let used = percent
        .as_f64()
        .and_then(Used::from_percent)
        .ok_or(Cause::Percent)?;
    let resets_at = fields.get("resets_at").map_or(Ok(None), instant)?;
    Ok(Some((used, resets_at)))
}

fn instant(value: &Value) -> Result<Option<Timestamp>, Cause> {
    match value {
        Value::Null => Ok(None),
        Value::Number(seconds) => from_seconds(seconds.as_f64()).map(Some),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => from_text(text.trim()).map(Some),
        Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(Cause::ResetsAt),
    }
}

/// Zero and less are no resets: read as times, they would make a full window look as if it had started anew.
fn from_seconds(seconds: Option<f64>) -> Result<Timestamp, Cause> {
    seconds
        .filter(|s| *s > 0.0 && *s <= MAX_UNIX_SECONDS)
        .map(Timestamp::from_unix_seconds)
        .ok_or(Cause::ResetsAt)
}

fn from_text(text: &str) -> Result<Timestamp, Cause> {
    if let Ok(seconds) = text.parse::<f64>() {
        return from_seconds(Some(seconds));
    }
    let parsed: jiff::Timestamp = text.parse().map_err(|_| Cause::ResetsAt)?;
    from_seconds(Some(parsed.as_duration().as_secs_f64()))
}

/// Amounts are in minor units of the currency, and stay so.
fn extra_usage(value: &Value) -> Option<ExtraUsage> {
    let fields = value.as_object()?;
    let amount = |name: &str| fields.get(name).and_then(Value::as_f64);
    let currency = fields.get("currency").and_then(Value::as_str);
    Some(ExtraUsage {
        enabled: fields.get("is_enabled").and_then(Value::as_bool)?,
        used: amount("used_credits"),
        limit: amount("monthly_limit"),
        currency: currency
            .filter(|c| c.len() <= 8 && c.bytes().all(|b| b.is_ascii_alphanumeric()))
            .map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// `5h 31@1900000000 7d 46@? Fable 88@?`, then the problems after a bar.
    fn shown(body: &Value) -> String {
        let (report, problems) = parse(body);
        let mut words: Vec<String> = report.windows.iter().map(show_window).collect();
        if !problems.is_empty() {
            words.push("|".to_owned());
        }
        words.extend(problems.iter().map(ToString::to_string));
        words.join(" ")
    }

    fn show_window(window: &Window) -> String {
        let name = match &window.kind {
            WindowKind::FiveHour => "5h",
            WindowKind::SevenDay => "7d",
            WindowKind::WeeklyScoped(model) => model,
        };
        let reset = window.resets_at.map_or("?".to_owned(), |at| {
            let (seconds, ms) = (at.unix_seconds(), at.unix_ms().rem_euclid(1000));
            if ms == 0 {
                seconds.to_string()
            } else {
                format!("{seconds}.{ms:03}")
            }
        });
        format!("{name} {}@{reset}", window.used.percent())
    }

    #[track_caller]
    fn check(body: Value, expected: &str) {
        assert_eq!(shown(&body), expected, "{body}");
    }

    #[test]
    fn utilization_is_a_percentage() {
        let five = |v: Value| json!({"five_hour": {"utilization": v, "resets_at": null}});
        check(five(json!(31.0)), "5h 31@?");
        check(five(json!(0.9)), "5h 0.9@?");
        check(five(json!(0)), "5h 0@?");
        check(five(json!(250)), "5h 100@?");
        check(five(json!(-1)), "5h 0@?");
        check(five(Value::Null), "");
        check(five(json!("31")), "| five_hour has no percentage");
        check(json!({"five_hour": {}}), "| five_hour has no percentage");
        check(json!({"five_hour": 31}), "| five_hour is not an object");
        check(json!({"five_hour": null, "seven_day": null}), "");
        check(json!({}), "");
        check(json!([1]), "| body is not an object");
        check(Value::Null, "| body is not an object");
    }

    #[test]
    fn a_reset_is_spelled_in_five_ways() {
        let five = |v: Value| json!({"five_hour": {"utilization": 1, "resets_at": v}});
        check(five(json!(1_900_000_000)), "5h 1@1900000000");
        check(five(json!(1_900_000_000.25)), "5h 1@1900000000.250");
        check(five(json!("1900000000")), "5h 1@1900000000");
        check(five(json!("1900000000.5")), "5h 1@1900000000.500");
        check(five(json!("2030-03-17T17:46:40Z")), "5h 1@1900000000");
        check(
            five(json!("2030-03-17T18:46:40.5+01:00")),
            "5h 1@1900000000.500",
        );
        check(five(Value::Null), "5h 1@?");
        check(five(json!("")), "5h 1@?");
        check(json!({"five_hour": {"utilization": 1}}), "5h 1@?");
    }

    #[test]
    fn a_reset_that_is_no_time_costs_its_own_window_alone() {
        let bad = [
            json!("tomorrow"),
            json!("nan"),
            json!("inf"),
            json!(0),
            json!(-5),
            json!(1e300),
            json!(1_900_000_000_000_i64),
            json!(true),
            json!({}),
            json!([1]),
            json!("2030-13-17T17:46:40Z"),
        ];
        for reset in bad {
            let body = json!({
                "five_hour": {"utilization": 1, "resets_at": reset},
                "seven_day": {"utilization": 2, "resets_at": ""},
            });
            check(body, "7d 2@? | five_hour has a reset that is no time");
        }
    }

    #[test]
    fn scoped_windows_count_when_they_name_a_model() {
        let scoped = |scope: Value| {
            json!({"limits": [{"kind": "weekly_scoped", "percent": 88,
            "resets_at": 1_900_000_000, "scope": scope, "is_active": true}]})
        };
        check(
            scoped(json!({"model": {"display_name": "Fable"}, "surface": null})),
            "Fable 88@1900000000",
        );
        check(
            scoped(json!({"model": {"display_name": " "}, "surface": null})),
            "",
        );
        check(scoped(json!({"model": null, "surface": "web"})), "");
        check(scoped(Value::Null), "");
        check(
            json!({"limits": [{"kind": "monthly", "percent": 1}, 7, null, {"kind": 3}]}),
            "",
        );
        check(
            json!({"model_scoped": [{"display_name": "Fable", "utilization": 8, "resets_at": null}]}),
            "Fable 8@?",
        );
        check(
            json!({"limits": [{"kind": "weekly_scoped", "percent": 9, "scope": {"model": {"display_name": "Fable"}}}],
                "model_scoped": [{"display_name": "Fable", "utilization": 8}]}),
            "Fable 9@?",
        );
    }

    #[test]
    fn the_fields_of_single_models_count_where_nothing_else_names_the_model() {
        let opus = json!({"utilization": 7, "resets_at": null});
        check(json!({"seven_day_opus": opus}), "Opus 7@?");
        check(
            json!({"seven_day_sonnet": opus, "seven_day_opus": null, "seven_day_oauth_apps": opus}),
            "Sonnet 7@?",
        );
        check(
            json!({"seven_day_opus": opus,
                "limits": [{"kind": "weekly_scoped", "percent": 9, "scope": {"model": {"display_name": "Opus 5"}}}]}),
            "Opus 5 9@?",
        );
    }

    #[test]
    fn limits_stand_in_for_windows_that_are_missing() {
        let body = json!({
            "seven_day": {"utilization": 46, "resets_at": null},
            "limits": [{"kind": "session", "percent": 31}, {"kind": "weekly_all", "percent": 99}],
        });
        check(body, "7d 46@? 5h 31@?");
    }

    #[test]
    fn the_status_line_has_its_own_spelling() {
        let body = json!({"five_hour": {"used_percentage": 22.5, "resets_at": 1_900_000_000},
            "seven_day": {"used_percentage": 46, "resets_at": 1_900_000_001}});
        check(body, "5h 22.5@1900000000 7d 46@1900000001");
    }

    #[test]
    fn extra_usage_is_kept_in_minor_units() {
        let extra = |v: Value| parse(&json!({"extra_usage": v})).0.extra;
        let full = json!({"is_enabled": true, "monthly_limit": 5000, "used_credits": 1234.5, "utilization": 24.68,
            "currency": "USD", "disabled_reason": null});
        assert_eq!(
            extra(full),
            Some(ExtraUsage {
                enabled: true,
                used: Some(1234.5),
                limit: Some(5000.0),
                currency: Some("USD".into())
            })
        );
        assert_eq!(
            extra(json!({"is_enabled": false, "monthly_limit": null})),
            Some(ExtraUsage::default())
        );
        for none in [
            Value::Null,
            json!({}),
            json!("on"),
            json!({"is_enabled": 1}),
        ] {
            assert_eq!(extra(none), None);
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "(\\PC|[0-9TZ:+.-]){0,30}".prop_map(Value::from),
        ];
        let field = prop_oneof![
            Just("five_hour".to_owned()),
            Just("seven_day".to_owned()),
            Just("seven_day_opus".to_owned()),
            Just("utilization".to_owned()),
            Just("resets_at".to_owned()),
            Just("limits".to_owned()),
            Just("kind".to_owned()),
            Just("scope".to_owned()),
            Just("model".to_owned()),
            Just("display_name".to_owned()),
            Just("model_scoped".to_owned()),
            Just("extra_usage".to_owned()),
            "[a-z]{0,5}",
        ];
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((field.clone(), inner), 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_panics_and_no_kind_comes_twice(body in any_json()) {
            let (report, _) = parse(&body);
            for (index, window) in report.windows.iter().enumerate() {
                prop_assert!(report.windows[..index].iter().all(|w| w.kind != window.kind));
                prop_assert!((0.0..=100.0).contains(&window.used.percent()));
            }
        }
    }
}
