//! The environment: read as the kernel gave it, handed on with exactly the specified differences.

use crate::contract::paths::{Base, DEFAULT_HOME_NAME, Home};
use crate::contract::vars;
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The environment of this process: every entry, also those without `=` and those that occur twice.
#[derive(Clone, Debug)]
pub struct Environment {
    entries: Vec<&'static CStr>,
}

/// What a launch changes.
#[derive(Debug)]
pub(super) struct Changed {
    /// The entries to hand on.
    pub(super) entries: Vec<CString>,
    /// Pointers to the entries that stay as they are.
    kept: Vec<*const c_char>,
    /// Names of removed overrides, for the line that says so.
    pub(super) removed: Vec<&'static str>,
}

impl Environment {
    /// Reads the C library's `environ`.
    #[must_use]
    pub fn read() -> Self {
        let mut entries = Vec::new();
        // SAFETY: the launcher has one thread, and nothing changes the environment: the array is null-terminated and
        // its strings live as long as the process.
        unsafe {
            let mut pointer = environ();
            while !pointer.is_null() && !(*pointer).is_null() {
                entries.push(CStr::from_ptr::<'static>(*pointer));
                pointer = pointer.add(1);
            }
        }
        Self { entries }
    }

    #[cfg(test)]
    pub(crate) fn of(entries: &[&[u8]]) -> Self {
        let leak = |bytes: &&[u8]| -> &'static CStr {
            Box::leak(
                CString::new(*bytes)
                    .expect("no NUL inside")
                    .into_boxed_c_str(),
            )
        };
        Self {
            entries: entries.iter().map(leak).collect(),
        }
    }

    /// The value of a variable; the first, where it occurs twice, as getenv(3) has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static OsStr> {
        self.entries
            .iter()
            .find_map(|entry| value_of(entry, name))
            .map(OsStr::from_bytes)
    }

    /// The value where it is text and not empty.
    #[must_use]
    pub fn get_text(&self, name: &str) -> Option<&'static str> {
        self.get(name)
            .and_then(OsStr::to_str)
            .filter(|v| !v.is_empty())
    }

    /// The person's home directory: `HOME`, else what the account database says.
    #[must_use]
    pub fn user_home(&self) -> Option<PathBuf> {
        let variable = self
            .get("HOME")
            .map(PathBuf::from)
            .filter(|p| p.is_absolute());
        variable.or_else(super::child::home_from_user_database)
    }

    /// `CCP_HOME`, else `~/.cc-pool`. An error is a text for stderr.
    pub fn ccp_home(&self, user_home: Option<&Path>) -> Result<Home, String> {
        match self.get(vars::CCP_HOME).filter(|v| !v.is_empty()) {
            Some(path) => Home::new(Path::new(path))
                .ok_or_else(|| format!("CCP_HOME is not an absolute path: {}", path.display())),
            None => user_home
                .and_then(|home| Home::new(&home.join(DEFAULT_HOME_NAME)))
                .ok_or_else(|| "cannot tell your home directory: HOME is not set".to_owned()),
        }
    }

    /// Pointers to every entry, with the terminating null.
    #[must_use]
    pub(super) fn all(&self) -> Vec<*const c_char> {
        self.entries
            .iter()
            .map(|e| e.as_ptr())
            .chain([std::ptr::null()])
            .collect()
    }

    /// The environment of claude under an account: exactly one `CLAUDE_CONFIG_DIR`, the plugin store of the base unless
    /// the person set one, and none of the overrides that are not in `keep`.
    pub(super) fn for_claude(&self, account_dir: &Path, base: &Base, keep: &[String]) -> Changed {
        let mut kept = Vec::with_capacity(self.entries.len() + 3);
        let mut removed = Vec::new();
        let mut has_plugin_dir = false;
        for entry in &self.entries {
            if value_of(entry, vars::CLAUDE_CONFIG_DIR).is_some() {
                continue;
            }
            let overriding = vars::OVERRIDES
                .iter()
                .find(|name| value_of(entry, name).is_some());
            if let Some(name) = overriding.filter(|name| !keep.iter().any(|k| k == *name)) {
                removed.push(*name);
                continue;
            }
            match value_of(entry, vars::PLUGIN_CACHE_DIR) {
                Some([]) => continue,
                Some(_) => has_plugin_dir = true,
                None => {}
            }
            kept.push(entry.as_ptr());
        }
        let mut entries = vec![assignment(vars::CLAUDE_CONFIG_DIR, account_dir)];
        if !has_plugin_dir {
            entries.push(assignment(vars::PLUGIN_CACHE_DIR, &base.plugins()));
        }
        Changed {
            entries,
            kept,
            removed,
        }
    }
}

