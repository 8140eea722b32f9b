//! How a label filter compares text, with what Loki makes of simple regular expressions.
//!
//! Loki replaces regular expressions of a simple shape by cheaper tests, and the tests are not always the same: a literal
//! beside `.*`, or beside alternatives, is looked for anywhere in the value, while other expressions must match all of it.
//! So `=~ "foo.*"` passes `xfoo`, and `=~ "err|error"` passes `terror`. This module finds out which shape Go's parser would
//! see: it factors common prefixes out of alternatives and merges single characters into classes.

use memchr::memmem::Finder;
use narvi_types::{
    MatchOp, Matcher,
    regex::{Regex, RegexError, RegexOptions},
};

/// A test of a label's value; a missing label has the empty one.
#[derive(Debug)]
pub(super) struct StringMatch {
    test: Test,
    negated: bool,
}

#[derive(Debug)]
enum Test {
    Equal(Box<[u8]>),
    Simple(Simple),
    Regex(Regex),
}

impl StringMatch {
    /// Compiles the test of a matcher.
    ///
    /// # Errors
    /// A regular expression that cannot be compiled.
    pub(super) fn new(matcher: &Matcher) -> Result<Self, RegexError> {
        let negated = matches!(matcher.op(), MatchOp::NotEqual | MatchOp::NotRegex);
        let test = match matcher.op() {
            MatchOp::Equal | MatchOp::NotEqual => Test::Equal(matcher.value().as_bytes().into()),
            MatchOp::Regex | MatchOp::NotRegex => match simplify(matcher.value()) {
                Some(simple) => Test::Simple(simple),
                None => {
                    let mut options = RegexOptions::LABEL_MATCHER;
                    options.dot_all = false;
                    Test::Regex(Regex::new(matcher.value(), options)?)
                }
            },
        };
        Ok(Self { test, negated })
    }

    /// Whether the value passes.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        let found = match &self.test {
            Test::Equal(wanted) => **wanted == *value,
            Test::Simple(simple) => simple.matches(value),
            Test::Regex(regex) => regex.is_match(value),
        };
        found != self.negated
    }
}

/// What a simple expression becomes.
#[derive(Debug)]
enum Simple {
    Anything,
    NotEmpty,
    Equals(Vec<u8>, bool),
    Contains(Box<Finder<'static>>, bool),
    Any(Vec<Simple>),
}

impl Simple {
    fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Anything => true,
            Self::NotEmpty => !value.is_empty(),
            Self::Equals(text, false) => text == value,
            Self::Equals(text, true) => text.eq_ignore_ascii_case(value),
            Self::Contains(text, false) => text.find(value).is_some(),
            Self::Contains(text, true) => {
                let text = text.needle();
                text.is_empty() || value.windows(text.len()).any(|w| w.eq_ignore_ascii_case(text))
            }
            Self::Any(legs) => legs.iter().any(|leg| leg.matches(value)),
        }
    }

    /// Alternatives; one that passes everything is forgotten, as Loki forgets it.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Anything, other) => other,
            (this, Self::Anything) => this,
            (Self::Any(mut legs), other) => {
                legs.push(other);
                Self::Any(legs)
            }
            (this, other) => Self::Any(vec![this, other]),
        }
    }
}

/// The part of a regular expression's syntax that simple ones are made of.
#[derive(Clone, Debug, PartialEq)]
enum Node {
    Literal(Vec<char>),
    /// `.*`
    Star,
    /// `.+`
    Plus,
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
    /// A class, which alternatives of one character become.
    Class,
}

impl Node {
    fn empty() -> Self {
        Self::Sequence(Vec::new())
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Sequence(parts) if parts.is_empty())
    }
}

/// The simple test that Loki replaces the expression by, if it does.
fn simplify(pattern: &str) -> Option<Simple> {
    let (fold, body) = match pattern.strip_prefix("(?i)") {
        Some(body) => (true, body),
        None => (false, pattern),
    };
    if fold && !body.is_ascii() {
        return None;
    }
    let chars: Vec<char> = body.chars().collect();
    let mut parser = Parser { chars: &chars, at: 0, fold, depth: 0 };
    let node = parser.alternatives()?;
    (parser.at == chars.len()).then(|| simple(&node, fold)).flatten()
}

