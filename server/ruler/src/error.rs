//! What can go wrong with rules and with sending.

use std::path::PathBuf;

/// Why rules cannot be used, kept or evaluated. `Display` is one sentence, where Loki has one in its words.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RulerError {
    /// The body of a request is no group of rules.
    #[error("unable to decoded rule group")]
    Undecodable,
    /// A group breaks a rule about groups.
    #[error("{0}")]
    Invalid(String),
    /// There is no such group.
    #[error("group does not exist")]
    NoGroup,
    /// There is no such namespace.
    #[error("group namespace does not exist")]
    NoNamespace,
    /// Rules lie in files of the operator.
    #[error("rules are read from the files in {} and cannot be changed over the API", .0.display())]
    ReadOnly(PathBuf),
    /// A file of rules cannot be used.
    #[error("{}: {message}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A file or folder cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The object store of the rules cannot be used.
    #[error("rules in the object store: {0}")]
    Store(#[from] narvi::StoreError),
    /// A setting cannot be used.
    #[error("ruler: {0}")]
    Setting(String),
}

impl RulerError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}
