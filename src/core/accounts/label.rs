//! Labels that nobody typed: made from an identity, valid and unique.

use crate::core::account::{LabelProblem, MAX_LABEL_CHARS, check_label};

/// Used where nothing better is known.
const NAMELESS: &str = "account";

/// What to call an account whose identity is known: the part of its address before the `@`, else its organisation.
#[must_use]
pub fn from_identity(email: Option<&str>, organization: Option<&str>) -> String {
    let local = email.and_then(|e| e.split('@').next());
    let wish = [local, organization]
        .into_iter()
        .flatten()
        .find(|text| !text.trim().is_empty());
    valid(wish.unwrap_or(NAMELESS))
}

/// A valid label like `wish` that is not taken: the wish itself, else with the organisation's name, else with a number.
#[must_use]
pub fn unique(wish: &str, organization: Option<&str>, taken: impl Fn(&str) -> bool) -> String {
    let plain = valid(wish);
    if !taken(&plain) {
        return plain;
    }
    let with_organization = organization
        .filter(|o| !o.trim().is_empty())
        .map(|o| valid(&format!("{plain} ({})", o.trim())))
        .filter(|l| *l != plain);
    if let Some(label) = with_organization.as_ref().filter(|l| !taken(l)) {
        return label.clone();
    }
    let stem = with_organization.unwrap_or(plain);
    (2..)
        .map(|n| numbered(&stem, n))
        .find(|l| !taken(l))
        .expect("there are fewer accounts than numbers")
}

fn numbered(stem: &str, number: u32) -> String {
    let tail = format!(" {number}");
    let room = MAX_LABEL_CHARS - tail.len();
    let head: String = stem.chars().take(room).collect();
    format!("{}{tail}", head.trim_end())
}

/// The nearest text that can be a label.
fn valid(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let clean = clean.trim().trim_start_matches('-').trim_start();
    let short: String = clean.chars().take(MAX_LABEL_CHARS - 2).collect();
    match check_label(&short) {
        Ok(label) => label.to_owned(),
        // `3` and `acct-03` are ids.
        Err(LabelProblem::LooksLikeId) => format!("a {}", short.trim()),
        Err(_) => NAMELESS.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_label_comes_from_the_address_or_the_organisation() {
        let rows = [
            (Some("jo@example.test"), Some("Acme"), "jo"),
            (None, Some("Acme"), "Acme"),
            (Some("@example.test"), Some("Acme"), "Acme"),
            (None, None, "account"),
            (Some("42@example.test"), None, "a 42"),
            (Some("-x@example.test"), None, "x"),
        ];
        for (email, organization, expected) in rows {
            assert_eq!(from_identity(email, organization), expected);
        }
    }

    #[test]
    fn a_taken_label_gets_the_organisation_then_a_number() {
        let check = |taken: &[&str], organization, expected: &str| {
            assert_eq!(unique("jo", organization, |l| taken.contains(&l)), expected);
        };
        check(&[], Some("Acme"), "jo");
        check(&["jo"], Some("Acme"), "jo (Acme)");
        check(&["jo", "jo (Acme)"], Some("Acme"), "jo (Acme) 2");
        check(&["jo"], None, "jo 2");
        check(&["jo", "jo 2", "jo 3"], None, "jo 4");
    }

    proptest! {
        #[test]
        fn every_made_label_is_valid(wish in ".{0,90}", organization in ".{0,90}", times in 0_usize..4) {
            let mut taken: Vec<String> = Vec::new();
            for _ in 0..=times {
                let label = unique(&wish, Some(&organization), |l| taken.iter().any(|t| t == l));
                prop_assert_eq!(check_label(&label), Ok(label.as_str()));
                prop_assert!(!taken.contains(&label));
                taken.push(label);
            }
        }
    }
}
