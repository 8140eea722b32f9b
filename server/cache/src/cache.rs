//! What a cache is to those who use it.

use std::{
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
};

use bytes::Bytes;

/// A future in a box, so that [`Cache`] can be used as a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Values under keys, both opaque bytes, kept for as long as the cache is set to. Any value may be gone at any time.
///
/// A key must name what its value was made from: two values under one key are taken for the same.
pub trait Cache: Send + Sync + fmt::Debug {
    /// What metrics call it.
    fn name(&self) -> &str;

    /// The values of keys, in their order. Takes a bounded time, whatever state a server is in.
    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>>;

    /// Takes values in; never waits. What a full queue or a server that is down cannot take is dropped.
    fn set_many(&self, entries: Vec<(Bytes, Bytes)>);

    /// Waits until what was taken in has been sent or dropped.
    fn flush(&self) -> BoxFuture<'_, ()>;

    /// Sends what is queued, for a bounded time, and lets go of connections. Everything is a miss from then on.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// [`Self::get_many`] for blocking code.
    fn get_many_blocking(&self, keys: &[Bytes]) -> Vec<Option<Bytes>> {
        block_on(self.get_many(keys))
    }

    /// [`Self::close`] for blocking code.
    fn close_blocking(&self) {
        block_on(self.close());
    }
}

impl<C: Cache + ?Sized> Cache for Arc<C> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>> {
        (**self).get_many(keys)
    }

    fn set_many(&self, entries: Vec<(Bytes, Bytes)>) {
        (**self).set_many(entries);
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        (**self).flush()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        (**self).close()
    }
}

/// A cache that holds nothing.
#[derive(Debug)]
pub(crate) struct Nothing {
    pub(crate) name: String,
}

impl Cache for Nothing {
    fn name(&self) -> &str {
        &self.name
    }

    fn get_many<'a>(&'a self, keys: &'a [Bytes]) -> BoxFuture<'a, Vec<Option<Bytes>>> {
        Box::pin(std::future::ready(vec![None; keys.len()]))
    }

    fn set_many(&self, _: Vec<(Bytes, Bytes)>) {}

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread for a future of this crate. They need no runtime round them; a thread of one is blocked
/// meanwhile.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            // A wake-up between the poll and here is not lost: the next park then returns at once.
            Poll::Pending => std::thread::park(),
        }
    }
}
