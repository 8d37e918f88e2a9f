//! What clients ask for, and how they are answered. `health` and `shutdown` are the server's; everything that needs the
//! roster or the database comes here.

use super::main_loop::Loop;
use super::{fold, overlays, publish};
use crate::adapters::overlay::Options;
use crate::adapters::{clock, stamp};
use crate::claim::roster::{Origin, Roster, is_behind, load};
use crate::claim::rules::Place;
use crate::claim::{Claim, Claimant, Wish, announce, claim};
use crate::contract::lease::LeaseName;
use crate::contract::path_text;
use crate::contract::paths::Home;
use crate::contract::proto::{
    Code, ErrorBody, Failed, Refreshed, Request, Response, Select, Selected, Wanted,
};
use crate::contract::report::Report;
use crate::contract::settings::Flow;
use crate::contract::snapshot::FileStamp;
use crate::contract::status::Status;
use crate::core::account::AccountId;
use crate::core::accounts::action::{Refreshed as Found, Reply};
use crate::core::accounts::event::{Event as Happened, Ticket, Which};
use crate::core::select::score::is_stale;
use crate::core::time::Timestamp;
use crate::core::usage::Acceptance;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where an answer goes.
type Answer = oneshot::Sender<Response>;

/// Takes one request in, and answers it at once or when its numbers are there.
pub(super) fn take(state: &mut Loop, request: Request, reply: Answer) {
    let now = clock::now();
    let response = match request {
        Request::Status => status(state, now),
        Request::Select(wanted) => {
            let response = select(state, &wanted, now);
            // Who launches waits for the answer alone: everybody sees the lease from now on, the machine right after.
            let _ = reply.send(response);
            return state.count_sessions(now);
        }
        Request::Checkin { lease } => checkin(state, &lease, now),
        Request::Report(report) => take_report(state, &report, now),
        Request::Refresh(wanted) => return refresh(state, &wanted.wanted, reply, now),
        Request::Health | Request::Shutdown { .. } => internal(&"the server answers this itself"),
    };
    // A client that is gone needs no answer.
    let _ = reply.send(response);
}

fn internal(error: &dyn Display) -> Response {
    Response::Error(ErrorBody::new(Code::Internal, error.to_string()))
}

fn status(state: &mut Loop, now: Timestamp) -> Response {
    let home = &state.places.home;
    let roster = state.published.load(home, &state.places.user_home);
    match publish::sessions(home, now) {
        Ok(sessions) => {
            let count = |id| sessions.get(&id).copied().unwrap_or(0);
            Response::Status(Box::new(Status::of(&roster.snapshot, count, None, now)))
        }
        Err(error) => internal(&error),
    }
}

fn select(state: &mut Loop, wanted: &Select, now: Timestamp) -> Response {
    let home = state.places.home.clone();
    // What was just written to the settings holds for whoever asks next.
    state.notice_settings();
    let roster = state.published.load(&home, &state.places.user_home);
    let cwd = Path::new(wanted.cwd.as_deref().unwrap_or_default());
    let wish = Wish {
        account: wanted.account.as_deref(),
        model: wanted.model.as_deref(),
        cwd,
        place: Place::at(cwd),
        command: "select",
        claude: None,
    };
    let claimed = match claim(&home, roster, &wish, Claimant::Reservation, now) {
        Ok(claimed) => claimed,
        Err(refusal) => {
            let text = announce::refusal(&refusal).error;
            return Response::Error(ErrorBody::new(Code::NoPick, text));
        }
    };
    let pick = &claimed.choice.pick;
    if let Err(error) = ensure_overlay(state, &claimed) {
        // One that cannot be put in order is no reason to withhold the account.
        state.performer.ill(&error);
    }
    Response::Select(Selected {
        id: pick.id.to_string(),
        label: claimed.account.label.clone(),
        config_dir: path_text::encode(&claimed.account.dir),
        reason: pick.reason.name().to_owned(),
        score: pick.assessment().score,
        fallback: !pick.assessment().available(),
        lease: claimed.lease.as_ref().map(ToString::to_string),
    })
}

fn ensure_overlay(
    state: &mut Loop,
    claimed: &Claim,
) -> Result<(), crate::adapters::store::StoreError> {
    let (settings, base) = (&state.settings, &state.base);
    // As published, which is what launches go by; the database is asked where that says otherwise.
    let two_way = settings.flow == Flow::TwoWay;
    let entry = &claimed.account;
    if let Some(stamp) = &entry.stamp
        && stamp::is_current(stamp, base, &entry.dir, two_way)
    {
        return Ok(());
    }
    let store = &mut state.performer.store;
    let Some(account) = store.account(claimed.choice.pick.id)? else {
        return Ok(());
    };
    if overlays::is_in_order(store, settings, base, &account)? {
        return Ok(());
    }
    overlays::put_in_order(
        store,
        settings,
        base,
        &account,
        Options::at_launch,
        claimed.lease.as_ref(),
        clock::now(),
    )?;
    state.performer.publish(settings, base, false, clock::now());
    Ok(())
}

fn checkin(state: &mut Loop, lease: &str, now: Timestamp) -> Response {
    let Some(lease) = LeaseName::parse(lease) else {
        return Response::Error(ErrorBody::new(
            Code::BadRequest,
            "checkin: `lease` is no lease's name",
        ));
    };
    let store = &mut state.performer.store;
    match fold::check_in(store, &state.settings, &state.base, &lease, now) {
        Ok(ended) => {
            state.count_sessions(now);
            Response::Checkin { ended }
        }
        Err(error) => internal(&error),
    }
}

