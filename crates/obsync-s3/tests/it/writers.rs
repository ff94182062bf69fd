//! Two writers, lost replies, dead runs.

use obsidian_sync::{ContentHash, Millis, Uid, VaultVersion};
use obsync_core::{
    Batch, Entry, Expect, FileEntry, Header, RunStatus, Stamp, StateStore as _, StoreErrorKind,
    VaultStore as _,
};

use crate::support::{
    HandClock, LATER, LEASE, STATE, about, at_cursor, meta, open, open_with, path, put, settings,
};
use obsync_doubles::s3::{Double, How};

async fn cursor(double: &Double, clock: &HandClock) -> u64 {
    open(&double.url, clock)
        .await
        .state
        .header()
        .await
        .unwrap()
        .cursor
        .0
}

#[tokio::test]
async fn one_works_and_the_other_is_busy() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let one = open(&double.url, &clock).await;
    let other = open(&double.url, &clock).await;
    put(&one, "a.md", b"one", Expect::Absent).await.unwrap();
    let refused = put(&other, "b.md", b"other", Expect::Absent)
        .await
        .unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy, "{refused}");
    let refused = other.state.commit(at_cursor(3)).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy);
    assert!(double.object("vaults/Notes/b.md").is_none());

    // Once the first has ended, what the other knows is out of date: it must look again.
    one.state.commit(at_cursor(9)).await.unwrap();
    one.state.checkpoint().await.unwrap();
    let refused = other.state.commit(at_cursor(3)).await.unwrap_err();
    assert!(refused.kind == StoreErrorKind::Busy && refused.message.contains("run again"));
    assert_eq!(other.state.header().await.unwrap().cursor, VaultVersion(9));
    other.state.commit(at_cursor(10)).await.unwrap();
    other.state.close().await.unwrap();
    assert_eq!(cursor(&double, &clock).await, 10);
}

#[tokio::test]
async fn a_run_that_was_taken_over_changes_nothing() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let stale = open(&double.url, &clock).await;
    put(&stale, "a.md", b"one", Expect::Absent).await.unwrap();
    stale.state.commit(at_cursor(5)).await.unwrap();
    stale.state.close().await.unwrap();
    stale.state.commit(at_cursor(6)).await.unwrap();

    // It sleeps past its lease; another takes over and moves on.
    double.pass(LATER);
    let newer = open(&double.url, &clock).await;
    newer.state.commit(at_cursor(8)).await.unwrap();
    newer.state.checkpoint().await.unwrap();

    let refused = stale.state.checkpoint().await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy, "{refused}");
    assert_eq!(cursor(&double, &clock).await, 8);
}

#[tokio::test]
async fn a_stale_run_does_not_call_a_newer_object_a_local_edit() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let stale = open(&double.url, &clock).await;
    put(&stale, "other.md", b"x", Expect::Absent).await.unwrap();
    double.pass(LATER);
    let newer = open(&double.url, &clock).await;
    newer.state.intents().await.unwrap();
    put(&newer, "a.md", b"newer", Expect::Absent).await.unwrap();
    // By its own clock the stale run still holds the lease.
    let error = put(&stale, "a.md", b"stale", Expect::Absent)
        .await
        .unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Busy, "{error}");
    let there = double.object("vaults/Notes/a.md").unwrap();
    assert_eq!(&there.bytes[..], b"newer");
}

#[tokio::test]
async fn a_stale_write_of_the_state_is_fenced() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let stale = open(&double.url, &clock).await;
    stale.state.commit(at_cursor(5)).await.unwrap();
    double.pass(LATER);
    let newer = open(&double.url, &clock).await;
    // Its first effect alone shuts the other out.
    put(&newer, "a.md", b"newer", Expect::Absent).await.unwrap();
    let error = stale.state.close().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Busy, "{error}");
    let state = double.object(STATE).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state.bytes).unwrap();
    assert_eq!(state["header"]["cursor"], 0);
}

#[tokio::test]
async fn lost_replies_are_recognised() {
    for at in [STATE, LEASE, "vaults/Notes/a.md"] {
        let (double, clock) = (Double::start().await, HandClock::new());
        let home = open(&double.url, &clock).await;
        double.fail(&format!("PUT {at}"), How::LoseReply);
        let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
        home.state.commit(at_cursor(5)).await.unwrap();
        home.state.close().await.unwrap();
        assert_eq!(cursor(&double, &clock).await, 5, "{at}");
        // Not as somebody else's: it can be replaced.
        put(&home, "a.md", b"two", Expect::Is(stamp)).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_dead_run_put_is_known_again() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let dead = open(&double.url, &clock).await;
    put(&dead, "a.md", b"one", Expect::Absent).await.unwrap();
    drop(dead);
    double.put("vaults/Notes/foreign.md", b"not ours");
    double.pass(LATER);
    let next = open(&double.url, &clock).await;
    let found = next.state.intents().await.unwrap();
    assert_eq!(found, [(path("a.md"), meta(b"one"))]);
    // After a run that ends well nothing is left to find.
    let settled = Batch {
        settle: true,
        ..at_cursor(1)
    };
    next.state.commit(settled).await.unwrap();
    next.state.checkpoint().await.unwrap();
    assert_eq!(next.state.intents().await.unwrap(), []);
}

#[tokio::test]
async fn an_idle_run_takes_no_lease_and_writes_no_state() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    home.state.commit(at_cursor(5)).await.unwrap();
    home.state.close().await.unwrap();
    let before = double.object(STATE).unwrap().version;
    double.requests();

    let home = open(&double.url, &clock).await;
    home.state.header().await.unwrap();
    home.state.intents().await.unwrap();
    home.files.identity().await.unwrap();
    home.files.is_empty().await.unwrap();
    home.state.commit(Batch::default()).await.unwrap();
    home.state.checkpoint().await.unwrap();
    home.state.set_status(&RunStatus::default()).await.unwrap();
    let requests = double.requests();
    let puts: Vec<_> = requests
        .iter()
        .filter(|line| line.starts_with("PUT"))
        .collect();
    assert_eq!(puts, ["PUT state/0123abcd.status.json"], "{requests:?}");
    assert_eq!(double.object(STATE).unwrap().version, before);
    assert_eq!(home.state.version_id().await, Some(before));
}

