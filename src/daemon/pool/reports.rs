//! What claude says through a slot's host: reports of its hooks, and what its status line was given.

use super::log::Category;
use super::main_loop::Pool;
use super::{perform, usage};
use crate::core::pool::event::Event as Happened;
use crate::core::pool::id::Place;
use crate::core::registry::{HookReport, Reported};
use crate::core::time::Timestamp;

/// Takes a report in. Its host need not keep it any longer than until that is done.
pub(super) fn take(pool: &mut Pool, place: Place, seq: u64, at: Timestamp, json: &[u8]) {
    heard(pool, place, seq, at, json);
    usage::acknowledge(pool, place, seq);
}

fn heard(pool: &mut Pool, place: Place, seq: u64, at: Timestamp, json: &[u8]) {
    if usage::status(pool, place, seq, at, json) {
        return;
    }
    let Ok(report) = HookReport::parse(json) else {
        let message = format!("slot {}: a hook reported what is no report", place.slot);
        return pool.ground.log.write(Category::Error, None, &message);
    };
    if let Reported::TurnEnded {
        last_text: Some(text),
        ..
    }
    | Reported::TurnFailed {
        shown: Some(text), ..
    } = &report.what
    {
        pool.last_texts.insert(place, text.clone());
    } else if let Reported::PromptSubmitted { .. } = &report.what {
        pool.last_texts.remove(&place);
    }
    if let (Some(uuid), Some(path)) = (&report.session, &report.transcript) {
        pool.ground.transcripts.learn(uuid, path);
    }
    usage::hook(pool, place, seq, at, &report);
    if let Some(report) = perform::report(place, seq, at, report) {
        pool.tell_machine(Happened::Report(report));
    }
}
