//! Decompression of request bodies, bounded.

use std::io::Read;

use bytes::Bytes;

use super::PushError;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    /// Snappy blocks, not frames.
    Snappy,
    Gzip,
    /// Raw deflate, as Go's `flate` reads it.
    Deflate,
    Zstd,
    /// LZ4 frames.
    Lz4,
}

impl Encoding {
    /// Content-Encoding of Loki's own push.
    pub(crate) fn of_push(header: Option<&str>) -> Result<Self, PushError> {
        Ok(match header.unwrap_or("") {
            "" => Self::Identity,
            "snappy" => Self::Snappy,
            "gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            other => return Err(PushError::bad(format!("Content-Encoding \"{other}\" not supported"))),
        })
    }

    /// Content-Encoding of OTLP.
    pub(crate) fn of_otlp(header: Option<&str>) -> Result<Self, PushError> {
        Ok(match header.unwrap_or("") {
            "" => Self::Identity,
            "gzip" => Self::Gzip,
            "zstd" => Self::Zstd,
            "lz4" => Self::Lz4,
            other => {
                let message = format!("unsupported content encoding {other}: only gzip, lz4 and zstd are supported");
                return Err(PushError::bad(message));
            }
        })
    }
}

/// Decompresses a body.
///
/// # Errors
/// It is damaged, or larger than the limit.
pub(crate) fn unpack(encoding: Encoding, body: Bytes, limit_bytes: usize) -> Result<Bytes, PushError> {
    match encoding {
        Encoding::Identity if body.len() > limit_bytes => Err(PushError::too_large(limit_bytes)),
        Encoding::Identity => Ok(body),
        Encoding::Snappy => unsnap(&body, limit_bytes),
        Encoding::Gzip => {
            if !body.starts_with(&[0x1f, 0x8b]) {
                let message = if body.is_empty() { "EOF" } else { "gzip: invalid header" };
                return Err(PushError::bad(message));
            }
            read(flate2::read::MultiGzDecoder::new(&body[..]), limit_bytes, "gzip")
        }
        Encoding::Deflate => read(flate2::read::DeflateDecoder::new(&body[..]), limit_bytes, "deflate"),
        Encoding::Zstd => {
            let decoder = zstd::stream::read::Decoder::new(&body[..]);
            read(decoder.map_err(|error| PushError::bad(format!("zstd: {error}")))?, limit_bytes, "zstd")
        }
        Encoding::Lz4 => read(lz4_flex::frame::FrameDecoder::new(&body[..]), limit_bytes, "lz4"),
    }
}

fn unsnap(body: &[u8], limit_bytes: usize) -> Result<Bytes, PushError> {
    // The header claims a length: check it before anything of that size is allocated. Snappy cannot compress better than
    // 1 to 64, so a short body with a large claim is damaged.
    let claimed = snap::raw::decompress_len(body).map_err(|_| PushError::bad("snappy: corrupt input"))?;
    if body.is_empty() || claimed / 64 > body.len() {
        return Err(PushError::bad("snappy: corrupt input"));
    }
    if claimed > limit_bytes {
        return Err(PushError::too_large(limit_bytes));
    }
    let bytes = snap::raw::Decoder::new().decompress_vec(body);
    bytes.map(Bytes::from).map_err(|_| PushError::bad("snappy: corrupt input"))
}

fn read(decoder: impl Read, limit_bytes: usize, what: &str) -> Result<Bytes, PushError> {
    let mut out = Vec::new();
    let limit = u64::try_from(limit_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let read = decoder.take(limit).read_to_end(&mut out);
    read.map_err(|error| PushError::bad(format!("{what}: {error}")))?;
    if out.len() > limit_bytes {
        return Err(PushError::too_large(limit_bytes));
    }
    Ok(out.into())
}
