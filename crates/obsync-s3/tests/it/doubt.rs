//! Requests of which nobody knows whether they were done, and how often any is tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use obsync_core::{
    Batch, Expect, Header, Retire, RunStatus, StateStore as _, StoreError, StoreErrorKind,
    VaultStore as _,
};
use obsync_doubles::s3::{Double, How};
use obsync_s3::{AwsCredential, CredentialSource, S3Home};

use crate::support::{HandClock, STATE, about, meta, open, path, put, settings};

const NOTE: &str = "vaults/Notes/a.md";

/// How a write may end without anybody knowing how.
const DOUBTFUL: [How; 3] = [
    How::DoneButAnswer(500, "InternalError"),
    How::LoseReply,
    How::Answer(500, "InternalError", ""),
];

/// Whether some object still has this content.
fn is_somewhere(double: &Double, content: &[u8]) -> bool {
    let keys = double.keys().into_iter();
    let mut objects = keys.filter_map(|key| double.object(&key));
    objects.any(|object| object.bytes == content)
}

async fn replace(home: &S3Home, expect: Expect) -> Result<(), StoreError> {
    let a = path("a.md");
    let staged = home
        .files
        .stage(&a, Bytes::from("new"), meta(b"new"))
        .await?;
    let published = home.files.publish(staged, &expect, Retire::Trash).await;
    published.map(drop).map_err(|failure| failure.error)
}

