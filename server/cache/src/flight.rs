//! Computes a missing value once, however many ask for it at the same time.

use std::{collections::HashMap, fmt, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::Cache;

/// Values that are being computed. One for each cache, since keys are told apart by nothing else.
#[derive(Default)]
pub struct Flights {
    under_way: Mutex<HashMap<Bytes, Arc<Flight>>>,
}

type Flight = tokio::sync::Mutex<Outcome>;

#[derive(Default)]
enum Outcome {
    /// Nobody has finished yet.
    #[default]
    Open,
    Computed(Bytes),
    /// It went wrong: those who waited try themselves, side by side.
    Failed,
}

impl fmt::Debug for Flights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").field("under_way", &self.under_way.lock().len()).finish()
    }
}

/// Takes the flight out when the last who waits for it goes, also when its future is dropped half-way.
struct Seat<'a> {
    flights: &'a Flights,
    key: &'a Bytes,
    flight: Arc<Flight>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut under_way = self.flights.under_way.lock();
        // The map's and this one: nobody else can come by one while the map is locked.
        if Arc::strong_count(&self.flight) == 2 {
            under_way.remove(self.key);
        }
    }
}

impl Flights {
    /// The value of a key: the cache's or, if it has none, the computed one, which it then gets. If the one who
    /// computes goes away, another takes over.
    ///
    /// # Errors
    /// What `compute` failed with. Nothing is stored then.
    pub async fn get_or_compute<E>(
        &self,
        cache: &dyn Cache,
        key: Bytes,
        compute: impl Future<Output = Result<Bytes, E>>,
    ) -> Result<Bytes, E> {
        if let Some(value) = get(cache, &key).await {
            return Ok(value);
        }
        let seat =
            Seat { flights: self, key: &key, flight: self.under_way.lock().entry(key.clone()).or_default().clone() };
        let mut outcome = seat.flight.lock().await;
        match &*outcome {
            Outcome::Computed(value) => return Ok(value.clone()),
            Outcome::Failed => drop(outcome),
            Outcome::Open => {
                let computed = compute.await;
                *outcome = computed.as_ref().map_or(Outcome::Failed, |value| Outcome::Computed(value.clone()));
                if let Ok(value) = &computed {
                    cache.set_many(vec![(key.clone(), value.clone())]);
                }
                return computed;
            }
        }
        let value = compute.await?;
        cache.set_many(vec![(key.clone(), value.clone())]);
        Ok(value)
    }

    /// [`Self::get_or_compute`] for blocking code.
    ///
    /// # Errors
    /// As there.
    pub fn get_or_compute_blocking<E>(
        &self,
        cache: &dyn Cache,
        key: Bytes,
        compute: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Bytes, E> {
        crate::block_on(self.get_or_compute(cache, key, async { compute() }))
    }
}

async fn get(cache: &dyn Cache, key: &Bytes) -> Option<Bytes> {
    cache.get_many(std::slice::from_ref(key)).await.pop().flatten()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc, Barrier,
            atomic::{AtomicUsize, Ordering},
        },
        thread,
    };

    use bytes::Bytes;
    use futures_util::future::poll_immediate;

    use super::Flights;
    use crate::{Cache, cache::Nothing, clock::Clock, embedded::Embedded};

    fn embedded() -> Embedded {
        let settings = crate::EmbeddedSettings { enabled: true, ..crate::EmbeddedSettings::default() };
        Embedded::new("e".to_owned(), settings, Clock::real(), &crate::Metrics::default())
    }

    #[test]
    fn many_ask_and_one_computes() {
        let (flights, cache, count, all) =
            (Flights::default(), Arc::new(embedded()), AtomicUsize::new(0), Barrier::new(8));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    all.wait();
                    let value = flights.get_or_compute_blocking::<()>(&cache, "k".into(), || {
                        count.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        Ok("v".into())
                    });
                    assert_eq!(value, Ok("v".into()));
                });
            }
        });
        // One that looked before the value was stored and sat down after all had gone may compute it again.
        assert!((1..=2).contains(&count.load(Ordering::SeqCst)));
        assert_eq!(flights.under_way.lock().len(), 0);
        assert_eq!(cache.get_many_blocking(&["k".into()]), [Some("v".into())]);
    }

    #[test]
    fn another_takes_over_and_failures_are_not_shared() {
        let (flights, cache) = (Flights::default(), Nothing { name: String::new() });
        let ask = |answer: Result<Bytes, u8>| flights.get_or_compute(&cache, "k".into(), async move { answer });
        let gone = flights.get_or_compute::<u8>(&cache, "k".into(), std::future::pending());
        let mut gone = Box::pin(gone);
        let mut waits = Box::pin(ask(Ok("v".into())));
        crate::block_on(async {
            assert_eq!(poll_immediate(&mut gone).await, None);
            assert_eq!(poll_immediate(&mut waits).await, None);
            drop(gone);
            let mut second = Box::pin(ask(Err(2)));
            assert_eq!(poll_immediate(&mut second).await, None, "the first who waited comes first");
            assert_eq!(waits.await, Ok("v".into()));
            assert_eq!(second.await, Ok("v".into()));
            assert_eq!(ask(Err(3)).await, Err(3));
            assert_eq!(ask(Ok("w".into())).await, Ok("w".into()));
        });
        assert_eq!(flights.under_way.lock().len(), 0);
    }
}
