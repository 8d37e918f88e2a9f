//! Instants as people read them, in their own time zone. Pure: the instant, now and the zone go in, a text comes out.

use crate::core::time::Timestamp;
use jiff::tz::TimeZone;
use jiff::{Unit, Zoned};

/// A weekday names a day only as long as it cannot be the same day of another week.
const WEEKDAY_DAYS: i32 = 6;
/// A date further away than this says its year.
const YEAR_DAYS: i32 = 180;

/// The zone of this machine: `TZ`, else the system's; UTC when neither can be told.
#[must_use]
pub fn local_zone() -> TimeZone {
    TimeZone::system()
}

/// `6:00 PM`, `tomorrow 3:58 PM`, `Tue 3:58 PM`, `Jun 15, 3:58 PM`, `Jun 15 2031, 3:58 PM`; `yesterday 3:58 PM` and
/// dates for what is over. An instant ahead is rounded to the nearest minute (services say 5:59:59.9 and mean six), one
/// that is over is never shown later than it was.
#[must_use]
pub fn instant(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    let (Some(local), Some(today)) = (zoned(nearest_minute(at, now), zone), zoned(now, zone))
    else {
        return "-".to_owned();
    };
    let clock = clock(&local);
    match days_between(&today, &local) {
        0 => clock,
        1 => format!("tomorrow {clock}"),
        -1 => format!("yesterday {clock}"),
        2..=WEEKDAY_DAYS => format!("{} {clock}", local.strftime("%a")),
        days if days.abs() > YEAR_DAYS && local.year() != today.year() => {
            format!("{}, {clock}", local.strftime("%b %-d %Y"))
        }
        _ => format!("{}, {clock}", local.strftime("%b %-d")),
    }
}

fn nearest_minute(at: Timestamp, now: Timestamp) -> Timestamp {
    if at <= now {
        return at;
    }
    let minutes = at.unix_ms().saturating_add(30_000).div_euclid(60_000);
    Timestamp::from_unix_ms(minutes * 60_000)
}

fn zoned(at: Timestamp, zone: &TimeZone) -> Option<Zoned> {
    let at = jiff::Timestamp::from_millisecond(at.unix_ms()).ok()?;
    Some(at.to_zoned(zone.clone()))
}

fn clock(at: &Zoned) -> String {
    at.strftime("%-I:%M %p").to_string()
}

/// Whole calendar days from one to the other, whatever the clocks did in between.
fn days_between(from: &Zoned, to: &Zoned) -> i32 {
    let span = from.date().until((Unit::Day, to.date()));
    span.map_or(i32::MAX, |s| s.get_days())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let parsed: jiff::Timestamp = text.parse().expect("an RFC 3339 instant");
        Timestamp::from_unix_ms(parsed.as_millisecond())
    }

    fn new_york() -> TimeZone {
        TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("a zone")
    }

    #[test]
    fn an_instant_says_as_little_as_is_needed() {
        // Wednesday, 10 June 2026, 14:00 in New York.
        let now = "2026-06-10T14:00:00-04:00";
        let rows = [
            ("2026-06-10T18:00:00-04:00", "6:00 PM"),
            ("2026-06-10T17:59:59.943-04:00", "6:00 PM"),
            ("2026-06-10T12:00:00-04:00", "12:00 PM"),
            ("2026-06-11T00:00:00-04:00", "tomorrow 12:00 AM"),
            ("2026-06-10T23:59:59.9-04:00", "tomorrow 12:00 AM"),
            ("2026-06-11T15:58:00-04:00", "tomorrow 3:58 PM"),
            ("2026-06-12T15:58:00-04:00", "Fri 3:58 PM"),
            ("2026-06-16T15:58:00-04:00", "Tue 3:58 PM"),
            ("2026-06-17T15:58:00-04:00", "Jun 17, 3:58 PM"),
            ("2027-06-15T15:58:00-04:00", "Jun 15 2027, 3:58 PM"),
            ("2026-06-10T13:58:59-04:00", "1:58 PM"),
            ("2026-06-09T23:00:00-04:00", "yesterday 11:00 PM"),
            ("2026-06-07T09:05:00-04:00", "Jun 7, 9:05 AM"),
        ];
        for (instant, expected) in rows {
            assert_eq!(
                super::instant(at(instant), at(now), &new_york()),
                expected,
                "{instant}"
            );
        }
    }

    #[test]
    fn days_are_of_the_calendar_when_the_clocks_change_and_the_year_ends() {
        let rows = [
            // Clocks go forward on 8 March 2026: that day has 23 hours.
            (
                "2026-03-07T23:30:00-05:00",
                "2026-03-08T03:30:00-04:00",
                "tomorrow 3:30 AM",
            ),
            (
                "2026-03-08T01:59:00-05:00",
                "2026-03-08T03:00:00-04:00",
                "3:00 AM",
            ),
            (
                "2026-03-07T23:30:00-05:00",
                "2026-03-09T00:10:00-04:00",
                "Mon 12:10 AM",
            ),
            // And back on 1 November: 1:30 comes twice, and the day has 25 hours.
            (
                "2026-11-01T00:30:00-04:00",
                "2026-11-01T23:45:00-05:00",
                "11:45 PM",
            ),
            (
                "2026-10-31T22:00:00-04:00",
                "2026-11-01T01:30:00-05:00",
                "tomorrow 1:30 AM",
            ),
            // Around the turn of the year.
            (
                "2026-12-31T22:00:00-05:00",
                "2027-01-01T03:00:00-05:00",
                "tomorrow 3:00 AM",
            ),
            (
                "2026-12-31T22:00:00-05:00",
                "2027-01-04T15:58:00-05:00",
                "Mon 3:58 PM",
            ),
            (
                "2026-12-28T22:00:00-05:00",
                "2027-01-04T15:58:00-05:00",
                "Jan 4, 3:58 PM",
            ),
            (
                "2026-12-31T22:00:00-05:00",
                "2028-01-04T15:58:00-05:00",
                "Jan 4 2028, 3:58 PM",
            ),
        ];
        for (now, instant, expected) in rows {
            assert_eq!(
                super::instant(at(instant), at(now), &new_york()),
                expected,
                "{now} -> {instant}"
            );
        }
    }

    #[test]
    fn instants_that_no_calendar_holds_are_unknown() {
        let far = Timestamp::from_unix_ms(i64::MAX);
        let now = at("2026-06-10T14:00:00Z");
        assert_eq!(instant(far, now, &TimeZone::UTC), "-");
        assert_eq!(instant(now, far, &TimeZone::UTC), "-");
    }
}