struct Parser<'p> {
    chars: &'p [char],
    at: usize,
    fold: bool,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn alternatives(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > 50 {
            return None;
        }
        let mut legs = vec![self.sequence()?];
        while self.peek() == Some('|') {
            self.at += 1;
            legs.push(self.sequence()?);
        }
        self.depth -= 1;
        Some(if legs.len() == 1 { legs.remove(0) } else { factor(legs, self.fold) })
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut parts: Vec<Node> = Vec::new();
        while let Some(c) = self.peek() {
            let part = match c {
                '|' | ')' => break,
                '(' => {
                    self.at += 1;
                    self.group_head()?;
                    let inner = self.alternatives()?;
                    if self.peek() != Some(')') {
                        return None;
                    }
                    inner
                }
                '.' => {
                    self.at += 1;
                    match self.peek() {
                        Some('*') => Node::Star,
                        Some('+') => Node::Plus,
                        _ => return None,
                    }
                }
                '\\' => {
                    self.at += 1;
                    let c = self.peek().filter(char::is_ascii_punctuation)?;
                    Node::Literal(vec![c])
                }
                '*' | '+' | '?' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
                c => Node::Literal(vec![c]),
            };
            self.at += 1;
            if matches!(self.peek(), Some('*' | '+' | '?' | '{')) {
                return None;
            }
            push(&mut parts, part);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Node::Sequence(parts) })
    }

    /// Skips what may stand behind the parenthesis of a group without a change of flags.
    fn group_head(&mut self) -> Option<()> {
        if self.peek() != Some('?') {
            return Some(());
        }
        let rest: String = self.chars.iter().skip(self.at).take(3).collect();
        if rest.starts_with("?:") {
            self.at += 2;
            return Some(());
        }
        if rest.starts_with("?P<") || (rest.starts_with("?<") && !rest.ends_with('=') && !rest.ends_with('!')) {
            let close = self.chars.iter().skip(self.at).position(|c| *c == '>')?;
            self.at += close + 1;
            return Some(());
        }
        None
    }
}

/// Appends a part to a sequence; literals that meet become one, sequences are flattened.
fn push(parts: &mut Vec<Node>, part: Node) {
    match (parts.last_mut(), part) {
        (Some(Node::Literal(text)), Node::Literal(more)) => text.extend(more),
        (_, Node::Sequence(inner)) => inner.into_iter().for_each(|p| push(parts, p)),
        (_, part) => parts.push(part),
    }
}

/// Makes alternatives of legs as Go does: neighbours with a common literal prefix are put behind it, and neighbours of one
/// character become a class.
fn factor(legs: Vec<Node>, fold: bool) -> Node {
    let mut legs: Vec<Node> = legs
        .into_iter()
        .flat_map(|leg| match leg {
            Node::Alternatives(inner) => inner,
            leg => vec![leg],
        })
        .collect();
    let mut factored: Vec<Node> = Vec::new();
    while !legs.is_empty() {
        let mut prefix = literal_prefix(&legs[0]);
        let mut count = 1;
        while count < legs.len() && !prefix.is_empty() {
            let other = literal_prefix(&legs[count]);
            let same = prefix.iter().zip(&other).take_while(|(a, b)| same_char(**a, **b, fold)).count();
            if same == 0 {
                break;
            }
            prefix.truncate(same);
            count += 1;
        }
        let group: Vec<Node> = legs.drain(..count).collect();
        if count == 1 {
            factored.extend(group);
            continue;
        }
        let rests = group.into_iter().map(|leg| without_prefix(leg, prefix.len())).collect();
        let mut parts = vec![Node::Literal(prefix)];
        push(&mut parts, factor(rests, fold));
        factored.push(Node::Sequence(parts));
    }
    let mut merged: Vec<Node> = Vec::new();
    for leg in factored {
        let single = |node: &Node| matches!(node, Node::Class) || matches!(node, Node::Literal(t) if t.len() == 1);
        match merged.last_mut() {
            Some(last) if single(last) && single(&leg) => *last = Node::Class,
            Some(last) if last.is_empty() && leg.is_empty() => {}
            _ => merged.push(leg),
        }
    }
    if merged.len() == 1 { merged.remove(0) } else { Node::Alternatives(merged) }
}

fn same_char(a: char, b: char, fold: bool) -> bool {
    a == b || fold && a.eq_ignore_ascii_case(&b)
}

fn literal_prefix(node: &Node) -> Vec<char> {
    match node {
        Node::Literal(text) => text.clone(),
        Node::Sequence(parts) => parts.first().map_or_else(Vec::new, literal_prefix),
        _ => Vec::new(),
    }
}

