//! What answers mean, told by tables.

use serde_json::Value;

use super::*;
use crate::rest::types::WireVaults;

fn answer(status: u16, content_type: &str, body: &str) -> Answer {
    Answer {
        host: "api.example".into(),
        status: StatusCode::from_u16(status).unwrap(),
        content_type: Some(content_type.to_owned()).filter(|kind| !kind.is_empty()),
        retry_after: None,
        body: body.as_bytes().to_vec(),
    }
}

fn kind(call: Call, status: u16, body: &str) -> Kind {
    answer(status, "application/json", body)
        .read::<Value>(call, &[])
        .unwrap_err()
        .kind()
}

const CALLS: [Call; 4] = [Call::SignIn, Call::Token, Call::Access, Call::Other];

#[test]
fn words_mean_what_the_call_was_for() {
    use Kind::*;
    let twofa_wanted = "Please provide a 2FA code.";
    let twofa_wrong = "Your 2FA code is incorrect.";
    for (words, kinds) in [
        (
            "Server overloaded, please try again later.",
            [Overloaded; 4],
        ),
        (
            "Login failed.",
            [WrongCredentials, Unauthorized, WrongVaultPassword, Refused],
        ),
        (
            twofa_wanted,
            [TwoFactorRequired, Unauthorized, WrongVaultPassword, Refused],
        ),
        (
            twofa_wrong,
            [TwoFactorRefused, Unauthorized, WrongVaultPassword, Refused],
        ),
        (
            "Invalid token",
            [WrongCredentials, Unauthorized, Unauthorized, Unauthorized],
        ),
        (
            "Vault not found.",
            [
                WrongCredentials,
                VaultNotFound,
                VaultNotFound,
                VaultNotFound,
            ],
        ),
        (
            "Your subscription to Obsidian Sync has expired.",
            [
                WrongCredentials,
                SubscriptionExpired,
                SubscriptionExpired,
                SubscriptionExpired,
            ],
        ),
        (
            "",
            [WrongCredentials, Unauthorized, WrongVaultPassword, Refused],
        ),
    ] {
        // As a success with an error in it, and as a failure.
        let body = serde_json::json!({ "error": words, "res": "err" }).to_string();
        for status in [200, 400] {
            for (call, expected) in CALLS.into_iter().zip(kinds) {
                assert_eq!(
                    kind(call, status, &body),
                    expected,
                    "{call:?} {status} {words}"
                );
            }
        }
    }
}

#[test]
fn refusing_statuses_mean_what_the_call_was_for() {
    use Kind::*;
    for (status, kinds) in [
        (
            401,
            [WrongCredentials, Unauthorized, Unauthorized, Unauthorized],
        ),
        // Who says no more than that is not the service.
        (403, [Edge; 4]),
        (404, [Edge; 4]),
        (429, [Overloaded; 4]),
        (500, [Edge; 4]),
        (503, [Edge; 4]),
        (302, [Edge; 4]),
    ] {
        for (call, expected) in CALLS.into_iter().zip(kinds) {
            assert_eq!(kind(call, status, "{}"), expected, "{call:?} {status}");
            let error = answer(status, "", "").read::<Value>(call, &[]).unwrap_err();
            assert_eq!(
                (error.kind(), error.status()),
                (expected, Some(status)),
                "{call:?}"
            );
        }
    }
}

#[test]
fn only_a_word_about_a_secret_makes_one_wrong() {
    use Kind::*;
    let said = |words: &str| serde_json::json!({ "error": words }).to_string();
    // The edge, in JSON.
    for body in [
        r#"{"message":"Forbidden"}"#.to_owned(),
        r#"{"success":false,"errors":[{"code":1020}]}"#.to_owned(),
        said("Forbidden"),
        said("Access denied."),
    ] {
        for call in CALLS {
            assert_eq!(kind(call, 403, &body), Edge, "{call:?} {body}");
        }
    }
    // The service, about something else than a token or a password.
    for status in [404, 405, 409, 413, 415, 451] {
        for call in CALLS {
            assert_eq!(
                kind(call, status, &said("No.")),
                Refused,
                "{call:?} {status}"
            );
        }
        assert_eq!(
            kind(Call::Token, status, &said("Not logged in")),
            Unauthorized
        );
    }
    // And about just that, under a status that fits.
    for status in [200, 400, 403, 422] {
        let no = said("No.");
        assert_eq!(
            kind(Call::Access, status, &no),
            WrongVaultPassword,
            "{status}"
        );
        assert_eq!(kind(Call::Token, status, &no), Unauthorized, "{status}");
        assert_eq!(
            kind(Call::SignIn, status, &no),
            WrongCredentials,
            "{status}"
        );
    }
}

#[test]
fn a_broken_service_does_not_make_tokens_bad() {
    for call in CALLS {
        assert_eq!(kind(call, 500, r#"{"error":"Invalid token"}"#), Kind::Edge);
        assert_eq!(
            kind(call, 503, r#"{"error":"Server overloaded"}"#),
            Kind::Overloaded
        );
    }
}

#[test]
fn pages_and_noise_are_the_edge() {
    for (status, content_type, body) in [
        (200, "text/html; charset=utf-8", "<html>hello"),
        (403, "text/html", "<html>blocked"),
        (504, "text/html", "<html>time-out"),
        (504, "text/html", r#"{"error":"Invalid token"}"#),
        (200, "application/json", "<html>"),
        (200, "application/json", ""),
        (200, "application/json", r#"{"vaults":["#),
        (200, "text/plain", "hello"),
        (200, "image/png", "{}"),
    ] {
        for call in CALLS {
            let error = answer(status, content_type, body)
                .read::<Value>(call, &[])
                .unwrap_err();
            assert_eq!(error.kind(), Kind::Edge, "{status} {content_type} {body}");
        }
    }
    let error = answer(504, "text/html", "<html>")
        .read::<Value>(Call::Token, &[])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "api.example answered HTTP 504 Gateway Timeout with a web page: not the service's own word"
    );
}

#[test]
fn another_shape_is_a_protocol_error() {
    for body in [
        "[]",
        " [{}]",
        "{}",
        r#"{"vaults":5}"#,
        r#"{"vaults":[{"id":5}, 7]}"#,
    ] {
        let result = answer(200, "application/json", body).read::<WireVaults>(Call::Token, &[]);
        assert_eq!(
            result.err().map(|error| error.kind()),
            Some(Kind::Protocol),
            "{body}"
        );
    }
}

#[test]
fn an_answer_is_read_whatever_plain_type_it_has() {
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "text/plain",
        "",
    ] {
        let value: Value = answer(200, content_type, r#"{"a":1,"error":null}"#)
            .read(Call::Token, &[])
            .unwrap();
        assert_eq!(value["a"], 1);
    }
}

#[test]
fn secrets_and_control_characters_stay_out_of_messages() {
    let body = r#"{"error":"hunter2 is\u001b[2J no token"}"#;
    for call in CALLS {
        let error = answer(200, "application/json", body).read::<Value>(call, &["hunter2"]);
        let text = error.unwrap_err().to_string();
        assert!(
            !text.contains("hunter2") && !text.contains('\u{1b}'),
            "{text}"
        );
    }
}

#[test]
fn a_preflight_stops_at_overload_and_broken_edges_only() {
    for (status, kind) in [
        (200, None),
        (204, None),
        (404, None),
        (405, None),
        (429, Some(Kind::Overloaded)),
        (301, Some(Kind::Edge)),
        (504, Some(Kind::Edge)),
    ] {
        let error = answer(status, "", "").check_preflight().err();
        assert_eq!(error.map(|error| error.kind()), kind, "{status}");
    }
}
