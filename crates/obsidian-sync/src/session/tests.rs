//! The state machine, said line by line.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::types::{EncodedName, VaultId};
use crate::wire::{HistoryAnswer, InitRequest, PushRequest, RawRecord, SizeInfo, Usernames};

fn init() -> Request {
    Request::Init(InitRequest {
        token: Token::new("hunter-token"),
        id: VaultId::new("vault"),
        keyhash: Token::new("hunter-keyhash"),
        version: VaultVersion(0),
        initial: true,
        device: "test".into(),
        encryption_version: 3,
    })
}

fn open() -> Session {
    let mut session = Session::new();
    session.send(&init()).unwrap();
    said(&mut session, r#"{"res":"ok"}"#);
    session
}

fn asked(request: &Request) -> Session {
    let mut session = open();
    session.send(request).unwrap();
    session
}

fn pulling(size: u64, pieces: u64) -> Session {
    let mut session = asked(&Request::Pull { uid: Uid(7) });
    let frame = json!({"hash": "aa", "size": size, "pieces": pieces}).to_string();
    assert!(matches!(said(&mut session, &frame), Event::Incoming(_)));
    session
}

fn pushing(pieces: u64) -> Session {
    asked(&Request::Push(PushRequest {
        size: Some(pieces * PIECE_SIZE as u64),
        pieces: Some(pieces),
        ..PushRequest::default()
    }))
}

fn said(session: &mut Session, text: &str) -> Event {
    session.receive(Incoming::Text(text)).expect(text)
}

fn sent(session: &mut Session, length: usize) -> Result<Event, Error> {
    session.receive(Incoming::Binary(vec![0; length].into()))
}

/// The frame ends the connection, for good.
fn fatal(mut session: Session, text: &str) -> Error {
    let error = session.receive(Incoming::Text(text)).expect_err(text);
    assert!(!session.is_idle());
    assert_eq!(
        session.send(&Request::Size).unwrap_err().kind(),
        Kind::Network
    );
    error
}

#[test]
fn init_tells_limits() {
    let mut session = open();
    assert_eq!(session.per_file_max(), DEFAULT_PER_FILE_MAX);
    assert_eq!(session.user_id(), None);
    assert!(session.is_idle());
    assert_eq!(
        session.send(&init()).unwrap_err().kind(),
        Kind::InvalidInput
    );

    let mut session = Session::new();
    session.send(&init()).unwrap();
    said(
        &mut session,
        r#"{"res":"ok","perFileMax":1000,"userId":3,"new":[]}"#,
    );
    assert_eq!((session.per_file_max(), session.user_id()), (1000, Some(3)));

    for odd in ["0", "null", "-5", "\"big\""] {
        let mut session = Session::new();
        session.send(&init()).unwrap();
        said(
            &mut session,
            &format!(r#"{{"res":"ok","perFileMax":{odd}}}"#),
        );
        assert_eq!(session.per_file_max(), DEFAULT_PER_FILE_MAX, "{odd}");
    }
}

#[test]
fn init_refusals_have_their_kinds() {
    for (frame, kind) in [
        (
            r#"{"res":"err","msg":"Your subscription to Obsidian Sync has expired."}"#,
            Kind::SubscriptionExpired,
        ),
        (
            r#"{"status":"err","msg":"Vault not found."}"#,
            Kind::VaultNotFound,
        ),
        (
            r#"{"error":"Server overloaded, please try again later."}"#,
            Kind::Overloaded,
        ),
        (r#"{"res":"err","msg":"Invalid token"}"#, Kind::Unauthorized),
        (r#"{"err":"out of coffee"}"#, Kind::Refused),
        (r#"{"res":"err"}"#, Kind::Refused),
        (r#"{}"#, Kind::Protocol),
        (r#"{"res":"next"}"#, Kind::Protocol),
        ("", Kind::Protocol),
        ("[]", Kind::Protocol),
        ("null", Kind::Protocol),
        ("<html>", Kind::Protocol),
    ] {
        let mut session = Session::new();
        session.send(&init()).unwrap();
        assert_eq!(fatal(session, frame).kind(), kind, "{frame}");
    }
}

#[test]
fn a_refusal_that_echoes_a_secret_does_not_show_it() {
    let mut session = Session::new();
    session.send(&init()).unwrap();
    let frame = r#"{"res":"err","msg":"hunter-token with hunter-keyhash is bad"}"#;
    assert!(!fatal(session, frame).to_string().contains("hunter"));
}

#[test]
fn nothing_is_asked_before_init() {
    let mut session = Session::new();
    for request in [Request::Size, Request::Ping, Request::Pull { uid: Uid(1) }] {
        assert_eq!(
            session.send(&request).unwrap_err().kind(),
            Kind::InvalidInput
        );
    }
    assert_eq!(
        fatal(Session::new(), r#"{"res":"ok"}"#).kind(),
        Kind::Protocol
    );
}

#[test]
fn one_request_is_in_flight_but_a_ping_may_go_along() {
    let mut session = asked(&Request::Size);
    let error = session.send(&Request::Usernames).unwrap_err();
    assert!(error.to_string().contains("in flight"));
    session.send(&Request::Ping).unwrap();
    assert!(matches!(
        said(&mut session, r#"{"op":"pong"}"#),
        Event::Pong
    ));
    let answer = said(&mut session, r#"{"size":5,"limit":10}"#);
    assert!(matches!(
        answer,
        Event::Answered(Answer::Size(SizeInfo { size: 5, limit: 10 }))
    ));
    assert!(session.is_idle());
}

#[test]
fn notices_come_at_any_time() {
    let record = r#"{"op":"push","uid":9,"path":"aa"}"#;
    let expected = Notice::Record(RawRecord {
        uid: Uid(9),
        path: EncodedName::new("aa"),
        ..RawRecord::default()
    });
    let mut opening = Session::new();
    opening.send(&init()).unwrap();
    for session in [
        opening,
        open(),
        asked(&Request::Pull { uid: Uid(1) }),
        pulling(5, 1),
        pushing(2),
    ] {
        let mut session = session;
        let before = format!("{:?}", session.state);
        let Event::Notice(notice) = said(&mut session, record) else {
            panic!("not a notice")
        };
        assert_eq!(notice, expected);
        let Event::Notice(notice) = said(&mut session, r#"{"op":"ready","version":12}"#) else {
            panic!("not a notice")
        };
        assert_eq!(notice, Notice::Ready(Some(VaultVersion(12))));
        assert!(matches!(
            said(&mut session, r#"{"op":"pong"}"#),
            Event::Pong
        ));
        assert!(matches!(
            said(&mut session, r#"{"op":"weather","sun":1}"#),
            Event::Ignored
        ));
        assert_eq!(format!("{:?}", session.state), before);
    }
}

#[test]
fn a_record_without_a_uid_is_fatal() {
    assert_eq!(
        fatal(open(), r#"{"op":"push","path":"aa"}"#).kind(),
        Kind::Protocol
    );
}

#[test]
fn a_download_is_its_header_and_pieces_with_notices_between() {
    let mut session = asked(&Request::Pull { uid: Uid(7) });
    said(&mut session, r#"{"op":"push","uid":9}"#);
    let header = said(
        &mut session,
        r#"{"res":"ok","hash":"aa","size":2097155,"pieces":2}"#,
    );
    let Event::Incoming(header) = header else {
        panic!("{header:?}")
    };
    assert_eq!(header.hash.as_str(), "aa");
    assert_eq!((header.size, header.pieces), (PIECE_SIZE as u64 + 3, 2));
    said(&mut session, r#"{"op":"push","uid":10}"#);
    assert!(matches!(
        sent(&mut session, PIECE_SIZE),
        Ok(Event::Piece { last: false, .. })
    ));
    assert!(!session.is_idle());
    said(&mut session, r#"{"op":"ready","version":10}"#);
    assert!(matches!(
        sent(&mut session, 3),
        Ok(Event::Piece { last: true, .. })
    ));
    assert!(session.is_idle());
}

#[test]
fn pieces_may_be_smaller_than_the_largest() {
    let mut session = pulling(5, 3);
    for (length, is_last) in [(1, false), (3, false), (1, true)] {
        let Ok(Event::Piece { last, .. }) = sent(&mut session, length) else {
            panic!()
        };
        assert_eq!(last, is_last);
    }
}

#[test]
fn empty_content_has_no_piece_or_one_empty_piece() {
    assert!(pulling(0, 0).is_idle());
    let mut session = pulling(0, 1);
    assert!(!session.is_idle());
    assert!(matches!(
        sent(&mut session, 0),
        Ok(Event::Piece { last: true, .. })
    ));
    assert!(sent(&mut pulling(0, 1), 1).is_err());
}

#[test]
fn headers_that_cannot_be_are_fatal() {
    let largest = PIECE_SIZE as u64;
    for (size, pieces) in [
        (1, 0),
        (largest + 1, 1),
        (0, 2),
        (3, 4),
        (u64::MAX, 1),
        (1, u64::MAX),
        (largest * 2, 1),
    ] {
        let frame = json!({"hash": "aa", "size": size, "pieces": pieces}).to_string();
        let session = asked(&Request::Pull { uid: Uid(7) });
        assert_eq!(fatal(session, &frame).kind(), Kind::Protocol, "{frame}");
    }
    // Not the answer to a pull at all.
    for frame in [r#"{"res":"ok"}"#, "{}", r#"{"size":null,"pieces":0}"#] {
        let session = asked(&Request::Pull { uid: Uid(7) });
        assert_eq!(fatal(session, frame).kind(), Kind::Protocol, "{frame}");
    }
}

#[test]
fn pieces_that_do_not_add_up_are_fatal() {
    let largest = PIECE_SIZE;
    for (size, pieces, lengths) in [
        // Too many bytes, too few, an empty piece, one too large.
        (5, 1, vec![6]),
        (5, 1, vec![4]),
        (5, 2, vec![5]),
        (5, 2, vec![1, 3]),
        (5, 2, vec![0]),
        (largest as u64 + 5, 2, vec![largest + 1]),
        (largest as u64 + 5, 2, vec![4]),
        (largest as u64 * 2, 2, vec![largest - 1]),
        // One too many.
        (5, 1, vec![5, 1]),
        (5, 1, vec![5, 0]),
    ] {
        let mut session = pulling(size, pieces);
        let (last, before) = lengths.split_last().unwrap();
        for length in before {
            assert!(sent(&mut session, *length).is_ok(), "{lengths:?}");
        }
        assert_eq!(
            sent(&mut session, *last).unwrap_err().kind(),
            Kind::Protocol,
            "{lengths:?}"
        );
        assert!(session.send(&Request::Size).is_err());
    }
}

#[test]
fn content_nobody_asked_for_is_fatal() {
    for mut session in [
        Session::new(),
        open(),
        asked(&Request::Pull { uid: Uid(7) }),
        pushing(2),
    ] {
        assert_eq!(sent(&mut session, 3).unwrap_err().kind(), Kind::Protocol);
    }
}

#[test]
fn gone_content_fails_the_request_alone() {
    for frame in [
        r#"{"deleted":true}"#,
        r#"{"res":"ok","hash":"","size":9,"pieces":1,"deleted":true}"#,
    ] {
        let mut session = asked(&Request::Pull { uid: Uid(7) });
        let Event::Failed(error) = said(&mut session, frame) else {
            panic!("{frame}")
        };
        assert_eq!(error.kind(), Kind::Gone);
        assert!(error.to_string().contains("record 7"));
        assert!(session.is_idle());
    }
}

#[test]
fn a_refused_request_leaves_the_connection_open() {
    for request in [
        Request::Pull { uid: Uid(7) },
        Request::Push(PushRequest::default()),
        Request::History {
            path: EncodedName::new("aa"),
            last: None,
        },
        Request::Deleted {
            suppressrenames: true,
        },
        Request::Restore { uid: Uid(7) },
        Request::Size,
        Request::Usernames,
        Request::Purge,
    ] {
        for (frame, kind) in [
            (r#"{"err":"no\u001b such"}"#, Kind::Refused),
            (r#"{"res":"err","msg":"no"}"#, Kind::Refused),
            (
                r#"{"error":"Server overloaded, please try again later."}"#,
                Kind::Overloaded,
            ),
        ] {
            let mut session = asked(&request);
            let Event::Failed(error) = said(&mut session, frame) else {
                panic!("{frame}")
            };
            assert_eq!(error.kind(), kind);
            assert!(!error.to_string().contains('\u{1b}'));
            assert!(session.is_idle());
        }
    }
}

#[test]
fn answers_nobody_asked_for_are_fatal() {
    for frame in [
        r#"{"res":"ok"}"#,
        r#"{"size":5,"limit":6}"#,
        r#"{"err":"no"}"#,
        "{}",
        "[]",
        r#"["push"]"#,
    ] {
        assert_eq!(fatal(open(), frame).kind(), Kind::Protocol, "{frame}");
        assert_eq!(
            fatal(pulling(5, 1), frame).kind(),
            Kind::Protocol,
            "{frame}"
        );
    }
}

#[test]
fn a_push_that_is_not_needed_is_done_at_once() {
    for frame in [r#"{"res":"ok"}"#, r#"{"op":"ok"}"#] {
        let mut session = pushing(3);
        let event = said(&mut session, frame);
        assert!(
            matches!(event, Event::Answered(Answer::Pushed)),
            "{event:?}"
        );
        assert!(session.is_idle());
    }
}

#[test]
fn a_push_without_content_is_done_with_its_answer() {
    for frame in [r#"{"res":"ok"}"#, r#"{"res":"next"}"#] {
        let mut session = asked(&Request::Push(PushRequest::default()));
        assert!(matches!(
            said(&mut session, frame),
            Event::Answered(Answer::Pushed)
        ));
    }
}

#[test]
fn a_push_sends_each_piece_after_an_answer() {
    for last in [
        r#"{"res":"ok"}"#,
        r#"{"op":"ok"}"#,
        r#"{"res":"next"}"#,
        "{}",
    ] {
        let mut session = pushing(2);
        assert!(matches!(
            said(&mut session, r#"{"res":"next"}"#),
            Event::SendPiece(0)
        ));
        said(&mut session, r#"{"op":"push","uid":9}"#);
        assert!(matches!(
            said(&mut session, r#"{"res":"next"}"#),
            Event::SendPiece(1)
        ));
        assert!(!session.is_idle());
        assert!(
            matches!(said(&mut session, last), Event::Answered(Answer::Pushed)),
            "{last}"
        );
        assert!(session.is_idle());
    }
}

#[test]
fn an_early_ok_does_not_end_a_push() {
    let mut session = pushing(2);
    said(&mut session, r#"{"res":"next"}"#);
    let event = said(&mut session, r#"{"res":"ok"}"#);
    assert!(matches!(event, Event::SendPiece(1)), "{event:?}");
}

#[test]
fn a_push_may_fail_in_the_middle() {
    let mut session = pushing(2);
    said(&mut session, r#"{"res":"next"}"#);
    let Event::Failed(error) = said(&mut session, r#"{"err":"full"}"#) else {
        panic!()
    };
    assert!(error.to_string().contains("full"));
    assert!(session.is_idle());
}

#[test]
fn the_other_answers_are_read() {
    let record = RawRecord {
        uid: Uid(4),
        ts: Some(crate::Millis(8)),
        ..RawRecord::default()
    };
    let history = Request::History {
        path: EncodedName::new("aa"),
        last: Some(Uid(5)),
    };
    for (request, frame, answer) in [
        (
            history,
            r#"{"items":[{"uid":4,"ts":8.5}],"more":true}"#,
            Answer::History(HistoryAnswer {
                items: vec![record.clone()],
                more: true,
            }),
        ),
        (
            Request::Deleted {
                suppressrenames: true,
            },
            r#"{"op":"deleted","items":[{"uid":4,"ts":8}]}"#,
            Answer::Deleted(vec![record]),
        ),
        (
            Request::Deleted {
                suppressrenames: true,
            },
            r#"{"items":null}"#,
            Answer::Deleted(vec![]),
        ),
        (
            Request::Restore { uid: Uid(4) },
            r#"{"res":"ok"}"#,
            Answer::Restored,
        ),
        (Request::Purge, r#"{"res":"ok"}"#, Answer::Purged),
        (
            Request::Usernames,
            r#"{"1":"Ann"}"#,
            Answer::Usernames(Usernames::from([(1, "Ann".into())])),
        ),
    ] {
        let mut session = asked(&request);
        let Event::Answered(got) = said(&mut session, frame) else {
            panic!("{frame}")
        };
        assert_eq!(got, answer);
        assert!(session.is_idle());
    }
}

#[test]
fn pieces_cover_content_exactly() {
    for (size, pieces) in [
        (0, 0),
        (1, 1),
        (PIECE_SIZE, 1),
        (PIECE_SIZE + 1, 2),
        (3 * PIECE_SIZE - 1, 3),
    ] {
        assert_eq!(piece_count(size as u64), pieces);
        let mut end = 0;
        for index in 0..pieces {
            let range = piece_range(index, size);
            assert_eq!(range.start, end);
            assert!(!range.is_empty() && range.len() <= PIECE_SIZE);
            end = range.end;
        }
        assert_eq!(end, size);
        assert!(piece_range(pieces, size).is_empty());
        assert!(piece_range(u64::MAX, size).is_empty());
    }
}

/// Frames near the protocol: right words in wrong places, with odd values.
fn frames() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "null",
        "0",
        "1",
        "-1",
        "1.5",
        "1e300",
        "2097152",
        "99999999999999999999",
        "true",
        "\"ok\"",
        "\"err\"",
        "\"next\"",
        "\"push\"",
        "\"ready\"",
        "\"pong\"",
        "\"aa\"",
        "[]",
        "{}",
        "[{}]",
    ]);
    let key = prop::sample::select(vec![
        "op",
        "res",
        "status",
        "msg",
        "err",
        "error",
        "uid",
        "path",
        "hash",
        "size",
        "pieces",
        "deleted",
        "version",
        "items",
        "more",
        "user",
        "perFileMax",
        "ctime",
    ]);
    let object = prop::collection::vec((key, value), 0..5).prop_map(|fields| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    });
    prop_oneof![6 => object, 1 => ".{0,40}"]
}

proptest! {
    #[test]
    fn no_frame_panics_and_the_dead_stay_dead(
        start in 0..6,
        said in prop::collection::vec(prop_oneof![
            4 => frames().prop_map(Ok),
            1 => (0..6_usize).prop_map(Err),
        ], 1..12),
    ) {
        let mut session = match start {
            0 => Session::new(),
            1 => open(),
            2 => pulling(6, 3),
            3 => pushing(2),
            4 => asked(&Request::Pull { uid: Uid(1) }),
            _ => asked(&Request::History { path: EncodedName::default(), last: None }),
        };
        for frame in &said {
            let frame = match frame {
                Ok(text) => Incoming::Text(text),
                Err(length) => Incoming::Binary(vec![0; *length].into()),
            };
            if session.receive(frame).is_err() {
                prop_assert!(session.send(&Request::Size).is_err());
            }
        }
    }
}
