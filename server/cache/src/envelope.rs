//! How keys and values look to a remote cache: keys of this build alone, values that show damage.
//!
//! A sealed value is one byte of version, one of flags, four of a CRC-32 (little-endian), and the value, perhaps in
//! snappy. The checksum is over the whole key, the flags and the stored bytes: a value that comes under a wrong key
//! fails it too, be it by a hash, by a server that mixes up its answers, or by another build.

use bytes::{BufMut as _, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_128;

/// The longest key of memcached.
const MAX_KEY: usize = 250;
const VERSION: u8 = 1;
const SNAPPY: u8 = 1;
const HEAD: usize = 6;
/// The largest value that is unpacked.
pub(crate) const MAX_VALUE: usize = 128 << 20;

/// Seals and opens the values of one cache.
#[derive(Debug)]
pub(crate) struct Envelope {
    namespace: Vec<u8>,
    compress_from: Option<usize>,
}

/// A key, in full and as a server is told it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WireKey {
    full: Bytes,
    pub(crate) sent: Bytes,
}

impl Envelope {
    /// Keys of another prefix, version or name of cache never meet.
    pub(crate) fn new(prefix: &str, version: &str, name: &str, compress_from: Option<usize>) -> Self {
        // Lengths, so that no two namespaces run into one another.
        let lengths = format!("{:x}.{:x}", version.len(), name.len());
        Self { namespace: format!("{prefix}narvi{VERSION}:{lengths}:{version}:{name}:").into_bytes(), compress_from }
    }

    /// The key of a value. Long keys and those with odd bytes are hashed.
    pub(crate) fn key(&self, key: &[u8]) -> WireKey {
        let mut full = BytesMut::with_capacity(self.namespace.len() + key.len());
        full.put_slice(&self.namespace);
        full.put_slice(key);
        let full = full.freeze();
        let plain = full.len() <= MAX_KEY && full.iter().all(u8::is_ascii_graphic);
        let sent = if plain { full.clone() } else { Bytes::from(format!("narvi{VERSION}#{:032x}", xxh3_128(&full))) };
        WireKey { full, sent }
    }

    /// A value as it is stored.
    pub(crate) fn seal(&self, key: &WireKey, value: &[u8]) -> Bytes {
        let packed = self.compress_from.filter(|from| value.len() >= *from).and_then(|_| {
            let packed = snap::raw::Encoder::new().compress_vec(value).ok()?;
            (packed.len() < value.len()).then_some(packed)
        });
        let (flags, stored) = packed.as_deref().map_or((0, value), |packed| (SNAPPY, packed));
        let mut sealed = BytesMut::with_capacity(HEAD + stored.len());
        sealed.put_u8(VERSION);
        sealed.put_u8(flags);
        sealed.put_u32_le(checksum(key, flags, stored));
        sealed.put_slice(stored);
        sealed.freeze()
    }

    /// The value of what is stored, or nothing if that is not what was sealed for this key.
    pub(crate) fn open(&self, key: &WireKey, sealed: &Bytes) -> Option<Bytes> {
        let head = sealed.get(..HEAD)?;
        let (flags, stored) = (head[1], sealed.slice(HEAD..));
        let sum = u32::from_le_bytes(head[2..].try_into().ok()?);
        if head[0] != VERSION || flags & !SNAPPY != 0 || sum != checksum(key, flags, &stored) {
            return None;
        }
        if flags & SNAPPY == 0 {
            return Some(stored);
        }
        let length = snap::raw::decompress_len(&stored).ok().filter(|length| *length <= MAX_VALUE)?;
        let value = snap::raw::Decoder::new().decompress_vec(&stored).ok()?;
        (value.len() == length).then(|| value.into())
    }
}

fn checksum(key: &WireKey, flags: u8, stored: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&(key.full.len() as u64).to_le_bytes());
    sum.update(&key.full);
    sum.update(&[flags]);
    sum.update(stored);
    sum.finalize()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::{collection::vec, prelude::*};

    use super::Envelope;

    fn envelope() -> Envelope {
        Envelope::new("", "1.2.3", "chunks", Some(64))
    }

    #[test]
    fn keys_are_readable_where_they_can_be() {
        assert_eq!(envelope().key(b"fake/abc").sent, "narvi1:5.6:1.2.3:chunks:fake/abc");
        assert!(envelope().key(b"with space").sent.starts_with(b"narvi1#"));
        let other = Envelope::new("", "1.2.4", "chunks", None);
        assert_ne!(envelope().key(b"k").sent, other.key(b"k").sent);
    }

    #[test]
    fn namespaces_do_not_run_into_one_another() {
        let key = |version: &str, name: &str| Envelope::new("", version, name, None).key(b"k").sent;
        assert_ne!(key("1", "2:3"), key("1:2", "3"));
        assert_ne!(key("1", ""), key("", "1"));
    }

    proptest! {
        #[test]
        fn keys_suit_memcached_and_differ(a in vec(any::<u8>(), 0..300), b in vec(any::<u8>(), 0..300)) {
            let (one, two) = (envelope().key(&a), envelope().key(&b));
            prop_assert!(one.sent.len() <= 250 && one.sent.iter().all(u8::is_ascii_graphic));
            prop_assert_eq!(one == two, a == b);
            prop_assert_eq!(one.sent == two.sent, a == b);
            prop_assert_eq!(&envelope().key(&a), &one);
        }

        #[test]
        fn values_come_back(key in vec(any::<u8>(), 0..40), value in vec(0..4_u8, 0..2_000)) {
            let envelope = envelope();
            let key = envelope.key(&key);
            let sealed = envelope.seal(&key, &value);
            prop_assert!(sealed.len() <= value.len() + 6);
            prop_assert_eq!(envelope.open(&key, &sealed), Some(Bytes::from(value)));
            prop_assert_eq!(envelope.open(&envelope.key(b"another"), &sealed), None);
        }

        #[test]
        fn damage_is_a_miss(value in vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), flip in 1..=255_u8) {
            let envelope = envelope();
            let key = envelope.key(b"k");
            let sealed = envelope.seal(&key, &value);
            let mut damaged = sealed.to_vec();
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
            prop_assert_eq!(envelope.open(&key, &damaged.into()), None);
            prop_assert_eq!(envelope.open(&key, &sealed.slice(..at)), None);
        }

        #[test]
        fn anything_can_be_opened(bytes in vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(envelope().open(&envelope().key(b"k"), &bytes.into()), None);
        }
    }
}