fn take_report(state: &mut Loop, report: &Report, now: Timestamp) -> Response {
    let store = &mut state.performer.store;
    match fold::take_report(store, report, now) {
        Ok(verdict) => {
            state.reload(now);
            let (settings, base) = (&state.settings, &state.base);
            state.performer.publish(settings, base, false, now);
            Response::Report {
                kept: verdict == Some(Acceptance::Accepted),
            }
        }
        Err(error) => internal(&error),
    }
}

fn refresh(state: &mut Loop, wanted: &Wanted, reply: Answer, now: Timestamp) {
    let chosen = match wanted {
        Wanted::All => vec![Which::All],
        Wanted::Only(numbers) => {
            let ids = numbers.iter().filter_map(|n| AccountId::new(*n));
            ids.map(Which::One).collect()
        }
        Wanted::Stale => older(state, now, None),
        Wanted::OlderThan(seconds) => older(state, now, Some(Duration::from_secs(*seconds))),
    };
    let tickets = state.performer.waiting.begin(chosen.len(), reply);
    for (ticket, which) in tickets.into_iter().zip(chosen) {
        state.tell(Happened::Refresh { ticket, which }, now);
    }
}

/// The accounts whose numbers are older than this, or too old to go by.
fn older(state: &mut Loop, now: Timestamp, age: Option<Duration>) -> Vec<Which> {
    let places = &state.places;
    let snapshot = &state
        .published
        .load(&places.home, &places.user_home)
        .snapshot;
    let is_old = |freshness: &_| match age {
        None => is_stale(freshness, now),
        Some(age) => freshness.measured_at.is_none_or(|at| now.since(at) > age),
    };
    let old = snapshot
        .accounts
        .iter()
        .filter(|a| is_old(&a.freshness(snapshot.paused_since_ms)));
    old.filter_map(|a| a.account_id()).map(Which::One).collect()
}

/// The snapshot as it was read last: it is replaced when it changes, and so need not be read again before.
#[derive(Default)]
pub(super) struct Published(Option<(FileStamp, Roster)>);

impl Published {
    /// What is published now.
    fn load(&mut self, home: &Home, user_home: &Path) -> &Roster {
        let stamp = stamp::file_stamp(&home.snapshot());
        let known = self.0.take().filter(|(of, roster)| {
            *of == stamp && roster.origin == Origin::Published && stamp != FileStamp::default()
        });
        let (_, roster) = self
            .0
            .insert(known.unwrap_or_else(|| (stamp, load(home, user_home))));
        roster.is_behind = is_behind(home, &roster.snapshot);
        roster
    }
}

/// Clients that wait for numbers. One client's wish may be several tickets of the machine.
#[derive(Default)]
pub(super) struct Waiting {
    next: u64,
    wishes: BTreeMap<u64, Client>,
    tickets: BTreeMap<Ticket, u64>,
}

struct Client {
    left: usize,
    refreshed: Refreshed,
    reply: Answer,
}

impl Waiting {
    /// A client begins to wait for so many tickets; for none it is answered at once.
    fn begin(&mut self, count: usize, reply: Answer) -> Vec<Ticket> {
        if count == 0 {
            let _ = reply.send(Response::Refresh(Refreshed::default()));
            return Vec::new();
        }
        let mut number = || {
            self.next += 1;
            self.next
        };
        let wish = number();
        let tickets: Vec<Ticket> = (0..count).map(|_| Ticket(number())).collect();
        self.tickets.extend(tickets.iter().map(|t| (*t, wish)));
        let refreshed = Refreshed::default();
        let waiting = Client {
            left: count,
            refreshed,
            reply,
        };
        self.wishes.insert(wish, waiting);
        tickets
    }

    /// A ticket is done; with its last one the client is answered.
    pub(super) fn reply(&mut self, ticket: Ticket, reply: Reply) {
        let Some(number) = self.tickets.remove(&ticket) else {
            return;
        };
        let Some(wish) = self.wishes.get_mut(&number) else {
            return;
        };
        match reply {
            Reply::Done(found) => found
                .iter()
                .for_each(|(id, f)| note(&mut wish.refreshed, *id, f)),
            Reply::Busy => {
                self.finish(number, |_| {
                    let text = "too many clients wait for numbers already";
                    Response::Error(ErrorBody::new(Code::Unavailable, text))
                });
                return;
            }
        }
        wish.left -= 1;
        if wish.left == 0 {
            self.finish(number, Response::Refresh);
        }
    }

    /// A login was renewed, or could not be, while clients wait: they are told.
    pub(super) fn renewed(&mut self, account: AccountId, problem: Option<String>) {
        for client in self.wishes.values_mut() {
            let refreshed = &mut client.refreshed;
            let account = account.number();
            match problem.clone() {
                None => refreshed.renewed.push(account),
                Some(problem) => refreshed.failed.push(Failed { account, problem }),
            }
        }
    }

    fn finish(&mut self, number: u64, response: impl FnOnce(Refreshed) -> Response) {
        if let Some(wish) = self.wishes.remove(&number) {
            // A client that is gone needs no answer.
            let _ = wish.reply.send(response(wish.refreshed));
        }
    }
}

fn note(refreshed: &mut Refreshed, id: AccountId, found: &Found) {
    let problem = match found {
        Found::Fresh => return refreshed.sampled.push(id.number()),
        Found::Problem(problem) => problem.text().to_owned(),
        Found::BackingOff { .. } => "the service wants to be left alone for a while".to_owned(),
        Found::NeedsLogin => "it needs a sign-in".to_owned(),
        Found::NotAsked => "it cannot be asked".to_owned(),
        Found::Unknown => "there is no such account".to_owned(),
        Found::NotReached => "there was no time left to ask".to_owned(),
    };
    refreshed.failed.push(Failed {
        account: id.number(),
        problem,
    });
}
