//! What a session pool costs and how fast it is. With the real client, against the simulated service: from nothing to
//! fresh slots, a prompt in a fresh slot, a followup, an eviction, bringing a session back, the news that a turn is over;
//! each beside a cold start of the same client in the same run; and how long a session is on its
//! way to another account. Without it: requests in a second, listings of many
//! sessions, long transcripts, many clients, memory.
//!
//! `cargo bench --bench pool` prints the rows with their aims; `-- --quick` runs a third of the rounds; `-- warm`,
//! `-- load` and `-- handoff` run one part alone.

#![expect(
    clippy::disallowed_methods,
    reason = "a bench writes what people and other programs would"
)]

mod handoff;
mod load;
mod stage;
mod warm;

use stage::Stage;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let has = |word: &str| words.iter().any(|w| w == word);
    let rounds = if has("--quick") { 5 } else { 15 };
    let all = !has("warm") && !has("load") && !has("handoff");
    let Some(stage) = Stage::open() else { return };
    println!("load of the machine at the start: {}", machine_load());
    if all || has("warm") {
        warm::run(&stage, rounds, has("--quick"));
    }
    if all || has("load") {
        load::run(&stage, has("--quick"));
    }
    drop(stage);
    // A home of its own: with accounts, the other rows would be about them.
    if (all || has("handoff"))
        && let Some(stage) = Stage::open()
    {
        handoff::run(&stage, rounds);
    }
    println!("load of the machine at the end: {}", machine_load());
}

fn machine_load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Times of one thing, in milliseconds.
#[derive(Default)]
struct Times(Vec<f64>);

impl Times {
    fn add(&mut self, time: std::time::Duration) {
        self.0.push(time.as_secs_f64() * 1e3);
    }

    /// The time that so many percent do not exceed.
    fn percentile(&self, percent: usize) -> f64 {
        let mut times = self.0.clone();
        times.sort_by(f64::total_cmp);
        let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
        times.get(at).copied().unwrap_or(f64::NAN)
    }

    fn median(&self) -> f64 {
        self.percentile(50)
    }
}

/// Times with their ratio to a baseline of the same run.
fn times_row(what: &str, times: &Times, baseline: Option<f64>, aim: &str) {
    let (p50, p99) = (times.median(), times.percentile(99));
    let ratio = baseline.map_or_else(String::new, |base| format!("{:.2} x", p50 / base));
    println!("{what:<58} {p50:>9.1} ms p50 {p99:>9.1} ms p99 {ratio:>8}  {aim}");
}

/// One value.
fn value_row(what: &str, value: f64, unit: &str, aim: &str) {
    println!("{what:<58} {value:>9.2} {unit:<8}  {aim}");
}
