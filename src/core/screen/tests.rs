use super::*;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::path::Path;

fn screen(cols: u16, rows: u16, bytes: &[u8]) -> Screen {
    let mut screen = Screen::new(cols, rows);
    screen.feed(bytes);
    screen
}

/// A recording of the real client on a terminal of 100 by 30.
fn recording(name: &str) -> Vec<u8> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/screens");
    let file = dir.join(format!("{name}.bin"));
    std::fs::read(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

const LONG: &str = "a rather long line of text that goes on and on until it has to be wrapped by the box, which is \
                    a hundred wide a rather long line of text that goes on and on until it has to be wrapped by \
                    the box, which is a hundred wide";

#[test]
fn what_stands_in_the_input_box_of_the_real_client_is_read() {
    // How far the recording has come, and what was typed by then.
    let rows_329: &[(usize, &str)] = &[
        (2254, ""),
        (2319, "hello there"),
        (2456, ""),
        (3199, LONG),
        (4561, ""),
        (4689, "[Pasted text #1 +3 lines]"),
        (4900, "grüße 漢字 🎉"),
        (5478, ""),
        (5609, "more to say"),
        (7227, ""),
        (7907, "!"),
        (7946, "!ls"),
        (9241, "/"),
        (9470, "[Pasted text #2 +59 lines]"),
        (10678, ""),
    ];
    let rows_197: &[(usize, &str)] = &[
        (2670, ""),
        (2762, "hello there"),
        (2894, ""),
        (3652, LONG),
        (4721, ""),
        (4859, "[Pasted text #1 +3 lines]"),
        (4974, "grüße 漢字 🎉"),
        (6817, ""),
        (6990, "more to say"),
        (10930, ""),
        (11622, "!"),
        (11666, "!ls"),
        (14041, "/"),
        (17375, "[Pasted text #1 +59 lines]"),
    ];
    for (name, rows) in [("2.1.329-box", rows_329), ("2.1.197-box", rows_197)] {
        let bytes = recording(name);
        for (length, expected) in rows {
            let screen = screen(100, 30, &bytes[..*length]);
            assert_eq!(screen.pending(), *expected, "{name} {length}");
            assert!(screen.has_input_box(), "{name} {length}");
            assert_eq!(screen.dialog(), None, "{name} {length}");
        }
    }
}

#[test]
fn dialogs_of_the_real_client_are_recognised() {
    let rows = [
        ("bypass-shown", Dialog::Bypass),
        ("hooks-shown", Dialog::Hooks),
        ("loggedout-dialog", Dialog::Login),
        ("onboarding-shown", Dialog::Onboarding),
        ("onboarding-login", Dialog::Login),
        ("trust-shown", Dialog::Trust),
    ];
    for version in ["2.1.329", "2.1.197"] {
        for (name, expected) in rows {
            let screen = screen(100, 30, &recording(&format!("{version}-{name}")));
            assert_eq!(screen.dialog(), Some(expected), "{version} {name}");
            assert!(!screen.has_input_box(), "{version} {name}");
        }
    }
    let rewind = [("2.1.329-box", 6353), ("2.1.197-box", 7807)];
    for (name, length) in rewind {
        let screen = screen(100, 30, &recording(name)[..length]);
        assert_eq!(screen.dialog(), Some(Dialog::Rewind), "{name}");
    }
    // A permission prompt is no dialog of these, and there is no box meanwhile.
    let asks = screen(100, 30, &recording("2.1.197-box"));
    assert!(asks.text().contains("Do you want to proceed?"));
    assert_eq!((asks.dialog(), asks.has_input_box()), (None, false));
}

#[test]
fn talk_of_a_dialog_is_no_dialog() {
    let rule = "─".repeat(40);
    let talk = format!("Select login method\r\n{rule}\r\n❯\u{a0}x\r\n{rule}\r\n");
    let screen = screen(40, 10, talk.as_bytes());
    assert_eq!((screen.dialog(), screen.pending()), (None, "x".to_owned()));
}

#[test]
fn suggestions_are_not_what_was_typed() {
    let boxed = |line: &str| {
        let rule = "─".repeat(30);
        let text = format!("{rule}\r\n❯\u{a0}{line}\r\n{rule}\r\n  hint");
        screen(30, 8, text.as_bytes()).pending()
    };
    let rows = [
        ("\x1b[7mT\x1b[0;2mry \"fix the tests\"\x1b[m", ""),
        ("\x1b[2mTry \"fix the tests\"\x1b[m", ""),
        ("/comp\x1b[2mact\x1b[m", "/comp"),
        ("done\x1b[7m \x1b[m", "done"),
        ("x\u{a0}", "x"),
        ("one\r\n  two\r\n\r\n  four", "one\ntwo\n\nfour"),
        (
            "twenty-five letters these\r\n  and",
            "twenty-five letters these and",
        ),
        (
            "abcdefghijklmnopqrstuvwxyza\r\n  bcd",
            "abcdefghijklmnopqrstuvwxyzabcd",
        ),
    ];
    for (line, expected) in rows {
        assert_eq!(boxed(line), expected, "{line:?}");
    }
}

#[test]
fn a_terminal_does_what_it_is_told() {
    let rows: &[(&str, &str)] = &[
        ("ab\rc", "cb"),
        ("1234567890abc", "1234567890\nabc"),
        ("1234567890\r\nabc", "1234567890\nabc"),
        ("\x1b[?7l1234567890abc", "123456789c"),
        ("a\tb", "a       b"),
        ("abc\x1b[2Dx", "axc"),
        ("abc\x1b[1;1H\x1b[1P", "bc"),
        ("abc\x1b[1;1H\x1b[2@", "  abc"),
        ("abc\x1b[1;2H\x1b[4hX", "aXbc"),
        ("abc\x1b[1;1H\x1b[2X", "  c"),
        ("a\r\nb\r\nc\x1b[1;1H\x1b[M", "b\nc"),
        ("a\r\nb\x1b[1;1H\x1b[L", "\na\nb"),
        ("a\r\nb\r\nc\r\nd\r\ne", "a\nb\nc\nd\ne"),
        ("a\r\nb\x1b[2J", ""),
        ("x\x1b[3b", "xxxx"),
        ("\x1b(0lqk\x1b(Bq", "┌─┐q"),
        ("漢字x\x1b[1;2Hy", " y字x"),
        ("123456789漢", "123456789\n漢"),
        ("e\u{301}x", "e\u{301}x"),
        ("a\x1b[2;3r\x1b[3;1Hb\r\nc\r\nd", "a\nc\nd"),
        ("a\x1b7\x1b[4;4Hb\x1b8c", "ac\n\n\n   b"),
        ("main\x1b[?1049h\x1b[Halt", "alt"),
        ("main\x1b[?1049halt\x1b[?1049l!", "main!"),
        ("a\x1b]0;title\x07b\x1b]52;c;Zm9v\x1b\\c", "abc"),
        ("a\x1bP1;2qdata\x1b\\b\x1b_app\x1b\\c", "abc"),
        ("\x1b[31mred\x1b[m", "red"),
        ("\x1bMa", "a"),
    ];
    for (bytes, expected) in rows {
        assert_eq!(
            screen(10, 4, bytes.as_bytes()).text(),
            *expected,
            "{bytes:?}"
        );
    }
}

#[test]
fn lines_that_scrolled_off_are_kept_up_to_a_bound() {
    let mut screen = Screen::new(200, 50);
    for line in 0..5_000 {
        screen.feed(format!("\x1b[3{}mline {line}\x1b[m\r\n", line % 8).as_bytes());
    }
    let text = screen.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), MAX_LINES + 49);
    assert_eq!(
        (lines[0], lines[lines.len() - 1]),
        ("line 2951", "line 4999")
    );
    let wide = "x".repeat(199);
    for _ in 0..3_000 {
        screen.feed(format!("{wide}\r\n").as_bytes());
    }
    let bytes = screen.terminal.history.bytes();
    assert!(bytes <= MAX_BYTES && bytes > MAX_BYTES - 1_000, "{bytes}");
    screen.feed(b"\x1b[3J");
    assert_eq!(screen.text().lines().count(), 49);
}

