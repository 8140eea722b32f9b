//! The fair queue between query-frontends and queriers, and both its ends.
//!
//! A [`Scheduler`] keeps [`Job`](narvi_rpc::Job)s until places of queriers take them: first come, first served within a tenant,
//! tenants in turn, each on a few of the queriers if so configured. It stands in a process of its own or in a frontend, behind
//! the service of `narvi-rpc`. A frontend hands jobs in by [`Jobs`], a querier takes them by a [`Worker`], which looks for
//! schedulers at [`Addresses`] and runs jobs by the trait [`Work`].
//!
//! Jobs have no effects, so that one whose querier is lost before it gave a piece of the answer is handed to another. Whoever
//! gives a job up has it leave the queue, or ends the work for it.
#![forbid(unsafe_code)]

mod addresses;
mod answer;
mod jobs;
mod lease;
mod metrics;
mod place;
mod queriers;
mod queue;
mod scheduler;
mod worker;

pub use crate::addresses::{AddressError, Addresses};
pub use crate::jobs::Jobs;
pub use crate::metrics::{QueueMetrics, QueuePlace};
pub use crate::scheduler::{MaxQueriers, Scheduler, SchedulerSettings};
pub use crate::worker::{HttpWork, Work, Worker, WorkerSettings};
