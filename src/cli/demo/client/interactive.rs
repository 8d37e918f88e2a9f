//! The session without `-p`: prompts from the terminal, one at a time, status in the registry, hooks as they come.

use std::collections::VecDeque;
use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::sync::mpsc::{Sender, channel};

use serde_json::json;

use super::arguments::Arguments;
use super::conversation::Conversation;
use super::hooks::Hooks;
use super::keys::{Key, Keys};
use super::print::{MODEL, end_turn};
use super::registry::Registry;
use super::turn::{self, Turn};
use super::world::{World, complain, new_id};
use super::{VERSION, files};

/// Prompts that wait while one is answered; the person notices long before.
const MAX_QUEUED: usize = 100;

#[derive(Debug)]
enum Event {
    Key(Key),
    /// The bytes typed so far, for the screen.
    Typed(String),
    Closed,
    Done(u64, Box<Turn>),
}

/// The terminal in raw mode; restored when dropped.
struct RawTerminal(bool);

impl RawTerminal {
    fn enter() -> Self {
        Self(stdin().is_terminal() && crossterm::terminal::enable_raw_mode().is_ok())
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        if self.0 {
            let _ = crossterm::terminal::disable_raw_mode();
        }
    }
}

struct Session<'a> {
    world: &'a World,
    hooks: Hooks,
    conversation: Conversation,
    registry: Registry,
    model: String,
    raw: bool,
    events: Sender<Event>,
    /// Number of the turn that runs; a turn that was interrupted has an older one.
    running: Option<u64>,
    turns: u64,
    queue: VecDeque<String>,
    interrupts: u8,
}

pub(super) fn run(world: &World, arguments: &Arguments) -> u8 {
    let conversation = match Conversation::open(world, arguments) {
        Ok(conversation) => conversation,
        Err(problem) => {
            complain(&problem);
            return 1;
        }
    };
    let terminal = RawTerminal::enter();
    let (events, incoming) = channel();
    read_keys(terminal.0, events.clone());
    let source = if arguments.resume.is_some() {
        "resume"
    } else {
        "startup"
    };
    let mut session = Session {
        world,
        hooks: Hooks::load(world, arguments.settings.as_deref()),
        registry: Registry::announce(world, &conversation.id, "cli"),
        conversation,
        model: arguments.model.clone().unwrap_or_else(|| MODEL.to_owned()),
        raw: terminal.0,
        events,
        running: None,
        turns: 0,
        queue: arguments.prompt.iter().cloned().collect(),
        interrupts: 0,
    };
    session.greet();
    session.fire(
        "SessionStart",
        &json!({"source": source, "model": session.model}),
    );
    let mut open = true;
    while open || session.running.is_some() || !session.queue.is_empty() {
        session.start_next();
        match incoming.recv() {
            Ok(Event::Key(key)) => open &= session.key(key),
            Ok(Event::Typed(text)) => {
                session.show(&format!("\r\x1b[2K> {}", text.replace('\n', " ")))
            }
            Ok(Event::Done(number, turn)) => session.finish(number, &turn),
            Ok(Event::Closed) => open = false,
            Err(_) => break,
        }
    }
    session.fire("SessionEnd", &json!({"reason": "prompt_input_exit"}));
    if terminal.0 {
        session.show("\x1b[?2004l");
    }
    0
}

fn read_keys(raw: bool, events: Sender<Event>) {
    std::thread::spawn(move || {
        let mut keys = Keys::new(!raw);
        let mut buffer = [0; 4096];
        while let Ok(count) = stdin().lock().read(&mut buffer) {
            if count == 0 {
                break;
            }
            for key in keys.push(&buffer[..count]) {
                let _ = events.send(Event::Key(key));
            }
            if raw {
                let _ = events.send(Event::Typed(keys.typed()));
            }
        }
        if let Some(key) = keys.finish() {
            let _ = events.send(Event::Key(key));
        }
        let _ = events.send(Event::Closed);
    });
}

