//! The rules of the house that no compiler knows: which room may import which, where `unsafe` may stand, how long a file
//! may be. They are read off the text of every source file; `docs/ARCHITECTURE.md` says why they are as they are.

mod source;
mod tests;

use std::path::Path;

use source::{Named, Source};

/// What a room may import besides itself and std.
struct Room {
    name: &'static str,
    below: &'static [&'static str],
    /// Outside crates; nothing here means any.
    crates: Option<&'static [&'static str]>,
    /// Parts of std, and outside crates, that it must not touch.
    never: &'static [&'static str],
}

const CORE_NEVER: &[&str] = &[
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
];
const CONTRACT_NEVER: &[&str] = &["std::fs", "std::net", "std::os::unix::net", "std::process"];

/// In floor order.
const ROOMS: &[Room] = &[
    Room {
        name: "core",
        below: &[],
        crates: Some(&[]),
        never: CORE_NEVER,
    },
    Room {
        name: "contract",
        below: &["core"],
        crates: Some(&["serde", "serde_json"]),
        never: CONTRACT_NEVER,
    },
    Room {
        name: "adapters",
        below: &["core", "contract"],
        crates: None,
        never: &[],
    },
    // What a launch and a selection share: the pick under the lock.
    Room {
        name: "claim",
        below: &[
            "core",
            "contract",
            "adapters::files",
            "adapters::procs",
            "adapters::leases",
            // Which rule binds: where one is, and whether the rules are the file's.
            "adapters::place",
            "adapters::stamp",
        ],
        crates: Some(&["serde", "serde_json"]),
        never: &[],
    },
    Room {
        name: "launch",
        below: &[
            "core",
            "contract",
            "adapters::files",
            "adapters::clock",
            "adapters::procs",
            "adapters::leases",
            "adapters::stamp",
            "adapters::claude_path",
            "claim",
        ],
        crates: Some(&["libc", "serde_json"]),
        never: &[],
    },
    Room {
        name: "client",
        below: &["contract"],
        crates: Some(&[]),
        never: &[],
    },
    Room {
        name: "host",
        below: &[
            "core::screen",
            "contract::proto",
            "contract::paths",
            "contract::vars",
            "adapters::pty",
            // The ground: its record, its sockets' peers, the tree it ends.
            "adapters::clock",
            "adapters::files",
            "adapters::procs",
        ],
        crates: None,
        never: &["tokio"],
    },
    Room {
        name: "daemon",
        below: &["core", "contract", "adapters", "claim"],
        crates: None,
        never: &["clap", "ratatui", "crossterm"],
    },
    Room {
        name: "doctor",
        below: BELOW_COMMANDS,
        crates: None,
        never: &[],
    },
    Room {
        name: "tui",
        below: BELOW_COMMANDS,
        crates: None,
        never: &[],
    },
    // A command may open a view or run the checks; neither knows the commands.
    Room {
        name: "cli",
        below: COMMANDS,
        crates: None,
        never: &[],
    },
    Room {
        name: "lib",
        below: &[],
        crates: Some(&[]),
        never: &[],
    },
    Room {
        name: "main",
        below: &["core", "contract", "adapters", "launch"],
        crates: Some(&["libc"]),
        never: &[],
    },
    Room {
        name: "bin",
        below: &["contract", "adapters", "launch", "cli"],
        crates: Some(&["libc"]),
        never: &[],
    },
];
const BELOW_COMMANDS: &[&str] = &[
    "core", "contract", "adapters", "claim", "client", "host", "daemon",
];
const COMMANDS: &[&str] = &[
    "core", "contract", "adapters", "claim", "client", "host", "daemon", "doctor", "tui",
];

/// The adapters that the others stand on: they need std and libc alone.
const BASE: &[&str] = &["files", "clock", "procs"];
/// Where core reads the text of another program.
const CORE_JSON: &[&str] = &["transcript", "registry", "claude_json"];
const UNSAFE_ROOMS: &[&str] = &[
    "src/adapters/procs",
    "src/adapters/pty",
    "src/adapters/files",
    "src/adapters/claude_path",
    "src/adapters/foreign",
    "src/launch",
    "src/main.rs",
    "src/bin/ccpd.rs",
    // Tests prepare what a program inherits between fork and exec.
    "tests/it",
];
const NAMES_FOR_NOTHING: &[&str] = &["util", "utils", "helper", "helpers", "common", "manager"];
const MOST_LINES: usize = 600;
/// Long because they are tables.
const TABLES: &[&str] = &[];

