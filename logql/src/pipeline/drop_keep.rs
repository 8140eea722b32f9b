//! `| drop` and `| keep`.

use std::borrow::Cow;

use narvi_types::Matcher;

use super::{
    keys::{ERROR, ERROR_DETAILS, NO_NAME, Name, PRESERVE_ERROR},
    row::Row,
};

/// A name, with a condition on its value or without.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: Name,
    pub(super) matcher: Option<Matcher>,
}

impl Item {
    fn matches(&self, value: &[u8]) -> bool {
        self.matcher.as_ref().is_none_or(|m| m.matches(&text(value)))
    }
}

fn text(value: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(value)
}

/// Removes the labels that an item names. The error goes with `__error__`, its details with `__error_details__`.
pub(super) fn drop(items: &[Item], row: &mut Row<'_>) {
    for item in items {
        match item.name {
            ERROR if row.s.error.is_some() => {
                if item.matches(row.error()) {
                    row.s.error = None;
                }
                continue;
            }
            ERROR_DETAILS if row.s.details.is_some() => {
                if row.s.details.is_some_and(|d| item.matches(row.text(d))) {
                    row.s.details = None;
                }
                continue;
            }
            _ => {}
        }
        if row.get(item.name).is_some_and(|(value, _)| item.matches(value)) {
            row.delete(item.name);
        }
    }
}

/// Removes all labels that no item names; those of errors stay.
pub(super) fn keep(items: &[Item], row: &mut Row<'_>) {
    let stays = |name: Name, value: &[u8]| {
        matches!(name, ERROR | ERROR_DETAILS | PRESERVE_ERROR | NO_NAME)
            || items.iter().any(|item| item.name == name && item.matches(value))
    };
    for index in 0..row.stream.entries.len() {
        let name = row.stream.entries[index].0;
        if !stays(name, row.stream.value(index)) {
            row.s.delete_stream(index, row.stream.entries.len());
        }
    }
    for index in 0..row.s.entries.len() {
        let entry = row.s.entries[index];
        if !stays(entry.name, row.bytes(entry.value)) {
            row.delete_entry(index);
        }
    }
}
