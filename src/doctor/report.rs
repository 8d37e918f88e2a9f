//! What an examination came to: one line a check for people, one document for scripts. `docs/doctor.md` describes both.

use super::{Check, Finding, Remedy, Verdict};
use serde::Serialize;
use std::fmt::Write as _;

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// The most findings of one check that its line names; the JSON has all.
const MAX_NAMED: usize = 6;

/// The answer to one check.
#[derive(Clone, Debug)]
pub struct Result {
    /// The check.
    pub check: Check,
    /// What was found, after mending where something was mended. Nothing means that the question does not arise.
    pub findings: Vec<Finding>,
    /// What was mended.
    pub done: Vec<String>,
    /// What could not be mended, and why.
    pub failed: Vec<String>,
}

impl Result {
    /// The gravest of the findings.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let all = self.findings.iter().map(|f| f.verdict);
        all.max().unwrap_or(Verdict::Ok)
    }

    /// One line: the sign, the id, what was found and what can be or was done. Without control characters, since names
    /// of files may hold any.
    #[must_use]
    pub fn line(&self) -> String {
        let verdict = self.verdict();
        // What is well is not worth a word beside what is not.
        let told: Vec<&Finding> = self
            .findings
            .iter()
            .filter(|f| verdict == Verdict::Ok || f.verdict > Verdict::Ok)
            .collect();
        let mut parts: Vec<String> = told.iter().take(MAX_NAMED).map(|f| sentence(f)).collect();
        if told.len() > MAX_NAMED {
            parts.push(format!("and {} more", told.len() - MAX_NAMED));
        }
        if parts.is_empty() {
            parts.push("nothing to look at".to_owned());
        }
        let mut line = format!("{} {}: {}", verdict.sign(), self.check.id, parts.join("; "));
        for (word, texts) in [("fixed", &self.done), ("not fixed", &self.failed)] {
            if !texts.is_empty() {
                let _ = write!(line, " [{word}: {}]", texts.join("; "));
            }
        }
        let plain = |c: char| if c.is_control() { '\u{fffd}' } else { c };
        line.chars().map(plain).collect()
    }
}

fn sentence(finding: &Finding) -> String {
    match &finding.remedy {
        Remedy::None => finding.found.clone(),
        Remedy::Fix(mend) => format!("{} (`ccp doctor --fix` {})", finding.found, mend.plan()),
        Remedy::Hint(hint) => format!("{} ({hint})", finding.found),
    }
}

/// All answers.
#[derive(Clone, Debug)]
pub struct Examination {
    /// One for each check, in the order of the list.
    pub results: Vec<Result>,
    /// Whether mending was asked for.
    pub fix: bool,
}

impl Examination {
    /// How many checks came to this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let all = self.results.iter().map(Result::verdict);
        all.filter(|v| *v == verdict).count()
    }

    /// How many checks ask for something that `--fix` does.
    #[must_use]
    pub fn fixable(&self) -> usize {
        let asks = |f: &Finding| matches!(f.remedy, Remedy::Fix(_));
        let all = self.results.iter();
        all.filter(|r| r.findings.iter().any(asks)).count()
    }

    /// The document for scripts.
    pub fn json(&self) -> serde_json::Result<String> {
        let document = Document {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            fix: self.fix,
            problems: self.count(Verdict::Problem),
            notes: self.count(Verdict::Note),
            checks: self.results.iter().map(CheckDocument::of).collect(),
        };
        serde_json::to_string_pretty(&document)
    }
}

#[derive(Serialize)]
struct Document<'e> {
    schema: u32,
    version: &'static str,
    fix: bool,
    problems: usize,
    notes: usize,
    checks: Vec<CheckDocument<'e>>,
}

#[derive(Serialize)]
struct CheckDocument<'e> {
    id: &'static str,
    question: &'static str,
    verdict: &'static str,
    findings: Vec<FindingDocument<'e>>,
    fixed: &'e [String],
    not_fixed: &'e [String],
}

impl<'e> CheckDocument<'e> {
    fn of(result: &'e Result) -> Self {
        Self {
            id: result.check.id,
            question: result.check.question,
            verdict: result.verdict().name(),
            findings: result.findings.iter().map(FindingDocument::of).collect(),
            fixed: &result.done,
            not_fixed: &result.failed,
        }
    }
}

#[derive(Serialize)]
struct FindingDocument<'e> {
    verdict: &'static str,
    found: &'e str,
    /// What `--fix` does; null when it does nothing about this.
    fix: Option<String>,
    /// What a person can do; null when there is nothing to do, or `--fix` does it.
    hint: Option<&'e str>,
}

impl<'e> FindingDocument<'e> {
    fn of(finding: &'e Finding) -> Self {
        let (fix, hint) = match &finding.remedy {
            Remedy::None => (None, None),
            Remedy::Fix(mend) => (Some(mend.plan()), None),
            Remedy::Hint(hint) => (None, Some(hint.as_str())),
        };
        Self {
            verdict: finding.verdict.name(),
            found: &finding.found,
            fix,
            hint,
        }
    }
}