#[test]
fn a_flood_is_passed_over_without_a_difference() {
    let mut flood = b"\x1b[1mbold\x1b[m\r\n".to_vec();
    let mut followed = screen(80, 24, &flood);
    let mut skimmed = screen(80, 24, &flood);
    flood.clear();
    for line in 0..40_000 {
        flood.extend_from_slice(
            format!("line {line} of a flood, ünïcode\t{}\r\n", line % 7).as_bytes(),
        );
    }
    skimmed.feed(b"calm\r\n".repeat(1_000).as_slice());
    followed.feed(b"calm\r\n".repeat(1_000).as_slice());
    assert!(skim::begin(&flood, MAX_LINES + usize::from(MAX_SIDE)) > flood.len() / 2);
    skimmed.feed(&flood);
    for part in flood.chunks(700) {
        followed.feed(part);
    }
    assert_eq!(skimmed.text(), followed.text());
    assert_eq!(skimmed.repaint(), followed.repaint());
    // Where it could be seen, nothing is passed over.
    flood.extend_from_slice(b"\x1b[1;1Hhome");
    assert_eq!(skim::begin(&flood, 10), 0);
    assert_eq!(skim::begin(b"a\nb\nc", 10), 0);
}

#[test]
fn a_coloured_flood_is_passed_over_without_a_difference() {
    for reset in ["", "\x1b[m", "\x1b[0m"] {
        let line = |n: usize| {
            let colour = n % 216 + 16;
            format!(
                "\x1b[1;3{}mline {n}{reset} of \x1b[38:5:{colour}mmany\r\n",
                n % 8
            )
        };
        let flood: Vec<u8> = (0..30_000).flat_map(|n| line(n).into_bytes()).collect();
        // Cut within a sequence, too.
        for cut in [flood.len() - 3, flood.len() - 1, flood.len()] {
            let (first, second) = flood.split_at(cut);
            assert!(skim::begin(first, MAX_LINES + 24) > first.len() / 2);
            let (mut skimmed, mut followed) = (Screen::new(80, 24), Screen::new(80, 24));
            skimmed.feed(first);
            skimmed.feed(second);
            flood.chunks(700).for_each(|part| followed.feed(part));
            assert_eq!(skimmed.repaint(), followed.repaint());
        }
        let cut = flood.len() - "\x1b[38:5:1".len() - "many\r\n".len();
        assert!(skim::begin(&flood[..cut], MAX_LINES + 24) > 0, "cut");
    }
    let mut other = b"\x1b[31mred\r\n".repeat(9_000);
    other.extend_from_slice(b"\x1b[2Ahere");
    assert_eq!(skim::begin(&other, 10), 0);
}