/// Every rule that `text` breaks, as `file:line: rule`. `crates` are the outside crates of the manifest.
fn violations(file: &str, text: &str, crates: &[&str]) -> Vec<String> {
    let source = Source::read(file, text);
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut add = |line: usize, rule: String| found.push((line, rule));
    if file.starts_with("src/") {
        check_imports(file, &source, crates, &mut add);
    }
    check_unsafe(file, &source, &mut add);
    check_words(file, &source, &mut add);
    check_names(file, &source, &mut add);
    // Tests at the bottom of a file do not make it longer.
    let is_tests = |line: &String| line.starts_with("#[cfg(test)]");
    let length = source
        .lines
        .iter()
        .position(is_tests)
        .unwrap_or(source.lines.len());
    if length > MOST_LINES && !file.ends_with("/tests.rs") && !TABLES.contains(&file) {
        add(
            MOST_LINES + 1,
            format!("a file has at most {MOST_LINES} lines, this one {length}"),
        );
    }
    found.sort();
    found.dedup();
    found
        .into_iter()
        .map(|(line, rule)| format!("{file}:{line}: {rule}"))
        .collect()
}

fn check_imports(
    file: &str,
    source: &Source,
    crates: &[&str],
    add: &mut impl FnMut(usize, String),
) {
    let place: Vec<&str> = file["src/".len()..]
        .trim_end_matches(".rs")
        .split('/')
        .collect();
    let Some(room) = ROOMS.iter().find(|room| room.name == place[0]) else {
        return add(
            1,
            format!(
                "`{}` is no room of the house; the table in tests/it/tidy.rs names them",
                place[0]
            ),
        );
    };
    for Named {
        path,
        line,
        in_test,
        through,
    } in source.names()
    {
        let broken = |path: &[String]| refusal(room, &place, path, in_test, crates);
        // What the import itself is refused for is said once, at the import.
        if through.is_some_and(|import| broken(&import).is_some()) {
            continue;
        }
        if let Some(rule) = broken(&path) {
            add(line, rule);
        }
    }
}

/// Why `room` may not name `path`. Tests may use any outside crate and all of std, but the floors hold for them too.
fn refusal(
    room: &Room,
    place: &[&str],
    path: &[String],
    in_test: bool,
    crates: &[&str],
) -> Option<String> {
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let shown = words.join("::");
    if words[0] == "crate" {
        return refused_room(room, place, &words[1..]).map(|may| format!("{may}, not `{shown}`"));
    }
    if in_test {
        return None;
    }
    // `use std::time::*` brings in whatever is below.
    let (stem, glob) = if words.last() == Some(&"*") {
        (&words[..words.len() - 1], true)
    } else {
        (&words[..], false)
    };
    let touches = |banned: &&&str| {
        let banned: Vec<&str> = banned.split("::").collect();
        stem.starts_with(&banned) || (glob && banned.starts_with(stem))
    };
    if let Some(banned) = room.never.iter().find(touches) {
        return Some(format!(
            "{} must not touch {banned}, and `{shown}` does",
            room.name
        ));
    }
    let allowed = match (room.name, place) {
        ("core", [_, module, ..]) if is_core_json(module) => Some(&["serde", "serde_json"][..]),
        // Foreign text whose syntax is not JSON: instants and settings.
        ("contract", [_, "usage_body" | "status", ..]) => {
            Some(&["jiff", "serde", "serde_json"][..])
        }
        // Its types describe themselves as a schema, in tests alone.
        ("contract", [_, "pool", ..]) => Some(&["schemars", "serde", "serde_json"][..]),
        ("contract", [_, "settings", ..]) => Some(&["serde", "toml"][..]),
        ("core", [_, "screen", ..]) => Some(&["unicode_width", "vte"][..]),
        ("adapters", [_, base, ..]) if BASE.contains(base) => Some(&["libc"][..]),
        _ => room.crates,
    };
    let allowed = allowed?;
    (crates.contains(&words[0]) && !allowed.contains(&words[0])).then(|| {
        let may = if allowed.is_empty() {
            "no outside crate".to_owned()
        } else {
            format!("{} alone", allowed.join(", "))
        };
        format!("{} may import {may}, not `{shown}`", place.join("/"))
    })
}

fn is_core_json(module: &str) -> bool {
    CORE_JSON.contains(&module) || module.starts_with("claude_json")
}

fn refused_room(room: &Room, place: &[&str], inside: &[&str]) -> Option<String> {
    let below = |prefix: &&str| inside.starts_with(&prefix.split("::").collect::<Vec<_>>());
    if room.name == "adapters" && inside.first() == Some(&"adapters") {
        let own = place.get(1).copied().unwrap_or("mod");
        let other = inside.get(1).copied().unwrap_or("*");
        let known = own == "mod" || own == other || BASE.contains(&other);
        return (!known).then(|| {
            format!(
                "adapters/{own} may import no other adapter but {}",
                BASE.join(", ")
            )
        });
    }
    let allowed = inside.first() == Some(&room.name) || room.below.iter().any(below);
    (!allowed).then(|| {
        let may = if room.below.is_empty() {
            "itself alone".to_owned()
        } else {
            room.below.join(", ")
        };
        format!("{} may import {may}", room.name)
    })
}

