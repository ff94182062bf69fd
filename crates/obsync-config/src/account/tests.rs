//! The account against a scripted service: how often it signs in, and what it does with answers.

use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;
use std::time::{Duration, SystemTime};

use super::*;
use crate::environment::Environment;
use crate::layers::Flags;

/// Answers sign-ins from a script, and notes all calls.
#[derive(Default)]
struct Service {
    answers: StdMutex<VecDeque<Result<&'static str, Error>>>,
    calls: StdMutex<Vec<String>>,
    refused: StdMutex<Vec<&'static str>>,
}

impl Service {
    fn new(answers: impl IntoIterator<Item = Result<&'static str, Error>>) -> Arc<Self> {
        Arc::new(Self {
            answers: StdMutex::new(answers.into_iter().collect()),
            ..Self::default()
        })
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn check(&self, token: &Token) -> Result<(), Error> {
        if self.refused.lock().unwrap().contains(&token.expose()) {
            return Err(Error::new(Kind::Unauthorized, "Not logged in"));
        }
        Ok(())
    }
}

#[async_trait]
impl AccountService for Service {
    async fn sign_in(
        &self,
        email: &str,
        password: &Password,
        code: Option<&str>,
    ) -> Result<SignedIn, Error> {
        let code = code.unwrap_or("-");
        self.note(format!("sign in {email} {} {code}", password.expose()));
        let answer = self
            .answers
            .lock()
            .unwrap()
            .pop_front()
            .expect("a scripted answer");
        answer.map(|token| SignedIn {
            token: Token::new(token),
            name: "A".to_owned(),
            email: email.to_owned(),
        })
    }

    async fn sign_out(&self, token: &Token) -> Result<(), Error> {
        self.note(format!("sign out {}", token.expose()));
        self.check(token)
    }

    async fn user_info(&self, token: &Token) -> Result<UserInfo, Error> {
        self.note(format!("info {}", token.expose()));
        self.check(token)?;
        Ok(UserInfo::default())
    }
}

/// A clock that sleeping moves.
struct Clock(StdMutex<SystemTime>);

impl Clock {
    fn new() -> Arc<Self> {
        Arc::new(Self(StdMutex::new(
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_010),
        )))
    }

    fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

#[async_trait]
impl Timing for Clock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.pass(duration);
    }

    fn chance(&self) -> f64 {
        0.5
    }
}

const CREDENTIALS: [(&str, &str); 2] = [
    ("OBSIDIAN_EMAIL", "a@example.org"),
    ("OBSIDIAN_PASSWORD", "pw"),
];

/// A state folder in which several runs follow each other.
struct Machine {
    state: tempfile::TempDir,
    clock: Arc<Clock>,
}

impl Machine {
    fn new() -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            clock: Clock::new(),
        }
    }

    /// One run's account.
    fn run(&self, service: &Arc<Service>, variables: &[(&str, &str)]) -> Account {
        let state = [("OBSYNC_STATE_DIR", self.state.path().to_str().unwrap())];
        let environment: Environment = state.iter().chain(variables).copied().collect();
        let settings = Settings::load(&Flags::default(), &environment).unwrap();
        Account::new(service.clone(), &settings, self.clock.clone())
    }

    fn file(&self, name: &str) -> bool {
        self.state.path().join(name).exists()
    }
}

fn status(kind: Kind, status: u16) -> Error {
    Error::new(kind, "busy").with_status(status)
}

fn code_wanted() -> Error {
    Error::new(Kind::TwoFactorRequired, "Please enter your 2FA code")
}

fn code_refused() -> Error {
    Error::new(Kind::TwoFactorRefused, "2FA code is incorrect")
}

async fn token(account: &Account) -> Result<String, AccountError> {
    account.token().await.map(|token| token.expose().to_owned())
}

#[tokio::test]
async fn signs_in_once_and_keeps_the_token() {
    let (machine, service) = (Machine::new(), Service::new([Ok("t1")]));
    let first = machine.run(&service, &CREDENTIALS);
    assert_eq!(token(&first).await.unwrap(), "t1");
    assert_eq!(token(&first).await.unwrap(), "t1");
    // A later run needs no credentials at all.
    assert_eq!(token(&machine.run(&service, &[])).await.unwrap(), "t1");
    assert_eq!(service.calls(), ["sign in a@example.org pw -"]);
}

