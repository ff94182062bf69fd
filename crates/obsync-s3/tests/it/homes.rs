//! Homes that outlive a run.

use std::sync::Arc;

use obsidian_sync::{Millis, VaultId, VaultVersion};
use obsync_core::{
    Batch, Expect, Header, LastError, RunStatus, StateStore as _, StoreErrorKind, VaultStore as _,
};
use obsync_doubles::s3::{Double, How};
use obsync_s3::{About, Place, S3Homes};

use crate::support::{
    HandClock, LATER, LEASE, STATE, about, credentials, open, open_with, path, put, settings,
};

fn homes(double: &Double, clock: &HandClock) -> S3Homes {
    let settings = settings(&double.url);
    S3Homes::new(&settings, credentials(), Arc::new(clock.clone())).unwrap()
}

fn at_cursor(cursor: u64) -> Batch {
    Batch {
        header: Some(Header {
            cursor: VaultVersion(cursor),
            ..Header::default()
        }),
        ..Batch::default()
    }
}

fn vault(id: &str) -> About {
    About {
        vault: VaultId::new(id),
        ..about(id)
    }
}

#[tokio::test]
async fn the_next_run_asks_once_and_reads_nothing() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    let first = homes.open(&about("Notes")).await.unwrap();
    first.state.commit(at_cursor(5)).await.unwrap();
    first.state.close().await.unwrap();
    drop(first);
    // Also after an idle run that closed nothing.
    for _ in 0..2 {
        double.requests();
        let next = homes.open(&about("Notes")).await.unwrap();
        assert_eq!(next.state.header().await.unwrap().cursor, VaultVersion(5));
        assert_eq!(double.requests(), [format!("HEAD {STATE}")]);
    }
    // What another process wrote meanwhile is seen, by a run that begins and by none that is under way.
    let other = open(&double.url, &clock).await;
    other.state.commit(at_cursor(6)).await.unwrap();
    other.state.close().await.unwrap();
    double.requests();
    let next = homes.open(&about("Notes")).await.unwrap();
    assert_eq!(next.state.header().await.unwrap().cursor, VaultVersion(6));
    let requests = double.requests();
    assert_eq!(requests, [format!("HEAD {STATE}"), format!("GET {STATE}")]);
}

#[tokio::test]
async fn one_vault_has_one_home_in_a_process() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    let notes = about("Notes");
    let (one, other) = tokio::join!(homes.open(&notes), homes.open(&notes));
    let (one, other) = (one.unwrap(), other.unwrap());
    one.state.commit(at_cursor(5)).await.unwrap();
    assert_eq!(other.state.header().await.unwrap().cursor, VaultVersion(5));
    let refused = homes.open_alone(&notes).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy, "{refused}");
    // Not even when the process is told to keep nothing of it: a run still has it.
    homes.forget(&notes.vault);
    let third = homes.open(&notes).await.unwrap();
    assert_eq!(third.state.header().await.unwrap().cursor, VaultVersion(5));
    // Another vault, or another place, is another home.
    homes.open_alone(&vault("ffff0000")).await.unwrap();
    let mut elsewhere = about("Notes");
    elsewhere.place = Place::Prefix("backup".into());
    let elsewhere = homes.open_alone(&elsewhere).await.unwrap();
    assert_eq!(elsewhere.state.header().await.unwrap(), Header::default());
    one.state.close().await.unwrap();
    drop((one, other, third));
    // Nobody has it, and nothing was kept: it is read anew.
    double.requests();
    homes.open_alone(&notes).await.unwrap();
    let mut requests = double.requests();
    requests.sort();
    assert_eq!(requests, [format!("GET {STATE}"), format!("GET {LEASE}")]);
}

