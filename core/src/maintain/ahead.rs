//! Reads one pack from its start to its end in a few large requests.

use std::{io, sync::Arc};

use bytes::Bytes;
use narvi_chunk::ReadAt;
use parking_lot::Mutex;

use crate::read::PackInput;

/// The least that is read ahead.
const FIRST_BYTES: usize = 256 << 10;

/// A pack whose frames are read in their order: of a store where each read is a round trip, more is fetched than is asked for,
/// and the more so the longer the order is kept. Holds up to `most` bytes.
#[derive(Debug)]
pub(super) struct Ahead {
    input: Arc<PackInput>,
    most: usize,
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Bytes,
    /// How much was fetched in advance the last time.
    ahead: usize,
}

impl Window {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn get(&self, offset: u64, len: usize) -> Option<Bytes> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let end = at.checked_add(len).filter(|end| *end <= self.bytes.len())?;
        Some(self.bytes.slice(at..end))
    }
}

impl Ahead {
    /// Reads a pack; `most` is 0 for no more than is asked for.
    pub(super) fn new(input: Arc<PackInput>, most: usize) -> Self {
        let most = if input.is_remote() { most } else { 0 };
        Self { input, most, window: Mutex::default() }
    }
}

impl ReadAt for Ahead {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        if len >= self.most {
            return self.input.read_at(offset, len);
        }
        let mut window = self.window.lock();
        if let Some(bytes) = window.get(offset, len) {
            return Ok(bytes);
        }
        // Frames of other tenants or without a living row are passed over.
        let follows = (window.start..=window.end() + self.most as u64).contains(&offset);
        let ahead = if follows { (window.ahead * 2).max(FIRST_BYTES).min(self.most) } else { 0 };
        let wanted = offset.saturating_add(len as u64);
        let end = offset.saturating_add(ahead as u64).min(self.input.size()).max(wanted);
        // Before the next is fetched the last is let go.
        *window = Window::default();
        let bytes = self.input.read_at(offset, usize::try_from(end - offset).unwrap_or(len))?;
        *window = Window { start: offset, bytes, ahead };
        window.get(offset, len).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn size(&self) -> u64 {
        self.input.size()
    }
}
