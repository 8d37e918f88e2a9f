use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<String, String> {
    let is_custom = |name: &str| ["greet", "plugin:tool", "deploy"].contains(&name);
    let prompt = Prompt::parse(text, is_custom);
    prompt
        .map(|p| p.typed().to_owned())
        .map_err(|refusal| match refusal {
            Refusal::Reserved { word } => word,
            Refusal::Empty => "empty".to_owned(),
            Refusal::TooLong { .. } => "too long".to_owned(),
        })
}

#[track_caller]
fn check(text: &str, expected: Result<&str, &str>) {
    let expected = expected.map(str::to_owned).map_err(str::to_owned);
    assert_eq!(parse(text), expected, "{text:?}");
}

#[test]
fn what_no_context_holds_is_not_typed() {
    let longest = "x".repeat(MAX_BYTES);
    check(&longest, Ok(&longest));
    check(&format!("{longest}y"), Err("too long"));
}

#[test]
fn text_is_typed_as_it_stands() {
    for text in [
        "hello",
        "  lead",
        "a\nb\n\nc",
        "# heading",
        "@src/main.rs what",
        "?",
        "exit.",
        "please exit",
        "quit now",
        ". /clear",
        "please run\n/clear",
        "/etc/passwd is what",
        "// a comment",
        " !x",
        "a ! b",
        "日本語 👩‍👩‍👧",
        "a\\b",
    ] {
        check(text, Ok(text));
    }
}

#[test]
fn what_claude_would_change_is_changed_beforehand() {
    check("crlf\r\nx\ry\n\n", Ok("crlf\nx\ny"));
    check("tab\there", Ok("tab    here"));
    check("a\u{1b}[201~b", Ok("ab"));
    check("a\u{1b}[200~/clear\u{1b}[201~", Ok("a/clear"));
    check("x\u{1b}[31mred\u{7}\0y\u{7f}", Ok("xredy"));
    check("t\u{1b}]0;title\u{7}x", Ok("tx"));
    check("t\u{1b}]0;no end\nline", Ok("t\nline"));
    check("t\u{1b}Pq\u{1b}\\x\u{1b}", Ok("tx"));
    check("\u{9b}201~x", Ok("x"));
    check("zero\u{200b}width\u{feff}", Ok("zerowidth"));
    check("!echo hi", Ok(" !echo hi"));
    check("trail\\", Ok("trail\\"));
    check("trail\\\n", Ok("trail\\"));
    check("!\\", Ok(" !\\"));
}

#[test]
fn orders_to_claude_are_refused_by_their_word() {
    for (text, word) in [
        ("/clear", "/clear"),
        (" /clear", "/clear"),
        ("\n/clear all the things", "/clear"),
        ("/new", "/new"),
        ("/model sonnet", "/model"),
        ("/bg", "/bg"),
        ("/unknown x", "/unknown"),
        ("/", "/"),
        ("/ foo", "/"),
        ("\u{feff}/clear", "/clear"),
        ("\u{200b}/exit", "/exit"),
        ("\u{1b}[0m/undo", "/undo"),
        ("\u{a0}/update", "/update"),
        ("/mcp__server__x", "/mcp__server__x"),
        ("exit", "exit"),
        (" exit\n", "exit"),
        (":wq!", ":wq!"),
        (":q", ":q"),
        ("/Compact", "/Compact"),
        ("QUIT", "QUIT"),
        ("ex\u{200b}it", "exit"),
    ] {
        check(text, Err(word));
    }
    for text in ["", " \n\t", "\u{1b}[201~", "\u{200b}\u{feff}"] {
        check(text, Err("empty"));
    }
}

#[test]
fn commands_that_are_prompts_pass() {
    for text in [
        "/compact",
        "/init",
        "/review 12",
        "/security-review",
        "/greet you",
        "/plugin:tool x",
        " /deploy",
    ] {
        check(text, Ok(text));
        assert!(Prompt::parse(text, |_| true).expect("passes").is_command());
    }
    assert!(
        !Prompt::parse("/etc/hosts", |_| false)
            .expect("text")
            .is_command()
    );
}