fn without_prefix(node: Node, len: usize) -> Node {
    let rest = |text: &[char]| {
        let rest: Vec<char> = text.iter().skip(len).copied().collect();
        if rest.is_empty() { Node::empty() } else { Node::Literal(rest) }
    };
    match node {
        Node::Literal(text) => rest(&text),
        Node::Sequence(mut parts) => {
            let first = match parts.first() {
                Some(Node::Literal(text)) => rest(text),
                _ => return Node::Sequence(parts),
            };
            parts.remove(0);
            let mut all = Vec::new();
            push(&mut all, first);
            parts.into_iter().for_each(|p| push(&mut all, p));
            if all.len() == 1 { all.remove(0) } else { Node::Sequence(all) }
        }
        node => node,
    }
}

fn bytes_of(text: &[char]) -> Vec<u8> {
    text.iter().collect::<String>().into_bytes()
}

/// The test that a node becomes.
fn simple(node: &Node, fold: bool) -> Option<Simple> {
    match node {
        Node::Literal(text) => Some(Simple::Equals(bytes_of(text), fold)),
        Node::Star => Some(Simple::Anything),
        Node::Plus => Some(Simple::NotEmpty),
        Node::Class => None,
        Node::Sequence(parts) if parts.is_empty() => Some(Simple::Anything),
        Node::Sequence(parts) => sequence(parts, &[], fold),
        Node::Alternatives(legs) => {
            let mut all: Option<Simple> = None;
            for leg in legs {
                let leg = simple(leg, fold)?;
                all = Some(match all {
                    Some(all) => all.or(leg),
                    None => leg,
                });
            }
            all
        }
    }
}

/// A sequence of at most one literal, `.*` and alternatives behind the literal; `before` stands in front of it all.
fn sequence(parts: &[Node], before: &[char], fold: bool) -> Option<Simple> {
    if parts.len() > 3 {
        return None;
    }
    let contains = |text: &[char]| {
        let finder = Finder::new(&bytes_of(text)).into_owned();
        Simple::Contains(Box::new(finder), fold)
    };
    let mut base = before.to_vec();
    let mut literals = 0;
    let mut found: Option<Simple> = None;
    for part in parts {
        match part {
            Node::Literal(text) => {
                literals += 1;
                if literals > 1 || found.is_some() {
                    return None;
                }
                base.extend(text);
            }
            Node::Star => {}
            Node::Alternatives(legs) if !base.is_empty() && found.is_none() => {
                for leg in legs {
                    let leg = match leg {
                        Node::Literal(text) => {
                            let mut all = base.clone();
                            all.extend(text);
                            contains(&all)
                        }
                        Node::Star => contains(&base),
                        leg if leg.is_empty() => contains(&base),
                        Node::Sequence(inner) => sequence(inner, &base, fold)?,
                        _ => return None,
                    };
                    found = Some(match found {
                        Some(found) => found.or(leg),
                        None => leg,
                    });
                }
            }
            _ => return None,
        }
    }
    if found.is_some() {
        return found;
    }
    Some(if base.is_empty() { Simple::Anything } else { contains(&base) })
}

#[cfg(test)]
mod tests {
    use narvi_types::{MatchOp, Matcher};

    use super::StringMatch;

    #[test]
    fn simple_expressions_follow_loki() {
        for (pattern, value, expected) in [
            ("foo.*", "xfoo", true),
            (".*foo", "foox", true),
            (".*foo.*", "xfoox", true),
            ("foo", "foox", false),
            ("foo|bar", "foo", true),
            ("foo|bar", "foox", false),
            ("err|error", "terror", true),
            ("err|error", "er", false),
            ("foo|foobar", "xfoo", true),
            ("foobar|foobaz", "foobaz", true),
            ("foobar|foobaz", "xfoobaz", false),
            ("5..", "500", true),
            ("5..", "5000", false),
            ("", "x", true),
            (".*", "x", true),
            (".+", "", false),
            (".+", "x", true),
            ("|foo", "foo", true),
            ("|foo", "bar", false),
            ("|foo", "", false),
            ("(?i)EVE|ANA", "eve", true),
            ("(?i)EVE|ANA", "evelyn", false),
            ("a+", "aa", true),
            ("a+", "xaa", false),
            (r"a\.b", "a.b", true),
            (r"a\.b", "axb", false),
            ("pay.go:2[0-2]", "pay.go:21", true),
            ("/product/(17|42)", "/product/42", true),
        ] {
            let matcher = Matcher::new("x", MatchOp::Regex, pattern).expect("compiles");
            let test = StringMatch::new(&matcher).expect("compiles");
            assert_eq!(test.matches(value.as_bytes()), expected, "{pattern} {value}");
            let matcher = Matcher::new("x", MatchOp::NotRegex, pattern).expect("compiles");
            let test = StringMatch::new(&matcher).expect("compiles");
            assert_eq!(test.matches(value.as_bytes()), !expected, "not {pattern} {value}");
        }
    }
}