#[tokio::test]
async fn what_a_dropped_run_left_is_written_by_the_next() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    let dropped = homes.open(&about("Notes")).await.unwrap();
    put(&dropped, "a.md", b"one", Expect::Absent).await.unwrap();
    dropped.state.commit(at_cursor(5)).await.unwrap();
    drop(dropped);
    assert!(double.object(STATE).is_none());
    let next = homes.open(&about("Notes")).await.unwrap();
    assert_eq!(next.state.header().await.unwrap().cursor, VaultVersion(5));
    // Nothing of it is a crash that others would have to wait for.
    let other = open(&double.url, &clock).await;
    assert_eq!(other.state.header().await.unwrap().cursor, VaultVersion(5));
    put(&other, "b.md", b"two", Expect::Absent).await.unwrap();
}

#[tokio::test]
async fn a_lease_lost_in_the_freezer_does_not_stay_lost() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    let frozen = homes.open(&about("Notes")).await.unwrap();
    put(&frozen, "a.md", b"one", Expect::Absent).await.unwrap();
    frozen.state.commit(at_cursor(5)).await.unwrap();
    drop(frozen);
    // Frozen past its lease, while another process takes over.
    double.pass(LATER);
    let other = open(&double.url, &clock).await;
    other.state.commit(at_cursor(9)).await.unwrap();
    other.state.close().await.unwrap();
    let thawed = homes.open(&about("Notes")).await.unwrap();
    assert_eq!(thawed.state.header().await.unwrap().cursor, VaultVersion(9));
    thawed.state.commit(at_cursor(10)).await.unwrap();
    thawed.state.close().await.unwrap();
    let state = double.object(STATE).unwrap();
    let state: serde_json::Value = serde_json::from_slice(&state.bytes).unwrap();
    assert_eq!(state["header"]["cursor"], 10);
}

#[tokio::test]
async fn a_prefix_that_another_process_chose_is_followed() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    let waiting = homes.open(&about("Notes")).await.unwrap();
    assert_eq!(waiting.files.prefix(), "vaults/Notes/");
    drop(waiting);
    let settings = settings(&double.url);
    let renamed = open_with(&settings, &about("Diary"), &clock).await.unwrap();
    renamed.state.commit(at_cursor(5)).await.unwrap();
    renamed.state.close().await.unwrap();
    let now = homes.open(&about("Notes")).await.unwrap();
    assert_eq!(now.files.prefix(), "vaults/Diary/");
    assert_eq!(now.state.header().await.unwrap().cursor, VaultVersion(5));
}

#[tokio::test]
async fn states_are_loaded_ahead_up_to_a_limit() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let ids = ["aaaa0001", "aaaa0002", "aaaa0003"];
    for id in ids {
        let home = homes(&double, &clock).open(&vault(id)).await.unwrap();
        home.state.commit(at_cursor(5)).await.unwrap();
        home.state.close().await.unwrap();
    }
    let size = double.object("state/aaaa0001.json").unwrap().bytes.len() as u64;
    double.fail("GET state/aaaa0001", How::Answer(403, "AccessDenied", ""));
    double.requests();
    let homes = homes(&double, &clock);
    let mut vaults = vec![VaultId::new("new0"), VaultId::new("../x")];
    vaults.extend(ids.map(VaultId::new));
    homes.preload(&vaults, 2 * size + 1).await;
    let mut gets: Vec<_> = double.requests();
    gets.retain(|line| line.starts_with("GET"));
    gets.sort();
    assert_eq!(gets, ["GET state/aaaa0001.json", "GET state/aaaa0002.json"]);
    homes.open(&vault("aaaa0002")).await.unwrap();
    assert_eq!(double.requests(), ["HEAD state/aaaa0002.json"]);
    // Too much, or in trouble: when it is needed.
    homes.open(&vault("aaaa0001")).await.unwrap();
    homes.open(&vault("aaaa0003")).await.unwrap();
    homes.forget(&VaultId::new("aaaa0002"));
    homes.preload(&vaults, 10 * size).await;
    double.requests();
    homes.open(&vault("aaaa0002")).await.unwrap();
    assert_eq!(double.requests(), ["HEAD state/aaaa0002.json"]);
}

