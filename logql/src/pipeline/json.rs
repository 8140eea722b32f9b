//! `| json`: every leaf of the object becomes a label, named by its path.
//!
//! The fast reader takes plain JSON in one pass. Whatever else it meets sends the row to the exact reader
//! ([`super::json_exact`]), which finds the same labels and the same error as Loki's scanner.

use super::{
    json_exact,
    json_text::{self, block_end, skip_space, string_end, token_end},
    keys::{Action, ROOT, sanitise},
    parser::{Flow, Tools},
    row::{JSON_ERROR, Row, Span, Text, Verdict},
};

/// Runs the stage on a row.
pub(super) fn run(row: &mut Row<'_>, tools: &mut Tools<'_>) -> Verdict {
    if tools.nothing_left(row) {
        return Verdict::Keep;
    }
    row.with_line(|row, line, direct| {
        let start = skip_space(line, 0);
        if line.get(start) != Some(&b'{') {
            tools.fail(JSON_ERROR, Some(Text::Fixed(json_exact::OBJECT)), row);
            return Verdict::Keep;
        }
        let reader = &mut Reader { line, direct, row, tools };
        if reader.row.s.exact {
            return match json_exact::read(reader) {
                Ok(flow) => flow.verdict(),
                Err(details) => {
                    reader.tools.fail(JSON_ERROR, Some(Text::Fixed(details)), reader.row);
                    Verdict::Keep
                }
            };
        }
        reader.tools.stack.clear();
        match reader.object(start + 1) {
            Some(flow) => flow.verdict(),
            None => Verdict::Restart,
        }
    })
}

/// A line being read.
pub(super) struct Reader<'r, 'a, 't> {
    pub(super) line: &'r [u8],
    pub(super) direct: bool,
    pub(super) row: &'r mut Row<'a>,
    pub(super) tools: &'r mut Tools<'t>,
}

