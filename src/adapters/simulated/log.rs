//! The request log: what tests read to see who asked what under which login. Never a token.

use std::collections::VecDeque;
use std::time::Instant;

use super::fault::Endpoint;

/// Requests remembered. A test makes hundreds; a demo left open must not grow.
const MAX_RECORDS: usize = 20_000;

/// One request as it was understood.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Counts from 1 over the life of the service.
    pub number: u64,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// The query, without the question mark; token parameters do not occur in it.
    pub query: String,
    /// What kind of request it was.
    pub endpoint: Endpoint,
    /// Name of the account whose token (bearer, refresh token or code) was presented, if it was known.
    pub account: Option<String>,
    /// `model` of a message request.
    pub model: Option<String>,
    /// Text of the prompt, system reminders left out.
    pub prompt: Option<String>,
    /// The prompts of the conversation sent, oldest first and this one last: the last 64, the first 200 characters of each.
    pub turns: Vec<String>,
    /// Number of messages in the conversation sent.
    pub messages: usize,
    /// `max_tokens` of a message request; 1 is the client's quota probe.
    pub max_tokens: Option<u64>,
    /// `account_uuid` that the client claims in `metadata.user_id`.
    pub claimed_account_uuid: Option<String>,
    /// Session id that the client gives.
    pub session_id: Option<String>,
    /// `User-Agent`.
    pub user_agent: Option<String>,
    /// `grant_type` of a token request.
    pub grant_type: Option<String>,
    /// `scope` of a token request.
    pub scope: Option<String>,
    /// Status of the answer.
    pub status: u16,
    /// When it was understood.
    pub received_at: Instant,
    /// When the last byte of the answer was handed to the connection.
    pub sent_at: Option<Instant>,
}

/// Bounded, newest last.
#[derive(Debug, Default)]
pub(super) struct Log {
    records: VecDeque<Recorded>,
    last: u64,
}

impl Log {
    pub fn push(&mut self, mut record: Recorded) {
        self.last += 1;
        record.number = self.last;
        if self.records.len() == MAX_RECORDS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// The number of the record that was added last.
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Notes that an answer is on its way to its last byte.
    pub fn sent(&mut self, number: u64, at: Instant) {
        let record = self.records.iter_mut().rev().find(|r| r.number == number);
        if let Some(record) = record {
            record.sent_at = Some(at);
        }
    }

    pub fn records(&self) -> impl Iterator<Item = &Recorded> {
        self.records.iter()
    }
}