impl Session<'_> {
    fn greet(&self) {
        let state = files::load(&self.world.state_file);
        let email = state["oauthAccount"]["emailAddress"]
            .as_str()
            .unwrap_or("not logged in")
            .to_owned();
        if self.raw {
            self.show("\x1b[?2004h");
        }
        self.line(&format!("Claude Code v{VERSION} (simulated) · {email}"));
        self.show("> ");
    }

    /// Acts on a key; false ends the session.
    fn key(&mut self, key: Key) -> bool {
        let interrupts = std::mem::take(&mut self.interrupts);
        match key {
            Key::Submit(prompt) => return self.submit(prompt),
            Key::End => return false,
            Key::Escape | Key::Interrupt if self.running.is_some() => self.interrupt(),
            Key::Escape => {}
            Key::Interrupt if interrupts == 1 => return false,
            Key::Interrupt => {
                self.interrupts = 1;
                self.line("Press Ctrl-C again to exit");
            }
        }
        true
    }

    fn submit(&mut self, prompt: String) -> bool {
        match prompt.split_once(' ').unwrap_or((&prompt, "")) {
            ("", _) => {}
            ("/exit" | "/quit" | "exit" | "quit", "") => {
                self.queue.clear();
                self.running = None;
                return false;
            }
            ("/clear", _) => self.change_session("clear", Conversation::new(self.world, new_id())),
            ("/resume", id) => match Conversation::resume(self.world, id) {
                Ok(conversation) => self.change_session("resume", conversation),
                Err(_) => self.line(&format!("Session {id} was not found.")),
            },
            (command, _) if command.starts_with('/') && !command[1..].contains('/') => {
                self.line(&format!("Unknown command: {command}"));
            }
            _ if self.queue.len() < MAX_QUEUED => {
                self.fire("UserPromptSubmit", &json!({"prompt": prompt}));
                self.queue.push_back(prompt);
            }
            _ => self.line("Too many prompts are waiting"),
        }
        true
    }

    fn change_session(&mut self, how: &str, conversation: Conversation) {
        self.fire("SessionEnd", &json!({"reason": how}));
        if self.running.take().is_some() {
            self.registry.set_status("idle");
        }
        self.conversation = conversation;
        self.registry.set_session(&self.conversation.id);
        self.fire("SessionStart", &json!({"source": how, "model": self.model}));
        self.show("\r\n> ");
    }

    fn start_next(&mut self) {
        if self.running.is_some() {
            return;
        }
        let Some(prompt) = self.queue.pop_front() else {
            return;
        };
        self.turns += 1;
        let number = self.turns;
        self.running = Some(number);
        self.registry.set_status("busy");
        self.conversation.add_prompt(self.world, &prompt);
        let (world, events) = (self.world.clone(), self.events.clone());
        let (id, model) = (self.conversation.id.clone(), self.model.clone());
        let messages = self.conversation.messages.clone();
        self.line(&format!("> {prompt}"));
        std::thread::spawn(move || {
            let turn = turn::take(&world, &id, &model, messages);
            let _ = events.send(Event::Done(number, Box::new(turn)));
        });
    }

    fn finish(&mut self, number: u64, turn: &Turn) {
        if self.running != Some(number) {
            return;
        }
        self.running = None;
        self.conversation.add_turn(self.world, turn);
        self.line(&format!("● {}", turn.outcome.text()));
        end_turn(self.world, &self.hooks, &self.conversation, turn);
        if let Some(line) = self.hooks.status_line(self.world, &self.conversation, turn) {
            self.line(&line);
        }
        self.registry.set_status("idle");
        self.show("> ");
    }

    /// No hook fires: the registry alone tells of it.
    fn interrupt(&mut self) {
        self.running = None;
        self.line("Interrupted");
        self.registry.set_status("idle");
        self.show("> ");
    }

    fn fire(&self, event: &str, extra: &serde_json::Value) {
        self.hooks
            .fire(self.world, &self.conversation, event, extra);
    }

    /// A line of its own, above the prompt.
    fn line(&self, text: &str) {
        let (start, end) = if self.raw {
            ("\r\x1b[2K", "\r\n")
        } else {
            ("", "\n")
        };
        self.show(&format!("{start}{}{end}", text.replace('\n', end)));
    }

    fn show(&self, text: &str) {
        if !self.raw && text == "> " {
            return;
        }
        let mut out = stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }
}
