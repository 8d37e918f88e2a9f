use super::super::context::{Context, Environment};
use super::*;
use crate::core::time::Timestamp;
use tempfile::TempDir;

fn home() -> (TempDir, Context) {
    let dir = tempfile::tempdir().expect("a directory");
    let environment = Environment {
        ccp_home: None,
        user_home: Some(dir.path().to_owned()),
    };
    let context = Context::new(&environment, Timestamp::from_unix_ms(0)).expect("a context");
    (dir, context)
}

fn skill(context: &Context) -> PathBuf {
    context.user_home.join(".claude/skills/claude-pool")
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("has one")).expect("makes");
    files::replace(path, text.as_bytes(), MODE).expect("writes");
}

#[test]
fn what_is_installed_comes_out_again() {
    let (_dir, context) = home();
    let mine = context.user_home.join(".claude/skills/mine/SKILL.md");
    put(&mine, "mine");
    for _ in 0..2 {
        assert_eq!(install(&context, false), Ok(exit::OK));
        for (name, text) in FILES {
            let found = read(&skill(&context).join(name)).expect("is there");
            assert!(
                found.starts_with(text) && found.ends_with(" -->\n"),
                "{found}"
            );
        }
    }
    for _ in 0..2 {
        assert_eq!(uninstall(&context), Ok(exit::OK));
        assert!(!skill(&context).exists());
    }
    assert_eq!(read(&mine).as_deref(), Some("mine"));
}

#[test]
fn what_was_changed_stays_and_what_is_older_is_replaced() {
    let (_dir, context) = home();
    let (main, debug) = (
        skill(&context).join("SKILL.md"),
        skill(&context).join("debug.md"),
    );
    put(&main, &marked("an older text\n"));
    put(
        &debug,
        &marked("an older text\n").replace("older", "changed"),
    );
    let changed = read(&debug);
    assert_eq!(install(&context, false), Ok(exit::OK));
    assert_eq!(read(&main), Some(marked(FILES[0].1)));
    assert_eq!(read(&debug), changed);
    assert_eq!(uninstall(&context), Ok(exit::OK));
    assert!(!main.exists());
    assert_eq!(read(&debug), changed);
}

#[test]
fn what_is_somebody_elses_is_never_written_to() {
    let (_dir, context) = home();
    let theirs = context.user_home.join("dotfiles");
    fs::create_dir_all(&theirs).expect("makes");
    fs::create_dir_all(skill(&context).parent().expect("has one")).expect("makes");
    std::os::unix::fs::symlink(&theirs, skill(&context)).expect("links");
    let failure = install(&context, false).expect_err("is refused");
    assert!(failure.error.contains("not ccp's"), "{failure:?}");
    put(&theirs.join("SKILL.md"), &marked(FILES[0].1));
    assert_eq!(uninstall(&context), Ok(exit::OK));
    assert!(theirs.join("SKILL.md").exists());
}

#[test]
fn the_base_of_the_settings_is_the_one_that_gets_it() {
    let (_dir, context) = home();
    let base = context.user_home.join("elsewhere");
    fs::create_dir_all(&base).expect("makes");
    let text = format!("[overlay]\nbase = {:?}\n", base.display().to_string());
    put(&context.home.config(), &text);
    assert_eq!(install(&context, false), Ok(exit::OK));
    assert!(base.join("skills/claude-pool/SKILL.md").exists());
    assert!(!context.user_home.join(".claude").exists());
}

/// The words of a shell line, quotes taken off.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (number, part) in line.split(['"', '\'']).enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

#[test]
fn the_commands_of_the_skill_are_understood() {
    use super::super::pool::arguments::PoolCommandLine;
    use clap::{CommandFactory as _, Parser as _};
    let command = PoolCommandLine::command();
    let mut lines = 0;
    for (name, text) in FILES {
        let blocks = text.split("```").skip(1).step_by(2);
        for line in blocks.flat_map(str::lines) {
            let Some(rest) = line.strip_prefix("ccp pool ") else {
                continue;
            };
            let rest = rest.split(['#', '|']).next().unwrap_or_default();
            let rest = rest
                .replace("SESSION", "0b5f")
                .replace("--slot N", "--slot 0");
            let parsed =
                PoolCommandLine::try_parse_from([vec!["x".to_owned()], words(&rest)].concat());
            assert!(
                parsed.is_ok(),
                "{name}: {line}: {}",
                parsed.expect_err("is wrong")
            );
            lines += 1;
        }
        for rest in text.split("`ccp pool ").skip(1) {
            let word = rest.split(|c: char| !c.is_ascii_lowercase()).next();
            if let Some(word) = word.filter(|word| !word.is_empty()) {
                assert!(command.find_subcommand(word).is_some(), "{name}: {word}");
            }
        }
    }
    assert!(lines > 20, "{lines}");
    let main = FILES[0].1;
    assert!(main.starts_with("---\nname: claude-pool\ndescription: "));
    assert!(main.lines().count() < 100);
}
