//! Sorted strings that are read in place: the text, then a table of where each ends.

use crate::{Result, format::Section};

/// Strings that lie in a section as
///
/// ```text
/// | text of all strings, one after the other | end of each in the text, u32 |
/// ```
#[derive(Clone, Copy, Debug)]
pub(crate) struct Strings<'a> {
    section: &'a Section,
    text: usize,
    ends: usize,
    count: usize,
}

impl<'a> Strings<'a> {
    /// The `count` strings that fill `len` bytes of the section from byte `start`.
    pub(crate) fn new(section: &'a Section, start: usize, len: usize, count: usize) -> Result<Self> {
        section.slice(start, len, "string table")?;
        let table = count.checked_mul(4).filter(|t| *t <= len);
        let table = table.ok_or_else(|| section.corrupt(start, "string count"))?;
        Ok(Self { section, text: start, ends: start + len - table, count })
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The bytes of a string, which the caller has checked to exist.
    pub(crate) fn bytes(&self, index: usize) -> Result<&'a [u8]> {
        if index >= self.count {
            return Err(self.section.corrupt(self.text, "string number"));
        }
        let start = match index.checked_sub(1) {
            Some(before) => self.section.u32_at(self.ends, before, "string end")?,
            None => 0,
        };
        let end = self.section.u32_at(self.ends, index, "string end")?;
        self.cut(start, end)
    }

    pub(crate) fn get(&self, index: usize) -> Result<&'a str> {
        self.text(self.bytes(index)?)
    }

    /// Checks that bytes of this table are text.
    pub(crate) fn text(&self, bytes: &'a [u8]) -> Result<&'a str> {
        std::str::from_utf8(bytes).map_err(|_| self.section.corrupt(self.text, "text"))
    }

    /// Where the string is, or where it would be.
    pub(crate) fn find(&self, needle: &[u8]) -> Result<Result<usize, usize>> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.bytes(middle)?.cmp(needle) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Ok(Ok(middle)),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(Err(low))
    }

    /// The first place from `start` on whose string fails the condition, which holds up to there and not after.
    pub(crate) fn partition_point(&self, start: usize, holds: impl Fn(&[u8]) -> bool) -> Result<usize> {
        let (mut low, mut high) = (start, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(self.bytes(middle)?) { low = middle + 1 } else { high = middle }
        }
        Ok(low)
    }

    /// The bytes of the strings in that range, in order.
    pub(crate) fn iter(&self, range: std::ops::Range<usize>) -> impl Iterator<Item = Result<&'a [u8]>> + use<'a> {
        let this = *self;
        let mut start = None;
        range.map(move |index| {
            let begin = match start {
                Some(begin) => begin,
                None if index == 0 => 0,
                None => this.section.u32_at(this.ends, index - 1, "string end")?,
            };
            let end = this.section.u32_at(this.ends, index, "string end")?;
            start = Some(end);
            this.cut(begin, end)
        })
    }

    fn cut(&self, start: u32, end: u32) -> Result<&'a [u8]> {
        let text_len = self.ends - self.text;
        if start > end || end as usize > text_len {
            return Err(self.section.corrupt(self.ends, "string end"));
        }
        self.section.slice(self.text + start as usize, (end - start) as usize, "string")
    }
}
