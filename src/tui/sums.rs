//! A score as a sum that adds up on the screen too: every term is rounded to tenths so that the shown terms make
//! exactly the shown score.

use crate::contract::record::TermsRecord;
use crate::core::select::score::{WEIGHT_5H, WEIGHT_7D};

/// One term of a score, as it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Its name, for people.
    pub name: &'static str,
    /// What it adds (or, negative, costs), in tenths of a point.
    pub tenths: i64,
}

/// Names of the terms in the order of [`contributions`], with a short form for a column head.
pub const NAMES: [(&str, &str); 9] = [
    ("5-hour headroom", "5h"),
    ("weekly headroom", "7d"),
    ("live sessions", "live"),
    ("stale numbers", "stale"),
    ("5-hour window low", "low5h"),
    ("weekly window low", "low7d"),
    ("runs out soon", "runway"),
    ("plan limit", "limit"),
    ("login needed", "login"),
];

/// Every term of a score, in the order of [`NAMES`]; the tenths add up to [`tenths`] of the score.
#[must_use]
pub fn contributions(terms: &TermsRecord, score: f64) -> Vec<Contribution> {
    let values = [
        WEIGHT_5H * terms.eff_5h,
        WEIGHT_7D * terms.eff_7d,
        -terms.sessions,
        -terms.stale,
        -terms.barrier_5h,
        -terms.barrier_7d,
        -terms.runway,
        -terms.rate_limited,
        -terms.needs_login,
    ];
    let shown = add_up(&values, tenths(score));
    NAMES
        .iter()
        .zip(shown)
        .map(|((name, _), tenths)| Contribution { name, tenths })
        .collect()
}

/// A score in tenths, rounded as `%.1f` rounds; 0 for what is no number.
#[must_use]
pub fn tenths(score: f64) -> i64 {
    let text = format!("{score:.1}");
    // A sum of percentages: far from where a float loses tenths.
    text.replace('.', "").parse().unwrap_or(0)
}

/// `68.1`, `-5.0`.
#[must_use]
pub fn plain(tenths: i64) -> String {
    let sign = if tenths < 0 { "-" } else { "" };
    let size = tenths.unsigned_abs();
    format!("{sign}{}.{}", size / 10, size % 10)
}

/// `+54.6`, `-2.0`; nothing added or taken is `0.0`.
#[must_use]
pub fn signed(tenths: i64) -> String {
    let plus = if tenths > 0 { "+" } else { "" };
    format!("{plus}{}", plain(tenths))
}

/// Rounds to tenths so that the sum is `total`: what rounding down lost is given to the values that lost most. Values
/// that are whole tenths already keep out of it as long as others can give way.
fn add_up(values: &[f64], total: i64) -> Vec<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "float casts saturate, and scores are far below"
    )]
    let floor = |value: &f64| (value * 10.0 + 1e-6).floor() as i64;
    #[expect(
        clippy::cast_precision_loss,
        reason = "tenths of percent points are small"
    )]
    let lost = |value: f64, shown: i64| value * 10.0 - shown as f64;
    let mut shown: Vec<i64> = values.iter().map(floor).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| lost(values[*b], shown[*b]).total_cmp(&lost(values[*a], shown[*a])));
    let mut missing = total - shown.iter().sum::<i64>();
    // Terms and score of one record agree to a rounding, so one pass is enough; a record that somebody edited may not.
    for index in order {
        if missing <= 0 {
            break;
        }
        shown[index] += 1;
        missing -= 1;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::select::score::Terms;
    use proptest::prelude::*;

    fn terms(eff_5h: f64, eff_7d: f64, sessions: f64, barrier: f64, runway: f64) -> Terms {
        Terms {
            eff_5h,
            eff_7d,
            sessions,
            barrier_5h: barrier,
            runway,
            ..Terms::default()
        }
    }

    #[test]
    fn a_score_is_shown_term_by_term() {
        let terms = terms(78.0, 54.0, 4.0, 0.0, 0.0);
        let shown: Vec<String> = contributions(&TermsRecord::from(&terms), terms.score())
            .iter()
            .filter(|c| c.tenths != 0)
            .map(|c| format!("{} {}", c.name, signed(c.tenths)))
            .collect();
        assert_eq!(
            shown,
            [
                "5-hour headroom +54.6",
                "weekly headroom +13.5",
                "live sessions -4.0"
            ]
        );
        assert_eq!(plain(tenths(terms.score())), "64.1");
    }

    #[test]
    fn numbers_below_one_keep_their_sign() {
        assert_eq!(plain(-5), "-0.5");
        assert_eq!(signed(5), "+0.5");
        assert_eq!(signed(0), "0.0");
        assert_eq!(tenths(-0.04), 0);
        assert_eq!(tenths(68.25), 682, "as %.1f");
        assert_eq!(tenths(f64::NAN), 0);
    }

    proptest! {
        #[test]
        fn the_shown_terms_make_the_shown_score(
            eff_5h in 0.0..=100.0_f64, eff_7d in 0.0..=100.0_f64, sessions in 0_u32..30,
            barrier in 0.0..=20.0_f64, runway in 0.0..=15.0_f64,
        ) {
            let terms = terms(eff_5h, eff_7d, 2.0 * f64::from(sessions), barrier, runway);
            let shown = contributions(&TermsRecord::from(&terms), terms.score());
            prop_assert_eq!(shown.iter().map(|c| c.tenths).sum::<i64>(), tenths(terms.score()));
            let exact = [0.7 * eff_5h, 0.25 * eff_7d, -terms.sessions, 0.0, -barrier, 0.0, -runway, 0.0, 0.0];
            for (contribution, exact) in shown.iter().zip(exact) {
                let distance = (contribution.tenths as f64 / 10.0 - exact).abs();
                prop_assert!(distance <= 0.1 + 1e-6, "{} is {exact}", contribution.name);
            }
        }
    }
}
