//! Why a merge ends early.

use std::{error::Error as _, io};

use narvi_chunk::ChunkError;

use crate::{Error, ErrorKind};

/// Why a merge ends early. Nothing was committed.
#[derive(Debug)]
pub(super) enum Stop {
    /// A table, or a pack that it refers to, is damaged or missing. It must be left as it is: what can be read of it is
    /// still answered, and what cannot may be restored.
    Damaged {
        /// Key of the table.
        table: String,
        /// What is wrong, and where.
        message: String,
    },
    /// Anything else: trying again may help.
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Stop {
    pub(super) fn damaged(table: &str, message: impl ToString) -> Self {
        Self::Damaged { table: table.to_owned(), message: message.to_string() }
    }

    /// An error of opening a file of `table`.
    pub(super) fn opening(table: &str, error: Error) -> Self {
        let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        if error.kind() == ErrorKind::Corrupt || io.is_some_and(is_damage) {
            return Self::damaged(table, error);
        }
        Self::Failed(error)
    }

    /// An error of reading a pack of `table`.
    pub(super) fn reading(table: &str, pack: &str, error: ChunkError) -> Self {
        match error {
            ChunkError::Io { ref source, .. } if !is_damage(source) => {
                let error =
                    Error::new(ErrorKind::Unavailable, format!("cannot read {pack}: {error}")).with_source(error);
                Self::Failed(error)
            }
            error => Self::damaged(table, format!("{pack} is damaged: {error}")),
        }
    }
}

/// Whether bytes that should be there are not.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
}
