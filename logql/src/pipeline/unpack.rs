//! `| unpack`: takes apart what `pack` of a log shipper made: a flat object whose `_entry` is the line.

use super::{
    json::unescaped,
    json_exact::{self, Kind, value_at},
    json_text::{needs_replacing, replace_invalid, skip_space, string_end, unescape},
    keys::{ROOT, sanitise},
    parser::{Flow, Tools},
    row::{JSON_ERROR, Row, Span, Text, Verdict},
};

const NOT_AN_OBJECT: &str = "expecting json object(6), but it is not";

/// Runs the stage on a row. Labels and line are taken only if there is an `_entry`.
pub(super) fn run(row: &mut Row<'_>, tools: &mut Tools<'_>) -> Verdict {
    if tools.nothing_left(row) {
        return Verdict::Keep;
    }
    row.s.pending.clear();
    let entry = row.with_line(|row, line, direct| read(row, line, direct, tools));
    let entry = match entry {
        Ok(Some(entry)) => entry,
        Ok(None) => return Verdict::Keep,
        Err(details) => {
            tools.fail(JSON_ERROR, Some(Text::Fixed(details)), row);
            return Verdict::Keep;
        }
    };
    let pending = std::mem::take(&mut row.s.pending);
    let mut flow = Flow::Continue;
    for (action, span) in &pending {
        row.set(action.target, *span);
        flow = tools.after_set(*action, row);
        if flow == Flow::Drop {
            break;
        }
    }
    row.s.pending = pending;
    if flow == Flow::Drop {
        return Verdict::Drop;
    }
    let mut spare = std::mem::take(&mut row.s.spare);
    spare.clear();
    spare.extend_from_slice(row.bytes(entry));
    row.s.spare = spare;
    row.take_spare_line();
    Verdict::Keep
}

/// Collects the strings of the object; gives the entry, if there is one.
fn read(row: &mut Row<'_>, line: &[u8], direct: bool, tools: &mut Tools<'_>) -> Result<Option<Span>, &'static str> {
    if line.is_empty() {
        return Ok(None);
    }
    if line[0] != b'{' {
        return Err(NOT_AN_OBJECT);
    }
    let mut entry = None;
    let mut previous = ROOT;
    let mut at = skip_space(line, 1);
    loop {
        match line.get(at) {
            Some(b'"') => {}
            Some(b'}') => return Ok(entry),
            _ => return Err(json_exact::OBJECT),
        }
        let end = string_end(line, at + 1).ok_or(json_exact::MALFORMED)?;
        let raw = line.get(at + 1..end.quote).unwrap_or(&[]);
        let mut key = Vec::new();
        if end.escaped && unescape(raw, &mut key).is_err() {
            return Err(json_exact::ESCAPE);
        }
        at = skip_space(line, end.quote + 1);
        if line.get(at) != Some(&b':') {
            return Err(json_exact::MALFORMED);
        }
        at = skip_space(line, at + 1);
        let value = value_at(line, at)?;
        if value.kind == Kind::String {
            let is_entry = if end.escaped { key == b"_entry" } else { raw == b"_entry" };
            let text = line.get(at + 1..value.end - 1).unwrap_or(&[]);
            if is_entry {
                entry = Some(string(row, line, direct, at + 1, text));
            } else {
                let clean = |raw: &[u8], name: &mut Vec<u8>| sanitise(if end.escaped { &key } else { raw }, name);
                let node = tools.keys.find(tools.names, ROOT, previous, raw, clean);
                previous = node;
                let action = tools.action(node, row);
                if action.target != super::keys::NO_NAME {
                    let span = string(row, line, direct, at + 1, text);
                    row.s.pending.push((action, span));
                }
            }
        }
        at = skip_space(line, value.end);
        match line.get(at) {
            Some(b',') => at = skip_space(line, at + 1),
            Some(b'}') => return Ok(entry),
            None => return Err(json_exact::ARRAY),
            Some(_) => return Err(json_exact::OBJECT),
        }
    }
}

fn string(row: &mut Row<'_>, line: &[u8], direct: bool, start: usize, raw: &[u8]) -> Span {
    if raw.contains(&b'\\') {
        return unescaped(row, raw);
    }
    if !raw.is_ascii() && needs_replacing(raw) {
        let begin = row.s.values.len();
        replace_invalid(raw, &mut row.s.values);
        return row.stored_since(begin);
    }
    row.cut(line, direct, start, start + raw.len())
}
