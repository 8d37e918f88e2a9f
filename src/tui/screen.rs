//! The full screen on a real terminal: keys and time in, pictures out. Whatever takes time happens on other threads, and
//! the terminal is given back as it was, whichever way this ends.

use super::app::{Action, App, Event, Key};
use super::draw::{Look, draw};
use super::rows::Moment;
use crate::adapters::procs::interrupt::Interrupts;
use crate::adapters::procs::pipes::survive_broken_pipes;
use crate::adapters::{clock, stamp};
use crate::contract::exit;
use crate::contract::snapshot::FileStamp;
use crate::core::account::AccountId;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::execute;
use crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use std::io::{self, Stdout};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a key is waited for before everything else gets its turn.
const TURN: Duration = Duration::from_millis(100);
/// Between two looks at the snapshot's file.
const STAMP_GAP: Duration = Duration::from_millis(250);
/// Ages and live sessions are brought up to date this often.
const LOOK_GAP: Duration = Duration::from_secs(1);

/// A pin to be set, or (none) taken back.
pub type PinWish = Option<AccountId>;

/// What the screen asks of the rest of the program. Each runs on a thread of its own, but for `login`.
pub struct Services {
    /// Looks at the accounts.
    pub look: Box<dyn FnMut() -> Moment + Send>,
    /// Samples every account.
    pub refresh: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// Pins the present directory or takes its pins back; the result is for the person.
    pub pin: Arc<dyn Fn(PinWish) -> Result<String, String> + Send + Sync>,
    /// Signs an account in, on a terminal that is as it was before the screen.
    pub login: Box<dyn FnMut(AccountId) -> Result<String, String>>,
    /// The file that changes when the numbers do.
    pub snapshot: PathBuf,
}

/// Shows the screen until the person has enough. Returns the exit code: that of the signal, where one ended it.
pub fn show(services: Services, look: &Look) -> io::Result<u8> {
    let interrupts = Interrupts::catch()?;
    give_back_on_panic();
    // Sampling and signing in talk to programs that may hang up, and this terminal may, too.
    survive_broken_pipes();
    let screen = Screen::open()?;
    Session::new(services, look.clone(), screen, interrupts).run()
}

/// The terminal while it is ours.
struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    fn open() -> io::Result<Self> {
        enter()?;
        match Terminal::new(CrosstermBackend::new(io::stdout())) {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    execute!(io::stdout(), EnterAlternateScreen, Hide).inspect_err(|_| give_back())
}

fn give_back() {
    // Nothing can be done about a terminal that is gone.
    let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Where a panic aborts, no destructor runs; the message has to be readable, too.
fn give_back_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        give_back();
        before(info);
    }));
}

struct Session {
    app: App,
    look: Look,
    screen: Screen,
    /// None while somebody else has the terminal.
    interrupts: Option<Interrupts>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// Asks the looking thread for another look.
    ask: Sender<()>,
    /// A look is under way.
    looking: bool,
    looked_at: Instant,
    stamped_at: Instant,
    stamp: FileStamp,
    refresh: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    pin: Arc<dyn Fn(PinWish) -> Result<String, String> + Send + Sync>,
    login: Box<dyn FnMut(AccountId) -> Result<String, String>>,
    snapshot: PathBuf,
}

impl Session {
    fn new(services: Services, look: Look, screen: Screen, interrupts: Interrupts) -> Self {
        let (sender, events) = channel();
        let (ask, asked) = channel::<()>();
        let mut look_again = services.look;
        let answers = sender.clone();
        thread::spawn(move || {
            while asked.recv().is_ok() {
                let moment = Box::new(look_again());
                if answers.send(Event::Looked(moment)).is_err() {
                    break;
                }
            }
        });
        let now = Instant::now();
        Self {
            app: App::default(),
            look,
            screen,
            interrupts: Some(interrupts),
            events,
            sender,
            ask,
            looking: false,
            looked_at: now,
            stamped_at: now,
            stamp: stamp::file_stamp(&services.snapshot),
            refresh: services.refresh,
            pin: services.pin,
            login: services.login,
            snapshot: services.snapshot,
        }
    }