#[test]
fn a_repaint_asks_nothing_and_names_nothing() {
    let noise = "\x1b]0;title\x07\x1b]52;c;Zm9v\x07\x1b[c\x1b[>c\x1b[6n\x1b[?u\x1b[>q\x1b]11;?\x07\x1b[18t\x1b[?2026$p\x05text";
    let painted = screen(40, 5, noise.as_bytes()).repaint();
    let shown = String::from_utf8(painted).expect("is text");
    assert!(shown.contains("text"));
    for bad in ["\x1b]", "\x05", "?u", ">q", "$p", "\x07", "title", "Zm9v"] {
        assert!(!shown.contains(bad), "{bad:?} in {shown:?}");
    }
    let asks = |end: char| {
        let mut parts = shown.split("\x1b[").skip(1);
        parts.any(|part| {
            part.trim_start_matches(|c: char| !c.is_ascii_alphabetic())
                .starts_with(end)
        })
    };
    for end in ['c', 'n', 't', 'x'] {
        assert!(!asks(end), "ESC [ … {end} in {shown:?}");
    }
}

#[test]
fn modes_and_place_come_back_with_a_repaint() {
    let bytes = b"\x1b[?2004h\x1b[?1004h\x1b[?1006h\x1b[?1002h\x1b[?25l\x1b[>1u\x1b[>4;2m\x1b=\x1b[4 q\x1b[3;5Hx\x1b[?1049h\x1b[1;31malt";
    let painted = String::from_utf8(screen(20, 6, bytes).repaint()).expect("is text");
    for wanted in [
        "\x1b[?2004h",
        "\x1b[?1004h",
        "\x1b[?1006h",
        "\x1b[?1002h",
        "\x1b[?25l",
        "\x1b[>1u",
        "\x1b[>4;2m",
        "\x1b=",
        "\x1b[4 q",
        "\x1b[?1049h",
        "\x1b[?1000l",
    ] {
        assert!(painted.contains(wanted), "{wanted:?} in {painted:?}");
    }
    assert!(
        painted.ends_with("\x1b[3;9H\x1b[0;1;31m\x1b(B\x1b)B\x0f"),
        "{painted:?}"
    );
}

#[test]
fn a_new_size_keeps_what_fits() {
    let mut screen = screen(10, 4, b"1\r\n2\r\n3\r\n4");
    screen.resize(10, 2);
    assert_eq!(screen.text(), "1\n2\n3\n4");
    assert_eq!(screen.bottom(9), "3\n4");
    screen.resize(1, 5);
    screen.feed("\r\n漢x".as_bytes());
    screen.resize(0, u16::MAX);
    screen.feed(b"\x1b[999;999Hy");
    assert!(screen.text().ends_with('y'));
}

