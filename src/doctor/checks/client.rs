//! The claude that a launch would start.

use crate::adapters::agent::{
    Environment,
    version::{PATIENCE, TESTED, ask},
};
use crate::doctor::{Check, Finding, Patient};

/// It is there.
pub const FOUND: Check = Check {
    id: "claude-found",
    question: "which claude would a launch start?",
    look: |patient| {
        vec![match &patient.surroundings.claude {
            Ok(path) => Finding::ok(path.display().to_string()),
            Err(why) => Finding::problem(
                why.clone(),
                "install Claude Code, or set CCP_CLAUDE to its executable",
            ),
        }]
    },
};

/// It is one that ccp was tested with.
pub const VERSION: Check = Check {
    id: "claude-version",
    question: "was ccp tested with this version of claude?",
    look: version,
};

fn version(patient: &Patient<'_>) -> Vec<Finding> {
    let surroundings = patient.surroundings;
    let Ok(claude) = &surroundings.claude else {
        return vec![Finding::ok("there is no claude to ask")];
    };
    // It is asked about no account, in a directory that is none's.
    let anywhere = surroundings.home.probe_dir();
    let environment = Environment::for_account(surroundings.variables.iter().cloned(), &anywhere);
    let (first, last) = TESTED;
    vec![match ask(claude, &anywhere, &environment, PATIENCE) {
        Ok(found) if found > last => Finding::note(
            format!("{found}, newer than tested (the last one was {last})"),
            "it should work; update ccp when there is a newer one",
        ),
        Ok(found) if found < first => Finding::note(
            format!("{found}, older than tested (the first one was {first})"),
            "`claude update`",
        ),
        Ok(found) => Finding::ok(found.to_string()),
        Err(error) => Finding::problem(
            error.to_string(),
            format!("run `{} --version` and see what it says", claude.display()),
        ),
    }]
}
