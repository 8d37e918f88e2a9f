//! The CONNECT proxy: known hosts end here and are answered by the simulated service, everything else is refused.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};

use ccp::adapters::simulated::{Handle, Server};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// The hosts that Claude Code has built in.
pub const HOSTS: &[&str] = &["api.anthropic.com", "platform.claude.com", "claude.com"];
/// A CONNECT and its headers.
const MAX_HEAD_BYTES: u64 = 16 * 1024;

/// A running proxy; dropping it ends its threads.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    refused: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub fn start(config: Arc<ServerConfig>, service: Handle) -> io::Result<Self> {
        let refused = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&refused);
        // A connection that fails is the client's to notice: there is nobody to report to here.
        let server = Server::start(move |stream| {
            let _ = tunnel(stream, &config, &service, &log);
        })?;
        Ok(Self { server, refused })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub fn refused(&self) -> Vec<String> {
        self.refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn tunnel(
    mut stream: TcpStream,
    config: &Arc<ServerConfig>,
    service: &Handle,
    refused: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let target = read_connect(&mut stream)?;
    let host = target
        .strip_prefix("CONNECT ")
        .map(|target| target.trim_end_matches(":443"));
    if !host.is_some_and(|host| HOSTS.contains(&host)) {
        refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(target);
        return stream.write_all(
            b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        );
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    let mut tls = StreamOwned::new(connection, stream);
    service.serve(&mut tls);
    tls.conn.send_close_notify();
    tls.flush()
}

/// Method and target of the request that opens a tunnel. The client speaks TLS only after our answer, so nothing of
/// it can be lost in the buffer.
fn read_connect(stream: &mut TcpStream) -> io::Result<String> {
    let mut reader = BufReader::new(stream.take(MAX_HEAD_BYTES));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut words = first.split_whitespace();
    Ok(format!(
        "{} {}",
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default()
    ))
}
