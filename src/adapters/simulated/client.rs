//! The smallest HTTP client that can talk to the service: one request, one connection, loopback only.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A held answer ends the wait some time; the real client waits ten minutes for a message.
const TIMEOUT: Duration = Duration::from_secs(600);
/// No answer of the service is near this.
const MAX_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header by its lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends one request to `base` (`http://127.0.0.1:PORT`) and reads the answer.
///
/// # Errors
/// When `base` is not on loopback, or the connection fails.
pub fn send(
    base: &str,
    method: &str,
    path: &str,
    bearer: Option<&str>,
    body: Option<&Value>,
) -> io::Result<Answer> {
    let address = loopback(base)?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    head.push_str(&format!(
        "content-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    ));
    if let Some(bearer) = bearer {
        head.push_str(&format!("authorization: Bearer {bearer}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    read_answer(&mut BufReader::new(stream.take(MAX_ANSWER_BYTES)))
}

/// Plays the browser: opens the authorize page of the service at `base` and follows it back to the client that waits
/// on loopback. Returns the status of that client's answer.
///
/// # Errors
/// When nobody is signed in at the page, or a connection fails.
pub fn browse(base: &str, authorize_url: &str) -> io::Result<u16> {
    let query = authorize_url.split_once('?').map_or("", |(_, query)| query);
    let page = send(
        base,
        "GET",
        &format!("/cai/oauth/authorize?{query}"),
        None,
        None,
    )?;
    let denied = || {
        io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the authorize page sent nobody back",
        )
    };
    let callback = page.header("location").ok_or_else(denied)?;
    let rest = callback.strip_prefix("http://").ok_or_else(denied)?;
    let (host, path) = rest.split_once('/').ok_or_else(denied)?;
    Ok(send(
        &format!("http://{host}"),
        "GET",
        &format!("/{path}"),
        None,
        None,
    )?
    .status)
}

/// Whether `base` can be the service: an address of loopback.
#[must_use]
pub fn is_loopback(base: &str) -> bool {
    loopback(base).is_ok()
}

/// `http://127.0.0.1:PORT`, with or without a slash at the end; nothing else is ever connected to.
fn loopback(base: &str) -> io::Result<SocketAddr> {
    let refused = || {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "the simulated service is on loopback only",
        )
    };
    let address = base
        .strip_prefix("http://")
        .ok_or_else(refused)?
        .trim_end_matches('/');
    let address = address
        .strip_prefix("localhost:")
        .map_or(address.to_owned(), |port| format!("127.0.0.1:{port}"));
    let address: SocketAddr = address.parse().map_err(|_| refused())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err(refused())
    }
}

fn read_answer(reader: &mut impl BufRead) -> io::Result<Answer> {
    let malformed = || io::Error::new(io::ErrorKind::InvalidData, "answer is not HTTP");
    let mut answer = Answer::default();
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let status = line.split_whitespace().nth(1).ok_or_else(malformed)?;
    answer.status = status.parse().map_err(|_| malformed())?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(malformed());
        }
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        answer
            .headers
            .push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length: Option<u64> = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = Vec::new();
    reader
        .take(length.unwrap_or(MAX_ANSWER_BYTES))
        .read_to_end(&mut body)?;
    answer.body = String::from_utf8_lossy(&body).into_owned();
    Ok(answer)
}
