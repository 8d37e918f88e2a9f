//! The claudes in the slots of session pools.

use super::count;
use crate::adapters::agent::Environment;
use crate::adapters::agent::version::{PATIENCE, Version, ask};
use crate::adapters::registry::Registry;
use crate::contract::paths::pool::{DEFAULT_POOL_HOME_NAME, PoolDir, PoolHome};
use crate::contract::vars;
use crate::daemon::pool::{InSlot, in_slots};
use crate::doctor::{Check, Finding, Patient};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

/// Which versions they are.
pub const VERSIONS: Check = Check {
    id: "slot-versions",
    question: "which claude runs in the slots of the pools?",
    look: |patient| vec![judge(&slots(patient), || installed(patient))],
};

/// A slot by its pool's name and its number, and the claude in it, as far as that says which it is.
type Slot = (String, u32, Option<Version>);

fn slots(patient: &Patient<'_>) -> Vec<Slot> {
    let mut slots = Vec::new();
    for pool in pools(patient) {
        let of = |slot: InSlot| (pool.name(), slot.slot, version_of(&slot));
        slots.extend(in_slots(&pool).into_iter().map(of));
    }
    slots.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    slots
}

fn pools(patient: &Patient<'_>) -> Vec<PoolDir> {
    let surroundings = patient.surroundings;
    let home = surroundings.variable(vars::CLAUDE_POOL_HOME).map_or_else(
        || surroundings.user_home.join(DEFAULT_POOL_HOME_NAME),
        PathBuf::from,
    );
    let Some(home) = PoolHome::new(&home) else {
        return Vec::new();
    };
    let entries = fs::read_dir(home.path()).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter_map(|name| home.pool(&name)).collect()
}

/// As it says itself, in the file that every session has.
fn version_of(slot: &InSlot) -> Option<Version> {
    let file = Registry::of(&slot.state_dir).load(slot.pid).ok()??;
    Version::parse(&file.version?)
}

/// What the next slot would be.
fn installed(patient: &Patient<'_>) -> Option<Version> {
    let surroundings = patient.surroundings;
    let claude = surroundings.claude.as_ref().ok()?;
    let anywhere = surroundings.home.probe_dir();
    let environment = Environment::for_account(surroundings.variables.iter().cloned(), &anywhere);
    ask(claude, &anywhere, &environment, PATIENCE).ok()
}

fn judge(slots: &[Slot], installed: impl FnOnce() -> Option<Version>) -> Finding {
    if slots.is_empty() {
        return Finding::ok("no slots");
    }
    let installed = installed();
    let is_old = |version: Option<Version>| version.zip(installed).is_some_and(|(v, i)| v < i);
    let mut versions: BTreeMap<Option<Version>, Vec<String>> = BTreeMap::new();
    for (pool, slot, version) in slots {
        let place = format!("{pool} {slot}");
        versions.entry(*version).or_default().push(place);
    }
    let told: Vec<String> = versions
        .iter()
        .rev()
        .map(|(version, places)| {
            let name = version.map_or_else(|| "not told".to_owned(), |v| v.to_string());
            let slots = count(places.len(), "slot");
            if is_old(*version) {
                format!("{name} in {slots} ({})", places.join(", "))
            } else {
                format!("{name} in {slots}")
            }
        })
        .collect();
    let told = told.join("; ");
    match installed {
        Some(installed) if versions.keys().any(|version| is_old(*version)) => Finding::note(
            format!("{told}; {installed} is installed"),
            "nothing: a fresh one is replaced by itself, one in use when its session leaves it",
        ),
        _ => Finding::ok(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(slots: &[(&str, u32, &str)], installed: &str, sign: char, expected: &str) {
        let slot = |(pool, slot, version): &(&str, u32, &str)| {
            ((*pool).to_owned(), *slot, Version::parse(version))
        };
        let slots: Vec<Slot> = slots.iter().map(slot).collect();
        let finding = judge(&slots, || Version::parse(installed));
        let is_ok = finding == Finding::ok(finding.found.clone());
        let found = (if is_ok { '✓' } else { '!' }, finding.found.as_str());
        assert_eq!(found, (sign, expected));
    }

    #[test]
    fn slots_of_an_older_claude_are_named() {
        check(&[], "2.1.329", '✓', "no slots");
        let same = [("p", 1, "2.1.329"), ("p", 2, "2.1.329")];
        check(&same, "2.1.329", '✓', "2.1.329 in 2 slots");
        check(&same, "", '✓', "2.1.329 in 2 slots");
        let mixed = [
            ("p", 1, "2.1.329"),
            ("p", 2, "2.1.197"),
            ("q", 1, "2.1.197"),
            ("q", 2, ""),
        ];
        let expected = "2.1.329 in 1 slot; 2.1.197 in 2 slots (p 2, q 1); not told in 1 slot; 2.1.329 is installed";
        check(&mixed, "2.1.329", '!', expected);
        // A claude that was put back to an older one.
        check(&same, "2.1.197", '✓', "2.1.329 in 2 slots");
    }
}
