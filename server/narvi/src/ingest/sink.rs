//! Where lines go: into a data directory, or to a server as protobuf pushes.

use narvi::{Entry, Labels, PushStream};

use crate::{failure::Outcome, place::Place};

/// Bytes of lines in one push to a server.
const PUSH_BYTES: usize = 1 << 20;

/// Adds lines of one stream.
pub(super) fn push(place: &Place, labels: &Labels, entries: Vec<Entry>) -> Outcome {
    let client = match place {
        Place::Directory(db, tenant) => {
            db.push(tenant, vec![PushStream::new(labels.clone(), entries)])?.wait()?;
            return Ok(());
        }
        Place::Server(client) => client,
    };
    let mut rest = entries.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let count = rest.iter().take_while(|entry| {
            let fits = bytes < PUSH_BYTES;
            bytes += entry.line.len() + 32;
            fits
        });
        let (now, later) = rest.split_at(count.count());
        let body = encode(labels, now);
        let packed = snap::raw::Encoder::new().compress_vec(&body);
        client.push(&packed.map_err(|error| crate::failure::Failure::of("cannot compress a push", error))?)?;
        rest = later;
    }
    Ok(())
}

/// A `PushRequest` of Loki's API with one stream:
///
/// ```text
/// PushRequest { 1: repeated Stream }    Stream { 1: labels string, 2: repeated Entry }
/// Entry { 1: Timestamp { 1: seconds, 2: nanos }, 2: line, 3: repeated Pair { 1: name, 2: value } }
/// ```
fn encode(labels: &Labels, entries: &[Entry]) -> Vec<u8> {
    let mut stream = Vec::new();
    field(&mut stream, 1, labels.to_string().as_bytes());
    for entry in entries {
        let ns = entry.timestamp.as_ns();
        let mut time = Vec::with_capacity(16);
        number(&mut time, 1, ns.div_euclid(1_000_000_000).cast_unsigned());
        number(&mut time, 2, ns.rem_euclid(1_000_000_000).cast_unsigned());
        let mut message = Vec::with_capacity(entry.line.len() + 32);
        field(&mut message, 1, &time);
        field(&mut message, 2, &entry.line);
        for (name, value) in entry.metadata.iter() {
            let mut pair = Vec::new();
            field(&mut pair, 1, name.as_bytes());
            field(&mut pair, 2, value.as_bytes());
            field(&mut message, 3, &pair);
        }
        field(&mut stream, 2, &message);
    }
    let mut request = Vec::with_capacity(stream.len() + 8);
    field(&mut request, 1, &stream);
    request
}

fn number(out: &mut Vec<u8>, tag: u8, value: u64) {
    out.push(tag << 3);
    varint(out, value);
}

fn field(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use narvi::{Entry, Labels, Timestamp};

    use super::encode;

    #[test]
    fn a_push_is_encoded_as_protobuf() {
        let labels = Labels::from_pairs([("a", "b")]).expect("it is right");
        let body = encode(&labels, &[Entry::new(Timestamp::from_ns(1_000_000_300), "xy")]);
        let expected = b"\x0a\x16\x0a\x07{a=\"b\"}\x12\x0b\x0a\x05\x08\x01\x10\xac\x02\x12\x02xy";
        assert_eq!(body, expected);
    }
}
