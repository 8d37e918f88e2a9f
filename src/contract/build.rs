//! By what one executable tells which version another one is, without starting it.

/// Stands in the launcher's executable, in the text for a missing sibling: `ccp launcher 0.1.0`.
pub const LAUNCHER: &str = concat!("ccp launcher ", env!("CARGO_PKG_VERSION"), " ");

/// The version of the launcher whose executable these bytes are; none when they are no launcher's.
#[must_use]
pub fn launcher_version(executable: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"ccp launcher ";
    let is_version = |b: &u8| b.is_ascii_alphanumeric() || b"-+.".contains(b);
    executable
        .windows(MARK.len())
        .enumerate()
        .find_map(|(at, found)| {
            if found != MARK {
                return None;
            }
            let rest = &executable[at + MARK.len()..];
            let length = rest.iter().take_while(|b| is_version(b)).count();
            let text = std::str::from_utf8(&rest[..length]).ok()?;
            let numbered = text.starts_with(|c: char| c.is_ascii_digit());
            (numbered && rest.get(length) == Some(&b' ')).then(|| text.to_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_bytes() {
        let rows: [(&[u8], Option<&str>); 5] = [
            (b"\x7fELF..ccp launcher 0.1.0 needs..", Some("0.1.0")),
            (
                b"ccp launcher ccp launcher 1.2.3-rc.1 x",
                Some("1.2.3-rc.1"),
            ),
            (b"ccp launcher 0.1.0", None),
            (b"ccp launcher  ", None),
            (b"", None),
        ];
        for (bytes, expected) in rows {
            assert_eq!(launcher_version(bytes).as_deref(), expected);
        }
        let own = launcher_version(LAUNCHER.as_bytes());
        assert_eq!(own.as_deref(), Some(env!("CARGO_PKG_VERSION")));
    }
}
