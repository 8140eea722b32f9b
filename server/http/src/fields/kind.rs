//! The types that values of fields seem to have.

use narvi::logql::value;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Int,
    Float,
    Boolean,
    Duration,
    Bytes,
}

impl Kind {
    /// The first type that the text is a value of.
    pub(crate) fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        if text.parse::<i64>().is_ok() {
            Self::Int
        } else if value::parse_float(bytes).is_ok() {
            Self::Float
        } else if matches!(text, "t" | "T" | "true" | "True" | "TRUE" | "f" | "F" | "false" | "False" | "FALSE") {
            Self::Boolean
        } else if value::parse_go_duration(bytes).is_ok() {
            Self::Duration
        } else if value::parse_bytes(bytes).is_ok() {
            Self::Bytes
        } else {
            Self::Text
        }
    }

    /// Loki's name of it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Duration => "duration",
            Self::Bytes => "bytes",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn values_have_types() {
        for (text, expected) in [
            ("002", "int"),
            ("-5", "int"),
            ("1.5", "float"),
            ("1e3", "float"),
            ("true", "boolean"),
            ("F", "boolean"),
            ("1m3s", "duration"),
            ("1.5h", "duration"),
            ("49KiB", "bytes"),
            ("1,024", "bytes"),
            ("", "string"),
            ("read", "string"),
            ("1d", "string"),
        ] {
            assert_eq!(Kind::of(text).name(), expected, "{text}");
        }
    }
}
