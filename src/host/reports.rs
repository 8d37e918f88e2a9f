//! Reports of hooks, numbered and kept until a daemon has taken care of them.

use crate::contract::proto::host::{FromHost, KEPT_REPORTS};
use std::collections::VecDeque;

/// The most bytes that are kept; reports are small, but for those that quote a long prompt.
const MAX_BYTES: usize = 16 * 1024 * 1024;

#[derive(Debug)]
struct Report {
    seq: u64,
    received_at_ms: i64,
    json: Vec<u8>,
}

/// The reports that nobody has acknowledged.
#[derive(Debug)]
pub(super) struct Reports {
    kept: VecDeque<Report>,
    bytes: usize,
    next: u64,
    dropped: u64,
    /// The last report that said how something is.
    state: Vec<u8>,
}

impl Default for Reports {
    fn default() -> Self {
        Self {
            kept: VecDeque::new(),
            bytes: 0,
            next: 1,
            dropped: 0,
            state: Vec::new(),
        }
    }
}

impl Reports {
    /// Whether this report of how something is says anything else than the last one.
    pub fn is_news(&mut self, json: &[u8]) -> bool {
        let is_news = self.state != json;
        if is_news {
            self.state = json.to_vec();
        }
        is_news
    }

    /// Keeps one more; the message for a daemon.
    pub fn add(&mut self, json: Vec<u8>, received_at_ms: i64) -> FromHost {
        let report = Report {
            seq: self.next,
            received_at_ms,
            json,
        };
        self.next += 1;
        let message = message(&report);
        self.bytes += report.json.len();
        self.kept.push_back(report);
        while self.kept.len() > KEPT_REPORTS || self.bytes > MAX_BYTES {
            self.drop_oldest();
            self.dropped += 1;
        }
        message
    }

    pub fn acknowledge(&mut self, up_to: u64) {
        while self.kept.front().is_some_and(|report| report.seq <= up_to) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.kept.pop_front() {
            self.bytes -= oldest.json.len();
        }
    }

    /// All of them, for a daemon that has just come.
    pub fn messages(&self) -> impl Iterator<Item = FromHost> {
        self.kept.iter().map(message)
    }

    pub const fn next(&self) -> u64 {
        self.next
    }

    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}

fn message(report: &Report) -> FromHost {
    FromHost::Report {
        seq: report.seq,
        received_at_ms: report.received_at_ms,
        json: report.json.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(reports: &Reports) -> Vec<u64> {
        let number = |message| match message {
            FromHost::Report { seq, .. } => seq,
            _ => 0,
        };
        reports.messages().map(number).collect()
    }

    #[test]
    fn a_state_is_news_when_it_is_another_one() {
        let mut reports = Reports::default();
        let said = ["a", "a", "b", "a"].map(|text| reports.is_news(text.as_bytes()));
        assert_eq!(said, [true, false, true, true]);
    }

    #[test]
    fn reports_are_kept_until_they_are_acknowledged_and_not_without_bound() {
        let at = 1;
        let mut reports = Reports::default();
        for _ in 0..3 {
            let _ = reports.add(b"{}".to_vec(), at);
        }
        assert_eq!(numbers(&reports), [1, 2, 3]);
        reports.acknowledge(2);
        assert_eq!((numbers(&reports), reports.next()), (vec![3], 4));
        for _ in 0..KEPT_REPORTS {
            let _ = reports.add(b"{}".to_vec(), at);
        }
        assert_eq!(
            (numbers(&reports).len(), reports.dropped()),
            (KEPT_REPORTS, 1)
        );
        for _ in 0..5 {
            let _ = reports.add(vec![b' '; 4 * 1024 * 1024], at);
        }
        assert!(numbers(&reports).len() <= 4, "16 MiB in all");
    }
}
