//! `[[rule]]` in `config.toml`: which accounts may serve which directories.

use super::check::{SettingsError, article, is_directory, line_of, nearest};
use super::edit::quote;
use crate::contract::snapshot::RuleEntry;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The name of the list.
pub const TABLE: &str = "rule";
const KEYS: [&str; 3] = ["path", "git_remote", "accounts"];

/// What `ccp help config` says.
pub(super) const HELP: &str = r#"[[rule]]  Which accounts may serve which directories. As many as you like, one behind the other, by hand.

  path = "~/work"
      Takes a directory, absolute or starting with "~/". The rule is for it and everything below.
  git_remote = "github.com/acme/*"
      Takes a pattern: the rule is for git repositories with a remote like this. `*` is any text. User, port and .git
      do not count: git@github.com:acme/app.git and https://github.com/acme/app are both github.com/acme/app.
  accounts = ["work", "acct-03"]
      Takes a list of accounts, each by number, id, label or email.
      A rule needs this, and path or git_remote or both, which then have to match both. The first rule that matches
      binds: no other account serves there, whatever pins, CCP_ACCOUNT or --account say.
"#;

/// What the commented default file says.
pub(super) const COMMENTED: &str = r#"
# Which accounts may serve which directories: the first rule that matches binds. path is a directory and everything below;
# git_remote is a pattern for a remote of the git repository, in which `*` is any text. At least one of them, or both.
# [[rule]]
# path = "~/work"
# git_remote = "github.com/acme/*"
# accounts = ["work", "acct-03"]
"#;

/// Reads the list of rules, in order.
pub(super) fn read(
    text: &str,
    content: &Spanned<DeValue<'_>>,
    rules: &mut Vec<RuleEntry>,
    errors: &mut Vec<SettingsError>,
) {
    let mut wrong = |at: usize, problem: String| {
        errors.push(SettingsError {
            line: line_of(text, at),
            problem,
        });
    };
    let shape = "rules are written as [[rule]], one after the other";
    let DeValue::Array(items) = content.get_ref() else {
        let found = article(content.get_ref());
        return wrong(content.span().start, format!("{shape}, not as {found}"));
    };
    for item in items.iter() {
        match item.get_ref() {
            DeValue::Table(table) => {
                let at = item.span().start;
                match rule(at, table) {
                    Ok(rule) => rules.push(rule),
                    Err(problems) => problems.into_iter().for_each(|(at, p)| wrong(at, p)),
                }
            }
            other => wrong(
                item.span().start,
                format!("{shape}, not as a list of {}", article(other)),
            ),
        }
    }
}

type Problem = (usize, String);

fn rule(at: usize, table: &DeTable<'_>) -> Result<RuleEntry, Vec<Problem>> {
    let mut rule = RuleEntry::default();
    let mut problems: Vec<Problem> = Vec::new();
    let mut named = false;
    for (name, value) in table {
        let outcome = match name.get_ref().as_ref() {
            "path" => path(value).map(|path| rule.path = Some(path)),
            "git_remote" => remote(value).map(|remote| rule.git_remote = Some(remote)),
            "accounts" => {
                named = true;
                accounts(value).map(|accounts| rule.accounts = accounts)
            }
            other => Err((name.span().start, unknown(other))),
        };
        problems.extend(outcome.err());
    }
    if problems.is_empty() && rule.path.is_none() && rule.git_remote.is_none() {
        let text = "a rule needs path or git_remote: without them it would be for everything";
        problems.push((at, text.to_owned()));
    }
    if !named && problems.is_empty() {
        problems.push((at, "a rule needs accounts: who may serve there".to_owned()));
    }
    if problems.is_empty() {
        Ok(rule)
    } else {
        Err(problems)
    }
}

fn unknown(name: &str) -> String {
    match nearest(name, KEYS.into_iter()) {
        Some(near) => format!("unknown key rule.{name}: did you mean rule.{near}?"),
        None => format!("unknown key rule.{name}: [[rule]] has {}", KEYS.join(", ")),
    }
}

fn path(value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    let expected = "rule.path takes a directory, absolute or starting with \"~/\"";
    let path = line(value, expected)?;
    if is_directory(&path) {
        Ok(path)
    } else {
        Err((value.span().start, format!("{expected}, not \"{path}\"")))
    }
}

fn remote(value: &Spanned<DeValue<'_>>) -> Result<String, Problem> {
    let expected = "rule.git_remote takes a pattern such as \"github.com/acme/*\"";
    line(value, expected)
}

fn accounts(value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Problem> {
    let expected = "rule.accounts takes a list of accounts, such as [\"work\", \"acct-03\"]";
    let DeValue::Array(items) = value.get_ref() else {
        let found = article(value.get_ref());
        return Err((value.span().start, format!("{expected}, not {found}")));
    };
    let reference = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
        // A number is a reference as well.
        DeValue::Integer(number) => Ok(number.to_string()),
        _ => line(item, expected),
    };
    let accounts: Vec<String> = items.iter().map(reference).collect::<Result<_, _>>()?;
    if accounts.is_empty() {
        let text = "rule.accounts may not be empty: nobody could serve there";
        return Err((value.span().start, text.to_owned()));
    }
    Ok(accounts)
}

/// A text of one line with something in it: it is printed on terminals.
fn line(value: &Spanned<DeValue<'_>>, expected: &str) -> Result<String, Problem> {
    let at = value.span().start;
    match value.get_ref() {
        DeValue::String(text) if text.chars().any(char::is_control) => {
            Err((at, format!("{expected}, without control characters")))
        }
        DeValue::String(text) if text.trim().is_empty() => {
            Err((at, format!("{expected}, not an empty text")))
        }
        DeValue::String(text) => Ok(text.trim().to_owned()),
        other => Err((at, format!("{expected}, not {}", article(other)))),
    }
}

