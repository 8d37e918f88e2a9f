//! What a directory is called, and which remotes the git repository around it has. Read from the files themselves: a
//! launch starts no git for that. What is not there or cannot be read tells nothing, and is no error.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

/// The longest configuration of a repository that is read: more than thousands of branches need.
const MAX_CONFIG: u64 = 1 << 20;
/// The longest pointer to a directory of git: a path and some words.
const MAX_POINTER: u64 = 16 << 10;

/// Every name of a directory: as it is given, with its links resolved, and as the shell calls it (`PWD`), where that is the
/// same directory. A directory that is gone has the shell's word alone.
#[must_use]
pub fn names(dir: &Path, called: Option<&Path>) -> Vec<PathBuf> {
    let mut names = forms(dir);
    let is_gone = dir.as_os_str().is_empty();
    let called = called.filter(|c| is_plain(c) && (is_gone || is_same(c, dir)));
    names.extend(called.map(Path::to_owned));
    names.dedup();
    names
}

/// A path as it is written, and with its links resolved.
#[must_use]
pub fn forms(path: &Path) -> Vec<PathBuf> {
    if path.as_os_str().is_empty() {
        return Vec::new();
    }
    let mut forms: Vec<PathBuf> = is_plain(path)
        .then(|| path.to_owned())
        .into_iter()
        .collect();
    let resolved = fs::canonicalize(path).ok();
    forms.extend(resolved.filter(|r| r != path));
    forms
}

/// Whether a path says by its words alone where it leads: behind a link `..` is somewhere else.
fn is_plain(path: &Path) -> bool {
    path.is_absolute() && !path.components().any(|c| c == Component::ParentDir)
}

fn is_same(a: &Path, b: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|m| (m.dev(), m.ino())).ok();
    identity(a).is_some_and(|id| identity(b) == Some(id))
}

/// The URLs of the remotes of the repository that a directory is in: a clone, a worktree or a submodule.
#[must_use]
pub fn remotes(dir: &Path) -> Vec<String> {
    repository(dir)
        .and_then(|git| read(&git.join("config"), MAX_CONFIG))
        .map(|config| urls(&config))
        .unwrap_or_default()
}

/// The directory of git that holds the repository's configuration. As git does, this looks no further up than the file
/// system reaches.
fn repository(dir: &Path) -> Option<PathBuf> {
    let start = fs::canonicalize(dir).ok()?;
    let device = |path: &Path| fs::metadata(path).map(|m| m.dev()).ok();
    let own = device(&start)?;
    start
        .ancestors()
        .take_while(|dir| device(dir) == Some(own))
        .find_map(|dir| git_dir(dir).map(|git| common(&git).unwrap_or(git)))
}

/// What `.git` in this directory is, or leads to.
fn git_dir(dir: &Path) -> Option<PathBuf> {
    let git = dir.join(".git");
    let metadata = fs::metadata(&git).ok()?;
    let git = if metadata.is_dir() {
        git
    } else {
        dir.join(pointer(&git, b"gitdir:")?)
    };
    // An empty directory of that name is none.
    fs::symlink_metadata(git.join("HEAD")).ok().map(|_| git)
}

/// Where a worktree keeps what it shares with the others.
fn common(git: &Path) -> Option<PathBuf> {
    Some(git.join(pointer(&git.join("commondir"), b"")?))
}

fn pointer(file: &Path, prefix: &[u8]) -> Option<PathBuf> {
    let text = read(file, MAX_POINTER)?;
    let path = text.strip_prefix(prefix)?.trim_ascii();
    (!path.is_empty()).then(|| PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

/// The beginning of a file; none of a pipe or device, which could keep us waiting.
fn read(path: &Path, most: u64) -> Option<Vec<u8>> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(most)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// The `url =` lines of `[remote "…"]`.
fn urls(config: &[u8]) -> Vec<String> {
    let mut urls = Vec::new();
    let mut in_remote = false;
    for line in config.split(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(line);
        let mut line = line.trim();
        if let Some((section, rest)) = line.strip_prefix('[').and_then(split_header) {
            let name = section
                .split(['"', '.', ' ', '\t'])
                .next()
                .unwrap_or_default();
            in_remote = name.eq_ignore_ascii_case("remote") && name.len() < section.len();
            line = rest.trim();
        }
        let value = line.split_once('=').filter(|_| in_remote);
        let url = value.filter(|(key, _)| key.trim().eq_ignore_ascii_case("url"));
        urls.extend(url.map(|(_, url)| plain(url)).filter(|url| !url.is_empty()));
    }
    urls
}

/// A section's name, and what comes behind it on its line. A bracket inside quotes does not end it.
fn split_header(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some((text[..at].trim(), &text[at + 1..])),
            _ => {}
        }
    }
    None
}

