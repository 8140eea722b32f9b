//! Tests of the value grammars against tables made by Go (`tests/data/golden.go`), and properties.

use proptest::prelude::*;

use super::*;

/// The rows of a table of Go-quoted cells.
fn table(text: &str) -> Vec<Vec<Vec<u8>>> {
    let cell = |cell: &str| unquote(cell.as_bytes()).expect("the table is quoted by Go").into_owned();
    text.lines().map(|line| line.split('\t').map(cell).collect()).collect()
}

fn shown<E: std::fmt::Display>(result: Result<String, E>) -> (String, String) {
    match result {
        Ok(text) => ("ok".to_owned(), text),
        Err(error) => ("error".to_owned(), error.to_string()),
    }
}

fn answer(kind: &str, input: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(input);
    match kind {
        "duration" => shown(parse_go_duration(input).map(|n| n.to_string())),
        "duration_string" => {
            let mut out = String::new();
            write_go_duration(&mut out, text.parse().expect("an integer"));
            ("ok".to_owned(), out)
        }
        "float" => shown(
            parse_float(input)
                .map(|f| if f.is_nan() { "7ff8000000000001".to_owned() } else { format!("{:x}", f.to_bits()) }),
        ),
        "int" => shown(parse_int(input).map(|n| n.to_string())),
        "unquote" => shown(unquote(input).map(|v| quote(&v))),
        "quote" => ("ok".to_owned(), quote(input)),
        "format" => {
            let parts: Vec<&str> = text.split(' ').collect();
            let value = f64::from_bits(u64::from_str_radix(parts[0], 16).expect("bits"));
            let format = match parts[1] {
                "e" => FloatFormat::Exponent,
                "f" => FloatFormat::Fixed,
                "g" => FloatFormat::General,
                "b" => FloatFormat::Binary,
                _ => FloatFormat::Hex,
            };
            let mut out = Vec::new();
            write_float(&mut out, value, format, parts[2].parse().ok());
            ("ok".to_owned(), String::from_utf8(out).expect("ASCII"))
        }
        other => panic!("unknown kind {other}"),
    }
}

