//! A service that does not answer, or that stops in the middle.

use std::time::Duration;

use obsync_core::{Batch, Expect, Header, StateStore as _, VaultStore as _};
use obsync_doubles::s3::{Double, How};
use obsync_s3::S3Settings;

use crate::support::{HandClock, STATE, about, open, open_with, path, put, settings};

fn hasty(double: &Double, patience: Duration) -> S3Settings {
    let mut settings = settings(&double.url);
    settings.patience = patience;
    settings
}

/// For those where all that is waited for never comes.
const SHORT: Duration = Duration::from_millis(200);
/// For those where something comes that must come in time, on a busy machine too.
const LONG: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_service_that_says_nothing_is_given_up() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let settings = hasty(&double, SHORT);
    for how in [How::Hang, How::HangMidway] {
        double.put(STATE, b"{}");
        double.fail_times(&format!("GET {STATE}"), 10, how);
        double.requests();
        let opened = open_with(&settings, &about("Notes"), &clock).await;
        let error = opened.unwrap_err();
        assert!(
            error.message.contains("did not answer") && error.message.contains("0.2 s"),
            "{error}"
        );
        double.mend();
        // The second had all the time that was left for the three.
        let requests = double.requests();
        let tried = requests.iter().filter(|line| line.ends_with(STATE));
        assert_eq!(tried.count(), 2, "{requests:?}");
    }
}

#[tokio::test]
async fn one_silence_is_survived_everywhere() {
    for (at, how) in [
        (format!("GET {STATE}"), How::Hang),
        (format!("GET {STATE}"), How::HangMidway),
        ("PUT state/0123abcd.lease.json".to_owned(), How::Hang),
        ("PUT vaults/Notes/a.md".to_owned(), How::Hang),
        ("PUT vaults/Notes/a.md".to_owned(), How::HangMidway),
        ("HEAD vaults/Notes/a.md".to_owned(), How::Hang),
        ("GET vaults/Notes/a.md".to_owned(), How::HangMidway),
        (format!("PUT {STATE}"), How::HangMidway),
    ] {
        let (double, clock) = (Double::start().await, HandClock::new());
        let header = Header {
            full_pending: true,
            ..Header::default()
        };
        let batch = Batch {
            header: Some(header.clone()),
            ..Batch::default()
        };
        let before = open(&double.url, &clock).await;
        before.state.commit(batch.clone()).await.unwrap();
        before.state.close().await.unwrap();

        double.fail(&at, how);
        let settings = hasty(&double, LONG);
        let home = open_with(&settings, &about("Notes"), &clock).await.unwrap();
        assert_eq!(home.state.header().await.unwrap(), header, "{at}");
        put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
        double.lose_checksum("vaults/Notes/a.md");
        let hashed = home.files.hash(&path("a.md")).await.unwrap();
        assert_eq!(hashed.unwrap().0, obsidian_sync::ContentHash::of(b"one"));
        home.state.commit(batch).await.unwrap();
        home.state.close().await.unwrap();
    }
}
