//! The language: from text to the syntax tree and back.

mod jsonpath;
mod pattern;

pub use self::jsonpath::{JsonPath, JsonSegment};
pub use self::pattern::{PatternExpr, PatternPart};
