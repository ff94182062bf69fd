//! Faults as text, for the command line: `POINT:ACTION[=VALUE][,LIMIT=N]…`.

use std::str::FromStr;
use std::time::Duration;

use obsidian_sync::Uid;

use super::{Action, Fault, Point};
use crate::error::Error;

const POINTS: [(&str, Point); 13] = [
    ("accept", Point::Accept),
    ("rest", Point::Rest),
    ("upgrade", Point::Upgrade),
    ("init", Point::Init),
    ("backlog", Point::Backlog),
    ("ready", Point::Ready),
    ("pull", Point::Pull),
    ("piece", Point::Piece),
    ("push", Point::Push),
    ("push-answer", Point::PushAnswer),
    ("live", Point::Live),
    ("answer", Point::Answer),
    ("frame", Point::Frame),
];

const ACTIONS: &str = "drop, cut, hang, delay=MS, trickle=BYTES/MS, garbage, say=TEXT, huge=BYTES, \
     flood=RECORDS, skip, error=TEXT, overloaded, \
     status=N, too-many=SECONDS, html=N, redirect=URL, flip, short=BYTES, long=BYTES, swap=UID, gone, \
     claim-size=N, claim-pieces=N";

impl FromStr for Fault {
    type Err = Error;

    /// Reads `pull:flip,uid=7,times=2`. Commas end an action's value, so a text can't hold one.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (point, rest) = text
            .split_once(':')
            .ok_or_else(|| Error::Invalid(format!("{text:?} is not POINT:ACTION[,LIMIT=N]")))?;
        let (_, point) = POINTS
            .iter()
            .find(|(name, _)| *name == point)
            .ok_or_else(|| {
                let names: Vec<_> = POINTS.iter().map(|(name, _)| *name).collect();
                Error::Invalid(format!(
                    "no point {point:?}; there are {}",
                    names.join(", ")
                ))
            })?;
        let mut parts = rest.split(',');
        let mut fault = Self::new(*point, action(parts.next().unwrap_or_default())?);
        for limit in parts {
            let (name, value) = limit.split_once('=').unwrap_or((limit, ""));
            fault = match name {
                "times" => fault.times(number(name, value)?),
                "after" => fault.after(number(name, value)?),
                "every" => fault.every(number(name, value)?),
                "uid" => fault.uid(Uid(number(name, value)?)),
                "above" => fault.above(number(name, value)?),
                "path" => fault.path(value),
                _ => {
                    return Err(Error::Invalid(format!(
                        "no limit {name:?}; there are times, after, every, uid, path, above"
                    )));
                }
            };
        }
        Ok(fault)
    }
}

fn action(text: &str) -> Result<Action, Error> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    Ok(match name {
        "drop" => Action::Drop,
        "cut" => Action::Cut,
        "hang" => Action::Hang,
        "delay" => Action::Delay(Duration::from_millis(number(name, value)?)),
        "trickle" => {
            let (bytes, pause) = value.split_once('/').unwrap_or((value, "10"));
            let pause = Duration::from_millis(number(name, pause)?);
            Action::Trickle(number::<usize>(name, bytes)?.max(1), pause)
        }
        "garbage" => Action::Garbage,
        "say" => Action::Say(value.to_owned()),
        "huge" => Action::Huge(number(name, value)?),
        "flood" => Action::Flood(number(name, value)?),
        "skip" => Action::Skip,
        "error" => Action::Error(value.to_owned()),
        "overloaded" => Action::overloaded(),
        "status" => Action::Status(number(name, value)?),
        "too-many" => Action::TooMany(number(name, value)?),
        "html" => Action::Html(number(name, value)?),
        "redirect" => Action::Redirect(value.to_owned()),
        "flip" => Action::FlipBit,
        "short" => Action::Short(number(name, value)?),
        "long" => Action::Long(number(name, value)?),
        "swap" => Action::Swap(Uid(number(name, value)?)),
        "gone" => Action::Gone,
        "claim-size" => Action::ClaimSize(number(name, value)?),
        "claim-pieces" => Action::ClaimPieces(number(name, value)?),
        _ => {
            return Err(Error::Invalid(format!(
                "no action {name:?}; there are {ACTIONS}"
            )));
        }
    })
}

fn number<T: FromStr>(name: &str, value: &str) -> Result<T, Error> {
    value
        .parse()
        .map_err(|_| Error::Invalid(format!("{name} wants a number, not {value:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_points_actions_and_limits() {
        let fault: Fault = "pull:flip,uid=7,times=2,every=3,after=1".parse().unwrap();
        let expected = Fault::new(Point::Pull, Action::FlipBit)
            .uid(Uid(7))
            .times(2)
            .every(3)
            .after(1);
        assert_eq!(fault, expected);
        let fault: Fault = "rest:too-many=5,path=/user/signin".parse().unwrap();
        assert_eq!(
            fault,
            Fault::new(Point::Rest, Action::TooMany(5)).path("/user/signin")
        );
        let fault: Fault = "piece:trickle=100/5,above=2".parse().unwrap();
        let slow = Action::Trickle(100, Duration::from_millis(5));
        assert_eq!(fault, Fault::new(Point::Piece, slow).above(2));
    }

    #[test]
    fn says_what_it_does_not_understand() {
        for (text, word) in [
            ("pull", "POINT:ACTION"),
            ("pool:flip", "push-answer"),
            ("pull:flop", "claim-size"),
            ("pull:flip,often=2", "times"),
            ("pull:short=x", "wants a number"),
        ] {
            let message = text.parse::<Fault>().unwrap_err().to_string();
            assert!(message.contains(word), "{text}: {message}");
        }
    }
}
