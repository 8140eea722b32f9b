//! `| json label="path", ...`: reads only what the paths name.
//!
//! Loki's scanner does not check the structure here: it looks at keys and brackets only and takes what fits, so a line with
//! missing commas is read as well as any.

use super::{
    json::unescaped,
    json_exact::{self, Kind, value_at},
    json_text::{self, block_end, skip_space, string_end},
    keys::Name,
    parser::{Flow, Tools},
    row::{JSON_ERROR, OpenKey, Row, Span, Text, Verdict},
    seam::JsonSegment,
};

/// The compiled stage.
#[derive(Debug)]
pub(super) struct JsonPaths {
    pub(super) paths: Vec<Path>,
}

/// A label and the path to its value.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) name: Name,
    pub(super) steps: Vec<JsonSegment>,
}

impl JsonPaths {
    /// Runs the stage on a row.
    pub(super) fn run(&self, row: &mut Row<'_>, tools: &mut Tools<'_>) -> Verdict {
        if tools.nothing_left(row) {
            return Verdict::Keep;
        }
        row.with_line(|row, line, direct| {
            if line.is_empty() {
                return Verdict::Keep;
            }
            // Loki looks at the first byte only, and gives no details.
            if !matches!(line.first(), Some(b'{' | b'[' | b'"')) {
                row.s.error = Some(Text::Fixed(JSON_ERROR));
                row.s.preserve_error |= tools.hints.preserve_error;
                return Verdict::Keep;
            }
            let mut found = std::mem::take(&mut row.s.paths_found);
            found.clear();
            found.resize(self.paths.len(), false);
            let mut open = std::mem::take(&mut row.s.open_keys);
            let mut scan = Scan { line, direct, row, tools, stage: self, found, level: 0 };
            let flow = scan.run(&mut open);
            scan.row.s.paths_found = scan.found;
            scan.row.s.open_keys = open;
            if flow == Flow::Drop {
                return Verdict::Drop;
            }
            for path in &self.paths {
                let wanted = tools.hints.wants(tools.names.bytes_of(path.name));
                if wanted && row.get(path.name).is_none() {
                    row.set(path.name, Span::EMPTY);
                }
            }
            Verdict::Keep
        })
    }
}

struct Scan<'r, 'a, 't> {
    line: &'r [u8],
    direct: bool,
    row: &'r mut Row<'a>,
    tools: &'r mut Tools<'t>,
    stage: &'r JsonPaths,
    found: Vec<bool>,
    /// How many objects are open.
    level: i64,
}

