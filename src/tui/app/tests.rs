//! Keys and looks in, actions out.

use super::*;
use crate::tui::fixture::{NOW, moment, nobody};

fn now() -> Timestamp {
    Timestamp::from_unix_ms(NOW)
}

fn id(number: u16) -> AccountId {
    AccountId::new(number).expect("a number")
}

fn looked(app: &mut App, moment: Moment) {
    assert_eq!(app.handle(Event::Looked(Box::new(moment)), now()), []);
}

fn selected(app: &App) -> Option<u16> {
    app.account().map(|a| a.id)
}

fn press(app: &mut App, key: Key) -> Vec<Action> {
    app.handle(Event::Key(key), now())
}

#[test]
fn the_selection_starts_at_the_next_pick_and_stays_with_its_account() {
    let mut app = App::default();
    looked(&mut app, moment());
    assert_eq!(selected(&app), Some(2), "the next pick");
    press(&mut app, Key::First);
    let first = selected(&app);
    let mut turned = moment();
    turned.status.accounts.reverse();
    looked(&mut app, turned);
    assert_eq!(selected(&app), first, "the order changed");
    let mut fewer = moment();
    fewer.status.accounts.retain(|a| Some(a.id) != first);
    looked(&mut app, fewer);
    assert_eq!(app.place(), 4, "the last place that is left");
    looked(&mut app, nobody());
    assert_eq!(selected(&app), None);
    looked(&mut app, moment());
    assert!(selected(&app).is_some());
}

#[test]
fn keys_do_what_the_help_says() {
    let rows: [(&[Key], &[Action]); 9] = [
        (&[Key::Pin], &[Action::Unpin]),
        (&[Key::First, Key::Down, Key::Pin], &[Action::Pin(id(1))]),
        (&[Key::Login], &[Action::Login(id(2))]),
        (&[Key::Refresh], &[Action::Refresh]),
        (&[Key::Refresh, Key::Refresh], &[]),
        (&[Key::Back], &[Action::Quit]),
        (&[Key::Help, Key::Back], &[]),
        (&[Key::Help, Key::Quit], &[Action::Quit]),
        (&[Key::Up, Key::Up, Key::Up, Key::Up], &[]),
    ];
    for (keys, expected) in rows {
        let mut app = App::default();
        looked(&mut app, moment());
        let mut last = Vec::new();
        for key in keys {
            last = press(&mut app, *key);
        }
        assert_eq!(last, expected, "{keys:?}");
    }
}

#[test]
fn without_accounts_nothing_is_done_to_one() {
    let mut app = App::default();
    for key in [Key::Down, Key::Up, Key::Last, Key::Pin, Key::Login] {
        assert_eq!(press(&mut app, key), [], "{key:?}");
    }
}
