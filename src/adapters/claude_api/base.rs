//! Where the service is. It can be moved for tests, but never to where a token could be read on the way.

use reqwest::Url;
use std::net::IpAddr;

/// The base URL of the service: https anywhere, or http on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBase(Url);

/// Why a text is no base URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// No URL at all.
    #[error("{text} is not a URL")]
    NotAUrl {
        /// The text.
        text: String,
    },
    /// The token would travel in the clear.
    #[error("{text} is neither https nor on this machine")]
    NotPrivate {
        /// The text.
        text: String,
    },
    /// A user name, a query or a fragment, which no base has.
    #[error("{text} has more than a host and a path")]
    TooMuch {
        /// The text.
        text: String,
    },
}

impl Default for ApiBase {
    fn default() -> Self {
        let url = Url::parse(crate::contract::vars::FIRST_PARTY_BASE_URL);
        Self(url.expect("the service's own address is a URL"))
    }
}

impl ApiBase {
    /// Where tokens are renewed when nothing else is said.
    #[must_use]
    pub fn of_tokens() -> Self {
        let url = Url::parse(crate::contract::vars::FIRST_PARTY_OAUTH_URL);
        Self(url.expect("the service's own address is a URL"))
    }

    /// Reads the value of `CCP_API_BASE` or `CCP_OAUTH_BASE`.
    pub fn parse(text: &str) -> Result<Self, BaseError> {
        let owned = || text.to_owned();
        let url = Url::parse(text).map_err(|_| BaseError::NotAUrl { text: owned() })?;
        if !url.username().is_empty() || url.password().is_some() {
            // Not repeated: it holds a secret.
            return Err(BaseError::TooMuch {
                text: "the base URL".to_owned(),
            });
        }
        if url.query().is_some() || url.fragment().is_some() || url.cannot_be_a_base() {
            return Err(BaseError::TooMuch { text: owned() });
        }
        let base = Self(url);
        match base.0.scheme() {
            "https" => Ok(base),
            "http" if base.is_loopback() => Ok(base),
            _ => Err(BaseError::NotPrivate { text: owned() }),
        }
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || bare.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
    }

    /// The URL of a path below it.
    pub(super) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        let below = format!("{}/{path}", self.0.path().trim_end_matches('/'));
        url.set_path(&below);
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_to_https_or_this_machine_alone() {
        for good in [
            "https://api.anthropic.com",
            "https://example.test:8443/v1/",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://localhost:1",
            "http://[::1]:9",
        ] {
            assert!(ApiBase::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "127.0.0.1:80",
            "http://example.test",
            "http://localhost.example.test",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://user:pass@example.test",
            "https://example.test/?a=b",
            "https://example.test/#x",
            "unix:/run/x",
        ] {
            assert!(ApiBase::parse(bad).is_err(), "{bad}");
        }
        let error = ApiBase::parse("https://u:made-up@example.test").expect_err("refused");
        assert!(!error.to_string().contains("made-up"));
    }

    #[test]
    fn paths_are_appended() {
        let url = |base: &str| {
            let base = ApiBase::parse(base).expect("a base");
            base.join("api/oauth/usage").to_string()
        };
        assert_eq!(url("https://a.test"), "https://a.test/api/oauth/usage");
        assert_eq!(url("https://a.test/x/"), "https://a.test/x/api/oauth/usage");
    }
}
