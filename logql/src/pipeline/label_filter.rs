//! Label filters: `| level="error" and size > 1KB`.

use std::cmp::Ordering;

use super::{
    keys::Name,
    row::{FILTER_ERROR, Row, Text},
    seam::{self, IpPattern},
    string_match::StringMatch,
};
use crate::{
    Error,
    ast::{CompareOp, LabelFilter},
};

/// A compiled label filter.
#[derive(Debug)]
pub(super) enum Filter {
    String(Name, StringMatch),
    Number(Name, CompareOp, f64),
    Duration(Name, CompareOp, i64),
    Bytes(Name, CompareOp, u64),
    Ip { name: Name, negated: bool, pattern: IpPattern },
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

impl Filter {
    /// Compiles a filter; `name` gives names their numbers.
    ///
    /// # Errors
    /// A regular expression or address pattern that Loki refuses.
    pub(super) fn new(filter: &LabelFilter, name: &mut dyn FnMut(&str) -> Name) -> Result<Self, Error> {
        Ok(match filter {
            LabelFilter::String(matcher) => {
                let test = StringMatch::new(matcher).map_err(|e| seam::refused(e.to_string()))?;
                Self::String(name(matcher.name()), test)
            }
            LabelFilter::Number(c) => Self::Number(name(&c.name), c.op, c.value),
            LabelFilter::Duration(c) => Self::Duration(name(&c.name), c.op, c.value),
            LabelFilter::Bytes(c) => Self::Bytes(name(&c.name), c.op, rounded(c.value)),
            LabelFilter::Ip { name: label, negated, pattern } => {
                let pattern = IpPattern::parse(pattern).map_err(|e| seam::refused(e.to_string()))?;
                Self::Ip { name: name(label), negated: *negated, pattern }
            }
            LabelFilter::And(left, right, _) => {
                Self::And(Box::new(Self::new(left, name)?), Box::new(Self::new(right, name)?))
            }
            LabelFilter::Or(left, right) => {
                Self::Or(Box::new(Self::new(left, name)?), Box::new(Self::new(right, name)?))
            }
        })
    }

    /// The label of a filter on one label.
    pub(super) fn single(&self) -> Option<Name> {
        match self {
            Self::String(name, _)
            | Self::Number(name, ..)
            | Self::Duration(name, ..)
            | Self::Bytes(name, ..)
            | Self::Ip { name, .. } => Some(*name),
            Self::And(..) | Self::Or(..) => None,
        }
    }

    /// Whether the row passes. A value that cannot be converted passes and marks the row with an error, unless it has one.
    pub(super) fn keeps(&self, row: &mut Row<'_>) -> bool {
        match self {
            Self::String(name, test) => test.matches(row.get_or_error(*name).unwrap_or(&[])),
            Self::Number(name, op, wanted) => {
                let Some((value, _)) = row.get(*name) else { return false };
                match seam::parse_float(value) {
                    Ok(value) => compare_floats(*op, value, *wanted),
                    Err(details) => fail(row, &details),
                }
            }
            Self::Duration(name, op, wanted) => {
                let Some((value, _)) = row.get(*name) else { return false };
                match seam::parse_go_duration(value) {
                    Ok(value) => compare(*op, value.cmp(wanted)),
                    Err(details) => fail(row, &details.to_string()),
                }
            }
            Self::Bytes(name, op, wanted) => {
                let Some((value, _)) = row.get(*name) else { return false };
                match seam::parse_bytes(value) {
                    Ok(value) => compare(*op, value.cmp(wanted)),
                    Err(details) => fail(row, &details.to_string()),
                }
            }
            Self::Ip { name, negated, pattern } => {
                if row.s.error.is_some() {
                    return true;
                }
                row.get(*name).is_some_and(|(value, _)| pattern.is_match(value) != *negated)
            }
            Self::And(left, right) => left.keeps(row) && right.keeps(row),
            // Both sides run, since either may mark the row.
            Self::Or(left, right) => left.keeps(row) || right.keeps(row),
        }
    }
}

/// The size that is compared with: Loki's frontend prints a query anew before it is run, and its sizes with two digits, so
/// that `> 60KiB` becomes `> 61kB`.
fn rounded(size: u64) -> u64 {
    let mut text = String::new();
    seam::write_bytes_si(&mut text, size);
    seam::parse_bytes(text.as_bytes()).unwrap_or(size)
}

/// Marks the row unless it is marked already; such a row is kept.
fn fail(row: &mut Row<'_>, details: &str) -> bool {
    if row.s.error.is_none() {
        let details = row.store(details.as_bytes());
        row.set_error(FILTER_ERROR, Some(Text::At(details)));
    }
    true
}

fn compare(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
    }
}

#[expect(clippy::float_cmp, reason = "LogQL compares floats exactly")]
fn compare_floats(op: CompareOp, a: f64, b: f64) -> bool {
    match op {
        CompareOp::Equal => a == b,
        CompareOp::NotEqual => a != b,
        CompareOp::Greater => a > b,
        CompareOp::GreaterOrEqual => a >= b,
        CompareOp::Less => a < b,
        CompareOp::LessOrEqual => a <= b,
    }
}