/// A rule as it may be written on one line.
#[must_use]
pub fn inline(rule: &RuleEntry) -> String {
    let quoted = |text: &String| quote(text);
    let mut parts = Vec::new();
    parts.extend(rule.path.iter().map(|p| format!("path = {}", quoted(p))));
    let remote = rule.git_remote.iter();
    parts.extend(remote.map(|r| format!("git_remote = {}", quoted(r))));
    let accounts: Vec<String> = rule.accounts.iter().map(quoted).collect();
    parts.push(format!("accounts = [{}]", accounts.join(", ")));
    format!("{{ {} }}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, commented_default, set};
    use super::*;

    const TWO: &str = "[env]\nkeep = [] # mine\n\n[[rule]] # first\npath = \"~/work\"\naccounts = [\"work\", 3]\n\n[[rule]]\ngit_remote = 'github.com/acme/*'\naccounts = ['me@acme.test']\n";

    fn problems(text: &str) -> Vec<String> {
        let errors = Settings::parse(text).expect_err("is wrong");
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn rules_are_read_in_order() {
        let rules = Settings::parse(TWO).expect("is right").rules;
        let shown: Vec<String> = rules.iter().map(inline).collect();
        let first = r#"{ path = "~/work", accounts = ["work", "3"] }"#;
        let second = r#"{ git_remote = "github.com/acme/*", accounts = ["me@acme.test"] }"#;
        assert_eq!(shown, [first, second]);
        let again = format!("rule = [{first}, {second}]\n");
        assert_eq!(Settings::parse(&again).expect("is right").rules, rules);
        assert_eq!(rules[0].name(1), "rule 1 (~/work)");
        assert_eq!(rules[1].name(2), "rule 2 (git_remote github.com/acme/*)");
        assert_eq!(
            (rules[0].short(), rules[1].short()),
            ("~/work", "github.com/acme/*")
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let rows = [
            (
                "[[rule]]\npaht = \"/w\"\naccounts = [\"a\"]\n",
                "line 2: unknown key rule.paht: did you mean rule.path?",
            ),
            (
                "[[rule]]\npath = \"/w\"\nwho = [\"a\"]\n",
                "line 3: unknown key rule.who: [[rule]] has path, git_remote, accounts",
            ),
            (
                "\n[[rule]]\naccounts = [\"a\"]\n",
                "line 2: a rule needs path or git_remote: without them it would be for everything",
            ),
            (
                "[[rule]]\npath = \"/w\"\n",
                "line 1: a rule needs accounts: who may serve there",
            ),
            (
                "[[rule]]\npath = \"/w\"\naccounts = []\n",
                "line 3: rule.accounts may not be empty: nobody could serve there",
            ),
            (
                "[[rule]]\npath = \"/w\"\naccounts = \"a\"\n",
                "line 3: rule.accounts takes a list of accounts, such as [\"work\", \"acct-03\"], not a text",
            ),
            (
                "[[rule]]\npath = \"/w\"\naccounts = [\"a\", \" \"]\n",
                "line 3: rule.accounts takes a list of accounts, such as [\"work\", \"acct-03\"], not an empty text",
            ),
            (
                "[[rule]]\npath = \"work\"\naccounts = [\"a\"]\n",
                "line 2: rule.path takes a directory, absolute or starting with \"~/\", not \"work\"",
            ),
            (
                "[[rule]]\npath = \"/w\\u001b\"\naccounts = [\"a\"]\n",
                "line 2: rule.path takes a directory, absolute or starting with \"~/\", without control characters",
            ),
            (
                "[[rule]]\ngit_remote = 1\naccounts = [\"a\"]\n",
                "line 2: rule.git_remote takes a pattern such as \"github.com/acme/*\", not a number",
            ),
            (
                "[rule]\npath = \"/w\"\naccounts = [\"a\"]\n",
                "line 1: rules are written as [[rule]], one after the other, not as a table",
            ),
            (
                "[[rules]]\npath = \"/w\"\naccounts = [\"a\"]\n",
                "line 1: unknown table rules: did you mean [[rule]]?",
            ),
            (
                "rule = [1]\n",
                "line 1: rules are written as [[rule]], one after the other, not as a list of a number",
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(problems(text), [expected], "{text}");
        }
    }

    #[test]
    fn other_settings_change_around_rules() {
        let texts = [
            TWO.to_owned(),
            format!("{}\n{TWO}", "[daemon]\n"),
            format!(
                "{}{}",
                commented_default(),
                &TWO[TWO.find("[[rule]]").expect("a rule")..]
            ),
        ];
        for text in texts {
            let before = Settings::parse(&text).expect("is right").rules;
            let rules = &text[text.find("\n[[rule]]").expect("a rule")..];
            for (key, value) in [
                ("env.keep", "ANTHROPIC_API_KEY"),
                ("daemon.autostart", "false"),
                ("overlay.settings", "two-way"),
            ] {
                let edited = set(&text, key, value).expect("takes the value");
                let settings = Settings::parse(&edited).expect("is right");
                assert_eq!(settings.rules, before, "{edited}");
                assert!(edited.contains(rules), "{edited}");
            }
        }
        let error = set(TWO, "rule.path", "/x").expect_err("is no key");
        assert_eq!(error.to_string(), "rules are written into the file by hand");
    }

    #[test]
    fn the_commented_rule_is_one() {
        let text: String = COMMENTED
            .lines()
            .skip_while(|line| *line != "# [[rule]]")
            .map(|line| format!("{}\n", line.trim_start_matches("# ")))
            .collect();
        assert_eq!(Settings::parse(&text).expect("is right").rules.len(), 1);
        assert!(commented_default().ends_with(COMMENTED));
    }
}
