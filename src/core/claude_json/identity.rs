//! Whose login a config directory belongs to, as its `.claude.json` says. The account's uuid together with the
//! organisation's is what tells two accounts apart: a personal plan and a team seat share an email address.

use super::document::Document;
use serde_json::Value;

/// The identity that claude keeps under `oauthAccount` after a subscription login.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// `accountUuid`; never empty.
    pub account_uuid: String,
    /// `organizationUuid`.
    pub organization_uuid: Option<String>,
    /// `emailAddress`.
    pub email: Option<String>,
    /// `organizationName`.
    pub organization_name: Option<String>,
    /// `displayName`: what the person is called.
    pub display_name: Option<String>,
    /// `organizationType`, for example `claude_max` or `claude_team`.
    pub organization_type: Option<String>,
    /// `organizationRole`, for example `admin`.
    pub organization_role: Option<String>,
}

/// The longest text taken from an identity, in bytes; a longer one is nobody's name or address.
const MAX_TEXT: usize = 1024;

/// The identity in the text of a `.claude.json`. None when the text does not parse, nobody is logged in, or there is no
/// account uuid (a console login writes none that could be used). Fields of another type than text are as if absent.
#[must_use]
pub fn identity(text: &str) -> Option<Identity> {
    let document = Document::parse(text)?;
    let account: Value = serde_json::from_str(document.value("oauthAccount")?).ok()?;
    let field = |key: &str| {
        let text = account.get(key)?.as_str()?.trim();
        (!text.is_empty() && text.len() <= MAX_TEXT).then(|| text.to_owned())
    };
    Some(Identity {
        account_uuid: field("accountUuid")?,
        organization_uuid: field("organizationUuid"),
        email: field("emailAddress"),
        organization_name: field("organizationName"),
        display_name: field("displayName"),
        organization_type: field("organizationType"),
        organization_role: field("organizationRole"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_tolerantly() {
        let full = r#"{"numStartups":3,"oauthAccount":{"accountUuid":"a-1","organizationUuid":"o-1",
            "emailAddress":"me@example.com","organizationName":"Home","displayName":"Me","extra":[1]}}"#;
        let found = identity(full).expect("is there");
        assert_eq!(found.account_uuid, "a-1");
        assert_eq!(found.organization_uuid.as_deref(), Some("o-1"));
        assert_eq!(found.email.as_deref(), Some("me@example.com"));
        assert_eq!(found.organization_name.as_deref(), Some("Home"));
        assert_eq!(found.display_name.as_deref(), Some("Me"));
        assert_eq!(found.organization_role, None);

        let odd =
            r#"{"oauthAccount":{"accountUuid":" a ","emailAddress":7,"organizationUuid":""}}"#;
        let found = identity(odd).expect("is there");
        assert_eq!(
            (
                found.account_uuid.as_str(),
                found.email,
                found.organization_uuid
            ),
            ("a", None, None)
        );
    }

    #[test]
    fn nobody_is_logged_in() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"oauthAccount\":null}",
            "{\"oauthAccount\":\"me\"}",
            "{\"oauthAccount\":{}}",
            "{\"oauthAccount\":{\"accountUuid\":\"\"}}",
            "{\"oauthAccount\":{\"accountUuid\":\"a\"}",
            "{\"projects\":{\"oauthAccount\":{\"accountUuid\":\"a\"}}}",
        ] {
            assert_eq!(identity(text), None, "{text}");
        }
        let long = format!(
            "{{\"oauthAccount\":{{\"accountUuid\":\"{}\"}}}}",
            "x".repeat(MAX_TEXT + 1)
        );
        assert_eq!(identity(&long), None);
    }
}
