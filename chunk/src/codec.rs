//! The four codecs, each bounded by a length that is known before anything is decompressed.

use std::{cell::RefCell, fmt, io};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::CParameter,
};

use crate::{ChunkError, Compression, Result};

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

    /// The number in the file.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Snappy => 1,
            Self::Lz4 => 2,
            Self::Zstd => 3,
        }
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::None, Self::Snappy, Self::Lz4, Self::Zstd].into_iter().find(|c| c.number() == number)
    }

    /// Whether `len` stored bytes can be `raw_len` bytes at all: what each format can do at its best, so that a short
    /// input that claims a huge output is refused before anything is allocated for it.
    fn can_expand(self, len: usize, raw_len: usize) -> bool {
        let times = match self {
            Self::None => return len == raw_len,
            Self::Snappy => 32,
            Self::Lz4 => 256,
            Self::Zstd => 1 << 16,
        };
        raw_len <= len.saturating_mul(times)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Appends `raw` to `out`, compressed if that makes it smaller, and tells how it is stored.
pub(crate) fn compress(compression: Compression, what: &'static str, raw: &[u8], out: &mut Vec<u8>) -> Result<Codec> {
    let codec = compression.codec();
    let failed = |source| ChunkError::Compress { what, codec: codec.name(), source };
    let stored = match compression {
        // No codec can gain on so few bytes.
        _ if raw.len() < 8 => None,
        Compression::None => None,
        Compression::Snappy => Some(snap::raw::Encoder::new().compress_vec(raw).map_err(|e| failed(e.into()))?),
        Compression::Lz4 => Some(lz4_flex::block::compress(raw)),
        Compression::Zstd(level) => Some(zstd_compress(level, raw).map_err(failed)?),
    };
    match stored.filter(|stored| stored.len() < raw.len()) {
        Some(stored) => {
            out.extend_from_slice(&stored);
            Ok(codec)
        }
        None => {
            out.extend_from_slice(raw);
            Ok(Codec::None)
        }
    }
}

/// Decompresses to exactly `raw_len` bytes, which the caller has compared with its limits; tells what is wrong if it
/// cannot.
pub(crate) fn decompress(codec: Codec, stored: &[u8], raw_len: usize) -> std::result::Result<Vec<u8>, String> {
    if !codec.can_expand(stored.len(), raw_len) {
        return Err(format!("{} bytes of {codec} cannot hold {raw_len} bytes", stored.len()));
    }
    let out = match codec {
        Codec::None => stored.to_vec(),
        Codec::Snappy => {
            // The header's own claim is compared first: the decoder would trust it.
            if snap::raw::decompress_len(stored).map_err(|e| e.to_string())? != raw_len {
                return Err("snappy length differs from the directory's".into());
            }
            let mut out = vec![0; raw_len];
            let len = snap::raw::Decoder::new().decompress(stored, &mut out).map_err(|e| e.to_string())?;
            out.truncate(len);
            out
        }
        Codec::Lz4 => {
            let mut out = vec![0; raw_len];
            let len = lz4_flex::block::decompress_into(stored, &mut out).map_err(|e| e.to_string())?;
            out.truncate(len);
            out
        }
        Codec::Zstd => zstd_decompress(stored, raw_len).map_err(|e| e.to_string())?,
    };
    if out.len() == raw_len { Ok(out) } else { Err(format!("{} bytes where {raw_len} were announced", out.len())) }
}

// Contexts are large and slow to make, frames may be tiny: each thread keeps one of each kind. After an error a context
// is thrown away.
thread_local! {
    static COMPRESSOR: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

fn zstd_compress(level: i32, raw: &[u8]) -> io::Result<Vec<u8>> {
    COMPRESSOR.with_borrow_mut(|kept| {
        let (_, mut context) = match kept.take() {
            Some((of, context)) if of == level => (of, context),
            _ => {
                let mut context = Compressor::new(level)?;
                // The directory has the length and a checksum follows the column: eight bytes less for each.
                context.set_parameter(CParameter::ContentSizeFlag(false))?;
                context.set_parameter(CParameter::ChecksumFlag(false))?;
                (level, context)
            }
        };
        let out = context.compress(raw)?;
        *kept = Some((level, context));
        Ok(out)
    })
}

fn zstd_decompress(stored: &[u8], raw_len: usize) -> io::Result<Vec<u8>> {
    DECOMPRESSOR.with_borrow_mut(|kept| {
        let mut context = match kept.take() {
            Some(context) => context,
            None => Decompressor::new()?,
        };
        let mut out = Vec::with_capacity(raw_len);
        context.decompress_to_buffer(stored, &mut out)?;
        *kept = Some(context);
        Ok(out)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Codec, compress, decompress};
    use crate::Compression;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd(1), Compression::Zstd(-3)];

    proptest! {
        #[test]
        fn what_goes_in_comes_out(seed: Vec<u8>, repeat in 1..20_usize) {
            let raw = seed.repeat(repeat);
            for compression in ALL {
                let mut out = Vec::new();
                let codec = compress(compression, "test", &raw, &mut out)?;
                prop_assert!(out.len() <= raw.len());
                prop_assert_eq!(decompress(codec, &out, raw.len()), Ok(raw.clone()));
                if codec != Codec::None {
                    prop_assert!(decompress(codec, &out, raw.len() + 1).is_err());
                    prop_assert!(decompress(codec, &out, raw.len() - 1).is_err());
                }
            }
        }

        #[test]
        fn random_bytes_do_no_harm(stored: Vec<u8>, raw_len in 0..10_000_usize) {
            for number in 0..4 {
                let codec = Codec::from_number(number).expect("known");
                if let Ok(raw) = decompress(codec, &stored, raw_len) {
                    prop_assert_eq!(raw.len(), raw_len);
                }
            }
        }
    }

    #[test]
    fn a_short_input_cannot_ask_for_a_huge_output() {
        for number in 0..4 {
            assert!(decompress(Codec::from_number(number).expect("known"), &[0; 16], 1 << 40).is_err());
        }
        assert_eq!(Codec::from_number(4), None);
    }
}