/// A value without quotes and without the comment behind it.
fn plain(value: &str) -> String {
    let mut plain = String::new();
    let mut quoted = false;
    for c in value.trim().chars() {
        match c {
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => break,
            c => plain.push(c),
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "tests write the files that are read"
)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::symlink;

    const CONFIG: &str = "[core]\n\turl = not-a-remote\n[remote \"origin\"]\n\turl = git@git.example:acme/app.git\n\tpushurl = other\n\tfetch = +refs\n[branch \"main\"]\n\turl = no\n";

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a directory"))
        }

        fn path(&self, name: &str) -> PathBuf {
            fs::canonicalize(self.0.path())
                .expect("is there")
                .join(name)
        }

        fn put(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().expect("has one")).expect("creates");
            fs::write(path, text).expect("writes");
        }

        fn dir(&self, name: &str) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(&path).expect("creates");
            path
        }

        fn repository(&self, name: &str, config: &str) {
            self.put(&format!("{name}/HEAD"), "ref: refs/heads/main\n");
            self.put(&format!("{name}/config"), config);
        }
    }

    #[test]
    fn the_urls_of_remotes_and_of_nothing_else() {
        let rows: [(&str, &[&str]); 10] = [
            (CONFIG, &["git@git.example:acme/app.git"]),
            (
                "[remote \"a\"] url = x/a\n[Remote \"b\"]\nURL=x/b",
                &["x/a", "x/b"],
            ),
            ("[remote \"a\"]\nurl = x\nurl = y\n", &["x", "y"]),
            ("[remote \"a]b\"]\nurl = \"x y\" # why\n", &["x y"]),
            ("[remote \"a\\\"]\"]\nurl = x;y\n", &["x"]),
            ("[remote.a]\nurl = x\n", &["x"]),
            ("[remotes \"a\"]\nurl = x\n[remote]\nurl = y\n", &[]),
            ("# [remote \"a\"]\nurl = x\n", &[]),
            ("[remote \"a\"]\n; url = x\nurl\nurl =\n", &[]),
            ("[remote \"a", &[]),
        ];
        for (config, expected) in rows {
            assert_eq!(urls(config.as_bytes()), expected, "{config}");
        }
    }

    #[test]
    fn a_repository_is_found_from_wherever_one_is_in_it() {
        let tree = Tree::new();
        tree.repository("app/.git", CONFIG);
        tree.dir("app/src/deep");
        // An empty directory is no repository, and a worktree and a submodule have a file.
        tree.dir("app/src/.git");
        tree.repository("app/.git/worktrees/w", "[remote \"no\"]\nurl = no\n");
        tree.put("app/.git/worktrees/w/commondir", "../..\n");
        let gitdir = format!("gitdir: {}\n", tree.path("app/.git/worktrees/w").display());
        tree.put("elsewhere/w/.git", &gitdir);
        tree.dir("elsewhere/w/src");
        tree.repository(
            "app/.git/modules/sub",
            "[remote \"o\"]\nurl = https://git.example/sub\n",
        );
        tree.put("app/sub/.git", "gitdir: ../.git/modules/sub\n");
        tree.put("app/broken/.git", "gitdir: nowhere\n");
        symlink(tree.path("app/src/deep"), tree.path("link")).expect("links");
        let app = "git@git.example:acme/app.git";
        let rows = [
            ("app", Some(app)),
            ("app/src/deep", Some(app)),
            ("app/.git/worktrees", Some(app)),
            ("elsewhere/w/src", Some(app)),
            ("app/sub", Some("https://git.example/sub")),
            ("app/broken", Some(app)),
            ("link", Some(app)),
            ("elsewhere", None),
            ("gone", None),
        ];
        for (dir, expected) in rows {
            let found = remotes(&tree.path(dir));
            assert_eq!(found, Vec::from_iter(expected), "{dir}");
        }
        assert_eq!(remotes(Path::new("")), Vec::<String>::new());
    }

    #[test]
    fn what_cannot_be_read_tells_nothing() {
        let tree = Tree::new();
        tree.put("a/.git/HEAD", "x");
        let pipe = tree.path("a/.git/config");
        let status = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(status.expect("runs").success());
        assert_eq!(remotes(&tree.path("a")), Vec::<String>::new());
        tree.put("b/.git/HEAD", "x");
        symlink(tree.path("b/.git/config"), tree.path("b/.git/config")).expect("links");
        assert_eq!(remotes(&tree.path("b")), Vec::<String>::new());
        tree.put("c/.git", &format!("gitdir: {}", "x/".repeat(10_000)));
        assert_eq!(remotes(&tree.path("c")), Vec::<String>::new());
        let long = format!("{}[remote \"late\"]\nurl = x\n", "# more\n".repeat(200_000));
        tree.repository("d/.git", &long);
        assert_eq!(remotes(&tree.path("d")), Vec::<String>::new());
    }

    #[test]
    fn a_directory_has_the_names_by_which_one_comes_there() {
        let tree = Tree::new();
        let real = tree.dir("real/sub");
        let link = tree.path("link");
        symlink(tree.path("real"), &link).expect("links");
        let by_link = link.join("sub");
        let check = |dir: &Path, called: Option<&Path>, expected: &[&Path]| {
            assert_eq!(names(dir, called), expected, "{dir:?} {called:?}");
        };
        check(&real, None, &[&real]);
        check(&real, Some(&real), &[&real]);
        check(&real, Some(&by_link), &[&real, &by_link]);
        check(&by_link, None, &[&by_link, &real]);
        // A word of an earlier directory, or one that leads elsewhere by `..`, is none.
        check(&real, Some(&tree.path("real")), &[&real]);
        check(&real, Some(&link.join("sub/../sub")), &[&real]);
        check(&real, Some(Path::new("sub")), &[&real]);
        check(&tree.path("real/sub/../sub"), None, &[&real]);
        check(Path::new(""), Some(&by_link), &[&by_link]);
        check(Path::new(""), None, &[]);
        let gone = tree.path("gone");
        check(&gone, None, &[&gone]);
    }

    proptest! {
        #[test]
        fn no_configuration_is_too_much(bytes in prop::collection::vec(any::<u8>(), 0..200), lines in "([\\[\\]\"=;#\\\\a-z \n]|remote|url){0,60}") {
            let _ = urls(&bytes);
            let _ = urls(lines.as_bytes());
        }
    }
}
