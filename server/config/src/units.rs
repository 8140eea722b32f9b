//! Values with units as Loki's files and flags write them: durations and sizes.

use std::time::Duration;

/// Units in nanoseconds; days and longer are Prometheus' own.
const UNITS: [(&str, f64); 11] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
    ("d", 86_400e9),
    ("w", 604_800e9),
    ("y", 31_536_000e9),
];

/// Reads `1h30m`, `1.5h`, `7d`, `0`, and, for limits that turn something off, negative ones, which give zero.
///
/// # Errors
/// What is wrong, in a few words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write for example 30s, 5m, 1h30m or 7d");
    let (negative, mut rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    if rest == "0" || (negative && rest.bytes().all(|b| b.is_ascii_digit()) && !rest.is_empty()) {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut ns = 0f64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        ns += number * factor;
        rest = tail;
    }
    // Go's durations end there.
    if ns > i64::MAX as f64 {
        return Err(format!("{text:?} is longer than 292 years"));
    }
    Ok(if negative { Duration::ZERO } else { Duration::from_nanos(ns as u64) })
}

/// Reads a size in bytes: `1048576`, `256KB`, `64 MB`, `1GiB`; a kilobyte is 1,024 bytes, as Loki has it.
///
/// # Errors
/// What is wrong, in a few words.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a size; write for example 1048576, 256KB or 4MB");
    let text_trimmed = text.trim();
    let digits = text_trimmed.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text_trimmed.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let power = match unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(wrong()),
    };
    let factor = 1u64 << (10 * power);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(wrong);
    }
    let bytes = number.parse::<f64>().map_err(|_| wrong())? * factor as f64;
    if bytes < u64::MAX as f64 { Ok(bytes as u64) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{parse_bytes, parse_duration};

    #[test]
    fn durations_of_go_and_prometheus() {
        let cases = [
            ("0", 0),
            ("0s", 0),
            ("15s", 15_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("7d", 604_800_000),
            ("1w2d", 777_600_000),
            ("168h", 604_800_000),
            ("250ms", 250),
            ("-1", 0),
            ("-1s", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "-", "5", "1 h", "1x", "h", "1..5h", "999999999y"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_count_in_1024() {
        let cases = [
            ("0", 0),
            ("1048576", 1 << 20),
            ("256KB", 256 << 10),
            ("64kb", 64 << 10),
            ("3MB", 3 << 20),
            ("10GB", 10 << 30),
            ("1.5 MiB", 3 << 19),
            ("4M", 4 << 20),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "MB", "1XB", "-1", "99999999999999999PB"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }
}
