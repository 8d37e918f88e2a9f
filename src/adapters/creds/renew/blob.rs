//! claude's blob of logins as text: what a renewal has to know of it, and the few places a renewal changes. Everything
//! else, the tokens of MCP servers, unknown keys, blanks and line ends, stays as it is to the byte. Pure: bytes in,
//! bytes out.

use super::{Grant, Secret};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::ops::Range;
use zeroize::Zeroizing;

/// The blob is not what claude writes; the parser's own words may quote it, so they are not kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreadable;

/// What stands in a blob.
#[derive(Debug)]
pub(super) enum Content {
    /// No login, as after signing out.
    Nothing,
    /// A login that claude blanked because the service refused it.
    Blanked,
    /// A login.
    Login(Login),
}

/// A login, as far as renewing it needs it.
#[derive(Debug)]
pub(super) struct Login {
    /// Good for one renewal.
    pub refresh: Secret,
    /// When the access token ends, in milliseconds since the Unix epoch; none where claude never renews it.
    pub expires_at_ms: Option<f64>,
    /// The client that signed in, where it is not the usual one.
    pub client_id: Option<String>,
    /// What the tokens are good for; empty where that is not said.
    pub scopes: Vec<String>,
    /// claude knows of a subscription.
    pub is_subscription: bool,
}

#[derive(Deserialize)]
struct Blob<'a> {
    #[serde(borrow, default, rename = "claudeAiOauth")]
    login: Option<&'a RawValue>,
}

/// The places of the values; `Some` also for `null`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow, default, deserialize_with = "raw")]
    access_token: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    refresh_token: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    expires_at: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    refresh_token_expires_at: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    scopes: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    client_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    subscription_type: Option<&'a RawValue>,
}

fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// The places in `blob`; none when there is no login. A key that stands twice is refused: who reads which is not known.
fn fields(blob: &[u8]) -> Result<Option<Fields<'_>>, Unreadable> {
    let text = std::str::from_utf8(blob).map_err(|_| Unreadable)?;
    let blob: Blob<'_> = object(text)?;
    blob.login.map(|login| object(login.get())).transpose()
}

/// An object; a list of the same values would be taken for one.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Unreadable> {
    if !text.trim_start().starts_with('{') {
        return Err(Unreadable);
    }
    serde_json::from_str(text).map_err(|_| Unreadable)
}

/// Reads what stands in a blob.
pub(super) fn read(blob: &[u8]) -> Result<Content, Unreadable> {
    let Some(fields) = fields(blob)? else {
        return Ok(Content::Nothing);
    };
    let text = |raw: Option<&RawValue>| -> Option<String> {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
    };
    match text(fields.refresh_token).map(Secret::new) {
        Some(refresh) if refresh.expose().is_empty() => Ok(Content::Blanked),
        Some(refresh) => Ok(Content::Login(Login {
            refresh,
            expires_at_ms: fields
                .expires_at
                .and_then(|raw| serde_json::from_str(raw.get()).ok()),
            client_id: text(fields.client_id).filter(|id| !id.is_empty()),
            scopes: fields
                .scopes
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
                .unwrap_or_default(),
            is_subscription: text(fields.subscription_type).is_some_and(|t| !t.is_empty()),
        })),
        None => Ok(Content::Nothing),
    }
}

/// The blob with the tokens of `grant` in the place of its own.
pub(super) fn edit(blob: &[u8], grant: &Grant) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let fields = fields(blob)?.ok_or(Unreadable)?;
    let place = |raw: Option<&RawValue>| raw.map(|raw| span(blob, raw)).ok_or(Unreadable);
    let expires = place(fields.expires_at)?;
    let mut changes = vec![
        (place(fields.access_token)?, quoted(grant.access.expose())),
        (expires.clone(), number(grant.expires_at.unix_ms())),
    ];
    if let Some(refresh) = &grant.refresh {
        changes.push((place(fields.refresh_token)?, quoted(refresh.expose())));
    }
    if let Some(ends) = grant.refresh_expires_at {
        let ends = number(ends.unix_ms());
        changes.push(match fields.refresh_token_expires_at {
            Some(raw) => (span(blob, raw), ends),
            None => {
                let text = format!(",\"refreshTokenExpiresAt\":{}", ends.as_str());
                (expires.end..expires.end, Zeroizing::new(text))
            }
        });
    }
    if let (Some(scopes), Some(raw)) = (&grant.scopes, fields.scopes) {
        let same = serde_json::from_str::<Vec<String>>(raw.get()).is_ok_and(|old| old == *scopes);
        if !same {
            let list: Vec<String> = scopes.iter().map(|s| quoted(s).to_string()).collect();
            let text = format!("[{}]", list.join(","));
            changes.push((span(blob, raw), Zeroizing::new(text)));
        }
    }
    Ok(replaced(blob, changes))
}

