//! `ccp why`: explains a pick from its own record, as it was decided then; nothing is judged anew.

mod explain;

use super::context::Context;
use super::failure::{Failure, Outcome};
use crate::adapters::store::StoredPick;
use crate::adapters::{leases, procs};
use crate::contract::exit;
use crate::contract::lease::LeaseName;
use crate::contract::paths::Home;
use crate::contract::record::{PickRecord, RankedAccount};
use crate::core::accounts::lease::is_live;
use crate::core::time::Timestamp;
use crate::tui::times;
use explain::{Told, explain};
use serde::Serialize;
use std::fs::File;
use std::io::{Read as _, Write as _};

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// The longest record that is read, in bytes: thousands of accounts fit.
const MAX_RECORD: u64 = 16 << 20;

/// A pick that was found, and what became of its session.
#[derive(Debug)]
struct Found {
    /// Name of its lease.
    lease: String,
    record: PickRecord,
    /// Its lease still counts.
    live: bool,
}

#[derive(Serialize)]
struct Explanation<'a> {
    schema: u32,
    /// 1 is the last pick.
    number: u32,
    lease: &'a str,
    live: bool,
    /// Why, in a sentence.
    reason: &'a str,
    pick: &'a PickRecord,
    runner_up: Option<&'a RankedAccount>,
    /// Score of the picked account less that of the runner-up; negative when a pin or an order overruled the ranking.
    margin: Option<f64>,
}

/// Runs `ccp why`.
pub fn run(context: &Context, number: u32, json: bool) -> Outcome {
    let found = find(context, number)?;
    let record = &found.record;
    let picked = record.ranking.iter().find(|a| a.id == record.account);
    let runner_up = record.ranking.iter().find(|a| a.id != record.account);
    let text = if json {
        let explanation = Explanation {
            schema: SCHEMA,
            number,
            lease: &found.lease,
            live: found.live,
            reason: &explain::reason(record),
            pick: record,
            runner_up,
            margin: picked.zip(runner_up).map(|(p, r)| p.score - r.score),
        };
        serde_json::to_string_pretty(&explanation).map_err(Failure::new)? + "\n"
    } else {
        let told = Told {
            record,
            live: found.live,
            now: context.now,
            zone: &times::local_zone(),
            user_home: &context.user_home,
        };
        explain(&told)
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot print: {error}")))
        }
        _ => Ok(exit::OK),
    }
}

/// The pick of this number, of all that leases and the database know, newest first, each once.
fn find(context: &Context, number: u32) -> Result<Found, Failure> {
    let mut picks = from_leases(&context.home, context.now)?;
    // As many as are asked for are enough: a lease can only push one of these further back. Where the database cannot be
    // read, the leases still tell of the last picks.
    let stored = stored(context, number);
    let (stored, problem) = match stored {
        Ok(stored) => (stored, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    for pick in stored {
        if !picks.iter().any(|p| p.lease == pick.lease) {
            picks.push(Found {
                lease: pick.lease,
                record: pick.record,
                live: false,
            });
        }
    }
    picks.sort_by(|a, b| {
        let key = |p: &Found| (p.record.at_ms, p.lease.clone());
        key(b).cmp(&key(a))
    });
    let count = picks.len();
    let index = usize::try_from(number).unwrap_or(usize::MAX) - 1;
    let found = (index < count).then(|| picks.swap_remove(index));
    if let Some(failure) = problem {
        let Some(found) = found else {
            return Err(failure);
        };
        eprintln!("warning: {}; going by the leases alone", failure.error);
        return Ok(found);
    }
    found.ok_or_else(|| match count {
        0 => Failure::new("nothing was picked yet").hint("`ccp run` picks an account"),
        1 => Failure::new("only one pick is known").hint("`ccp why` explains it"),
        _ => Failure::new(format!("only {count} picks are known"))
            .hint(format!("`ccp why {count}` explains the oldest")),
    })
}

fn stored(context: &Context, limit: u32) -> Result<Vec<StoredPick>, Failure> {
    Ok(match context.existing_store()? {
        Some(store) => store.picks(limit)?,
        None => Vec::new(),
    })
}

/// The picks of all leases that are still there, dead ones too. One that cannot be read explains nothing.
fn from_leases(home: &Home, now: Timestamp) -> Result<Vec<Found>, Failure> {
    let dir = home.leases();
    let listing = leases::list(&dir).map_err(|error| {
        Failure::new(format!(
            "cannot read the leases in {}: {error}",
            dir.display()
        ))
    })?;
    let machine = procs::machine();
    let found = |lease: &LeaseName| {
        let name = lease.to_string();
        let mut bytes = Vec::new();
        let file = File::open(dir.join(&name)).ok()?;
        file.take(MAX_RECORD).read_to_end(&mut bytes).ok()?;
        let sighting = procs::sight(lease.holder, lease.machine, &machine);
        Some(Found {
            lease: name,
            record: serde_json::from_slice(&bytes).ok()?,
            live: is_live(lease.holder, lease.created_at, sighting, now),
        })
    };
    Ok(listing.leases.iter().filter_map(found).collect())
}
