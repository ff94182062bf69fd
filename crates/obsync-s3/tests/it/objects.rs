//! Objects as others see them, large ones, and bad surroundings.

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use obsidian_sync::ContentHash;
use obsync_core::{
    Batch, Expect, Found, Header, Retire, StateStore as _, StoreErrorKind, VaultStore as _,
};
use obsync_s3::{Encryption, Place, S3Home};

use crate::support::{HandClock, LATER, about, meta, open, open_with, path, put, settings};
use obsync_doubles::s3::{Double, How};

fn large() -> Vec<u8> {
    (0..20_000_000u32).map(|n| (n % 251) as u8).collect()
}

async fn stream(home: &S3Home, at: &str, content: &[u8]) -> obsync_core::Staged {
    let mut writer = home
        .files
        .stage_stream_of(&path(at), &meta(content))
        .await
        .unwrap();
    for piece in content.chunks(1_000_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish(meta(content)).await.unwrap()
}

#[tokio::test]
async fn objects_carry_what_the_settings_ask_for() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let mut settings = settings(&double.url);
    settings.encryption = Encryption::Kms(Some("key-1".into()));
    settings.storage_class = Some("STANDARD_IA".into());
    settings.tags = vec![("team".into(), "a b".into())];
    settings.expected_owner = Some("111122223333".into());
    let home = open_with(&settings, &about("Notes"), &clock).await.unwrap();
    let small = home
        .files
        .stage(&path("n.md"), Bytes::from("text"), meta(b"text"))
        .await
        .unwrap();
    let stamp = home
        .files
        .publish(small, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    let content = large();
    let staged = stream(&home, "big.md", &content).await;
    home.files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    home.files
        .rename(&path("n.md"), &stamp, &path("m.md"), &meta(b"text"))
        .await
        .unwrap();
    for key in ["m.md", "big.md"] {
        let headers = double
            .object(&format!("vaults/Notes/{key}"))
            .unwrap()
            .headers;
        let hash = if key == "m.md" {
            ContentHash::of(b"text")
        } else {
            ContentHash::of(&content)
        };
        for (name, value) in [
            ("content-type", "text/markdown; charset=utf-8"),
            ("x-amz-meta-mtime", "1600000000.123"),
            ("x-amz-meta-obsync-uid", "7"),
            ("x-amz-meta-sha256", &*hash.to_hex()),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-tagging", "team=a+b"),
        ] {
            let found = headers.get(name).map(|found| found.replace("%20", "+"));
            assert_eq!(found.as_deref(), Some(value), "{key} {name}");
        }
    }
    home.state
        .commit(Batch {
            header: Some(Header {
                full_pending: true,
                ..Header::default()
            }),
            ..Batch::default()
        })
        .await
        .unwrap();
    home.state.close().await.unwrap();
    let state = double.object("state/0123abcd.json").unwrap();
    assert_eq!(state.headers["x-amz-server-side-encryption"], "aws:kms");
}

#[tokio::test]
async fn large_content_goes_up_in_parts() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let content = large();
    let staged = stream(&home, "big.bin", &content).await;
    assert_eq!(double.uploads(), 1);
    assert!(double.object("vaults/Notes/big.bin").is_none());
    double.put("vaults/Notes/big.bin", b"local");
    let failure = home
        .files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert_eq!(failure.error.kind, StoreErrorKind::Changed);
    double.remove("vaults/Notes/big.bin");
    double.fail("POST vaults/Notes/big.bin", How::LoseReply);
    let staged = failure.staged.unwrap();
    let stamp = home
        .files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    let there = double.object("vaults/Notes/big.bin").unwrap();
    assert!(there.bytes == content && stamp.0.starts_with(&there.e_tag));
    assert_eq!(double.uploads(), 0);
}

