//! `ccp continue`: the last conversation of this directory goes on under the account that selection picks. Which
//! conversation is decided here; the launcher does the rest, as for `ccp run --resume ID`.
//!
//! Nothing in claude keeps two processes from writing to one conversation, so that one that is open is refused.

mod conversations;
mod limit;

use super::context::Context;
use super::failure::Failure;
use super::prompt::{Prompt, nobody_to_ask};
use crate::adapters::registry::Registry;
use crate::adapters::transcripts::Listed;
use crate::contract::paths::Home;
use crate::daemon::roster;
use conversations::{Conversation, newest};
use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// From so many conversations a person chooses at most.
const MOST_SHOWN: usize = 10;

/// What the launcher is to run, where this command line is of `ccp continue`; none where it is of another command, or asks
/// for help. Arguments are passed on byte for byte, which a parser would not do.
pub fn words(
    arguments: impl IntoIterator<Item = OsString>,
) -> Option<Result<Vec<CString>, Failure>> {
    let (pick, rest) = read(arguments)?;
    Some(prepare(pick, rest))
}

/// Whether a person chooses, and claude's own arguments.
fn read(arguments: impl IntoIterator<Item = OsString>) -> Option<(bool, Vec<OsString>)> {
    let mut words = arguments.into_iter();
    let program = PathBuf::from(words.next()?);
    let is_pool = program
        .file_name()
        .is_some_and(|name| name.as_bytes().starts_with(b"claude-pool"));
    if is_pool || words.next()? != "continue" {
        return None;
    }
    let mut rest: Vec<OsString> = words.collect();
    match rest.first().and_then(|word| word.to_str()) {
        Some("-h" | "--help") => None,
        Some("--pick") => {
            rest.remove(0);
            Some((true, rest))
        }
        _ => Some((false, rest)),
    }
}

fn prepare(pick: bool, rest: Vec<OsString>) -> Result<Vec<CString>, Failure> {
    let context = Context::of_process()?;
    let base = context.base()?.dir;
    let cwd = std::env::current_dir()
        .map_err(|e| Failure::new(format!("cannot tell the current directory: {e}")))?;
    let conversation = if pick {
        choose(&context, &base, &cwd)?
    } else {
        let found = newest(&base, &cwd, 1)?;
        found.into_iter().next().ok_or_else(|| nothing(&cwd))?
    };
    must_be_closed(&context.home, &base, &conversation.file)?;
    limit::note(&context, &conversation.file);
    // Older clients find a conversation only from where it began.
    if conversation.cwd != cwd {
        let dir = &conversation.cwd;
        std::env::set_current_dir(dir).map_err(|e| {
            Failure::new(format!(
                "cannot go to {}, where it began: {e}",
                dir.display()
            ))
        })?;
    }
    let own = ["ccp", "run", "--resume", conversation.file.session.as_str()];
    let words = own.into_iter().map(OsString::from).chain(rest);
    // No argument of a process has a zero in it.
    Ok(words
        .filter_map(|w| CString::new(w.into_vec()).ok())
        .collect())
}

fn nothing(cwd: &Path) -> Failure {
    Failure::new(format!("there is no conversation in {}", cwd.display()))
        .hint("`ccp run` begins one; each directory has its own")
}

fn choose(context: &Context, base: &Path, cwd: &Path) -> Result<Conversation, Failure> {
    let mut prompt = Prompt::open().ok_or_else(|| {
        nobody_to_ask(
            "--pick lets you choose a conversation",
            "`ccp continue` takes the last one",
        )
    })?;
    let mut found = newest(base, cwd, MOST_SHOWN)?;
    if found.is_empty() {
        return Err(nothing(cwd));
    }
    let lines: Vec<String> = found.iter().map(|c| c.line(context.now)).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let index = prompt.choose("Go on with which conversation?", &lines)?;
    Ok(found.swap_remove(index))
}

/// Nobody else may be writing to it: no process under the base or under any account.
fn must_be_closed(home: &Home, base: &Path, file: &Listed) -> Result<(), Failure> {
    let on_disk = roster::numbers_on_disk(home)
        .map_err(|e| Failure::new(format!("cannot read the accounts: {e}")))?;
    let accounts = on_disk.into_iter().map(|id| home.account(id));
    let mut dirs = std::iter::once(base.to_owned()).chain(accounts);
    let holder = dirs.find_map(|dir| Registry::of(&dir).writers(&file.session).first().copied());
    match holder {
        None => Ok(()),
        Some(pid) => Err(
            Failure::new(format!("session is open elsewhere (pid {pid})"))
                .hint("end it there, or `ccp continue --pick` chooses another conversation"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &[&str], expected: Option<(bool, &[&str])>) {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let expected = expected.map(|(pick, rest)| (pick, words(rest)));
        assert_eq!(read(words(line)), expected, "{line:?}");
    }

    #[test]
    fn the_first_words_are_ours_and_the_rest_is_claudes() {
        check(&["ccpd", "continue"], Some((false, &[])));
        check(&["/x/ccp", "continue", "--pick"], Some((true, &[])));
        check(
            &["ccp", "continue", "--pick", "-p", "hi"],
            Some((true, &["-p", "hi"])),
        );
        check(
            &["ccp", "continue", "-p", "--pick"],
            Some((false, &["-p", "--pick"])),
        );
        check(&["ccp", "continue", "--", "x"], Some((false, &["--", "x"])));
        check(&["ccp", "continue", "--help"], None);
        check(&["ccp", "run", "continue"], None);
        check(&["claude-pool-cli", "continue"], None);
        check(&["ccp"], None);
    }
}