#[tokio::test]
async fn a_given_token_is_used_as_it_is() {
    let (machine, service) = (Machine::new(), Service::new([]));
    let variables = [
        CREDENTIALS[0],
        CREDENTIALS[1],
        ("OBSIDIAN_AUTH_TOKEN", "given\n"),
    ];
    let account = machine.run(&service, &variables);
    assert_eq!(token(&account).await.unwrap(), "given");
    service.refused.lock().unwrap().push("given");
    let refused = account
        .with_token(async |token| service.check(&token))
        .await
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the service refused the token of OBSIDIAN_AUTH_TOKEN",
        "it says: do not sign in"
    );
    assert_eq!(service.calls(), [""; 0]);
}

#[tokio::test]
async fn a_refused_token_is_replaced_by_one_sign_in() {
    let (machine, service) = (Machine::new(), Service::new([Ok("t1"), Ok("t2")]));
    token(&machine.run(&service, &CREDENTIALS)).await.unwrap();
    service.refused.lock().unwrap().push("t1");
    service.calls();

    let account = machine.run(&service, &CREDENTIALS);
    let used = account
        .with_token(async |token| {
            service.check(&token)?;
            Ok(token.expose().to_owned())
        })
        .await;
    assert_eq!(used.unwrap(), "t2");
    // The new one is refused as well: that is the end, not a loop.
    service.refused.lock().unwrap().push("t2");
    let refused = account
        .with_token(async |token| service.check(&token))
        .await
        .unwrap_err();
    assert!(
        matches!(refused, AccountError::TokenRefused { .. }),
        "{refused:?}"
    );
    assert_eq!(service.calls(), ["sign in a@example.org pw -"]);
}

#[tokio::test]
async fn a_refused_token_without_credentials_asks_for_a_login() {
    let (machine, service) = (Machine::new(), Service::new([Ok("t1")]));
    token(&machine.run(&service, &CREDENTIALS)).await.unwrap();
    service.refused.lock().unwrap().push("t1");
    let account = machine.run(&service, &[]);
    let error = account
        .with_token(async |token| service.check(&token))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "not signed in: the service no longer accepts the stored token"
    );
    assert_eq!(error.hints()[0], "run 'obsync login'");
}

