//! The four codecs, each bounded by a length that is known before anything is decompressed.

use std::fmt;

/// How a piece of a pack is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Stored as it is.
    None,
    /// Snappy, raw block format.
    Snappy,
    /// LZ4, block format.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// A name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
