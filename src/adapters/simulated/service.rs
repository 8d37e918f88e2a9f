//! The service as tests and the demo hold it: accounts in, faults in, requests out.

use std::io::{self, BufReader, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::account::{Account, AccountSpec, AccountTokens, ExtraUsage, Resets, Window, WindowKind};
use super::fault::{Endpoint, Fault, SetFault};
use super::log::Recorded;
use super::oauth::{self, Authorization};
use super::respond::respond;
use super::server::Server;
use super::state::{Code, State};
use super::time::now;
use super::wire::{Pacing, Response, keeps_open, read_request, write_head};

#[derive(Debug)]
struct Shared {
    state: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inner {
    state: State,
    stopping: bool,
}

/// A running service. Dropping it closes every connection and ends its threads.
///
/// Calls that name an account panic when there is none of that name: it is the caller's typing error.
#[derive(Debug)]
pub struct Service {
    handle: Handle,
    server: Server,
}

/// Serves further connections for the same service, for example those that a proxy has decrypted.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

impl Service {
    /// Listens on a free port of 127.0.0.1, with no accounts.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn start() -> io::Result<Self> {
        let inner = Inner {
            state: State::new(),
            stopping: false,
        };
        let handle = Handle(Arc::new(Shared {
            state: Mutex::new(inner),
            changed: Condvar::new(),
        }));
        let served = handle.clone();
        let server = Server::start(move |stream| served.serve(stream))?;
        Ok(Self { handle, server })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// For serving connections of another listener.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Adds an account, or signs an existing one in once more, and returns the login.
    pub fn add_account(&self, spec: AccountSpec) -> AccountTokens {
        self.change(|state| state.add_account(spec, now()))
    }

    /// Another, independent login of an account.
    pub fn sign_in(&self, account: &str) -> AccountTokens {
        self.on_account(account, |_| ());
        self.change(|state| state.sign_in(account, now()))
    }

    /// Who an account is.
    #[must_use]
    pub fn spec(&self, account: &str) -> AccountSpec {
        self.on_account(account, |account| account.spec.clone())
    }

    /// Sets how much of a window is used, in percent, and when it resets.
    pub fn set_window(&self, account: &str, kind: WindowKind, used: f64, resets: Resets) {
        let window = Window {
            used,
            resets: resets.fixed(now()),
        };
        self.on_account(account, |account| account.windows.insert(kind, window));
    }

    /// Takes a window out of the report.
    pub fn remove_window(&self, account: &str, kind: &WindowKind) {
        self.on_account(account, |account| account.windows.remove(kind));
    }

    /// Percent of a window used now, as booked by messages.
    #[must_use]
    pub fn used(&self, account: &str, kind: &WindowKind) -> Option<f64> {
        self.on_account(account, |account| {
            account.windows.get(kind).map(|window| window.used)
        })
    }

    /// Sets what the report says about extra usage.
    pub fn set_extra_usage(&self, account: &str, extra: Option<ExtraUsage>) {
        self.on_account(account, |account| account.extra = extra);
    }

    /// Percent of the five-hour and of the weekly windows that each message uses from now on. At 100 the account is
    /// refused until its reset.
    pub fn set_burn(&self, account: &str, five_hour: f64, weekly: f64) {
        self.on_account(account, |account| account.burn = (five_hour, weekly));
    }

    /// Life of the access tokens granted from now on.
    pub fn set_access_lifetime(&self, seconds: u64) {
        self.change(|state| state.access_lifetime_seconds = seconds);
    }

    /// Commits a fault until it is cleared. `account` may be `EVERY_ACCOUNT`.
    pub fn set_fault(&self, account: &str, endpoint: Endpoint, fault: Fault) {
        self.put_fault(
            account,
            endpoint,
            SetFault {
                fault,
                remaining: None,
            },
        );
    }

    /// Commits a fault for the next `times` requests.
    pub fn set_fault_times(&self, account: &str, endpoint: Endpoint, fault: Fault, times: u32) {
        self.put_fault(
            account,
            endpoint,
            SetFault {
                fault,
                remaining: Some(times),
            },
        );
    }

    fn put_fault(&self, account: &str, endpoint: Endpoint, fault: SetFault) {
        self.change(|state| state.faults.insert((account.to_owned(), endpoint), fault));
    }

    /// Ends a fault; held answers leave.
    pub fn clear_fault(&self, account: &str, endpoint: Endpoint) {
        self.change(|state| state.faults.remove(&(account.to_owned(), endpoint)));
    }

    /// Makes `code` good for one sign-in of `account`; with a challenge, only to who knows its verifier.
    pub fn register_code(&self, account: &str, code: &str, challenge: Option<&str>) {
        self.on_account(account, |_| ());
        let entry = Code {
            account: account.to_owned(),
            challenge: challenge.map(str::to_owned),
        };
        self.change(|state| state.codes.insert(code.to_owned(), entry));
    }

    /// Plays the person who opens `authorize_url` signed in as `account`; `None` if the URL lacks what it needs.
    #[must_use]
    pub fn authorize(&self, account: &str, authorize_url: &str) -> Option<Authorization> {
        self.on_account(account, |_| ());
        let (_, query) = authorize_url.split_once('?')?;
        self.change(|state| oauth::authorize(state, query, account))
    }

    /// Who is signed in at the authorize page, for URLs without a `login_hint`.
    pub fn set_next_login(&self, account: Option<&str>) {
        self.change(|state| state.next_login = account.map(str::to_owned));
    }

    /// Every access token of the account is over, as if its time had passed.
    pub fn expire_access(&self, account: &str) {
        self.change(|state| {
            state
                .access
                .values_mut()
                .filter(|access| access.account == account)
                .for_each(|access| access.expires_at = 0);
        });
    }

    /// Every access token of the account is revoked, although its time has not passed.
    pub fn revoke_access(&self, account: &str) {
        self.change(|state| {
            state
                .access
                .values_mut()
                .filter(|access| access.account == account)
                .for_each(|access| access.revoked = true);
        });
    }

    /// Every refresh token of the account is dead.
    pub fn revoke_refresh(&self, account: &str) {
        self.change(|state| {
            let refreshes = state.refresh.values_mut();
            refreshes
                .filter(|refresh| refresh.account == account)
                .for_each(|refresh| refresh.revoked = true);
        });
    }

    /// How often a refresh token was presented that had been used before. Anything but 0 is a bug in the caller.
    #[must_use]
    pub fn double_spends(&self) -> u64 {
        self.handle.lock().state.double_spends
    }

    /// How many renewals were granted.
    #[must_use]
    pub fn refreshes(&self) -> u64 {
        self.handle.lock().state.refreshes
    }

    /// Every request so far, oldest first.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.handle.lock().state.log.records().cloned().collect()
    }

    /// The first request, past or future, for which `wanted` holds; `None` when `timeout` passes without one.
    #[must_use]
    pub fn wait_for(
        &self,
        wanted: impl Fn(&Recorded) -> bool,
        timeout: Duration,
    ) -> Option<Recorded> {
        self.wait_until(timeout, |records| {
            records.into_iter().find(|record| wanted(record)).cloned()
        })
    }

    /// Waits until at least `count` requests are wanted ones.
    #[must_use]
    pub fn wait_for_count(
        &self,
        count: usize,
        wanted: impl Fn(&Recorded) -> bool,
        timeout: Duration,
    ) -> bool {
        let enough = |records: Vec<&Recorded>| {
            (records.into_iter().filter(|record| wanted(record)).count() >= count).then_some(())
        };
        self.wait_until(timeout, enough).is_some()
    }

    fn wait_until<T>(
        &self,
        timeout: Duration,
        look: impl Fn(Vec<&Recorded>) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut inner = self.handle.lock();
        loop {
            let found = look(inner.state.log.records().collect());
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() {
                return found;
            }
            inner = self.handle.wait(inner, left);
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.handle.lock().state);
        self.handle.0.changed.notify_all();
        result
    }

    fn on_account<T>(&self, name: &str, use_it: impl FnOnce(&mut Account) -> T) -> T {
        self.change(|state| {
            let account = state.accounts.get_mut(name);
            use_it(account.unwrap_or_else(|| panic!("no simulated account is called {name}")))
        })
    }
}

/// Where the first server-sent event of `body` ends, its blank line included; none when there is none left.
fn end_of_event(body: &[u8]) -> Option<usize> {
    let blank = body.windows(2).position(|pair| pair == b"\n\n")?;
    Some(blank + 2)
}

impl Drop for Service {
    fn drop(&mut self) {
        self.handle.lock().stopping = true;
        self.handle.0.changed.notify_all();
    }
}

impl Handle {
    /// Speaks HTTP on `stream` until the peer closes it or an error ends it.
    pub fn serve(&self, stream: impl Read + Write) {
        let mut stream = BufReader::new(stream);
        while let Ok(Some(request)) = read_request(&mut stream) {
            let (response, number) = {
                let state = &mut self.lock().state;
                let response = respond(state, &request, now());
                (response, state.log.last())
            };
            self.0.changed.notify_all();
            let keep_open = keeps_open(&request);
            if self.write(stream.get_mut(), &response, keep_open).is_err() {
                break;
            }
            self.lock().state.log.sent(number, Instant::now());
            self.0.changed.notify_all();
            if !keep_open {
                break;
            }
        }
    }

    fn write(
        &self,
        stream: &mut impl Write,
        response: &Response,
        keep_open: bool,
    ) -> io::Result<()> {
        let mut rest = response.body.as_slice();
        match &response.pacing {
            Pacing::AtOnce => write_head(stream, response, keep_open)?,
            Pacing::After(delay) => {
                self.hold(Some(*delay), |_| true)?;
                write_head(stream, response, keep_open)?;
            }
            Pacing::Events { first, between } => {
                self.hold(Some(*first), |_| true)?;
                write_head(stream, response, keep_open)?;
                while let Some(end) = end_of_event(rest) {
                    let (event, later) = rest.split_at(end);
                    stream.write_all(event)?;
                    stream.flush()?;
                    rest = later;
                    self.hold(Some(*between), |_| true)?;
                }
            }
            Pacing::Held(account, endpoint) => {
                self.hold(None, |state| state.is_held(account, *endpoint))?;
                write_head(stream, response, keep_open)?;
            }
            Pacing::Stalled(account, endpoint) => {
                write_head(stream, response, keep_open)?;
                let (first, second) = rest.split_at(rest.len() / 2);
                stream.write_all(first)?;
                stream.flush()?;
                self.hold(None, |state| state.is_held(account, *endpoint))?;
                rest = second;
            }
        }
        stream.write_all(rest)?;
        stream.flush()
    }

    /// Waits while `held`, at most for `bound`; an error when the service stops meanwhile.
    fn hold(&self, bound: Option<Duration>, held: impl Fn(&State) -> bool) -> io::Result<()> {
        let deadline = bound.map(|bound| Instant::now() + bound);
        let mut inner = self.lock();
        loop {
            if inner.stopping {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            // An hour is "until something changes": every change notifies.
            let left = deadline.map_or(Duration::from_secs(3600), |at| {
                at.saturating_duration_since(Instant::now())
            });
            if left.is_zero() || !held(&inner.state) {
                return Ok(());
            }
            inner = self.wait(inner, left);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, bound: Duration) -> MutexGuard<'a, Inner> {
        self.0
            .changed
            .wait_timeout(inner, bound)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }
}
