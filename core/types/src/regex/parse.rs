//! The parser: Go's regexp syntax (with its Perl flags) to an `Hir`.
//!
//! It keeps open groups on a stack of its own instead of recursing, and refuses what Go refuses, in Go's words and at
//! Go's limits. Source of the syntax: the documentation of Go's regexp/syntax package, checked against Go itself
//! (tests/data/go_regex.tsv).

use std::collections::HashSet;

use regex_syntax::hir::{ClassUnicode, Hir, Look};

use super::{
    class::{self, ClassBuilder, consumed},
    error::{Fault, RegexError},
    node::{Bounds, Node},
};

/// The greatest repeat count, and the greatest product of nested ones.
const MAX_REPEAT: u32 = 1000;
/// The most levels of operators.
const MAX_HEIGHT: u32 = 1000;
/// The most instructions with all repetitions written out: those that fit Go's limit of 128 MiB.
const MAX_SIZE: u64 = (128 << 20) / 40;
/// The most parts that may be moved while nested sequences are flattened. Go has no such limit, but takes quadratic time
/// for thousands of groups within each other, and so would we.
const MAX_FLATTENED: usize = 4_000_000;

/// What a pattern says.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) hir: Hir,
    /// Levels of operators.
    pub(super) height: u32,
    /// Names of the groups, the whole match first.
    pub(super) group_names: Vec<Option<Box<str>>>,
    /// Whether any part of it can match U+FFFD, which is what Go takes an invalid byte for.
    pub(super) knows_replacement: bool,
    /// Whether any part of it can match a line break.
    pub(super) knows_newline: bool,
}

/// Parses a pattern. `max_ranges` bounds the ranges of all its classes together.
pub(super) fn parse(pattern: &str, dot_all: bool, max_ranges: usize) -> Result<Parsed, RegexError> {
    let parser = Parser {
        pattern,
        rest: pattern,
        flags: Flags { dot_all, ..Flags::default() },
        open: Vec::new(),
        top: Group::default(),
        group_names: vec![None],
        names_seen: HashSet::new(),
        ranges_left: max_ranges,
        flattened: 0,
        knows_replacement: false,
        knows_newline: false,
    };
    parser.run()
}

#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_all: bool,
    ungreedy: bool,
}

/// A group that is being read.
#[derive(Debug, Default)]
struct Group {
    /// The flags to return to after the group.
    outer_flags: Flags,
    capture: Option<(u32, Option<Box<str>>)>,
    branches: Vec<Node>,
    /// The current branch; `text` comes after its nodes.
    nodes: Vec<Node>,
    text: String,
}

impl Group {
    fn push(&mut self, node: Node) {
        self.flush();
        self.nodes.push(node);
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.nodes.push(Node::text(&self.text));
            self.text.clear();
        }
    }

    /// Takes the last item of the branch: what a repetition applies to.
    fn pop(&mut self) -> Option<Node> {
        match self.text.pop() {
            Some(c) => {
                self.flush();
                Some(Node::text(c.encode_utf8(&mut [0; 4])))
            }
            None => self.nodes.pop(),
        }
    }

    fn end_branch(&mut self) {
        self.flush();
        self.branches.push(Node::concat(std::mem::take(&mut self.nodes)));
    }

    fn close(&mut self) -> Node {
        self.end_branch();
        Node::alternation(std::mem::take(&mut self.branches))
    }
}

struct Parser<'p> {
    pattern: &'p str,
    rest: &'p str,
    flags: Flags,
    open: Vec<Group>,
    top: Group,
    group_names: Vec<Option<Box<str>>>,
    names_seen: HashSet<&'p str>,
    ranges_left: usize,
    flattened: usize,
    knows_replacement: bool,
    knows_newline: bool,
}

