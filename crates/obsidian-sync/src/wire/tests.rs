//! Frames as they look on the wire.

use serde_json::{Value, json};

use super::*;

fn failure(frame: &Value) -> Option<String> {
    serde_json::from_value::<Head>(frame.clone())
        .unwrap()
        .failure()
}

#[test]
fn requests_look_as_the_protocol_says() {
    let init = Request::Init(InitRequest {
        token: Token::new("t"),
        id: VaultId::new("v"),
        keyhash: Token::new("k"),
        version: VaultVersion(3),
        initial: true,
        device: "d".into(),
        encryption_version: 3,
    });
    let folder = Request::Push(PushRequest {
        path: EncodedName::new("aa"),
        folder: true,
        ..PushRequest::default()
    });
    let file = Request::Push(PushRequest {
        path: EncodedName::new("aa"),
        related_path: Some(EncodedName::new("bb")),
        extension: "md".into(),
        hash: EncodedName::new("cc"),
        ctime: Millis(1),
        mtime: Millis(2),
        size: Some(30),
        pieces: Some(1),
        ..PushRequest::default()
    });
    let history = |last| Request::History {
        path: EncodedName::new("aa"),
        last,
    };
    for (request, frame) in [
        (
            init,
            json!({"op": "init", "token": "t", "id": "v", "keyhash": "k", "version": 3,
                   "initial": true, "device": "d", "encryption_version": 3}),
        ),
        (
            Request::Pull { uid: Uid(5) },
            json!({"op": "pull", "uid": 5}),
        ),
        (
            folder,
            json!({"op": "push", "path": "aa", "relatedpath": null, "extension": "", "hash": "",
                   "ctime": 0, "mtime": 0, "folder": true, "deleted": false}),
        ),
        (
            file,
            json!({"op": "push", "path": "aa", "relatedpath": "bb", "extension": "md",
                   "hash": "cc", "ctime": 1, "mtime": 2, "folder": false, "deleted": false,
                   "size": 30, "pieces": 1}),
        ),
        (Request::Ping, json!({"op": "ping"})),
        (
            history(None),
            json!({"op": "history", "path": "aa", "last": null}),
        ),
        (
            history(Some(Uid(9))),
            json!({"op": "history", "path": "aa", "last": 9}),
        ),
        (
            Request::Deleted {
                suppressrenames: true,
            },
            json!({"op": "deleted", "suppressrenames": true}),
        ),
        (
            Request::Restore { uid: Uid(5) },
            json!({"op": "restore", "uid": 5}),
        ),
        (Request::Size, json!({"op": "size"})),
        (Request::Usernames, json!({"op": "usernames"})),
        (Request::Purge, json!({"op": "purge"})),
    ] {
        assert_eq!(serde_json::to_value(&request).unwrap(), frame);
        let read: Request = serde_json::from_value(frame.clone()).unwrap();
        assert_eq!(serde_json::to_value(read).unwrap(), frame);
    }
}

#[test]
fn init_does_not_print_its_secrets() {
    let init = Request::Init(InitRequest {
        token: Token::new("hunter2"),
        id: VaultId::new("v"),
        keyhash: Token::new("hunter3"),
        version: VaultVersion(3),
        initial: true,
        device: "d".into(),
        encryption_version: 3,
    });
    assert!(!format!("{init:?}").contains("hunter"));
}

#[test]
fn records_are_read_liberally() {
    let bare: RawRecord = serde_json::from_str(r#"{"op":"push","uid":7}"#).unwrap();
    assert_eq!(
        bare,
        RawRecord {
            uid: Uid(7),
            ..RawRecord::default()
        }
    );

    let odd: RawRecord = serde_json::from_str(
        r#"{"uid":7,"path":"aa","hash":null,"size":-3,"ctime":1.75,"mtime":1e99,"folder":0,
            "deleted":null,"device":5,"user":"x","relatedpath":"","ts":null,"new":[{}]}"#,
    )
    .unwrap();
    let expected = RawRecord {
        uid: Uid(7),
        path: EncodedName::new("aa"),
        ctime: Millis(1),
        mtime: Millis(i64::MAX),
        ..RawRecord::default()
    };
    assert_eq!(odd, expected);
    assert!(serde_json::from_str::<RawRecord>(r#"{"path":"aa"}"#).is_err());
}

#[test]
fn notices_and_answers_round_trip() {
    let record = RawRecord {
        uid: Uid(7),
        path: EncodedName::new("aa"),
        size: 30,
        device: "phone".into(),
        user: Some(4),
        related_path: Some(EncodedName::new("bb")),
        ..RawRecord::default()
    };
    let frame = serde_json::to_value(ServerNotice::Push(record.clone())).unwrap();
    assert_eq!(
        frame,
        json!({"op": "push", "uid": 7, "path": "aa", "hash": "", "size": 30, "ctime": 0,
               "mtime": 0, "folder": false, "deleted": false, "device": "phone", "user": 4,
               "relatedpath": "bb"}),
    );
    assert_eq!(
        serde_json::from_value::<ServerNotice>(frame).unwrap(),
        ServerNotice::Push(record)
    );
    let ready = ServerNotice::Ready {
        version: VaultVersion(8),
    };
    assert_eq!(
        serde_json::to_value(ready).unwrap(),
        json!({"op": "ready", "version": 8})
    );
    assert_eq!(
        serde_json::to_value(Outcome::Next).unwrap(),
        json!({"res": "next"})
    );
    assert_eq!(
        serde_json::to_value(Outcome::Err { msg: "no".into() }).unwrap(),
        json!({"res": "err", "msg": "no"})
    );
}

#[test]
fn every_form_of_failure_is_one() {
    for (frame, words) in [
        (json!({"res": "err", "msg": "no"}), "no"),
        (json!({"status": "err", "msg": "no"}), "no"),
        (json!({"error": "no"}), "no"),
        (json!({"err": "no"}), "no"),
        (json!({"res": "err"}), ""),
        (json!({"err": {"code": 5}}), ""),
        (json!({"error": true, "msg": "no"}), "no"),
    ] {
        assert_eq!(failure(&frame).as_deref(), Some(words), "{frame}");
    }
    for frame in [
        json!({"res": "ok", "msg": "hello"}),
        json!({"error": null, "size": 5}),
        json!({"err": "", "hash": "aa"}),
        json!({"error": false}),
        json!({}),
    ] {
        assert_eq!(failure(&frame), None, "{frame}");
    }
}

#[test]
fn usernames_keep_what_is_a_name() {
    let names = usernames(r#"{"1":"Ann","2":null,"res":"ok","3":"Bob"}"#).unwrap();
    assert_eq!(
        names,
        Usernames::from([(1, "Ann".into()), (3, "Bob".into())])
    );
}
