//! A frontend over queriers in this process: several sources that hold the same logs.

mod cached;
mod failures;
mod model;
mod queriers;
