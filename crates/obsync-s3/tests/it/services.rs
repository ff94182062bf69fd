//! Services as they are: whose bucket it is, who may do what, what they do not know.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use obsync_core::{
    Batch, Expect, Header, Retire, StateStore as _, StoreError, StoreErrorKind, VaultStore as _,
};
use obsync_doubles::s3::{Double, How};
use obsync_s3::{
    AwsCredential, CredentialSource, EnvironmentCredentials, Outcome, S3Home, S3Homes, probe,
};

use crate::support::{
    HandClock, LATER, STATE, about, credentials, meta, open, open_with, path, put, settings,
};

const OWNER: &str = "111122223333";

/// Everything that is ever asked of a bucket.
async fn all(double: &Double, owner: &str) -> Result<(), StoreError> {
    let clock = HandClock::new();
    let mut settings = settings(&double.url);
    settings.expected_owner = Some(owner.to_owned());
    let dead = open_with(&settings, &about("Notes"), &clock).await?;
    put(&dead, "dead.md", b"dead", Expect::Absent).await?;
    drop(dead);
    double.pass(LATER);
    let homes = S3Homes::new(&settings, credentials(), Arc::new(clock.clone()))?;
    let home = homes.open(&about("Notes")).await?;
    home.files.identity().await?;
    home.state.intents().await?;
    home.files.set_identity("0123abcd/mark").await?;
    home.files.ignore_file().await?;
    home.files.sweep().await?;
    let large: Vec<u8> = vec![7; 6_000_000];
    let mut writer = home
        .files
        .stage_stream_of(&path("big.bin"), &meta(&large))
        .await?;
    writer.write(Bytes::from(large.clone())).await?;
    let staged = writer.finish(meta(&large)).await?;
    let published = home.files.publish(staged, &Expect::Absent, Retire::Discard);
    published.await.map_err(|failure| failure.error)?;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await?;
    let (a, b, c) = (path("a.md"), path("b.md"), path("c.md"));
    let stamp = home.files.rename(&a, &stamp, &b, &meta(b"one")).await?;
    home.files.hash(&b).await?;
    home.files.set_aside(&b, &c).await?;
    home.files.list(".obsidian").await?;
    home.files.remove_file(&b, &stamp, Retire::Trash).await?;
    let stamp = put(&home, "d.md", b"one", Expect::Absent).await?;
    let d = path("d.md");
    let one = [(&d, &stamp, Retire::Trash)];
    let removed = home.files.remove_files(&one).await;
    removed.into_iter().collect::<Result<Vec<()>, _>>()?;
    let stamp = put(&home, "d.md", b"one", Expect::Absent).await?;
    let one = [(&d, &stamp, Retire::Discard)];
    let removed = home.files.remove_files(&one).await;
    removed.into_iter().collect::<Result<Vec<()>, _>>()?;
    let header = Header {
        full_pending: true,
        ..Header::default()
    };
    let batch = Batch {
        header: Some(header),
        ..Batch::default()
    };
    home.state.commit(batch).await?;
    home.state.close().await?;
    home.state.set_status(&home.state.status().await?).await?;
    homes.look(&about("Notes").vault).await?;
    homes.known().await?;
    let patience = std::time::Duration::from_secs(30);
    for tried in probe(&settings, credentials(), "vaults/Notes/", patience).await? {
        if let Outcome::Bad(error) = tried.outcome {
            return Err(error);
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_request_names_the_buckets_owner() {
    let double = Double::start().await;
    double.belong_to(OWNER);
    all(&double, OWNER).await.unwrap();
    let error = all(&double, "999988887777").await.unwrap_err();
    assert!(
        error.kind == StoreErrorKind::Denied && error.message.contains("owner"),
        "{error}"
    );
}

#[tokio::test]
async fn a_signature_by_another_key_is_refused() {
    let (double, clock) = (Double::start().await, HandClock::new());
    double.know("test-AWS_ACCESS_KEY_ID", "another secret");
    let opened = open_with(&settings(&double.url), &about("Notes"), &clock).await;
    let error = opened.unwrap_err();
    assert!(error.message.contains("SignatureDoesNotMatch"), "{error}");
}

#[tokio::test]
async fn credentials_that_can_not_be_sent_are_told() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let read = |name: &str| match name {
        "AWS_SESSION_TOKEN" => Some("a token\n".to_owned()),
        _ => Some("AKIDEXAMPLE".to_owned()),
    };
    let credentials = Arc::new(EnvironmentCredentials::from_variables(read).unwrap());
    let settings = settings(&double.url);
    let opened = S3Home::open(&settings, &about("Notes"), credentials, Arc::new(clock)).await;
    let error = opened.unwrap_err();
    assert!(
        error.message.contains("AWS_SESSION_TOKEN") && !error.message.contains("a token"),
        "{error}"
    );
    assert_eq!(double.requests(), [""; 0]);
}

/// Gives one key for some times, then another.
#[derive(Debug)]
struct Replaced {
    asked: AtomicUsize,
    first: usize,
}

#[async_trait]
impl CredentialSource for Replaced {
    async fn current(&self) -> Result<Arc<AwsCredential>, StoreError> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let name = if asked < self.first { "old" } else { "new" };
        Ok(Arc::new(AwsCredential {
            key_id: name.to_owned(),
            secret_key: format!("secret of {name}"),
            token: Some(format!("token of {name}")),
        }))
    }
}

#[tokio::test]
async fn credentials_that_run_out_in_a_run_are_replaced() {
    for first in 1..8 {
        let (double, clock) = (Double::start().await, HandClock::new());
        double.know("old", "secret of old");
        double.know("new", "secret of new");
        double.expire("old");
        let source = Replaced {
            asked: AtomicUsize::new(0),
            first: first - 1,
        };
        // So many requests with the new one have passed; then it is the old one's turn again, once.
        let settings = settings(&double.url);
        let provider = obsync_s3::provider(source);
        let opened = S3Home::open(&settings, &about("Notes"), provider, Arc::new(clock)).await;
        match opened {
            Ok(home) => {
                put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
                let tokens = double.signers().into_iter().map(|signer| signer.token);
                assert!(
                    tokens
                        .into_iter()
                        .flatten()
                        .any(|token| token == "token of new")
                );
            }
            // As often as any request is tried.
            Err(error) => assert!(
                first > 3 && error.message.contains("ExpiredToken"),
                "{error}"
            ),
        }
    }
}

#[tokio::test]
async fn refusals_have_their_own_words() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    let denied = "<Message>User: arn:aws:iam::111122223333:user/me is not authorized to perform: \
        kms:GenerateDataKey on resource: arn:aws:kms:eu-north-1:111122223333:key/1 because no \
        identity-based policy allows the kms:GenerateDataKey action</Message>";
    let at = "PUT vaults/Notes/a.md";
    double.fail(at, How::Answer(403, "AccessDenied", denied));
    let error = put(&home, "a.md", b"two", Expect::Is(stamp.clone())).await;
    let error = error.unwrap_err();
    assert!(
        error.kind == StoreErrorKind::Denied && error.message.contains("the KMS key can't be used"),
        "{error}"
    );
    // A redirect without a word in its body, as answers to HEAD have none.
    double.fail("HEAD vaults/Notes/a.md", How::Elsewhere("eu-west-3"));
    let error = home.files.inspect(&path("a.md"), None).await.unwrap_err();
    assert!(error.message.contains("it is in eu-west-3"), "{error}");
    // Two writes at the same moment, once.
    let conflict = How::Answer(409, "ConditionalRequestConflict", "");
    double.fail(at, conflict);
    let stamp = put(&home, "a.md", b"two", Expect::Is(stamp)).await.unwrap();
    // Deleted meanwhile: 404, and not a bucket that is gone.
    double.remove("vaults/Notes/a.md");
    let error = put(&home, "a.md", b"three", Expect::Is(stamp)).await;
    assert_eq!(error.unwrap_err().kind, StoreErrorKind::Changed);
    let gone = How::Answer(404, "NoSuchBucket", "");
    double.fail(at, gone);
    let error = put(&home, "a.md", b"three", Expect::Absent)
        .await
        .unwrap_err();
    assert!(error.message.contains("there is no bucket"), "{error}");
}

