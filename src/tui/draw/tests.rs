//! Screens as text, against golden files; sizes and keys at random.

use super::*;
use crate::contract::kept::PoolReport;
use crate::core::time::Timestamp;
use crate::tui::app::{Action, Event, Key};
use crate::tui::fixture::{NOW, golden, moment, nobody, zone};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

fn now() -> Timestamp {
    Timestamp::from_unix_ms(NOW)
}

fn look() -> Look {
    Look {
        zone: zone(),
        colour: true,
    }
}

/// The app after these keys.
fn app(moment: crate::tui::rows::Moment, keys: &[Key]) -> App {
    let mut app = App::default();
    assert_eq!(app.handle(Event::Looked(Box::new(moment)), now()), []);
    for key in keys {
        let _ = app.handle(Event::Key(*key), now());
    }
    app
}

fn screen(app: &App, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a test terminal");
    terminal
        .draw(|frame| draw(frame, app, &look()))
        .expect("draws");
    terminal
}

fn text(app: &App, width: u16, height: u16) -> String {
    let terminal = screen(app, width, height);
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut covered = 0;
        for x in 0..width {
            let symbol = buffer[(x, y)].symbol();
            // The second cell of a wide character shows nothing of its own.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = symbol.width().saturating_sub(1);
            line.push_str(symbol);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[test]
fn screens_look_as_they_did() {
    use Key::{Down, First, Help, Last};
    let rows: [(&str, &[Key], (u16, u16)); 9] = [
        ("wide", &[First, Down], (120, 24)),
        ("eighty", &[First, Down], (80, 24)),
        ("pinned", &[], (80, 24)),
        ("exhausted", &[Last, Key::Up, Key::Up], (100, 22)),
        ("unknown", &[First], (80, 20)),
        ("narrow", &[First, Down], (50, 30)),
        ("small", &[Down, Down], (40, 6)),
        ("tiny", &[], (20, 5)),
        ("help", &[Help], (80, 24)),
    ];
    for (name, keys, (width, height)) in rows {
        golden(name, &text(&app(moment(), keys), width, height));
    }
    golden("nobody", &text(&app(nobody(), &[]), 60, 8));
}

#[test]
fn the_highest_use_is_red_and_nothing_is_without_leave() {
    let app = app(moment(), &[]);
    let reds = |look: &Look| {
        let mut terminal = Terminal::new(TestBackend::new(100, 24)).expect("a test terminal");
        terminal.draw(|f| draw(f, &app, look)).expect("draws");
        let buffer = terminal.backend().buffer().clone();
        buffer
            .content
            .iter()
            .filter(|c| c.fg == Color::Red && c.symbol() != " ")
            .map(|c| c.symbol().to_owned())
            .collect::<String>()
    };
    assert_eq!(reds(&look()), "100%95%");
    let plain = Look {
        colour: false,
        ..look()
    };
    assert_eq!(reds(&plain), "");
}

#[test]
fn what_goes_on_is_in_the_last_line() {
    let last = |app: &App| {
        text(app, 80, 12)
            .lines()
            .last()
            .unwrap_or_default()
            .to_owned()
    };
    let mut app = app(moment(), &[Key::Refresh]);
    assert!(last(&app).contains("⠋ sampling …"), "{}", last(&app));
    assert_eq!(
        app.handle(Event::Refreshed(Err("no claude".to_owned())), now()),
        [Action::Look]
    );
    assert!(last(&app).starts_with("error: no claude"), "{}", last(&app));
    let later = now().plus(std::time::Duration::from_secs(7));
    assert_eq!(app.handle(Event::Tick, later), []);
    assert!(last(&app).starts_with("↑↓ choose"), "{}", last(&app));
}

proptest! {
    #[test]
    fn no_size_and_no_keys_break_the_screen(
        width in 1_u16..140, height in 1_u16..50, keys in prop::collection::vec(0_u8..9, 0..12),
    ) {
        const KEYS: [Key; 9] = [
            Key::Up, Key::Down, Key::First, Key::Last, Key::Refresh, Key::Pin, Key::Login, Key::Help, Key::Back,
        ];
        let keys: Vec<Key> = keys.iter().map(|k| KEYS[usize::from(*k)]).collect();
        for moment in [moment(), nobody()] {
            let _ = screen(&app(moment, &keys), width, height);
        }
    }
}

#[test]
fn pools_stand_below_the_accounts_where_there_is_room() {
    let mut moment = moment();
    let pool = PoolReport {
        name: "default".to_owned(),
        ..PoolReport::default()
    };
    moment.status.pools = Some(vec![pool]);
    let app = app(moment, &[]);
    let shown = text(&app, 80, 24);
    assert!(
        shown.contains("  POOL\n  default  does not run\n"),
        "{shown}"
    );
    let small = text(&app, 80, 12);
    assert!(
        !small.contains("POOL") && small.contains("ACCOUNT"),
        "{small}"
    );
}
