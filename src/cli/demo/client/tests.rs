//! Rows for what needs no process: arguments and keys. The rest is tested as a process, in the stand-in's own tests.

use super::arguments::{Arguments, Command, parse};
use super::keys::{Key, Keys};

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn arguments_are_found_among_unknown_ones() {
    let (command, arguments) = parse(&words(
        "--verbose --permission-mode plan -p hi --resume=abc --model m --odd",
    ));
    let expected = Arguments {
        print: true,
        prompt: Some("hi".to_owned()),
        resume: Some("abc".to_owned()),
        model: Some("m".to_owned()),
        ..Arguments::default()
    };
    assert_eq!((command, arguments), (Command::Session, expected));
    assert_eq!(
        parse(&words("auth login --email x")).0,
        Command::Auth(words("login --email x"))
    );
}

#[test]
fn keys_mean_what_they_mean_to_the_real_prompt() {
    let check = |plain: bool, chunks: &[&str], expected: &[Key]| {
        let mut keys = Keys::new(plain);
        let mut found: Vec<Key> = chunks
            .iter()
            .flat_map(|chunk| keys.push(chunk.as_bytes()))
            .collect();
        found.extend(keys.finish());
        assert_eq!(found, expected, "{chunks:?}");
    };
    let submit = |text: &str| Key::Submit(text.to_owned());
    check(true, &["one\ntwo"], &[submit("one"), submit("two")]);
    check(
        false,
        &["\x1b[200~one\ntwo\x1b[201~", "\r"],
        &[submit("one\ntwo")],
    );
    check(false, &["\x1b[20", "0~a\rb\x1b[201~\r"], &[submit("a\nb")]);
    check(false, &["ab\x7fc\r"], &[submit("ac")]);
    check(false, &["gone\x15kept\r"], &[submit("kept")]);
    check(false, &["\x1b"], &[Key::Escape]);
    check(false, &["\x1b[A\x03\x04"], &[Key::Interrupt, Key::End]);
}
