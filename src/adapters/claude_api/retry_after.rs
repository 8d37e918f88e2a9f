//! `Retry-After`, as far as it is to be believed.

use crate::core::time::Timestamp;
use std::time::Duration;

/// Longer is not waited for: a wrong number must not blind us for a day.
const MAX: Duration = Duration::from_secs(30 * 60);

/// Seconds or a date. Clamped to half an hour; zero and the past are distrusted, that is, none.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let wait = if let Ok(seconds) = text.parse::<f64>() {
        Duration::try_from_secs_f64(seconds).unwrap_or(if seconds > 0.0 {
            MAX
        } else {
            Duration::ZERO
        })
    } else {
        let date = jiff::fmt::rfc2822::parse(text).ok()?;
        Timestamp::from_unix_ms(date.timestamp().as_millisecond()).since(now)
    };
    (!wait.is_zero()).then_some(wait.min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plausible_wait_is_believed() {
        let now = Timestamp::from_unix_ms(1_900_000_000_000);
        let rows = [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("86400", Some(1800)),
            ("1e30", Some(1800)),
            ("inf", Some(1800)),
            ("0", None),
            ("-5", None),
            ("nan", None),
            ("soon", None),
            ("", None),
            ("Sun, 17 Mar 2030 17:47:40 GMT", Some(60)),
            ("Sun, 17 Mar 2030 17:46:00 GMT", None),
            ("Sun, 17 Mar 2031 17:46:00 GMT", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(
                parse(text, now),
                seconds.map(Duration::from_secs),
                "{text:?}"
            );
        }
    }
}
