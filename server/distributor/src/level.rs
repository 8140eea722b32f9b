//! The level of a line: from its labels, its metadata, a field of its JSON or logfmt, or a word in it.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};
use narvi_types::Metadata;

/// The metadata name that the level is stored under.
pub(crate) const LABEL: &str = "detected_level";

/// Names that hold a level in labels, metadata and fields.
const FIELDS: [&str; 12] = [
    "level",
    "LEVEL",
    "Level",
    "log.level",
    "severity",
    "SEVERITY",
    "Severity",
    "SeverityText",
    "lvl",
    "LVL",
    "Lvl",
    "severity_text",
];

/// A level as Loki names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
#[non_exhaustive]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
    Fatal,
    Unknown,
}

impl Level {
    /// All levels, in the order of their numbers.
    pub const ALL: [Self; 8] =
        [Self::Trace, Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Critical, Self::Fatal, Self::Unknown];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Fatal => "fatal",
            Self::Unknown => "unknown",
        }
    }

    /// The metadata of an entry that has none but its level; shared.
    pub(crate) fn metadata(self) -> Metadata {
        static SETS: LazyLock<[Metadata; 8]> = LazyLock::new(|| {
            Level::ALL.map(|level| Metadata::from_pairs([(LABEL, level.as_str())]).unwrap_or_default())
        });
        SETS[self as usize].clone()
    }

    /// Reads a level from a value such as `WARN` or `information`.
    pub(crate) fn from_value(value: &[u8]) -> Option<Self> {
        const WORDS: [(&str, Level); 16] = [
            ("trace", Level::Trace),
            ("trc", Level::Trace),
            ("debug", Level::Debug),
            ("dbg", Level::Debug),
            ("info", Level::Info),
            ("inf", Level::Info),
            ("information", Level::Info),
            ("informational", Level::Info),
            ("warn", Level::Warn),
            ("wrn", Level::Warn),
            ("warning", Level::Warn),
            ("error", Level::Error),
            ("err", Level::Error),
            ("critical", Level::Critical),
            ("fatal", Level::Fatal),
            ("unknown", Level::Unknown),
        ];
        WORDS.iter().find(|(word, _)| value.eq_ignore_ascii_case(word.as_bytes())).map(|(_, level)| *level)
    }

    /// OTLP's severity numbers.
    pub(crate) fn from_severity_number(number: u32) -> Option<Self> {
        Some(match number {
            1..=4 => Self::Trace,
            5..=8 => Self::Debug,
            9..=12 => Self::Info,
            13..=16 => Self::Warn,
            17..=20 => Self::Error,
            21..=24 => Self::Fatal,
            _ => return None,
        })
    }
}

/// The level that a stream's labels give all its lines.
pub(crate) fn of_labels<'a>(labels: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Option<Level> {
    FIELDS
        .iter()
        .find_map(|field| labels.clone().find(|(name, _)| name == field))
        .map(|(_, value)| Level::from_value(value.as_bytes()).unwrap_or(Level::Unknown))
}

/// The level of an entry whose stream has none.
pub(crate) fn of_entry(metadata: &Metadata, line: &[u8]) -> Level {
    if !metadata.is_empty() {
        if let Some(level) = of_labels(metadata.iter()) {
            return level;
        }
        let number = metadata.get("severity_number").and_then(|n| n.parse().ok());
        if let Some(level) = number.and_then(Level::from_severity_number) {
            return level;
        }
    }
    of_line(line)
}

/// The level of a line by its text alone.
pub(crate) fn of_line(line: &[u8]) -> Level {
    let value = match line.trim_ascii_start().first() {
        Some(b'{') => json_field(line),
        _ => logfmt_field(line),
    };
    value.and_then(Level::from_value).or_else(|| word(line)).unwrap_or(Level::Unknown)
}

fn is_field(name: &[u8]) -> bool {
    matches!(name.first(), Some(b'l' | b'L' | b's' | b'S')) && FIELDS.iter().any(|field| field.as_bytes() == name)
}

/// The value of the first level field of a logfmt line.
fn logfmt_field(line: &[u8]) -> Option<&[u8]> {
    let mut at = 0;
    while let Some(found) = memchr::memchr(b'=', line.get(at..)?) {
        let equals = at + found;
        let key = line[at..equals].rsplit(|b| *b <= b' ').next().unwrap_or(&[]);
        let value_at = equals + 1;
        let (value, next) = match line.get(value_at) {
            Some(b'"') => {
                let len = quoted_len(&line[value_at + 1..])?;
                (&line[value_at + 1..value_at + 1 + len], value_at + len + 2)
            }
            _ => {
                let len = line[value_at..].iter().position(|b| *b <= b' ').unwrap_or(line.len() - value_at);
                (&line[value_at..value_at + len], value_at + len)
            }
        };
        if is_field(key) {
            return Some(value);
        }
        at = next;
    }
    None
}

