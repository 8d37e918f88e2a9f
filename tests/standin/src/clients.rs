//! Where the clients are that tests run: the real one as pinned, and the built-in pretend one.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The pinned real client, where `npm ci` has put it.
#[must_use]
pub fn real_claude() -> Option<PathBuf> {
    let link = Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/node_modules/.bin/claude");
    link.canonicalize().ok()
}

/// The same; where it is absent, or left out by `./tests/run --fast`, that is said aloud, and under `CI=true` a failure.
///
/// # Panics
/// When `CI` is `true` and the client may not be used.
#[must_use]
pub fn require_real_claude() -> Option<PathBuf> {
    if env::var_os("CCP_TEST_FAST").is_some_and(|v| !v.is_empty()) {
        skip("the real client is left out of a fast run");
        return None;
    }
    let found = real_claude();
    if found.is_none() {
        skip("the real client is not installed: run `npm ci` in tests/node");
    }
    found
}

/// Says aloud that the calling test leaves something out, where `./tests/run` hears it too.
///
/// # Panics
/// When `CI` is `true`: nothing is left out there.
pub fn skip(why: &str) {
    assert!(env::var_os("CI").is_none_or(|ci| ci != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
    let Some(list) = env::var_os("CCP_TEST_SKIPS").filter(|v| !v.is_empty()) else {
        return;
    };
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(list)
        .expect("opens the list of what is skipped");
    writeln!(file, "{name}: {why}").expect("writes to the list");
}

/// The `fake-claude` executable, built from the present sources when cargo runs the tests.
///
/// # Panics
/// When it cannot be built, or is not there.
#[must_use]
pub fn fake_claude() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = env::current_exe().expect("a test knows its own executable");
        let profile = test
            .ancestors()
            .nth(2)
            .expect("tests are in target/<profile>/deps");
        // Cargo builds the executables of a package only for that package's own tests: others ask for it here.
        if let Some(cargo) = env::var_os("CARGO") {
            let mut build = Command::new(cargo);
            build.args([
                "build",
                "--quiet",
                "--package",
                "ccp-standin",
                "--bin",
                "fake-claude",
            ]);
            build
                .arg("--target-dir")
                .arg(profile.parent().expect("a profile is below the target dir"));
            if profile.ends_with("release") {
                build.arg("--release");
            }
            // What cargo tells a test of its package would make build scripts believe that everything changed.
            for (name, _) in env::vars_os() {
                if name.to_string_lossy().starts_with("CARGO_") && name != "CARGO_HOME" {
                    build.env_remove(name);
                }
            }
            build.env_remove("LD_LIBRARY_PATH");
            build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
            let status = build.status().expect("cargo is what runs this test");
            assert!(status.success(), "fake-claude does not build");
        }
        let built = profile.join("fake-claude");
        assert!(
            built.exists(),
            "build it first: cargo build -p ccp-standin --bin fake-claude"
        );
        built
    })
}
