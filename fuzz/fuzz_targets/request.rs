#![no_main]
//! A line of the pool's protocol, from whoever connects.

use ccp::contract::pool::{Request, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|line: &[u8]| {
    match (Request::parse(line), Request::parse(line)) {
        (Ok(once), Ok(again)) => {
            assert_eq!(once.request, again.request);
            assert_eq!(once.id, again.id);
        }
        (Err(once), Err(again)) => {
            assert_eq!(once.error.text, again.error.text);
            assert!(!once.error.text.is_empty());
            let reply = once.error.line(once.id.as_ref());
            assert_eq!(reply.find('\n'), Some(reply.len() - 1), "one line");
            serde_json::from_str::<serde_json::Value>(&reply).expect("a reply is JSON");
        }
        _ => panic!("read in two ways"),
    }
    // The state of another implementation is as much somebody else's.
    let (sessions, _) = import(line);
    for (at, session) in sessions.iter().enumerate() {
        assert!(!sessions[..at].iter().any(|s| s.session_id == session.session_id));
    }
});
