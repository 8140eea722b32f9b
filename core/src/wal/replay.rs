//! Reads a segment back: every record that is whole, whatever lies between them.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use bytes::Bytes;
use narvi_types::Tenant;

use super::{
    record::{self, RECORD_HEAD_BYTES, RECORD_MAGIC, RecordHead, StreamRows},
    segment::{FORMAT_VERSION, OLDEST_READABLE_VERSION, SEGMENT_HEAD_BYTES, SegmentHead, salt},
};
use crate::{Error, ErrorKind, Result, manifest::WriterId};

/// What a segment gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replayed {
    /// Records read.
    pub(crate) records: u64,
    /// Damage found; one sentence each. Empty for a torn tail.
    pub(crate) damage: Vec<String>,
    /// Bytes behind the last whole record: a record that was being written when the process or the power went, never
    /// acknowledged.
    pub(crate) torn_bytes: u64,
}

/// Hands every whole record of a segment to `apply`, in order. Damaged stretches are skipped and reported.
///
/// # Errors
/// The file cannot be read, or is of a version this build does not know.
pub(crate) fn replay(
    path: &Path,
    writer: WriterId,
    generation: u64,
    apply: &mut dyn FnMut(Tenant, Vec<StreamRows>),
) -> Result<Replayed> {
    let failed = |e| Error::io(format!("cannot read write-ahead log {}", path.display()), e);
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    replay_from(file, bytes, path, salt(writer, generation), apply)
}

/// As [`replay`], from any input of so many bytes. `salt_by_name` is used when the head of the segment is damaged.
pub(super) fn replay_from(
    input: impl Read + Seek,
    bytes: u64,
    path: &Path,
    salt_by_name: u64,
    apply: &mut dyn FnMut(Tenant, Vec<StreamRows>),
) -> Result<Replayed> {
    let failed = |e| Error::io(format!("cannot read write-ahead log {}", path.display()), e);
    let mut scan = Scan { input: BufReader::with_capacity(256 << 10, input), bytes, salt: salt_by_name, at: 0 };
    let mut out = Replayed::default();
    match scan.segment_head().map_err(failed)? {
        Some(head) if !(OLDEST_READABLE_VERSION..=FORMAT_VERSION).contains(&head.version) => {
            let text = format!(
                "write-ahead log {} has format version {}, this build reads {OLDEST_READABLE_VERSION} to \
                 {FORMAT_VERSION}; open the database with the release that wrote it and flush it there",
                path.display(),
                head.version
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Some(head) => scan.salt = salt(head.writer, head.generation),
        None if bytes <= SEGMENT_HEAD_BYTES as u64 => {
            out.torn_bytes = bytes;
            return Ok(out);
        }
        None => out.damage.push(format!("the head of write-ahead log {} is damaged", path.display())),
    }
    scan.records(path, &mut out, apply).map_err(failed)?;
    Ok(out)
}

struct Scan<R> {
    input: BufReader<R>,
    bytes: u64,
    salt: u64,
    /// Where the input stands.
    at: u64,
}

impl<R: Read + Seek> Scan<R> {
    fn segment_head(&mut self) -> std::io::Result<Option<SegmentHead>> {
        let mut head = [0; SEGMENT_HEAD_BYTES];
        if self.bytes < head.len() as u64 {
            return Ok(None);
        }
        self.read(&mut head)?;
        Ok(SegmentHead::decode(&head))
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<()> {
        self.input.read_exact(buffer)?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    fn seek(&mut self, to: u64) -> std::io::Result<()> {
        let by = i64::try_from(to).unwrap_or(i64::MAX) - i64::try_from(self.at).unwrap_or(i64::MAX);
        self.input.seek_relative(by)?;
        self.at = to;
        Ok(())
    }

    fn records(
        &mut self,
        path: &Path,
        out: &mut Replayed,
        apply: &mut dyn FnMut(Tenant, Vec<StreamRows>),
    ) -> std::io::Result<()> {
        let mut expected = 0u32;
        // A record with a whole head but not its payload, and where it begins. It is torn if nothing follows it.
        let mut unclear: Option<(u64, String)> = None;
        loop {
            let start = self.at;
            let next = self.next_head()?.filter(|(head, _)| u64::from(head.len) <= self.bytes - self.at);
            let Some((head, skipped)) = next else {
                out.torn_bytes = self.bytes - unclear.map_or(start, |(begin, _)| begin);
                return Ok(());
            };
            let at = self.at - RECORD_HEAD_BYTES as u64;
            out.damage.extend(unclear.take().map(|(_, text)| text));
            if skipped > 0 || head.sequence != expected {
                let lost = head.sequence.saturating_sub(expected);
                let text = format!(
                    "write-ahead log {} is damaged from byte {start} on, for {skipped} bytes: {lost} records are lost",
                    path.display()
                );
                out.damage.push(text);
            }
            expected = head.sequence.wrapping_add(1);
            let mut payload = vec![0; head.len as usize];
            self.read(&mut payload)?;
            let lost = |why| format!("a record of write-ahead log {} at byte {at} is lost: {why}", path.display());
            if crc32fast::hash(&payload) != head.payload_crc {
                unclear = Some((at, lost("checksum mismatch".to_owned())));
                continue;
            }
            match record::decode(&Bytes::from(payload)) {
                Ok((tenant, streams)) => {
                    out.records += 1;
                    apply(tenant, streams);
                }
                Err(error) => out.damage.push(lost(error.to_string())),
            }
        }
    }

    /// The next whole head at or behind the current position, and how many bytes were skipped to find it.
    fn next_head(&mut self) -> std::io::Result<Option<(RecordHead, u64)>> {
        let start = self.at;
        let mut head = [0; RECORD_HEAD_BYTES];
        while self.bytes - self.at >= head.len() as u64 {
            let at = self.at;
            self.read(&mut head)?;
            if let Some(found) = RecordHead::decode(&head, self.salt) {
                return Ok(Some((found, at - start)));
            }
            // The next place at which a record may begin, inside the bytes at hand or behind them.
            let next = (1..head.len()).find(|i| RECORD_MAGIC.starts_with(&head[*i..(*i + 4).min(head.len())]));
            self.seek(at + next.unwrap_or(head.len()) as u64)?;
        }
        self.input.seek(SeekFrom::Start(start))?;
        self.at = start;
        Ok(None)
    }
}
