//! Content that goes up in parts.

use std::time::Duration;

use bytes::Bytes;
use obsync_core::{Expect, Retire, Staged, StagedWriter, StoreErrorKind, VaultStore as _};
use obsync_doubles::s3::{Double, How};
use obsync_s3::S3Home;

use crate::support::{HandClock, meta, open, path, soon};

const BIG: &str = "vaults/Notes/big.bin";
const PART: usize = 5 * 1024 * 1024;

fn large() -> Vec<u8> {
    (0..20_000_000u32).map(|n| (n % 251) as u8).collect()
}

async fn writer(home: &S3Home, content: &[u8]) -> Box<dyn StagedWriter> {
    let (path, meta) = (path("big.bin"), meta(content));
    home.files.stage_stream_of(&path, &meta).await.unwrap()
}

async fn stream(home: &S3Home, content: &[u8]) -> Staged {
    let mut writer = writer(home, content).await;
    for piece in content.chunks(1_000_000) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish(meta(content)).await.unwrap()
}

#[tokio::test]
async fn a_part_goes_up_while_the_next_one_comes() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let content = large();
    let mut writer = writer(&home, &content).await;
    // The first part hangs: what comes is taken all the same, until another part is full.
    double.fail(&format!("PUT {BIG}"), How::Hang);
    let mut taken = 0;
    for piece in content.chunks(1_000_000) {
        let write = writer.write(Bytes::copy_from_slice(piece));
        let write = tokio::time::timeout(Duration::from_millis(500), write);
        match write.await {
            Ok(written) => written.unwrap(),
            Err(_) => break,
        }
        taken += piece.len();
    }
    assert!((PART..3 * PART).contains(&taken), "{taken}");
    drop(writer);
    soon(|| double.uploads() == 0).await;
}

#[tokio::test]
async fn a_part_that_can_not_go_up_ends_it() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let content = large();
    double.fail(&format!("PUT {BIG}"), How::Answer(403, "AccessDenied", ""));
    let mut writer = writer(&home, &content).await;
    let mut ended = Ok(());
    for piece in content.chunks(1_000_000) {
        ended = ended.and(writer.write(Bytes::copy_from_slice(piece)).await);
    }
    let error = ended.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
}

#[tokio::test]
async fn uploads_of_others_are_left_alone_until_nobody_wants_them() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    double.list_by(2);
    for name in ["a", "a", "b", "c", "c", "c", "d & e/f+g %"] {
        double.begin_upload(&format!("vaults/Notes/{name}"));
    }
    double.begin_upload("vaults/Notesbook/x");
    home.files.sweep().await.unwrap();
    assert_eq!(double.uploads(), 8);
    double.pass(Duration::from_secs(24 * 3600 + 1));
    double.begin_upload("vaults/Notes/b");
    home.files.sweep().await.unwrap();
    assert_eq!(double.uploads(), 2);
}

#[tokio::test]
async fn an_upload_that_meets_a_conflict_can_not_be_completed_again() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let staged = stream(&home, &large()).await;
    let conflict = How::Answer(409, "ConditionalRequestConflict", "");
    double.fail(&format!("POST {BIG}"), conflict);
    double.requests();
    let failure = home
        .files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    // It is to be fetched again: no other upload can be made of what is left.
    assert_eq!(
        failure.error.kind,
        StoreErrorKind::Other,
        "{}",
        failure.error
    );
    assert!(failure.staged.is_none());
    let requests = double.requests();
    let posts = requests.iter().filter(|line| line.starts_with("POST"));
    assert_eq!(posts.count(), 1, "{requests:?}");
    soon(|| double.uploads() == 0).await;
}

#[tokio::test]
async fn a_completion_that_fails_in_the_middle_of_its_answer_is_tried_again() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let content = large();
    let staged = stream(&home, &content).await;
    double.fail(
        &format!("POST {BIG}"),
        How::Answer(200, "InternalError", ""),
    );
    home.files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap();
    assert!(double.object(BIG).unwrap().bytes == content);
    let staged = stream(&home, b"more").await;
    drop(staged);
    let staged = stream(&home, &content).await;
    double.remove(BIG);
    double.fail_times(
        &format!("POST {BIG}"),
        3,
        How::Answer(200, "InternalError", ""),
    );
    let failure = home
        .files
        .publish(staged, &Expect::Absent, Retire::Discard)
        .await
        .unwrap_err();
    assert_eq!(
        failure.error.kind,
        StoreErrorKind::Other,
        "{}",
        failure.error
    );
    assert!(double.object(BIG).is_none());
}
