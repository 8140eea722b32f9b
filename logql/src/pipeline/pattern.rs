//! `| pattern`: a line cut into pieces by the literals of a pattern; and the same kind of pattern as a line filter.

use memchr::memmem::Finder;

use super::{
    parser::{Flow, Tools},
    row::{Row, Verdict},
    seam::PatternPart,
};

/// The compiled stage. The names of its captures are the first keys of its runner, in order.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The literal before the first capture.
    prefix: Vec<u8>,
    /// Captures, each with the literal behind it. `None` discards.
    captures: Vec<(Option<u32>, Option<Finder<'static>>)>,
}

impl Pattern {
    /// Compiles the parts of a pattern, in which no two captures follow each other. Gives the names of the captures, too.
    pub(super) fn new(parts: &[PatternPart]) -> (Self, Vec<String>) {
        let mut pattern = Self { prefix: Vec::new(), captures: Vec::new() };
        let mut names = Vec::new();
        for part in parts {
            match part {
                PatternPart::Literal(text) => match pattern.captures.last_mut() {
                    Some((_, literal)) => *literal = Some(Finder::new(text).into_owned()),
                    None => pattern.prefix.extend_from_slice(text),
                },
                PatternPart::Capture(name) => {
                    let node = name.as_ref().map(|name| {
                        names.push(name.clone());
                        names.len() as u32
                    });
                    pattern.captures.push((node, None));
                }
            }
        }
        (pattern, names)
    }

    /// Runs the stage on a row.
    pub(super) fn run(&self, row: &mut Row<'_>, tools: &mut Tools<'_>) -> Verdict {
        if tools.nothing_left(row) {
            return Verdict::Keep;
        }
        row.with_line(|row, line, direct| {
            if line.is_empty() || !line.starts_with(&self.prefix) {
                return Verdict::Keep;
            }
            let mut at = self.prefix.len();
            for (node, literal) in &self.captures {
                let rest = line.get(at..).unwrap_or(&[]);
                let found = literal.as_ref().map(|l| (l.find(rest), l.needle().len()));
                let len = found.and_then(|(at, _)| at).unwrap_or(rest.len());
                if let Some(node) = node {
                    let action = tools.action(*node, row);
                    if tools.wants(action, row) {
                        let span = row.cut(line, direct, at, at + len);
                        let flow = tools.set(action, span, row);
                        if flow != Flow::Continue {
                            return flow.verdict();
                        }
                    }
                }
                match found {
                    Some((Some(_), literal)) => at += len + literal,
                    _ => break,
                }
            }
            Verdict::Keep
        })
    }
}

/// A pattern as a line filter: literals in order with something between them. The first literal may stand anywhere if it
/// begins the pattern, as Loki finds it; a last one must end the line.
#[derive(Debug)]
pub(super) struct PatternFilter {
    literals: Vec<Finder<'static>>,
    /// The pattern begins with a capture.
    opens: bool,
    /// The pattern ends with a capture.
    closes: bool,
}

impl PatternFilter {
    pub(super) fn new(parts: &[PatternPart]) -> Self {
        let literals = parts.iter().filter_map(|part| match part {
            PatternPart::Literal(text) => Some(Finder::new(text).into_owned()),
            PatternPart::Capture(_) => None,
        });
        let is_capture = |part: Option<&PatternPart>| matches!(part, Some(PatternPart::Capture(_)));
        Self { literals: literals.collect(), opens: is_capture(parts.first()), closes: is_capture(parts.last()) }
    }

    pub(super) fn is_match(&self, line: &[u8]) -> bool {
        if self.literals.is_empty() {
            return line.is_empty() != self.closes;
        }
        let mut at = 0;
        for (index, literal) in self.literals.iter().enumerate() {
            let Some(skip) = literal.find(line.get(at..).unwrap_or(&[])) else { return false };
            if skip == 0 && (index > 0 || self.opens) {
                return false;
            }
            at += skip + literal.needle().len();
        }
        (at < line.len()) == self.closes
    }

    /// The longest literal: every matching line holds it.
    pub(super) fn needle(&self) -> Option<&[u8]> {
        self.literals.iter().map(Finder::needle).max_by_key(|l| l.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{PatternFilter, PatternPart};

    fn filter(parts: &[&str]) -> PatternFilter {
        let parts: Vec<_> = parts
            .iter()
            .map(|p| match *p {
                "_" => PatternPart::Capture(None),
                text => PatternPart::Literal(text.into()),
            })
            .collect();
        PatternFilter::new(&parts)
    }

    #[test]
    fn captures_are_not_empty_and_the_end_counts() {
        for (parts, line, expected) in [
            (&["tick 000", "_"][..], "tick 0001", true),
            (&["_", "tick"], "tick", false),
            (&["tick"], "tick", true),
            (&["tick"], "tick 1", false),
            (&["took ", "_"], "it took 15ms", true),
            (&["repeat", "_", "repeat"], "repeat repeat repeat", false),
            (&["_"], "x", true),
            (&["_"], "", false),
            (&[], "", true),
            (&[], "x", false),
            (&["_", "b", "_"], "abc", true),
            (&["_", "b", "_"], "ab", false),
        ] {
            assert_eq!(filter(parts).is_match(line.as_bytes()), expected, "{parts:?} {line}");
        }
    }
}