/// Pieces of what programs write, whole and broken.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let number = 0_u16..40;
    prop_oneof![
        4 => "[a-z 漢é]{0,30}".prop_map(String::into_bytes),
        3 => prop_oneof![Just("\r\n"), Just("\n"), Just("\t"), Just("\x08"), Just("\x1bM"), Just("\x1b7"), Just("\x1b8")]
            .prop_map(|s| s.as_bytes().to_vec()),
        5 => (number.clone(), number, "[@ABCDEFGHJKLMPSTXZbdfhlmr]").prop_map(|(a, b, end)| {
            format!("\x1b[{a};{b}{end}").into_bytes()
        }),
        1 => prop_oneof![
            Just("\x1b[?1049h"), Just("\x1b[?1049l"), Just("\x1b[?6h"), Just("\x1b[?6l"), Just("\x1b[!p"), Just("\x1bc"),
            Just("\x1b(0"), Just("\x1b)0\x0e"), Just("\x0f"), Just("\x1b[48;2;1;2;3m"), Just("\x1b[38:5:200m"), Just("\x1b[7m"),
            Just("\x1b[>3u"), Just("\x1b[<u"), Just("\x1b[?2004h"), Just("\x1b[3J"),
        ].prop_map(|s| s.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
    ]
}

/// The rows as they look; blanks of another colour look alike.
fn painted(grid: &grid::Grid) -> Vec<String> {
    let styled = |row: &cell::Row| {
        let mut out = Vec::new();
        row.write_styled(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    grid.rows.iter().map(styled).collect()
}

/// As [`Screen::feed`], with the parser alone.
fn parse(screen: &mut Screen, bytes: &[u8]) {
    let (before, whole) = screen.cut.join(bytes);
    screen
        .parser
        .advance(&mut screen.terminal, before.as_bytes());
    screen.parser.advance(&mut screen.terminal, whole);
}

/// What once went wrong is tried again, from a file among the tests' own.
fn config() -> ProptestConfig {
    let path = "tests/data/screens/regressions.txt";
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(path))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn text_that_passes_by_the_parser_looks_as_if_it_had_not(
        pieces in proptest::collection::vec(piece(), 0..60),
        cols in 1_u16..30,
        rows in 1_u16..12,
        cut in 1_usize..40,
    ) {
        let bytes = pieces.concat();
        let (mut fed, mut parsed) = (Screen::new(cols, rows), Screen::new(cols, rows));
        for part in bytes.chunks(cut) {
            fed.feed(part);
            parse(&mut parsed, part);
        }
        prop_assert_eq!(fed.text(), parsed.text());
        prop_assert_eq!(fed.repaint(), parsed.repaint());
    }

    #[test]
    fn a_repaint_shows_the_same_and_cuts_do_not_matter(
        pieces in proptest::collection::vec(piece(), 0..60),
        cols in 1_u16..30,
        rows in 1_u16..12,
        cut in 1_usize..40,
    ) {
        let bytes = pieces.concat();
        let whole = screen(cols, rows, &bytes);
        let mut parts = Screen::new(cols, rows);
        bytes.chunks(cut).for_each(|part| parts.feed(part));
        // How many marks stand for bytes that are no text may depend on the cuts.
        if std::str::from_utf8(&bytes).is_ok() {
            prop_assert_eq!(whole.repaint(), parts.repaint());
        }

        let again = screen(cols, rows, &whole.repaint());
        prop_assert_eq!(whole.text(), again.text());
        let (one, two) = (whole.terminal.grid(), again.terminal.grid());
        prop_assert_eq!(painted(one), painted(two));
        prop_assert_eq!((one.cursor.row, one.cursor.col, one.cursor.style), (two.cursor.row, two.cursor.col, two.cursor.style));
        prop_assert_eq!(&whole.terminal.modes, &again.terminal.modes);
        let _ = (whole.pending(), whole.dialog());
    }

    #[test]
    fn any_size_at_any_time(pieces in proptest::collection::vec((piece(), 1_u16..30, 1_u16..12), 0..30)) {
        let mut screen = Screen::new(10, 5);
        for (bytes, cols, rows) in pieces {
            screen.feed(&bytes);
            screen.resize(cols, rows);
            let _ = (screen.repaint(), screen.text(), screen.pending());
        }
    }
}

#[test]
fn the_last_turns_of_a_text_begin_at_their_prompts() {
    let text = "welcome\n❯ one\n● 1\n❯ two\n  more\n● 2\n──────\n❯\u{a0}half typed\n──────";
    let rows = [(0, "welcome"), (1, "❯ two"), (2, "❯ one"), (3, "welcome")];
    for (turns, first) in rows {
        let found = last_turns(text, turns);
        assert_eq!(found.lines().next(), Some(first), "{turns}");
        assert!(found.ends_with("──────"), "{turns}");
    }
    assert_eq!(last_turns("nothing", 1), "nothing");
}
