//! The endpoint against the simulated service and against answers made by hand.

use ccp::adapters::claude_api::{ApiBase, ApiError, Bearer, TIMEOUT, fetch_usage};
use ccp::adapters::simulated::{
    AccountSpec, Endpoint, Fault, Resets, Service, WindowKind as SimulatedWindow,
};
use ccp::contract::usage_body::Report;
use ccp::core::time::Timestamp;
use ccp::core::usage::WindowKind;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

const LATER: Timestamp = Timestamp::from_unix_ms(i64::MAX);
const NOW: Timestamp = Timestamp::from_unix_ms(1_900_000_000_000);

fn fetch(base: &str, token: &str) -> Result<Report, ApiError> {
    let base = ApiBase::parse(base).expect("a base");
    let bearer = Bearer {
        token,
        expires_at: LATER,
    };
    fetch_usage(&base, bearer, NOW, TIMEOUT).map(|(report, _)| report)
}

/// Answers one request with these bytes.
fn answering(bytes: Vec<u8>) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let base = format!("http://{}", listener.local_addr().expect("is bound"));
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("is asked");
        let mut request = [0_u8; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(&bytes);
    });
    (base, thread)
}

#[test]
fn usage_is_fetched_openly() {
    let service = Service::start().expect("starts");
    let tokens = service.add_account(AccountSpec::new("work"));
    service.set_window(
        "work",
        SimulatedWindow::FiveHour,
        31.4,
        Resets::Number(1_900_000_000.5),
    );
    let report = fetch(&service.url(), &tokens.access).expect("answers");
    let five = report
        .windows
        .iter()
        .find(|w| w.kind == WindowKind::FiveHour)
        .expect("is there");
    assert!((five.used.percent() - 31.4).abs() < 1e-9);
    assert_eq!(
        five.resets_at,
        Some(Timestamp::from_unix_ms(1_900_000_000_500))
    );
    let request = service.requests().pop().expect("was recorded");
    assert_eq!(request.endpoint, Endpoint::Usage);
    let agent = request.user_agent.expect("says who asks");
    assert_eq!(agent, concat!("ccp/", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_refusal_has_its_own_error() {
    let service = Service::start().expect("starts");
    let tokens = service.add_account(AccountSpec::new("work"));
    let rows = [
        (
            Fault::Throttled(Some(90)),
            ApiError::Throttled {
                retry_after: Some(Duration::from_secs(90)),
            },
        ),
        (
            Fault::Throttled(Some(0)),
            ApiError::Throttled { retry_after: None },
        ),
        (
            Fault::Throttled(None),
            ApiError::Throttled { retry_after: None },
        ),
        (Fault::ServerError, ApiError::Status(500)),
        (Fault::Forbidden, ApiError::Status(403)),
        (Fault::Unauthorized, ApiError::Unauthorized),
    ];
    for (fault, expected) in rows {
        service.set_fault("work", Endpoint::Usage, fault);
        let error = fetch(&service.url(), &tokens.access).expect_err("refused");
        assert_eq!(error, expected);
        assert!(!error.to_string().contains(&tokens.access));
        service.clear_fault("work", Endpoint::Usage);
    }
    assert_eq!(
        fetch(&service.url(), "made-up"),
        Err(ApiError::Unauthorized)
    );
    assert_eq!(
        fetch(&service.url(), "line\nbreak"),
        Err(ApiError::Unauthorized)
    );
}

#[test]
fn an_expired_token_is_not_sent() {
    let service = Service::start().expect("starts");
    let tokens = service.add_account(AccountSpec::new("work"));
    let base = ApiBase::parse(&service.url()).expect("a base");
    let bearer = Bearer {
        token: &tokens.access,
        expires_at: NOW,
    };
    assert_eq!(
        fetch_usage(&base, bearer, NOW, TIMEOUT).expect_err("expired"),
        ApiError::Expired
    );
    assert!(service.requests().is_empty());
}

#[test]
fn a_silent_service_is_not_waited_for() {
    let service = Service::start().expect("starts");
    let tokens = service.add_account(AccountSpec::new("work"));
    service.set_fault("work", Endpoint::Usage, Fault::Hang);
    let base = ApiBase::parse(&service.url()).expect("a base");
    let bearer = Bearer {
        token: &tokens.access,
        expires_at: LATER,
    };
    let error = fetch_usage(&base, bearer, NOW, Duration::from_millis(200)).expect_err("hangs");
    assert_eq!(error, ApiError::Transport("no answer in time"));
    assert!(error.is_transport());
    drop(service);
}

#[test]
fn broken_answers_are_named_and_nothing_is_followed() {
    let long = vec![b' '; 1024 * 1024 + 2];
    let ok = |body: &[u8]| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    };
    let rows: [(Vec<u8>, ApiError); 4] = [
        (ok(b"not json"), ApiError::Body("it is not JSON")),
        (ok(b"{}"), ApiError::Body("it has no windows")),
        (ok(&long), ApiError::Body("it is too long")),
        (
            b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
                .to_vec(),
            ApiError::Status(302),
        ),
    ];
    for (answer, expected) in rows {
        let (base, thread) = answering(answer);
        assert_eq!(fetch(&base, "made-up"), Err(expected));
        thread.join().expect("ends");
    }
    assert_eq!(
        fetch("http://127.0.0.1:1", "made-up"),
        Err(ApiError::Transport("no connection"))
    );
}
