//! Values that show whether they are what was stored under their key: bytes, and a checksum over the key and them.
//!
//! Caches over the network have an envelope of their own. This one holds for any cache, so that no wrong byte of a cache
//! comes into an answer, whatever the cache is made of.

use bytes::{BufMut as _, Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3;

const SUM_BYTES: usize = 8;

/// A value as it is stored.
pub(crate) fn seal(key: &[u8], value: &[u8]) -> Bytes {
    let mut sealed = BytesMut::with_capacity(value.len() + SUM_BYTES);
    sealed.put_slice(value);
    sealed.put_u64_le(sum(key, value));
    sealed.freeze()
}

/// The value, if it is what was sealed for this key.
pub(crate) fn open(key: &[u8], sealed: &Bytes) -> Option<Bytes> {
    let (value, stored) = sealed.split_last_chunk::<SUM_BYTES>()?;
    (u64::from_le_bytes(*stored) == sum(key, value)).then(|| sealed.slice(..value.len()))
}

fn sum(key: &[u8], value: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(&(key.len() as u64).to_le_bytes());
    sum.update(key);
    sum.update(value);
    sum.digest()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::{collection::vec, prelude::*};

    use super::{open, seal};

    proptest! {
        #[test]
        fn values_come_back_under_their_key_alone(
            key in vec(any::<u8>(), 0..20),
            value in vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let sealed = seal(&key, &value);
            prop_assert_eq!(open(&key, &sealed), Some(Bytes::from(value)));
            prop_assert_eq!(open(&[&key[..], b"x"].concat(), &sealed), None);
            let mut damaged = sealed.to_vec();
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
            prop_assert_eq!(open(&key, &damaged.into()), None);
            prop_assert_eq!(open(&key, &sealed.slice(..at)), None);
        }
    }
}
