//! Instants as people and other programs write them: RFC 3339 in UTC. Local time needs a time zone and is not for core.

use super::time::Timestamp;

/// Seconds of the first instant that four digits of a year can write, and of the last.
const FIRST: i64 = -62_167_219_200;
const LAST: i64 = 253_402_300_799;

/// `2026-06-15T15:58:00Z`: whole seconds, rounded down. Years outside 0000 to 9999 are written as the nearest instant
/// inside.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    let seconds = at.unix_seconds().clamp(FIRST, LAST);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since 1970-01-01, by the proleptic Gregorian calendar. (Years are counted
/// from March, so that the leap day is the last; 146,097 days are 400 years.)
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_the_calendar_has_them() {
        let rows = [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (FIRST - 5, "0000-01-01T00:00:00Z"),
            (i64::MAX / 1000, "9999-12-31T23:59:59Z"),
        ];
        for (seconds, expected) in rows {
            assert_eq!(
                rfc3339(Timestamp::from_unix_ms(seconds * 1000)),
                expected,
                "{seconds}"
            );
        }
        assert_eq!(
            rfc3339(Timestamp::from_unix_ms(-1)),
            "1969-12-31T23:59:59Z",
            "rounded down"
        );
    }

    #[test]
    fn every_day_of_four_centuries_is_the_one_after_the_day_before() {
        let mut before = civil(-1);
        for days in 0..146_097 {
            let today = civil(days);
            let (year, month, day) = today;
            let follows = match before {
                (y, m, d) if (y, m) == (year, month) => day == d + 1,
                (y, 12, 31) => today == (y + 1, 1, 1),
                (y, m, 28..=31) => today == (y, m + 1, 1),
                _ => false,
            };
            assert!(follows, "{before:?} then {today:?}");
            before = today;
        }
        assert_eq!(before, (2369, 12, 31));
    }
}