#[tokio::test]
async fn each_of_many_removals_has_its_own_end() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let home = open(&double.url, &clock).await;
    let mut removals = Vec::new();
    for name in ["a & b.md", "denied.md", "untold.md", "z.md"] {
        let stamp = put(&home, name, b"text", Expect::Absent).await.unwrap();
        removals.push((path(name), stamp));
    }
    let asked: Vec<_> = removals
        .iter()
        .map(|(path, stamp)| (path, stamp, Retire::Discard))
        .collect();
    double.fail(
        "DELETE vaults/Notes/denied.md",
        How::Answer(403, "AccessDenied", ""),
    );
    // Deleted, and missing in the answer.
    double.fail("DELETE vaults/Notes/untold.md", How::LoseReply);
    let results = home.files.remove_files(&asked).await;
    for ((path, _), result) in removals.iter().zip(results) {
        match (path.as_str(), result) {
            ("denied.md", Err(error)) => {
                assert_eq!(error.kind, StoreErrorKind::Denied);
                let words = "s3:DeleteObject is denied on 'vaults/Notes/denied.md'";
                assert!(error.message.contains(words), "{error}");
            }
            (_, result) => result.unwrap(),
        }
    }
    let keys = double.keys();
    let left: Vec<_> = keys.iter().filter(|key| key.ends_with(".md")).collect();
    assert_eq!(left, ["vaults/Notes/denied.md"]);
    // All refused at once: each by its own name.
    for name in ["x.md", "y.md"] {
        let stamp = put(&home, name, b"text", Expect::Absent).await.unwrap();
        removals.push((path(name), stamp));
    }
    let asked: Vec<_> = removals[4..]
        .iter()
        .map(|(path, stamp)| (path, stamp, Retire::Discard))
        .collect();
    double.fail("POST ", How::Answer(403, "AccessDenied", ""));
    for ((path, _), result) in removals[4..]
        .iter()
        .zip(home.files.remove_files(&asked).await)
    {
        let error = result.unwrap_err();
        assert!(error.message.contains(path.as_str()), "{error}");
    }
}

