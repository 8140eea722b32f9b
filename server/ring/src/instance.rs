//! The record of an instance in a ring, and its bytes.
//!
//! The bytes: version 1, state, three texts (id, address, zone) as varint length and UTF-8, varints of registered and
//! heartbeat time in milliseconds, varint count of tokens, the first token and then the distances to the next ones as
//! varints.

use std::fmt;

use narvi_types::wire::{Reader, WireError, Writer};

/// Tokens of one instance; its record then still fits one datagram.
pub const MAX_TOKENS: usize = 4096;
/// Bytes of an id, an address or the name of a zone.
pub const MAX_TEXT_BYTES: usize = 256;
/// The version of the encoding that is written; it is also the only one that is read.
pub const RECORD_VERSION: u8 = 1;

/// Where an instance stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Known, has no tokens yet.
    Pending,
    /// Has tokens, watches whether others claim them too.
    Joining,
    /// Takes writes and reads.
    Active,
    /// Takes no more writes; is read while it hands over what it holds.
    Leaving,
    /// Gone; its record is kept for a while so that no older one comes back.
    Left,
}

impl State {
    /// All states in the order of a life.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Joining, Self::Active, Self::Leaving, Self::Left];

    /// The name as Loki's ring page shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Joining => "JOINING",
            Self::Active => "ACTIVE",
            Self::Leaving => "LEAVING",
            Self::Left => "LEFT",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Joining => 1,
            Self::Active => 2,
            Self::Leaving => 3,
            Self::Left => 4,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an instance tells of itself. Plain data; [`Instance::encode`] refuses what breaks a limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name, the same after a restart.
    pub id: String,
    /// Where its gRPC is: host and port.
    pub address: String,
    /// Its zone; empty where zones are not used.
    pub zone: String,
    /// Where it stands in its life.
    pub state: State,
    /// Its tokens, ascending, none twice.
    pub tokens: Vec<u32>,
    /// When it was first seen in the ring, in milliseconds since the epoch.
    pub registered_ms: u64,
    /// When it last told of itself, in milliseconds since the epoch.
    pub heartbeat_ms: u64,
}

/// A record that cannot be written or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end early or make no sense.
    #[error("record of a ring is damaged: {0}")]
    Damaged(#[from] WireError),
    /// Written by another version.
    #[error(
        "record of a ring has version {found}, this process reads {RECORD_VERSION}: run the same version everywhere"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// A text is empty, too long or holds control characters.
    #[error(
        "{what} of an instance must be at most {MAX_TEXT_BYTES} bytes without control characters, and an id not empty"
    )]
    Text {
        /// Which one.
        what: &'static str,
    },
    /// Too many tokens, or not ascending.
    #[error("tokens of an instance must ascend and be at most {MAX_TOKENS}")]
    Tokens,
}

impl Instance {
    /// A heartbeat that never gets old: of instances that configuration names.
    pub const NEVER_STALE: u64 = u64::MAX;

    /// Whether its last heartbeat is not older than the timeout; a timeout of zero means that none gets old.
    pub fn is_fresh(&self, now_ms: u64, timeout_ms: u64) -> bool {
        timeout_ms == 0 || now_ms.saturating_sub(self.heartbeat_ms) <= timeout_ms
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// Says which limit is broken.
    pub fn validate(&self) -> Result<(), RecordError> {
        for (what, text) in [("id", &self.id), ("address", &self.address), ("zone", &self.zone)] {
            if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) || (what == "id" && text.is_empty()) {
                return Err(RecordError::Text { what });
            }
        }
        let ascends = self.tokens.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !ascends || self.tokens.len() > MAX_TOKENS {
            return Err(RecordError::Tokens);
        }
        Ok(())
    }