#[test]
fn values_are_read_and_printed_as_go_does() {
    let mut wrong = Vec::new();
    for row in table(include_str!("../../tests/data/values.tsv")) {
        let kind = String::from_utf8_lossy(&row[0]).into_owned();
        let result = String::from_utf8_lossy(&row[2]).into_owned();
        let expected = if kind == "unquote" && result == "ok" {
            quote(&row[3])
        } else {
            String::from_utf8_lossy(&row[3]).into_owned()
        };
        let got = answer(&kind, &row[1]);
        if got != (result.clone(), expected.clone()) {
            wrong.push(format!("{kind} {}: Go {result} {expected}, here {} {}", quote(&row[1]), got.0, got.1));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn prometheus_durations() {
    const S: i64 = 1_000_000_000;
    for (text, expected) in [
        ("0", 0),
        ("5m", 300 * S),
        ("1h30m", 5400 * S),
        ("1d", 86_400 * S),
        ("1w", 7 * 86_400 * S),
        ("1y", 365 * 86_400 * S),
        ("1y2w3d4h5m6s7ms", (365 + 14 + 3) * 86_400 * S + 4 * 3600 * S + 306 * S + 7_000_000),
        ("0s", 0),
        ("007s", 7 * S),
    ] {
        assert_eq!(parse_prometheus_duration(text.as_bytes()), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("", "empty duration string"),
        ("5x", r#"unknown unit "x" in duration "5x""#),
        ("5M", r#"unknown unit "M" in duration "5M""#),
        ("1.5h", r#"unknown unit "." in duration "1.5h""#),
        ("-5m", r#"not a valid duration string: "-5m""#),
        (" 5m ", r#"not a valid duration string: " 5m ""#),
        ("5", r#"not a valid duration string: "5""#),
        ("1m1h", r#"not a valid duration string: "1m1h""#),
        ("1m1m", r#"not a valid duration string: "1m1m""#),
        ("9999999999999999999s", "duration out of range"),
        ("293y", "duration out of range"),
        ("99999999999999999999999s", r#"not a valid duration string: "99999999999999999999999s""#),
    ] {
        let error = parse_prometheus_duration(text.as_bytes()).expect_err(text);
        assert_eq!(error.to_string(), expected);
    }
    for (ns, expected) in [
        (0, "0s"),
        (90 * S, "1m30s"),
        (14 * 86_400 * S, "2w"),
        (90 * 86_400 * S, "90d"),
        (365 * 86_400 * S, "1y"),
        (400 * 86_400 * S, "400d"),
        (1_500_000_000, "1s500ms"),
        (5400 * S, "1h30m"),
        (999, "0s"),
    ] {
        let mut out = String::new();
        write_prometheus_duration(&mut out, ns);
        assert_eq!(out, expected);
    }
}

#[test]
fn byte_sizes() {
    for (text, expected) in [
        ("42", 42),
        ("42MB", 42_000_000),
        ("42MiB", 44_040_192),
        ("42mb", 42_000_000),
        ("42 mb", 42_000_000),
        ("42.5 KB ", 42_500),
        ("1.5 MiB", 1_572_864),
        ("12KB", 12_000),
        ("1,024", 1024),
        ("1,005.03 MB", 1_005_030_000),
        ("5k", 5000),
        ("5ki", 5120),
        ("5M", 5_000_000),
        ("2EiB", 2 << 60),
        ("1.B", 1),
        (".5kB", 500),
        ("7 b", 7),
    ] {
        assert_eq!(parse_bytes(text.as_bytes()), Ok(expected), "{text}");
    }
    for (text, expected) in [
        ("", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
        ("x", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
        ("-1KB", r#"strconv.ParseFloat: parsing "": invalid syntax"#),
        ("1.2.3KB", r#"strconv.ParseFloat: parsing "1.2.3": invalid syntax"#),
        ("84 JB", "unhandled size name: jb"),
        ("1e3", "unhandled size name: e3"),
        ("16 EiB", "too large: 16 EiB"),
        ("5kib x", "unhandled size name: kib x"),
    ] {
        assert_eq!(parse_bytes(text.as_bytes()).expect_err(text).to_string(), expected);
    }
    for (bytes, si, iec) in [
        (0, "0 B", "0 B"),
        (9, "9 B", "9 B"),
        (10, "10 B", "10 B"),
        (803, "803 B", "803 B"),
        (999, "999 B", "999 B"),
        (1024, "1.0 kB", "1.0 KiB"),
        (9999, "10 kB", "9.8 KiB"),
        (61_440, "61 kB", "60 KiB"),
        (1_572_864, "1.6 MB", "1.5 MiB"),
        (82_854_982, "83 MB", "79 MiB"),
        (u64::MAX, "18 EB", "16 EiB"),
    ] {
        let (mut a, mut b) = (String::new(), String::new());
        write_bytes_si(&mut a, bytes);
        write_bytes_iec(&mut b, bytes);
        assert_eq!((a.as_str(), b.as_str()), (si, iec), "{bytes}");
    }
}

#[test]
fn addresses_in_lines() {
    let lines = [
        "quoted \"10.0.0.1\" ok",
        "glued10.0.0.9glued",
        "accepted 10.0.0.255 -> 192.168.4.6:80",
        "ipv4mapped ::ffff:10.0.0.1 seen",
        "v6 [2001:db8::3]:8080 up",
        "v6 2001:db8:0:0:0:0:0:2 up",
        "v6 fe80::1%eth0 link",
        "ver 1.2.3.4.5 dotted",
        "bad 300.1.2.3 octet",
        "time 12:34:56 not v6",
        "cidr 10.2.0.0/16 announced",
        "loop 127.0.0.1 and ::1",
        "code:10.0.7.1.",
    ];
    for (pattern, expected) in [
        ("10.0.0.0/24", vec![0, 1, 2]),
        ("10.0.0.0/8", vec![0, 1, 2, 10, 12]),
        ("10.0.0.1", vec![0]),
        ("10.0.0.2-10.0.0.9", vec![1]),
        ("192.168.4.6", vec![2]),
        ("2001:db8::/32", vec![4, 5]),
        ("2001:db8::2", vec![5]),
        ("fe80::/10", vec![6]),
        ("::1", vec![11]),
        ("::ffff:10.0.0.1", vec![3]),
        ("0.0.0.0/0", vec![0, 1, 2, 10, 11, 12]),
        ("::/0", vec![3, 4, 5, 6, 11]),
        ("1.2.3.4", vec![]),
    ] {
        let ip = IpPattern::parse(pattern).expect(pattern);
        let hits: Vec<usize> = (0..lines.len()).filter(|n| ip.is_match(lines[*n].as_bytes())).collect();
        assert_eq!(hits, expected, "{pattern}");
    }
    for bad in
        ["nope", "", "10.0.0.0/33", "10.0.0.9-10.0.0.1", "10.0.0", "10.0.0.1-::1", "::/129", "10.0.0.01", "1.2.3.4/-1"]
    {
        let error = IpPattern::parse(bad).expect_err(bad);
        assert_eq!(error.to_string(), format!("ip: invalid pattern: \"{bad}\""));
    }
}

proptest! {
    #[test]
    fn go_durations_round_trip(ns in any::<i64>()) {
        let mut out = String::new();
        write_go_duration(&mut out, ns);
        prop_assert_eq!(parse_go_duration(out.as_bytes()), Ok(ns));
    }

    #[test]
    fn prometheus_durations_round_trip(ms in 0..i64::MAX / 1_000_000) {
        let mut out = String::new();
        write_prometheus_duration(&mut out, ms * 1_000_000);
        prop_assert_eq!(parse_prometheus_duration(out.as_bytes()), Ok(ms * 1_000_000));
    }

    #[test]
    fn quotes_round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let quoted = quote(&bytes);
        prop_assert_eq!(unquote(quoted.as_bytes()).map(|v| v.into_owned()), Ok(bytes));
    }

    #[test]
    fn floats_round_trip(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        for format in [FloatFormat::Exponent, FloatFormat::Fixed, FloatFormat::General, FloatFormat::Hex] {
            let mut out = Vec::new();
            write_float(&mut out, value, format, None);
            let back = parse_float(&out).expect("what is printed can be read");
            prop_assert!(back.to_bits() == value.to_bits() || (back.is_nan() && value.is_nan()));
        }
    }

    #[test]
    fn addresses_are_found_as_a_search_for_all_pieces_finds_them(text in "[0-9a-f.: ]{0,30}") {
        // The model tries every piece of the text; it finds at least what the scan finds.
        let all = IpPattern::parse("0.0.0.0/0").expect("a network");
        let found = all.is_match(text.as_bytes());
        let any_piece = (0..text.len()).any(|a| (a..=text.len()).any(|b| text[a..b].parse::<std::net::Ipv4Addr>().is_ok()));
        prop_assert!(!found || any_piece);
    }

    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = (parse_go_duration(&bytes), parse_prometheus_duration(&bytes), parse_bytes(&bytes));
        let _ = (parse_float(&bytes), parse_int(&bytes), unquote(&bytes));
        let _ = IpPattern::parse(&String::from_utf8_lossy(&bytes));
    }
}
