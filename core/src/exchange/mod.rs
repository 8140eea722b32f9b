//! Rows that are not in files yet, between processes: what a process that writes gives to one that only reads, and what it is
//! sent to write ([`encode_push`]).
//!
//! A reader in another process ([`Reader`](crate::Reader)) sees the files of a shared store by itself. Of the rest it asks each
//! writer, which answers with [`Heads`]: the rows of its generations, and the number of the manifest that it had when it
//! answered. The reader takes a manifest at least as new and leaves out the generations which that one covers, so that it
//! sees each row exactly once, whatever is flushed meanwhile. Rows that several writers hold are equal rows of one stream,
//! and answered once like any others.
//!
//! An answer is a sequence of frames, so that neither side holds all of it as bytes:
//!
//! ```text
//! frame    := u8 version (1)  u8 kind  body
//! head     := u64 writer  varint manifest                                kind 0, the first frame
//! rows     := varint generation  payload of a WAL record (FORMAT.md)     kind 1; defines every stream it names
//! summary  := varint generation  stream*                                 kind 2
//! stream   := varint pairs (str name  str value)*  i64 first  i64 last  varint rows  varint line bytes
//! end      :=                                                            kind 3, the last frame
//! ```

mod export;
mod import;
mod push;
mod request;

#[cfg(test)]
mod tests;

pub(crate) use self::import::import;
pub use self::{
    export::{Heads, HeadsDetail},
    import::RemoteHeads,
    push::{decode_push, encode_push},
    request::HeadsRequest,
};

const VERSION: u8 = 1;
const KIND_HEAD: u8 = 0;
const KIND_ROWS: u8 = 1;
const KIND_SUMMARY: u8 = 2;
const KIND_END: u8 = 3;

/// Bytes after which a frame is given out; a single larger line makes a larger frame.
const FRAME_BYTES: usize = 1 << 20;