impl Scan<'_, '_, '_> {
    /// Looks at every string and bracket of the line until all paths are found.
    fn run(&mut self, open: &mut Vec<OpenKey>) -> Flow {
        let line = self.line;
        open.clear();
        let mut at = 0;
        while let Some(&byte) = line.get(at) {
            at += 1;
            match byte {
                b'{' => self.level += 1,
                b'}' => self.level -= 1,
                b'[' => {
                    if self.level < 0 {
                        self.fail(json_exact::MALFORMED);
                        return Flow::Continue;
                    }
                    let Some(end) = block_end(line, at - 1, b'[', b']', 0) else {
                        self.array(at - 1, line.len(), open);
                        return Flow::Continue;
                    };
                    if self.array(at - 1, end, open) == Flow::Drop {
                        return Flow::Drop;
                    }
                    at = end;
                }
                b'"' => {
                    let Some(end) = string_end(line, at) else { return Flow::Continue };
                    let key = (at, end.quote, end.escaped);
                    at = end.quote + 1;
                    let colon = skip_space(line, at);
                    if line.get(colon) != Some(&b':') {
                        continue;
                    }
                    at = colon + 1;
                    if self.level < 1 {
                        self.fail(json_exact::MALFORMED);
                        return Flow::Continue;
                    }
                    let level = self.level as usize;
                    if open.len() < level - 1 {
                        continue;
                    }
                    open.truncate(level - 1);
                    open.push(key);
                    if self.key(open, at) == Flow::Drop {
                        return Flow::Drop;
                    }
                    if self.found.iter().all(|f| *f) {
                        return Flow::Enough;
                    }
                }
                _ => {}
            }
        }
        Flow::Continue
    }

    /// Whether the open keys begin the path.
    fn fits(&self, steps: &[JsonSegment], open: &[OpenKey]) -> bool {
        steps.len() >= open.len()
            && steps.iter().zip(open).all(|(step, &(start, end, escaped))| {
                let raw = self.line.get(start..end).unwrap_or(&[]);
                match step {
                    JsonSegment::Key(key) if !escaped => key.as_bytes() == raw,
                    JsonSegment::Key(key) => {
                        let mut plain = Vec::new();
                        json_text::unescape(raw, &mut plain).is_ok() && key.as_bytes() == plain
                    }
                    JsonSegment::Index(_) => false,
                }
            })
    }

    /// A key is read and its value begins at `at`, perhaps after spaces.
    fn key(&mut self, open: &[OpenKey], at: usize) -> Flow {
        for index in 0..self.stage.paths.len() {
            let path = &self.stage.paths[index];
            if self.found[index] || path.steps.len() != open.len() || !self.fits(&path.steps, open) {
                continue;
            }
            self.found[index] = true;
            if self.take(index, skip_space(self.line, at), self.line.len()) == Flow::Drop {
                return Flow::Drop;
            }
        }
        Flow::Continue
    }

    /// An array lies between the places; looks up the elements that paths name.
    fn array(&mut self, start: usize, end: usize, open: &[OpenKey]) -> Flow {
        let level = self.level as usize;
        let open = open.get(..level).unwrap_or(open);
        for index in 0..self.stage.paths.len() {
            let path = &self.stage.paths[index];
            if self.found[index] || path.steps.len() <= level || open.len() != level || !self.fits(&path.steps, open) {
                continue;
            }
            let rest = path.steps.get(level..).unwrap_or(&[]);
            if !matches!(rest.first(), Some(JsonSegment::Index(_))) {
                continue;
            }
            let Some(at) = descend(self.line.get(..end).unwrap_or(&[]), start, rest) else { continue };
            self.found[index] = true;
            if self.take(index, at, end) == Flow::Drop {
                return Flow::Drop;
            }
        }
        Flow::Continue
    }

    /// Sets the label of a path from the value at a place.
    fn take(&mut self, index: usize, at: usize, end: usize) -> Flow {
        let text = self.line.get(..end).unwrap_or(&[]);
        let value = match value_at(text, at) {
            Ok(value) => value,
            Err(details) => {
                self.fail(details);
                return Flow::Continue;
            }
        };
        let name = self.stage.paths[index].name;
        let action = self.tools.action_of_name(name, self.row);
        if action.target == super::keys::NO_NAME {
            return Flow::Continue;
        }
        let span = match value.kind {
            Kind::Null => Span::EMPTY,
            Kind::String => {
                let raw = text.get(at + 1..value.end - 1).unwrap_or(&[]);
                self.string(raw, at + 1, value.end - 1)
            }
            Kind::Array => {
                let raw = text.get(at..value.end).unwrap_or(&[]);
                self.string(raw, at, value.end)
            }
            Kind::Object | Kind::Number | Kind::Boolean => self.row.cut(self.line, self.direct, at, value.end),
        };
        self.row.set(action.target, span);
        self.tools.after_set(action, self.row)
    }

    fn string(&mut self, raw: &[u8], start: usize, end: usize) -> Span {
        if raw.contains(&b'\\') || !raw.is_ascii() {
            return unescaped(self.row, raw);
        }
        self.row.cut(self.line, self.direct, start, end)
    }

    fn fail(&mut self, details: &'static str) {
        self.tools.fail(JSON_ERROR, Some(Text::Fixed(details)), self.row);
    }
}

/// Follows steps from the value at a place; gives the place of the value they lead to.
fn descend(text: &[u8], start: usize, steps: &[JsonSegment]) -> Option<usize> {
    let mut at = skip_space(text, start);
    for step in steps {
        at = match (step, *text.get(at)?) {
            (JsonSegment::Index(index), b'[') => element(text, at + 1, *index)?,
            (JsonSegment::Key(key), b'{') => member(text, at + 1, key.as_bytes())?,
            _ => return None,
        };
    }
    Some(at)
}

fn element(text: &[u8], mut at: usize, index: usize) -> Option<usize> {
    for skipped in 0..=index {
        at = skip_space(text, at);
        if *text.get(at)? == b']' {
            return None;
        }
        if skipped < index {
            at = skip_space(text, value_at(text, at).ok()?.end);
            if *text.get(at)? != b',' {
                return None;
            }
            at += 1;
        }
    }
    Some(at)
}

fn member(text: &[u8], mut at: usize, key: &[u8]) -> Option<usize> {
    loop {
        at = skip_space(text, at);
        if *text.get(at)? != b'"' {
            return None;
        }
        let end = string_end(text, at + 1)?;
        let raw = text.get(at + 1..end.quote)?;
        let mut plain = Vec::new();
        let fits = if end.escaped { json_text::unescape(raw, &mut plain).is_ok() && plain == key } else { raw == key };
        at = skip_space(text, end.quote + 1);
        if *text.get(at)? != b':' {
            return None;
        }
        at = skip_space(text, at + 1);
        if fits {
            return Some(at);
        }
        at = skip_space(text, value_at(text, at).ok()?.end);
        if *text.get(at)? != b',' {
            return None;
        }
        at += 1;
    }
}