impl<'p> Parser<'p> {
    fn run(mut self) -> Result<Parsed, RegexError> {
        // The text from the last repetition operator on, if that was the last thing read.
        let mut last_repeat = None;
        while let Some(c) = self.rest.chars().next() {
            let here = self.rest;
            let mut repeat = None;
            match c {
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '|' => {
                    self.top.end_branch();
                    self.rest = &here[1..];
                }
                '^' => self.look(if self.flags.multi_line { Look::StartLF } else { Look::Start }, 1),
                '$' => self.look(if self.flags.multi_line { Look::EndLF } else { Look::End }, 1),
                '.' => {
                    self.class(class::dot_class(self.flags.dot_all))?;
                    self.rest = &here[1..];
                }
                '[' => {
                    let (members, rest) = class::bracket(here, self.flags.fold)?;
                    self.class(members)?;
                    self.rest = rest;
                }
                '\\' => self.escape()?,
                '*' | '+' | '?' | '{' => match repetition(here) {
                    Some((bounds, after)) => {
                        self.repeat(bounds, after, last_repeat)?;
                        repeat = Some(here);
                    }
                    None => {
                        self.literal('{')?;
                        self.rest = &here[1..];
                    }
                },
                c => {
                    self.literal(c)?;
                    self.rest = &here[c.len_utf8()..];
                }
            }
            last_repeat = repeat;
        }
        if !self.open.is_empty() {
            return Err(RegexError::new(Fault::MissingParen, self.pattern));
        }
        let node = self.top.close();
        self.check_limits(&node)?;
        let Self { group_names, knows_replacement, knows_newline, .. } = self;
        Ok(Parsed { height: node.height, hir: node.into_hir(), group_names, knows_replacement, knows_newline })
    }

    fn look(&mut self, look: Look, length: usize) {
        self.top.push(Node::look(look));
        self.rest = &self.rest[length..];
    }

    fn literal(&mut self, c: char) -> Result<(), RegexError> {
        self.knows_newline |= c == '\n';
        self.knows_replacement |= c == char::REPLACEMENT_CHARACTER;
        if self.flags.fold {
            let variants = class::char_class(c.into(), true);
            if variants.ranges().iter().map(|range| range.len()).sum::<usize>() > 1 {
                self.spend(&variants)?;
                self.top.push(Node::folded_char(variants));
                return Ok(());
            }
        }
        self.top.text.push(c);
        Ok(())
    }

    fn class(&mut self, class: ClassUnicode) -> Result<(), RegexError> {
        let contains = |c: char| class.ranges().iter().any(|range| range.start() <= c && c <= range.end());
        self.knows_newline |= contains('\n');
        self.knows_replacement |= contains(char::REPLACEMENT_CHARACTER);
        self.spend(&class)?;
        self.top.push(Node::class(class));
        Ok(())
    }

    fn spend(&mut self, class: &ClassUnicode) -> Result<(), RegexError> {
        let left = self.ranges_left.checked_sub(class.ranges().len());
        self.ranges_left = left.ok_or_else(|| RegexError::new(Fault::TooLarge, self.pattern))?;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), RegexError> {
        let here = self.rest;
        let after = &here[1..];
        match after.chars().next() {
            Some('A') => self.look(Look::Start, 2),
            Some('z') => self.look(Look::End, 2),
            Some('b') => self.look(Look::WordAscii, 2),
            Some('B') => self.look(Look::WordAsciiNegate, 2),
            Some('Q') => {
                let (quoted, rest) = after[1..].split_once("\\E").unwrap_or((&after[1..], ""));
                quoted.chars().try_for_each(|c| self.literal(c))?;
                self.rest = rest;
            }
            _ => {
                let mut members = ClassBuilder::default();
                if let Some(rest) = class::escaped_class(here, &mut members, self.flags.fold)? {
                    self.class(members.build(false))?;
                    self.rest = rest;
                    return Ok(());
                }
                let (code, rest) = class::escaped_char(here)?;
                match char::from_u32(code) {
                    Some(c) => self.literal(c)?,
                    // A surrogate: no text contains it.
                    None => self.class(ClassUnicode::empty())?,
                }
                self.rest = rest;
            }
        }
        Ok(())
    }

    fn repeat(&mut self, bounds: Bounds, mut after: &'p str, last: Option<&str>) -> Result<(), RegexError> {
        let operator = consumed(self.rest, after);
        let Bounds { min, max, .. } = bounds;
        if min > MAX_REPEAT || max.is_some_and(|max| max > MAX_REPEAT || max < min) {
            return Err(RegexError::new(Fault::RepeatCount, operator));
        }
        let mut greedy = !self.flags.ungreedy;
        if let Some(rest) = after.strip_prefix('?') {
            after = rest;
            greedy = !greedy;
        }
        let operator = consumed(self.rest, after);
        if let Some(last) = last {
            return Err(RegexError::new(Fault::NestedRepeat, consumed(last, after)));
        }
        let Some(item) = self.top.pop() else {
            return Err(RegexError::new(Fault::MissingRepeatArgument, operator));
        };
        let node = item.repeat(bounds, greedy);
        self.check_limits(&node)?;
        if node.repeats > MAX_REPEAT {
            return Err(RegexError::new(Fault::RepeatCount, operator));
        }
        self.top.push(node);
        self.rest = after;
        Ok(())
    }