impl Changed {
    /// Pointers for `execve`, with the terminating null. They live as long as `self` and the process.
    pub(super) fn pointers(&self) -> Vec<*const c_char> {
        let added = self.entries.iter().map(|e| e.as_ptr());
        self.kept
            .iter()
            .copied()
            .chain(added)
            .chain([std::ptr::null()])
            .collect()
    }

    #[cfg(test)]
    fn texts(&self) -> Vec<String> {
        let all = self.pointers();
        let strings = all[..all.len() - 1].iter();
        // SAFETY: every pointer but the last is of a C string that `self` or the process holds.
        strings
            .map(|p| unsafe { CStr::from_ptr(*p) }.to_string_lossy().into_owned())
            .collect()
    }
}

fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry
        .to_bytes()
        .strip_prefix(name.as_bytes())?
        .strip_prefix(b"=")
}

fn assignment(name: &str, path: &Path) -> CString {
    let mut bytes = Vec::from(name.as_bytes());
    bytes.push(b'=');
    bytes.extend_from_slice(path.as_os_str().as_bytes());
    CString::new(bytes).expect("a path from the system or from our own files holds no NUL")
}

/// # Safety
/// Nothing may change the environment while what this points to is read.
#[cfg(target_os = "macos")]
unsafe fn environ() -> *const *const c_char {
    // SAFETY: the function is always there and returns the address of the process's `environ`.
    unsafe { *libc::_NSGetEnviron() }
        .cast::<*const c_char>()
        .cast_const()
}

/// # Safety
/// Nothing may change the environment while what this points to is read.
#[cfg(not(target_os = "macos"))]
unsafe fn environ() -> *const *const c_char {
    // SAFETY: every C library on these platforms has this variable, of this type (environ(7)).
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: the C library initialises it before `main`.
    unsafe { environ }
}

/// Remarks on variables that stay but that the person should know of.
pub(super) fn remarks(environment: &Environment, home: &Home, base: &Base) -> Vec<String> {
    let value = |name| environment.get(name).filter(|v| !v.is_empty());
    let elsewhere = |dir: &&Path| *dir != base.dir && !home.holds_account_dir(dir);
    let dir = value(vars::CLAUDE_CONFIG_DIR)
        .map(Path::new)
        .filter(elsewhere)
        .map(|dir| {
            let (dir, base) = (dir.display(), base.dir.display());
            format!("note: CLAUDE_CONFIG_DIR={dir} is not used; the accounts present {base}")
        });
    let foreign = |url: &&OsStr| {
        url.to_str().map(|u| u.trim_end_matches('/')) != Some(vars::FIRST_PARTY_BASE_URL)
    };
    let url = value(vars::ANTHROPIC_BASE_URL).filter(foreign);
    let url = url.map(|u| {
        format!(
            "note: ANTHROPIC_BASE_URL sends this account's token to {}",
            u.display()
        )
    });
    dir.into_iter().chain(url).collect()
}

