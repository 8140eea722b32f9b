//! The read side: from matchers and a time range to batches of rows, over heads, index tables and packs.

mod catalog;
mod dead;
mod executor;
mod frame_part;
mod head_part;
mod look_ups;
mod meta;
mod packs;
mod rows;
mod source;
mod table_folder;
mod tables;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    catalog::{Catalog, Finder, FoundBlock, FoundBlocks, StoreCatalog, index_error},
    executor::Threads,
    look_ups::Watch,
    meta::LabelScan,
    packs::{PackInput, Packs},
    source::{TenantSource, frame_part},
    table_folder::TableFolder,
    tables::Tables,
};
pub use self::{
    look_ups::{IndexStats, LookUps},
    meta::StreamStats,
};

use narvi_chunk::ChunkError;
use narvi_logql::{BudgetError, SourceError};

use crate::{Error, ErrorKind};

/// A damaged or unreadable pack as a source reports it; the query goes on without what is damaged.
pub(crate) fn chunk_error(key: &str, error: &ChunkError) -> SourceError {
    match error {
        ChunkError::Io { .. } => SourceError::Unavailable(format!("cannot read {key}: {error}{}", cause(error))),
        error => SourceError::Corrupt(format!("{key} is damaged: {error}")),
    }
}

/// The facade's error as a source reports it.
pub(crate) fn source_error(error: &Error) -> SourceError {
    let source = std::error::Error::source(error);
    if let Some(budget) = source.and_then(|cause| cause.downcast_ref::<BudgetError>()) {
        return SourceError::Budget(*budget);
    }
    match error.kind() {
        ErrorKind::Corrupt => SourceError::Corrupt(error.to_string()),
        _ => SourceError::Unavailable(format!("{error}{}", cause(error))),
    }
}

/// What an error does not say itself, each cause behind a colon.
fn cause(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.map(|cause| format!(": {cause}")).collect()
}
