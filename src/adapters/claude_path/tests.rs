//! Every place a claude can be in, and everything that only looks like one.

#![expect(clippy::disallowed_methods, reason = "tests build files to be found")]

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

/// A directory in which rows build what they need: `real/`, `own/ccp`, `own/ccpd`.
struct Place {
    dir: tempfile::TempDir,
    own: Vec<PathBuf>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let own = vec![dir.path().join("own/ccp"), dir.path().join("own/ccpd")];
        let place = Self { dir, own };
        place.file("own/ccp", 0o755, "ccp itself");
        place.file("own/ccpd", 0o755, "ccpd itself");
        place
    }

    fn at(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn file(&self, relative: &str, mode: u32, text: &str) {
        let path = self.at(relative);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("creates");
        fs::write(&path, text).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("sets the mode");
    }

    fn link(&self, target: &str, relative: &str) {
        let path = self.at(relative);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("creates");
        symlink(target, path).expect("links");
    }

    /// Looks in `path` (relative to the place), with everything else set up and nothing forced.
    fn find_in(&self, path: &OsStr) -> Result<PathBuf, NotFound> {
        let home = self.at("home");
        let prefix = self.at("prefix");
        find_with(
            &Search {
                forced: None,
                path: Some(path),
                cwd: self.dir.path(),
                user_home: Some(&home),
                npm_prefixes: &[prefix.as_os_str()],
                own: &self.own,
                skip: &[],
            },
            &[],
        )
    }

    /// What was found, relative to the place; or what was refused and why.
    fn shown(&self, path: &OsStr) -> String {
        let relative = |p: &Path| {
            let p = p.strip_prefix(self.dir.path()).unwrap_or(p);
            p.to_string_lossy().into_owned()
        };
        match self.find_in(path) {
            Ok(path) => relative(&path),
            Err(NotFound::Nowhere { refused, .. }) => refused
                .iter()
                .map(|(path, reason)| format!("{} {reason:?}", relative(path)))
                .collect::<Vec<_>>()
                .join(", "),
            Err(forced) => forced.to_string(),
        }
    }
}

#[track_caller]
fn check(build: impl Fn(&Place), path: &str, expected: &str) {
    let place = Place::new();
    build(&place);
    assert_eq!(place.shown(OsStr::new(path)), expected, "{path}");
}

#[test]
fn the_first_that_can_be_run_is_taken() {
    let real = |p: &Place, dir: &str| p.file(&format!("{dir}/claude"), 0o755, "\x7fELF");
    check(|p| real(p, "a"), "a:b", "a/claude");
    check(
        |p| {
            real(p, "a");
            real(p, "b");
        },
        "b:a",
        "b/claude",
    );
    check(|p| real(p, "b"), "missing:b", "b/claude");
    check(|p| real(p, "."), "", "claude");
    check(|p| real(p, "."), "missing::x", "claude");
    check(|p| real(p, "a/b"), "./a/b", "a/b/claude");
    check(
        |p| real(p, "home/.local/bin"),
        "x",
        "home/.local/bin/claude",
    );
    check(
        |p| real(p, "home/.claude/local"),
        "x",
        "home/.claude/local/claude",
    );
    check(|p| real(p, "prefix/bin"), "x", "prefix/bin/claude");
    check(
        |p| real(p, "home/.npm-global/bin"),
        "x",
        "home/.npm-global/bin/claude",
    );
}

#[test]
fn what_cannot_be_run_is_passed_over_and_named() {
    check(
        |p| p.file("a/claude", 0o644, "text"),
        "a",
        "a/claude NotExecutable",
    );
    check(
        |p| p.file("a/claude/x", 0o755, ""),
        "a",
        "a/claude NotAFile",
    );
    check(|p| p.link("nowhere", "a/claude"), "a", "");
    check(|p| p.link("claude", "a/claude"), "a", "");
    check(
        |p| {
            p.file("a/claude", 0o644, "text");
            p.file("b/claude", 0o755, "\x7fELF");
        },
        "a:b",
        "b/claude",
    );
}

#[test]
fn ccp_is_never_taken_for_claude() {
    check(
        |p| p.link("../own/ccp", "a/claude"),
        "a",
        "a/claude Ourselves",
    );
    check(
        |p| {
            p.link("../own/ccpd", "b/one");
            p.link("../b/one", "a/claude");
        },
        "a",
        "a/claude Ourselves",
    );
    check(
        |p| {
            fs::create_dir(p.at("a")).expect("creates");
            fs::hard_link(p.at("own/ccp"), p.at("a/claude")).expect("links");
        },
        "a",
        "a/claude Ourselves",
    );
    check(
        |p| p.file("a/claude", 0o755, "#!/bin/sh\nexec ccp run \"$@\"\n"),
        "a",
        "a/claude Ourselves",
    );
    check(
        |p| {
            p.file("a/claude", 0o755, "#!/bin/sh\nexec ccp run \"$@\"\n");
            p.link("../own/ccp", "b/claude");
            p.file("c/claude", 0o755, "#!/bin/sh\nexec /opt/claude \"$@\"\n");
        },
        "a:b:c",
        "c/claude",
    );
    let long = format!("#!/usr/bin/env node\n{}\nccp run\n", "x".repeat(5000));
    check(|p| p.file("a/claude", 0o755, &long), "a", "a/claude");
}

