//! A bucket as a destination.

use obsidian_sync::Vault;
use obsync_s3::Outcome;

use super::PATIENCE;
use super::checks::{Checks, within};
use super::folder::state_words;
use crate::exit::Failure;
use crate::home::Bucket;

pub(super) async fn check(checks: &mut Checks, bucket: &Bucket, vault: Option<&Vault>) {
    let tried = match bucket.probe(PATIENCE).await {
        Ok(tried) => tried,
        Err(error) => return checks.fail("destination", error),
    };
    let mut reached = true;
    for one in tried {
        match one.outcome {
            Outcome::Good(message) => checks.ok(one.name, message),
            Outcome::Doubtful(message) => checks.warn(one.name, message, hint(one.name)),
            Outcome::Bad(error) => {
                reached &= one.name != "s3_list" && one.name != "s3_credentials";
                let failure = Failure::from(error);
                checks.fail(
                    one.name,
                    match hint(one.name) {
                        "" => failure,
                        hint => failure.hint(hint),
                    },
                );
            }
            Outcome::Skipped(why) => checks.skip(one.name, why),
        }
    }
    let why = match (vault, reached) {
        (Some(vault), true) => return state(checks, bucket, vault).await,
        (None, _) => "the vault is not known",
        (_, false) => "the bucket can't be used",
    };
    checks.skip_all(&["lock", "state"], why);
}

async fn state(checks: &mut Checks, bucket: &Bucket, vault: &Vault) {
    let (header, counts, leased) = match within(PATIENCE, "S3", bucket.look(vault)).await {
        Ok(found) => found,
        Err(failure) => {
            checks.fail("state", failure);
            return checks.skip("lock", "the state can't be read");
        }
    };
    match leased {
        false => checks.ok("lock", "no other run is at work"),
        true => checks.warn(
            "lock",
            "another run works on this vault",
            "wait for it; the lease of a run that died is over within half a minute",
        ),
    }
    checks.ok("state", state_words(&header, counts));
}

/// What to do where a try does not go well.
fn hint(name: &str) -> &'static str {
    match name {
        "s3_list" => "the credentials need s3:ListBucket on the bucket",
        "s3_versioning" => "turn versioning on to be able to go back",
        "s3_put" => "the credentials need s3:PutObject on the bucket's objects",
        "s3_get" => "the credentials need s3:GetObject on the bucket's objects",
        "s3_delete" => "the credentials need s3:DeleteObject on the bucket's objects",
        "s3_uploads" => {
            "the credentials need s3:ListBucketMultipartUploads on the bucket, and \
             s3:AbortMultipartUpload on its objects"
        }
        "s3_state" => {
            "the credentials need s3:PutObject below the states' prefix (S3_STATE_PREFIX)"
        }
        "s3_conditions" => "use a service that honours If-None-Match and If-Match on writes",
        _ => "",
    }
}
