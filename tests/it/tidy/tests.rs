//! One row for each rule: a sample that breaks it is caught, and its lawful neighbour is not.

use super::{MOST_LINES, NAMES_FOR_NOTHING, ROOMS, outside_crates, violations};

const CRATES: &[&str] = &[
    "libc",
    "serde",
    "serde_json",
    "clap",
    "tokio",
    "rusqlite",
    "reqwest",
    "toml",
    "ratatui",
    "proptest",
];

/// `sample` in `file` breaks exactly one rule, on line `line`, and the message has `words`.
#[track_caller]
fn caught(file: &str, sample: &str, line: usize, words: &str) {
    let found = violations(file, sample, CRATES);
    let [only] = &found[..] else {
        panic!("expected one broken rule in {file}:\n{sample}\nfound: {found:#?}");
    };
    assert!(
        only.starts_with(&format!("{file}:{line}: ")),
        "expected line {line}: {only}"
    );
    assert!(only.contains(words), "expected `{words}`: {only}");
}

#[track_caller]
fn fine(file: &str, sample: &str) {
    let found = violations(file, sample, CRATES);
    assert!(
        found.is_empty(),
        "expected no broken rule in {file}:\n{sample}\nfound: {found:#?}"
    );
}

#[test]
fn rooms_import_downwards() {
    caught(
        "src/core/pool/slot.rs",
        "use crate::contract::paths::Paths;",
        1,
        "core may import itself alone",
    );
    caught(
        "src/core/pick.rs",
        "\nfn a() { crate::daemon::run() }",
        2,
        "not `crate::daemon::run`",
    );
    caught(
        "src/contract/vars.rs",
        "use crate::{\n core::Id,\n adapters::files,\n};",
        1,
        "contract may import core, not",
    );
    caught(
        "src/adapters/store.rs",
        "use crate::daemon::State;",
        1,
        "adapters may import core, contract",
    );
    caught(
        "src/adapters/store.rs",
        "use super::super::cli::Cli;",
        1,
        "not `crate::cli::Cli`",
    );
    caught(
        "src/daemon/mod.rs",
        "use crate::cli::failure;",
        1,
        "daemon may import",
    );
    caught(
        "src/daemon/mod.rs",
        "use crate::tui::View;",
        1,
        "daemon may import",
    );
    caught(
        "src/client/mod.rs",
        "use crate::adapters::files;",
        1,
        "client may import contract",
    );
    caught(
        "src/host/mod.rs",
        "use crate::core::pool::Pool;",
        1,
        "host may import core::screen",
    );
    caught(
        "src/doctor/mod.rs",
        "use crate::cli::failure;",
        1,
        "doctor may import",
    );
    caught(
        "src/core/a.rs",
        "use crate::everything;",
        1,
        "core may import",
    );
    caught("src/somewhere/a.rs", "", 1, "no room of the house");
    fine(
        "src/core/pool/slot.rs",
        "use crate::core::id::Id; use super::queue; use self::inner::X; use super::super::select;",
    );
    fine(
        "src/contract/vars.rs",
        "use crate::core::Id; use serde::Serialize;",
    );
    fine(
        "src/cli/status.rs",
        "use crate::{tui, doctor::checks, daemon::sample, adapters::store, core::select};",
    );
}

#[test]
fn every_room_that_exists_has_a_row() {
    for room in ROOMS {
        let file = if matches!(room.name, "lib" | "main") {
            format!("src/{}.rs", room.name)
        } else {
            format!("src/{}/a.rs", room.name)
        };
        fine(&file, "fn a() {}");
        for other in room.below {
            fine(&file, &format!("use ccp::{other}::Thing;"));
        }
    }
}

#[test]
fn adapters_do_not_know_each_other() {
    caught(
        "src/adapters/creds/mod.rs",
        "use crate::adapters::store::Store;",
        1,
        "adapters/creds may import no other adapter",
    );
    caught(
        "src/adapters/creds.rs",
        "use super::store;",
        1,
        "not `crate::adapters::store`",
    );
    caught(
        "src/adapters/creds.rs",
        "use crate::adapters;\nfn a() { adapters::store::open() }",
        1,
        "no other adapter",
    );
    caught(
        "src/adapters/creds.rs",
        "mod inner { use super::super::store; }",
        1,
        "not `crate::adapters::store`",
    );
    fine(
        "src/adapters/creds/mod.rs",
        "use crate::adapters::{files, clock::Clock, procs}; use super::creds::keychain; use rusqlite::Connection;",
    );
    fine(
        "src/adapters/mod.rs",
        "pub use self::store::Store; pub use files::File;",
    );
}

#[test]
fn the_base_of_the_adapters_needs_std_and_libc_alone() {
    for base in ["files", "clock", "procs"] {
        let file = format!("src/adapters/{base}.rs");
        caught(&file, "use serde_json::Value;", 1, "may import libc alone");
        fine(
            &file,
            "use std::fs; use libc::flock; use crate::core::time::Timestamp;",
        );
    }
}

