//! What is said about an overlay: the findings about one on the disk, and the document about all.

use super::{World, put};
use ccp::adapters::overlay::{Verdict, health};
use ccp::core::{claude_json::keys, overlay};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn health_sees_every_kind_and_changes_nothing() {
    let world = World::synced();
    put(&world.in_base("missing"), "", 1);
    put(&world.in_base("x.conflict-1"), "", 1);
    symlink(
        world.in_base("x.conflict-1"),
        world.in_account("x.conflict-1"),
    )
    .expect("links");
    symlink(world.in_base("gone"), world.in_account("gone")).expect("links");
    symlink("/nowhere", world.in_account("foreign")).expect("links");
    symlink(world.in_base("daemon"), world.in_account("daemon")).expect("links");
    put(&world.in_account("stray"), "", 1);
    put(&world.in_account(".claude.json"), "{}", 1);
    fs::set_permissions(
        world.in_account(".claude.json"),
        fs::Permissions::from_mode(0o644),
    )
    .expect("sets");
    put(&world.in_account(".config.json"), "{}", 1);
    let found = health(&world.base, &world.account);
    let mut expected = vec![
        (
            world.in_account(".claude.json"),
            Verdict::Permissions(0o644),
        ),
        (world.in_account(".config.json"), Verdict::LegacyIdentity),
        (
            world.in_account("daemon"),
            Verdict::PrivateIsLink(world.in_base("daemon")),
        ),
        (
            world.in_account("foreign"),
            Verdict::WrongTarget("/nowhere".into()),
        ),
        (world.in_account("gone"), Verdict::StaleLink),
        (world.in_account("missing"), Verdict::MissingLink),
        (world.in_account("stray"), Verdict::Stray),
        (world.in_base("x.conflict-1"), Verdict::ConflictCopy),
    ];
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let again: Vec<_> = found
        .iter()
        .map(|f| (f.path.clone(), f.verdict.clone()))
        .collect();
    assert_eq!(again, expected);
    assert_eq!(health(&world.base, &world.account), found);
}

#[test]
fn every_row_of_the_tables_is_in_the_document() {
    let document = include_str!("../../../docs/overlays.md");
    for rule in overlay::RULES {
        let name = match rule.pattern {
            overlay::Pattern::Is(text) => text.to_owned(),
            overlay::Pattern::Starts(text) => format!("{text}*"),
            overlay::Pattern::Ends(text) => format!("*{text}"),
            overlay::Pattern::Has(text) => format!("*{text}*"),
        };
        let class = format!("{:?}", rule.class).to_lowercase();
        let row = format!("| `{name}` | {class} | {} |", rule.reason);
        assert!(document.contains(&row), "{row}");
    }
    for group in keys::KEYS {
        let sharing = format!("{:?}", group.sharing).to_lowercase();
        let start = format!("| {sharing} | {} | ", group.reason);
        let row = document.lines().find(|line| line.starts_with(&start));
        let row = row.unwrap_or_else(|| panic!("{start}"));
        for pattern in group.keys {
            let name = match pattern {
                keys::Pattern::Is(text) => (*text).to_owned(),
                keys::Pattern::Starts(text) => format!("{text}*"),
                keys::Pattern::Between(start, end) => format!("{start}*{end}"),
                keys::Pattern::Has(text) => format!("*{text}*"),
            };
            assert!(row.contains(&format!("`{name}`")), "{name}");
        }
    }
    for name in overlay::BORN_SHARED.iter().chain(&keys::PROJECT_KEYS) {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}
