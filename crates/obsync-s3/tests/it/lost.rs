//! States that are lost, or go back, under a run; and runs that end before they knew what they did.

use obsidian_sync::VaultVersion;
use obsync_core::{Expect, Header, StateStore as _, StoreErrorKind, VaultStore as _};
use obsync_doubles::s3::{Double, How};

use crate::support::{HandClock, LATER, LEASE, STATE, at_cursor, open, put, soon};

#[tokio::test]
async fn a_state_that_is_deleted_during_a_run_is_not_written_anew() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    home.state.commit(at_cursor(5)).await.unwrap();
    home.state.close().await.unwrap();
    home.state.commit(at_cursor(6)).await.unwrap();
    put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    double.remove(STATE);
    let error = home.state.close().await.unwrap_err();
    assert!(
        error.kind == StoreErrorKind::Unusable && error.message.contains("was deleted"),
        "{error}"
    );
    assert!(double.object(STATE).is_none());
    // The next run finds what was done by its marks, as after a crash.
    double.pass(LATER);
    let next = open(&double.url, &clock).await;
    assert_eq!(next.state.header().await.unwrap(), Header::default());
    assert_eq!(next.state.intents().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_state_that_goes_back_during_a_run_is_left_as_it_is() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    home.state.commit(at_cursor(5)).await.unwrap();
    home.state.close().await.unwrap();
    let earlier = double.object(STATE).unwrap();
    home.state.commit(at_cursor(6)).await.unwrap();
    home.state.close().await.unwrap();
    home.state.commit(at_cursor(7)).await.unwrap();
    double.restore(STATE, &earlier);
    let error = home.state.close().await.unwrap_err();
    assert!(
        error.kind == StoreErrorKind::Unusable && error.message.contains("earlier"),
        "{error}"
    );
    assert_eq!(double.object(STATE).unwrap().bytes, earlier.bytes);
    // Between runs somebody may well go back.
    double.pass(LATER);
    let next = open(&double.url, &clock).await;
    assert_eq!(next.state.header().await.unwrap().cursor, VaultVersion(5));
    next.state.commit(at_cursor(8)).await.unwrap();
    next.state.close().await.unwrap();
}

#[tokio::test]
async fn after_a_merge_the_cursor_does_not_go_back() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    home.state.commit(at_cursor(5)).await.unwrap();
    home.state.close().await.unwrap();
    home.state.commit(at_cursor(6)).await.unwrap();
    // The last write of a run that this one took over lands only now.
    let text = String::from_utf8(double.object(STATE).unwrap().bytes.to_vec()).unwrap();
    let text = text.replace("\"cursor\":5", "\"cursor\":9");
    double.put(STATE, text.as_bytes());
    home.state.close().await.unwrap();
    assert_eq!(home.state.header().await.unwrap().cursor, VaultVersion(9));
    home.state.commit(at_cursor(7)).await.unwrap();
    assert_eq!(home.state.header().await.unwrap().cursor, VaultVersion(9));
    home.state.commit(at_cursor(10)).await.unwrap();
    assert_eq!(home.state.header().await.unwrap().cursor, VaultVersion(10));
}

#[tokio::test]
async fn a_lease_that_was_taken_in_vain_opens_no_gate() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let other = open(&double.url, &clock).await;
    other.state.commit(at_cursor(5)).await.unwrap();
    other.state.close().await.unwrap();
    // It takes the lease, and can't see that what it knows is out of date.
    double.fail(&format!("HEAD {STATE}"), How::Answer(403, "", ""));
    put(&home, "a.md", b"one", Expect::Absent)
        .await
        .unwrap_err();
    let refused = put(&home, "a.md", b"one", Expect::Absent)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy, "{refused}");
    assert!(double.object("vaults/Notes/a.md").is_none());
}

#[tokio::test]
async fn a_run_that_ends_early_does_not_forget_what_a_dead_one_left() {
    for at in [
        "GET ",
        "PUT vaults/",
        "HEAD state/0123abcd.json",
        "PUT state/0123abcd.json",
    ] {
        let (double, clock) = (Double::start().await, HandClock::new());
        let first = open(&double.url, &clock).await;
        first.state.commit(at_cursor(1)).await.unwrap();
        first.state.close().await.unwrap();
        put(&first, "a.md", b"one", Expect::Absent).await.unwrap();
        drop(first);
        double.pass(LATER);

        let next = open(&double.url, &clock).await;
        assert_eq!(next.state.intents().await.unwrap().len(), 1);
        double.fail_times(at, 20, How::Answer(403, "AccessDenied", ""));
        let ended = match at {
            "GET " => next.files.sweep().await,
            _ => put(&next, "b.md", b"two", Expect::Absent).await.map(drop),
        };
        double.mend();
        ended.expect_err(at);
        // As front ends do, however a run ended.
        let _ = next.state.checkpoint().await;
        drop(next);
        double.pass(LATER);
        let third = open(&double.url, &clock).await;
        assert_eq!(third.state.intents().await.unwrap().len(), 1, "{at}");
        third.files.sweep().await.unwrap();
        assert!(double.object(LEASE).is_some());
    }
}

#[tokio::test]
async fn a_run_that_comes_too_late_does_not_forget_what_a_dead_one_left() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let late = open(&double.url, &clock).await;
    let dead = open(&double.url, &clock).await;
    dead.state.commit(at_cursor(1)).await.unwrap();
    dead.state.close().await.unwrap();
    put(&dead, "a.md", b"one", Expect::Absent).await.unwrap();
    drop(dead);
    double.pass(LATER);
    let refused = put(&late, "b.md", b"two", Expect::Absent)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy, "{refused}");
    let _ = late.state.checkpoint().await;
    drop(late);
    double.pass(LATER);
    let next = open(&double.url, &clock).await;
    assert_eq!(next.state.intents().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_run_that_is_cut_off_as_it_begins_does_not_forget_what_a_dead_one_left() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let dead = open(&double.url, &clock).await;
    put(&dead, "a.md", b"one", Expect::Absent).await.unwrap();
    drop(dead);
    double.pass(LATER);
    let next = open(&double.url, &clock).await;
    assert_eq!(next.state.intents().await.unwrap().len(), 1);
    // It has the lease, and is cut off while it notes what it found.
    double.fail(&format!("PUT {STATE}"), How::Hang);
    double.requests();
    let doomed = next.clone();
    let task = tokio::spawn(async move {
        let _ = put(&doomed, "b.md", b"two", Expect::Absent).await;
    });
    let mut seen = Vec::new();
    soon(|| {
        seen.extend(double.requests());
        seen.contains(&format!("PUT {STATE}"))
    })
    .await;
    task.abort();
    task.await.unwrap_err();
    next.state.checkpoint().await.unwrap();
    drop(next);
    assert!(double.object("vaults/Notes/b.md").is_none());
    double.pass(LATER);
    let third = open(&double.url, &clock).await;
    assert_eq!(third.state.intents().await.unwrap().len(), 1);
}
