//! `ccp alias`: one marked line in a shell's start-up file makes `claude` mean `ccp run`. The line does nothing when ccp
//! is gone, comes out again without a trace, and never takes the place of an alias or function that a person made.

use super::arguments::AliasAction;
use super::failure::{Failure, Outcome};
use super::prompt::Prompt;
use crate::adapters::shells::{self, Place, read};
use crate::contract::exit;
use crate::core::alias::{self as rc, Edit, Own};
use std::env;
use std::fs;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The mode of a start-up file that did not exist.
const NEW_RC: u32 = 0o644;

/// What was done about one shell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Done {
    Installed,
    Already,
    Declined,
    /// Not possible; why, as a sentence about the file.
    Impossible(String),
}

/// Runs `ccp alias ACTION`.
pub fn run(action: AliasAction, user_home: &Path) -> Outcome {
    match action {
        AliasAction::Install => {
            let mut prompt = Prompt::open();
            install(&places(user_home), user_home, prompt.as_mut())
        }
        AliasAction::Remove => remove(&every_place(user_home)),
        AliasAction::Show => show(&places(user_home)),
    }
}

/// Whether `claude` means something of the person's own, or ccp already, in every shell there is: then nothing is to be
/// offered.
#[must_use]
pub fn is_settled(user_home: &Path) -> bool {
    places(user_home).iter().all(|place| {
        let text = read(&place.path).unwrap_or_default();
        rc::has_line(&text) || rc::own_meaning(&text).is_some()
    })
}

/// Installs the line for every shell of the person.
pub fn install_everywhere(user_home: &Path, prompt: Option<&mut Prompt>) -> Outcome {
    install(&places(user_home), user_home, prompt)
}

fn install(places: &[Place], user_home: &Path, mut prompt: Option<&mut Prompt>) -> Outcome {
    let mut code = exit::OK;
    if places.is_empty() {
        return Err(
            Failure::new("no start-up file of zsh, bash or fish was found").hint(
                "set SHELL to one of these, or define the alias yourself: claude is `ccp run`",
            ),
        );
    }
    for place in places {
        let name = place.path.display();
        match install_one(place, user_home, prompt.as_deref_mut())? {
            Done::Installed => {
                eprintln!(
                    "{name}: `claude` now means `ccp run` in new {} sessions",
                    place.shell.name()
                );
            }
            Done::Already => eprintln!("{name}: the line is there already"),
            Done::Declined => eprintln!("{name}: left as it is"),
            Done::Impossible(why) => {
                code = exit::FAILURE;
                eprintln!("{name}: {why}");
                eprintln!("put this line there yourself:");
                print(&place.shell.line(None))?;
            }
        }
    }
    Ok(code)
}

fn install_one(
    place: &Place,
    user_home: &Path,
    prompt: Option<&mut Prompt>,
) -> Result<Done, Failure> {
    let text = match read(&place.path) {
        Ok(text) => text,
        Err(error) => return Ok(Done::Impossible(format!("cannot be read ({error})"))),
    };
    let mut wrapped = None;
    match rc::own_meaning(&text) {
        _ if rc::has_line(&text) => return Ok(Done::Already),
        None => {}
        Some(Own::Path(line, path)) => {
            let question = format!(
                "{} says `{line}`. Let `claude` mean ccp with that claude?",
                place.path.display()
            );
            let Some(prompt) = prompt else {
                let why = format!("has an alias of its own, `{line}`, which is left alone");
                return Ok(Done::Impossible(why));
            };
            if !prompt.confirm(&question, true)? {
                return Ok(Done::Declined);
            }
            wrapped = Some(rc::expand(&path, user_home));
        }
        Some(Own::Other(line)) => {
            let why = format!("has a `claude` of its own, `{line}`, which is left alone");
            return Ok(Done::Impossible(why));
        }
    }
    let line = place.shell.line(wrapped.as_deref());
    Ok(match write(&place.path, &rc::with_line(&text, &line)) {
        Ok(()) => Done::Installed,
        Err(why) => Done::Impossible(why),
    })
}

fn remove(places: &[Place]) -> Outcome {
    let mut code = exit::OK;
    for place in places {
        let name = place.path.display();
        let Ok(text) = read(&place.path) else {
            continue;
        };
        match rc::without_line(&text) {
            Edit::Unchanged => {}
            Edit::Changed(text) => match write(&place.path, &text) {
                Ok(()) => eprintln!("{name}: the line is gone"),
                Err(why) => {
                    code = exit::FAILURE;
                    eprintln!(
                        "{name}: {why}; take the line that ends in `{}` out",
                        rc::MARK
                    );
                }
            },
        }
    }
    Ok(code)
}

