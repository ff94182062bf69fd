//! `login`, `logout` and `whoami`.

use obsync_config::PasswordFlag;
use serde_json::json;

use crate::args::{Login, Logout};
use crate::context::Context;
use crate::exit::Failure;
use crate::output::{Answer, table};

pub(crate) async fn login(context: &Context, args: &Login) -> Result<Answer, Failure> {
    let flag = PasswordFlag::from_flags(args.password.password_file.clone(), None);
    let login = context
        .account
        .login(flag.as_ref(), &context.prompt)
        .await?;
    let json = json!({ "status": "ok", "email": login.email, "already_signed_in": login.already });
    let how = if login.already {
        "already signed in"
    } else {
        "signed in"
    };
    if let Some(origin) = login.overridden_by {
        context.printer.warning(&format!(
            "as long as {origin} is set, its token is used instead"
        ));
    }
    Ok(Answer::new(json).say(format!("{how} as {}", login.email)))
}

pub(crate) async fn logout(context: &Context, args: &Logout) -> Result<Answer, Failure> {
    let logout = if args.local {
        context.account.forget_local().await?
    } else {
        context.account.sign_out().await?
    };
    let json = json!({ "status": "ok", "revoked": logout.revoked, "forgotten": logout.forgotten });
    let words = match (logout.revoked, logout.forgotten) {
        (true, _) => "signed out: the token is revoked, for every machine that used it",
        (false, true) if args.local => "the token is deleted here; it stays valid elsewhere",
        (false, true) => "the token was no longer valid; it is deleted here",
        (false, false) => "nobody was signed in",
    };
    Ok(Answer::new(json).say(words))
}

pub(crate) async fn whoami(context: &Context) -> Result<Answer, Failure> {
    let info = context
        .account
        .with_token(async |token| context.rest.user_info(&token).await);
    let info = info.await?;
    let api = context.settings.api_url.value.as_str();
    let mut rows = vec![
        vec!["name".to_owned(), info.name.clone()],
        vec!["e-mail".to_owned(), info.email.clone()],
        vec![
            "two-factor".to_owned(),
            if info.mfa { "on" } else { "off" }.to_owned(),
        ],
    ];
    if !info.license.is_empty() {
        rows.push(vec!["licence".to_owned(), info.license.clone()]);
    }
    rows.push(vec!["API".to_owned(), api.to_owned()]);
    let json = json!({
        "status": "ok", "uid": info.uid, "name": info.name, "email": info.email, "mfa": info.mfa,
        "license": info.license, "api_url": api,
    });
    Ok(Answer::new(json).data(table(&rows)))
}