#[tokio::test]
async fn content_that_is_given_up_is_aborted() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    drop(stream(&home, "big.bin", &large()).await);
    // The abort runs by itself; the double sees it soon.
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while double.uploads() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the upload is aborted");
    // A crash runs no destructors: a later run sweeps.
    std::mem::forget(stream(&home, "big.bin", &large()).await);
    assert_eq!(double.uploads(), 1);
    double.pass(std::time::Duration::from_secs(25 * 3600));
    home.files.sweep().await.unwrap();
    assert_eq!(double.uploads(), 0);
}

#[tokio::test]
async fn foreign_objects_do_not_get_in_the_way() {
    let (double, clock) = (Double::start().await, HandClock::new());
    for key in [
        "vaults/Notes/folder/",
        "vaults/Notes/a//b",
        "vaults/Notes/line\nbreak",
        "vaults/Notesbook/x",
    ] {
        double.put(key, b"");
    }
    double.put("vaults/Notes/mine.md", b"mine");
    let home = open(&double.url, &clock).await;
    let listed = home.files.list(".obsidian").await.unwrap();
    let names: Vec<_> = listed.iter().map(|listed| listed.path.as_str()).collect();
    assert_eq!(names, ["mine.md"]);
}

#[tokio::test]
async fn many_looks_cost_one_listing() {
    let (double, clock) = (Double::start().await, HandClock::new());
    for n in 0..1500 {
        double.put(&format!("vaults/Notes/{n}.md"), b"x");
    }
    let home = open(&double.url, &clock).await;
    double.requests();
    // As many at once as the engine has under way.
    let files = &home.files;
    let looks = stream::iter(0..2000).map(async |n| {
        let found = files.inspect(&path(&format!("{n}.md")), None).await;
        assert_eq!(found.unwrap() == Found::Absent, n >= 1500, "{n}");
    });
    looks.buffer_unordered(32).collect::<()>().await;
    assert!(double.requests().len() < 70);
    // Where the listing is out of date, the failed condition makes the next look a true one.
    double.put("vaults/Notes/1700.md", b"new");
    let staged = home
        .files
        .stage(&path("1700.md"), Bytes::from("text"), meta(b"text"))
        .await
        .unwrap();
    let failure = home
        .files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert_eq!(failure.error.kind, StoreErrorKind::Changed);
    let found = home.files.inspect(&path("1700.md"), None).await.unwrap();
    assert!(matches!(found, Found::File { size: 3, .. }));
}

#[tokio::test]
async fn vaults_get_distinct_prefixes_that_stay() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let settings = settings(&double.url);
    let one = open(&double.url, &clock).await;
    one.files.set_identity("0123abcd/mark").await.unwrap();
    let mut other = about("Notes");
    other.vault = obsidian_sync::VaultId::new("ffff0000");
    let second = open_with(&settings, &other, &clock).await.unwrap();
    assert_eq!(second.files.prefix(), "vaults/Notes-ffff0000/");
    let batch = Batch {
        header: Some(Header {
            full_pending: true,
            ..Header::default()
        }),
        ..Batch::default()
    };
    second.state.commit(batch).await.unwrap();
    second.state.close().await.unwrap();
    // Renamed, or alone again: it stays where it is.
    other.name = "Diary".to_owned();
    let second = open_with(&settings, &other, &clock).await.unwrap();
    assert_eq!(second.files.prefix(), "vaults/Notes-ffff0000/");
    let mut elsewhere = about("Notes");
    elsewhere.place = Place::Prefix("/backup/now".into());
    let elsewhere = open_with(&settings, &elsewhere, &clock).await.unwrap();
    assert_eq!(elsewhere.files.prefix(), "backup/now/");
    assert_eq!(elsewhere.files.location(), "s3://notes/backup/now");
}

