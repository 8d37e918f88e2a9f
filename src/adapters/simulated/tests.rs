//! Rows in the language of the service, and the few things only sockets can show.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, send};
use super::*;

const BOUND: Duration = Duration::from_secs(20);

fn ask(service: &Service, bearer: &str, prompt: &str) -> Answer {
    let body =
        json!({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": prompt}]});
    send(
        &service.url(),
        "POST",
        "/v1/messages?beta=true",
        Some(bearer),
        Some(&body),
    )
    .unwrap()
}

fn renew(service: &Service, refresh: &str) -> Answer {
    let body = json!({"grant_type": "refresh_token", "refresh_token": refresh});
    send(&service.url(), "POST", "/v1/oauth/token", None, Some(&body)).unwrap()
}

fn usage(service: &Service, bearer: &str) -> Value {
    send(
        &service.url(),
        "GET",
        "/api/oauth/usage",
        Some(bearer),
        None,
    )
    .unwrap()
    .json()
}

#[test]
fn a_message_is_answered_under_its_account() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    let answer = ask(&service, &tokens.access, "hello");
    assert_eq!(
        answer.json()["content"][0]["text"],
        "simulated answer to: hello"
    );
    assert_eq!(
        answer.header("anthropic-ratelimit-unified-status"),
        Some("allowed")
    );
    let record = service
        .wait_for(|record| record.endpoint == Endpoint::Messages, BOUND)
        .unwrap();
    assert_eq!(
        (record.account.as_deref(), record.prompt.as_deref()),
        (Some("work"), Some("hello"))
    );
    assert!(!format!("{:?}{tokens:?}", service.requests()).contains(&tokens.access));
}

#[test]
fn a_stream_carries_the_whole_text() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    let prompt = "a long prompt, so that the answer has more than one delta: äöü";
    let body = json!({"stream": true, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "<system-reminder>x</system-reminder>"}, {"type": "text", "text": prompt}]}]});
    let answer = send(
        &service.url(),
        "POST",
        "/v1/messages",
        Some(&tokens.access),
        Some(&body),
    )
    .unwrap();
    let datas = answer
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let texts = datas.map(|data| serde_json::from_str::<Value>(data).unwrap());
    let text: String = texts
        .filter_map(|event| event["delta"]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, format!("simulated answer to: {prompt}"));
}

#[test]
fn a_prompt_scripts_its_answer_its_pace_and_its_failures() {
    let service = Service::start().unwrap();
    let work = service.add_account(AccountSpec::new("work")).access;
    let home = service.add_account(AccountSpec::new("home")).access;
    let said = ask(&service, &work, "x [[say:just this]] y").json();
    assert_eq!(said["content"][0]["text"], "just this");

    // Counted over all accounts: one that takes over is answered.
    let twice = "[[fail:529:2]] go";
    let statuses = [&work, &home, &work].map(|token| ask(&service, token, twice).status);
    assert_eq!(statuses, [529, 529, 200]);
    for (kind, status) in [
        ("limit", 429),
        ("weekly", 429),
        ("throttled", 429),
        ("401", 401),
        ("403", 403),
        ("500", 500),
        ("unheard of", 200),
    ] {
        let prompt = format!("[[fail:{kind}]]");
        for _ in 0..2 {
            let answer = ask(&service, &work, &prompt);
            assert_eq!(answer.status, status, "{kind}");
            let unified = answer.header("anthropic-ratelimit-unified-status");
            let is_limit = unified == Some("rejected");
            assert_eq!(is_limit, ["limit", "weekly"].contains(&kind), "{kind}");
        }
    }

    let body = json!({"stream": true, "messages": [
        {"role": "user", "content": "first"}, {"role": "assistant", "content": "a"},
        {"role": "user", "content": "[[pace:20]] second"}]});
    let started = std::time::Instant::now();
    let path = "/v1/messages";
    let paced = send(&service.url(), "POST", path, Some(&work), Some(&body)).unwrap();
    assert!(paced.body.contains("message_stop"));
    let events = paced.body.matches("event: ").count();
    let least = Duration::from_millis(20) * u32::try_from(events - 1).unwrap();
    assert!(started.elapsed() >= least, "{events} events");
    let record = service.requests().pop().unwrap();
    assert_eq!(record.turns, ["first", "[[pace:20]] second"]);
}

#[test]
fn a_scripted_tool_is_called_before_the_answer() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    let first = ask(&service, &tokens.access, "go [[tool:Bash:echo hi]]").json();
    assert_eq!(first["content"][0]["input"]["command"], "echo hi");
    let body = json!({"messages": [{"role": "user", "content": "go [[tool:Bash:echo hi]]"},
        {"role": "assistant", "content": first["content"]},
        {"role": "user", "content": [{"type": "tool_result", "content": "hi\n"}]}]});
    let second = send(
        &service.url(),
        "POST",
        "/v1/messages",
        Some(&tokens.access),
        Some(&body),
    )
    .unwrap();
    let text = second.json()["content"][0]["text"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(text.ends_with("(the tool said: hi)"), "{text}");
}

#[test]
fn a_refresh_token_is_good_once() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    let renewed = renew(&service, &tokens.refresh).json();
    assert_ne!(renewed["refresh_token"], json!(tokens.refresh));
    assert_eq!(
        renew(&service, &tokens.refresh).json()["error"],
        "invalid_grant"
    );
    assert_eq!((service.refreshes(), service.double_spends()), (1, 1));
    assert_eq!(
        ask(&service, renewed["access_token"].as_str().unwrap(), "hi").status,
        200
    );
}