#[test]
fn launch_stays_thin() {
    for outside in ["tokio", "clap", "rusqlite", "reqwest", "toml"] {
        caught(
            "src/launch/mod.rs",
            &format!("fn a() {{ {outside}::go() }}"),
            1,
            "launch/mod may import libc, serde_json alone",
        );
    }
    caught(
        "src/launch/mod.rs",
        "use crate::adapters::store::Store;",
        1,
        "launch may import core, contract, adapters::files",
    );
    caught(
        "src/launch/mod.rs",
        "use crate::daemon;",
        1,
        "launch may import",
    );
    fine(
        "src/launch/mod.rs",
        "use crate::{core::select, contract::snapshot, adapters::{files, clock, procs, leases}}; use std::fs;",
    );
}

#[test]
fn only_the_executables_name_launch() {
    for room in [
        "core", "contract", "adapters", "daemon", "cli", "doctor", "tui", "client", "host",
    ] {
        let found = violations(
            &format!("src/{room}/a.rs"),
            "use crate::launch::run;",
            CRATES,
        );
        assert_eq!(found.len(), 1, "{room}: {found:?}");
    }
    fine("src/main.rs", "fn main() { ccp::launch::run() }");
    fine("src/bin/ccpd.rs", "use ccp::{cli, launch}; fn main() {}");
    fine("src/lib.rs", "pub mod launch;");
}

#[test]
fn core_is_pure() {
    for touched in [
        "fs",
        "net",
        "process",
        "thread",
        "os::unix::net",
        "time::SystemTime",
        "time::Instant",
    ] {
        caught(
            "src/core/a.rs",
            &format!("use std::{touched};"),
            1,
            "core must not touch std::",
        );
        caught(
            "src/core/a.rs",
            &format!("fn a() {{ let x = std::{touched}::go(); }}"),
            1,
            "core must not touch std::",
        );
    }
    caught(
        "src/core/a.rs",
        "use std::time::*;",
        1,
        "core must not touch std::time::",
    );
    caught(
        "src/core/a.rs",
        "use std::{fmt, time};\nfn a() { time::Instant::now(); }",
        2,
        "`std::time::Instant::now`",
    );
    caught(
        "src/core/a.rs",
        "use std::time as t;\nfn a() { t::SystemTime::now(); }",
        2,
        "`std::time::SystemTime::now`",
    );
    caught(
        "src/core/a.rs",
        "use std::fs;\nfn a() { fs::read(p); }",
        1,
        "std::fs",
    );
    caught(
        "src/core/a.rs",
        "use serde::Serialize;",
        1,
        "core/a may import no outside crate",
    );
    caught(
        "src/core/a.rs",
        "fn a() { serde_json::from_str(s) }",
        1,
        "core/a may import no outside crate",
    );
    caught(
        "src/core/transcript.rs",
        "use tokio::fs;",
        1,
        "core/transcript may import serde, serde_json alone",
    );
    fine(
        "src/core/a.rs",
        "use std::{fmt, time::Duration, collections::BTreeMap}; fn a() { core::mem::swap(a, b) }",
    );
    for module in [
        "transcript.rs",
        "transcript/record.rs",
        "registry.rs",
        "claude_json.rs",
        "claude_json_seed.rs",
    ] {
        fine(&format!("src/core/{module}"), "use serde_json::Value;");
    }
}

#[test]
fn contract_opens_nothing() {
    for touched in ["fs", "net", "os::unix::net", "process"] {
        caught(
            "src/contract/a.rs",
            &format!("use std::{touched}::X;"),
            1,
            "contract must not touch std::",
        );
    }
    caught(
        "src/contract/a.rs",
        "use toml::Value;",
        1,
        "contract/a may import serde, serde_json alone",
    );
}

#[test]
fn tests_may_use_any_crate_and_no_higher_floor() {
    fine(
        "src/core/a.rs",
        "fn a() {}\n#[cfg(test)]\nmod tests { use super::*; use proptest::prelude::*; use std::fs; }",
    );
    fine(
        "src/core/a/tests.rs",
        "use proptest::prelude::*; use std::time::Instant;",
    );
    fine("src/core/a.rs", "#[cfg(test)]\nuse std::fs;\nfn a() {}");
    caught(
        "src/core/a.rs",
        "#[cfg(test)]\nmod tests {\n use crate::daemon::run;\n}",
        3,
        "core may import",
    );
    caught(
        "src/core/a.rs",
        "#[cfg(test)]\nmod tests { fn a() { if b { c() } } }\nuse std::fs;",
        3,
        "std::fs",
    );
    caught(
        "src/core/a.rs",
        "#[cfg(not(test))]\nuse std::fs;",
        2,
        "std::fs",
    );
}

