//! What clients and people do, at random.

use super::simulation::{Promise, Simulation};
use super::world::ms;
use crate::core::pool::action::{Content, ContentSource, Detail};
use crate::core::pool::event::{End, Event, NewSession, Pin, Request, Settable};
use crate::core::pool::id::{Build, Place, SessionId, Ticket};
use crate::core::pool::record::Metadata;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) const LAST_ANSWER: Content = Content {
    source: ContentSource::Transcript,
    turns: 1,
    detail: Detail::Last,
};

impl Simulation {
    /// One thing that somebody does.
    pub(super) fn act(&mut self) {
        match self.world.chance.below(100) {
            0..=24 => self.ask_start(),
            25..=46 => self.ask_followup(),
            47..=58 => self.ask_wait(),
            59..=61 => self.ask_about(|session| Request::Capture {
                session,
                content: LAST_ANSWER,
            }),
            62..=66 => self.ask_stop(),
            67..=69 => self.ask_archive(),
            70..=71 => self.ask_about(|session| Request::Unarchive { session }),
            72..=79 => self.ask_set(),
            80..=81 => {
                let size = i64::try_from(self.world.chance.between(0, 4)).unwrap_or(1);
                self.ask(Request::Resize { size });
            }
            82 => self.change_settings(),
            83..=88 => self.person(),
            89..=91 => self.kill_process(),
            92..=94 if !self.calm => self.kill_daemon(),
            95 => {
                if let Some(ticket) = self.open.keys().next().copied() {
                    self.open.remove(&ticket);
                    self.world.handle(Event::ClientGone { ticket });
                    self.gone.insert(ticket);
                }
            }
            _ => self.people(),
        }
    }

    pub(super) fn ask(&mut self, request: Request) -> Ticket {
        let ticket = Ticket(self.world.count());
        if self.world.machine.is_some() {
            self.open.insert(ticket, request.clone());
            self.world.handle(Event::Request { ticket, request });
        }
        ticket
    }

    fn session(&mut self) -> Option<SessionId> {
        let machine = self.world.machine.as_ref()?;
        let visible = machine.sessions.values().filter(|s| !s.is_hidden());
        let ids: Vec<SessionId> = visible.map(|s| s.id()).collect();
        self.world.chance.one_of(&ids)
    }

    fn ask_about(&mut self, request: impl Fn(String) -> Request) {
        if let Some(id) = self.session() {
            self.ask(request(id.to_string()));
        }
    }

    fn ask_start(&mut self) {
        let id = SessionId::from_bits(self.world.chance.next());
        let prompt = self.world.chance.chance(80).then(|| self.text());
        let parent = if self.world.chance.chance(20) {
            self.session().map(|id| id.to_string()).unwrap_or_default()
        } else {
            String::new()
        };
        let cwd = self.world.chance.chance(8).then(|| PathBuf::from("/else"));
        let ticket = self.ask(Request::Start(NewSession {
            id,
            prompt: prompt.clone(),
            parent,
            metadata: Metadata::new(),
            cwd,
            account: None,
        }));
        if let Some(text) = prompt {
            self.promise(ticket, id, &text);
        }
    }

    fn ask_followup(&mut self) {
        if let Some(id) = self.session() {
            let prompt = self.text();
            let ticket = self.ask(Request::Followup {
                session: id.to_string(),
                prompt: prompt.clone(),
            });
            self.promise(ticket, id, &prompt);
        }
    }

    fn text(&mut self) -> Arc<str> {
        Arc::from(format!("p{}", self.world.count()))
    }

    fn promise(&mut self, ticket: Ticket, session: SessionId, text: &str) {
        let promise = Promise {
            session,
            ticket,
            accepted: false,
            refused: false,
            excused: false,
        };
        self.promises.insert(text.to_owned(), promise);
    }

    fn ask_wait(&mut self) {
        let session = if self.world.chance.chance(75) {
            self.session().map(|id| id.to_string())
        } else {
            None
        };
        let timeout = ms(self.world.chance.between(100, 90_000));
        self.ask(Request::Wait {
            session,
            parent: String::new(),
            timeout,
            content: LAST_ANSWER,
        });
    }

    fn ask_stop(&mut self) {
        if let Some(id) = self.session() {
            self.excuse(id);
            self.ask(Request::Stop {
                session: id.to_string(),
            });
        }
    }

    fn ask_archive(&mut self) {
        if let Some(id) = self.session() {
            let recursive = self.world.chance.chance(50);
            if recursive {
                for promise in self.promises.values_mut() {
                    promise.excused = true;
                }
            }
            self.excuse(id);
            self.ask(Request::Archive {
                session: id.to_string(),
                recursive,
            });
        }
    }

    fn ask_set(&mut self) {
        let priority = self.world.chance.chance(50).then(|| {
            let priority = self.world.chance.below(4);
            i64::try_from(priority).unwrap_or(0) - 1
        });
        let pinned = match self.world.chance.below(4) {
            0 => Some(Pin::For(ms(self.world.chance.between(100, 20_000)))),
            1 => Some(Pin::Off),
            _ => None,
        };
        let key = ("name".to_owned(), Some("\"x\"".to_owned()));
        let metadata = self.world.chance.chance(20).then(|| vec![key]);
        self.ask_about(|session| Request::Set {
            session,
            set: Settable {
                priority,
                pinned,
                metadata: metadata.clone(),
            },
        });
    }

    fn change_settings(&mut self) {
        let settings = &mut self.world.settings;
        if self.world.chance.chance(50) {
            settings.build = Build(settings.build.0 + 1);
        } else {
            settings.keep_fresh = u32::try_from(self.world.chance.below(3)).unwrap_or(0);
        }
        let settings = settings.clone();
        self.world.handle(Event::SettingsChanged(settings));
    }

    fn place(&mut self) -> Option<Place> {
        let places: Vec<Place> = self.world.hosts.keys().copied().collect();
        self.world.chance.one_of(&places)
    }

    /// A person at a terminal that belongs to a session.
    fn person(&mut self) {
        let Some(place) = self.place() else { return };
        let hosted = self.world.machine.as_ref().is_some_and(|machine| {
            let at = |s: &super::super::session::Session| machine.hosted_at(s.id()) == Some(place);
            machine.sessions.values().any(at)
        });
        let number = self.world.count();
        let what = self.world.chance.below(4);
        let Some(host) = self.world.hosts.get_mut(&place) else {
            return;
        };
        // What is attached is held back while the host types.
        if !hosted || host.typing.is_some() || host.claude.working.is_some() || !host.claude.ready {
            return;
        }
        let claude = &mut host.claude;
        match what {
            0 if claude.in_box.is_empty() => {
                claude.in_box = "/clear".to_owned();
                self.world.cleared(place);
                self.world.submit(place);
            }
            1 if claude.in_box.is_empty() => {
                claude.in_box = format!("h{number}");
                self.world.submit(place);
            }
            2 => claude.model = "opus".to_owned(),
            _ if claude.in_box.is_empty() => {
                let text = format!("half {number}");
                claude.in_box.clone_from(&text);
                self.world.after(
                    100,
                    super::world::Happening::Tell(
                        self.world.daemon,
                        Event::PendingInput { place, text },
                    ),
                );
            }
            _ => {}
        }
    }

    fn kill_process(&mut self) {
        if self.calm {
            return;
        }
        if let Some(place) = self.place() {
            let how = if self.world.chance.chance(50) {
                End::HostGone
            } else {
                End::Exited("signal 9".to_owned())
            };
            self.world.note(|| format!("killed {place:?}"));
            self.world.gone(place, how);
        }
    }
}
