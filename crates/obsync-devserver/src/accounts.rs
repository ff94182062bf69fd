//! Accounts: sign-in with two-factor codes, tokens and their revocation.
//!
//! Passwords are kept as they are. They are made up for a test; nobody's real account belongs here.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Totp};

use crate::error::Error;

/// One account.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    /// The number that records and `usernames` carry.
    pub user: u64,
    pub email: String,
    pub name: String,
    pub password: String,
    pub totp: Option<String>,
    pub tokens: BTreeSet<String>,
    #[serde(default)]
    pub expired: bool,
}

/// A refused sign-in, in the service's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal(pub &'static str);

const WRONG: Refusal = Refusal("Login failed, please double check your email and password.");
const CODE_WANTED: Refusal = Refusal("2FA code is required.");
const CODE_WRONG: Refusal = Refusal("2FA code is incorrect.");

/// All accounts.
#[derive(Default, Clone, Serialize, Deserialize)]
pub(crate) struct Accounts {
    list: Vec<Account>,
    next: u64,
}

impl Accounts {
    pub(crate) fn add(
        &mut self,
        email: &str,
        password: &str,
        totp: Option<&str>,
    ) -> Result<u64, Error> {
        if self.find(email).is_ok() {
            return Err(Error::AccountExists(email.to_owned()));
        }
        if let Some(secret) = totp {
            verifier(secret)?;
        }
        self.next += 1;
        self.list.push(Account {
            user: self.next,
            email: email.to_owned(),
            name: email.split('@').next().unwrap_or(email).to_owned(),
            password: password.to_owned(),
            totp: totp.map(str::to_owned),
            tokens: BTreeSet::new(),
            expired: false,
        });
        Ok(self.next)
    }

    pub(crate) fn find(&self, email: &str) -> Result<&Account, Error> {
        self.list
            .iter()
            .find(|account| account.email.eq_ignore_ascii_case(email))
            .ok_or_else(|| Error::NoAccount(email.to_owned()))
    }

    pub(crate) fn find_mut(&mut self, email: &str) -> Result<&mut Account, Error> {
        self.list
            .iter_mut()
            .find(|account| account.email.eq_ignore_ascii_case(email))
            .ok_or_else(|| Error::NoAccount(email.to_owned()))
    }

    pub(crate) fn by_user(&self, user: u64) -> Option<&Account> {
        self.list.iter().find(|account| account.user == user)
    }

    pub(crate) fn by_token(&self, token: &str) -> Option<&Account> {
        self.list
            .iter()
            .find(|account| account.tokens.contains(token))
    }

    /// Checks a sign-in and makes a token.
    pub(crate) fn sign_in(
        &mut self,
        email: &str,
        password: &str,
        mfa: &str,
        now: SystemTime,
        token: String,
    ) -> Result<&Account, Refusal> {
        let account = self.find_mut(email.trim()).map_err(|_| WRONG)?;
        if account.password != password {
            return Err(WRONG);
        }
        if let Some(secret) = &account.totp {
            if mfa.is_empty() {
                return Err(CODE_WANTED);
            }
            let seconds = now
                .duration_since(UNIX_EPOCH)
                .unwrap_or(Duration::ZERO)
                .as_secs();
            let verifier = verifier(secret).map_err(|_| CODE_WRONG)?;
            verifier.check(mfa, seconds).ok_or(CODE_WRONG)?;
        }
        account.tokens.insert(token);
        Ok(account)
    }

    /// Takes a token back. Unknown ones are no error.
    pub(crate) fn sign_out(&mut self, token: &str) {
        for account in &mut self.list {
            account.tokens.remove(token);
        }
    }
}

/// Reads a base32 secret as people paste it: any case, with spaces or dashes, padded or not.
fn verifier(secret: &str) -> Result<Totp, Error> {
    let clean: String = secret
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '='))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    let secret = Secret::try_from_base32(&clean)
        .map_err(|_| Error::Invalid("the TOTP secret is not base32".to_owned()))?;
    // Short secrets are out of RFC 4226, but every tutorial has one.
    Ok(Builder::new().with_secret(secret).build_noncompliant())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "GEZD GNBV GY3T QOJQ gezd gnbv gy3t qojq";

    fn accounts() -> Accounts {
        let mut accounts = Accounts::default();
        accounts.add("plain@example.com", "pw", None).unwrap();
        accounts.add("two@example.com", "pw", Some(SECRET)).unwrap();
        accounts
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn sign_in(
        accounts: &mut Accounts,
        email: &str,
        password: &str,
        mfa: &str,
        now: u64,
    ) -> Result<(), Refusal> {
        accounts
            .sign_in(email, password, mfa, at(now), "t".to_owned())
            .map(|_| ())
    }

    #[test]
    fn sign_in_gives_a_token_until_it_is_taken_back() {
        let mut accounts = accounts();
        assert_eq!(
            sign_in(&mut accounts, "Plain@Example.com", "pw", "", 0),
            Ok(())
        );
        assert_eq!(accounts.by_token("t").unwrap().email, "plain@example.com");
        accounts.sign_out("t");
        assert!(accounts.by_token("t").is_none());
        assert_eq!(
            sign_in(&mut accounts, "plain@example.com", "no", "", 0),
            Err(WRONG)
        );
        assert_eq!(
            sign_in(&mut accounts, "nobody@example.com", "pw", "", 0),
            Err(WRONG)
        );
    }

    #[test]
    fn two_factor_codes_follow_rfc_6238() {
        let mut accounts = accounts();
        // RFC 6238, appendix B: at 59 s the eight-digit code is 94287082.
        assert_eq!(
            sign_in(&mut accounts, "two@example.com", "pw", "287082", 59),
            Ok(())
        );
        assert_eq!(
            sign_in(&mut accounts, "two@example.com", "pw", "", 59),
            Err(CODE_WANTED)
        );
        assert_eq!(
            sign_in(&mut accounts, "two@example.com", "pw", "287082", 200),
            Err(CODE_WRONG)
        );
        // The clients look for these words.
        assert!(CODE_WANTED.0.contains("2FA code"));
        assert!(CODE_WRONG.0.contains("2FA code is incorrect"));
    }

    #[test]
    fn twice_the_same_address_or_a_bad_secret_is_refused() {
        let mut accounts = accounts();
        assert!(matches!(
            accounts.add("PLAIN@example.com", "x", None),
            Err(Error::AccountExists(_))
        ));
        assert!(matches!(
            accounts.add("c@example.com", "x", Some("not 32!")),
            Err(Error::Invalid(_))
        ));
    }
}
