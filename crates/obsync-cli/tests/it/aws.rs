//! AWS credentials and region beyond the environment, as AWS tools find them.

use std::os::unix::fs::PermissionsExt as _;

use obsync_doubles::s3::{Double, Signer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::sandbox::{Run, Sandbox};

const STATUS: [&str; 4] = ["status", "My vault", "--dest", "s3://notes/mine"];

/// A sandbox with a vault, a bucket, and no credentials for it.
async fn sandbox() -> (Sandbox, Double) {
    let (mut sandbox, _) = Sandbox::with_vault().await;
    let double = Double::start().await;
    for id in [
        "DEFAULT",
        "WORK",
        "VARIABLE",
        "PROGRAM",
        "CONTAINER",
        "INSTANCE",
    ] {
        double.know(&format!("AK{id}"), "hidden");
    }
    sandbox.set("AWS_ENDPOINT_URL_S3", &double.url);
    sandbox.set("AWS_EC2_METADATA_DISABLED", "true");
    (sandbox, double)
}

fn signer(id: &str, token: Option<&str>, region: &str) -> Vec<Signer> {
    vec![Signer {
        id: id.to_owned(),
        region: region.to_owned(),
        token: token.map(str::to_owned),
    }]
}

/// Asks the bucket for the vault's state, and finds none.
fn asks(sandbox: &Sandbox) -> Run {
    let run = sandbox.obsync(&[&STATUS[..], &["-vv"]].concat()).exits(2);
    assert!(!run.stderr.contains("hidden"), "{run:?}");
    run.says("was not synced to")
}

/// A service that gives credentials to whoever shows the word; counts nothing, forgets nothing.
async fn credential_service(word: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else {
                        return;
                    };
                    asked.push(byte);
                }
                let asked = String::from_utf8(asked).unwrap();
                let (status, body) = answer(&asked, word);
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
                     x-aws-ec2-metadata-token-ttl-seconds: 600\r\n\
                     Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                stream.write_all(text.as_bytes()).await.unwrap();
            });
        }
    });
    format!("http://{address}")
}

