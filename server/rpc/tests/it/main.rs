//! Clients and servers over loopback.

mod calls;
mod faults;
mod server;
