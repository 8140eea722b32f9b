//! Heads: rows that are acknowledged but not yet in a pack, by WAL generation, tenant and stream.

mod generation;
mod index;
mod piece;
mod stream;
mod tenant;

#[cfg(test)]
mod tests;

pub(crate) use self::{
    generation::Generation,
    piece::{HeadPiece, PIECE_BYTES},
    stream::StreamHead,
    tenant::TenantHead,
};
