//! The session pools as lines of text, below the accounts.

use super::rows::printable;
use super::times;
use crate::contract::kept::{KeptState, PoolReport};
use crate::contract::pool::SlotCounts;
use crate::core::time::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

const HEAD: &str = "POOL";

/// A line for each pool, each ended; nothing where there are none.
#[must_use]
pub fn pool_table(pools: &[PoolReport], now: Timestamp, zone: &TimeZone) -> String {
    if pools.is_empty() {
        return String::new();
    }
    let names = pools.iter().map(|pool| pool.name.width());
    let width = names.max().unwrap_or(0).max(HEAD.len());
    let mut text = format!("  {HEAD}\n");
    for pool in pools {
        let blank = " ".repeat(width.saturating_sub(pool.name.width()));
        // Why a slot does not start may be told with what stood on its screen.
        let said = printable(&said(pool, now, zone));
        text.push_str(&format!("  {}{blank}  {said}\n", pool.name));
    }
    text
}

fn said(pool: &PoolReport, now: Timestamp, zone: &TimeZone) -> String {
    let mut parts = Vec::new();
    if let (Some(size), Some(slots)) = (pool.size, pool.slots) {
        let s = if size == 1 { "" } else { "s" };
        parts.push(format!("{size} slot{s}: {}", states(slots)));
        let queued = pool.queue_depth.unwrap_or(0);
        if queued > 0 {
            parts.push(format!("{queued} waiting"));
        }
        let accounts = pool.accounts.iter();
        let accounts: Vec<String> = accounts
            .map(|account| format!("{} {}", account.label, account.slots))
            .collect();
        if !accounts.is_empty() {
            parts.push(format!("on {}", accounts.join(", ")));
        }
        parts.extend(
            pool.version
                .as_ref()
                .map(|version| format!("ccp {version}")),
        );
    } else if !pool.running {
        parts.push("does not run".to_owned());
    }
    parts.extend(kept(pool, now, zone));
    parts.extend(pool.problem.clone());
    parts.join(" · ")
}

fn states(slots: SlotCounts) -> String {
    let rows = [
        (slots.fresh, "fresh"),
        (slots.spawning, "spawning"),
        (slots.resuming, "resuming"),
        (slots.clearing, "clearing"),
        (slots.idle, "idle"),
        (slots.processing, "processing"),
        (slots.crashed, "crashed"),
    ];
    let some = rows.into_iter().filter(|(count, _)| *count > 0);
    let words: Vec<String> = some
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    if words.is_empty() {
        "none".to_owned()
    } else {
        words.join(", ")
    }
}

/// What its keeper has to say that the pool itself does not.
fn kept(pool: &PoolReport, now: Timestamp, zone: &TimeZone) -> Option<String> {
    Some(match pool.kept? {
        KeptState::Runs | KeptState::Other => return None,
        KeptState::Beginning => "is being begun".to_owned(),
        KeptState::Failing => "does not begin, and is tried again".to_owned(),
        KeptState::Ended => "ended by hand; `ccp pool init` begins it".to_owned(),
        KeptState::NotOurs => "left alone".to_owned(),
        KeptState::Resting => {
            let until = pool.rests_until.as_ref();
            let until = until.and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let until = until.map(|at| Timestamp::from_unix_ms(at.as_millisecond()));
            let until = until.map_or_else(String::new, |at| {
                format!(" until {}", times::instant(at, now, zone))
            });
            format!("begun too often, rests{until}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::pool::AccountSlots;
    use crate::tui::fixture::{NOW, zone};

    #[test]
    fn a_pool_is_a_line() {
        let account = |label: &str, slots| AccountSlots {
            id: 1,
            label: label.to_owned(),
            slots,
        };
        let pools = [
            PoolReport {
                name: "default".to_owned(),
                running: true,
                kept: Some(KeptState::Runs),
                version: Some("0.1.0".to_owned()),
                size: Some(4),
                slots: Some(SlotCounts {
                    fresh: 1,
                    processing: 3,
                    ..SlotCounts::default()
                }),
                queue_depth: Some(2),
                accounts: vec![account("work", 3), account("home", 1)],
                ..PoolReport::default()
            },
            PoolReport {
                name: "w".to_owned(),
                kept: Some(KeptState::Resting),
                rests_until: Some("2026-06-15T16:58:00Z".to_owned()),
                problem: Some("the pool's dir /x:\u{1b}not there".to_owned()),
                ..PoolReport::default()
            },
            PoolReport {
                name: "x".to_owned(),
                ..PoolReport::default()
            },
        ];
        let expected = "  POOL\n  \
             default  4 slots: 1 fresh, 3 processing · 2 waiting · on work 3, home 1 · ccp 0.1.0\n  \
             w        does not run · begun too often, rests until 12:58 PM · the pool's dir /x:\u{fffd}not there\n  \
             x        does not run\n";
        let now = Timestamp::from_unix_ms(NOW);
        assert_eq!(pool_table(&pools, now, &zone()), expected);
        assert_eq!(pool_table(&[], now, &zone()), "");
    }
}
