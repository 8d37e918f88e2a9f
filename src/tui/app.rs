//! The full screen as a machine: what happened goes in, what is to be done comes out. Draws nothing, waits for nothing.

use super::rows::Moment;
use crate::contract::status::AccountStatus;
use crate::core::account::AccountId;
use crate::core::time::Timestamp;
use std::time::Duration;

/// How long a remark stays on the screen.
const REMARK_STAYS: Duration = Duration::from_secs(6);

/// What the person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The account above.
    Up,
    /// The account below.
    Down,
    /// The first account.
    First,
    /// The last account.
    Last,
    /// Sample now.
    Refresh,
    /// Pin this directory to the selected account, or take that pin back.
    Pin,
    /// Sign the selected account in again.
    Login,
    /// Explain the keys, or stop that.
    Help,
    /// Close what is open on top; nothing open: quit.
    Back,
    /// Quit.
    Quit,
}

/// Something happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key.
    Key(Key),
    /// The accounts were looked at again.
    Looked(Box<Moment>),
    /// Sampling ended: what went wrong, if something did.
    Refreshed(Result<(), String>),
    /// A pin was set or taken back: what to say.
    Pinned(Result<String, String>),
    /// A sign-in ended: what to say.
    LoggedIn(Result<String, String>),
    /// Time went by.
    Tick,
}

/// Something is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look at the accounts again.
    Look,
    /// Sample, in the background.
    Refresh,
    /// Pin this directory.
    Pin(AccountId),
    /// Take the pins of this directory back.
    Unpin,
    /// Leave the screen, sign this account in, come back.
    Login(AccountId),
    /// End.
    Quit,
}

/// A line for the person that goes away by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The text.
    pub text: String,
    until: Timestamp,
}

/// What the screen shows.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// What is known; none before the first look.
    pub moment: Option<Box<Moment>>,
    /// The keys are being explained.
    pub help: bool,
    /// Sampling is under way.
    pub refreshing: bool,
    /// Counts ticks, for what moves while sampling.
    pub ticks: usize,
    /// What was said last.
    pub remark: Option<Remark>,
    selected: Option<u16>,
    /// Where the selected account was last, for when it goes away.
    place: usize,
}

impl App {
    /// Takes one event in.
    #[must_use]
    pub fn handle(&mut self, event: Event, now: Timestamp) -> Vec<Action> {
        match event {
            Event::Key(key) => self.key(key, now),
            Event::Looked(moment) => {
                self.show(moment);
                Vec::new()
            }
            Event::Refreshed(result) => {
                self.refreshing = false;
                if let Err(error) = result {
                    self.say(format!("error: {error}"), now);
                }
                vec![Action::Look]
            }
            Event::Pinned(result) | Event::LoggedIn(result) => {
                let text = result.unwrap_or_else(|error| format!("error: {error}"));
                self.say(text, now);
                vec![Action::Look]
            }
            Event::Tick => {
                self.ticks = self.ticks.wrapping_add(1);
                if self.remark.as_ref().is_some_and(|r| r.until <= now) {
                    self.remark = None;
                }
                Vec::new()
            }
        }
    }

    /// The selected account's place in the list.
    #[must_use]
    pub fn place(&self) -> usize {
        let by_id = |id: u16| self.accounts().iter().position(|a| a.id == id);
        self.selected.and_then(by_id).unwrap_or(self.place)
    }

    /// The selected account.
    #[must_use]
    pub fn account(&self) -> Option<&AccountStatus> {
        self.accounts().get(self.place())
    }

    fn accounts(&self) -> &[AccountStatus] {
        self.moment.as_ref().map_or(&[], |m| &m.status.accounts)
    }

    fn key(&mut self, key: Key, now: Timestamp) -> Vec<Action> {
        let last = self.accounts().len().saturating_sub(1);
        match key {
            Key::Quit => return vec![Action::Quit],
            Key::Back if self.help => self.help = false,
            Key::Back => return vec![Action::Quit],
            Key::Help => self.help = !self.help,
            Key::Up => self.select(self.place().saturating_sub(1)),
            Key::Down => self.select((self.place() + 1).min(last)),
            Key::First => self.select(0),
            Key::Last => self.select(last),
            Key::Refresh => return self.refresh(),
            Key::Pin => return self.pin(),
            Key::Login => match self.selected_id() {
                Some(id) => return vec![Action::Login(id)],
                None => self.say("there is no account to sign in".to_owned(), now),
            },
        }
        Vec::new()
    }

    fn refresh(&mut self) -> Vec<Action> {
        if self.refreshing {
            return Vec::new();
        }
        self.refreshing = true;
        vec![Action::Refresh]
    }

    fn pin(&self) -> Vec<Action> {
        let here = self.moment.as_ref().and_then(|m| m.pinned_here);
        match self.selected_id() {
            Some(id) if here == Some(id) => vec![Action::Unpin],
            Some(id) => vec![Action::Pin(id)],
            None => Vec::new(),
        }
    }

    fn selected_id(&self) -> Option<AccountId> {
        self.account().and_then(|a| AccountId::new(a.id))
    }

    fn select(&mut self, place: usize) {
        self.selected = self.accounts().get(place).map(|a| a.id);
        self.place = place;
    }

    /// The selection stays with its account wherever that moves; at first it is on the next pick.
    fn show(&mut self, moment: Box<Moment>) {
        let first = self.moment.is_none();
        let place = self.place();
        self.moment = Some(moment);
        if first {
            let next = self
                .moment
                .as_ref()
                .and_then(|m| m.next)
                .map(AccountId::number);
            let place = self.accounts().iter().position(|a| Some(a.id) == next);
            self.select(place.unwrap_or(0));
            return;
        }
        let present = self.accounts().iter().any(|a| Some(a.id) == self.selected);
        if present {
            self.place = self.place();
        } else {
            self.select(place.min(self.accounts().len().saturating_sub(1)));
        }
    }

    fn say(&mut self, text: String, now: Timestamp) {
        let until = now.plus(REMARK_STAYS);
        self.remark = Some(Remark { text, until });
    }
}

#[cfg(test)]
mod tests;
