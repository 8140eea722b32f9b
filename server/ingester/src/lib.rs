//! The ingester: keeps pushed lines in a store that other processes read too, and gives them those lines that are not in files
//! yet.
//!
//! An [`Ingester`] is a [`Db`](narvi::Db) behind the service of `narvi-rpc`. It checks sizes, says whether it is
//! ready, and leaves in order: pushes that are under way end, later ones are refused so that their sender takes another
//! instance, and everything in memory is written into files.
//!
//! ```
//! use std::sync::Arc;
//!
//! use narvi_ingester::{Ingester, IngesterSettings};
//! use narvi_rpc::{IngesterService, Services};
//!
//! let db = narvi::Builder::in_memory().open()?;
//! let ingester = Arc::new(Ingester::new(db, IngesterSettings::default()));
//! ingester.set_ready();
//! let services = Services::new().ingester(ingester.clone());
//! // narvi_rpc::serve(listener, services, limits, shutdown).await
//! ingester.leave()?;
//! assert!(ingester.ready().is_err());
//! # drop(services);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod ingester;
mod tail;

pub use crate::ingester::{Ingester, IngesterSettings};
