//! Loki's HTTP API over a Narvi store: decoding of pushes, forms of parameters, encoding of answers, routes.
#![forbid(unsafe_code)]

pub mod push;
