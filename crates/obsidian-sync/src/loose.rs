//! Reading JSON values of any kind where a sane one is expected.
//!
//! The service and its imitators leave fields out, or send null, fractions and absurd numbers. None of
//! that may cost a connection. Each function here is a `deserialize_with`.

use std::fmt;

use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize as _, Serializer};

use crate::types::{EncodedName, Millis, Uid, VaultVersion};

/// A scalar; anything else is read over.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Loose {
    /// Null, or left out.
    #[default]
    Nothing,
    Flag(bool),
    Unsigned(u64),
    Signed(i64),
    Fraction(f64),
    Text(String),
    /// A list or an object.
    Compound,
}

impl Loose {
    /// A number that counts something: cut to whole, clamped to what fits.
    pub(crate) fn count(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(number) => Some(number),
            Self::Signed(number) => Some(u64::try_from(number).unwrap_or(0)),
            // `as` cuts, clamps, and makes 0 of NaN.
            Self::Fraction(number) => Some(number as u64),
            _ => None,
        }
    }

    fn millis(&self) -> Millis {
        Millis(match *self {
            Self::Unsigned(number) => i64::try_from(number).unwrap_or(i64::MAX),
            Self::Signed(number) => number,
            Self::Fraction(number) => number as i64,
            _ => 0,
        })
    }

    fn uid(&self) -> Option<Uid> {
        match *self {
            Self::Unsigned(number) => Some(Uid(number)),
            // A whole number that somebody wrote with an exponent.
            Self::Fraction(number) if number >= 0.0 && number.fract() == 0.0 => {
                Some(Uid(number as u64))
            }
            _ => None,
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What a script language takes for true.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Flag(flag) => *flag,
            Self::Unsigned(number) => *number != 0,
            Self::Signed(number) => *number != 0,
            Self::Fraction(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Compound => true,
        }
    }
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Loose;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Loose, E> {
                Ok(Loose::Flag(flag))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Loose, E> {
                Ok(Loose::Unsigned(number))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Loose, E> {
                Ok(Loose::Signed(number))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Loose, E> {
                Ok(Loose::Fraction(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Loose, E> {
                Ok(Loose::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Loose, E> {
                Ok(Loose::Text(text))
            }

            fn visit_unit<E>(self) -> Result<Loose, E> {
                Ok(Loose::Nothing)
            }

            fn visit_none<E>(self) -> Result<Loose, E> {
                Ok(Loose::Nothing)
            }

            fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Loose, D::Error> {
                inner.deserialize_any(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Loose, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose::Compound)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose::Compound)
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// The one number that must be there and whole: without it a record means nothing.
pub(crate) fn uid<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uid, D::Error> {
    Loose::deserialize(deserializer)?
        .uid()
        .ok_or_else(|| D::Error::custom("not a record's uid"))
}

/// A record's uid, or nothing.
pub(crate) fn uid_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Uid>, D::Error> {
    Ok(Loose::deserialize(deserializer)?.uid())
}

/// A count; 0 where there is none.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(Loose::deserialize(deserializer)?.count().unwrap_or(0))
}

/// A vault's version; 0 where there is none.
pub(crate) fn version<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<VaultVersion, D::Error> {
    count(deserializer).map(VaultVersion)
}

/// A count, or nothing.
pub(crate) fn count_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    Ok(Loose::deserialize(deserializer)?.count())
}

/// A time; 0 where there is none.
pub(crate) fn millis<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    Ok(Loose::deserialize(deserializer)?.millis())
}

/// A time, or nothing.
pub(crate) fn millis_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Millis>, D::Error> {
    let loose = Loose::deserialize(deserializer)?;
    Ok((loose != Loose::Nothing).then(|| loose.millis()))
}

/// Yes or no; no where there is nothing.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(Loose::deserialize(deserializer)?.is_truthy())
}

/// A text; empty where there is none.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(Loose::deserialize(deserializer)?
        .into_text()
        .unwrap_or_default())
}

/// An encoded name; empty where there is none.
pub(crate) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EncodedName, D::Error> {
    text(deserializer).map(EncodedName::new)
}

/// An encoded name, or nothing; an empty one is nothing.
pub(crate) fn name_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<EncodedName>, D::Error> {
    name(deserializer).map(|name| Some(name).filter(|name| !name.is_empty()))
}

/// A list; empty where it is null.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The text of a secret, for the wire.
pub(crate) fn expose<S: Serializer>(
    token: &crate::secret::Token,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    token.expose().serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loose(json: &str) -> Loose {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn any_value_is_read() {
        for (json, value) in [
            ("null", Loose::Nothing),
            ("true", Loose::Flag(true)),
            ("7", Loose::Unsigned(7)),
            ("-7", Loose::Signed(-7)),
            ("1.5", Loose::Fraction(1.5)),
            ("\"a\"", Loose::Text("a".into())),
            ("[1,[2]]", Loose::Compound),
            ("{\"a\":{}}", Loose::Compound),
        ] {
            assert_eq!(loose(json), value);
        }
    }

    #[test]
    fn numbers_are_cut_and_clamped() {
        for (json, count, millis) in [
            ("1.9", Some(1), 1),
            ("-1.9", Some(0), -1),
            ("-5", Some(0), -5),
            ("1e300", Some(u64::MAX), i64::MAX),
            ("-1e300", Some(0), i64::MIN),
            ("18446744073709551615", Some(u64::MAX), i64::MAX),
            ("184467440737095516150", Some(u64::MAX), i64::MAX),
            ("null", None, 0),
            ("\"5\"", None, 0),
            ("[]", None, 0),
        ] {
            assert_eq!(loose(json).count(), count, "{json}");
            assert_eq!(loose(json).millis(), Millis(millis), "{json}");
        }
    }

    #[test]
    fn a_uid_is_whole_or_none() {
        assert_eq!(loose("12").uid(), Some(Uid(12)));
        assert_eq!(loose("1.2e1").uid(), Some(Uid(12)));
        for json in ["-1", "1.5", "null", "\"1\"", "true", "-1e3"] {
            assert_eq!(loose(json).uid(), None, "{json}");
        }
    }
}
