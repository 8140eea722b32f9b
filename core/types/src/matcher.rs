//! Label matchers and selectors.

use std::fmt;

use crate::{
    Labels, go_quote,
    regex::{Regex, RegexError, RegexOptions},
};

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }
}

/// A condition on one label. A missing label has the empty value. Regular expressions are anchored at both ends and
/// their dot matches line breaks.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Makes a matcher, compiling the regular expression if it has one.
    ///
    /// # Errors
    /// A regular expression that Go would refuse.
    pub fn new(name: impl Into<String>, op: MatchOp, value: impl Into<String>) -> Result<Self, RegexError> {
        let (name, value) = (name.into(), value.into());
        let regex = match op {
            MatchOp::Equal | MatchOp::NotEqual => None,
            MatchOp::Regex | MatchOp::NotRegex => Some(Regex::new(&value, RegexOptions::LABEL_MATCHER)?),
        };
        Ok(Self { name, op, value, regex })
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or regular expression as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The compiled regular expression of `=~` and `!~`.
    pub fn regex(&self) -> Option<&Regex> {
        self.regex.as_ref()
    }

    /// Whether a label with this value passes; pass "" for a missing label.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => self.value == value,
            (MatchOp::NotEqual, _) => self.value != value,
            (MatchOp::Regex, Some(regex)) => regex.is_match_str(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match_str(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => false,
        }
    }

    /// Whether a stream without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        // LogQL takes a lone `!` for a name, and `!=` for an operator.
        f.write_str(if self.name.ends_with('!') { " " } else { "" })?;
        f.write_str(self.op.as_str())?;
        go_quote(f, &self.value)
    }
}

/// A stream selector: matchers that must all pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Matcher>);

impl Selector {
    /// Makes a selector; no matcher at all selects every stream.
    pub fn new(matchers: Vec<Matcher>) -> Self {
        Self(matchers)
    }

    /// The matchers in the order written.
    pub fn matchers(&self) -> &[Matcher] {
        &self.0
    }

    /// Whether a stream with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
    }
}

impl fmt::Display for Selector {
    /// As Loki prints it: `{a="1", b=~"x.*"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, matcher) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            fmt::Display::fmt(matcher, f)?;
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests {
    use super::{MatchOp, Matcher, Selector};
    use crate::Labels;

    #[test]
    fn matches_as_prometheus_does() {
        let labels = Labels::from_pairs([("app", "api"), ("note", "a\nb")]).expect("valid");
        for (name, op, value, expected) in [
            ("app", MatchOp::Equal, "api", true),
            ("app", MatchOp::NotEqual, "api", false),
            ("app", MatchOp::Regex, "ap", false),
            ("app", MatchOp::Regex, "ap.", true),
            ("app", MatchOp::NotRegex, "ap", true),
            ("note", MatchOp::Regex, "a.b", true),
            ("none", MatchOp::Equal, "", true),
            ("none", MatchOp::NotEqual, "", false),
            ("none", MatchOp::Regex, ".*", true),
            ("none", MatchOp::Regex, ".+", false),
        ] {
            let matcher = Matcher::new(name, op, value).expect("compiles");
            assert_eq!(Selector::new(vec![matcher.clone()]).matches(&labels), expected, "{matcher}");
        }
    }
}
