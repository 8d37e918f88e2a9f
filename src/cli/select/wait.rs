//! Waiting for headroom: look, sleep to the earliest reset that would free an account, look again. Nothing is claimed
//! before an account can serve.

use crate::adapters::procs::interrupt::{Interrupts, Woken};
use crate::adapters::{clock, files};
use crate::claim::announce::span;
use crate::claim::roster::{self, Roster};
use crate::claim::{Choice, Claim, look};
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::reserve::{self, Surroundings, Wanted};
use crate::cli::{prompt, refresh};
use crate::contract::proto::Wanted as Sampling;
use crate::contract::snapshot::AccountEntry;
use crate::core::account::AccountId;
use crate::core::select::score::{Assessment, Tier, is_stale};
use crate::core::time::Timestamp;
use crate::daemon::refresh::Which;
use crate::daemon::sampling;
use std::fs;
use std::time::Duration;

/// The longest time between two looks: another process may have sampled, or somebody signed in.
const LOOK: Duration = Duration::from_secs(15);
/// After a reset the service may take a moment to agree.
const AFTER_RESET: Duration = Duration::from_millis(200);
/// Between two attempts to sample while waiting.
const SAMPLE_GAP: Duration = Duration::from_secs(60);

/// Waits until the account that would be picked has headroom, and claims it.
pub(super) fn until_headroom(
    context: &Context,
    wanted: &Wanted<'_>,
    fresh: Option<Duration>,
    ask_daemon: bool,
) -> Result<(Roster, Claim), Failure> {
    let interrupts =
        Interrupts::catch().map_err(|e| Failure::new(format!("cannot wait for signals: {e}")))?;
    let mut said = None;
    let mut sampled_at = clock::now();
    loop {
        let now = clock::now();
        let roster = reserve::roster(context);
        let surroundings = Surroundings::read(wanted, &roster);
        let choice = look(
            &context.home,
            &roster,
            &surroundings.wish(wanted.command),
            now,
        )?;
        if choice.pick.assessment().available() {
            let context = Context {
                now,
                ..context.clone()
            };
            let taken = reserve::take(&context, wanted)?;
            // Between the look and the claim another launch may have changed the picture.
            if taken.1.choice.pick.assessment().available() {
                return Ok(taken);
            }
            crate::claim::release(&context.home, &taken.1);
        }
        let until = serves_again_at(&choice, surroundings.is_forced());
        let state = (choice.pick.id, until);
        if said != Some(state) {
            let who = surroundings.is_forced().then_some(choice.pick.id);
            eprintln!("{}", line(&roster, &choice, who, until, now));
            said = Some(state);
        }
        if now.since(sampled_at) >= SAMPLE_GAP {
            sampled_at = now;
            freshen(context, fresh, ask_daemon);
        }
        if interrupts.wait(None, next_look(until, clock::now())) == Woken::Interrupted {
            return Err(prompt::interrupted(&interrupts));
        }
    }
}

/// When the first account that could serve does so again; none when no account says when.
fn serves_again_at(choice: &Choice, forced: bool) -> Option<Timestamp> {
    let pick = &choice.pick;
    let candidates = pick.ranking.iter().filter(|a| match forced {
        true => a.id == pick.id,
        false => a.tier != Tier::NeedsLogin,
    });
    candidates
        .filter_map(|a: &Assessment| a.serves_again_at)
        .min()
}

fn next_look(until: Option<Timestamp>, now: Timestamp) -> Duration {
    until.map_or(LOOK, |at| (at.since(now) + AFTER_RESET).min(LOOK))
}

fn line(
    roster: &Roster,
    choice: &Choice,
    forced: Option<AccountId>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> String {
    let label_of = |id| crate::claim::label_of(&roster.snapshot, id);
    let who = forced.map_or("no account", label_of);
    let has = if forced.is_some() { "has no" } else { "has" };
    let serving = until.and_then(|at| {
        let ranking = &choice.pick.ranking;
        ranking.iter().find(|a| a.serves_again_at == Some(at))
    });
    match (until, serving) {
        (Some(at), Some(assessment)) => format!(
            "{who} {has} headroom; waiting for {}, which resets in {}",
            label_of(assessment.id),
            span(at.ms_since(now))
        ),
        _ => format!(
            "{who} {has} headroom, and no reset is known; looking every {} s",
            LOOK.as_secs()
        ),
    }
}

/// Samples accounts whose numbers are too old: older than `fresh` where the person asked for that, else stale by their
/// own cadence, and then not again right after another attempt. What cannot be sampled keeps its old numbers, which are
/// shown with their age.
pub(super) fn freshen(context: &Context, fresh: Option<Duration>, ask_daemon: bool) {
    let now = clock::now();
    let snapshot = roster::load(&context.home, &context.user_home).snapshot;
    let old = |entry: &AccountEntry| {
        let freshness = entry.freshness(snapshot.paused_since_ms);
        match fresh {
            Some(age) => freshness.measured_at.is_none_or(|at| now.since(at) > age),
            None => is_stale(&freshness, now),
        }
    };
    let which = match fresh {
        _ if !snapshot.accounts.iter().any(old) => return,
        Some(age) => Which::OlderThan(age),
        None if attempted_recently(context, now) => return,
        None => Which::Stale,
    };
    let wanted = fresh.map_or(Sampling::Stale, |age| Sampling::OlderThan(age.as_secs()));
    if ask_daemon && refresh::by_daemon(context, wanted).is_some() {
        return;
    }
    let sampled = context
        .open_store()
        .map_err(Failure::from)
        .and_then(|mut store| refresh::sample(context, &mut store, which, sampling::BOUND));
    if let Err(failure) = sampled {
        eprintln!("warning: going on with old numbers: {}", failure.error);
    }
}

/// The lock of sampling is touched at each attempt.
fn attempted_recently(context: &Context, now: Timestamp) -> bool {
    let attempted = fs::metadata(context.home.refresh_lock())
        .map(|m| Timestamp::from_unix_ms(files::modified_ns(&m) / 1_000_000));
    attempted.is_ok_and(|at| now.since(at) < SAMPLE_GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_look_is_at_the_reset_or_soon() {
        let now = Timestamp::from_unix_ms(1_000_000);
        let check = |ms: Option<i64>| {
            next_look(ms.map(|ms| Timestamp::from_unix_ms(1_000_000 + ms)), now).as_millis()
        };
        assert_eq!(check(None), 15_000);
        assert_eq!(check(Some(3_000)), 3_200);
        assert_eq!(check(Some(3_600_000)), 15_000);
        assert_eq!(check(Some(-5)), 200);
    }
}
