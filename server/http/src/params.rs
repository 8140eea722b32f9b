//! The parameters of requests: names, forms and defaults as Loki reads them.

use std::{collections::HashMap, time::Duration};

use narvi::{Direction, Timestamp, logql::value};

use crate::error::ApiError;

const SECOND: i64 = 1_000_000_000;

/// The parameters of a request, from its URL and, for a form, its body. A name may occur more than once.
#[derive(Debug, Default)]
pub(crate) struct Form(HashMap<String, Vec<String>>);

impl Form {
    /// Reads the query of the URL, then a form body.
    pub(crate) fn new(query: &str, body: &[u8]) -> Self {
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        // A form body comes first where Go looks for a single value.
        let pairs = form_urlencoded::parse(body).chain(form_urlencoded::parse(query.as_bytes()));
        for (name, value) in pairs {
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(all)
    }

    /// As [`Form::new`], but refuses what Go does not read.
    pub(crate) fn read(query: &str, body: &[u8]) -> Result<Self, ApiError> {
        well_formed(body).and_then(|()| well_formed(query.as_bytes())).map_err(ApiError::bad)?;
        Ok(Self::new(query, body))
    }

    /// The first value of a parameter; empty if it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).and_then(|values| values.first()).map_or("", String::as_str)
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// A point in time in nanoseconds, or the default if it is missing.
    pub(crate) fn time(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|e| ApiError::bad(format!("could not parse '{name}' parameter: {e}"))),
        }
    }

    /// Start and end of a range in nanoseconds.
    pub(crate) fn bounds(&self, now: Timestamp) -> Result<(i64, i64), ApiError> {
        let now = now.as_ns();
        let end = self.time("end", now)?;
        let since = match self.get("since") {
            "" => 3600 * SECOND,
            text => prometheus_duration(text)
                .map_err(|error| ApiError::bad(format!("could not parse 'since' parameter: {error}")))?,
        };
        let start = self.time("start", end.min(now).saturating_sub(since))?;
        Ok((start, end))
    }

    /// Start and end of a range that must not be backwards.
    pub(crate) fn ordered_bounds(&self, now: Timestamp) -> Result<(i64, i64), ApiError> {
        let (start, end) = self.bounds(now)?;
        if end < start {
            return Err(ApiError::bad("end timestamp must not be before or equal to start time"));
        }
        Ok((start, end))
    }

    /// The most lines; Loki keeps it in 32 bits.
    pub(crate) fn limit(&self) -> Result<usize, ApiError> {
        let text = match self.get("limit") {
            "" => return Ok(100),
            text => text,
        };
        let number: i64 = parse_int(text).map_err(|e| ApiError::bad(e.replace("ParseInt", "Atoi")))?;
        match number as u32 {
            limit if limit > 0 && number > 0 => Ok(limit as usize),
            _ => Err(ApiError::bad("limit must be a positive value")),
        }
    }

    /// A whole number.
    pub(crate) fn integer(&self, name: &str, default: i64) -> Result<i64, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_int(text).map_err(|e| ApiError::bad(e.replace("ParseInt", "Atoi"))),
        }
    }

    /// The most lines, fields or series where none means a default of the endpoint.
    pub(crate) fn count(&self, name: &str, default: usize) -> Result<usize, ApiError> {
        let number = match self.get(name) {
            "" => return Ok(default),
            text => parse_int(text).map_err(|e| ApiError::bad(e.replace("ParseInt", "Atoi")))?,
        };
        match u32::try_from(number) {
            Ok(0) => Ok(default),
            Ok(number) => Ok(number as usize),
            Err(_) => Err(ApiError::bad("limit must be a positive value")),
        }
    }

    /// Bytes: a number, or a number with a unit; 0 if it is missing.
    pub(crate) fn bytes(&self, name: &str) -> Result<u64, ApiError> {
        match self.get(name) {
            "" => Ok(0),
            text => value::parse_bytes(text.as_bytes())
                .map_err(|_| ApiError::bad(format!("cannot parse {text:?} to a valid number of bytes"))),
        }
    }

    /// Newest first unless asked otherwise.
    pub(crate) fn direction(&self) -> Result<Direction, ApiError> {
        match self.get("direction") {
            "" => Ok(Direction::Backward),
            text if text.eq_ignore_ascii_case("backward") => Ok(Direction::Backward),
            text if text.eq_ignore_ascii_case("forward") => Ok(Direction::Forward),
            text => Err(ApiError::bad(format!("invalid direction '{text}'"))),
        }
    }

    /// The step in nanoseconds, whole milliseconds.
    pub(crate) fn step(&self, start: i64, end: i64) -> Result<i64, ApiError> {
        let step = match self.get("step") {
            "" => (end.saturating_sub(start) / SECOND / 250).max(1) * SECOND,
            text => duration(text)?,
        };
        let step = step / 1_000_000 * 1_000_000;
        if step <= 0 {
            return Err(ApiError::bad(
                "zero or negative query resolution step widths are not accepted. Try a positive integer",
            ));
        }
        Ok(step)
    }

    /// The least distance of lines in nanoseconds.
    pub(crate) fn interval(&self) -> Result<i64, ApiError> {
        match self.get("interval") {
            "" => Ok(0),
            text => match duration(text)? {
                interval if interval < 0 => Err(ApiError::bad("interval must be >= 0")),
                interval => Ok(interval),
            },
        }
    }
}

