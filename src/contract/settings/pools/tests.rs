use super::*;
use crate::contract::settings::{Settings, commented_default, help, set};

fn problems(text: &str) -> String {
    let errors = Settings::parse(text).expect_err("is wrong");
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("\n")
}

const WHOLE: &str = r#"
[pool]
handoff = "never"
allow_extra_usage = true
[pool.default]
size = 4
flags = "--permission-mode acceptEdits"
dir = "~/work"
keep_fresh = 0
autostart = false
allow_extra_usage = false
handoff = "always"
accounts = ["work", "a b"]
[pool.bare]
[pool."a.b"]
size = 1
"#;

#[test]
fn every_key_of_a_pool_is_read() {
    let settings = Settings::parse(WHOLE).expect("is right");
    let default = PoolSettings {
        size: Some(4),
        flags: Some("--permission-mode acceptEdits".to_owned()),
        dir: Some("~/work".to_owned()),
        keep_fresh: Some(0),
        autostart: false,
        allow_extra_usage: false,
        handoff: Handoff::Always,
        accounts: Some(vec!["work".to_owned(), "a b".to_owned()]),
    };
    assert_eq!(settings.pool("default"), default);
    let bare = PoolSettings {
        autostart: true,
        allow_extra_usage: true,
        handoff: Handoff::Never,
        ..PoolSettings::default()
    };
    assert_eq!(settings.pool("bare"), bare);
    assert_eq!(settings.pool("a.b").size, Some(1));
    let unnamed = PoolSettings {
        autostart: false,
        ..bare
    };
    assert_eq!(settings.pool("of nobody"), unnamed);
    let nothing = Settings::parse("").expect("is right").pool("default");
    assert_eq!(nothing, PoolSettings::default());
    assert!(nothing.handoff == Handoff::Auto && !nothing.allow_extra_usage);
}

#[test]
fn problems_name_the_pool_the_line_and_what_is_meant() {
    let rows = [
        (
            "[pool.x]\nsize = 0",
            "line 2: pool.x.size takes a whole number from 1 on, not 0",
        ),
        (
            "[pool.x]\nsize = 5000000000",
            "line 2: pool.x.size takes a whole number from 1 on, not 5000000000",
        ),
        (
            "[pool.x]\nsize = \"3\"",
            "line 2: pool.x.size takes a whole number from 1 on, not a text",
        ),
        (
            "[pool.x]\nkeep_fresh = -1",
            "line 2: pool.x.keep_fresh takes a whole number from 0 on, not -1",
        ),
        (
            "[pool.x]\nkeepfresh = 1",
            "line 2: unknown key pool.x.keepfresh: did you mean pool.x.keep_fresh?",
        ),
        (
            "[pool.x]\ncolour = 1",
            "line 2: unknown key pool.x.colour: [pool.x] has size, flags, dir, keep_fresh, autostart, allow_extra_usage, handoff, accounts",
        ),
        (
            "[pool.x]\nhandoff = \"allways\"",
            "line 2: pool.x.handoff takes one of \"always\", \"never\", \"auto\", not \"allways\": did you mean \"always\"?",
        ),
        (
            "[pool.x]\ndir = \"work\"",
            "line 2: pool.x.dir takes a directory, absolute or starting with \"~/\", not \"work\"",
        ),
        (
            "[pool.x]\naccounts = []",
            "line 2: pool.x.accounts may not be empty",
        ),
        (
            "[pool.x]\naccounts = [\"a\", \"a\"]",
            "line 2: pool.x.accounts names \"a\" twice",
        ),
        (
            "[pool.x]\naccounts = [\" \"]",
            "line 2: pool.x.accounts takes a list of texts, not \" \"",
        ),
        (
            "[pool.x.y]\nsize = 1",
            "line 1: unknown table pool.x.y: a pool named \"x.y\" is [pool.\"x.y\"]",
        ),
        (
            "\n[pool.\"-x\"]",
            "line 2: `-x` is no name of a pool: up to 64 letters, digits, `.`, `_` and `-`, of which `.` and `-` do not come first",
        ),
        (
            "[pool]\nhandof = \"never\"",
            "line 2: unknown key pool.handof: did you mean pool.handoff?",
        ),
        (
            "[pool]\nsize = 3",
            "line 2: unknown key pool.size: did you mean size, below [pool.default]?",
        ),
        ("pool = 3", "line 1: pool is a table, [pool], not a number"),
    ];
    for (text, expected) in rows {
        assert_eq!(problems(text), expected, "{text}");
    }
}

#[test]
fn an_edit_keeps_the_tables_of_the_pools() {
    let before = Settings::parse(WHOLE).expect("is right");
    for (key, value) in [
        ("pool.handoff", "auto"),
        ("daemon.autostart", "false"),
        ("env.keep", "ANTHROPIC_API_KEY"),
    ] {
        let text = set(WHOLE, key, value).expect("is set");
        let after = Settings::parse(&text).expect("is right");
        assert_eq!(after.pools.named, before.pools.named, "{key}");
        assert_ne!(after, before, "{key}");
    }
    let error = set(WHOLE, "pool.default.size", "3").expect_err("is refused");
    let expected = "cannot add pool.default.size to the file: write it there by hand";
    assert_eq!(error.to_string(), expected);
    let error = set(WHOLE, "pool.default.sise", "3").expect_err("is refused");
    assert!(error.to_string().starts_with("unknown key"), "{error}");
    let implied = set("[pool.x]\nsize = 2\n", "pool.handoff", "never").expect("is set");
    let settings = Settings::parse(&implied).expect("is right").pool("x");
    assert_eq!((settings.size, settings.handoff), (Some(2), Handoff::Never));
}

#[test]
fn what_a_table_says_is_written_as_it_was_read() {
    let settings = Settings::parse(WHOLE).expect("is right");
    let mut text = String::from("[pool]\nhandoff = \"never\"\nallow_extra_usage = true\n");
    for (name, table) in &settings.pools.named {
        text.push_str(&format!("[pool.\"{name}\"]\n"));
        for (key, value) in table.written() {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    assert_eq!(Settings::parse(&text), Ok(settings.clone()), "{text}");
    let whole = settings.pools.named["default"].written();
    assert_eq!(whole.len(), POOL_KEYS.len());
}

#[test]
fn the_example_is_right_and_documented() {
    let text = commented_default();
    let pool = text.split("# [pool.default]").nth(1).expect("is there");
    let pool = pool.split("\n\n").next().unwrap_or_default();
    let table: String = pool
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .map(|line| format!("{line}\n"))
        .collect();
    let settings = Settings::parse(&format!("[pool.default]\n{table}")).expect("is right");
    let example = settings.pool("default");
    assert!(example.autostart && example.size == Some(3) && example.accounts.is_some());
    for key in POOL_KEYS {
        assert!(help().contains(&format!("{} = {}", key.name, key.example)));
        assert!(help().contains(&key.kind.expected()) && !key.explanation.is_empty());
    }
}
