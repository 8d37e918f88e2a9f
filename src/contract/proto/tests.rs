use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn refused(line: &str) -> String {
    match Request::parse(line.as_bytes(), PROTO) {
        Ok(request) => panic!("{line} was read as {request:?}"),
        Err(Unread(error)) => {
            let code = serde_json::to_value(error.code).expect("writes");
            format!("{}: {}", code.as_str().expect("a text"), error.message)
        }
    }
}

#[test]
fn what_is_wrong_is_named() {
    let rows = [
        ("[1]", "bad_request: a request is an object, not this list"),
        (r#"{"op":"health"}"#, "bad_request: `proto` is missing"),
        (
            r#"{"proto":"1","op":"health"}"#,
            "bad_request: `proto` takes a whole number, not a text",
        ),
        (r#"{"proto":1}"#, "bad_request: `op` is missing"),
        (
            r#"{"proto":1,"op":"dance"}"#,
            "unknown_op: there is no op `dance`",
        ),
        (
            r#"{"proto":2,"op":"status"}"#,
            "unsupported_proto: this daemon speaks protocol 1, not 2",
        ),
        (
            r#"{"proto":1,"op":"checkin"}"#,
            "bad_request: checkin: `lease` is missing",
        ),
        (
            r#"{"proto":1,"op":"select","cwd":"here"}"#,
            "bad_request: select: `cwd` takes an absolute path",
        ),
        (
            r#"{"proto":1,"op":"refresh","accounts":[70000]}"#,
            "bad_request: refresh: `accounts` takes a list of account numbers, not this list",
        ),
        (
            r#"{"proto":1,"op":"refresh","all":true,"older_than_s":3}"#,
            "bad_request: refresh: only one of `all`, `older_than_s` and `accounts` may be given",
        ),
        (
            r#"{"proto":1,"op":"report","account":1,"source":"live","measured_at_ms":"now"}"#,
            "bad_request: report: `measured_at_ms` takes a whole number, not a text",
        ),
        (
            r#"{"proto":1,"op":"report","account":0,"source":"live","measured_at_ms":1}"#,
            "bad_request: report: `account` is no account's number",
        ),
    ];
    for (line, expected) in rows {
        assert_eq!(refused(line), expected);
    }
    assert!(refused("not json").starts_with("bad_request: this is no JSON object"));
    assert!(refused(&" ".repeat(MAX_LINE + 1)).starts_with("line_too_long"));
}

#[test]
fn health_and_shutdown_are_understood_under_every_number() {
    let read = |line: &str| Request::parse(line.as_bytes(), PROTO).expect("is read");
    assert_eq!(read(r#"{"proto":9,"op":"health"}"#), Request::Health);
    assert_eq!(
        read(r#"{"proto":9,"op":"shutdown","for_proto":9,"why":"newer"}"#),
        Request::Shutdown { for_proto: Some(9) }
    );
}

/// Every fenced JSON block of the document is one message; those below a heading `… answers` are answers.
#[test]
fn every_example_of_the_document_is_read_and_printed_back() {
    let document = include_str!("../../../docs/daemon.md");
    let (mut requests, mut answers) = (0, 0);
    let mut blocks = document.split("```json\n").skip(1);
    for block in &mut blocks {
        let text = block.split("```").next().expect("a block ends");
        let value: Value = serde_json::from_str(text).expect("an example is JSON");
        let line = value.to_string();
        let printed = if value.get("ok").is_some() {
            answers += 1;
            Response::parse(line.as_bytes())
                .expect("is an answer")
                .line()
        } else {
            requests += 1;
            let request = Request::parse(line.as_bytes(), PROTO);
            request.unwrap_or_else(|e| panic!("{line}: {}", e.0)).line()
        };
        let back: Value = serde_json::from_str(&printed).expect("prints JSON");
        assert_eq!(back, value);
    }
    assert!(requests >= 7 && answers >= 8, "{requests} {answers}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(&bytes, PROTO);
        let _ = Response::parse(&bytes);
    }

    #[test]
    fn no_object_panics(op in "health|status|select|checkin|refresh|shutdown|report", name in
        "account|model|cwd|lease|all|older_than_s|accounts|for_proto|windows|extra|measured_at_ms|source",
        value in prop_oneof!["[0-9]{1,25}", Just("null".to_owned()), Just("[]".to_owned()), Just("{}".to_owned()),
            Just("\"x\"".to_owned()), Just("-1".to_owned()), Just("true".to_owned())])
    {
        let line = format!(r#"{{"proto":1,"op":"{op}","{name}":{value}}}"#);
        if let Ok(request) = Request::parse(line.as_bytes(), PROTO) {
            prop_assert_eq!(Request::parse(request.line().as_bytes(), PROTO).ok(), Some(request));
        }
    }
}
