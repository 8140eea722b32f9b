//! Replays what Go's regexp package says (data/go_regex.tsv, made by data/go_regex.go) on our regular expressions.

use std::fmt::Write;

use narvi_types::regex::{Groups, Regex, RegexOptions};

const TABLE: &str = include_str!("../data/go_regex.tsv");

/// Patterns on which we differ from Go on purpose, each with its reason.
const DIFFERENT: &[(&str, &str)] = &[
    (r"\x{D800}", "no text contains a surrogate; Go's search for a literal prefix takes it for U+FFFD"),
    (r"(?i)[\x{D800}]", "as above"),
    (r"\pL{1000}", "compiled, it is larger than the size limit of 10 MiB, which Go does not have"),
    (r"(?i)\pL{500}", "as above"),
    (r"(\pL{100}){10}", "as above"),
];

struct Row {
    kind: &'static str,
    cells: Vec<&'static str>,
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().map(|line| {
        let mut cells: Vec<_> = line.split('\t').collect();
        Row { kind: cells.remove(0), cells }
    })
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next().unwrap() {
                b'\\' => out.push(b'\\'),
                b'x' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                other => panic!("unknown escape {other}"),
            },
            byte => out.push(byte),
        }
    }
    out
}

fn text(cell: &str) -> String {
    String::from_utf8(unescape(cell)).unwrap()
}

fn haystacks() -> Vec<Vec<u8>> {
    rows().filter(|row| row.kind == "H").map(|row| unescape(row.cells[0])).collect()
}

/// The cells of a row of results, as the generator joins them.
fn join(cells: impl Iterator<Item = String>) -> String {
    let (mut parts, mut misses) = (Vec::new(), 0);
    for cell in cells {
        if cell.is_empty() {
            misses += 1;
            continue;
        }
        if misses > 0 {
            parts.push(format!("-{misses}"));
        }
        misses = 0;
        parts.push(cell);
    }
    if misses > 0 {
        parts.push(format!("-{misses}"));
    }
    parts.join(" ")
}

fn spans(groups: &Groups) -> String {
    let spans: Vec<_> = (0..groups.len())
        .map(|index| groups.get(index).map_or_else(|| ".".to_owned(), |span| format!("{},{}", span.start, span.end)))
        .collect();
    spans.join(",")
}

fn label_bits(regex: &Regex, haystacks: &[Vec<u8>]) -> String {
    let digit = |four: &[Vec<u8>]| {
        (0..4).fold(0, |sum, at| sum * 2 + u32::from(four.get(at).is_some_and(|h| regex.is_match(h))))
    };
    haystacks.chunks(4).fold(String::new(), |mut bits, four| {
        write!(bits, "{:x}", digit(four)).unwrap();
        bits
    })
}

#[test]
fn patterns_mean_what_go_says() {
    let haystacks = haystacks();
    let mut faults = Vec::new();
    let mut count = 0;
    for row in rows().filter(|row| row.kind == "P") {
        count += 1;
        let pattern = text(row.cells[0]);
        if DIFFERENT.iter().any(|(different, _)| *different == pattern) {
            continue;
        }
        let regex = Regex::new(&pattern, RegexOptions::LINE);
        let [_, expected, label @ ..] = row.cells.as_slice() else { panic!("short row") };
        let found = match &regex {
            Err(error) => error.to_string(),
            Ok(regex) => {
                let mut groups = regex.groups();
                let cells = haystacks.iter().map(|haystack| {
                    let found = regex.captures(haystack, &mut groups);
                    assert_eq!(regex.is_match(haystack), found, "{pattern} on {haystack:?}");
                    if found { spans(&groups) } else { String::new() }
                });
                join(cells)
            }
        };
        let expected = if regex.is_err() || label.is_empty() { text(expected) } else { (*expected).to_owned() };
        if found != expected {
            faults.push(format!("{pattern}\n     got: {found}\n  wanted: {expected}"));
        }
        let label_regex = Regex::new(&pattern, RegexOptions::LABEL_MATCHER);
        assert_eq!(regex.is_ok(), label_regex.is_ok(), "{pattern}");
        if let (Ok(regex), [expected]) = (label_regex, label)
            && *expected != "!"
        {
            let found = label_bits(&regex, &haystacks);
            if found != *expected {
                faults.push(format!("{pattern} as label\n     got: {found}\n  wanted: {expected}"));
            }
        }
    }
    assert!(count > 900);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn all_matches_are_those_of_go() {
    let haystacks = haystacks();
    for row in rows().filter(|row| row.kind == "A") {
        let pattern = text(row.cells[0]);
        let regex = Regex::new(&pattern, RegexOptions::LINE).unwrap();
        let cells = haystacks.iter().map(|haystack| {
            let spans: Vec<_> = regex.find_iter(haystack).map(|span| format!("{},{}", span.start, span.end)).collect();
            spans.join(",")
        });
        assert_eq!(join(cells), row.cells[1], "{pattern}");
    }
}

#[test]
fn replacements_are_those_of_go() {
    for row in rows().filter(|row| row.kind == "R") {
        let [pattern, template, haystack, expected] = row.cells.as_slice() else { panic!("short row") };
        let regex = Regex::new(&text(pattern), RegexOptions::LINE).unwrap();
        let found = regex.replace_all(&unescape(haystack), &text(template));
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&unescape(expected)), "{:?}", row.cells);
    }
}
