//! The checked cursor that our formats are read with, and its writer. All integers are little-endian or LEB128 varints.

use std::fmt;

/// Reads values off a byte slice; every read is bounds-checked and says where it failed.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Input that ended early or holds an impossible value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WireError {
    /// Offset in the slice that was read.
    pub offset: usize,
    /// What was being read.
    pub what: &'static str,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad or truncated {} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for WireError {}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes not read yet.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Whether all was read.
    pub fn is_empty(&self) -> bool {
        self.remaining() == 0
    }

    /// An error at the current offset.
    pub fn error(&self, what: &'static str) -> WireError {
        WireError { offset: self.at, what }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// Fewer remain.
    pub fn bytes(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], WireError> {
        let end = self.at.checked_add(len).ok_or(WireError { offset: self.at, what })?;
        let out = self.bytes.get(self.at..end).ok_or(WireError { offset: self.at, what })?;
        self.at = end;
        Ok(out)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], WireError> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N, what)?);
        Ok(out)
    }

    /// One byte.
    ///
    /// # Errors
    /// The input ended.
    pub fn u8(&mut self, what: &'static str) -> Result<u8, WireError> {
        self.array::<1>(what).map(|[b]| b)
    }

    /// Two bytes.
    ///
    /// # Errors
    /// The input ended.
    pub fn u16(&mut self, what: &'static str) -> Result<u16, WireError> {
        self.array(what).map(u16::from_le_bytes)
    }

    /// Four bytes.
    ///
    /// # Errors
    /// The input ended.
    pub fn u32(&mut self, what: &'static str) -> Result<u32, WireError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// The input ended.
    pub fn u64(&mut self, what: &'static str) -> Result<u64, WireError> {
        self.array(what).map(u64::from_le_bytes)
    }

    /// Eight bytes, signed.
    ///
    /// # Errors
    /// The input ended.
    pub fn i64(&mut self, what: &'static str) -> Result<i64, WireError> {
        self.array(what).map(i64::from_le_bytes)
    }

    /// A LEB128 varint of at most ten bytes.
    ///
    /// # Errors
    /// The input ended, or the value does not fit 64 bits.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, WireError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(what)?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                break;
            }
            value |= low << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError { offset: start, what })
    }

    /// A zigzag varint.
    ///
    /// # Errors
    /// As [`Reader::varint`].
    pub fn zigzag(&mut self, what: &'static str) -> Result<i64, WireError> {
        let raw = self.varint(what)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A varint that counts things of which each takes at least `min_bytes` of the remaining input, so that a flipped bit
    /// cannot ask for a huge allocation.
    ///
    /// # Errors
    /// The count cannot be true.
    pub fn count(&mut self, min_bytes: usize, what: &'static str) -> Result<usize, WireError> {
        let start = self.at;
        let count = usize::try_from(self.varint(what)?).map_err(|_| WireError { offset: start, what })?;
        if count.checked_mul(min_bytes.max(1)).is_none_or(|need| need > self.remaining()) {
            return Err(WireError { offset: start, what });
        }
        Ok(count)
    }

    /// A varint length and that many bytes.
    ///
    /// # Errors
    /// The input ended.
    pub fn blob(&mut self, what: &'static str) -> Result<&'a [u8], WireError> {
        let len = self.count(1, what)?;
        self.bytes(len, what)
    }

    /// A varint length and that many bytes of UTF-8.
    ///
    /// # Errors
    /// The input ended or is not UTF-8.
    pub fn str(&mut self, what: &'static str) -> Result<&'a str, WireError> {
        let offset = self.at;
        std::str::from_utf8(self.blob(what)?).map_err(|_| WireError { offset, what })
    }
}

/// Appends values to a buffer; the mirror of [`Reader`].
pub trait Writer {
    /// Appends raw bytes.
    fn put(&mut self, bytes: &[u8]);

    /// Appends one byte.
    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    /// Appends two bytes.
    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    /// Appends four bytes.
    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    /// Appends eight bytes.
    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    /// Appends eight bytes, signed.
    fn put_i64(&mut self, value: i64) {
        self.put(&value.to_le_bytes());
    }

    /// Appends a LEB128 varint.
    fn put_varint(&mut self, mut value: u64) {
        let mut out = [0; 10];
        let mut len = 0;
        while value >= 0x80 {
            out[len] = value as u8 | 0x80;
            value >>= 7;
            len += 1;
        }
        out[len] = value as u8;
        self.put(&out[..=len]);
    }

    /// Appends a zigzag varint.
    fn put_zigzag(&mut self, value: i64) {
        self.put_varint((value << 1 ^ value >> 63) as u64);
    }

    /// Appends a varint length and the bytes.
    fn put_blob(&mut self, bytes: &[u8]) {
        self.put_varint(bytes.len() as u64);
        self.put(bytes);
    }

    /// Appends a varint length and the text.
    fn put_str(&mut self, text: &str) {
        self.put_blob(text.as_bytes());
    }
}

impl Writer for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, Writer};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn integers_round_trip(a: u64, b: i64, c: i64, text in ".{0,50}") {
            let mut out = Vec::new();
            out.put_varint(a);
            out.put_zigzag(b);
            out.put_i64(c);
            out.put_str(&text);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint("a")?, a);
            prop_assert_eq!(reader.zigzag("b")?, b);
            prop_assert_eq!(reader.i64("c")?, c);
            prop_assert_eq!(reader.str("text")?, text);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.varint("x").is_ok() {}
            let mut reader = Reader::new(&bytes);
            while reader.blob("x").is_ok_and(|b| !b.is_empty()) {}
        }
    }

    #[test]
    fn counts_are_bounded_by_the_input() {
        let mut out = Vec::new();
        out.put_varint(u64::MAX);
        assert!(Reader::new(&out).count(1, "rows").is_err());
        let eleven = [0xff; 11];
        assert!(Reader::new(&eleven).varint("x").is_err());
    }
}