#[tokio::test]
async fn a_look_tells_and_changes_nothing() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    let id = VaultId::new("0123abcd");
    assert_eq!(homes.look(&id).await.unwrap(), None);
    let home = homes.open(&about("Notes")).await.unwrap();
    home.state.commit(at_cursor(5)).await.unwrap();
    home.state.close().await.unwrap();
    put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    let status = RunStatus {
        vault_name: "Notes".into(),
        ..RunStatus::default()
    };
    home.state.set_status(&status).await.unwrap();
    double.requests();
    let known = homes.look(&id).await.unwrap().unwrap();
    assert!(known.lease_held);
    assert_eq!(known.header.cursor, VaultVersion(5));
    assert_eq!(known.prefix, home.files.prefix());
    assert_eq!(known.status, status);
    home.state.close().await.unwrap();
    assert!(!homes.look(&id).await.unwrap().unwrap().lease_held);
    // Nobody holds what has run out.
    put(&home, "b.md", b"two", Expect::Absent).await.unwrap();
    double.pass(LATER);
    assert!(!homes.look(&id).await.unwrap().unwrap().lease_held);
    let requests = double.requests();
    let of_look = requests.iter().filter(|line| line.starts_with("PUT state"));
    // The lease was let go once and taken once.
    assert_eq!(of_look.count(), 2, "{requests:?}");
}

#[tokio::test]
async fn what_went_wrong_before_the_first_run_is_told() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    let id = VaultId::new("0123abcd");
    let wrong = |at| LastError {
        at: Millis(at),
        kind: "wrong_vault_password".into(),
        message: "no".into(),
    };
    homes.note(&id, "Notes", wrong(5)).await.unwrap();
    let known = homes.look(&id).await.unwrap().unwrap();
    assert_eq!((known.header, known.counts), Default::default());
    assert_eq!(known.status.vault_name, "Notes");
    assert_eq!(known.status.last_error, Some(wrong(5)));
    // Beside how the runs went that there were.
    let home = homes.open(&about("Notes")).await.unwrap();
    let status = RunStatus {
        last_success: Some(Millis(7)),
        ..RunStatus::default()
    };
    home.state.set_status(&status).await.unwrap();
    homes.note(&id, "Notes", wrong(9)).await.unwrap();
    let known = homes.look(&id).await.unwrap().unwrap();
    assert_eq!(known.status.last_success, Some(Millis(7)));
    assert_eq!(known.status.last_error, Some(wrong(9)));
    assert!(double.object("state/0123abcd.json").is_none());
}

#[tokio::test]
async fn vaults_with_a_state_are_listed() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    assert_eq!(homes.known().await.unwrap(), []);
    for key in [
        "state/ffff.json",
        "state/aaaa.json",
        "state/aaaa.status.json",
        "state/aaaa.lease.json",
        "state/dddd.status.json",
        "state/dddd-0a1b2c3d.status.json",
        "state/aaaa-0a1b2c3d.json",
        "state/deeper/bbbb.json",
        "state/some note.json",
        "state/readme.txt",
        "other/cccc.json",
    ] {
        double.put(key, b"{}");
    }
    let known = homes.known().await.unwrap();
    assert_eq!(known, ["aaaa", "dddd", "ffff"].map(VaultId::new));
}

#[tokio::test]
async fn each_run_has_its_own_folder_in_the_trash() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let homes = homes(&double, &clock);
    for content in [b"one", b"two"] {
        let home = homes.open(&about("Notes")).await.unwrap();
        let stamp = put(&home, "a.md", content, Expect::Absent).await.unwrap();
        let path = path("a.md");
        let retire = obsync_core::Retire::Trash;
        home.files.remove_file(&path, &stamp, retire).await.unwrap();
        home.state.close().await.unwrap();
        clock.forward(3600);
    }
    let keys = double.keys();
    let trash: Vec<_> = keys.iter().filter(|key| key.contains("/trash/")).collect();
    assert!(
        trash.len() == 2 && trash.iter().all(|key| key.ends_with("00/a.md")),
        "{trash:?}"
    );
    let later = trash.iter().filter(|key| key.contains("-090000/"));
    assert_eq!(later.count(), 1, "{trash:?}");
}