/// A time: seconds with a fraction, whole seconds (up to ten characters), nanoseconds, or RFC 3339.
fn parse_time(text: &str) -> Result<i64, String> {
    if text.contains('.')
        && let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
    {
        // Go keeps milliseconds of the fraction.
        let whole = seconds.trunc();
        let fraction = ((seconds - whole) * 1000.0).round() as i64 * 1_000_000;
        return Ok((whole as i64).saturating_mul(SECOND).saturating_add(fraction));
    }
    match parse_int(text) {
        Ok(number) if text.len() <= 10 => Ok(number.saturating_mul(SECOND)),
        Ok(number) => Ok(number),
        Err(error) => rfc3339(text).ok_or(error),
    }
}

/// Checks the escapes and separators of a form, with Go's words.
fn well_formed(form: &[u8]) -> Result<(), String> {
    if form.contains(&b';') {
        return Err("invalid semicolon separator in query".to_owned());
    }
    let mut rest = form;
    while let Some(at) = rest.iter().position(|b| *b == b'%') {
        let (_, escape) = rest.split_at(at);
        let digits = escape.iter().skip(1).take(2).filter(|b| b.is_ascii_hexdigit()).count();
        if digits < 2 {
            // Go shows the escape up to the end of its name or value.
            let shown = escape.get(..3).unwrap_or(escape);
            let shown = shown.split(|b| matches!(b, b'&' | b'=')).next().unwrap_or(shown);
            return Err(format!("invalid URL escape {:?}", String::from_utf8_lossy(shown)));
        }
        rest = escape.get(3..).unwrap_or_default();
    }
    Ok(())
}

/// Go's RFC 3339 in nanoseconds: an upper-case `T` and `Z`, an offset with a colon; the hour may have one digit, and
/// digits beyond nanoseconds are left out.
pub(crate) fn rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once('T')?;
    let (clock, offset_secs) = match rest.strip_suffix('Z') {
        Some(clock) => (clock, 0),
        None => zone(rest)?,
    };
    let (clock, fraction) = clock.split_once(['.', ',']).map_or((clock, "0"), |(clock, fraction)| (clock, fraction));
    let [year, month, day] = three(date, '-')?;
    let [hour, minute, second] = three(clock, ':')?;
    let (year, month, day) = (digits(year, 4..=4)?, digits(month, 2..=2)?, digits(day, 2..=2)?);
    let (hour, minute, second) = (digits(hour, 1..=2)?, digits(minute, 2..=2)?, digits(second, 2..=2)?);
    let nanos = digits(fraction.get(..9).unwrap_or(fraction), 1..=9)?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let small = |number: i64| i8::try_from(number).ok();
    let date = jiff::civil::Date::new(i16::try_from(year).ok()?, small(month)?, small(day)?).ok()?;
    let time = jiff::civil::Time::new(small(hour)?, small(minute)?, small(second)?, 0).ok()?;
    let time = jiff::tz::TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    let scale = 10_i64.pow(9_u32.saturating_sub(u32::try_from(fraction.len()).ok()?));
    time.as_second().checked_sub(offset_secs)?.checked_mul(SECOND)?.checked_add(nanos * scale)
}