    fn check_limits(&self, node: &Node) -> Result<(), RegexError> {
        if node.size > MAX_SIZE || self.flattened > MAX_FLATTENED {
            return Err(RegexError::new(Fault::TooLarge, self.pattern));
        }
        if node.height > MAX_HEIGHT {
            return Err(RegexError::new(Fault::NestingDepth, self.pattern));
        }
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), RegexError> {
        let here = self.rest;
        let outer_flags = self.flags;
        let (capture, rest) = match here.strip_prefix("(?") {
            None => (Some(None), &here[1..]),
            Some(inner) => {
                let named = (inner.strip_prefix("P<").filter(|name| !name.is_empty()))
                    .or_else(|| inner.strip_prefix('<').filter(|name| !name.is_empty()));
                match named {
                    Some(named) => {
                        let (name, rest) = group_name(here, named)?;
                        (Some(Some(name)), rest)
                    }
                    None => {
                        let (flags, opens, rest) = parse_flags(here, self.flags)?;
                        self.flags = flags;
                        self.rest = rest;
                        if !opens {
                            return Ok(());
                        }
                        (None, rest)
                    }
                }
            }
        };
        let capture = capture.map(|name| self.number_group(name));
        let group = Group { outer_flags, capture, ..Group::default() };
        self.open.push(std::mem::replace(&mut self.top, group));
        self.rest = rest;
        Ok(())
    }

    /// Gives a group its number. The engine insists on distinct names, so only the first of a name carries it there.
    fn number_group(&mut self, name: Option<&'p str>) -> (u32, Option<Box<str>>) {
        let index = u32::try_from(self.group_names.len()).unwrap_or(u32::MAX);
        self.group_names.push(name.map(Into::into));
        (index, name.filter(|name| self.names_seen.insert(name)).map(Into::into))
    }

    fn close_group(&mut self) -> Result<(), RegexError> {
        let Some(outer) = self.open.pop() else {
            return Err(RegexError::new(Fault::UnexpectedParen, self.pattern));
        };
        let mut group = std::mem::replace(&mut self.top, outer);
        let mut node = group.close();
        self.flattened = self.flattened.saturating_add(node.parts());
        if let Some((index, name)) = group.capture {
            node = node.capture(index, name);
        }
        self.check_limits(&node)?;
        self.top.push(node);
        self.flags = group.outer_flags;
        self.rest = &self.rest[1..];
        Ok(())
    }
}

/// Reads a repetition operator (without the `?` that may follow). Nothing if it is a brace that stands for itself.
fn repetition(text: &str) -> Option<(Bounds, &str)> {
    let simple = |min, max| Some((Bounds { min, max, counted: false }, &text[1..]));
    match text.as_bytes().first()? {
        b'*' => return simple(0, None),
        b'+' => return simple(1, None),
        b'?' => return simple(0, Some(1)),
        _ => {}
    }
    let (min, rest) = count(&text[1..])?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => count(rest).map(|(max, rest)| (Some(max), rest))?,
    };
    Some((Bounds { min, max, counted: true }, rest.strip_prefix('}')?))
}

/// Reads a decimal number without needless zeros; one that is far too large stays so.
fn count(text: &str) -> Option<(u32, &str)> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = consumed(text, rest);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}

/// Reads `name>`; `group` is the text from the parenthesis on, for the error.
fn group_name<'p>(group: &'p str, named: &'p str) -> Result<(&'p str, &'p str), RegexError> {
    let Some((name, rest)) = named.split_once('>') else {
        return Err(RegexError::new(Fault::NamedCapture, group));
    };
    if name.is_empty() || !name.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric()) {
        return Err(RegexError::new(Fault::NamedCapture, consumed(group, rest)));
    }
    Ok((name, rest))
}

/// Reads `(?flags)` or `(?flags:`. Gives the flags, whether a group opens, and what follows.
fn parse_flags(text: &str, mut flags: Flags) -> Result<(Flags, bool, &str), RegexError> {
    let (mut set, mut seen) = (true, false);
    let mut chars = text[2..].chars();
    while let Some(c) = chars.next() {
        match c {
            'i' => flags.fold = set,
            'm' => flags.multi_line = set,
            's' => flags.dot_all = set,
            'U' => flags.ungreedy = set,
            '-' if set => {
                (set, seen) = (false, false);
                continue;
            }
            // A minus sign needs a flag after it.
            ':' | ')' if set || seen => return Ok((flags, c == ':', chars.as_str())),
            _ => break,
        }
        seen = true;
    }
    Err(RegexError::new(Fault::PerlOperator, consumed(text, chars.as_str())))
}
