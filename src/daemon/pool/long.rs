//! An answer that is too long to be held for a client that reads slowly, or for many: its transcript is read on a thread
//! of its own as far as the client has read.

use super::outbox::Outbox;
use super::server::{Answer, ReplyTo};
use crate::adapters::transcripts::Captured;
use crate::contract::pool::{Code, PoolError, Reply};
use serde_json::Value;
use tokio::sync::mpsc;

/// How much is handed on at a time.
const PIECE: usize = 64 * 1024;
/// Pieces that wait for the client to read.
const MOST_PIECES: usize = 4;

/// An answer whose content comes in pieces.
#[derive(Debug)]
pub(super) struct Long {
    session: String,
    /// The content as it stands in JSON; none at its end. Without that it broke off.
    pieces: mpsc::Receiver<Option<Vec<u8>>>,
}

/// Answers with what was captured of a session. Returns when a long answer is handed over, or its client is gone.
pub(super) fn answer(reply: ReplyTo, session: String, captured: Option<Captured>) {
    match captured {
        Some(captured) if captured.is_long() => hand_over(reply, session, captured),
        captured => reply.send(short(session, captured)),
    }
}

fn short(session: String, captured: Option<Captured>) -> Answer {
    let content = captured.map_or_else(|| Ok(String::new()), Captured::text);
    let content = content.map_err(|e| PoolError::new(Code::Internal, e.to_string()))?;
    Ok(result(session, content))
}

fn result(session: String, content: String) -> Reply {
    Reply::Result {
        session_id: Some(session),
        content,
    }
}

fn hand_over(reply: ReplyTo, session: String, captured: Captured) {
    let (sender, pieces) = mpsc::channel(MOST_PIECES);
    reply.send_long(Long { session, pieces });
    let mut gathered = Vec::with_capacity(PIECE * 2);
    for (index, line) in captured.enumerate() {
        // What was handed over cannot be taken back: it breaks off, and the client sees that.
        let Ok(line) = line else { return };
        let before = if index == 0 { "" } else { "\n" };
        gathered.extend_from_slice(in_json(&format!("{before}{line}")).as_bytes());
        while gathered.len() >= PIECE {
            let rest = gathered.split_off(PIECE);
            let piece = std::mem::replace(&mut gathered, rest);
            if sender.blocking_send(Some(piece)).is_err() {
                return;
            }
        }
    }
    // Nobody may be there any more.
    let _ = sender.blocking_send(Some(gathered));
    let _ = sender.blocking_send(None);
}

/// Text as it stands between quotes.
fn in_json(text: &str) -> String {
    let mut quoted = Value::from(text).to_string();
    quoted.pop();
    quoted.split_off(1)
}

impl Long {
    /// Hands it to a client, as fast as that reads. False when it broke off, or the client is gone.
    pub(super) async fn pass_on(mut self, id: Option<&Value>, outbox: &Outbox) -> bool {
        let line = result(self.session, String::new()).line(id);
        let content = "\"content\":\"";
        let Some(at) = line.find(content).map(|at| at + content.len()) else {
            return false;
        };
        let (head, tail) = line.split_at(at);
        outbox.begin_long(head);
        while let Some(piece) = self.pieces.recv().await {
            let Some(piece) = piece else {
                outbox.end_long(tail);
                return true;
            };
            if !outbox.has_room().await {
                return false;
            }
            outbox.push_piece(&piece);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_to_the_line_that_an_answer_is() {
        let content = "a \"quoted\" line\n\u{1f980}\u{7}\\ and another".to_owned();
        let (sender, pieces) = mpsc::channel(8);
        for half in in_json(&content).as_bytes().chunks(7) {
            sender.try_send(Some(half.to_vec())).expect("there is room");
        }
        sender.try_send(None).expect("there is room");
        let session = "0123456789ab".to_owned();
        let outbox = Outbox::new();
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.build().expect("a runtime");
        let long = Long {
            session: session.clone(),
            pieces,
        };
        let id = Value::from("\"content\":\"");
        assert!(runtime.block_on(long.pass_on(Some(&id), &outbox)));
        let line = String::from_utf8(outbox.take()).expect("is text");
        assert_eq!(line, result(session, content).line(Some(&id)));
    }
}