/// The line about removed overrides.
pub(super) fn removal_line(removed: &[&str]) -> Option<String> {
    (!removed.is_empty()).then(|| {
        format!(
            "note: {} would bypass this account's login and is not passed on ([env] keep leaves it)",
            removed.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_claude(entries: &[&[u8]], keep: &[&str]) -> (Vec<String>, Vec<&'static str>) {
        let base = Base::default_in(Path::new("/u"));
        let keep: Vec<String> = keep.iter().map(|k| (*k).to_owned()).collect();
        let changed =
            Environment::of(entries).for_claude(Path::new("/h/accounts/acct-01"), &base, &keep);
        (changed.texts(), changed.removed)
    }

    const DIR: &str = "CLAUDE_CONFIG_DIR=/h/accounts/acct-01";
    const PLUGINS: &str = "CLAUDE_CODE_PLUGIN_CACHE_DIR=/u/.claude/plugins";

    #[test]
    fn the_difference_is_exactly_the_specified_one() {
        let (entries, removed) = for_claude(&[b"A=1", b"no equals sign", b"A=2", b"B="], &[]);
        assert_eq!(
            entries,
            ["A=1", "no equals sign", "A=2", "B=", DIR, PLUGINS]
        );
        assert!(removed.is_empty());
    }

    #[test]
    fn one_config_dir_however_many_there_were() {
        let (entries, _) = for_claude(
            &[
                b"CLAUDE_CONFIG_DIR=/x",
                b"CLAUDE_CONFIG_DIR=/y",
                b"CLAUDE_CONFIG_DIRS=z",
            ],
            &[],
        );
        assert_eq!(entries, ["CLAUDE_CONFIG_DIRS=z", DIR, PLUGINS]);
    }

    #[test]
    fn a_plugin_directory_of_the_persons_own_stays_and_an_empty_one_does_not_count() {
        let (entries, _) = for_claude(&[b"CLAUDE_CODE_PLUGIN_CACHE_DIR=/mine"], &[]);
        assert_eq!(entries, ["CLAUDE_CODE_PLUGIN_CACHE_DIR=/mine", DIR]);
        let (entries, _) = for_claude(&[b"CLAUDE_CODE_PLUGIN_CACHE_DIR="], &[]);
        assert_eq!(entries, [DIR, PLUGINS]);
    }

    #[test]
    fn overrides_go_unless_they_are_kept() {
        for name in vars::OVERRIDES {
            let entry = format!("{name}=secret");
            let (entries, removed) = for_claude(&[entry.as_bytes()], &[]);
            assert_eq!(
                (entries, removed),
                (vec![DIR.to_owned(), PLUGINS.to_owned()], vec![*name])
            );
            let (entries, removed) = for_claude(&[entry.as_bytes()], &[name]);
            assert_eq!(
                (entries, removed),
                (vec![entry, DIR.to_owned(), PLUGINS.to_owned()], vec![])
            );
        }
    }

    #[test]
    fn home_is_told_by_variables() {
        let home = |entries: &[&[u8]], user: Option<&str>| {
            Environment::of(entries)
                .ccp_home(user.map(Path::new))
                .map(|h| h.path().to_owned())
        };
        assert_eq!(home(&[b"CCP_HOME=/x/"], None), Ok(PathBuf::from("/x")));
        assert_eq!(home(&[], Some("/u")), Ok(PathBuf::from("/u/.cc-pool")));
        assert_eq!(
            home(&[b"CCP_HOME="], Some("/u")),
            Ok(PathBuf::from("/u/.cc-pool"))
        );
        assert!(home(&[b"CCP_HOME=x"], Some("/u")).is_err());
        assert!(home(&[], None).is_err());
    }

    #[test]
    fn remarks_are_made_on_what_surprises() {
        let home = Home::new(Path::new("/h")).expect("absolute");
        let base = Base::default_in(Path::new("/u"));
        let count = |entries: &[&[u8]]| remarks(&Environment::of(entries), &home, &base).len();
        assert_eq!(count(&[b"CLAUDE_CONFIG_DIR=/elsewhere"]), 1);
        assert_eq!(count(&[b"CLAUDE_CONFIG_DIR=/h/accounts/acct-02"]), 0);
        assert_eq!(count(&[b"CLAUDE_CONFIG_DIR=/u/.claude"]), 0);
        assert_eq!(count(&[b"ANTHROPIC_BASE_URL=http://127.0.0.1:1"]), 1);
        assert_eq!(
            count(&[b"ANTHROPIC_BASE_URL=https://api.anthropic.com/"]),
            0
        );
    }
}