fn three(text: &str, between: char) -> Option<[&str; 3]> {
    text.split(between).collect::<Vec<_>>().try_into().ok()
}

/// Splits `+02:00` off the end of a time; gives its seconds.
fn zone(text: &str) -> Option<(&str, i64)> {
    let (clock, zone) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let sign = match zone.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2..=2)?, digits(minutes, 2..=2)?);
    (hours <= 24 && minutes <= 60).then_some((clock, sign * (hours * 3600 + minutes * 60)))
}

/// A number of so many digits.
fn digits(text: &str, count: std::ops::RangeInclusive<usize>) -> Option<i64> {
    let valid = count.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    valid.then(|| text.parse().ok()).flatten()
}

/// Go's `strconv.ParseInt` for base ten, with its error text.
fn parse_int(text: &str) -> Result<i64, String> {
    text.parse::<i64>().map_err(|error| {
        let what = match error.kind() {
            std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("strconv.ParseInt: parsing {text:?}: {what}")
    })
}

/// Seconds as a float, or a Prometheus duration; nanoseconds.
pub(crate) fn duration(text: &str) -> Result<i64, ApiError> {
    if let Ok(seconds) = value::parse_float(text.as_bytes()) {
        let ns = seconds * SECOND as f64;
        if ns > i64::MAX as f64 || ns < i64::MIN as f64 {
            return Err(ApiError::bad(format!("cannot parse {text:?} to a valid duration. It overflows int64")));
        }
        return Ok(ns as i64);
    }
    prometheus_duration(text).map_err(|_| ApiError::bad(format!("cannot parse {text:?} to a valid duration")))
}

/// `1y2w3d4h5m6s7ms`; nanoseconds.
pub(crate) fn prometheus_duration(text: &str) -> Result<i64, value::DurationError> {
    value::parse_prometheus_duration(text.as_bytes())
}

/// Go's `time.Duration.String`.
pub(crate) fn go_duration(ns: i64) -> String {
    let mut out = String::new();
    value::write_go_duration(&mut out, ns);
    out
}

/// Prometheus' form of a duration: `30d1h`.
pub(crate) fn print_prometheus_duration(duration: Duration) -> String {
    let mut out = String::new();
    value::write_prometheus_duration(&mut out, i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use narvi::Timestamp;

    use super::{Form, go_duration, parse_time, print_prometheus_duration, prometheus_duration};

    #[test]
    fn times_are_read_as_loki_does() {
        for (text, expected) in [
            ("1789862400", Ok(1_789_862_400_000_000_000)),
            ("1789862400000000001", Ok(1_789_862_400_000_000_001)),
            ("01789862400", Ok(1_789_862_400)),
            ("1.78986240e9", Ok(1_789_862_400_000_000_000)),
            ("1789862400.5", Ok(1_789_862_400_500_000_000)),
            ("2026-09-20T02:00:00+02:00", Ok(1_789_862_400_000_000_000)),
            ("2026-09-20T00:00:00.5Z", Ok(1_789_862_400_500_000_000)),
            ("2026-09-20T00:00:00z", Err("strconv.ParseInt: parsing \"2026-09-20T00:00:00z\": invalid syntax")),
            ("2026-09-20 00:00:00Z", Err("strconv.ParseInt: parsing \"2026-09-20 00:00:00Z\": invalid syntax")),
            ("2026-09-20", Err("strconv.ParseInt: parsing \"2026-09-20\": invalid syntax")),
            ("2026-02-30T00:00:00Z", Err("strconv.ParseInt: parsing \"2026-02-30T00:00:00Z\": invalid syntax")),
            ("2026-09-20T0:00:00,5Z", Ok(1_789_862_400_500_000_000)),
            ("2026-09-19T23:59:59.00000000019-00:01", Ok(1_789_862_459_000_000_000)),
            ("2026-09-20T00:00Z", Err("strconv.ParseInt: parsing \"2026-09-20T00:00Z\": invalid syntax")),
            ("2026-09-20-05T00:00Z", Err("strconv.ParseInt: parsing \"2026-09-20-05T00:00Z\": invalid syntax")),
            ("2026-09-20T00:00:60Z", Err("strconv.ParseInt: parsing \"2026-09-20T00:00:60Z\": invalid syntax")),
            ("2026-09-20T00:00:00.Z", Err("strconv.ParseInt: parsing \"2026-09-20T00:00:00.Z\": invalid syntax")),
            ("NaN", Err("strconv.ParseInt: parsing \"NaN\": invalid syntax")),
            ("99999999999999999999", Err("strconv.ParseInt: parsing \"99999999999999999999\": value out of range")),
        ] {
            assert_eq!(parse_time(text), expected.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn forms_are_as_go_wants_them() {
        for good in ["", "a=b&c=%2f+x", "%41=%zz".replace("zz", "7a").as_str()] {
            assert!(Form::read(good, good.as_bytes()).is_ok(), "{good}");
        }
        for (bad, text) in [
            ("a=%zz", "invalid URL escape \"%zz\""),
            ("a=%4", "invalid URL escape \"%4\""),
            ("a=%&b=1", "invalid URL escape \"%\""),
            ("a=1;b=2", "invalid semicolon separator in query"),
        ] {
            assert_eq!(Form::read(bad, b"").expect_err(bad).message, text);
            assert_eq!(Form::read("", bad.as_bytes()).expect_err(bad).message, text);
        }
    }

    #[test]
    fn durations_are_read_and_printed() {
        assert_eq!(prometheus_duration("1d"), Ok(86_400_000_000_000));
        assert_eq!(prometheus_duration("1h30m"), Ok(5_400_000_000_000));
        for bad in ["", "-5m", "abc", "1.5h", "5", "1m1h", "1m1m"] {
            assert!(prometheus_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(go_duration(1_789_862_410_000_000_000), "497184h0m10s");
        assert_eq!(go_duration(5_357_170_277_000_000), "1488h6m10.277s");
        assert_eq!(go_duration(1_500_000), "1.5ms");
        assert_eq!(print_prometheus_duration(Duration::from_secs(721 * 3600)), "30d1h");
    }

    #[test]
    fn bounds_have_defaults() {
        let now = Timestamp::from_secs(1_000_000);
        let (start, end) = Form::new("", b"").bounds(now).expect("defaults");
        assert_eq!((start, end), (now.as_ns() - 3_600_000_000_000, now.as_ns()));
        let form = Form::new("end=999000&since=5m", b"");
        assert_eq!(form.bounds(now).expect("valid"), (998_700_000_000_000, 999_000_000_000_000));
        let error = Form::new("since=-5m", b"").bounds(now).expect_err("negative");
        assert_eq!(error.message, "could not parse 'since' parameter: not a valid duration string: \"-5m\"");
    }

    #[test]
    fn limits_steps_and_directions() {
        let form = |text: &str| Form::new(text, b"");
        assert_eq!(form("").limit().expect("default"), 100);
        for bad in ["limit=0", "limit=-1", "limit=4294967296"] {
            assert_eq!(form(bad).limit().expect_err(bad).message, "limit must be a positive value");
        }
        assert!(form("direction=sideways").direction().is_err());
        assert!(form("direction=FORWARD").direction().is_ok());
        assert_eq!(form("step=1e1").step(0, 0).expect("float"), 10_000_000_000);
        assert_eq!(form("").step(0, 600_000_000_000).expect("default"), 2_000_000_000);
        for bad in ["step=NaN", "step=-5", "step=0"] {
            assert!(form(bad).step(0, 0).expect_err(bad).message.starts_with("zero or negative"));
        }
        assert_eq!(form("step=abc").step(0, 0).expect_err("word").message, "cannot parse \"abc\" to a valid duration");
    }
}