#[tokio::test]
async fn bad_surroundings_get_a_clear_word() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let mut settings = settings(&double.url);
    for (status, code, more, kind, words) in [
        (
            403,
            "AccessDenied",
            "",
            StoreErrorKind::Denied,
            "s3:GetObject is denied on 'state/0123abcd.json'",
        ),
        (
            403,
            "RequestTimeTooSkewed",
            "",
            StoreErrorKind::Unusable,
            "clock",
        ),
        (
            301,
            "PermanentRedirect",
            "",
            StoreErrorKind::Unusable,
            "AWS_REGION",
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            "<Region>eu-west-3</Region>",
            StoreErrorKind::Unusable,
            "eu-west-3",
        ),
    ] {
        double.fail("GET state/", How::Answer(status, code, more));
        let error = open_with(&settings, &about("Notes"), &clock)
            .await
            .unwrap_err();
        assert!(
            error.kind == kind && error.message.contains(words),
            "{error}"
        );
    }
    let home = open(&double.url, &clock).await;
    let content = Bytes::from("text");
    let staged = home
        .files
        .stage(&path("a.md"), content, meta(b"text"))
        .await
        .unwrap();
    double.fail(
        "PUT vaults/Notes/a.md",
        How::Answer(403, "AccessDenied", ""),
    );
    let failure = home
        .files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert!(
        failure
            .error
            .message
            .contains("s3:PutObject is denied on 'vaults/Notes/a.md'")
    );
    // Throttling passes, if it does not last.
    for _ in 0..2 {
        double.fail("PUT vaults/Notes/a.md", How::Answer(503, "SlowDown", ""));
    }
    home.files
        .publish(failure.staged.unwrap(), &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    for _ in 0..3 {
        double.fail("GET ", How::Answer(503, "SlowDown", ""));
    }
    let error = home.files.is_empty().await.unwrap_err();
    assert!(error.message.contains("throttling"), "{error}");

    settings.bucket = "none".into();
    let error = open_with(&settings, &about("Notes"), &clock)
        .await
        .unwrap_err();
    assert!(error.message.contains("no bucket 'none'"), "{error}");
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    settings.endpoint = Some(format!("http://{nowhere}").parse().unwrap());
    let error = open_with(&settings, &about("Notes"), &clock)
        .await
        .unwrap_err();
    assert!(error.message.contains("did not answer"), "{error}");
}

#[tokio::test]
async fn many_removals_cost_few_requests() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let mut removals = Vec::new();
    for n in 0..50 {
        let name = format!("{n}.md");
        let stamp = put(&home, &name, b"text", Expect::Absent).await.unwrap();
        removals.push((path(&name), stamp));
    }
    let asked: Vec<_> = removals
        .iter()
        .map(|(path, stamp)| (path, stamp, Retire::Discard))
        .collect();
    double.requests();
    let bulk = "POST ";
    // Refused by a service that can't, an answer that is lost, and the usual case.
    double.fail(bulk, How::Answer(501, "NotImplemented", ""));
    let results = home.files.remove_files(&asked[..5]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    double.fail(bulk, How::LoseReply);
    let results = home.files.remove_files(&asked[5..10]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    double.requests();
    let results = home.files.remove_files(&asked[10..]).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let requests = double.requests();
    let heads = requests.iter().filter(|line| line.starts_with("HEAD"));
    assert_eq!((heads.count(), requests.len()), (40, 41), "{requests:?}");
    assert!(!double.keys().iter().any(|key| key.ends_with(".md")));
    // Denied: a word for each, and nothing is taken for done.
    let stamp = put(&home, "a.md", b"text", Expect::Absent).await.unwrap();
    let a = path("a.md");
    double.fail(bulk, How::Answer(403, "AccessDenied", ""));
    let results = home
        .files
        .remove_files(&[(&a, &stamp, Retire::Discard)])
        .await;
    let error = results.into_iter().next().unwrap().unwrap_err();
    assert!(
        error.message.contains("s3:DeleteObject is denied"),
        "{error}"
    );
    // Without the lease nothing is removed at all.
    double.pass(LATER);
    clock.forward(31);
    let other = open(&double.url, &clock).await;
    other.state.intents().await.unwrap();
    put(&other, "b.md", b"other", Expect::Absent).await.unwrap();
    let results = home
        .files
        .remove_files(&[(&a, &stamp, Retire::Discard)])
        .await;
    let error = results.into_iter().next().unwrap().unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Busy, "{error}");
    assert!(double.object("vaults/Notes/a.md").is_some());
}
