//! What the conversation itself knows: that its last turn was refused by the plan's limit, and until when. Where neither a
//! status line nor a hook is installed nobody else says so before the next round of sampling, and the launch would go
//! back to the very account that refused.

use super::super::context::Context;
use super::super::refresh;
use crate::adapters::agent::identity;
use crate::adapters::inbox;
use crate::adapters::transcripts::{self, Listed};
use crate::contract::report::Report;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use crate::core::usage::Source;
use crate::daemon::roster;
use std::time::UNIX_EPOCH;

/// Hands the limit in, and lets launches know. What cannot be told or noted is left to the next sample.
pub(super) fn note(context: &Context, file: &Listed) {
    let Some(until) = limited_until(file, context.now) else {
        return;
    };
    let Some(account) = account_of(context, file) else {
        return;
    };
    let since = file.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let failed_at = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    let report = Report {
        account: account.number(),
        account_uuid: None,
        measured_at_ms: failed_at.min(context.now.unix_ms()),
        source: Source::Live.name().to_owned(),
        windows: Vec::new(),
        extra: None,
        limited_until_ms: Some(until.unix_ms()),
    };
    if inbox::hand_in(&context.home.inbox(), &report).is_ok() {
        refresh::take_in(context);
    }
}

/// Until when the plan's limit refuses what this conversation asked last.
fn limited_until(file: &Listed, now: Timestamp) -> Option<Timestamp> {
    let failure = transcripts::last_turn(&file.path).ok()?.failure?;
    let until = failure.resets_at.filter(|until| *until > now)?;
    failure.is_plan_limit.then_some(until)
}

/// The account whose organisation claude wrote down last (2.1.329 does, older clients do not). None when that is nobody's,
/// as after a turn of plain claude, or of several accounts, as in a team.
fn account_of(context: &Context, file: &Listed) -> Option<AccountId> {
    let organization = transcripts::last_organization(&file.path).ok()??;
    let of = |id: AccountId| {
        identity::load(&context.home.account(id))
            .identity?
            .organization_uuid
    };
    let on_disk = roster::numbers_on_disk(&context.home).ok()?;
    let mut found = on_disk
        .into_iter()
        .filter(|id| of(*id).as_deref() == Some(organization.as_str()));
    let account = found.next()?;
    found.next().is_none().then_some(account)
}
