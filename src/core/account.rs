//! Who an account is: its id, and how a person refers to it.

use std::fmt;

/// An account's number, from 1. Printed `acct-NN`, which is also the name of its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u16);

impl AccountId {
    /// The highest number an account can have; more than anybody's subscriptions, few enough to scan.
    pub const MAX: u16 = 9999;

    /// The account with this number; none for 0 and for more than [`AccountId::MAX`].
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number == 0 || number > Self::MAX {
            None
        } else {
            Some(Self(number))
        }
    }

    /// The number itself.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// From a directory name, exactly as [`fmt::Display`] writes it (`acct-01`, `acct-123`).
    #[must_use]
    pub fn from_dir_name(name: &str) -> Option<Self> {
        let id = Self::parse_digits(name.strip_prefix("acct-")?)?;
        (id.to_string() == name).then_some(id)
    }

    /// From what a person types: `1`, `01`, `acct-1`, `ACCT-01`.
    #[must_use]
    pub fn from_reference(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        Self::parse_digits(lower.strip_prefix("acct-").unwrap_or(&lower))
    }

    fn parse_digits(digits: &str) -> Option<Self> {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse().ok())?.and_then(Self::new)
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acct-{:02}", self.0)
    }
}

/// Why a text cannot be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelProblem {
    /// Nothing but white space.
    Empty,
    /// It reads like an account id (`3`, `acct-03`), so a reference to it would be ambiguous.
    LooksLikeId,
    /// It holds a control character, which would garble a table.
    Control,
    /// Longer than [`MAX_LABEL_CHARS`].
    TooLong,
    /// It starts with `-`, so that a command line would take it for an option.
    LooksLikeOption,
}

/// The longest label, in characters: it has to fit a column.
pub const MAX_LABEL_CHARS: usize = 64;

impl LabelProblem {
    /// What is wrong, as the tail of a sentence: "a label …".
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Empty => "may not be empty",
            Self::LooksLikeId => "may not look like an account id",
            Self::Control => "may not hold control characters",
            Self::TooLong => "may have at most 64 characters",
            Self::LooksLikeOption => "may not start with '-'",
        }
    }
}

/// Checks a label and returns it trimmed.
pub fn check_label(text: &str) -> Result<&str, LabelProblem> {
    let label = text.trim();
    if label.is_empty() {
        return Err(LabelProblem::Empty);
    }
    let digits = label
        .get(..5)
        .filter(|p| p.eq_ignore_ascii_case("acct-"))
        .map_or(label, |_| &label[5..]);
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(LabelProblem::LooksLikeId);
    }
    if label.chars().any(char::is_control) {
        return Err(LabelProblem::Control);
    }
    if label.chars().count() > MAX_LABEL_CHARS {
        return Err(LabelProblem::TooLong);
    }
    if label.starts_with('-') {
        return Err(LabelProblem::LooksLikeOption);
    }
    Ok(label)
}

/// What a reference is matched against.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// The account's id.
    pub id: AccountId,
    /// Its label, unique among the accounts.
    pub label: &'a str,
    /// Its email address where known; several accounts may share one.
    pub email: Option<&'a str>,
}

/// Why a reference names no single account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceProblem {
    /// Nothing matches.
    Unknown,
    /// Several accounts match (a personal plan and a team seat share an email).
    Ambiguous(Vec<AccountId>),
}

