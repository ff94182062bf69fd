use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use obsync_devserver::{Action, DevServer, Fault, Point, VaultSpec};

use crate::sandbox::{EMAIL, PASSWORD, Sandbox};

const TOTP: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

#[tokio::test(flavor = "multi_thread")]
async fn an_unattended_login_from_a_password_file() {
    let sandbox = Sandbox::new().await;
    let file = sandbox.write("password", &format!("{PASSWORD}\n"));
    let login = ["login", "--email", EMAIL, "--password-file", &file];
    let run = sandbox
        .obsync(&login)
        .exits(0)
        .says("signed in as me@example.org");
    assert_eq!(run.stdout, "", "a login has no data");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let token = sandbox.path(".local/state/obsync/token.json");
        assert_eq!(
            token.metadata().unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    // From here on the token is enough, and a second login does not sign in again.
    let run = sandbox.obsync(&["whoami"]).exits(0);
    assert!(run.stdout.contains(EMAIL), "{run:?}");
    sandbox.obsync(&login).exits(0).says("already signed in");
    assert_eq!(sandbox.server.stats().sign_ins, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_the_password_on_standard_input() {
    let sandbox = Sandbox::new().await;
    let login = ["login", "--email", EMAIL, "--password-file", "-", "--json"];
    let run = sandbox.obsync_with_input(&login, PASSWORD).exits(0);
    assert_eq!(run.json()["email"], EMAIL);
    assert_eq!(run.json()["already_signed_in"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_with_two_factors() {
    let mut sandbox = Sandbox::with(DevServer::builder(), Some(TOTP)).await;
    sandbox.set("OBSIDIAN_EMAIL", EMAIL);
    sandbox.set("OBSIDIAN_PASSWORD", PASSWORD);
    let run = sandbox.obsync(&["login"]).exits(3).says("two-factor");
    assert!(run.stderr.contains("OBSIDIAN_TOTP_SECRET"), "{run:?}");
    sandbox.set(
        "OBSIDIAN_TOTP_SECRET",
        "jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp",
    );
    sandbox.obsync(&["login"]).exits(0);
    let code = sandbox.obsync(&["totp"]).exits(0).stdout;
    assert!(
        code.len() == 7 && code.trim().bytes().all(|byte| byte.is_ascii_digit()),
        "{code}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_to_ask_is_an_authentication_failure() {
    let mut sandbox = Sandbox::new().await;
    sandbox
        .obsync(&["login"])
        .exits(3)
        .says("the account's e-mail address was not given");
    sandbox.set("OBSIDIAN_EMAIL", EMAIL);
    sandbox
        .obsync(&["login"])
        .exits(3)
        .says("hint: give it with --password-file");
    sandbox
        .obsync(&["vaults"])
        .exits(3)
        .says("hint: run 'obsync login'");
    assert_eq!(sandbox.server.stats().sign_in_attempts, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_account_password_is_told_from_a_vaults() {
    let mut sandbox = Sandbox::signed_in().await;
    sandbox.set("OBSIDIAN_PASSWORD", "wrong");
    let run = sandbox.obsync(&["login", "--json"]).exits(3);
    let error = &run.json()["error"];
    assert_eq!(error["kind"], "wrong_credentials");
    assert!(
        error["hint"]
            .as_str()
            .unwrap()
            .contains("not about a vault's"),
        "{error}"
    );
    assert!(
        !format!("{run:?}").contains("\"wrong\""),
        "the password is not repeated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_says_that_it_revokes_everywhere() {
    let mut sandbox = Sandbox::signed_in().await;
    sandbox.obsync(&["login"]).exits(0);
    sandbox.unset("OBSIDIAN_PASSWORD");
    let kept = sandbox.read(".local/state/obsync/token.json");
    sandbox
        .obsync(&["logout"])
        .exits(0)
        .says("revoked, for every machine");
    sandbox
        .obsync(&["logout"])
        .exits(0)
        .says("nobody was signed in");
    sandbox.write(".local/state/obsync/token.json", &kept);
    sandbox
        .obsync(&["whoami"])
        .exits(3)
        .says("no longer accepts the stored token");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_logout_leaves_the_token_valid() {
    let mut sandbox = Sandbox::signed_in().await;
    sandbox.obsync(&["login"]).exits(0);
    sandbox.unset("OBSIDIAN_PASSWORD");
    let kept = sandbox.read(".local/state/obsync/token.json");
    sandbox
        .obsync(&["logout", "--local"])
        .exits(0)
        .says("stays valid elsewhere");
    sandbox.obsync(&["whoami"]).exits(3);
    sandbox.write(".local/state/obsync/token.json", &kept);
    sandbox.obsync(&["whoami"]).exits(0);
}

/// Trying another service, a local one say, takes nothing from the first.
#[tokio::test(flavor = "multi_thread")]
async fn each_service_has_a_token_of_its_own() {
    let mut sandbox = Sandbox::signed_in().await;
    sandbox.obsync(&["login"]).exits(0);
    let other = DevServer::builder().start().await.unwrap();
    other.add_account(EMAIL, PASSWORD, None).unwrap();
    let ours = sandbox.server.url();
    sandbox.set("OBSIDIAN_API_URL", &other.url());
    sandbox.obsync(&["login"]).exits(0);
    sandbox.unset("OBSIDIAN_PASSWORD");
    sandbox.obsync(&["whoami"]).exits(0);
    sandbox.set("OBSIDIAN_API_URL", &ours);
    sandbox.obsync(&["whoami"]).exits(0);
    assert_eq!(
        (sandbox.server.stats().sign_ins, other.stats().sign_ins),
        (1, 1)
    );

    sandbox.obsync(&["logout"]).exits(0).says("is revoked");
    let hint = format!("OBSIDIAN_API_URL={}/ obsync logout --local", other.url());
    sandbox.obsync(&["whoami"]).exits(3).says(&hint);
    sandbox.set("OBSIDIAN_API_URL", &other.url());
    sandbox.obsync(&["whoami"]).exits(0);
    sandbox
        .obsync(&["logout", "--local"])
        .exits(0)
        .says("deleted here");
    sandbox.obsync(&["whoami"]).exits(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_replaced_where_credentials_are_at_hand() {
    let sandbox = Sandbox::signed_in().await;
    sandbox.obsync(&["login"]).exits(0);
    sandbox.server.revoke_tokens(EMAIL).unwrap();
    sandbox.obsync(&["vaults"]).exits(0);
    assert_eq!(sandbox.server.stats().sign_ins, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_overloaded_no_sign_in_is_tried_for_a_while() {
    let sandbox = Sandbox::signed_in().await;
    let overloaded = Fault::new(Point::Rest, Action::overloaded()).path("/user/signin");
    sandbox.server.faults().set(overloaded).unwrap();
    let run = sandbox.obsync(&["vaults", "--json"]).exits(1);
    assert_eq!(run.json()["error"]["kind"], "cooling_down");
    sandbox.server.faults().clear();
    sandbox.server.reset_stats();
    sandbox
        .obsync(&["vaults"])
        .exits(1)
        .says("obsync will not try again before");
    sandbox
        .obsync(&["login"])
        .exits(1)
        .says("obsync will not try again before");
    assert_eq!(sandbox.server.stats().sign_in_attempts, 0);
    assert_eq!(sandbox.server.stats().tcp_connections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn vaults_are_listed_with_whose_they_are() {
    let sandbox = Sandbox::signed_in().await;
    sandbox
        .server
        .add_account("you@example.org", "p", None)
        .unwrap();
    let mine = VaultSpec::encrypted("Notes \u{1b}[2J", EMAIL, "p").id("aa11");
    sandbox.server.add_vault(mine).unwrap();
    let theirs = VaultSpec::managed("Team", "you@example.org").id("bb22");
    let theirs = sandbox.server.add_vault(theirs).unwrap();
    sandbox.server.share(&theirs, EMAIL).unwrap();

    let run = sandbox.obsync(&["vaults"]).exits(0);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{run:?}");
    assert!(lines[1].starts_with("Notes \\u{1b}[2J  aa11"), "{run:?}");
    assert!(
        lines[1].contains("end-to-end v3") && lines[1].ends_with("you"),
        "{run:?}"
    );
    assert!(
        lines[2].contains("managed v3") && lines[2].ends_with("shared with you"),
        "{run:?}"
    );

    let list = sandbox.obsync(&["vaults", "--json"]).exits(0).json();
    assert_eq!(list["vaults"][1]["id"], "bb22");
    assert_eq!(list["vaults"][1]["shared"], true);
    assert!(!list.to_string().contains("password"), "{list}");
}

/// Types each answer when its question has appeared. A terminal comes from `script`.
#[tokio::test(flavor = "multi_thread")]
#[cfg(target_os = "linux")]
async fn an_interactive_login_asks_without_echo() {
    let sandbox = Sandbox::new().await;
    let run = sandbox.command(&[]);
    let line = format!("tty; exec {} login", run.get_program().to_str().unwrap());
    let mut script = Command::new("script");
    script
        .args(["-qec", &line, "/dev/null"])
        .env("SHELL", "/bin/sh")
        .envs(
            run.get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let Ok(mut child) = script.spawn() else {
        eprintln!("skipped: 'script' of util-linux is not here");
        return;
    };
    let (mut typed, mut shown) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut screen = String::new();
    let mut wait_for = |question: &str| {
        let mut byte = [0];
        while !screen.ends_with(question) {
            assert_eq!(
                shown.read(&mut byte).unwrap(),
                1,
                "no '{question}' in {screen}"
            );
            screen.push(char::from(byte[0]));
        }
        screen.clone()
    };
    let terminal = wait_for("\n").trim().to_owned();
    wait_for("E-mail address: ");
    typed.write_all(format!("{EMAIL}\n").as_bytes()).unwrap();
    wait_for("Password: ");
    // The question comes an instant before the echo goes.
    let silent = || {
        let stty = Command::new("stty")
            .args(["-a", "-F", &terminal])
            .output()
            .unwrap();
        String::from_utf8(stty.stdout).unwrap().contains(" -echo ")
    };
    assert!((0..2000).any(|_| silent()), "{terminal} still echoes");
    typed.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
    shown.read_to_string(&mut screen).unwrap();
    assert!(child.wait().unwrap().success(), "{screen}");
    assert!(screen.contains("signed in as me@example.org"), "{screen}");
    assert!(!screen.contains(PASSWORD), "{screen}");
}
