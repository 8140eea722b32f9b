//! A near cache before a far one.

use bytes::Bytes;

use crate::{BoxFuture, Cache, embedded::Embedded, remote::Remote};

/// Asks memory first and the network for the rest, which memory then keeps.
#[derive(Debug)]
pub(crate) struct Tiered {
    pub(crate) name: String,
    pub(crate) near: Embedded,
    pub(crate) far: Remote,
}

impl Cache for Tiered {
    fn name(&self) -> &str {
        &self.name
    }

    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(async move {
            let mut found = self.near.get_many(keys).await;
            let missing: Vec<usize> = (0..keys.len()).filter(|at| found[*at].is_none()).collect();
            if missing.is_empty() {
                return found;
            }
            let asked: Vec<Bytes> = missing.iter().map(|at| keys[*at].clone()).collect();
            let fetched = self.far.get_many(&asked).await;
            let pairs = asked.into_iter().zip(&fetched);
            let near: Vec<_> = pairs.filter_map(|(key, value)| Some((key, value.clone()?))).collect();
            if !near.is_empty() {
                self.near.set_many(near);
            }
            for (at, value) in missing.into_iter().zip(fetched) {
                found[at] = value;
            }
            found
        })
    }

    fn set_many(&self, entries: Vec<(Bytes, Bytes)>) {
        self.near.set_many(entries.clone());
        self.far.set_many(entries);
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.far.flush()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.near.close().await;
            self.far.close().await;
        })
    }
}