#[tokio::test]
async fn a_token_goes_only_to_its_own_api_and_account() {
    let (machine, service) = (Machine::new(), Service::new([Ok("t1")]));
    token(&machine.run(&service, &CREDENTIALS)).await.unwrap();
    for (variables, message) in [
        (
            [("OBSIDIAN_API_URL", "http://127.0.0.1:9/")],
            "not signed in: the stored token is for https://api.obsidian.md/ alone",
        ),
        (
            [("OBSIDIAN_EMAIL", "b@example.org")],
            "not signed in as b@example.org: the stored token is of a@example.org",
        ),
    ] {
        let error = token(&machine.run(&service, &variables)).await.unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let elsewhere = machine.run(&service, &[("OBSIDIAN_API_URL", "http://127.0.0.1:9/")]);
    service.calls();
    elsewhere.sign_out().await.unwrap_err();
    assert_eq!(service.calls(), [""; 0], "not even to revoke it");
    let same = machine.run(&service, &[("OBSIDIAN_EMAIL", "A@Example.org ")]);
    assert_eq!(token(&same).await.unwrap(), "t1");
}

const LOCAL: (&str, &str) = ("OBSIDIAN_API_URL", "http://127.0.0.1:9/");

#[tokio::test]
async fn a_sign_in_elsewhere_leaves_the_token_that_was_there() {
    let (machine, service) = (Machine::new(), Service::new(["t1", "t2", "t3"].map(Ok)));
    token(&machine.run(&service, &CREDENTIALS)).await.unwrap();
    let local = [CREDENTIALS[0], CREDENTIALS[1], LOCAL];
    assert_eq!(token(&machine.run(&service, &local)).await.unwrap(), "t2");
    let other = [("OBSIDIAN_EMAIL", "b@example.org"), CREDENTIALS[1]];
    assert_eq!(token(&machine.run(&service, &other)).await.unwrap(), "t3");
    service.calls();
    for (variables, kept) in [
        (&[][..], "t3"),
        (&[LOCAL], "t2"),
        (&CREDENTIALS[..1], "t1"),
        (&other[..1], "t3"),
    ] {
        let account = machine.run(&service, variables);
        assert_eq!(token(&account).await.unwrap(), kept, "{variables:?}");
    }
    assert_eq!(service.calls(), [""; 0]);

    // Each goes by itself.
    machine.run(&service, &[LOCAL]).sign_out().await.unwrap();
    assert_eq!(service.calls(), ["sign out t2"]);
    let error = token(&machine.run(&service, &[LOCAL])).await.unwrap_err();
    assert!(error.hints()[1].contains("logout --local"), "{error:?}");
    let local = machine.run(&service, &[LOCAL]);
    assert!(!local.forget_local().await.unwrap().forgotten);
    let first = machine.run(&service, &CREDENTIALS[..1]);
    assert!(first.forget_local().await.unwrap().forgotten);
    assert_eq!(token(&machine.run(&service, &[])).await.unwrap(), "t3");
    machine.run(&service, &[]).forget_local().await.unwrap();
    assert!(!machine.file("token.json"));
}

#[tokio::test]
async fn tokens_that_can_not_be_read_can_be_deleted() {
    let (machine, service) = (Machine::new(), Service::new([]));
    std::fs::write(machine.state.path().join("token.json"), "{").unwrap();
    token(&machine.run(&service, &[])).await.unwrap_err();
    assert!(
        machine
            .run(&service, &[])
            .forget_local()
            .await
            .unwrap()
            .forgotten
    );
    assert!(!machine.file("token.json"));
}

/// Makes the state folder unusable just when it answers a sign-in.
struct Saboteur {
    service: Arc<Service>,
    state: PathBuf,
}

#[async_trait]
impl AccountService for Saboteur {
    async fn sign_in(
        &self,
        email: &str,
        password: &Password,
        code: Option<&str>,
    ) -> Result<SignedIn, Error> {
        std::fs::remove_dir_all(&self.state).unwrap();
        std::fs::write(&self.state, "no folder").unwrap();
        self.service.sign_in(email, password, code).await
    }

    async fn sign_out(&self, token: &Token) -> Result<(), Error> {
        self.service.sign_out(token).await
    }

    async fn user_info(&self, token: &Token) -> Result<UserInfo, Error> {
        self.service.user_info(token).await
    }
}

#[tokio::test]
async fn a_token_that_can_not_be_kept_serves_this_run() {
    let machine = Machine::new();
    let service = Service::new([Ok("t1"), Ok("t2")]);
    let saboteur = |variables: &[(&str, &str)]| {
        let state = machine.state.path().join("state");
        std::fs::remove_file(&state).ok();
        let text = state.to_str().unwrap().to_owned();
        let place = [("OBSYNC_STATE_DIR", text.as_str())];
        let environment: Environment = place.iter().chain(variables).copied().collect();
        let settings = Settings::load(&Flags::default(), &environment).unwrap();
        let service = Arc::new(Saboteur {
            service: Arc::clone(&service),
            state,
        });
        Account::new(service, &settings, machine.clock.clone())
    };
    let account = saboteur(&CREDENTIALS);
    assert_eq!(token(&account).await.unwrap(), "t1");
    assert_eq!(token(&account).await.unwrap(), "t1");
    assert_eq!(service.calls().len(), 1);

    // A login is there to keep it.
    let error = saboteur(&CREDENTIALS)
        .login(None, &NoPrompt)
        .await
        .unwrap_err();
    assert!(matches!(error, AccountError::NotKept { .. }), "{error:?}");
    assert_eq!(service.calls().len(), 1);
}

#[tokio::test]
async fn a_busy_service_is_asked_three_times() {
    let (machine, service) = (
        Machine::new(),
        Service::new([
            Err(status(Kind::Overloaded, 429).with_retry_after(Some(Duration::from_secs(7)))),
            Err(status(Kind::Edge, 504)),
            Ok("t1"),
        ]),
    );
    let before = machine.clock.now();
    assert_eq!(
        token(&machine.run(&service, &CREDENTIALS)).await.unwrap(),
        "t1"
    );
    let waited = machine.clock.now().duration_since(before).unwrap();
    assert_eq!(
        waited,
        Duration::from_secs(7 + 4),
        "Retry-After, then the backoff"
    );
    assert!(!machine.file("cooldown.json"));

    let broken = (0..3).map(|_| Err(status(Kind::Edge, 502)));
    let (machine, service) = (Machine::new(), Service::new(broken));
    let error = token(&machine.run(&service, &CREDENTIALS))
        .await
        .unwrap_err();
    assert!(matches!(error, AccountError::Service(_)), "{error:?}");
    assert_eq!(service.calls().len(), 3);
    assert!(
        !machine.file("cooldown.json"),
        "a broken edge is no overload"
    );
}

#[tokio::test]
async fn after_overloaded_nobody_signs_in_until_the_pause_has_passed() {
    let overloaded = || Err(Error::new(Kind::Overloaded, "Server overloaded"));
    let last_429 = (0..3).map(|_| Err(status(Kind::Overloaded, 429)));
    let answers = [overloaded()]
        .into_iter()
        .chain(last_429)
        .chain([Ok("t1"), overloaded()]);
    let (machine, service) = (Machine::new(), Service::new(answers));
    let attempt = async || {
        let error = token(&machine.run(&service, &CREDENTIALS))
            .await
            .unwrap_err();
        let AccountError::CoolingDown { until, .. } = error else {
            panic!("{error:?}")
        };
        let left = SystemTime::from(until)
            .duration_since(machine.clock.now())
            .unwrap();
        (service.calls().len(), left.as_secs().div_ceil(60))
    };
    assert_eq!(attempt().await, (1, 15), "'overloaded' is not asked twice");
    assert_eq!(attempt().await, (0, 15), "and then not at all");
    machine.clock.pass(Duration::from_secs(14 * 60));
    assert_eq!(attempt().await, (0, 1));
    machine.clock.pass(Duration::from_secs(60));
    assert_eq!(attempt().await, (3, 30), "a last 429 doubles it");
    machine.clock.pass(Duration::from_secs(30 * 60));
    assert_eq!(
        token(&machine.run(&service, &CREDENTIALS)).await.unwrap(),
        "t1"
    );
    assert!(!machine.file("cooldown.json"), "a success ends it");

    machine.run(&service, &[]).forget_local().await.unwrap();
    service.calls();
    assert_eq!(attempt().await, (1, 15));
}

#[tokio::test]
async fn a_long_retry_after_is_left_alone_and_sets_the_pause() {
    let hour = Some(Duration::from_secs(3600));
    let answer = Err(status(Kind::Overloaded, 429).with_retry_after(hour));
    let (machine, service) = (Machine::new(), Service::new([answer]));
    let error = token(&machine.run(&service, &CREDENTIALS))
        .await
        .unwrap_err();
    let AccountError::CoolingDown { until, .. } = error else {
        panic!("{error:?}")
    };
    let left = SystemTime::from(until)
        .duration_since(machine.clock.now())
        .unwrap();
    assert_eq!((service.calls().len(), left.as_secs()), (1, 3600));
}

const TOTP: (&str, &str) = ("OBSIDIAN_TOTP_SECRET", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");

#[tokio::test]
async fn a_code_is_sent_when_it_is_asked_for() {
    let (machine, service) = (Machine::new(), Service::new([Err(code_wanted()), Ok("t1")]));
    let account = machine.run(&service, &[CREDENTIALS[0], CREDENTIALS[1], TOTP]);
    assert_eq!(token(&account).await.unwrap(), "t1");
    let calls = service.calls();
    assert_eq!(calls[0], "sign in a@example.org pw -");
    assert_eq!(calls[1].rsplit(' ').next().unwrap().len(), 6, "{calls:?}");
}

#[tokio::test]
async fn a_refused_code_gets_one_more_try_in_the_next_step() {
    let answers = [Err(code_wanted()), Err(code_refused()), Err(code_refused())];
    let (machine, service) = (Machine::new(), Service::new(answers));
    let account = machine.run(&service, &[CREDENTIALS[0], CREDENTIALS[1], TOTP]);
    let error = token(&account).await.unwrap_err();
    assert!(error.hints()[0].contains("clock"), "{:?}", error.hints());
    let calls = service.calls();
    assert_eq!(calls.len(), 3);
    assert_ne!(calls[1], calls[2], "the same code would be refused again");
}

#[tokio::test]
async fn without_a_secret_an_unattended_sign_in_says_what_is_missing() {
    let (machine, service) = (Machine::new(), Service::new([Err(code_wanted())]));
    let error = token(&machine.run(&service, &CREDENTIALS))
        .await
        .unwrap_err();
    assert!(matches!(error, AccountError::TwoFactorNeeded), "{error:?}");
    assert!(error.hints()[0].contains("OBSIDIAN_TOTP_SECRET"));

    let bad = [
        CREDENTIALS[0],
        CREDENTIALS[1],
        ("OBSIDIAN_TOTP_SECRET", "123456"),
    ];
    let error = token(&machine.run(&service, &bad)).await.unwrap_err();
    assert!(error.to_string().contains("is not base32"), "{error}");
    assert_eq!(
        service.calls().len(),
        1,
        "a bad secret is found before anything is sent"
    );
}

/// A person at a terminal.
struct Person;

impl Prompt for Person {
    fn line(&self, question: &str) -> std::io::Result<Option<String>> {
        Ok(Some(
            if question.starts_with("E-mail") {
                "p@example.org"
            } else {
                "123 456"
            }
            .into(),
        ))
    }

    fn secret(&self, _question: &str) -> std::io::Result<Option<Password>> {
        Ok(Some(Password::new("typed")))
    }
}

#[tokio::test]
async fn login_asks_for_what_is_not_given() {
    let (machine, service) = (Machine::new(), Service::new([Err(code_wanted()), Ok("t1")]));
    let login = machine
        .run(&service, &[])
        .login(None, &Person)
        .await
        .unwrap();
    assert_eq!(
        (login.email.as_str(), login.already),
        ("p@example.org", false)
    );
    assert_eq!(
        service.calls(),
        [
            "sign in p@example.org typed -",
            "sign in p@example.org typed 123456"
        ]
    );

    let login = machine
        .run(&service, &[])
        .login(None, &Person)
        .await
        .unwrap();
    assert!(login.already);
    assert_eq!(
        service.calls(),
        ["info t1"],
        "a token that is still good needs no sign-in"
    );

    service.refused.lock().unwrap().push("t1");
    let error = machine
        .run(&service, &[])
        .login(None, &NoPrompt)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the account's e-mail address was not given"
    );
}

#[tokio::test]
async fn wrong_credentials_say_whose() {
    let wrong = Err(Error::new(Kind::WrongCredentials, "Login failed"));
    let (machine, service) = (Machine::new(), Service::new([wrong]));
    let error = token(&machine.run(&service, &CREDENTIALS))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("(a@example.org)"), "{error}");
    assert!(error.hints()[0].contains("not about a vault's"));
    assert_eq!(
        service.calls().len(),
        1,
        "a wrong password is not sent twice"
    );
}