fn replaced(
    blob: &[u8],
    mut changes: Vec<(Range<usize>, Zeroizing<String>)>,
) -> Zeroizing<Vec<u8>> {
    changes.sort_by_key(|(range, _)| (range.start, range.end));
    let added: usize = changes.iter().map(|(_, text)| text.len()).sum();
    // With room for all of it, so that growing leaves no copy behind.
    let mut edited = Zeroizing::new(Vec::with_capacity(blob.len() + added));
    let mut from = 0;
    for (range, text) in changes {
        edited.extend_from_slice(&blob[from..range.start]);
        edited.extend_from_slice(text.as_bytes());
        from = range.end;
    }
    edited.extend_from_slice(&blob[from..]);
    edited
}

/// Where a borrowed value stands in the text it was borrowed from.
fn span(blob: &[u8], raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr() as usize - blob.as_ptr() as usize;
    start..start + raw.get().len()
}

/// A JSON string. Written into room for the longest spelling, so that growing leaves no copy behind.
pub(super) fn quoted(text: &str) -> Zeroizing<String> {
    let mut bytes = Vec::with_capacity(text.len() * 6 + 2);
    serde_json::to_writer(&mut bytes, text).expect("a text is JSON and memory takes it");
    Zeroizing::new(String::from_utf8(bytes).expect("JSON is text"))
}

