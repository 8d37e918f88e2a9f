//! How claude names the Keychain item of a config directory (read in the client for darwin, 2.1.329; the same logic is in
//! the Linux clients). Only the suffixed name of a directory can be made here: the unsuffixed one is plain claude's.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::Path;
use unicode_normalization::UnicodeNormalization;

/// The account name claude falls back to.
const FALLBACK_USER: &str = "claude-code-user";

/// Service of the item: `Claude Code-credentials-` and the first eight hexadecimal digits of the SHA-256 of the
/// directory's string in normal form C. Claude hashes the very string of `CLAUDE_CONFIG_DIR`, links not resolved.
#[must_use]
pub fn service(config_dir: &Path) -> String {
    // Bytes that are no text reach claude as replacement characters too.
    let text: String = config_dir.to_string_lossy().nfc().collect();
    let digest = Sha256::digest(text.as_bytes());
    let mut name = String::from("Claude Code-credentials-");
    for byte in digest.iter().take(4) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// Account of the item: the user's name (`$USER`, else the system's) when it is plain, else a fixed one.
#[must_use]
pub fn account(user: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !user.is_empty() && user.bytes().all(is_plain) {
        user
    } else {
        FALLBACK_USER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_as_claude_names_them() {
        let rows = [
            ("/Users/me/.cc-pool/accounts/acct-01", "2dd905fc"),
            ("/Users/ren\u{e9}/.cc-pool/accounts/acct-02", "e4dacead"),
            // Decomposed, as old file systems spell it.
            ("/Users/rene\u{301}/.cc-pool/accounts/acct-02", "e4dacead"),
            ("/h/accounts/acct-10", "fdbfb4a3"),
        ];
        for (dir, digits) in rows {
            assert_eq!(
                service(Path::new(dir)),
                format!("Claude Code-credentials-{digits}"),
                "{dir}"
            );
        }
    }

    #[test]
    fn users_with_plain_names_are_named() {
        let rows = [
            ("me", "me"),
            ("a.b_c-9", "a.b_c-9"),
            ("", FALLBACK_USER),
            ("a b", FALLBACK_USER),
            ("ren\u{e9}", FALLBACK_USER),
            ("a\nb", FALLBACK_USER),
        ];
        for (user, expected) in rows {
            assert_eq!(account(user), expected, "{user}");
        }
    }
}
