//! A cache that does with its values what a cache must not.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use narvi_cache::{BoxFuture, Cache};
use parking_lot::Mutex;

/// What it does with a question. Each one is answered by the next of a list, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoil {
    /// Gives what was stored.
    Right,
    /// Has lost it.
    Lost,
    /// Gives it with a wrong byte.
    Flipped,
    /// Gives it without its end.
    Cut,
    /// Gives the value of another key.
    Mixed,
    /// Gives fewer values than were asked for.
    Short,
}

pub(crate) const ALL: [Spoil; 6] = [Spoil::Right, Spoil::Lost, Spoil::Flipped, Spoil::Cut, Spoil::Mixed, Spoil::Short];

/// The cache.
#[derive(Debug)]
pub(crate) struct Spoilt {
    values: Mutex<HashMap<Bytes, Bytes>>,
    does: Vec<Spoil>,
    asked: Mutex<Vec<Bytes>>,
}

impl Spoilt {
    pub(crate) fn new(does: &[Spoil]) -> Arc<Self> {
        Arc::new(Self { values: Mutex::default(), does: does.to_vec(), asked: Mutex::default() })
    }

    /// The keys that it was asked for or given.
    pub(crate) fn asked(&self) -> Vec<Bytes> {
        self.asked.lock().clone()
    }

    fn get(&self, key: &Bytes, spoil: Spoil) -> Option<Bytes> {
        let values = self.values.lock();
        let value = values.get(key)?;
        match spoil {
            Spoil::Right | Spoil::Short => Some(value.clone()),
            Spoil::Lost => None,
            Spoil::Flipped => {
                let mut flipped = value.to_vec();
                let at = flipped.len() / 2;
                flipped[at] ^= 1;
                Some(flipped.into())
            }
            Spoil::Cut => Some(value.slice(..value.len() / 2)),
            Spoil::Mixed => values.iter().find(|(other, _)| *other != key).map(|(_, value)| value.clone()),
        }
    }
}

impl Cache for Spoilt {
    fn name(&self) -> &str {
        "spoilt"
    }

    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>> {
        let mut asked = self.asked.lock();
        let mut given = Vec::new();
        for key in keys {
            let spoil = self.does[asked.len() % self.does.len()];
            asked.push(key.clone());
            if spoil != Spoil::Short {
                given.push(self.get(key, spoil));
            }
        }
        Box::pin(std::future::ready(given))
    }

    fn set_many(&self, entries: Vec<(Bytes, Bytes)>) {
        self.asked.lock().extend(entries.iter().map(|(key, _)| key.clone()));
        self.values.lock().extend(entries);
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
