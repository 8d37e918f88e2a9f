//! `ccp pool debug`: what is behind the sessions.

use super::arguments::Debug;
use super::stand::Stand;
use super::{Exchange, SOON, say, simple};
use crate::cli::failure::{Failure, Outcome};
use crate::contract::exit;
use crate::contract::pool::{Message, Reply, Request};

/// Runs `ccp pool debug`.
pub(super) fn run(stand: &Stand, action: &Debug) -> Outcome {
    match action {
        Debug::Slots => simple(stand, &Request::DebugSlots, SOON),
        Debug::Capture { slot, raw } => {
            let (slot, raw) = (*slot, *raw);
            simple(stand, &Request::DebugCapture { slot, raw }, SOON)
        }
        Debug::Input { session, data } => {
            let session_id = session.clone();
            let data = unescaped(data).map_err(Failure::new)?;
            simple(stand, &Request::Input { session_id, data }, SOON)
        }
        Debug::Logs { lines, follow } => logs(stand, *lines, *follow),
    }
}

fn logs(stand: &Stand, lines: u32, follow: bool) -> Outcome {
    let exchange = Exchange::open(stand)?;
    let mut client = exchange.link.connect()?;
    let answer = client.call(&Request::DebugLogs { lines, follow }, SOON);
    exchange.print(&answer.map_err(|error| exchange.failure(error))?)?;
    if !follow {
        return Ok(exit::OK);
    }
    loop {
        let received = client
            .receive(None)
            .map_err(|error| exchange.failure(error))?;
        // The daemon that wrote the log is gone, and nothing follows.
        let Some(received) = received else {
            return Ok(exit::OK);
        };
        match received.message {
            _ if stand.json => say(&format!("{}\n", received.raw))?,
            Message::Reply(Reply::Log { line }) => say(&format!("{line}\n"))?,
            _ => {}
        }
    }
}

/// Puts bytes for `\r`, `\n`, `\t`, `\e`, `\\` and `\xNN`.
fn unescaped(text: &str) -> Result<String, String> {
    let mut bytes = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        if next != '\\' {
            bytes.push(next);
            continue;
        }
        bytes.push(match chars.next() {
            Some('r') => '\r',
            Some('n') => '\n',
            Some('t') => '\t',
            Some('e') => '\u{1b}',
            Some('\\') => '\\',
            Some('x') => {
                let digits: String = chars.by_ref().take(2).collect();
                let byte = u8::from_str_radix(&digits, 16).ok().filter(u8::is_ascii);
                let byte = byte.filter(|_| digits.len() == 2);
                byte.map(char::from)
                    .ok_or_else(|| format!("`\\x{digits}` is no `\\x00` to `\\x7f`"))?
            }
            other => {
                let other = other.map(String::from).unwrap_or_default();
                return Err(format!("`\\{other}` means nothing; `\\\\` is a backslash"));
            }
        });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_can_be_written() {
        for (text, expected) in [
            ("hi\\r", Some("hi\r")),
            ("\\e[A\\x03", Some("\u{1b}[A\u{3}")),
            ("a\\\\b", Some("a\\b")),
            ("\\q", None),
            ("\\", None),
            ("\\x8", None),
            ("\\xff", None),
        ] {
            assert_eq!(unescaped(text).ok().as_deref(), expected, "{text}");
        }
    }
}