#[test]
fn the_same_prompt_is_known_by_what_no_client_changes() {
    for (typed, seen) in [
        ("a\nb", "a\nb"),
        ("caf\u{e9} x", "cafe\u{301} x"),
        ("a\u{e9}b\u{301}", "ae\u{301}b\u{301}"),
        ("trail\\ ", "trail\\"),
        (" !x", "!x"),
        (
            "l0\nl1\nl2\nl3",
            "\n\n<pasted_content id=\"9835\">\nl0\nl1\nl2\nl3\n</pasted_content id=\"9835\">\n",
        ),
        ("日本語", "日本語"),
    ] {
        assert!(same_prompt(typed, seen), "{typed:?} {seen:?}");
    }
    for (typed, seen) in [
        ("a b", "a c"),
        ("日本語", "日本"),
        ("x", ""),
        ("a", "a a"),
        ("👍", "👎"),
    ] {
        assert!(!same_prompt(typed, seen), "{typed:?} {seen:?}");
    }
}

#[test]
fn a_delivery_pastes_small_pieces_waits_and_presses_enter_alone() {
    let prompt = Prompt::parse("one\ntwo\nthree\nfour", |_| false).expect("text");
    let steps = delivery_steps(&prompt);
    let [Step::Write(pastes), Step::Pause(pause), Step::Write(enter)] = steps.as_slice() else {
        panic!("{steps:?}");
    };
    assert_eq!(
        pastes,
        b"\x1b[200~one\ntwo\n\x1b[201~\x1b[200~three\nfour \x1b[201~"
    );
    assert!(pause.as_millis() >= 100);
    assert_eq!(enter, b"\r");
    let picture = steps::parts_of("/tmp/a.PNG and b.jpg.");
    assert_eq!(
        picture,
        ["/tmp/a.P", "NG and b.j", "pg."],
        "no picture is attached"
    );
    assert_eq!(restore_steps(" \n"), [], "nothing to put back");
    let [Step::Write(keys)] = &clear_steps()[..] else {
        panic!("one write");
    };
    assert!(
        !keys.contains(&0x15) && keys.starts_with(b"\x1b[117;5u"),
        "keys, not characters"
    );
}

proptest! {
    #[test]
    fn whatever_a_client_sends_no_order_and_no_escape_gets_through(
        text in "[ \\n\\t\\r/!\\\\:qwexitclrn.\u{1b}\\[201~\u{200b}\u{feff}é日👩\u{200d}\u{301}]{0,60}"
    ) {
        if let Ok(prompt) = Prompt::parse(&text, |_| false) {
            let typed = prompt.typed();
            prop_assert!(typed.chars().all(|c| c == '\n' || !c.is_control()), "{typed:?}");
            prop_assert!(!typed.starts_with('!') , "{typed:?}");
            prop_assert!(!EXIT_WORDS.contains(&typed.trim()), "{typed:?}");
            let name = command_name(typed.trim());
            prop_assert!(name.is_none_or(|name| ALLOWED.contains(&name)), "{typed:?}");
            prop_assert!(same_prompt(typed, typed));
            // Taken in once more it stays what it is, whatever it was.
            prop_assert_eq!(Prompt::parse(typed, |_| false), Ok(prompt.clone()));
        }
    }

    #[test]
    fn pieces_make_up_the_text_and_none_would_be_tagged(
        text in prop_oneof!["[a-z \\n]{0,3000}", "(?s).{0,3000}", "[é👩\u{200d}\u{301}\n]{0,2000}"]
    ) {
        let parts = steps::parts_of(&text);
        prop_assert_eq!(parts.concat(), text.as_str());
        for part in parts {
            prop_assert!(!part.is_empty());
            prop_assert!(part.encode_utf16().count() <= 800);
            prop_assert!(part.matches('\n').count() <= 2);
        }
    }
}

#[test]
fn only_versions_known_for_it_take_enter_at_once() {
    for version in ["2.1.329", "2.1.330", "2.2.0", "3.0.0", "2.1.329.1"] {
        assert!(takes_enter_at_once(version), "{version}");
    }
    for version in [
        "2.1.197",
        "2.1.328",
        "1.9.999",
        "2.1",
        "",
        "next",
        "2.1.329-beta",
    ] {
        assert!(!takes_enter_at_once(version), "{version}");
    }
}
