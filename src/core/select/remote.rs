//! Where a git repository is kept elsewhere, as one text whatever way of access its URL names, and what a pattern makes of
//! it.

/// `host/path` of a remote's URL, without user, port and `.git`: `git@host:a/b.git`, `ssh://git@host/a/b` and
/// `https://host/a/b.git` are all `host/a/b`. A path of this machine stays a path.
#[must_use]
pub fn normalized(url: &str) -> String {
    let url = url.trim();
    let (host, path) = match url.split_once("://") {
        Some((_, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            (without_port(without_user(authority)), path)
        }
        None => match scp_like(url) {
            Some((authority, path)) => (without_user(authority), path),
            None => return tidy_path(url).to_owned(),
        },
    };
    if host.is_empty() {
        // `file:///srv/a.git`
        return format!("/{}", tidy_path(path));
    }
    let path = tidy_path(path).trim_start_matches('/');
    join(host, path)
}

/// A pattern as it is compared: written as `host/path`, or as any URL that a remote may have. The host is lower case.
fn pattern(text: &str) -> String {
    let text = text.trim();
    if text.contains("://") || scp_like(text).is_some() {
        return normalized(text);
    }
    match tidy_path(text).split_once('/') {
        Some((host, path)) => join(host, path),
        None => tidy_path(text).to_lowercase(),
    }
}

/// Whether a pattern matches a remote's URL. `*` stands for any text, `/` included; everything else stands for itself, and
/// the host's case does not count.
#[must_use]
pub fn matches(wanted: &str, url: &str) -> bool {
    is_like(pattern(wanted).as_bytes(), normalized(url).as_bytes())
}

fn join(host: &str, path: &str) -> String {
    let host = host.to_lowercase();
    if path.is_empty() {
        host
    } else {
        format!("{host}/{path}")
    }
}

fn tidy_path(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.strip_suffix(".git")
        .unwrap_or(path)
        .trim_end_matches('/')
}

fn without_user(authority: &str) -> &str {
    authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host)
}

/// `host:22` is `host`, and `[::1]:22` is `[::1]`.
fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// `user@host:path`, as ssh copies: the colon comes before any slash, and not inside brackets.
fn scp_like(url: &str) -> Option<(&str, &str)> {
    let start = url.find(']').map_or(0, |end| end + 1);
    let colon = start + url[start..].find(':')?;
    let (authority, path) = (&url[..colon], &url[colon + 1..]);
    (!authority.is_empty() && !authority.contains('/')).then_some((authority, path))
}

/// Compares with `*` standing for any text, in time of at most one length times the other.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last `*` was, and what it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match &mut star {
                Some((at, until)) => {
                    *until += 1;
                    (p, t) = (*at + 1, *until);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_way_to_the_same_repository_is_the_same() {
        let rows = [
            ("git@github.com:acme/app.git", "github.com/acme/app"),
            ("github.com:acme/app", "github.com/acme/app"),
            ("git@GitHub.com:/acme/app.git/", "github.com/acme/app"),
            ("ssh://git@github.com/acme/app", "github.com/acme/app"),
            (
                "ssh://git@github.com:22/acme/app.git",
                "github.com/acme/app",
            ),
            ("https://GITHUB.com/acme/App.git", "github.com/acme/App"),
            (
                "https://me:secret@github.com/acme/app/",
                "github.com/acme/app",
            ),
            ("http://host:8080/a", "host/a"),
            ("https://host", "host"),
            ("ssh://git@[::1]:22/a/b", "[::1]/a/b"),
            ("git@[::1]:a/b", "[::1]/a/b"),
            ("file:///srv/git/a.git", "/srv/git/a"),
            ("/srv/git/a.git", "/srv/git/a"),
            ("../a.git", "../a"),
            ("./a:b", "./a:b"),
            ("", ""),
        ];
        for (url, expected) in rows {
            assert_eq!(normalized(url), expected, "{url}");
        }
    }

    #[test]
    fn patterns_match_what_they_say() {
        let app = "git@github.com:acme/app.git";
        let rows = [
            ("github.com/acme/*", app, true),
            ("GitHub.com/acme/*", app, true),
            ("github.com/Acme/*", app, false),
            ("github.com/acme/app", app, true),
            ("github.com/acme/app.git", app, true),
            ("github.com/acme", app, false),
            ("github.com/acme/ap", app, false),
            ("github.com/*", app, true),
            ("*/acme/*", app, true),
            ("*", app, true),
            ("*.com/*/app", app, true),
            ("git@github.com:acme/*", app, true),
            ("https://github.com/acme/*", app, true),
            ("https://github.com/acme/*.git", app, true),
            ("gitlab.com/acme/*", "https://gitlab.com/acme/sub/app", true),
            (
                "github.com/acme/*",
                "https://github.com.evil.net/acme/app",
                false,
            ),
            (
                "github.com/acme/*",
                "https://evil.net/github.com/acme/app",
                false,
            ),
            (
                "github.com/acme/*",
                "https://evil.net/@github.com/acme/app",
                false,
            ),
            ("/srv/git/*", "/srv/git/a.git", true),
            ("/srv/git/*", "file:///srv/git/a", true),
            ("a*b*c", "https://a1b2b3c", true),
            ("a*b*c", "https://a1c2b", false),
        ];
        for (wanted, url, expected) in rows {
            assert_eq!(matches(wanted, url), expected, "{wanted} {url}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_a_file_may_hold_is_too_much(wanted in ".{0,40}", url in ".{0,40}") {
            let _ = matches(&wanted, &url);
            prop_assert!(matches("*", &url));
        }

        #[test]
        fn a_star_stands_for_any_text(
            before in "[a-z./]{0,6}", between in "[a-z./*]{0,6}", after in "[a-z./]{0,6}",
        ) {
            let text = format!("{before}{between}{after}");
            let wanted = format!("{before}*{after}");
            prop_assert!(is_like(wanted.as_bytes(), text.as_bytes()));
        }
    }
}