/// Finds the one account that `reference` names: id, `acct-NN`, label or email. Labels and emails compare without
/// regard to case; an exact label wins over one that differs in case.
pub fn resolve_reference<'a>(
    reference: &str,
    accounts: impl IntoIterator<Item = Named<'a>>,
) -> Result<AccountId, ReferenceProblem> {
    let wanted = reference.trim();
    let accounts: Vec<Named<'a>> = accounts.into_iter().collect();
    if let Some(id) = AccountId::from_reference(wanted) {
        let found = accounts.iter().any(|a| a.id == id);
        return if found {
            Ok(id)
        } else {
            Err(ReferenceProblem::Unknown)
        };
    }
    if let Some(exact) = accounts.iter().find(|a| a.label == wanted) {
        return Ok(exact.id);
    }
    let folded = wanted.to_lowercase();
    let by = |matches: &dyn Fn(&Named<'_>) -> bool| -> Vec<AccountId> {
        accounts
            .iter()
            .filter(|a| matches(a))
            .map(|a| a.id)
            .collect()
    };
    let mut found = by(&|a| a.label.to_lowercase() == folded);
    if found.is_empty() {
        found = by(&|a| a.email.is_some_and(|e| e.to_lowercase() == folded));
    }
    match found[..] {
        [] => Err(ReferenceProblem::Unknown),
        [one] => Ok(one),
        _ => Err(ReferenceProblem::Ambiguous(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u16) -> AccountId {
        AccountId::new(n).expect("in range")
    }

    #[test]
    fn ids_are_read_in_every_spelling_and_printed_in_one() {
        for text in ["1", "01", "acct-1", "acct-01", "ACCT-01"] {
            assert_eq!(AccountId::from_reference(text), Some(id(1)), "{text}");
        }
        for text in ["", "0", "acct-", "-1", "+1", "1a", "99999999999", "acct-0"] {
            assert_eq!(AccountId::from_reference(text), None, "{text}");
        }
        assert_eq!(id(7).to_string(), "acct-07");
        assert_eq!(AccountId::from_dir_name("acct-07"), Some(id(7)));
        assert_eq!(AccountId::from_dir_name("acct-7"), None);
        assert_eq!(AccountId::from_dir_name("acct-07.lock"), None);
    }

    #[test]
    fn a_label_cannot_be_mistaken_for_something_else() {
        let rows = [
            ("work", Ok("work")),
            ("  two words ", Ok("two words")),
            ("12", Err(LabelProblem::LooksLikeId)),
            ("acct-12", Err(LabelProblem::LooksLikeId)),
            ("Acct-", Err(LabelProblem::LooksLikeId)),
            ("acct-x", Ok("acct-x")),
            ("größe", Ok("größe")),
            (" ", Err(LabelProblem::Empty)),
            ("a\nb", Err(LabelProblem::Control)),
            ("--label", Err(LabelProblem::LooksLikeOption)),
        ];
        for (text, expected) in rows {
            assert_eq!(check_label(text), expected, "{text:?}");
        }
        assert_eq!(check_label(&"x".repeat(65)), Err(LabelProblem::TooLong));
    }

    #[test]
    fn a_reference_names_one_account_or_says_which_it_could_be() {
        let accounts = [
            Named {
                id: id(1),
                label: "home",
                email: Some("me@example.test"),
            },
            Named {
                id: id(2),
                label: "Team",
                email: Some("me@example.test"),
            },
            Named {
                id: id(3),
                label: "team",
                email: Some("Other@example.test"),
            },
        ];
        let rows: [(&str, Result<u16, ReferenceProblem>); 8] = [
            ("2", Ok(2)),
            ("acct-03", Ok(3)),
            ("home", Ok(1)),
            ("HOME", Ok(1)),
            ("Team", Ok(2)),
            ("TEAM", Err(ReferenceProblem::Ambiguous(vec![id(2), id(3)]))),
            ("other@EXAMPLE.test", Ok(3)),
            (
                "me@example.test",
                Err(ReferenceProblem::Ambiguous(vec![id(1), id(2)])),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(
                resolve_reference(text, accounts).map(AccountId::number),
                expected,
                "{text}"
            );
        }
        assert_eq!(
            resolve_reference("9", accounts),
            Err(ReferenceProblem::Unknown)
        );
        assert_eq!(
            resolve_reference("", accounts),
            Err(ReferenceProblem::Unknown)
        );
    }
}
