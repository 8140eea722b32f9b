//! `| line_format` and `| label_format`: templates over the labels of a row.

use super::{
    keys::{ERROR, ERROR_DETAILS, NO_NAME, Name, Names},
    row::{Row, Span, TEMPLATE_ERROR, Text},
    seam::{Fields, Template},
};

/// How large the labels that stages make for one row may be, all together; one template writes at the most
/// [`MAX_OUTPUT_BYTES`](crate::template::MAX_OUTPUT_BYTES).
const MAX_VALUES_BYTES: usize = 16 << 20;
const TOO_MANY_BYTES: &str = "exceeded the maximum of 16777216 bytes of labels of one line";

/// One assignment of `label_format`.
#[derive(Debug)]
pub(super) enum Assignment {
    Rename { to: Name, from: Name },
    Template { to: Name, template: Template },
}

/// Runs `line_format`: the template writes the new line; a row that it fails on keeps its line and gets an error.
pub(super) fn line(template: &Template, row: &mut Row<'_>, names: &Names) {
    let mut spare = std::mem::take(&mut row.s.spare);
    spare.clear();
    row.s.saved.clear();
    let result = template.run(&mut spare, &View { row, names }, row.line(), row.ts);
    row.s.spare = spare;
    match result {
        Ok(()) => row.take_spare_line(),
        Err(error) => fail(row, &error.to_string()),
    }
}

/// Runs `label_format`. Templates see the labels as they are when the first of them runs; what is assigned after that in the
/// same stage they do not see.
pub(super) fn labels(assignments: &[Assignment], row: &mut Row<'_>, names: &Names) {
    row.s.saved.clear();
    let mut snapshot = false;
    for assignment in assignments {
        match assignment {
            Assignment::Rename { to, from } => {
                let Some(value) = row.span_of(*from) else { continue };
                if snapshot {
                    save(row, *to);
                    save(row, *from);
                }
                row.set(*to, value);
                row.delete(*from);
            }
            Assignment::Template { to, template } => {
                snapshot = true;
                let begin = row.s.values.len();
                let mut out = std::mem::take(&mut row.s.spare);
                out.clear();
                let result = template.run(&mut out, &View { row, names }, row.line(), row.ts);
                row.s.values.extend_from_slice(&out);
                row.s.spare = out;
                match result {
                    Ok(()) if row.s.values.len() > MAX_VALUES_BYTES => {
                        row.s.values.truncate(begin);
                        fail(row, TOO_MANY_BYTES);
                    }
                    Ok(()) => {
                        let value = row.stored_since(begin);
                        save(row, *to);
                        row.set(*to, value);
                    }
                    Err(error) => fail(row, &error.to_string()),
                }
            }
        }
    }
}

/// Remembers the value that templates go on seeing, unless an earlier one is remembered.
fn save(row: &mut Row<'_>, name: Name) {
    if row.s.saved.iter().all(|(n, _)| *n != name) {
        let value = row.span_of(name);
        row.s.saved.push((name, value));
    }
}

fn fail(row: &mut Row<'_>, details: &str) {
    let details = row.store(details.as_bytes());
    row.set_error(TEMPLATE_ERROR, Some(Text::At(details)));
}

/// The labels of a row as a template sees them.
struct View<'v, 'a> {
    row: &'v Row<'a>,
    names: &'v Names,
}

impl View<'_, '_> {
    fn saved(&self, name: Name) -> Option<Option<Span>> {
        self.row.s.saved.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

impl Fields for View<'_, '_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        match name {
            "__error__" if self.row.s.error.is_some() => return Some(self.row.error()),
            "__error_details__" if self.row.s.details.is_some() => {
                return self.row.s.details.map(|d| self.row.text(d));
            }
            _ => {}
        }
        let name = self.names.find(name.as_bytes())?;
        match self.saved(name) {
            Some(value) => value.map(|v| self.row.bytes(v)),
            None => self.row.get(name).map(|(value, _)| value),
        }
    }

    fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&'a str, &'a [u8])) {
        let row = self.row;
        let mut show = |name: Name, value: &'a [u8]| {
            let special = name == ERROR && row.s.error.is_some() || name == ERROR_DETAILS && row.s.details.is_some();
            if name != NO_NAME && !special {
                visitor(std::str::from_utf8(self.names.bytes_of(name)).unwrap_or(""), value);
            }
        };
        for (index, (name, _, _)) in row.stream.entries.iter().enumerate() {
            let hidden = row.s.is_deleted(index) || self.saved(*name).is_some() || row.has_entry(*name);
            if !hidden {
                show(*name, row.stream.value(index));
            }
        }
        for entry in &row.s.entries {
            if self.saved(entry.name).is_none() {
                show(entry.name, row.bytes(entry.value));
            }
        }
        for (name, value) in &row.s.saved {
            if let Some(value) = value {
                show(*name, row.bytes(*value));
            }
        }
        if row.s.error.is_some() {
            visitor("__error__", row.error());
        }
        if let Some(details) = row.s.details {
            visitor("__error_details__", row.text(details));
        }
    }
}
