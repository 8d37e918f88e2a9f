//! Just enough HTTP/1.1 for one client on loopback: keep-alive, `Content-Length`, bounded sizes. No chunked bodies.

use std::io::{self, BufRead, Read, Write};
use std::time::Duration;

use serde_json::Value;

use super::fault::Endpoint;

/// Request line and headers. Tokens and beta lists take a few kilobytes.
const MAX_HEAD_BYTES: u64 = 128 * 1024;
/// A conversation with pictures, base64: the real API takes 32 MB.
const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// One request, read whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    fn wants_close(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }
}

/// When the bytes of a response may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pacing {
    AtOnce,
    After(Duration),
    /// The head and the first event after `first`, then an event each `between`.
    Events {
        first: Duration,
        between: Duration,
    },
    /// Nothing before the fault of this account and endpoint is cleared.
    Held(String, Endpoint),
    /// Half of the body, then as `Held`.
    Stalled(String, Endpoint),
}

/// One response, composed whole.
#[derive(Clone, Debug)]
pub(super) struct Response {
    pub status: u16,
    pub content_type: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub pacing: Pacing,
}

impl Response {
    pub fn json(status: u16, body: &Value) -> Self {
        let body = body.to_string().into_bytes();
        Self {
            status,
            content_type: "application/json",
            headers: Vec::new(),
            body,
            pacing: Pacing::AtOnce,
        }
    }

    /// The shape of every API error.
    pub fn error(status: u16, kind: &str, message: &str) -> Self {
        let error = serde_json::json!({"type": kind, "message": message});
        Self::json(
            status,
            &serde_json::json!({"type": "error", "error": error, "request_id": "req_simulated"}),
        )
    }

    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Reads one request; `None` when the peer closed between two.
pub(super) fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut head = reader.take(MAX_HEAD_BYTES);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return Err(malformed("request line"));
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        ..Request::default()
    };
    loop {
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Err(malformed("header"));
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
        request
            .headers
            .push((name.trim().to_owned(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding").is_some() {
        return Err(malformed("transfer encoding"));
    }
    let length = match request.header("content-length") {
        Some(length) => length.parse().map_err(|_| malformed("content length"))?,
        None => 0,
    };
    if length > MAX_BODY_BYTES {
        return Err(malformed("body size"));
    }
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(Some(request))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("request refused: {what}"),
    )
}

/// Whether the connection may carry another request after this one.
pub(super) fn keeps_open(request: &Request) -> bool {
    !request.wants_close()
}

/// Writes the head, then as much of the body as `body` says.
pub(super) fn write_head(
    writer: &mut impl Write,
    response: &Response,
    keep_open: bool,
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} {}\r\n",
        response.status,
        reason(response.status)
    );
    let connection = if keep_open { "keep-alive" } else { "close" };
    head.push_str(&format!(
        "content-type: {}\r\ncontent-length: {}\r\nconnection: {connection}\r\nrequest-id: req_simulated\r\n",
        response.content_type,
        response.body.len()
    ));
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    writer.write_all(head.as_bytes())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        529 => "Overloaded",
        _ => "Status",
    }
}
