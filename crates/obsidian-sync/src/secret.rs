//! Secrets that do not print: tokens and passwords.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

/// An account token, as `/user/signin` hands it out. One token covers all vaults of an account.
///
/// It never prints; [`Token::expose`] is the one door to its text. Memory is wiped on drop.
#[derive(Clone)]
pub struct Token(SecretString);

/// A password: an account's, or a vault's end-to-end password.
///
/// It never prints; [`Password::expose`] is the one door to its text. Memory is wiped on drop.
#[derive(Clone)]
pub struct Password(SecretString);

macro_rules! secret {
    ($name:ident) => {
        impl $name {
            /// Wraps the secret text.
            pub fn new(text: impl Into<String>) -> Self {
                // A copy of just its length: to shrink the text would leave a part of it behind.
                let text = Zeroizing::new(text.into());
                Self(SecretString::from(text.as_str().to_owned()))
            }

            /// The secret itself, for the wire or a key derivation. Never log what this returns.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }

            /// Whether the text is empty.
            pub fn is_empty(&self) -> bool {
                self.expose().is_empty()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }
    };
}

secret!(Token);
secret!(Password);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        assert_eq!(format!("{:?}", Token::new("hunter2")), "Token(…)");
        assert_eq!(
            format!("{:?}", Some(Password::new("hunter2"))),
            "Some(Password(…))"
        );
    }
}