#[test]
fn a_code_is_good_once_and_only_with_its_verifier() {
    // RFC 7636, appendix B.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert_eq!(
        challenge_of(verifier),
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    );
    let service = Service::start().unwrap();
    service.add_account(AccountSpec::new("work"));
    let exchange = |code: &str, verifier: &str| {
        let body =
            json!({"grant_type": "authorization_code", "code": code, "code_verifier": verifier});
        send(&service.url(), "POST", "/v1/oauth/token", None, Some(&body))
            .unwrap()
            .status
    };
    let challenge = challenge_of(verifier);
    service.register_code("work", "one", Some(&challenge));
    assert_eq!(
        (exchange("one", verifier), exchange("one", verifier)),
        (200, 400)
    );
    service.register_code("work", "two", Some(&challenge));
    assert_eq!(
        (exchange("two", "wrong"), exchange("two", verifier)),
        (400, 400)
    );
}

#[test]
fn the_authorize_page_signs_the_hinted_account_in() {
    let service = Service::start().unwrap();
    service.add_account(AccountSpec::new("work"));
    let path = "/cai/oauth/authorize?state=s&redirect_uri=http%3A%2F%2Flocalhost%3A1%2Fcallback&login_hint=work%40example.test";
    let answer = send(&service.url(), "GET", path, None, None).unwrap();
    assert_eq!(answer.status, 302);
    assert!(
        answer
            .header("location")
            .unwrap()
            .starts_with("http://localhost:1/callback?code=simulated-code-")
    );
}

#[test]
fn burning_leads_to_the_plan_limit() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    service.set_window("work", WindowKind::FiveHour, 40.0, Resets::In(3600));
    service.set_burn("work", 30.0, 1.0);
    let statuses: Vec<u16> = (0..3)
        .map(|_| ask(&service, &tokens.access, "x").status)
        .collect();
    assert_eq!(statuses, [200, 200, 429]);
    let refused = ask(&service, &tokens.access, "x");
    assert_eq!(
        refused.header("anthropic-ratelimit-unified-representative-claim"),
        Some("five_hour")
    );
    assert_eq!(
        usage(&service, &tokens.access)["seven_day"]["utilization"],
        2.0
    );
}

#[test]
fn a_reset_is_spelt_as_asked() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    for (resets, spelt) in [
        (
            Resets::Rfc3339(1_800_000_000),
            json!("2027-01-15T08:00:00Z"),
        ),
        (Resets::Number(1_800_000_000.5), json!(1_800_000_000.5)),
        (Resets::NumericText(1_800_000_000), json!("1800000000")),
        (Resets::Null, Value::Null),
        (Resets::Empty, json!("")),
    ] {
        service.set_window(
            "work",
            WindowKind::WeeklyScoped("Fable".to_owned()),
            88.0,
            resets,
        );
        let limit = usage(&service, &tokens.access)["limits"][2].clone();
        assert_eq!(
            (
                &limit["resets_at"],
                &limit["scope"]["model"]["display_name"]
            ),
            (&spelt, &json!("Fable"))
        );
    }
}

#[test]
fn faults_replace_or_hold_the_answer() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    for (fault, status) in [
        (Fault::PlanLimit, 429),
        (Fault::Throttled(Some(7)), 429),
        (Fault::ServerError, 500),
        (Fault::Overloaded, 529),
        (Fault::Unauthorized, 401),
        (Fault::Forbidden, 403),
        (Fault::Delay(Duration::from_millis(1)), 200),
    ] {
        service.set_fault_times("work", Endpoint::Messages, fault, 1);
        assert_eq!(
            (
                ask(&service, &tokens.access, "x").status,
                ask(&service, &tokens.access, "x").status
            ),
            (status, 200)
        );
    }
    for fault in [Fault::Hang, Fault::StalledStream] {
        service.set_fault(EVERY_ACCOUNT, Endpoint::Messages, fault);
        std::thread::scope(|scope| {
            let held = scope.spawn(|| ask(&service, &tokens.access, "held"));
            assert!(
                service
                    .wait_for(|record| record.prompt.as_deref() == Some("held"), BOUND)
                    .is_some()
            );
            assert!(!held.is_finished());
            service.clear_fault(EVERY_ACCOUNT, Endpoint::Messages);
            assert_eq!(
                held.join().unwrap().json()["content"][0]["text"],
                "simulated answer to: held"
            );
        });
    }
}

#[test]
fn a_bad_token_is_refused_and_a_foreign_path_is_logged() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    assert_eq!(ask(&service, "made-up", "x").status, 401);
    service.expire_access("work");
    assert_eq!(ask(&service, &tokens.access, "x").status, 401);
    assert_eq!(
        send(&service.url(), "GET", "/nothing", None, None)
            .unwrap()
            .status,
        404
    );
    assert!(
        service
            .requests()
            .iter()
            .any(|record| record.path == "/nothing" && record.status == 404)
    );
    assert!(send("http://192.0.2.1:80", "GET", "/", None, None).is_err());
}

#[test]
fn dropping_the_service_ends_a_hang() {
    let service = Service::start().unwrap();
    let tokens = service.add_account(AccountSpec::new("work"));
    service.set_fault("work", Endpoint::Usage, Fault::Hang);
    let (url, bearer) = (service.url(), tokens.access.clone());
    let held =
        std::thread::spawn(move || send(&url, "GET", "/api/oauth/usage", Some(&bearer), None));
    assert!(
        service
            .wait_for(|record| record.endpoint == Endpoint::Usage, BOUND)
            .is_some()
    );
    drop(service);
    assert!(held.join().unwrap().is_err());
}
