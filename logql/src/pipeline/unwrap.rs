//! `unwrap`: the value of a label becomes the value of the row.

use super::{
    keys::Name,
    label_filter::Filter,
    row::{Row, SAMPLE_ERROR, Text},
    seam,
};
use crate::ast::Conversion;

/// The compiled stage.
#[derive(Debug)]
pub(super) struct Unwrapped {
    pub(super) name: Name,
    pub(super) conversion: Conversion,
    pub(super) post_filters: Vec<Filter>,
}

impl Unwrapped {
    /// The value of a row. `None` drops it: the label is missing or empty, or a filter refuses the row. A value that cannot
    /// be converted is 0 (or the infinity that it overflows to) and marks the row with an error.
    pub(super) fn value(&self, row: &mut Row<'_>) -> Option<f64> {
        let (text, _) = row.get(self.name).filter(|(value, _)| !value.is_empty())?;
        let value = match self.conversion {
            Conversion::None => seam::parse_float_or_limit(text),
            Conversion::Bytes => seam::parse_bytes(text).map(|n| n as f64).map_err(|e| (0.0, e.to_string())),
            Conversion::Duration | Conversion::DurationSeconds => {
                seam::parse_go_duration(text).map(seconds).map_err(|e| (0.0, e.to_string()))
            }
        };
        let value = value.unwrap_or_else(|(value, details)| {
            let details = row.store(details.as_bytes());
            row.set_error(SAMPLE_ERROR, Some(Text::At(details)));
            value
        });
        self.post_filters.iter().all(|filter| filter.keeps(row)).then_some(value)
    }
}

/// Seconds of a duration, with the rounding of Go's `Duration.Seconds`.
fn seconds(ns: i64) -> f64 {
    (ns / 1_000_000_000) as f64 + (ns % 1_000_000_000) as f64 / 1e9
}