#[test]
fn a_script_calls_ccp_where_a_command_stands() {
    let rows = [
        ("exec ccp run \"$@\"", true),
        ("  exec \"/usr/local/bin/ccp\" run \"$@\"", true),
        ("'ccpd' run -- \"$@\"", true),
        ("X=1 exec -a claude ccp run", true),
        ("command -v ccp >/dev/null && exec ccp run \"$@\"", true),
        ("if true; then ccp run; fi", true),
        ("env -u FOO CCP_ACCOUNT=2 ccp run", true),
        ("exec $(command -v ccp) run", false),
        ("# exec ccp run", false),
        ("cd ~/src/ccp", false),
        ("exec /opt/ccp/claude \"$@\"", false),
        ("CCP_ACCOUNT=1 exec claude.real", false),
        ("ccpx run", false),
        ("echo ccp", false),
        ("", false),
    ];
    for (line, expected) in rows {
        let script = format!("#!/bin/sh\n{line}\n");
        assert_eq!(calls_ccp(script.as_bytes()), expected, "{line}");
        assert!(!calls_ccp(line.as_bytes()), "not a script: {line}");
    }
    assert!(calls_ccp(b"#!/usr/bin/env ccp\n"));
    assert!(!calls_ccp(b"#!/usr/bin/env -S node --x\nfoo\n"));
    assert!(!calls_ccp(b"#!\xff\xfe\n\x00\xff"));
}

#[test]
fn path_elements_are_bytes() {
    let place = Place::new();
    let odd = OsStr::from_bytes(b"bin-\xff\xfe");
    let dir = place.dir.path().join(odd);
    if fs::create_dir(&dir).is_err() {
        // APFS stores no name that is not UTF-8.
        return;
    }
    fs::write(dir.join("claude"), "\x7fELF").expect("writes");
    fs::set_permissions(dir.join("claude"), fs::Permissions::from_mode(0o755)).expect("sets");
    assert_eq!(place.find_in(odd), Ok(dir.join("claude")));
}

#[track_caller]
fn check_forced(place: &Place, forced: &str, expected: Result<&str, Refusal>) {
    let found = find_with(
        &Search {
            forced: Some(OsStr::new(forced)),
            path: Some(OsStr::new("a:b")),
            cwd: place.dir.path(),
            user_home: None,
            npm_prefixes: &[],
            own: &place.own,
            skip: &[],
        },
        &[],
    );
    let found = found.map_err(|error| match error {
        NotFound::Forced { reason, .. } => reason,
        other @ NotFound::Nowhere { .. } => panic!("{other}"),
    });
    assert_eq!(found, expected.map(|p| place.at(p)), "{forced}");
}

#[test]
fn what_ccp_claude_names_is_taken_or_refused_by_name() {
    let place = Place::new();
    place.file("a/claude", 0o755, "\x7fELF");
    place.file("b/beta", 0o755, "\x7fELF");
    place.file("b/plain", 0o644, "text");
    check_forced(&place, "b/beta", Ok("b/beta"));
    check_forced(&place, "beta", Ok("b/beta"));
    check_forced(&place, "b/plain", Err(Refusal::NotExecutable));
    check_forced(&place, "plain", Err(Refusal::NotExecutable));
    check_forced(&place, "./gone", Err(Refusal::Missing));
    check_forced(&place, "gone", Err(Refusal::Missing));
    check_forced(&place, "own/ccp", Err(Refusal::Ourselves));
    check_forced(&place, "./a", Err(Refusal::NotAFile));
}

#[test]
fn a_candidate_to_skip_is_skipped_under_every_name() {
    let place = Place::new();
    place.file("a/claude", 0o755, "\x7fELF");
    place.link("../a/claude", "b/claude");
    place.file("c/claude", 0o755, "\x7fELF");
    let found = find_with(
        &Search {
            forced: None,
            path: Some(OsStr::new("a:b:c")),
            cwd: place.dir.path(),
            user_home: None,
            npm_prefixes: &[],
            own: &place.own,
            skip: &[place.at("a/claude")],
        },
        &[],
    );
    assert_eq!(found, Ok(place.at("c/claude")));
}

#[test]
fn the_error_names_what_was_there() {
    let error = NotFound::Nowhere {
        tried: vec!["/a/claude".into(), "/b/claude".into()],
        refused: vec![("/b/claude".into(), Refusal::Ourselves)],
    };
    assert_eq!(
        error.to_string(),
        "claude not found in 2 places; /b/claude is ccp itself or a script that calls it"
    );
}