fn show(places: &[Place]) -> Outcome {
    for place in places {
        print(&format!(
            "# {}\n{}",
            place.path.display(),
            place.shell.line(None)
        ))?;
    }
    Ok(exit::OK)
}

fn print(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(|e| Failure::new(format!("cannot print: {e}")))
}

/// The start-up files of the person's shells: those that exist, and that of the login shell in any case.
fn places(user_home: &Path) -> Vec<Place> {
    shells::places(user_home, |name| env::var_os(name))
}

fn every_place(user_home: &Path) -> Vec<Place> {
    shells::every_place(user_home, |name| env::var_os(name))
}

/// Replaces the file that `path` leads to, its mode kept. An error is a sentence about the file.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let fail = |error: io::Error| format!("cannot be written ({error})");
    let is_link = fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
    let (target, mode) = match fs::canonicalize(path) {
        Ok(target) => {
            let permissions = fs::metadata(&target).map_err(fail)?.permissions();
            if permissions.readonly() {
                return Err("is read-only".to_owned());
            }
            (target, permissions.mode() & 0o7777)
        }
        Err(_) if is_link => return Err("is a link that leads nowhere".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(fail)?;
            }
            (path.to_owned(), NEW_RC)
        }
        Err(error) => return Err(fail(error)),
    };
    crate::adapters::files::replace(&target, text.as_bytes(), mode).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::alias::Shell;
    use std::os::unix::fs::symlink;

    fn place(dir: &Path, shell: Shell) -> Place {
        Place {
            shell,
            path: dir.join("rc"),
        }
    }

    fn put(path: &Path, text: &str, mode: u32) {
        crate::adapters::files::replace(path, text.as_bytes(), mode).expect("writes");
    }

    #[test]
    fn the_line_goes_in_once_and_out_without_a_trace() {
        for shell in [Shell::Zsh, Shell::Bash, Shell::Fish] {
            let dir = tempfile::tempdir().expect("a directory");
            let place = place(dir.path(), shell);
            put(&place.path, "before\n", 0o640);
            let install = || install_one(&place, dir.path(), None).expect("nobody is asked");
            assert_eq!(install(), Done::Installed);
            let once = fs::read_to_string(&place.path).expect("reads");
            assert_eq!(install(), Done::Already);
            assert_eq!(fs::read_to_string(&place.path).expect("reads"), once);
            let mode = fs::metadata(&place.path)
                .expect("is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o640);
            assert_eq!(remove(std::slice::from_ref(&place)), Ok(exit::OK));
            assert_eq!(fs::read_to_string(&place.path).expect("reads"), "before\n");
            assert_eq!(remove(&[place]), Ok(exit::OK), "a second time is no error");
        }
    }

    #[test]
    fn a_file_is_edited_through_links_and_made_when_missing() {
        let dir = tempfile::tempdir().expect("a directory");
        let real = dir.path().join("dotfiles");
        put(&real, "x\n", 0o600);
        let place = place(dir.path(), Shell::Bash);
        symlink(&real, &place.path).expect("links");
        assert_eq!(install_one(&place, dir.path(), None), Ok(Done::Installed));
        assert!(
            fs::symlink_metadata(&place.path)
                .expect("is there")
                .is_symlink()
        );
        assert!(rc::has_line(&fs::read_to_string(&real).expect("reads")));

        let missing = Place {
            shell: Shell::Fish,
            path: dir.path().join("deep/er/config.fish"),
        };
        assert_eq!(install_one(&missing, dir.path(), None), Ok(Done::Installed));
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = place(dir.path(), Shell::Zsh);
        put(&place.path, "x\n", 0o444);
        let read_only = Done::Impossible("is read-only".to_owned());
        assert_eq!(install_one(&place, dir.path(), None), Ok(read_only));
        assert_eq!(fs::read_to_string(&place.path).expect("reads"), "x\n");
        fs::remove_file(&place.path).expect("removes");
        symlink("/nowhere/at/all", &place.path).expect("links");
        assert!(matches!(
            install_one(&place, dir.path(), None),
            Ok(Done::Impossible(_))
        ));
    }

    #[test]
    fn a_claude_of_the_persons_own_is_never_replaced() {
        for own in [
            "alias claude='docker run claude'\n",
            "claude() { echo hi; }\n",
            "alias claude=/usr/local/bin/claude\n",
        ] {
            let dir = tempfile::tempdir().expect("a directory");
            let place = place(dir.path(), Shell::Bash);
            put(&place.path, own, 0o644);
            assert!(matches!(
                install_one(&place, dir.path(), None),
                Ok(Done::Impossible(_))
            ));
            assert_eq!(fs::read_to_string(&place.path).expect("reads"), own);
        }
    }
}
