use super::keys::KEYS;
use super::*;

fn problems(text: &str) -> String {
    match Settings::parse(text) {
        Ok(_) => String::from("fine"),
        Err(errors) => errors
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[test]
fn every_key_is_read() {
    let text = r#"
        [usage]
        sources = ["oauth", "live"]
        [login]
        renew = "direct"
        [overlay]
        provider = "symlink"
        settings = "two-way"
        base = "~/work/"
        [daemon]
        autostart = false
        [env]
        keep = ["ANTHROPIC_API_KEY"]
    "#;
    let settings = Settings::parse(text).expect("valid");
    assert_eq!(
        settings,
        Settings {
            sources: vec![Source::Oauth, Source::Live],
            renew: Renew::Direct,
            provider: Provider::Symlink,
            flow: Flow::TwoWay,
            base: "~/work/".into(),
            autostart: false,
            pools: Pools::default(),
            keep_env: vec!["ANTHROPIC_API_KEY".into()],
        }
    );
    assert_eq!(settings.base(Path::new("/u")).dir, Path::new("/u/work"));
}

#[test]
fn the_default_base_is_plain_claudes_own_however_it_is_spelled() {
    for base in ["~/.claude", "~/.claude/", "/u/.claude", "/u/./.claude//"] {
        let settings = Settings {
            base: base.into(),
            ..Settings::default()
        };
        assert_eq!(
            settings.base(Path::new("/u")),
            Base::default_in(Path::new("/u")),
            "{base}"
        );
    }
}

#[test]
fn nothing_and_the_commented_file_are_the_defaults() {
    for text in ["", "# nothing\n", &commented_default()] {
        assert_eq!(Settings::parse(text), Ok(Settings::default()), "{text}");
    }
}

#[test]
fn the_defaults_of_the_table_are_the_defaults_of_the_type() {
    for key in KEYS {
        let text = format!("[{}]\n{} = {}\n", key.table, key.name, key.default);
        assert_eq!(
            Settings::parse(&text),
            Ok(Settings::default()),
            "{}",
            key.path()
        );
    }
}

#[test]
fn help_names_every_key_with_what_it_takes() {
    let text = help();
    for key in KEYS {
        assert!(text.contains(&format!("{} = {}", key.name, key.default)));
        assert!(text.contains(&key.kind.expected()));
        assert!(!key.explanation.is_empty());
    }
}

#[test]
fn problems_name_the_key_the_line_and_what_is_meant() {
    let rows = [
        (
            "[usage]\nsource = [\"live\"]",
            "line 2: unknown key usage.source: did you mean usage.sources?",
        ),
        (
            "\n\n[overley]\nbase = \"/x\"",
            "line 3: unknown table overley: did you mean [overlay]?",
        ),
        (
            "[login]\nkeep = []",
            "line 2: unknown key login.keep: did you mean env.keep?",
        ),
        (
            "renew = \"direct\"",
            "line 1: unknown key renew: did you mean login.renew, below [login]?",
        ),
        (
            "[something]\n",
            "line 1: unknown table something: there are [usage], [login], [overlay], [daemon], [pool], [env]",
        ),
        (
            "[env]\nquite_different = 1",
            "line 2: unknown key env.quite_different: [env] has keep",
        ),
        (
            "[login]\nrenew = 3",
            "line 2: login.renew takes one of \"claude\", \"direct\", not a number",
        ),
        (
            "[overlay]\nprovider = \"fuse\"",
            "line 2: overlay.provider takes \"symlink\" alone, not \"fuse\"",
        ),
        (
            "[login]\nrenew = \"dirct\"",
            "line 2: login.renew takes one of \"claude\", \"direct\", not \"dirct\": did you mean \"direct\"?",
        ),
        (
            "[usage]\nsources = [\n  \"live\",\n  \"live\",\n]",
            "line 4: usage.sources names \"live\" twice",
        ),
        (
            "[usage]\nsources = []",
            "line 2: usage.sources may not be empty",
        ),
        (
            "[usage]\nsources = \"live\"",
            "line 2: usage.sources takes a list of \"live\", \"claude\", \"oauth\", not a text",
        ),
        (
            "[overlay]\nbase = \"work\"",
            "line 2: overlay.base takes a directory, absolute or starting with \"~/\", not \"work\"",
        ),
        (
            "[daemon]\nautostart = \"yes\"",
            "line 2: daemon.autostart takes true or false, not a text",
        ),
        (
            "usage = 1",
            "line 1: usage is a table, [usage], not a number",
        ),
        (
            "[overlay]\nprovider = true\nsettings = \"both\"",
            "line 2: overlay.provider takes \"symlink\" alone, not true or false\n\
             line 3: overlay.settings takes one of \"one-way\", \"two-way\", not \"both\"",
        ),
    ];
    for (text, expected) in rows {
        assert_eq!(problems(text), expected, "{text}");
    }
    assert!(problems("[env]\nkeep = [\"PATH\"]").contains("ANTHROPIC_API_KEY"));
    assert!(
        problems("[env]\nkeep = [\"ANTHROPIC_API_KEYS\"]")
            .ends_with("did you mean \"ANTHROPIC_API_KEY\"?")
    );
    assert!(problems("[usage]\n\nsources = [").starts_with("line 3: "));
}

#[test]
fn a_key_is_set_and_the_rest_is_kept() {
    let rows = [
        ("", "login.renew", "direct", "[login]\nrenew = \"direct\"\n"),
        (
            "# mine\n[login] # here\nrenew  =  'claude' # why\n",
            "login.renew",
            "direct",
            "# mine\n[login] # here\nrenew  =  \"direct\" # why\n",
        ),
        (
            "[overlay]\n# base = \"~/.claude\"\n\n[env]\n",
            "overlay.base",
            "/x y",
            "[overlay]\n# base = \"~/.claude\"\nbase = \"/x y\"\n\n[env]\n",
        ),
        (
            "[usage]\nsources = [\n  \"live\", # free\n]\n",
            "usage.sources",
            "claude,live",
            "[usage]\nsources = [\"claude\", \"live\"]\n",
        ),
        (
            "[env]",
            "env.keep",
            "[\"ANTHROPIC_API_KEY\"]",
            "[env]\nkeep = [\"ANTHROPIC_API_KEY\"]\n",
        ),
        (
            "overlay.base = \"/a\"\n",
            "overlay.base",
            "\"/b\"",
            "overlay.base = \"/b\"\n",
        ),
        (
            "login.renew = \"direct\"",
            "env.keep",
            "",
            "login.renew = \"direct\"\n\n[env]\nkeep = []\n",
        ),
    ];
    for (text, path, value, expected) in rows {
        assert_eq!(set(text, path, value).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn a_key_that_cannot_be_set_says_why() {
    let rows = [
        (
            "",
            "login.renw",
            "direct",
            "unknown key login.renw: did you mean login.renew?",
        ),
        (
            "",
            "renew",
            "direct",
            "unknown key renew: did you mean login.renew?",
        ),
        (
            "",
            "login.renew",
            "never",
            "login.renew takes one of \"claude\", \"direct\", not \"never\"",
        ),
        (
            "[usage]\nbad = 1\n",
            "login.renew",
            "direct",
            "line 2: unknown key usage.bad: [usage] has sources",
        ),
        (
            "overlay = { base = \"/a\" }\n",
            "overlay.provider",
            "symlink",
            "cannot add overlay.provider to the file: write it there by hand",
        ),
    ];
    for (text, path, value, expected) in rows {
        let error = set(text, path, value).expect_err("is refused");
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn every_key_can_be_set_in_the_default_file() {
    for key in KEYS {
        let text = set(&commented_default(), &key.path(), key.default).expect("is set");
        assert_eq!(Settings::parse(&text), Ok(Settings::default()));
        assert!(text.contains(&format!("\n{} = {}\n", key.name, key.default)));
    }
}