impl Reader<'_, '_, '_> {
    /// Reads the object whose inside begins at `at`. `None` means that the line is not plain JSON, as far as it was read.
    fn object(&mut self, mut at: usize) -> Option<Flow> {
        let line = self.line;
        let (mut parent, mut previous) = (ROOT, ROOT);
        loop {
            at = skip_space(line, at);
            if *line.get(at)? == b'"' {
                let (node, key_end) = self.key(parent, previous, at + 1)?;
                previous = node;
                at = skip_space(line, key_end + 1);
                if *line.get(at)? != b':' {
                    return None;
                }
                at = skip_space(line, at + 1);
                let first = *line.get(at)?;
                if first == b'{' {
                    if self.tools.action(node, self.row).below {
                        self.tools.stack.push(parent);
                        parent = node;
                        at += 1;
                        continue;
                    }
                    at = block_end(line, at, b'{', b'}', 0)?;
                } else {
                    let flow;
                    (at, flow) = self.scalar(node, first, at)?;
                    if flow != Flow::Continue {
                        return self.stop(flow, at);
                    }
                }
                at = skip_space(line, at);
                match *line.get(at)? {
                    b',' => {
                        at += 1;
                        continue;
                    }
                    b'}' => {}
                    _ => return None,
                }
            } else if line[at] != b'}' {
                return None;
            }
            // An object ends here, perhaps several.
            loop {
                at += 1;
                previous = parent;
                let Some(above) = self.tools.stack.pop() else { return Some(Flow::Continue) };
                parent = above;
                at = skip_space(line, at);
                match *line.get(at)? {
                    b',' => break,
                    b'}' => {}
                    _ => return None,
                }
            }
            at += 1;
        }
    }

    /// Reads a key; gives its node and the place of its closing quote.
    #[inline]
    fn key(&mut self, parent: u32, previous: u32, at: usize) -> Option<(u32, usize)> {
        if let Some((node, len)) = self.tools.keys.predicted(parent, previous, self.line.get(at..)?, b'"') {
            return Some((node, at + len));
        }
        let end = string_end(self.line, at)?;
        let raw = self.line.get(at..end.quote)?;
        if end.escaped && json_text::unescape(raw, &mut Vec::new()).is_err() {
            return None;
        }
        Some((self.find_key(parent, previous, raw, end.escaped), end.quote))
    }

    /// The node of a key whose escapes are known to be good.
    pub(super) fn find_key(&mut self, parent: u32, previous: u32, raw: &[u8], escaped: bool) -> u32 {
        self.tools.keys.find(self.tools.names, parent, previous, raw, |raw, name| {
            if escaped {
                let mut key = Vec::new();
                // The escapes were checked, so nothing can be missing here.
                let _ = json_text::unescape(raw, &mut key);
                sanitise(&key, name);
            } else {
                sanitise(raw, name);
            }
        })
    }

    /// Reads a value that is no object and sets its label; gives the place behind it.
    #[inline]
    fn scalar(&mut self, node: u32, first: u8, at: usize) -> Option<(usize, Flow)> {
        let line = self.line;
        match first {
            b'"' => {
                let end = string_end(line, at + 1)?;
                let flow = self.string(node, at + 1, end);
                Some((end.quote + 1, flow))
            }
            b'[' => Some((block_end(line, at, b'[', b']', 0)?, Flow::Continue)),
            b'0'..=b'9' | b'-' | b't' | b'f' | b'n' => {
                let end = token_end(line, at);
                match (first, line.get(at..end)?) {
                    (b'n', b"null") => return Some((end, Flow::Continue)),
                    (b't', b"true") | (b'f', b"false") | (b'0'..=b'9' | b'-', _) => {}
                    _ => return None,
                }
                Some((end, self.plain(node, at, end)))
            }
            _ => None,
        }
    }

    /// Sets the label of a number or word.
    pub(super) fn plain(&mut self, node: u32, start: usize, end: usize) -> Flow {
        let action = self.tools.action(node, self.row);
        if !self.tools.wants(action, self.row) {
            return Flow::Continue;
        }
        let wide = self.line.get(start..end).is_some_and(|v| !v.is_ascii());
        let value = self.text(start, end, wide);
        self.tools.set(action, value, self.row)
    }

    /// Sets the label of a string.
    #[inline]
    pub(super) fn string(&mut self, node: u32, start: usize, end: json_text::StringEnd) -> Flow {
        let action = self.tools.action(node, self.row);
        if !self.tools.wants(action, self.row) {
            return Flow::Continue;
        }
        self.set_string(action, start, end)
    }

    fn set_string(&mut self, action: Action, start: usize, end: json_text::StringEnd) -> Flow {
        let value = if end.escaped {
            unescaped(self.row, self.line.get(start..end.quote).unwrap_or(&[]))
        } else {
            self.text(start, end.quote, end.wide)
        };
        self.tools.set(action, value, self.row)
    }

    /// A value without escapes.
    #[inline]
    fn text(&mut self, start: usize, end: usize, wide: bool) -> Span {
        if wide && let Some(value) = self.line.get(start..end).filter(|v| json_text::needs_replacing(v)) {
            let begin = self.row.s.values.len();
            json_text::replace_invalid(value, &mut self.row.s.values);
            return self.row.stored_since(begin);
        }
        self.row.cut(self.line, self.direct, start, end)
    }

    /// Ends early. Loki looks for the end of an object before it reads what is inside, so if objects are open, their ends
    /// must be there.
    fn stop(&mut self, flow: Flow, at: usize) -> Option<Flow> {
        let open = self.tools.stack.len();
        if open > 0 {
            block_end(self.line, at, b'{', b'}', open)?;
        }
        Some(flow)
    }
}

/// Stores a string with its escapes replaced; empty if one of them is bad.
pub(super) fn unescaped(row: &mut Row<'_>, raw: &[u8]) -> Span {
    let begin = row.s.values.len();
    if json_text::unescape(raw, &mut row.s.values).is_err() {
        row.s.values.truncate(begin);
        return row.stored_since(begin);
    }
    let value = row.s.values.get(begin..).unwrap_or(&[]);
    if !value.is_ascii() && json_text::needs_replacing(value) {
        let value = value.to_vec();
        row.s.values.truncate(begin);
        json_text::replace_invalid(&value, &mut row.s.values);
    }
    row.stored_since(begin)
}
