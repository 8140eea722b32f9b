//! Heads: rows that are acknowledged but not yet in a pack, by WAL generation, tenant and stream.

mod generation;
mod index;
mod piece;
mod stream;
mod tenant;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use narvi_types::{Matcher, Tenant, TimeRange};

pub(crate) use self::{
    generation::Generation,
    piece::{HeadPiece, PIECE_BYTES},
    stream::StreamHead,
    tenant::TenantHead,
};

/// The names of labels of a tenant's streams that may have rows in the range, over several generations: all streams, or those
/// that pass the matchers.
pub(crate) fn label_names(
    generations: &[Arc<Generation>],
    tenant: &Tenant,
    matchers: &[Matcher],
    range: &TimeRange,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for heads in generations.iter().filter_map(|generation| generation.tenant(tenant)) {
        heads.label_names(matchers, range, &mut names);
    }
    names
}

/// The values of a label of those streams.
pub(crate) fn label_values(
    generations: &[Arc<Generation>],
    tenant: &Tenant,
    name: &str,
    matchers: &[Matcher],
    range: &TimeRange,
) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for heads in generations.iter().filter_map(|generation| generation.tenant(tenant)) {
        heads.label_values(name, matchers, range, &mut values);
    }
    values
}
