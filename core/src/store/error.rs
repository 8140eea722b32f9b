//! The error of a store.

use std::{error, fmt, io, sync::Arc};

/// What kind of trouble a store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// There is no such object.
    NotFound,
    /// The object ends before the range asked for.
    OutOfRange,
    /// A key that no store may hold.
    InvalidKey,
    /// No room.
    Full,
    /// No access.
    Denied,
    /// The store cannot be reached or failed.
    Unavailable,
    /// The store was shut down.
    Closed,
}

/// Why a store failed. Cheap to clone; the message names the object.
#[derive(Clone, Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: Arc<str>,
    source: Option<Arc<dyn error::Error + Send + Sync>>,
}

impl StoreError {
    /// Makes an error without a cause.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// The kind of trouble.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// Wraps an input or output error; `doing` reads like `cannot read /path/file`.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::NotFound => StoreErrorKind::NotFound,
            io::ErrorKind::UnexpectedEof => StoreErrorKind::OutOfRange,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                StoreErrorKind::Full
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => StoreErrorKind::Denied,
            _ => StoreErrorKind::Unavailable,
        };
        Self::new(kind, doing).with_source(source)
    }

    pub(crate) fn not_found(key: &str) -> Self {
        Self::new(StoreErrorKind::NotFound, format!("object {key} does not exist"))
    }

    pub(crate) fn out_of_range(key: &str, end: u64, bytes: u64) -> Self {
        let message = format!("object {key} has {bytes} bytes, which is less than the {end} needed; is it complete?");
        Self::new(StoreErrorKind::OutOfRange, message)
    }

    pub(crate) fn into_source(self) -> Option<Arc<dyn error::Error + Send + Sync>> {
        self.source
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for StoreError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