#[tokio::test]
async fn logout_revokes_and_forgets() {
    let (machine, service) = (Machine::new(), Service::new([Ok("t1"), Ok("t2")]));
    token(&machine.run(&service, &CREDENTIALS)).await.unwrap();
    let logout = machine.run(&service, &[]).sign_out().await.unwrap();
    assert_eq!(
        logout,
        Logout {
            revoked: true,
            forgotten: true
        }
    );
    assert!(!machine.file("token.json"));
    let logout = machine.run(&service, &[]).sign_out().await.unwrap();
    assert_eq!(
        logout,
        Logout {
            revoked: false,
            forgotten: false
        }
    );

    token(&machine.run(&service, &CREDENTIALS)).await.unwrap();
    service.calls();
    let logout = machine.run(&service, &[]).forget_local().await.unwrap();
    assert_eq!(
        logout,
        Logout {
            revoked: false,
            forgotten: true
        }
    );
    assert_eq!(service.calls(), [""; 0]);
}

#[tokio::test]
async fn two_processes_do_not_sign_in_at_the_same_time() {
    let (machine, service) = (Machine::new(), Service::new([Ok("t1")]));
    let path = machine.state.path().join("sign-in.lock");
    let other = lock::lock(&path, &*machine.clock).await.unwrap();
    let error = token(&machine.run(&service, &CREDENTIALS))
        .await
        .unwrap_err();
    assert!(
        matches!(error, AccountError::Busy { seconds: 120, .. }),
        "{error:?}"
    );
    drop(other);
    token(&machine.run(&service, &CREDENTIALS)).await.unwrap();
    assert_eq!(service.calls().len(), 1);
}
