//! What a request to delete lines says.

use std::{fmt, str::FromStr};

use narvi_types::{Tenant, TimeRange};

/// The number of a request, drawn when it is made; written as eight hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeleteId(pub(crate) u32);

/// A text that is no number of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the number of a delete request has eight hexadecimal digits")]
#[non_exhaustive]
pub struct DeleteIdError;

impl fmt::Display for DeleteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl FromStr for DeleteId {
    type Err = DeleteIdError;

    fn from_str(text: &str) -> Result<Self, DeleteIdError> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        match u32::from_str_radix(text, 16) {
            Ok(number) if text.len() == 8 && digits => Ok(Self(number)),
            _ => Err(DeleteIdError),
        }
    }
}

/// A request to delete the lines that a query selects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteRequest {
    /// Its number.
    pub id: DeleteId,
    /// Whose lines.
    pub tenant: Tenant,
    /// A selector and stages, as it was given.
    pub query: String,
    /// Only lines of this time; both ends inside.
    pub range: TimeRange,
    /// When it was made, in milliseconds since the epoch.
    pub created_ms: u64,
    /// How far it is.
    pub status: DeleteStatus,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeleteStatus {
    /// Its lines are hidden from queries.
    Received,
    /// Its lines are gone. Lines that came later are not hidden.
    Processed {
        /// Since when, in milliseconds since the epoch.
        at_ms: u64,
    },
}

impl DeleteRequest {
    /// Whether it hides lines.
    pub fn is_pending(&self) -> bool {
        self.status == DeleteStatus::Received
    }

    /// Whether two are the same request, perhaps at different times.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Self { status: other.status, ..self.clone() } == *other
    }

    /// Whether it can no longer be cancelled.
    pub(crate) fn is_due(&self, now_ms: u64, cancel_period_secs: u64) -> bool {
        self.is_pending() && now_ms >= self.created_ms.saturating_add(cancel_period_secs.saturating_mul(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::DeleteId;

    #[test]
    fn numbers_are_eight_digits() {
        assert_eq!(DeleteId(0xab).to_string(), "000000ab");
        assert_eq!("000000ab".parse(), Ok(DeleteId(0xab)));
        for bad in ["", "ab", "000000AB", "+00000ab", "0000000ab", "0000000g"] {
            assert!(bad.parse::<DeleteId>().is_err(), "{bad}");
        }
    }
}
