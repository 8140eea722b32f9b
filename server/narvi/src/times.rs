//! Times and durations as options of commands give them, and times as commands print them.

use std::time::Duration;

use narvi::Timestamp;

use crate::{
    cli::RangeArgs,
    failure::{Failure, Outcome},
};

/// First nanosecond and the one after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Whether an end was given.
    pub(crate) has_end: bool,
    /// Whether a start was given.
    pub(crate) has_start: bool,
}

/// Reads `--from` and `--to`.
pub(crate) fn range(args: &RangeArgs) -> Outcome<Range> {
    let now = now();
    let read = |option: &str, text: &Option<String>| {
        let time = text.as_deref().map(|text| parse(text, now)).transpose();
        time.map_err(|error| Failure::of(option, error))
    };
    let (from, to) = (read("--from", &args.from)?, read("--to", &args.to)?);
    let range = Range {
        start: from.unwrap_or(i64::MIN),
        end: to.unwrap_or(i64::MAX),
        has_start: from.is_some(),
        has_end: to.is_some(),
    };
    match range.start <= range.end {
        true => Ok(range),
        false => Err(Failure("--from is later than --to".to_owned())),
    }
}

/// Reads `--from` alone.
pub(crate) fn start(text: &str) -> Outcome<i64> {
    parse(text, now()).map_err(|error| Failure::of("--from", error))
}

pub(crate) fn now() -> i64 {
    Timestamp::from_system(std::time::SystemTime::now()).as_ns()
}

/// Reads a time: `2026-01-31`, `2026-01-31T12:00:00Z`, the same without a zone (UTC), a number since 1970, or a
/// duration ago.
fn parse(text: &str, now: i64) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no time; write 2026-01-31T12:00:00Z, 1h (ago), now, or seconds since 1970");
    if text == "now" {
        return Ok(now);
    }
    if let Ok(number) = text.parse::<i64>() {
        // As Loki: ten digits or fewer are seconds, more are nanoseconds.
        let factor = if number.unsigned_abs() < 100_000_000_000 { 1_000_000_000 } else { 1 };
        return number.checked_mul(factor).ok_or_else(wrong);
    }
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return i64::try_from(time.as_nanosecond()).map_err(|_| wrong());
    }
    if let Ok(civil) = text.parse::<jiff::civil::DateTime>() {
        let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| wrong())?;
        return i64::try_from(zoned.timestamp().as_nanosecond()).map_err(|_| wrong());
    }
    let ago = narvi_config::parse_duration(text.trim_start_matches('-')).map_err(|_| wrong())?;
    Ok(now.saturating_sub(nanos(ago)))
}

/// Reads `--step`.
pub(crate) fn step(text: &str) -> Outcome<Duration> {
    let seconds = text.parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1e9).map(Duration::from_secs_f64);
    let step = seconds.map_or_else(|| narvi_config::parse_duration(text), Ok);
    step.ok()
        .filter(|step| !step.is_zero())
        .ok_or_else(|| Failure(format!("--step: {text:?} is no duration above zero; write for example 1m")))
}

pub(crate) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// A time for people: UTC, with as many digits as it needs.
pub(crate) fn print(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).map_or_else(|_| ns.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::{parse, print, step};

    #[test]
    fn times_are_read() {
        let now = 1_000_000_000_000_000_000;
        let cases = [
            ("now", now),
            ("1h", now - 3_600_000_000_000),
            ("-1h", now - 3_600_000_000_000),
            ("1700000000", 1_700_000_000_000_000_000),
            ("1700000000000000001", 1_700_000_000_000_000_001),
            ("2001-09-09T01:46:40Z", now),
            ("2001-09-09T03:46:40+02:00", now),
            ("2001-09-09 01:46:40", now),
            ("2001-09-09", now - 6_400_000_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, now), Ok(expected), "{text}");
        }
        for wrong in ["", "yesterday", "99999999999999999999", "2001-13-01"] {
            assert!(parse(wrong, now).is_err(), "{wrong}");
        }
        assert_eq!(print(now + 5_000_000), "2001-09-09T01:46:40.005Z");
    }

    #[test]
    fn steps_are_read() {
        assert_eq!(step("1m").expect("it is right").as_secs(), 60);
        assert_eq!(step("15").expect("it is right").as_secs(), 15);
        assert!(step("0").is_err() && step("x").is_err());
    }
}
