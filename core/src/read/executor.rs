//! Runs the jobs of a query on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use narvi_logql::Executor;

/// Runs jobs on up to `width` threads, the calling one included. The threads live as long as the call: no pool has to be shut
/// down when a database is dropped, and starting one costs less than decoding a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threads {
    width: usize,
}

impl Threads {
    pub(crate) fn new(width: usize) -> Self {
        Self { width: width.max(1) }
    }
}

impl Executor for Threads {
    fn width(&self) -> usize {
        self.width
    }

    fn run(&self, jobs: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= jobs {
                    return;
                }
                job(at);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.width.min(jobs) {
                let named = std::thread::Builder::new().name("narvi-query".into());
                // Without another thread this one does all the jobs.
                let _ = named.spawn_scoped(scope, work);
            }
            work();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use narvi_logql::Executor;

    use super::Threads;

    #[test]
    fn each_job_runs_once() {
        for jobs in [0, 1, 2, 100] {
            let ran: Vec<AtomicUsize> = (0..jobs).map(|_| AtomicUsize::new(0)).collect();
            Threads::new(4).run(jobs, &|job| {
                ran[job].fetch_add(1, Ordering::Relaxed);
            });
            assert!(ran.iter().all(|n| n.load(Ordering::Relaxed) == 1));
        }
    }
}
