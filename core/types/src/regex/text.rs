//! Bytes as Go reads them: every byte that is not part of valid UTF-8 is one U+FFFD.
//!
//! The engine only knows valid UTF-8. A haystack with invalid bytes is rewritten with U+FFFD in their place, and the
//! spans found there are mapped back. (A class that also took any byte from 0x80 up, the usual trick, would be wrong on
//! valid text: `^..$` would match the two bytes of one letter.)

use std::borrow::Cow;

/// A haystack the engine can search, and the way back to the offsets of the original.
#[derive(Clone, Debug)]
pub(super) struct Text<'h> {
    bytes: Cow<'h, [u8]>,
    /// Offsets in `bytes` where three bytes stand for one, ascending.
    replaced: Vec<usize>,
}

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();
/// How many bytes longer a replacement is than the byte it stands for.
const GROWTH: usize = REPLACEMENT.len() - 1;

impl<'h> Text<'h> {
    /// Takes bytes that the engine may search as they are.
    pub(super) fn verbatim(bytes: &'h [u8]) -> Self {
        Self { bytes: Cow::Borrowed(bytes), replaced: Vec::new() }
    }

    /// Replaces invalid bytes. Copies only if there are any.
    pub(super) fn decode(bytes: &'h [u8]) -> Self {
        let (mut decoded, mut replaced) = (Vec::new(), Vec::new());
        for chunk in bytes.utf8_chunks() {
            if chunk.valid().len() == bytes.len() {
                return Self::verbatim(bytes);
            }
            decoded.extend_from_slice(chunk.valid().as_bytes());
            // An invalid sequence of several bytes is as many invalid bytes to Go.
            for _ in chunk.invalid() {
                replaced.push(decoded.len());
                decoded.extend_from_slice(REPLACEMENT);
            }
        }
        Self { bytes: Cow::Owned(decoded), replaced }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The original offset of an offset in `bytes`.
    pub(super) fn original(&self, offset: usize) -> usize {
        offset - GROWTH * self.replaced.partition_point(|&start| start < offset)
    }

    /// The length of the character at `offset`; 1 at the end.
    pub(super) fn char_len(&self, offset: usize) -> usize {
        let rest = self.bytes.get(offset + 1..).unwrap_or_default();
        1 + rest.iter().take_while(|byte| (0x80..0xC0).contains(*byte)).count()
    }
}
