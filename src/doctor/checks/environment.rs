//! What would send a session elsewhere than to its account: variables, and the base's settings for claude.

use super::or_ok;
use crate::contract::vars;
use crate::doctor::{Check, Finding, Patient};
use serde_json::Value;

/// By what ccp's status line is known in the settings.
const STATUSLINE_CALL: &str = "ccp statusline";
/// By what ccp's hook is known in them.
const HOOKS_CALL: &str = "ccp hooks report";

/// Variables that replace the account's login.
pub const OVERRIDES: Check = Check {
    id: "environment-overrides",
    question: "does the environment replace the accounts' logins?",
    look: overrides,
};

fn overrides(patient: &Patient<'_>) -> Vec<Finding> {
    let kept = patient.settings.as_ref().map(|s| s.keep_env.as_slice());
    let kept = kept.unwrap_or_default();
    let is_set = |name: &&&str| patient.surroundings.variable(name).is_some();
    let findings = vars::OVERRIDES
        .iter()
        .filter(is_set)
        .map(|name| {
            if kept.iter().any(|k| k == name) {
                Finding::note(
                    format!("{name} is set, and `[env] keep` lets it through"),
                    "sessions may use it in place of their account",
                )
            } else {
                Finding::note(
                    format!("{name} is set; launches remove it"),
                    "unset it, for plain `claude` uses it",
                )
            }
        })
        .collect();
    or_ok(findings, "no")
}

/// A service other than claude's own.
pub const BASE_URL: Check = Check {
    id: "base-url",
    question: "do sessions talk to claude's own service?",
    look: |patient| {
        let url = patient.surroundings.variable(vars::ANTHROPIC_BASE_URL);
        let foreign = url.filter(|u| !is_first_party(&u.to_string_lossy()));
        vec![match foreign {
            None => Finding::ok("yes"),
            // Not the address: it may hold a password.
            Some(_) => Finding::note(
                "ANTHROPIC_BASE_URL names another one, which receives the accounts' tokens",
                "unset it, unless you trust that one",
            ),
        }]
    },
};

fn is_first_party(url: &str) -> bool {
    url.trim_end_matches('/') == vars::FIRST_PARTY_BASE_URL
}

/// The base's settings are JSON.
pub const BASE_SETTINGS: Check = Check {
    id: "base-settings",
    question: "can claude's settings.json be read?",
    look: |patient| {
        let path = patient.base.settings();
        vec![match patient.base_settings() {
            None => Finding::ok("there is none"),
            Some(Ok(value)) if value.is_object() => Finding::ok(path.display().to_string()),
            Some(Ok(_)) => Finding::problem(
                format!("{} is no JSON object", path.display()),
                "mend it by hand: it is yours",
            ),
            Some(Err(error)) => Finding::problem(
                format!("{}: {error}", path.display()),
                "mend it by hand: it is yours",
            ),
        }]
    },
};

/// The settings as far as they can be read.
fn settings(patient: &Patient<'_>) -> Value {
    let known = patient.base_settings().and_then(Result::ok);
    known.unwrap_or_default()
}

/// A key in place of the login.
pub const KEY_HELPER: Check = Check {
    id: "api-key-helper",
    question: "do claude's settings replace the accounts' logins?",
    look: |patient| {
        let settings = settings(patient);
        let helper = settings["apiKeyHelper"].as_str();
        vec![match helper.filter(|h| !h.trim().is_empty()) {
            None => Finding::ok("no"),
            Some(_) => Finding::note(
                "`apiKeyHelper` gives sessions a key in place of their account's login",
                "remove it from settings.json to use your subscriptions",
            ),
        }]
    },
};

/// The status line, where it was installed.
pub const STATUSLINE: Check = Check {
    id: "statusline",
    question: "does ccp's status line work, where it was installed?",
    look: statusline,
};

fn statusline(patient: &Patient<'_>) -> Vec<Finding> {
    let settings = settings(patient);
    let command = settings["statusLine"]["command"]
        .as_str()
        .unwrap_or_default();
    let has_record = patient.home().statusline_record().exists();
    if !command.contains(STATUSLINE_CALL) {
        return vec![if has_record {
            Finding::note(
                "it was replaced by another one",
                "`ccp statusline remove` forgets it, `ccp statusline install` puts it around yours",
            )
        } else {
            Finding::ok("it is not installed")
        }];
    }
    let mut findings = Vec::new();
    if patient.surroundings.on_path("ccp").is_none() {
        findings.push(Finding::problem(
            "it is installed, and ccp is not on PATH",
            "add ccp's directory to PATH, or `ccp statusline remove`",
        ));
    }
    if settings["disableAllHooks"].as_bool() == Some(true) {
        findings.push(Finding::note(
            "it is installed, and `disableAllHooks` keeps claude from running it",
            "remove `disableAllHooks` from settings.json, or `ccp statusline remove`",
        ));
    }
    if !has_record {
        findings.push(Finding::note(
            "it is installed, and what stood there before is not on record",
            "to be rid of it, take `statusLine` out of settings.json by hand",
        ));
    }
    or_ok(findings, "it is installed")
}

/// The hook of turns that fail, where it was installed.
pub const HOOKS: Check = Check {
    id: "hooks",
    question: "does ccp's hook work, where it was installed?",
    look: hooks,
};

fn hooks(patient: &Patient<'_>) -> Vec<Finding> {
    let settings = settings(patient);
    if !settings["hooks"].to_string().contains(HOOKS_CALL) {
        return vec![Finding::ok("it is not installed")];
    }
    let mut findings = Vec::new();
    if patient.surroundings.on_path("ccp").is_none() {
        findings.push(Finding::problem(
            "it is installed, and ccp is not on PATH",
            "add ccp's directory to PATH, or `ccp hooks remove`",
        ));
    }
    if settings["disableAllHooks"].as_bool() == Some(true) {
        findings.push(Finding::note(
            "it is installed, and `disableAllHooks` keeps claude from running it",
            "remove `disableAllHooks` from settings.json, or `ccp hooks remove`",
        ));
    }
    or_ok(findings, "it is installed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claudes_own_service_has_one_address() {
        for (url, own) in [
            ("https://api.anthropic.com", true),
            ("https://api.anthropic.com/", true),
            ("https://api.anthropic.com.example.test", false),
            ("http://127.0.0.1:1", false),
        ] {
            assert_eq!(is_first_party(url), own, "{url}");
        }
    }
}