fn answer(asked: &str, word: &str) -> (&'static str, String) {
    let keys = |id: &str| {
        format!(
            r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-11-22T00:00:00Z",
                "AccessKeyId": "{id}", "SecretAccessKey": "hidden", "Token": "token of {id}",
                "Expiration": "2099-01-01T00:00:00Z"}}"#
        )
    };
    let shown = asked.lines().any(|line| {
        let (name, value) = line.split_once(':').unwrap_or_default();
        let known = ["authorization", "x-aws-ec2-metadata-token"];
        known.contains(&name.to_ascii_lowercase().as_str()) && value.trim() == word
    });
    let target = asked.split(' ').nth(1).unwrap();
    match target {
        "/latest/api/token" => ("200 OK", word.to_owned()),
        _ if !shown => ("403 Forbidden", String::new()),
        "/container" => ("200 OK", keys("AKCONTAINER")),
        "/latest/meta-data/iam/security-credentials/" => ("200 OK", "my-role".to_owned()),
        "/latest/meta-data/iam/security-credentials/my-role" => ("200 OK", keys("AKINSTANCE")),
        _ => ("404 Not Found", String::new()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_gives_keys_and_region() {
    let (mut sandbox, double) = sandbox().await;
    sandbox.write(
        ".aws/credentials",
        "[default]\naws_access_key_id = AKDEFAULT\naws_secret_access_key = hidden\n\
         [work]\naws_access_key_id = AKWORK\naws_secret_access_key = hidden\naws_session_token = t\n",
    );
    sandbox.write(".aws/config", "[profile work]\nregion = eu-north-1\n");
    asks(&sandbox);
    assert_eq!(double.signers(), signer("AKDEFAULT", None, "us-east-1"));
    sandbox.set("AWS_PROFILE", "work");
    asks(&sandbox);
    assert_eq!(double.signers(), signer("AKWORK", Some("t"), "eu-north-1"));
    // Variables come first.
    sandbox.set("AWS_ACCESS_KEY_ID", "AKVARIABLE");
    sandbox.set("AWS_SECRET_ACCESS_KEY", "hidden");
    asks(&sandbox);
    assert_eq!(double.signers(), signer("AKVARIABLE", None, "eu-north-1"));

    // On AWS itself the region must be known. A bucket's host is not reachable from here, so only
    // the setting's own message is looked at.
    sandbox.unset("AWS_ENDPOINT_URL_S3");
    sandbox.set("AWS_PROFILE", "default");
    sandbox
        .obsync(&STATUS)
        .exits(2)
        .says("AWS_REGION is not set");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gives_keys() {
    let (sandbox, double) = sandbox().await;
    let keys = r#"{"Version": 1, "AccessKeyId": "AKPROGRAM", "SecretAccessKey": "hidden",
        "SessionToken": "t", "Expiration": "2099-01-01T00:00:00Z"}"#;
    let script = sandbox.write("keys.sh", &format!("#!/bin/sh\ncat <<'END'\n{keys}\nEND\n"));
    let run = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(&script, run).unwrap();
    sandbox.write(
        ".aws/config",
        &format!("[default]\ncredential_process = {script}\n"),
    );
    asks(&sandbox);
    assert_eq!(
        double.signers(),
        signer("AKPROGRAM", Some("t"), "us-east-1")
    );

    // One that fails is told, and nothing else is tried in its place.
    sandbox.write("keys.sh", "#!/bin/sh\nexit 3\n");
    double.requests();
    let failed = sandbox.obsync(&STATUS).exits(3);
    failed.says("the profile 'default' gave no AWS credentials");
    assert_eq!(double.requests().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_gives_keys() {
    let (mut sandbox, double) = sandbox().await;
    let service = credential_service("the word").await;
    let uri = format!("{service}/container");
    sandbox.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &uri);
    sandbox.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the word");
    asks(&sandbox);
    assert_eq!(
        double.signers(),
        signer("AKCONTAINER", Some("token of AKCONTAINER"), "us-east-1")
    );
    sandbox.set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "another");
    let failed = sandbox.obsync(&STATUS).exits(3);
    failed.says("the container gave no AWS credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_gives_keys_when_nothing_else_does() {
    let (mut sandbox, double) = sandbox().await;
    let service = credential_service("a token").await;
    sandbox.unset("AWS_EC2_METADATA_DISABLED");
    sandbox.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service);
    asks(&sandbox);
    assert_eq!(
        double.signers(),
        signer("AKINSTANCE", Some("token of AKINSTANCE"), "us-east-1")
    );
    // Where nothing answers, the message says all that was tried.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", nowhere.local_addr().unwrap());
    sandbox.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &silent);
    sandbox.set("AWS_PROFILE", "none-such");
    sandbox
        .obsync(&STATUS)
        .exits(3)
        .says("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
        .says("profile 'none-such'")
        .says("AWS_WEB_IDENTITY_TOKEN_FILE is not set")
        .says("AWS_CONTAINER_CREDENTIALS_FULL_URI is not set")
        .says("this machine is no AWS instance with a role")
        .says("aws sso login");
}

#[tokio::test(flavor = "multi_thread")]
async fn single_sign_on_without_a_session_says_what_to_do() {
    let (sandbox, double) = sandbox().await;
    sandbox.write(
        ".aws/config",
        "[default]\nsso_session = me\nsso_account_id = 111122223333\nsso_role_name = notes\n\
         [sso-session me]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-north-1\n\
         sso_registration_scopes = sso:account:access\n",
    );
    let failed = sandbox.obsync(&STATUS).exits(3);
    failed
        .says("the profile 'default' gave no AWS credentials")
        .says("aws sso login");
    assert_eq!(double.requests().len(), 0);
}
