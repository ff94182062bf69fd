//! `totp`: the current two-factor code.

use std::time::{Duration, SystemTime};

use obsync_config::totp::{Code, TotpSecret};
use serde_json::json;

use crate::args::Totp;
use crate::context::Context;
use crate::exit::{Exit, Failure};
use crate::output::{Answer, try_write_out, written};

pub(crate) async fn run(context: &Context, args: &Totp) -> Result<Answer, Failure> {
    if args.watch && context.printer.json {
        return Err(Failure::usage(
            "--watch goes on for ever and --json prints one document",
        ));
    }
    let Some(secret) = &context.settings.credentials.totp_secret else {
        let message = "no two-factor secret was given";
        return Err(Failure::new(Exit::Auth, "credentials_missing", message)
            .hint("give it as OBSIDIAN_TOTP_SECRET or in the credentials file"));
    };
    let secret = TotpSecret::parse(secret)?;
    if args.watch {
        return watch(&secret).await;
    }
    let code = secret.code(SystemTime::now());
    let json = json!({
        "status": "ok", "code": code.digits, "valid_for_ms": code.valid_for.as_millis() as u64,
    });
    let left = format!("valid for {}", seconds(&code));
    Ok(Answer::new(json)
        .data(format!("{}\n", code.digits))
        .say(left))
}

/// Each code on a line of its own, until a signal ends the process or nobody reads on.
async fn watch(secret: &TotpSecret) -> Result<Answer, Failure> {
    loop {
        let code = secret.code(SystemTime::now());
        let line = format!("{}  valid for {}\n", code.digits, seconds(&code));
        if let Err(error) = try_write_out(&line) {
            return written(Err(error)).map(|()| Answer::new(json!({ "status": "ok" })));
        }
        // A step ends at a full second; a little more, so as not to wake before it.
        tokio::time::sleep(code.valid_for + Duration::from_millis(20)).await;
    }
}

fn seconds(code: &Code) -> String {
    format!("{} s", code.valid_for.as_secs_f64().ceil())
}