fn number(ms: i64) -> Zeroizing<String> {
    Zeroizing::new(ms.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::Timestamp;
    use proptest::prelude::*;

    fn grant() -> Grant {
        Grant {
            access: Secret::new("new \"access\"".to_owned()),
            refresh: Some(Secret::new("new-refresh".to_owned())),
            expires_at: Timestamp::from_unix_ms(1_900_000_000_123),
            refresh_expires_at: None,
            scopes: None,
        }
    }

    fn check(before: &str, grant: &Grant, after: &str) {
        let edited = edit(before.as_bytes(), grant).expect("is readable");
        assert_eq!(String::from_utf8_lossy(&edited), after);
    }

    #[test]
    fn only_the_values_of_the_login_change() {
        check(
            "{ \"mcpOAuth\" : {\"a|b\":{\"accessToken\":\"mcp\",\"n\":1.50e3}},\n\t\"claudeAiOauth\": {\"accessToken\" : \"old\",\
             \"x\":[ ], \"expiresAt\":7 ,\"refreshToken\":\"old-r\",\"scopes\":[\"a\" , \"b\"]} , \"z\":null}\n",
            &grant(),
            "{ \"mcpOAuth\" : {\"a|b\":{\"accessToken\":\"mcp\",\"n\":1.50e3}},\n\t\"claudeAiOauth\": {\"accessToken\" : \"new \\\"access\\\"\",\
             \"x\":[ ], \"expiresAt\":1900000000123 ,\"refreshToken\":\"new-refresh\",\"scopes\":[\"a\" , \"b\"]} , \"z\":null}\n",
        );
    }

    #[test]
    fn what_the_service_does_not_say_stays_and_what_it_says_is_taken() {
        let before = r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","expiresAt":1,"scopes":["x"]}}"#;
        let kept = Grant {
            access: Secret::new("b".to_owned()),
            refresh: None,
            expires_at: Timestamp::from_unix_ms(2),
            refresh_expires_at: Some(Timestamp::from_unix_ms(3)),
            scopes: Some(vec!["x".to_owned(), "y".to_owned()]),
        };
        check(
            before,
            &kept,
            r#"{"claudeAiOauth":{"accessToken":"b","refreshToken":"r","expiresAt":2,"refreshTokenExpiresAt":3,"scopes":["x","y"]}}"#,
        );
        check(
            r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":"r","refreshTokenExpiresAt":null,"expiresAt":1}}"#,
            &kept,
            r#"{"claudeAiOauth":{"accessToken":"b","refreshToken":"r","refreshTokenExpiresAt":3,"expiresAt":2}}"#,
        );
    }

    #[test]
    fn a_blob_is_a_login_or_blanked_or_nothing_or_not_readable() {
        let rows = [
            ("{}", "nothing"),
            (r#"{"claudeAiOauth":null}"#, "nothing"),
            (r#"{"claudeAiOauth":{}}"#, "nothing"),
            (
                r#"{"claudeAiOauth":{"accessToken":"a","refreshToken":null}}"#,
                "nothing",
            ),
            (
                r#"{"claudeAiOauth":{"accessToken":"","refreshToken":"","expiresAt":0}}"#,
                "blanked",
            ),
            (
                r#"{"claudeAiOauth":{"refreshToken":"r","expiresAt":5}}"#,
                "login 5",
            ),
            (
                r#"{"claudeAiOauth":{"refreshToken":"r","expiresAt":null}}"#,
                "login never",
            ),
            (r#"{"claudeAiOauth":{"refreshToken":"r"}}"#, "login never"),
            ("", "unreadable"),
            ("[]", "unreadable"),
            (r#"{"claudeAiOauth":3}"#, "unreadable"),
            (r#"{"claudeAiOauth":["a","r",5]}"#, "unreadable"),
            (
                r#"{"claudeAiOauth":{"refreshToken":"r","refreshToken":"s"}}"#,
                "unreadable",
            ),
            (
                r#"{"claudeAiOauth":{"refreshToken":"r"},"claudeAiOauth":{}}"#,
                "unreadable",
            ),
        ];
        for (blob, expected) in rows {
            let found = match read(blob.as_bytes()) {
                Ok(Content::Nothing) => "nothing".to_owned(),
                Ok(Content::Blanked) => "blanked".to_owned(),
                Ok(Content::Login(login)) => match login.expires_at_ms {
                    Some(ms) => format!("login {ms}"),
                    None => "login never".to_owned(),
                },
                Err(Unreadable) => "unreadable".to_owned(),
            };
            assert_eq!(found, expected, "{blob}");
        }
    }

    /// A JSON value as some other program might spell it.
    fn foreign() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("null".to_owned()),
            Just("1.0e2".to_owned()),
            Just("[ 1 ,\t{\"accessToken\":\"deep\"}]".to_owned()),
            Just("{\"expiresAt\" : 5}".to_owned()),
            "[a-z\u{e9}{}:,]{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
        ]
    }

    proptest! {
        #[test]
        fn every_other_byte_stays_wherever_the_keys_stand(
            outer in proptest::collection::vec(foreign(), 0..4),
            inner in proptest::collection::vec(foreign(), 0..4),
            at in 0usize..4,
            order in Just(["accessToken", "refreshToken", "expiresAt"]).prop_shuffle(),
            blank in "[ \n\t]{0,2}",
        ) {
            let write = |values: [&str; 3]| {
                let value = |key| match key {
                    "accessToken" => values[0],
                    "refreshToken" => values[1],
                    _ => values[2],
                };
                let mut login: Vec<String> = inner.iter().enumerate().map(|(i, v)| format!("\"i{i}\"{blank}:{v}")).collect();
                for key in order {
                    let place = at.min(login.len());
                    login.insert(place, format!("\"{key}\"{blank}:{blank}{}", value(key)));
                }
                let mut top: Vec<String> = outer.iter().enumerate().map(|(i, v)| format!("\"o{i}\":{v}{blank}")).collect();
                top.insert(at.min(top.len()), format!("\"claudeAiOauth\":{{{}}}", login.join(",")));
                format!("{{{blank}{}}}{blank}", top.join(","))
            };
            let before = write(["\"a\"", "\"r\"", "1"]);
            let after = write(["\"new \\\"access\\\"\"", "\"new-refresh\"", "1900000000123"]);
            let edited = edit(before.as_bytes(), &grant()).expect("is readable");
            prop_assert_eq!(String::from_utf8_lossy(&edited).into_owned(), after);
        }

        #[test]
        fn garbage_does_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes);
            let _ = edit(&bytes, &grant());
        }
    }
}
