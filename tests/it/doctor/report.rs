//! The report as a whole: what scripts read, and the document about it.

use super::{assert_same, healthy, line_of, tree};
use ccp::doctor::checks::CHECKS;
use serde_json::Value;

#[test]
fn all_well_is_exit_code_0_and_one_line_a_check() {
    let world = healthy();
    let before = tree(world.home.path());
    let said = world.ok(&["doctor"]);
    let ids: Vec<&str> = CHECKS.iter().map(|c| c.id).collect();
    assert_eq!(said.lines().count(), ids.len(), "{said}");
    for id in ids {
        assert!(!line_of(&said, id).starts_with('✗'), "{said}");
    }
    assert_same(&before, &tree(world.home.path()));
}

#[test]
fn json_has_the_documented_fields_and_no_others() {
    let world = healthy();
    super::set_mode(world.ccp_home().path(), 0o755);
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&world.run(arguments).stdout).expect("is JSON")
    };
    let names = |value: &Value| -> Vec<String> {
        let object = value.as_object().expect("an object");
        object.keys().cloned().collect()
    };
    let report = json(&["doctor", "--json"]);
    let document = include_str!("../../../docs/doctor.md");
    let block = document.split("```json").nth(1).expect("a block");
    let block = block.split("```").next().expect("its end");
    let documented: Value = serde_json::from_str(block).expect("is JSON");
    assert_eq!(names(&report), names(&documented));
    assert_eq!(
        (&report["schema"], &report["fix"], &report["problems"]),
        (&1.into(), &false.into(), &1.into())
    );
    let of = |report: &Value| {
        let mut checks = report["checks"].as_array().expect("a list").iter();
        let found = checks.find(|c| c["id"] == "home-permissions");
        found.expect("is one of them").clone()
    };
    let check = of(&report);
    let described = &documented["checks"][0];
    assert_eq!(names(&check), names(described));
    assert_eq!(check["verdict"], "problem");
    let finding = &check["findings"][0];
    assert_eq!(names(finding), names(&described["findings"][0]));
    assert!(finding["fix"].as_str().is_some_and(|f| f.ends_with("0700")));
    assert!(finding["hint"].is_null());

    let mended = json(&["doctor", "--fix", "--json"]);
    assert_eq!(
        (&mended["fix"], &mended["problems"]),
        (&true.into(), &0.into())
    );
    let check = of(&mended);
    assert_eq!(check["verdict"], "ok");
    assert_eq!(check["fixed"].as_array().map(Vec::len), Some(1));
}

#[test]
fn every_check_is_in_the_document() {
    let document = include_str!("../../../docs/doctor.md");
    let documented: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(id, _)| id)
        .collect();
    let ids: Vec<&str> = CHECKS.iter().map(|c| c.id).collect();
    assert_eq!(documented, ids);
    for check in CHECKS {
        let start = format!("| `{}` | {} |", check.id, check.question);
        assert!(document.contains(&start), "{start}");
    }
}