#[tokio::test]
async fn what_went_to_the_trash_stays_there_while_it_may_be_the_last_copy() {
    for how in DOUBTFUL {
        for tries in [1, 3] {
            // Whichever look fails.
            for look in 0..4 {
                let (double, clock) = (Double::start().await, HandClock::new());
                let home = open(&double.url, &clock).await;
                put(&home, "b.md", b"other", Expect::Absent).await.unwrap();
                double.put(NOTE, b"mine");
                let (_, stamp) = home.files.hash(&path("a.md")).await.unwrap().unwrap();
                double.fail_times(&format!("PUT {NOTE}"), tries, how);
                double.fail_after(&format!("HEAD {NOTE}"), look, How::Answer(403, "", ""));
                let replaced = replace(&home, Expect::Is(stamp.clone())).await;
                double.mend();
                assert!(
                    is_somewhere(&double, b"mine"),
                    "{how:?} {look} {replaced:?}"
                );
                if double
                    .object(NOTE)
                    .is_none_or(|object| object.bytes != "mine")
                {
                    continue;
                }
                double.fail_times(&format!("DELETE {NOTE}"), tries, how);
                double.fail_after(&format!("HEAD {NOTE}"), look, How::Answer(403, "", ""));
                let a = path("a.md");
                let removed = home.files.remove_file(&a, &stamp, Retire::Trash).await;
                assert!(is_somewhere(&double, b"mine"), "{how:?} {look} {removed:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_leaves_nothing_in_the_trash() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    double.put(NOTE, b"mine");
    let a = path("a.md");
    let (_, stamp) = home.files.hash(&a).await.unwrap().unwrap();
    double.fail(&format!("PUT {NOTE}"), How::Answer(403, "AccessDenied", ""));
    let refused = replace(&home, Expect::Is(stamp.clone())).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Denied);
    double.fail(
        &format!("DELETE {NOTE}"),
        How::Answer(403, "AccessDenied", ""),
    );
    let refused = home.files.remove_file(&a, &stamp, Retire::Trash).await;
    assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Denied);
    let keys = double.keys();
    assert!(!keys.iter().any(|key| key.contains("/trash/")), "{keys:?}");
}

#[tokio::test]
async fn a_look_that_fails_after_a_doubtful_write_is_the_error() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    put(&home, "b.md", b"other", Expect::Absent).await.unwrap();
    double.fail_times(
        &format!("PUT {NOTE}"),
        3,
        How::DoneButAnswer(500, "InternalError"),
    );
    double.fail(&format!("HEAD {NOTE}"), How::Answer(403, "", ""));
    let error = put(&home, "a.md", b"one", Expect::Absent)
        .await
        .unwrap_err();
    assert!(
        error.kind == StoreErrorKind::Denied && error.message.contains("s3:GetObject"),
        "{error}"
    );
}

#[tokio::test]
async fn every_request_is_tried_three_times_in_all() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    let a = path("a.md");
    let header = Header {
        full_pending: true,
        ..Header::default()
    };
    let batch = Batch {
        header: Some(header),
        ..Batch::default()
    };
    home.state.commit(batch).await.unwrap();
    for how in [
        How::Answer(500, "InternalError", ""),
        How::Answer(503, "SlowDown", ""),
        How::Answer(429, "TooManyRequests", ""),
        How::Answer(400, "RequestTimeout", ""),
        How::Answer(409, "ConditionalRequestConflict", ""),
    ] {
        for at in [
            format!("PUT {NOTE}"),
            format!("HEAD {NOTE}"),
            format!("DELETE {NOTE}"),
            "GET ".to_owned(),
            format!("PUT {STATE}"),
            "PUT state/0123abcd.status.json".to_owned(),
        ] {
            double.requests();
            double.fail_times(&at, 20, how);
            let done = match at.split_once(' ').unwrap() {
                ("PUT", NOTE) => put(&home, "a.md", b"two", Expect::Is(stamp.clone()))
                    .await
                    .map(drop),
                ("HEAD", _) => home.files.inspect(&a, None).await.map(drop),
                ("DELETE", _) => home.files.remove_file(&a, &stamp, Retire::Discard).await,
                ("GET", _) => home.files.is_empty().await.map(drop),
                ("PUT", STATE) => home.state.close().await,
                _ => home.state.set_status(&RunStatus::default()).await,
            };
            double.mend();
            done.expect_err(&at);
            let requests = double.requests();
            let tried = requests.iter().filter(|line| line.starts_with(&at)).count();
            let wanted = match (how, at.starts_with("HEAD") || at.starts_with("GET")) {
                // Nothing that reads is in conflict, or sends too slowly.
                (How::Answer(409, ..), true) => 1,
                (How::Answer(400, ..), true) if at.starts_with("HEAD") => 1,
                _ => 3,
            };
            assert_eq!(tried, wanted, "{at} {how:?} {requests:?}");
            if at.ends_with(STATE) {
                // What could not be written is forgotten with it.
                let batch = Batch {
                    header: Some(Header {
                        full_pending: true,
                        ..Header::default()
                    }),
                    ..Batch::default()
                };
                home.state.commit(batch).await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn what_can_not_pass_is_tried_once() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    for (status, code) in [
        (400, "InvalidRequest"),
        (403, "AccessDenied"),
        (501, "NotImplemented"),
        (507, "QuotaExceeded"),
    ] {
        double.fail_times("GET ", 20, How::Answer(status, code, ""));
        double.requests();
        home.files.is_empty().await.unwrap_err();
        double.mend();
        assert_eq!(double.requests().len(), 1, "{code}");
    }
}

#[tokio::test]
async fn a_copy_that_fails_in_the_middle_of_its_answer_failed() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    let (a, b) = (path("a.md"), path("b.md"));
    // 200, and then an error.
    double.fail_times(
        "PUT vaults/Notes/b.md",
        3,
        How::Answer(200, "InternalError", ""),
    );
    let renamed = home.files.rename(&a, &stamp, &b, &meta(b"one")).await;
    renamed.unwrap_err();
    assert!(double.object(NOTE).is_some());
    double.fail("PUT vaults/Notes/b.md", How::Answer(200, "SlowDown", ""));
    double.requests();
    let renamed = home.files.rename(&a, &stamp, &b, &meta(b"one")).await;
    let there = double.object("vaults/Notes/b.md").unwrap();
    assert!(renamed.unwrap().0.starts_with(&there.e_tag));
}

#[tokio::test]
async fn a_rename_takes_four_requests() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    double.requests();
    let (a, b) = (path("a.md"), path("b.md"));
    home.files
        .rename(&a, &stamp, &b, &meta(b"one"))
        .await
        .unwrap();
    let mut requests = double.requests();
    requests.sort();
    assert_eq!(
        requests,
        [
            "DELETE vaults/Notes/a.md",
            "HEAD vaults/Notes/a.md",
            "HEAD vaults/Notes/b.md",
            "PUT vaults/Notes/b.md",
        ]
    );
}

#[tokio::test]
async fn a_conflicted_copy_whose_reply_was_lost_is_made_once() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    double.put(NOTE, b"mine");
    double.fail("PUT vaults/Notes/a (mine).md", How::LoseReply);
    let (from, to) = (path("a.md"), path("a (mine).md"));
    home.files.set_aside(&from, &to).await.unwrap();
    assert!(double.object(NOTE).is_none());
    assert_eq!(
        double.object("vaults/Notes/a (mine).md").unwrap().bytes,
        "mine"
    );
}

#[tokio::test]
async fn without_credentials_nothing_is_tried_twice() {
    #[derive(Debug)]
    struct Nothing(Arc<AtomicUsize>);

    #[async_trait::async_trait]
    impl CredentialSource for Nothing {
        async fn current(&self) -> Result<Arc<AwsCredential>, StoreError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let what = "there are none today";
            Err(StoreError::new(StoreErrorKind::Unusable, what))
        }
    }

    let (double, clock) = (Double::start().await, HandClock::new());
    let asked = Arc::new(AtomicUsize::new(0));
    let provider = obsync_s3::provider(Nothing(Arc::clone(&asked)));
    let settings = settings(&double.url);
    let opened = S3Home::open(&settings, &about("Notes"), provider, Arc::new(clock)).await;
    let error = opened.unwrap_err();
    assert!(error.message.contains("there are none today"), "{error}");
    // For the state and for the lease, which are asked for together.
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(double.requests(), [""; 0]);
}
