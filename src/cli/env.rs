//! `ccp env`: the variables of a launch, for a shell or a program that starts claude itself.

mod syntax;

use super::arguments::{Env, EnvShell};
use super::context::Context;
use super::failure::{Failure, Outcome};
use super::reserve::{self, Wanted};
use crate::contract::{exit, vars};
use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use syntax::Change;

/// Runs `ccp env`.
pub fn run(context: &Context, arguments: &Env) -> Outcome {
    let shell = arguments
        .shell
        .unwrap_or_else(|| shell_of(env::var_os("SHELL").as_deref()));
    let wanted = Wanted {
        account: arguments.account.as_deref(),
        command: "env",
    };
    let (roster, claimed) = reserve::take(context, &wanted)?;
    let snapshot = &roster.snapshot;
    let changes = changes(
        &claimed.account.dir,
        &snapshot.base().plugins(),
        &snapshot.keep_env,
        |name| env::var_os(name),
    );
    let text = match syntax::write(&changes, shell) {
        Ok(text) => text,
        Err(problem) => {
            crate::claim::release(&context.home, &claimed);
            return Err(Failure::new(problem).hint("`--shell bash` can express every path"));
        }
    };
    reserve::announce(&roster, &claimed, context.now);
    io::stdout()
        .write_all(&text)
        .map_err(|e| Failure::new(format!("cannot print the variables: {e}")))?;
    Ok(exit::OK)
}

/// A path for a POSIX shell, as text to show: in quotes always, or only where it needs them.
#[must_use]
pub fn quote(path: &Path, always: bool) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let bytes = path.as_os_str().as_bytes();
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"/._-+@:".contains(b);
    if !always && !bytes.is_empty() && bytes.iter().all(plain) {
        return path.display().to_string();
    }
    String::from_utf8_lossy(&syntax::posix(bytes)).into_owned()
}

/// What has to be set and unset, given what is set now.
fn changes(
    account_dir: &Path,
    plugins: &Path,
    keep: &[String],
    present: impl Fn(&str) -> Option<OsString>,
) -> Vec<Change> {
    let set = |name, value: &Path| Change {
        name,
        value: Some(value.as_os_str().to_owned()),
    };
    let is_set = |name: &str| present(name).is_some_and(|v| !v.is_empty());
    let mut changes = vec![set(vars::CLAUDE_CONFIG_DIR, account_dir)];
    let own_plugins = is_set(vars::PLUGIN_CACHE_DIR);
    if !own_plugins {
        changes.push(set(vars::PLUGIN_CACHE_DIR, plugins));
    }
    let overriding = vars::OVERRIDES
        .iter()
        .filter(|name| present(name).is_some() && !keep.iter().any(|k| k == *name));
    changes.extend(overriding.map(|name| Change { name, value: None }));
    changes
}

/// The syntax of the person's shell. What is not known is taken for a POSIX shell.
fn shell_of(path: Option<&OsStr>) -> EnvShell {
    let name = path.and_then(|p| Path::new(p).file_name()?.to_str());
    match name {
        Some("zsh") => EnvShell::Zsh,
        Some("fish") => EnvShell::Fish,
        Some("nu") => EnvShell::Nu,
        _ => EnvShell::Bash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_and_unset() {
        let names = |present: &[(&str, &str)], keep: &[&str]| -> Vec<String> {
            let keep: Vec<String> = keep.iter().map(|k| (*k).to_owned()).collect();
            let find = |name: &str| {
                let found = present.iter().find(|(n, _)| *n == name);
                found.map(|(_, v)| OsString::from(v))
            };
            let (dir, plugins) = (Path::new("/a"), Path::new("/b/plugins"));
            changes(dir, plugins, &keep, find)
                .into_iter()
                .map(|c| match c.value {
                    Some(value) => format!("{}={}", c.name, value.display()),
                    None => format!("-{}", c.name),
                })
                .collect()
        };
        let dir = "CLAUDE_CONFIG_DIR=/a";
        let plugins = "CLAUDE_CODE_PLUGIN_CACHE_DIR=/b/plugins";
        assert_eq!(names(&[], &[]), [dir, plugins]);
        assert_eq!(
            names(&[("CLAUDE_CODE_PLUGIN_CACHE_DIR", "/own")], &[]),
            [dir]
        );
        let key = [("ANTHROPIC_API_KEY", "")];
        assert_eq!(names(&key, &[]), [dir, plugins, "-ANTHROPIC_API_KEY"]);
        assert_eq!(names(&key, &["ANTHROPIC_API_KEY"]), [dir, plugins]);
    }

    #[test]
    fn the_shell_is_told_by_its_name() {
        let check = |path: &str| shell_of(Some(OsStr::new(path)));
        assert_eq!(check("/usr/bin/fish"), EnvShell::Fish);
        assert_eq!(check("zsh"), EnvShell::Zsh);
        assert_eq!(check("/opt/nu"), EnvShell::Nu);
        assert_eq!(check("/bin/dash"), EnvShell::Bash);
        assert_eq!(shell_of(None), EnvShell::Bash);
    }
}
