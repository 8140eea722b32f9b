//! Tests of heads.
