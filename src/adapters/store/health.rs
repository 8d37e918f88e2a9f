//! How accounts do: logins, limits, what stands in the way of knowing their usage.

use super::accounts::expect_row;
use super::{Outcome, Store};
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use rusqlite::params;
use std::time::Duration;

/// How an account does. "Usage unknown" and "refused by the plan" are different things, and are kept apart.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Health {
    /// The login is known to be dead.
    pub needs_login: bool,
    /// The last renewal of the login failed.
    pub renewal_failed: bool,
    /// A session was refused by the plan limit; until when.
    pub limited_until: Option<Timestamp>,
    /// Since when its usage cannot be found out, and why.
    pub problem: Option<Problem>,
    /// When its usage was last asked for.
    pub probed_at: Option<Timestamp>,
    /// How often it is sampled at present.
    pub cadence: Option<Duration>,
    /// Sessions found running under it that have no lease.
    pub unleased_sessions: u32,
}

/// Why an account's usage is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Since when.
    pub since: Timestamp,
    /// What went wrong last, for people; no secret.
    pub text: String,
}

impl Store {
    /// Records whether the login is known to be dead.
    pub fn set_needs_login(&mut self, id: AccountId, needs: bool) -> Outcome<()> {
        self.set_health(id, "needs_login", needs)
    }

    /// Records whether the last renewal of the login failed.
    pub fn set_renewal_failed(&mut self, id: AccountId, failed: bool) -> Outcome<()> {
        self.set_health(id, "renewal_failed", failed)
    }

    /// Records until when the plan refuses the account, as reported at `reported_at`; none lifts it. A report older
    /// than the last one says nothing new. Returns whether it was taken.
    pub fn set_limited_until(
        &mut self,
        id: AccountId,
        until: Option<Timestamp>,
        reported_at: Timestamp,
    ) -> Outcome<bool> {
        self.change(|t| {
            let changed = t.execute(
                "UPDATE health SET limited_until = ?2, limited_reported = ?3
                 WHERE account = ?1 AND coalesce(limited_reported, ?3) <= ?3",
                params![
                    id.number(),
                    until.map(Timestamp::unix_ms),
                    reported_at.unix_ms()
                ],
            )?;
            Ok(changed > 0)
        })
    }

    /// Records that usage was asked for at `now`, and what stood in the way; the start of a problem is kept while it
    /// lasts.
    pub fn set_probed(
        &mut self,
        id: AccountId,
        problem: Option<&str>,
        now: Timestamp,
    ) -> Outcome<()> {
        self.change(|t| {
            let changed = t.execute(
                "UPDATE health SET probed_at = ?3, problem = ?2,
                    unknown_since = CASE WHEN ?2 IS NULL THEN NULL ELSE coalesce(unknown_since, ?3) END
                 WHERE account = ?1",
                params![id.number(), problem, now.unix_ms()],
            )?;
            expect_row(changed, id)
        })
    }

    /// Records how often the account is sampled at present.
    pub fn set_cadence(&mut self, id: AccountId, cadence: Duration) -> Outcome<()> {
        let ms = i64::try_from(cadence.as_millis()).unwrap_or(i64::MAX);
        self.set_health(id, "cadence", ms)
    }

    /// Records how many sessions without a lease run under the account.
    pub fn set_unleased_sessions(&mut self, id: AccountId, sessions: u32) -> Outcome<()> {
        self.set_health(id, "unleased_sessions", sessions)
    }

    fn set_health(
        &mut self,
        id: AccountId,
        column: &'static str,
        value: impl rusqlite::ToSql,
    ) -> Outcome<()> {
        self.change(|t| {
            let statement = format!("UPDATE health SET {column} = ?2 WHERE account = ?1");
            expect_row(t.execute(&statement, params![id.number(), value])?, id)
        })
    }
}
