//! Integration tests: memberships alike, gossip over loopback, lives of instances.

mod cluster;
mod gossip;
mod suite;
