//! Pushed lines as bytes: what a process that takes pushes sends to the writers.

use bytes::Bytes;
use narvi_types::{Entry, Labels, Tenant, wire::Writer as _};

use crate::{Error, ErrorKind, PushStream, Result, wal, wal::RecordBuilder};

const VERSION: u8 = 1;
/// An upper bound of what a row costs beside its line and its metadata.
const ROW_BYTES: usize = 24;

/// Encodes lines of a tenant as frames of about `max_bytes`, each of which can be sent and pushed alone; a single line that is
/// larger makes a larger frame. Costs one copy of the lines.
///
/// ```text
/// frame := u8 version (1)  payload of a WAL record (FORMAT.md) that defines every stream it names
/// ```
pub fn encode_push(tenant: &Tenant, streams: &[PushStream], max_bytes: usize) -> Vec<Bytes> {
    let mut frames = Frames { tenant, max_bytes, record: RecordBuilder::default(), bytes: 0, out: Vec::new() };
    frames.record.start(tenant);
    for (id, stream) in (0u32..).zip(streams) {
        frames.stream(id, &stream.labels, &stream.entries);
    }
    frames.flush();
    frames.out
}

struct Frames<'a> {
    tenant: &'a Tenant,
    max_bytes: usize,
    record: RecordBuilder,
    /// An upper bound of the bytes in the record.
    bytes: usize,
    out: Vec<Bytes>,
}

impl Frames<'_> {
    fn stream(&mut self, id: u32, labels: &Labels, mut entries: &[Entry]) {
        while !entries.is_empty() {
            let mut bytes = labels.packed().len() + ROW_BYTES;
            let fitting = entries.iter().take_while(|entry| {
                bytes += entry.line.len() + entry.metadata.packed().len() + ROW_BYTES;
                self.bytes + bytes <= self.max_bytes
            });
            let mut count = fitting.count();
            if count == 0 && self.bytes > 0 {
                self.flush();
                continue;
            }
            count = count.max(1);
            let (now, later) = entries.split_at(count);
            self.record.stream(id, Some(labels), now);
            self.bytes += labels.packed().len() + ROW_BYTES;
            self.bytes += now.iter().map(|e| e.line.len() + e.metadata.packed().len() + ROW_BYTES).sum::<usize>();
            entries = later;
        }
    }

    fn flush(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut frame = Vec::with_capacity(self.record.payload().len() + 1);
        frame.put_u8(VERSION);
        frame.put(self.record.payload());
        self.out.push(frame.into());
        self.record.start(self.tenant);
        self.bytes = 0;
    }
}

/// Reads a frame of [`encode_push`]. Lines share its bytes.
///
/// # Errors
/// [`ErrorKind::Invalid`]: the bytes are no such frame, or of a version this build does not know.
pub fn decode_push(frame: &Bytes) -> Result<(Tenant, Vec<PushStream>)> {
    match frame.first() {
        Some(&VERSION) => {}
        Some(other) => return Err(invalid(format!("they have version {other}, this build reads {VERSION}"))),
        None => return Err(invalid("they are empty".to_owned())),
    }
    let (tenant, streams) = wal::decode(&frame.slice(1..)).map_err(|error| invalid(error.to_string()))?;
    let stream = |rows: wal::StreamRows| {
        let labels = rows.labels.ok_or_else(|| invalid("they do not define all their streams".to_owned()))?;
        Ok(PushStream::new(labels, rows.entries))
    };
    Ok((tenant, streams.into_iter().map(stream).collect::<Result<_>>()?))
}

fn invalid(why: String) -> Error {
    Error::new(ErrorKind::Invalid, format!("cannot read the bytes of pushed lines: {why}"))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use narvi_types::{Entry, Labels, Metadata, Tenant, Timestamp};
    use proptest::prelude::*;

    use super::{decode_push, encode_push};
    use crate::PushStream;

    fn streams() -> impl Strategy<Value = Vec<PushStream>> {
        let entry = (any::<i64>(), prop::collection::vec(any::<u8>(), 0..80), 0u8..3).prop_map(|(time, line, set)| {
            let mut entry = Entry::new(Timestamp::from_ns(time), line);
            if set > 0 {
                entry.metadata = Metadata::from_pairs([("set", ["", "a", "b"][usize::from(set)])]).expect("valid");
            }
            entry
        });
        let stream = ("[a-z]{1,4}", prop::collection::vec(entry, 1..12)).prop_map(|(value, entries)| {
            PushStream::new(Labels::from_pairs([("app", value.as_str())]).expect("valid"), entries)
        });
        prop::collection::vec(stream, 0..6)
    }

    /// All lines in their order, however they are cut.
    fn lines(streams: &[PushStream]) -> Vec<(Labels, Entry)> {
        streams.iter().flat_map(|s| s.entries.iter().map(|e| (s.labels.clone(), e.clone()))).collect()
    }

    proptest! {
        #[test]
        fn frames_hold_all_lines_and_are_as_small_as_asked(streams in streams(), max_bytes in 1usize..2000) {
            let tenant = Tenant::new("someone").expect("valid");
            let frames = encode_push(&tenant, &streams, max_bytes);
            let mut back = Vec::new();
            for frame in &frames {
                let (whose, some) = decode_push(frame).expect("a frame of ours");
                prop_assert_eq!(&whose, &tenant);
                prop_assert!(frame.len() <= max_bytes + 32 || lines(&some).len() == 1);
                back.extend(lines(&some));
            }
            prop_assert_eq!(back, lines(&streams));
        }

        #[test]
        fn bytes_of_anyone_never_panic(bytes: Vec<u8>, at: prop::sample::Index, with: u8, streams in streams()) {
            let _ = decode_push(&Bytes::from(bytes));
            for frame in encode_push(&Tenant::default(), &streams, 1 << 20) {
                let mut frame = frame.to_vec();
                let at = at.index(frame.len());
                frame[at] = with;
                let _ = decode_push(&Bytes::from(frame.clone()));
                frame.truncate(at);
                let _ = decode_push(&Bytes::from(frame));
            }
        }
    }
}