    /// Writes the record.
    ///
    /// # Errors
    /// A limit is broken.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        self.validate()?;
        let mut out = Vec::with_capacity(64 + self.tokens.len() * 4);
        out.put_u8(RECORD_VERSION);
        out.put_u8(self.state.code());
        out.put_str(&self.id);
        out.put_str(&self.address);
        out.put_str(&self.zone);
        out.put_varint(self.registered_ms);
        out.put_varint(self.heartbeat_ms);
        out.put_varint(self.tokens.len() as u64);
        let mut last = 0;
        for token in &self.tokens {
            out.put_varint(u64::from(token - last));
            last = *token;
        }
        Ok(out)
    }

    /// Reads a record of anyone.
    ///
    /// # Errors
    /// The bytes are not a record, or of another version.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let mut reader = Reader::new(bytes);
        let found = reader.u8("version")?;
        if found != RECORD_VERSION {
            return Err(RecordError::Version { found });
        }
        let code = reader.u8("state")?;
        let state = State::ALL.into_iter().find(|state| state.code() == code).ok_or_else(|| reader.error("state"))?;
        let id = reader.str("id")?.to_owned();
        let address = reader.str("address")?.to_owned();
        let zone = reader.str("zone")?.to_owned();
        let registered_ms = reader.varint("registered time")?;
        let heartbeat_ms = reader.varint("heartbeat time")?;
        let count = reader.count(1, "tokens")?;
        if count > MAX_TOKENS {
            return Err(RecordError::Tokens);
        }
        let mut tokens = Vec::with_capacity(count);
        let mut last = 0u64;
        for _ in 0..count {
            last = last.checked_add(reader.varint("token")?).ok_or_else(|| reader.error("token"))?;
            tokens.push(u32::try_from(last).map_err(|_| reader.error("token"))?);
        }
        if !reader.is_empty() {
            return Err(reader.error("end of record").into());
        }
        let instance = Self { id, address, zone, state, tokens, registered_ms, heartbeat_ms };
        instance.validate()?;
        Ok(instance)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Instance, RecordError, State};
    use proptest::{collection::btree_set, prelude::*};

    pub(crate) fn any_instance() -> impl Strategy<Value = Instance> {
        let tokens = btree_set(any::<u32>(), 0..40);
        let texts = ("[a-z0-9/-]{1,12}", "[a-z0-9.:]{0,20}", "[a-c]{0,1}");
        (texts, 0usize..5, tokens, any::<u64>(), any::<u64>()).prop_map(|((id, address, zone), state, tokens, a, b)| {
            Instance {
                id,
                address,
                zone,
                state: State::ALL[state],
                tokens: tokens.into_iter().collect(),
                registered_ms: a,
                heartbeat_ms: b,
            }
        })
    }

    proptest! {
        #[test]
        fn records_round_trip(instance in any_instance()) {
            let bytes = instance.encode()?;
            prop_assert_eq!(Instance::decode(&bytes)?, instance);
        }

        #[test]
        fn random_bytes_never_panic(mut bytes: Vec<u8>) {
            let _ = Instance::decode(&bytes);
            bytes.insert(0, 1);
            let _ = Instance::decode(&bytes);
        }

        #[test]
        fn a_damaged_record_is_an_error_or_a_valid_record(instance in any_instance(), at: usize, with: u8) {
            let mut bytes = instance.encode()?;
            let at = at % bytes.len();
            prop_assert!(Instance::decode(&bytes[..at]).is_err());
            bytes[at] = with;
            if let Ok(read) = Instance::decode(&bytes) {
                prop_assert!(read.validate().is_ok());
            }
        }
    }

    #[test]
    fn limits_are_held() {
        let good = Instance {
            id: "a".into(),
            address: "a:1".into(),
            zone: String::new(),
            state: State::Active,
            tokens: vec![1, 2],
            registered_ms: 1,
            heartbeat_ms: 2,
        };
        let with = |change: fn(&mut Instance)| {
            let mut instance = good.clone();
            change(&mut instance);
            instance.encode().expect_err("a limit is broken")
        };
        assert_eq!(with(|i| i.id.clear()), RecordError::Text { what: "id" });
        assert_eq!(with(|i| i.zone = "x".repeat(257)), RecordError::Text { what: "zone" });
        assert_eq!(with(|i| i.address = "a\n".into()), RecordError::Text { what: "address" });
        assert_eq!(with(|i| i.tokens = vec![2, 2]), RecordError::Tokens);
        assert_eq!(with(|i| i.tokens = (0..5000).collect()), RecordError::Tokens);
        let mut other = good.encode().expect("it is right");
        other[0] = 2;
        assert_eq!(Instance::decode(&other), Err(RecordError::Version { found: 2 }));
    }

    #[test]
    fn bytes_of_version_1_stay_readable() {
        let bytes = [1, 2, 1, b'a', 3, b'h', b':', b'1', 0, 5, 0x80, 1, 2, 7, 0xff, 1];
        let expected = Instance {
            id: "a".into(),
            address: "h:1".into(),
            zone: String::new(),
            state: State::Active,
            tokens: vec![7, 262],
            registered_ms: 5,
            heartbeat_ms: 128,
        };
        assert_eq!(Instance::decode(&bytes), Ok(expected));
    }
}
