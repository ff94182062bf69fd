//! The lease: whose clock says what, and requests that are given up on their way.

use obsync_core::{Batch, Expect, Header, StateStore as _, StoreErrorKind};
use obsync_doubles::s3::{Double, How};
use serde_json::Value;

use crate::support::{HandClock, LATER, LEASE, open, put, soon};

fn lease(double: &Double) -> Value {
    serde_json::from_slice(&double.object(LEASE).unwrap().bytes).unwrap()
}

#[tokio::test]
async fn only_the_services_clock_tells_whether_a_run_is_dead() {
    for off in [600, -600, 25, -25] {
        let double = Double::start().await;
        let (wrong, right) = (HandClock::new(), HandClock::new());
        wrong.forward(off);
        let holder = open(&double.url, &wrong).await;
        put(&holder, "a.md", b"one", Expect::Absent).await.unwrap();
        let other = open(&double.url, &right).await;
        let refused = put(&other, "b.md", b"two", Expect::Absent).await;
        assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Busy, "{off}");
        assert!(other.state.is_leased().await.unwrap(), "{off}");
        assert!(double.object("vaults/Notes/b.md").is_none());

        double.pass(LATER);
        assert!(!other.state.is_leased().await.unwrap(), "{off}");
        other.state.intents().await.unwrap();
        put(&other, "b.md", b"two", Expect::Absent).await.unwrap();
        assert_eq!(lease(&double)["fence"], 2, "{off}");
    }
}

#[tokio::test]
async fn a_renewal_that_was_given_up_on_its_way_is_ones_own() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    let before = double.object(LEASE).unwrap().version;
    // It is about to run out: the next effect renews it, and is given up once that has landed.
    clock.forward(26);
    double.fail(&format!("PUT {LEASE}"), How::HangMidway);
    let given_up = home.clone();
    let task = tokio::spawn(async move {
        let _ = put(&given_up, "b.md", b"two", Expect::Absent).await;
    });
    soon(|| double.object(LEASE).unwrap().version != before).await;
    task.abort();
    task.await.unwrap_err();
    // Both ways on know it again: another renewal, and letting go.
    put(&home, "c.md", b"three", Expect::Absent).await.unwrap();
    clock.forward(26);
    let before = double.object(LEASE).unwrap().version;
    double.fail(&format!("PUT {LEASE}"), How::HangMidway);
    let given_up = home.clone();
    let task = tokio::spawn(async move {
        let _ = put(&given_up, "d.md", b"four", Expect::Absent).await;
    });
    soon(|| double.object(LEASE).unwrap().version != before).await;
    task.abort();
    task.await.unwrap_err();
    home.state.close().await.unwrap();
    assert_eq!(lease(&double)["owner"], Value::Null);
}

#[tokio::test]
async fn a_run_that_met_another_lists_nothing() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let one = open(&double.url, &clock).await;
    put(&one, "a.md", b"one", Expect::Absent).await.unwrap();
    let other = open(&double.url, &clock).await;
    double.requests();
    assert_eq!(other.state.intents().await.unwrap(), []);
    // Whose the lease is was asked together with the state.
    assert_eq!(double.requests(), [""; 0]);
    assert_eq!(other.state.intents().await.unwrap(), []);
    assert_eq!(double.requests(), [format!("GET {LEASE}")]);
}

#[tokio::test]
async fn files_that_turn_up_too_late_are_not_touched() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let dead = open(&double.url, &clock).await;
    put(&dead, "a.md", b"one", Expect::Absent).await.unwrap();
    drop(dead);
    // It seems to live when the next run makes its plan, and is dead when that has its first effect.
    let next = open(&double.url, &clock).await;
    assert_eq!(next.state.intents().await.unwrap(), []);
    double.pass(LATER);
    let refused = put(&next, "a.md", b"two", Expect::Absent)
        .await
        .unwrap_err();
    assert!(
        refused.kind == StoreErrorKind::Busy && refused.message.contains("run again"),
        "{refused}"
    );
    next.state.close().await.unwrap();
    let again = open(&double.url, &clock).await;
    assert_eq!(again.state.intents().await.unwrap().len(), 1);
    put(&again, "b.md", b"two", Expect::Absent).await.unwrap();
    // A state that is emptied on purpose need not know them.
    let batch = Batch {
        header: Some(Header::default()),
        settle: true,
        ..Batch::default()
    };
    again.state.commit(batch).await.unwrap();
}
