//! The rules of `config.toml`: whom they name, and whether anybody of these can serve.

use super::{count, or_ok};
use crate::adapters::store::Account;
use crate::contract::snapshot::RuleEntry;
use crate::core::account::Named;
use crate::core::select::rules::admitted;
use crate::doctor::patient::Database;
use crate::doctor::{Check, Finding, Patient};

/// Where a rule binds and nobody that it allows can serve, launches are refused.
pub const RULES: Check = Check {
    id: "rules",
    question: "can somebody serve wherever a rule binds?",
    look: |patient| {
        let rules = match &patient.settings {
            Ok(settings) => &settings.rules[..],
            Err(_) => return vec![Finding::ok("config.toml does not tell")],
        };
        if rules.is_empty() {
            return vec![Finding::ok("there are no rules")];
        }
        if let Database::Refused(_) = &patient.database {
            return vec![Finding::ok("the database does not tell")];
        }
        let findings = (1..).zip(rules);
        let findings = findings.flat_map(|(number, rule)| look_at(patient, number, rule));
        or_ok(findings.collect(), count(rules.len(), "rule"))
    },
};

fn look_at(patient: &Patient<'_>, number: usize, rule: &RuleEntry) -> Option<Finding> {
    let accounts: Vec<Named<'_>> = patient.accounts.iter().map(named).collect();
    let found = admitted(&rule.accounts, &accounts);
    let admits = |account: &&Account| found.accounts.contains(&account.id);
    let allowed: Vec<&Account> = patient.accounts.iter().filter(admits).collect();
    let (name, unknown) = (rule.name(number), found.unknown.join(", "));
    let change = "`ccp list` shows the accounts, `ccp config path` tells where the rule is";
    let Some(first) = allowed.first() else {
        let text = format!("{name}: nobody can serve there: {unknown} is no account");
        return Some(Finding::problem(text, change));
    };
    if allowed.iter().all(|account| is_signed_out(account)) {
        let labels: Vec<&str> = allowed.iter().map(|a| a.label.as_str()).collect();
        let text = format!(
            "{name}: nobody can serve there without a sign-in: {}",
            labels.join(", ")
        );
        return Some(Finding::problem(text, format!("`ccp login {}`", first.id)));
    }
    let text = format!("{name}: {unknown} is no account, or more than one");
    (!found.unknown.is_empty()).then(|| Finding::note(text, change))
}

fn named(account: &Account) -> Named<'_> {
    Named {
        id: account.id,
        label: &account.label,
        email: account.identity.as_ref().and_then(|i| i.email.as_deref()),
    }
}

fn is_signed_out(account: &Account) -> bool {
    account.health.needs_login || account.identity.is_none()
}
