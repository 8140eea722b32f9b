//! Tests of the language over its public API.
