//! The error of the facade: a kind to act on, a message to read, and what caused it.

use std::{error, fmt, io, sync::Arc};

use crate::store::{StoreError, StoreErrorKind};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// What was passed in cannot be accepted; trying again is of no use.
    Invalid,
    /// The query has an error, or asks for more than its limits allow.
    Query,
    /// Too much waits to be flushed; try again later.
    Busy,
    /// The disk is full or the quota used up; works again once there is room.
    Full,
    /// Another process has the data directory open.
    Locked,
    /// The file system or the store denies access.
    Denied,
    /// Stored data is damaged; the message names the file.
    Corrupt,
    /// The store cannot be reached, or failed; trying again may help.
    Unavailable,
    /// The database was closed, or what was asked for is switched off.
    Closed,
    /// Data may not have reached the disk; open the database again to go on.
    Poisoned,
}

/// Why an operation failed. Cheap to clone. The message says what failed, where, and what to do.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Arc<str>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// Makes an error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message, without the cause.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Wraps an input or output error; `doing` reads like `cannot write /path/file`.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::Denied,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, doing).with_source(source)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::Full => ErrorKind::Full,
            StoreErrorKind::Denied => ErrorKind::Denied,
            StoreErrorKind::Closed => ErrorKind::Closed,
            StoreErrorKind::InvalidKey => ErrorKind::Invalid,
            StoreErrorKind::NotFound | StoreErrorKind::OutOfRange => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        Self { kind, message: error.to_string().into(), source: error.into_source() }
    }
}

impl From<narvi_logql::BudgetError> for Error {
    fn from(error: narvi_logql::BudgetError) -> Self {
        Self::new(ErrorKind::Query, error.to_string()).with_source(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        match &self.source {
            Some(source) => write!(f, ": {source}"),
            None => Ok(()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
