//! Frontends, schedulers and queriers over loopback, and the queue in one process.

mod cluster;
mod jobs;
mod losses;
mod shares;