#[tokio::test]
async fn two_vaults_that_choose_one_prefix_at_once_do_not_share_it() {
    let (double, clock) = (Double::start().await, HandClock::new());
    let one = open(&double.url, &clock).await;
    let mut other = about("Notes");
    other.vault = obsidian_sync::VaultId::new("ffff0000");
    let other = open_with(&settings(&double.url), &other, &clock)
        .await
        .unwrap();
    assert_eq!(one.files.prefix(), other.files.prefix());
    assert_eq!(one.files.identity().await.unwrap(), None);
    assert_eq!(other.files.identity().await.unwrap(), None);
    one.files.set_identity("0123abcd/mark").await.unwrap();
    let refused = other.files.set_identity("ffff0000/mark").await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::Busy, "{refused}");
    let mark = double.object("vaults/Notes/.obsync/id.json").unwrap();
    assert!(String::from_utf8_lossy(&mark.bytes).contains("0123abcd/mark"));
}

#[tokio::test]
async fn a_service_that_ignores_conditions_is_noticed_and_looked_at_before_each_write() {
    let (double, clock) = (Double::start().await, HandClock::new());
    double.ignore_conditions();
    let home = open(&double.url, &clock).await;
    let stamp = put(&home, "a.md", b"one", Expect::Absent).await.unwrap();
    double.put("vaults/Notes/b.md", b"mine");
    let (a, b) = (path("a.md"), path("b.md"));
    let refused = put(&home, "b.md", b"two", Expect::Absent).await;
    assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Changed);
    double.put("vaults/Notes/a.md", b"edited");
    let refused = put(&home, "a.md", b"two", Expect::Is(stamp.clone())).await;
    assert_eq!(refused.unwrap_err().kind, StoreErrorKind::Changed);
    let renamed = home
        .files
        .rename(&a, &stamp, &path("c.md"), &meta(b"one"))
        .await;
    assert_eq!(renamed.unwrap_err().kind, StoreErrorKind::Changed);
    let removed = home.files.remove_file(&a, &stamp, Retire::Discard).await;
    assert_eq!(removed.unwrap_err().kind, StoreErrorKind::Changed);
    let removed = home
        .files
        .remove_files(&[(&b, &stamp, Retire::Discard)])
        .await;
    assert!(removed[0].is_err());
    for (key, content) in [("a.md", "edited"), ("b.md", "mine")] {
        let there = double.object(&format!("vaults/Notes/{key}")).unwrap();
        assert_eq!(there.bytes, content);
    }
    home.state.close().await.unwrap();
    assert!(double.object(STATE).is_none());
}
