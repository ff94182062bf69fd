//! The service, from its address to the vault's password.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use obsidian_sync::client::{Deadlines, Reached, reach};
use obsidian_sync::host::sync_url;
use obsidian_sync::{Error, Token, Vault};
use obsync_config::vaults::choose;
use obsync_config::{
    Account, ConfigErrorKind, PasswordFlag, PasswordSources, Settings, SystemTiming, open_vault,
    vault_password,
};

use super::PATIENCE;
use super::checks::{Checks, within};
use crate::args::Doctor;
use crate::context::Context;
use crate::exit::{Exit, Failure};

/// From here on, two-factor codes are near their end before they arrive.
const ODD: Duration = Duration::from_secs(20);
/// From here on, codes are another half minute's.
const WRONG: Duration = Duration::from_secs(30);

const SERVICE: [&str; 3] = ["clock", "sign_in", "vaults"];
const VAULT: [&str; 3] = ["vault", "sync_host", "vault_password"];

/// The checks that there are for these arguments.
pub(super) fn names(args: &Doctor) -> Vec<&'static str> {
    let mut names = vec!["api"];
    names.extend(SERVICE);
    names.extend(rest(args, &VAULT));
    names
}

fn rest<'a>(args: &Doctor, names: &'a [&'static str]) -> &'a [&'static str] {
    match args.vault {
        Some(_) => names,
        None => &[],
    }
}

/// Checks the service; gives the vault if it was found.
pub(super) async fn check(checks: &mut Checks, context: &Context, args: &Doctor) -> Option<Vault> {
    let url = &context.settings.api_url.value;
    match reach(url, &deadlines()).await {
        Ok(reached) => checks.ok("api", told(url.host_str().unwrap_or_default(), &reached)),
        Err(error) => {
            checks.fail("api", error);
            let why = "the API host can't be reached";
            checks.skip_all(&SERVICE, why);
            checks.skip_all(rest(args, &VAULT), why);
            return None;
        }
    }
    if !clock(checks, context).await {
        let why = "the service does not answer";
        checks.skip_all(&SERVICE[1..], why);
        checks.skip_all(rest(args, &VAULT), why);
        return None;
    }
    // Without the password, nothing here can sign in.
    let mut settings = context.settings.clone();
    settings.credentials.password = None;
    let account = Account::new(
        Arc::new(context.rest.clone()),
        &settings,
        Arc::new(SystemTiming),
    );
    let Some(token) = sign_in(checks, context, &account).await else {
        let why = "nobody is signed in";
        checks.skip_all(&SERVICE[2..], why);
        checks.skip_all(rest(args, &VAULT), why);
        return None;
    };
    let vaults = match within(PATIENCE, "the service", context.rest.vaults(&token)).await {
        Ok(vaults) => vaults,
        Err(failure) => {
            checks.fail("vaults", failure);
            checks.skip_all(rest(args, &VAULT), "the vaults can't be listed");
            return None;
        }
    };
    match vaults.len() {
        0 => checks.warn(
            "vaults",
            "the account has no vaults",
            "is it the right account?",
        ),
        many => checks.ok("vaults", crate::output::count(many as u64, "vault")),
    }
    let vault = match choose(&vaults, args.vault.as_deref()?) {
        Ok(vault) => vault.clone(),
        Err(error) => {
            checks.fail("vault", error);
            checks.skip_all(&VAULT[1..], "there is no such vault");
            return None;
        }
    };
    checks.ok(
        "vault",
        format!(
            "'{}' (id {}, encryption version {})",
            vault.name, vault.id, vault.encryption_version
        ),
    );
    sync_host(checks, &vault).await;
    password(checks, context, &settings, &account, &vault, args).await;
    Some(vault)
}

fn deadlines() -> Deadlines {
    Deadlines {
        resolve: PATIENCE,
        connect: PATIENCE,
        tls: PATIENCE,
        ..Deadlines::default()
    }
}

fn told(host: &str, reached: &Reached) -> String {
    let ms = |took: Duration| took.as_millis();
    let Reached {
        resolve,
        connect,
        tls,
    } = reached;
    let tls = match tls {
        Some(took) => format!("TLS {} ms", ms(*took)),
        None => "no TLS on this machine".to_owned(),
    };
    format!(
        "{host} was reached: look-up {} ms, connection {} ms, {tls}",
        ms(*resolve),
        ms(*connect)
    )
}

/// Whether the service answers at all.
async fn clock(checks: &mut Checks, context: &Context) -> bool {
    let before = SystemTime::now();
    let theirs = match within(PATIENCE, "the service", context.rest.clock()).await {
        Ok(theirs) => theirs,
        Err(failure) => {
            checks.fail("clock", failure);
            return false;
        }
    };
    let after = SystemTime::now();
    let Some(theirs) = theirs else {
        checks.warn("clock", "the service does not tell its time of day", "");
        return true;
    };
    let half = after.duration_since(before).unwrap_or_default() / 2;
    judge_clock(checks, before + half, theirs);
    true
}

/// `theirs` is cut off to the second.
fn judge_clock(checks: &mut Checks, ours: SystemTime, theirs: SystemTime) {
    let theirs = theirs + Duration::from_millis(500);
    let (off, which) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let message = format!(
        "this machine's clock is {} s {which} the service's",
        off.as_secs()
    );
    if off > WRONG {
        let failure = Failure::new(Exit::Failed, "clock", message)
            .hint("set the clock, best by NTP: two-factor codes and S3 signatures depend on it");
        checks.fail("clock", failure);
    } else if off > ODD {
        checks.warn(
            "clock",
            message,
            "set the clock, best by NTP: two-factor codes will soon be refused",
        );
    } else {
        checks.ok("clock", "this machine's clock agrees with the service's");
    }
}

/// Gives the token if there is one that holds.
async fn sign_in(checks: &mut Checks, context: &Context, account: &Account) -> Option<Token> {
    let failed = |checks: &mut Checks, failure: Failure| {
        // What a command would do next: sign in by itself, where it has what that needs.
        let credentials = &context.settings.credentials;
        match (&credentials.email, &credentials.password) {
            (Some(email), Some(password)) if failure.exit == Exit::Auth => checks.warn(
                "sign_in",
                failure.message,
                &format!(
                    "the next command signs in as {} with the password from {}; 'obsync login' \
                     tries it now",
                    email.value, password.origin
                ),
            ),
            _ => checks.fail("sign_in", failure),
        }
        None
    };
    let token = match account.token().await {
        Ok(token) => token,
        Err(error) => return failed(checks, error.into()),
    };
    match within(PATIENCE, "the service", context.rest.user_info(&token)).await {
        Ok(info) => {
            let whence = match &context.settings.credentials.auth_token {
                Some(given) => given.origin.to_string(),
                None => "the state folder".to_owned(),
            };
            let message = format!("signed in as {}, by the token from {whence}", info.email);
            checks.ok("sign_in", message);
            Some(token)
        }
        Err(failure) => {
            // A token that was given is not replaced.
            match &context.settings.credentials.auth_token {
                Some(_) => checks.fail("sign_in", failure),
                None => return failed(checks, failure),
            }
            None
        }
    }
}

async fn sync_host(checks: &mut Checks, vault: &Vault) {
    let reached = async {
        // Before anything is looked up: the service must not send us just anywhere.
        let url = sync_url(&vault.host)?;
        let reached = reach(&url, &deadlines()).await?;
        Ok::<_, Error>(told(url.host_str().unwrap_or_default(), &reached))
    };
    match reached.await {
        Ok(message) => checks.ok("sync_host", message),
        Err(error) => checks.fail("sync_host", error),
    }
}

async fn password(
    checks: &mut Checks,
    context: &Context,
    settings: &Settings,
    account: &Account,
    vault: &Vault,
    args: &Doctor,
) {
    let name = "vault_password";
    let flag = PasswordFlag::from_flags(args.password_file.clone(), None);
    let given = vault_password(vault, flag.as_ref(), &settings.credentials, &context.prompt);
    let given = match given {
        Ok(given) => given,
        // Somebody may be there to ask when it counts.
        Err(error) if error.kind() == ConfigErrorKind::Missing => return checks.doubt(name, error),
        Err(error) => return checks.fail(name, error),
    };
    let origin = match &vault.managed_password {
        Some(_) => "the service, which manages it".to_owned(),
        None => given.origin.to_string(),
    };
    // Asked for once, and not while a deadline runs.
    let flag = PasswordFlag::Plain(given.value);
    let passwords = PasswordSources {
        flag: Some(&flag),
        credentials: &settings.credentials,
        prompt: &context.prompt,
    };
    let open = open_vault(account, &context.rest, vault, passwords);
    match within(PATIENCE, "the service", open).await {
        Ok(_) => checks.ok(name, format!("the password from {origin} is right")),
        Err(failure) => checks.fail(name, failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_may_be_off_by_twenty_seconds() {
        let theirs = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let state = |millis: i64| {
            let mut checks = Checks::default();
            let off = Duration::from_millis(millis.unsigned_abs());
            let ours = match millis < 0 {
                true => theirs - off,
                false => theirs + off,
            };
            judge_clock(&mut checks, ours, theirs);
            let answer = checks.answer();
            answer.json["checks"][0]["status"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        for (millis, word) in [
            (0, "ok"),
            (20_400, "ok"),
            (20_600, "warning"),
            (30_400, "warning"),
            (30_600, "failed"),
            (-19_400, "ok"),
            (-19_600, "warning"),
            (-29_600, "failed"),
        ] {
            assert_eq!(state(millis), word, "{millis}");
        }
    }
}