#[tokio::test]
async fn many_commits_cost_few_writes() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    for n in 0..200u64 {
        let entry = Entry::File(FileEntry {
            uid: Uid(n),
            hash: ContentHash::of(b""),
            size: 0,
            mtime: Millis(0),
            stamp: Stamp("e:0".into()),
        });
        let set = vec![(path(&format!("{n}.md")), entry)];
        home.state
            .commit(Batch {
                set,
                ..Batch::default()
            })
            .await
            .unwrap();
    }
    home.state.checkpoint().await.unwrap();
    let requests = double.requests();
    let writes = requests
        .iter()
        .filter(|line| *line == &format!("PUT {STATE}"))
        .count();
    assert!((1..10).contains(&writes), "{writes}");
    let home = open(&double.url, &clock).await;
    assert_eq!(home.state.counts().await.unwrap().files, 200);
}

#[tokio::test]
async fn a_state_that_is_not_understood_is_left_alone() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    home.state.commit(at_cursor(5)).await.unwrap();
    home.state.close().await.unwrap();
    let good = String::from_utf8(double.object(STATE).unwrap().bytes.to_vec()).unwrap();
    for (text, word) in [
        (
            good.replace("\"schema\":1", "\"schema\":2,\"new\":true"),
            "newer obsync (format 2)",
        ),
        (
            good.replace("\"fence\"", "\"colour\":1,\"fence\""),
            "damaged",
        ),
        (good[..good.len() / 2].to_owned(), "damaged"),
        (good.replace("0123abcd", "ffffffff"), "another vault"),
    ] {
        double.put(STATE, text.as_bytes());
        let opened = open_with(&settings(&double.url), &about("Notes"), &clock).await;
        let error = opened.unwrap_err();
        assert!(
            error.kind == StoreErrorKind::Unusable && error.message.contains(word),
            "{error}"
        );
        assert_eq!(&double.object(STATE).unwrap().bytes[..], text.as_bytes());
    }
}

#[tokio::test]
async fn a_run_whose_last_write_fails_counts_as_dead() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    home.state.commit(at_cursor(5)).await.unwrap();
    double.fail(
        &format!("PUT {STATE}"),
        How::Answer(403, "AccessDenied", ""),
    );
    let error = home.state.checkpoint().await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Denied, "{error}");
    // What could not be written is forgotten, and the file is found by its mark.
    assert_eq!(home.state.header().await.unwrap(), Header::default());
    assert_eq!(home.state.intents().await.unwrap().len(), 1);
    let refused = put(
        &open(&double.url, &clock).await,
        "b.md",
        b"two",
        Expect::Absent,
    )
    .await;
    assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Busy);
    double.pass(LATER);
    let next = open(&double.url, &clock).await;
    assert_eq!(next.state.intents().await.unwrap().len(), 1);
    put(&next, "b.md", b"two", Expect::Absent).await.unwrap();
}

/// Keeps the warnings of this thread.
#[derive(Clone, Default)]
struct Warnings(std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Words(String);
        impl tracing::field::Visit for Words {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!("{field}={value:?} ");
            }
        }
        let mut words = Words(String::new());
        event.record(&mut words);
        self.0.lock().unwrap().push(words.0);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn a_bucket_without_versions_is_told_of_once() {
    let warnings = Warnings::default();
    let _heard = tracing::subscriber::set_default(warnings.clone());
    for (versions, suspended) in [(true, false), (false, false), (false, true)] {
        let (double, clock) = (Double::start().await, HandClock::new());
        warnings.0.lock().unwrap().clear();
        match (versions, suspended) {
            (true, _) => {}
            (false, false) => double.keep_no_versions(),
            (false, true) => double.suspend_versions(),
        }
        let home = open(&double.url, &clock).await;
        // A reply that is lost tells nothing of versions.
        double.fail(&format!("PUT {STATE}"), How::LoseReply);
        for cursor in 1..4 {
            home.state.commit(at_cursor(cursor)).await.unwrap();
            home.state.close().await.unwrap();
        }
        let told = warnings.0.lock().unwrap().clone();
        assert_eq!(told.len(), usize::from(!versions), "{told:?}");
        assert!(
            told.iter()
                .all(|words| words.contains("turn versioning on"))
        );
        assert_eq!(home.state.version_id().await.is_some(), versions);
    }
}