/// Length of a quoted text up to its closing quote.
fn quoted_len(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', text.get(at..)?)?;
        match text[at] {
            b'"' => return Some(at),
            _ => at += 2,
        }
    }
}

/// The value of the first level field in a JSON object, looking into objects one level down.
fn json_field(line: &[u8]) -> Option<&[u8]> {
    let (mut at, mut depth) = (0, 0u32);
    while let Some(byte) = line.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let start = at + 1;
                let len = quoted_len(line.get(start..)?)?;
                at = start + len + 1;
                if depth > 2 || !is_field(&line[start..start + len]) {
                    continue;
                }
                let rest = line[at..].trim_ascii_start();
                let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
                if let Some(text) = value.and_then(|v| v.strip_prefix(b"\"")) {
                    return quoted_len(text).map(|len| &text[..len]);
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The earliest level word that stands by itself.
fn word(line: &[u8]) -> Option<Level> {
    const WORDS: [(&str, Level); 9] = [
        ("trace", Level::Trace),
        ("debug", Level::Debug),
        ("info", Level::Info),
        ("warning", Level::Warn),
        ("warn", Level::Warn),
        ("error", Level::Error),
        ("err", Level::Error),
        ("critical", Level::Critical),
        ("fatal", Level::Fatal),
    ];
    static FINDER: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .build(WORDS.map(|(word, _)| word))
            .ok()
    });
    let bound = |at: Option<&u8>| at.is_none_or(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')));
    let finder = FINDER.as_ref()?;
    finder
        .find_iter(line)
        .find(|hit| bound(hit.start().checked_sub(1).and_then(|at| line.get(at))) && bound(line.get(hit.end())))
        .map(|hit| WORDS[hit.pattern().as_usize()].1)
}

#[cfg(test)]
mod tests {
    use super::{Level, of_labels, of_line};
    use proptest::prelude::*;

    #[test]
    fn lines_have_the_level_that_loki_sees() {
        for (line, expected) in [
            ("level=info started", Level::Info),
            ("level=warning low", Level::Warn),
            ("lvl=error broken", Level::Error),
            ("severity=critical x=1", Level::Critical),
            ("level=information long", Level::Info),
            ("level=emerg odd", Level::Unknown),
            ("level= empty", Level::Unknown),
            (r#"{"LEVEL":"Warn"}"#, Level::Warn),
            (r#"{"log":{"level":"debug"}}"#, Level::Debug),
            (r#"{"lvl":"dbg"}"#, Level::Debug),
            (r#"{"level":30}"#, Level::Unknown),
            (r#"{"level":"eRRoR","msg":"info"}"#, Level::Error),
            (r#"{"msg":"level","level":"error"}"#, Level::Error),
            ("an error happened", Level::Error),
            ("this is a warning", Level::Warn),
            ("[ERROR] bracket", Level::Error),
            ("terror is not", Level::Unknown),
            ("debugging the thing", Level::Unknown),
            ("warn before error", Level::Warn),
            (r#"level="error" quoted"#, Level::Error),
            (r#"msg="level=error inside" x=1"#, Level::Error),
            (r#"msg="a warn" level=info"#, Level::Info),
            ("log.level=error dotted", Level::Error),
            ("E0920 klog error", Level::Error),
            ("nothing here", Level::Unknown),
            ("", Level::Unknown),
        ] {
            assert_eq!(of_line(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn labels_give_the_level_of_all_lines() {
        let of = |pairs: &[(&str, &str)]| of_labels(pairs.iter().copied());
        assert_eq!(of(&[("level", "WARN")]), Some(Level::Warn));
        assert_eq!(of(&[("severity_text", "error")]), Some(Level::Error));
        assert_eq!(of(&[("loglevel", "error")]), None);
        assert_eq!(of(&[("detected_level", "error")]), None);
    }

    proptest! {
        #[test]
        fn never_panics(line in "[{}\"\\\\:=, levsrity]{0,60}", raw: Vec<u8>) {
            of_line(line.as_bytes());
            of_line(&raw);
        }
    }
}
