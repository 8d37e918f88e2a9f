//! Assignments in the syntax of a shell, quoted so that any path comes out as it went in.

use crate::cli::arguments::EnvShell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

/// A variable to set, or to unset where there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: &'static str,
    pub(super) value: Option<OsString>,
}

/// The lines; an error says what cannot be expressed.
pub(super) fn write(changes: &[Change], shell: EnvShell) -> Result<Vec<u8>, String> {
    if shell == EnvShell::Json {
        return json(changes);
    }
    let mut lines = Vec::new();
    for change in changes {
        let name = change.name.as_bytes();
        match (&change.value, shell) {
            (Some(value), EnvShell::Fish) => {
                lines.extend([b"set -gx ", name, b" ", &fish(value.as_bytes())].concat());
            }
            (Some(_), EnvShell::Nu) => {
                let value = text(change, "Nushell")?;
                lines.extend([b"$env.", name, b" = ", nu(value).as_bytes()].concat());
            }
            (Some(value), _) => {
                lines.extend([b"export ", name, b"=", &posix(value.as_bytes())].concat());
            }
            (None, EnvShell::Fish) => lines.extend([b"set -e ", name].concat()),
            (None, EnvShell::Nu) => lines.extend([b"hide-env -i ", name].concat()),
            (None, _) => lines.extend([b"unset ", name].concat()),
        }
        lines.push(b'\n');
    }
    Ok(lines)
}

/// A JSON object; null stands for a variable to unset.
fn json(changes: &[Change]) -> Result<Vec<u8>, String> {
    let mut object = serde_json::Map::new();
    for change in changes {
        let value = match &change.value {
            Some(_) => serde_json::Value::from(text(change, "JSON")?),
            None => serde_json::Value::Null,
        };
        object.insert(change.name.to_owned(), value);
    }
    let mut text = serde_json::Value::from(object).to_string().into_bytes();
    text.push(b'\n');
    Ok(text)
}

fn text<'a>(change: &'a Change, language: &str) -> Result<&'a str, String> {
    let value = change.value.as_deref().unwrap_or_default();
    value.to_str().ok_or_else(|| {
        format!(
            "{language} cannot express {}: it is not UTF-8",
            value.display()
        )
    })
}

/// In single quotes nothing is special but the quote itself, in every POSIX shell, zsh with RC_QUOTES included. Bytes
/// that are no text pass as they are.
pub(in crate::cli) fn posix(value: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for byte in value {
        match byte {
            b'\'' => quoted.extend(b"'\\''"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'\'');
    quoted
}

/// In fish's single quotes the quote and the backslash are special. A byte that is no text is written `\Xhh`, outside.
fn fish(value: &[u8]) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for chunk in value.utf8_chunks() {
        for byte in chunk.valid().bytes() {
            if matches!(byte, b'\'' | b'\\') {
                quoted.push(b'\\');
            }
            quoted.push(byte);
        }
        if !chunk.invalid().is_empty() {
            quoted.push(b'\'');
            for byte in chunk.invalid() {
                quoted.extend(format!("\\X{byte:02x}").bytes());
            }
            quoted.push(b'\'');
        }
    }
    quoted.push(b'\'');
    quoted
}

/// A double-quoted string of Nushell; without interpolation only the quote, the backslash and controls are special.
fn nu(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => quoted.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::ffi::OsStr;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn set(value: &[u8]) -> Change {
        Change {
            name: "V",
            value: Some(OsStr::from_bytes(value).to_owned()),
        }
    }

    fn written(change: Change, shell: EnvShell) -> Result<String, String> {
        write(&[change], shell).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn every_syntax_quotes_what_is_special_in_it() {
        let value = b"/a 'b' \"c\" \\d $e\n`f`";
        let rows = [
            (
                EnvShell::Bash,
                "export V='/a '\\''b'\\'' \"c\" \\d $e\n`f`'\n",
            ),
            (
                EnvShell::Zsh,
                "export V='/a '\\''b'\\'' \"c\" \\d $e\n`f`'\n",
            ),
            (
                EnvShell::Fish,
                "set -gx V '/a \\'b\\' \"c\" \\\\d $e\n`f`'\n",
            ),
            (
                EnvShell::Nu,
                "$env.V = \"/a 'b' \\\"c\\\" \\\\d $e\\n`f`\"\n",
            ),
            (
                EnvShell::Json,
                "{\"V\":\"/a 'b' \\\"c\\\" \\\\d $e\\n`f`\"}\n",
            ),
        ];
        for (shell, expected) in rows {
            assert_eq!(
                written(set(value), shell).as_deref(),
                Ok(expected),
                "{shell:?}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass_or_are_refused_aloud() {
        let value = b"/a\xff/b";
        assert_eq!(
            write(&[set(value)], EnvShell::Bash),
            Ok(b"export V='/a\xff/b'\n".to_vec())
        );
        assert_eq!(
            written(set(value), EnvShell::Fish).as_deref(),
            Ok("set -gx V '/a'\\Xff'/b'\n")
        );
        for shell in [EnvShell::Nu, EnvShell::Json] {
            let problem = written(set(value), shell).expect_err("is refused");
            assert!(problem.contains("not UTF-8"), "{problem}");
        }
    }

    #[test]
    fn a_variable_is_unset_in_every_syntax() {
        let rows = [
            (EnvShell::Bash, "unset V\n"),
            (EnvShell::Fish, "set -e V\n"),
            (EnvShell::Nu, "hide-env -i V\n"),
            (EnvShell::Json, "{\"V\":null}\n"),
        ];
        for (shell, expected) in rows {
            let change = Change {
                name: "V",
                value: None,
            };
            assert_eq!(written(change, shell).as_deref(), Ok(expected));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_real_shell_reads_back_every_path(value in proptest::collection::vec(1_u8.., 0..60)) {
            let mut script = write(&[set(&value)], EnvShell::Bash).expect("bash can express everything");
            script.extend(b"printf %s \"$V\"");
            let mut shell = Command::new("/bin/sh")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("there is a shell");
            shell.stdin.take().expect("a pipe").write_all(&script).expect("writes");
            let output = shell.wait_with_output().expect("ends");
            prop_assert_eq!(output.stdout, value);
        }
    }
}
