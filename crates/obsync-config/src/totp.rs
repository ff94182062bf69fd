//! Two-factor codes from a secret (RFC 6238).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use obsidian_sync::Password;
use totp_rs::{Algorithm, Builder, Secret, Totp};
use url::Url;

use crate::error::ConfigError;
use crate::origin::{Origin, Sourced};

/// A two-factor secret that codes can be made from. Does not print.
pub struct TotpSecret(Totp);

/// A code, and how long it is the current one.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// The digits.
    pub digits: String,
    /// How long until the next one.
    pub valid_for: Duration,
}

impl std::fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TotpSecret(…)")
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Code")
            .field("valid_for", &self.valid_for)
            .finish_non_exhaustive()
    }
}

impl TotpSecret {
    /// Reads a secret: base32, with or without spaces, hyphens, padding and upper case, as sites
    /// show it; or the `otpauth://totp/…` URL that is in their QR codes.
    ///
    /// # Errors
    /// When it is neither; the message names where it came from and never quotes it.
    pub fn parse(secret: &Sourced<Password>) -> Result<Self, ConfigError> {
        let fail = |fault: &str| not_a_secret(&secret.origin, fault);
        let text = secret.value.expose().trim();
        if !text.to_ascii_lowercase().starts_with("otpauth:") {
            return Ok(Self(
                Builder::new()
                    .with_secret(base32(text, fail)?)
                    .build_noncompliant(),
            ));
        }
        let url = Url::parse(text).map_err(|_| fail("is not a valid otpauth:// URL"))?;
        if url.host_str() != Some("totp") {
            return Err(fail(
                "is an otpauth:// URL, but not for time-based codes (totp)",
            ));
        }
        let mut builder = Builder::new();
        let mut found = false;
        for (key, value) in url.query_pairs() {
            match key.as_ref() {
                "secret" => {
                    builder = builder.with_secret(base32(&value, fail)?);
                    found = true;
                }
                "algorithm" => {
                    let algorithm = match value.to_ascii_uppercase().as_str() {
                        "SHA1" => Algorithm::SHA1,
                        "SHA256" => Algorithm::SHA256,
                        "SHA512" => Algorithm::SHA512,
                        _ => return Err(fail("names an algorithm other than SHA1/256/512")),
                    };
                    builder = builder.with_algorithm(algorithm);
                }
                "digits" => {
                    let digits = value.parse().ok().filter(|digits| (6..=8).contains(digits));
                    builder = builder
                        .with_digits(digits.ok_or_else(|| fail("names digits other than 6 to 8"))?);
                }
                "period" => {
                    let period = value
                        .parse()
                        .ok()
                        .filter(|period| (1..=300).contains(period));
                    builder = builder.with_step_duration(
                        period.ok_or_else(|| fail("names a period other than 1 to 300 seconds"))?,
                    );
                }
                _ => {}
            }
        }
        if !found {
            return Err(fail("is an otpauth:// URL without a secret"));
        }
        // Many services hand out 80-bit secrets, which the strict build refuses.
        Ok(Self(builder.build_noncompliant()))
    }

    /// The code at a time.
    pub fn code(&self, at: SystemTime) -> Code {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let next = Duration::from_secs(self.0.next_step(since.as_secs()));
        Code {
            digits: self.0.generate(since.as_secs()).to_string(),
            valid_for: next.saturating_sub(since),
        }
    }
}

fn base32(text: &str, fail: impl Fn(&str) -> ConfigError) -> Result<Secret, ConfigError> {
    let bare: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '='))
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if bare.is_empty() {
        return Err(fail("is empty"));
    }
    Secret::try_from_base32(&bare)
        .map_err(|_| fail("is not base32 (the letters A to Z and the digits 2 to 7)"))
}

fn not_a_secret(origin: &Origin, fault: &str) -> ConfigError {
    ConfigError::invalid(format!("the two-factor secret ({origin}) {fault}"))
        .hint("it is the key that was shown when two-factor was switched on, not a six-digit code")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238's test key, `12345678901234567890`.
    const KEY: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn parse(text: &str) -> Result<TotpSecret, ConfigError> {
        let origin = Origin::Variable(crate::env_vars::OBSIDIAN_TOTP_SECRET);
        TotpSecret::parse(&Sourced::new(Password::new(text), origin))
    }

    fn code(text: &str, seconds: u64) -> String {
        parse(text)
            .unwrap()
            .code(UNIX_EPOCH + Duration::from_secs(seconds))
            .digits
    }

    #[test]
    fn makes_the_codes_of_the_rfc() {
        for (seconds, digits) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_234_567_890, "89005924"),
            (20_000_000_000, "65353130"),
        ] {
            let eight = format!("otpauth://totp/Obsidian:a?secret={KEY}&digits=8");
            assert_eq!(code(&eight, seconds), digits);
            assert_eq!(code(KEY, seconds), digits[2..]);
        }
        let sha256 = "otpauth://totp/x?algorithm=SHA256&digits=8&period=30&secret=\
                      GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQGEZA";
        assert_eq!(code(sha256, 59), "46119246");
    }

    #[test]
    fn takes_secrets_as_sites_show_them() {
        for shown in [
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
            " GEZDGNBV-GY3TQOJQ-GEZDGNBV-GY3TQOJQ==== \n",
            "OTPAUTH://totp/a?secret=gezdgnbvgy3tqojqgezdgnbvgy3tqojq&issuer=Obsidian",
        ] {
            assert_eq!(code(shown, 59), "287082", "{shown}");
        }
        assert_eq!(code("JBSWY3DPEHPK3PXP", 0), "282760", "80 bits are enough");
    }

    #[test]
    fn names_the_origin_and_not_the_secret() {
        for (text, fault) in [
            ("123456", "is not base32"),
            ("hunter2!", "is not base32"),
            (" - ", "is empty"),
            ("otpauth://hotp/a?secret=AAAA", "not for time-based codes"),
            ("otpauth://totp/a?issuer=x", "without a secret"),
            (
                "otpauth://totp/a?secret=AAAA&digits=12",
                "digits other than",
            ),
            ("otpauth://totp/a?secret=AAAA&period=0", "period other than"),
            (
                "otpauth://totp/a?secret=AAAA&algorithm=MD5",
                "algorithm other than",
            ),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(fault), "{message}");
            assert!(message.contains("OBSIDIAN_TOTP_SECRET"), "{message}");
            assert!(!message.contains("hunter2") && !message.contains("123456"));
        }
    }

    #[test]
    fn tells_how_long_a_code_is_current() {
        let secret = parse(KEY).unwrap();
        let at = |seconds: f64| {
            secret
                .code(UNIX_EPOCH + Duration::from_secs_f64(seconds))
                .valid_for
                .as_secs_f64()
        };
        assert_eq!(at(0.0), 30.0);
        assert_eq!(at(29.5), 0.5);
    }
}
