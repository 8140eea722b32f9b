//! What a command ends with when it fails: one message for a person.

use std::{error::Error, fmt};

/// Why a command failed. Printed once, without a stack.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// What a command gives.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Puts what was done before what went wrong.
    pub(crate) fn of(doing: impl fmt::Display, error: impl fmt::Display) -> Self {
        Self(format!("{doing}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<narvi::Error> for Failure {
    fn from(error: narvi::Error) -> Self {
        // The cause of a query's error has the same text.
        match error.source() {
            Some(cause) if !error.message().contains(&cause.to_string()) => Self(format!("{error}: {cause}")),
            _ => Self(error.to_string()),
        }
    }
}

impl From<narvi_config::ConfigError> for Failure {
    fn from(error: narvi_config::ConfigError) -> Self {
        Self(error.to_string())
    }
}
