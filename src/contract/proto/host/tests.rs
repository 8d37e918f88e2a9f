use super::*;
use proptest::prelude::*;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

fn to_host() -> Vec<ToHost> {
    let path = PathBuf::from(OsString::from_vec(b"/p/\xff.sock".to_vec()));
    let steps = vec![
        Step::Write(b"\x1b[200~a\xff".to_vec()),
        Step::Pause(100),
        Step::Write(Vec::new()),
        Step::Write(b"\r".to_vec()),
    ];
    vec![
        ToHost::Hello { version: 1 },
        ToHost::Hook {
            token: "t".to_owned(),
            is_state: true,
            json: b"{\"a\":1}".to_vec(),
        },
        ToHost::Type(Script {
            number: 7,
            steps,
            hold_input: true,
        }),
        ToHost::Resize(Size {
            cols: 100,
            rows: 30,
        }),
        ToHost::Screen {
            ticket: 3,
            what: Look::Bottom(5),
        },
        ToHost::OpenAttach { path: path.clone() },
        ToHost::CloseAttach { path },
        ToHost::Input {
            bytes: b"\x03\0\xfe".to_vec(),
        },
        ToHost::AckReports { up_to: u64::MAX },
        ToHost::SetSession { id: None },
        ToHost::End { grace_ms: 3_000 },
    ]
}

fn from_host() -> Vec<FromHost> {
    let state = State {
        version: 1,
        attach: vec![PathBuf::from("/a")],
        typing: Some(4),
        ..State::default()
    };
    vec![
        FromHost::Hello(Box::new(state)),
        FromHost::Typed {
            number: 7,
            whole: true,
        },
        FromHost::Report {
            seq: 1,
            received_at_ms: 2,
            json: b"{}".to_vec(),
        },
        FromHost::Pending {
            text: "ü".to_owned(),
        },
        FromHost::Dialog {
            name: Some("trust".to_owned()),
            text: String::new(),
        },
        FromHost::ScreenIs {
            ticket: 1,
            bytes: vec![0xff; 9],
        },
        FromHost::AttachOpen {
            path: PathBuf::from("/a"),
        },
        FromHost::Attached { clients: 2 },
        FromHost::Handled,
        FromHost::Refused {
            what: "hook".to_owned(),
            why: "wrong token".to_owned(),
        },
        FromHost::Exited(Ended {
            code: Some(3),
            ..Ended::default()
        }),
    ]
}

#[test]
fn messages_come_back_as_they_were_however_they_are_cut() {
    let messages = to_host();
    let bytes: Vec<u8> = messages.iter().flat_map(ToHost::encode).collect();
    for cut in [1, 3, 7, 64, bytes.len()] {
        let mut frames = Frames::default();
        let mut read = Vec::new();
        for part in bytes.chunks(cut) {
            frames.push(part);
            while let Some(frame) = frames.next_frame().expect("is well formed") {
                read.push(ToHost::decode(frame).expect("is known"));
            }
        }
        assert_eq!(read, messages, "in pieces of {cut}");
        assert_eq!(frames.waiting(), 0);
    }
    for message in from_host() {
        let frame = message.encode();
        assert_eq!(FromHost::decode(&frame[4..]), Ok(message));
    }
}

#[test]
fn a_large_frame_is_read_whole_and_not_kept() {
    let message = ToHost::Input {
        bytes: vec![7; 300 * 1024],
    };
    let mut frames = Frames::default();
    frames.push(&message.encode());
    let frame = frames.next_frame().expect("fits").expect("is whole");
    assert_eq!(ToHost::decode(frame), Ok(message));
    frames.push(&ToHost::AckReports { up_to: 1 }.encode());
    let frame = frames.next_frame().expect("fits").expect("is whole");
    assert_eq!(ToHost::decode(frame), Ok(ToHost::AckReports { up_to: 1 }));
    assert!(frames.set_aside() < 300 * 1024);
}

#[test]
fn what_does_not_add_up_is_refused() {
    let mut frames = Frames::default();
    frames.push(&u32::MAX.to_be_bytes());
    assert!(matches!(frames.next_frame(), Err(Garbled::TooLong(_))));
    let framed = |head: &str, body: &[u8]| {
        let length = u32::try_from(head.len()).expect("is short");
        [&length.to_be_bytes(), head.as_bytes(), body].concat()
    };
    let step = |n: u64| format!(r#"{{"is":"type","number":1,"steps":[{{"write":{n}}}]}}"#);
    for (frame, expected) in [
        (Vec::new(), Garbled::Short),
        (vec![0, 0, 0, 9, b'{'], Garbled::Short),
        (framed(&step(3), b"ab"), Garbled::Short),
        (framed(&step(1), b"ab"), Garbled::Short),
    ] {
        assert_eq!(ToHost::decode(&frame), Err(expected));
    }
    for head in ["", "{}", r#"{"is":"dance"}"#, &step(u64::MAX)] {
        let decoded = ToHost::decode(&framed(head, b""));
        let refused = matches!(decoded, Err(Garbled::Unknown(_) | Garbled::Short));
        assert!(refused, "{decoded:?}");
    }
    let newer = framed(r#"{"is":"hello","version":2,"mood":"good"}"#, b"");
    assert_eq!(ToHost::decode(&newer), Ok(ToHost::Hello { version: 2 }));
}

#[test]
fn launches_and_records_keep_bytes_that_are_no_text() {
    let odd = OsString::from_vec(b"\xff=\n".to_vec());
    let launch = Launch {
        argv: vec!["/bin/cat".into(), odd.clone()],
        env: vec![("A".into(), odd.clone()), (odd.clone(), "".into())],
        cwd: PathBuf::from(odd),
        config_dir: None,
        size: Size { cols: 80, rows: 24 },
        token: "secret".to_owned(),
        socket: PathBuf::from("/s"),
        session: Some("abc".to_owned()),
        umask: Some(0o022),
    };
    assert_eq!(Launch::parse(&launch.text()), Ok(launch.clone()));
    assert!(!format!("{launch:?}").contains("secret"));
    let nothing = Launch {
        argv: Vec::new(),
        ..launch
    };
    let error = Launch::parse(&nothing.text()).expect_err("names no program");
    assert_eq!(
        error.to_string(),
        "not a launch of a host: it names no program"
    );
    let record = HostRecord {
        version: 1,
        program: "0.1.0".to_owned(),
        host: Process { pid: 1, start: 2 },
        machine: 3,
        socket: PathBuf::from("/s"),
        token: "t".to_owned(),
        agent: None,
        session: None,
        ended: Some(Ended::default()),
    };
    assert_eq!(HostRecord::parse(&record.text()), Ok(record));
    assert!(HostRecord::parse(b"{}").is_err());
}

proptest! {
    #[test]
    fn bytes_from_anywhere_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ToHost::decode(&bytes);
        let _ = FromHost::decode(&bytes);
        let mut frames = Frames::default();
        frames.push(&bytes);
        while let Ok(Some(_)) = frames.next_frame() {}
    }
}