#[test]
fn comments_and_strings_are_not_code() {
    fine(
        "src/core/a.rs",
        "// use std::fs;\n/* use std::net; /* nested */ use std::net; */\n/// std::process::exit\nfn a() {}",
    );
    fine(
        "src/core/a.rs",
        r####"const A: &str = "use std::fs; \" std::net::x"; const B: &str = r#"std::fs::read " todo!()"#; const C: char = '"';"####,
    );
    caught(
        "src/core/a.rs",
        "fn a<'a>(x: &'a str) { let q = '\\''; std::fs::read(x) }",
        1,
        "std::fs",
    );
    caught(
        "src/core/a.rs",
        "const A: &str = \"one\n two\";\nuse std::fs;",
        3,
        "std::fs",
    );
}

#[test]
fn the_daemon_prints_nothing() {
    for printer in ["println", "eprintln", "print", "eprint"] {
        caught(
            "src/daemon/a.rs",
            &format!("fn a() {{ {printer}!(\"x\") }}"),
            1,
            "in daemon",
        );
    }
    fine("src/cli/a.rs", "fn a() { println!(\"x\") }");
    fine(
        "src/daemon/a.rs",
        "#[cfg(test)]\nmod tests { fn a() { println!(\"x\") } }",
    );
}

#[test]
fn unsafe_has_rooms_and_reasons() {
    let block = "// SAFETY: it is a sample.\nfn a() { unsafe { b() } }";
    for file in [
        "adapters/procs.rs",
        "adapters/procs/tree.rs",
        "adapters/pty/mod.rs",
        "adapters/files.rs",
        "launch/exec.rs",
        "main.rs",
        "bin/ccpd.rs",
    ] {
        fine(&format!("src/{file}"), block);
    }
    for file in [
        "src/core/a.rs",
        "src/adapters/store.rs",
        "src/adapters/files_more.rs",
        "src/cli/a.rs",
        "tests/standin/src/a.rs",
    ] {
        caught(file, block, 1 + 1, "`unsafe` stands only in");
    }
    for sample in [
        "fn a() {\n unsafe { b() }\n}",
        "struct A;\nunsafe impl Send for A {}",
        "\nunsafe fn a() {}",
        "// SAFETY: for b.\nb();\nunsafe { c() }",
    ] {
        let line = 1 + sample
            .lines()
            .position(|line| line.contains("unsafe"))
            .expect("the sample has it");
        caught("src/launch/a.rs", sample, line, "needs a `// SAFETY:`");
    }
    fine(
        "src/launch/a.rs",
        "fn a() {\n // SAFETY: two\n // lines.\n #[expect(x)]\n let x =\n  unsafe { b() };\n}",
    );
    fine(
        "src/launch/a.rs",
        "/// Does.\n///\n/// # Safety\n/// Call it once.\npub unsafe fn a() {}",
    );
    fine(
        "src/main.rs",
        "#[unsafe(no_mangle)]\nextern \"C\" fn main() {}",
    );
}

#[test]
fn nothing_is_left_unfinished_or_ignored() {
    caught("src/cli/a.rs", "fn a() { todo!() }", 1, "no `todo!`");
    caught(
        "tests/standin/src/a.rs",
        "fn a() { unimplemented!(\"x\") }",
        1,
        "no `unimplemented!`",
    );
    caught(
        "tests/standin/src/a.rs",
        "#[test]\n#[ignore]\nfn a() {}",
        2,
        "no `#[ignore]`",
    );
    caught(
        "src/core/a.rs",
        "#[ignore = \"slow\"]\nfn a() {}",
        1,
        "no `#[ignore]`",
    );
    caught(
        "tests/standin/src/a.rs",
        "#[cfg_attr(target_os = \"macos\", ignore)]\nfn a() {}",
        1,
        "no `#[ignore]`",
    );
    fine("tests/standin/src/a.rs", "fn ignore() { let todo = 1; }");
}

#[test]
fn names_say_something() {
    for name in NAMES_FOR_NOTHING {
        caught(&format!("src/core/{name}.rs"), "", 1, "says nothing");
        caught(&format!("src/core/{name}/slot.rs"), "", 1, "says nothing");
        caught(
            "tests/standin/src/a.rs",
            &format!("\nmod {name} {{}}"),
            2,
            "says nothing",
        );
    }
}

#[test]
fn files_stay_short() {
    let long = "\n".repeat(MOST_LINES + 1);
    caught(
        "src/core/a.rs",
        &long,
        MOST_LINES + 1,
        "at most 600 lines, this one 601",
    );
    fine("src/core/a.rs", &"\n".repeat(MOST_LINES));
    fine("src/core/pool/tests.rs", &long);
}

#[test]
fn the_manifest_is_read() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nlibc = \"1\"\n# old = \"1\"\n[target.'cfg(unix)'.dependencies]\n\
                    a-b = { version = \"1\" }\n[lints.rust]\nc = \"deny\"\n[dev-dependencies]\nd = \"1\"\n";
    assert_eq!(outside_crates(manifest), ["libc", "a_b", "d"]);
}
