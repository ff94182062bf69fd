//! What was checked, and how it is told.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;

use crate::exit::{Exit, Failure};
use crate::output::{Answer, count, table};

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warning,
    Failed,
    /// Not tried, since something before it failed.
    Skipped,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

#[derive(Debug)]
struct Check {
    /// A stable word.
    name: String,
    state: State,
    message: String,
    hints: Vec<String>,
}

/// All that was checked, in order.
#[derive(Debug, Default)]
pub(super) struct Checks {
    checks: Vec<Check>,
    /// Whether one failed over authentication.
    auth: bool,
}

impl Checks {
    fn add(&mut self, name: &str, state: State, message: String, hints: Vec<String>) {
        self.checks.push(Check {
            name: name.to_owned(),
            state,
            message,
            hints,
        });
    }

    pub(super) fn ok(&mut self, name: &str, message: impl Into<String>) {
        self.add(name, State::Ok, message.into(), Vec::new());
    }

    /// It works, but a person should know; `hint` is what to do, if anything.
    pub(super) fn warn(&mut self, name: &str, message: impl Into<String>, hint: &str) {
        let hints = match hint {
            "" => Vec::new(),
            hint => vec![hint.to_owned()],
        };
        self.add(name, State::Warning, message.into(), hints);
    }

    pub(super) fn fail(&mut self, name: &str, failure: impl Into<Failure>) {
        let failure = failure.into();
        self.auth |= failure.exit == Exit::Auth;
        let mut message = failure.message;
        for cause in &failure.causes {
            message = format!("{message}: {cause}");
        }
        self.add(name, State::Failed, message, failure.hints);
    }

    /// As [`Checks::fail`], for what is bad and stops nothing.
    pub(super) fn doubt(&mut self, name: &str, failure: impl Into<Failure>) {
        let auth = self.auth;
        self.fail(name, failure);
        self.auth = auth;
        if let Some(check) = self.checks.last_mut() {
            check.state = State::Warning;
        }
    }

    pub(super) fn skip(&mut self, name: &str, why: &str) {
        self.add(name, State::Skipped, why.to_owned(), Vec::new());
    }

    pub(super) fn skip_all(&mut self, names: &[&str], why: &str) {
        for name in names {
            self.skip(name, why);
        }
    }

    fn count(&self, state: State) -> u64 {
        let those = self.checks.iter().filter(|check| check.state == state);
        those.count() as u64
    }

    pub(super) fn answer(self) -> Answer {
        let (failed, warnings) = (self.count(State::Failed), self.count(State::Warning));
        let mut rows = Vec::new();
        for check in &self.checks {
            let state = check.state.word();
            rows.push(
                [state, &check.name, &check.message]
                    .map(str::to_owned)
                    .to_vec(),
            );
            for hint in &check.hints {
                rows.push(["", "", &format!("→ {hint}")].map(str::to_owned).to_vec());
            }
        }
        let list: Vec<Value> = self.checks.iter().map(Check::json).collect();
        let status = match (failed, warnings) {
            (0, 0) => "ok",
            (0, _) => "warning",
            _ => "failed",
        };
        let mut answer =
            Answer::new(json!({ "status": status, "checks": list })).data(table(&rows));
        answer.exit = match (failed, self.auth) {
            (0, _) => Exit::Done,
            (_, true) => Exit::Auth,
            (_, false) => Exit::Failed,
        };
        answer.say(match (failed, warnings) {
            (0, 0) => "all is well".to_owned(),
            (0, _) => format!("it works; {}", count(warnings, "warning")),
            _ => format!(
                "{} failed, {}",
                count(failed, "check"),
                count(warnings, "warning")
            ),
        })
    }
}

impl Check {
    fn json(&self) -> Value {
        let mut check = json!({
            "name": self.name, "status": self.state.word(), "message": self.message,
        });
        if !self.hints.is_empty() {
            check["hint"] = self.hints.join("\n").into();
        }
        check
    }
}

/// Gives a step its deadline. `who` is asked.
pub(super) async fn within<T, E: Into<Failure>>(
    limit: Duration,
    who: &str,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match timeout(limit, step).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => {
            let message = format!("{who} did not answer within {} s", limit.as_secs());
            Err(Failure::new(Exit::Failed, "timeout", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides_how_it_ends() {
        let mut checks = Checks::default();
        checks.ok("a", "fine");
        checks.skip("b", "x");
        assert_eq!(checks.answer().exit, Exit::Done);

        let failed = |exit| {
            let mut checks = Checks::default();
            checks.warn("w", "odd", "do this");
            checks.fail("f", Failure::new(exit, "x", "bad").hint("one").hint("two"));
            checks.answer()
        };
        assert_eq!(failed(Exit::Usage).exit, Exit::Failed);
        let answer = failed(Exit::Auth);
        assert_eq!(answer.exit, Exit::Auth);
        assert_eq!(answer.words, ["1 check failed, 1 warning".into()]);
        assert_eq!(
            answer.data,
            "warning  w  odd\n            → do this\nfailed   f  bad\n            → one\n            → two\n"
        );
        assert_eq!(answer.json["status"], "failed");
        let check =
            json!({ "name": "f", "status": "failed", "message": "bad", "hint": "one\ntwo" });
        assert_eq!(answer.json["checks"][1], check);

        let mut checks = Checks::default();
        checks.doubt("f", Failure::new(Exit::Auth, "x", "bad"));
        let answer = checks.answer();
        assert_eq!(
            (answer.exit, &answer.json["status"]),
            (Exit::Done, &json!("warning"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_ends_at_its_deadline() {
        let hanging = std::future::pending::<Result<(), Failure>>();
        let failure = within(Duration::from_secs(10), "the service", hanging).await;
        assert_eq!(
            failure.unwrap_err().message,
            "the service did not answer within 10 s"
        );
    }
}
