//! The keys and values that a process gossips, all text.
//!
//! - `r/RING/ID`: a record of its own, without heartbeat, in base64;
//! - `h/RING/ID`: the heartbeat of that record, apart so that it alone goes around again every few seconds;
//! - `a/RING/ID`: the record of a dead instance, kept for those that come later, in base64;
//! - `f/RING/ID`: that an instance was forgotten: the heartbeat up to which, and when.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};

use crate::{
    instance::{Instance, MAX_TOKENS},
    membership::RingName,
    registry::Forgotten,
};

/// More than any record takes: longer ones are not even decoded.
const MAX_VALUE_BYTES: usize = MAX_TOKENS * 8 + 4_096;

/// Which instance of which ring.
pub(super) type Place = (RingName, String);

/// What a key is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Record(Place),
    Heartbeat(Place),
    Adopted(Place),
    Forgotten(Place),
}

impl Key {
    pub(super) fn text(&self) -> String {
        let (kind, (ring, id)) = match self {
            Self::Record(place) => ('r', place),
            Self::Heartbeat(place) => ('h', place),
            Self::Adopted(place) => ('a', place),
            Self::Forgotten(place) => ('f', place),
        };
        format!("{kind}/{ring}/{id}")
    }

    /// Reads a key; none if it is of a newer version.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let (ring, id) = rest.split_once('/')?;
        let place = (RingName::of(ring)?, id.to_owned());
        Some(match kind {
            "r" => Self::Record(place),
            "h" => Self::Heartbeat(place),
            "a" => Self::Adopted(place),
            "f" => Self::Forgotten(place),
            _ => return None,
        })
    }
}

/// Writes a record; none if it breaks a limit.
pub(super) fn write_record(instance: &Instance) -> Option<String> {
    instance.encode().ok().map(|bytes| BASE64.encode(bytes))
}

/// Reads a record of this id.
pub(super) fn read_record(id: &str, text: &str) -> Option<Instance> {
    if text.len() > MAX_VALUE_BYTES {
        return None;
    }
    let bytes = BASE64.decode(text).ok()?;
    Instance::decode(&bytes).ok().filter(|instance| instance.id == id)
}

pub(super) fn write_forgotten(gone: Forgotten) -> String {
    format!("{} {}", gone.heartbeat_ms, gone.at_ms)
}

pub(super) fn read_forgotten(text: &str) -> Option<Forgotten> {
    let (heartbeat, at) = text.split_once(' ')?;
    Some(Forgotten { heartbeat_ms: heartbeat.parse().ok()?, at_ms: at.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::{Key, read_forgotten, read_record, write_forgotten, write_record};
    use crate::{instance::tests::any_instance, membership::RingName, registry::Forgotten};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_and_values_round_trip(instance in any_instance(), ring in 0usize..6, heartbeat_ms: u64, at_ms: u64) {
            let place = (RingName::ALL[ring], instance.id.clone());
            for kind in [Key::Record, Key::Heartbeat, Key::Adopted, Key::Forgotten] {
                let key = kind(place.clone());
                prop_assert_eq!(Key::read(&key.text()), Some(key));
            }
            let text = write_record(&instance).expect("it keeps the limits");
            prop_assert_eq!(read_record("another", &text), None);
            prop_assert_eq!(read_record(&instance.id.clone(), &text), Some(instance));
            let gone = Forgotten { heartbeat_ms, at_ms };
            prop_assert_eq!(read_forgotten(&write_forgotten(gone)), Some(gone));
        }

        #[test]
        fn random_texts_never_panic(text in ".{0,40}") {
            let _ = (Key::read(&text), read_record("a", &text), read_forgotten(&text));
            let _ = Key::read(&format!("r/ingester/{text}"));
        }
    }
}