fn check_unsafe(file: &str, source: &Source, add: &mut impl FnMut(usize, String)) {
    let is_tests = file.ends_with("/tests.rs") || file.contains("/tests/");
    let has_room = is_tests
        || UNSAFE_ROOMS.iter().any(|room| {
            file.strip_prefix(room)
                .is_some_and(|rest| room.ends_with(".rs") || rest.starts_with('/') || rest == ".rs")
        });
    for (at, token) in source
        .tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.text == "unsafe")
    {
        if !has_room {
            add(
                token.line,
                format!("`unsafe` stands only in {}", UNSAFE_ROOMS.join(", ")),
            );
        }
        let is_attribute = source.text(at + 1) == "(";
        if !is_attribute && !has_reason(&source.lines, token.line) {
            add(
                token.line,
                "`unsafe` needs a `// SAFETY:` comment before it".to_owned(),
            );
        }
    }
}

/// Is there a `SAFETY:` comment on this line or right above the statement that holds it?
fn has_reason(lines: &[String], line: usize) -> bool {
    let comment = |text: &str| text.contains("// SAFETY:") || text.contains("/// # Safety");
    if comment(&lines[line - 1]) {
        return true;
    }
    for text in lines[..line - 1].iter().rev().map(|text| text.trim()) {
        if text.starts_with("//") {
            if comment(text) {
                return true;
            }
        } else if text.is_empty() || text.ends_with([';', '{', '}']) {
            return false;
        }
    }
    false
}

fn check_words(file: &str, source: &Source, add: &mut impl FnMut(usize, String)) {
    for (at, token) in source.tokens.iter().enumerate() {
        let is_macro = source.text(at + 1) == "!";
        match token.text.as_str() {
            word @ ("todo" | "unimplemented") if is_macro => add(
                token.line,
                format!("no `{word}!`: finish it or leave it out"),
            ),
            word @ ("println" | "eprintln" | "print" | "eprint")
                if is_macro && file.starts_with("src/daemon") && !token.in_test =>
            {
                add(
                    token.line,
                    format!("no `{word}!` in daemon: it has no terminal, it logs"),
                );
            }
            "[" if at > 0 && source.text(at - 1) == "#" => {
                let words: Vec<&str> = (at + 1..source.tokens.len())
                    .map(|at| source.text(at))
                    .take_while(|text| *text != "]")
                    .collect();
                if words.first() == Some(&"ignore")
                    || (words.first() == Some(&"cfg_attr") && words.contains(&"ignore"))
                {
                    add(
                        token.line,
                        "no `#[ignore]`: a test runs, or says aloud that it is skipped".to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
}

fn check_names(file: &str, source: &Source, add: &mut impl FnMut(usize, String)) {
    let mut refuse = |line: usize, name: &str| {
        if NAMES_FOR_NOTHING.contains(&name) {
            add(
                line,
                format!("`{name}` says nothing: name the module for what it knows"),
            );
        }
    };
    file.trim_end_matches(".rs")
        .split('/')
        .for_each(|name| refuse(1, name));
    for (at, token) in source.tokens.iter().enumerate() {
        if token.text == "mod" {
            refuse(token.line, source.text(at + 1));
        }
    }
}

/// The outside crates of a manifest, spelled as the code spells them.
fn outside_crates(manifest: &str) -> Vec<String> {
    let mut in_table = false;
    let mut crates = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            in_table = line.ends_with("dependencies]");
        } else if let (true, Some((name, _))) =
            (in_table && !line.starts_with('#'), line.split_once('='))
        {
            crates.push(name.trim().replace('-', "_"));
        }
    }
    crates
}

fn visit(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a source folder is readable") {
        let path = entry.expect("a source folder is readable").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() && !matches!(name, "node" | "target" | "node_modules") {
            visit(&path, files);
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

#[test]
fn the_house_is_tidy() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest =
        std::fs::read_to_string(package.join("Cargo.toml")).expect("the manifest is readable");
    let crates = outside_crates(&manifest);
    let crates: Vec<&str> = crates.iter().map(String::as_str).collect();
    assert!(
        crates.contains(&"libc") && crates.contains(&"security_framework"),
        "misread the manifest: {crates:?}"
    );

    let mut files = Vec::new();
    ["src", "tests", "benches"]
        .iter()
        .for_each(|folder| visit(&package.join(folder), &mut files));
    files.sort();
    assert!(
        files.iter().any(|file| file.ends_with("src/lib.rs")),
        "misread the tree: {files:?}"
    );
    let broken: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a source file is text");
            let file = path
                .strip_prefix(package)
                .expect("it was found there")
                .display()
                .to_string();
            violations(&file, &text, &crates)
        })
        .collect();
    assert!(
        broken.is_empty(),
        "{} rules broken:\n{}",
        broken.len(),
        broken.join("\n")
    );
    for table in TABLES {
        assert!(
            package.join(table).is_file(),
            "TABLES names {table}, which is not there"
        );
    }
}