    fn run(mut self) -> io::Result<u8> {
        self.ask_to_look();
        let mut changed = true;
        loop {
            if changed {
                let (app, look) = (&self.app, &self.look);
                self.screen.terminal.draw(|frame| draw(frame, app, look))?;
            }
            if let Some(code) = self.interrupts.as_ref().and_then(Interrupts::seen) {
                return Ok(code);
            }
            let mut happened = self.keys()?;
            while let Ok(event) = self.events.try_recv() {
                self.looking &= !matches!(event, Event::Looked(_));
                happened.push(event);
            }
            if self.app.refreshing || self.app.remark.is_some() {
                happened.push(Event::Tick);
            }
            changed = !happened.is_empty();
            for event in happened {
                for action in self.app.handle(event, clock::now()) {
                    if action == Action::Quit {
                        return Ok(exit::OK);
                    }
                    changed = true;
                    self.perform(action)?;
                }
            }
            self.keep_up();
        }
    }

    /// What was typed within one turn. A new size counts as time gone by: everything is drawn again.
    fn keys(&self) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        let mut patience = TURN;
        while event::poll(patience)? {
            patience = Duration::ZERO;
            match event::read()? {
                event::Event::Key(key) => events.extend(meaning(key).map(Event::Key)),
                event::Event::Resize(..) => events.push(Event::Tick),
                _ => {}
            }
        }
        Ok(events)
    }

    /// Looks again when the snapshot was replaced, or enough time went by.
    fn keep_up(&mut self) {
        if self.stamped_at.elapsed() >= STAMP_GAP {
            self.stamped_at = Instant::now();
            let stamp = stamp::file_stamp(&self.snapshot);
            if stamp != self.stamp {
                self.stamp = stamp;
                self.ask_to_look();
                return;
            }
        }
        if self.looked_at.elapsed() >= LOOK_GAP {
            self.ask_to_look();
        }
    }

    fn ask_to_look(&mut self) {
        if !self.looking {
            self.looking = self.ask.send(()).is_ok();
            self.looked_at = Instant::now();
        }
    }

    fn perform(&mut self, action: Action) -> io::Result<()> {
        match action {
            Action::Look => self.ask_to_look(),
            Action::Refresh => {
                let refresh = Arc::clone(&self.refresh);
                self.aside(move || Event::Refreshed(refresh()));
            }
            Action::Pin(id) => self.pin(Some(id)),
            Action::Unpin => self.pin(None),
            Action::Login(id) => {
                let result = self.sign_in(id)?;
                let _ = self.sender.send(Event::LoggedIn(result));
            }
            Action::Quit => {}
        }
        Ok(())
    }

    fn pin(&self, wish: PinWish) {
        let pin = Arc::clone(&self.pin);
        self.aside(move || Event::Pinned(pin(wish)));
    }

    fn aside(&self, job: impl FnOnce() -> Event + Send + 'static) {
        let sender = self.sender.clone();
        thread::spawn(move || {
            // Nobody listens any more when the screen is gone.
            let _ = sender.send(job());
        });
    }

    fn sign_in(&mut self, id: AccountId) -> io::Result<Result<String, String>> {
        give_back();
        // A Ctrl-C during the sign-in is meant for that.
        self.interrupts = None;
        let result = (self.login)(id);
        self.interrupts = Some(Interrupts::catch()?);
        enter()?;
        self.screen.terminal.clear()?;
        Ok(result)
    }
}

fn meaning(key: KeyEvent) -> Option<Key> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return (key.code == KeyCode::Char('c')).then_some(Key::Quit);
    }
    match key.code {
        KeyCode::Up | KeyCode::Char('k') => Some(Key::Up),
        KeyCode::Down | KeyCode::Char('j') => Some(Key::Down),
        KeyCode::Home | KeyCode::Char('g') => Some(Key::First),
        KeyCode::End | KeyCode::Char('G') => Some(Key::Last),
        KeyCode::Char('r') => Some(Key::Refresh),
        KeyCode::Char('p') => Some(Key::Pin),
        KeyCode::Char('a') => Some(Key::Login),
        KeyCode::Char('?') => Some(Key::Help),
        KeyCode::Char('q') => Some(Key::Quit),
        KeyCode::Esc => Some(Key::Back),
        _ => None,
    }
}
