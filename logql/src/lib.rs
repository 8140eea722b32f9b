//! LogQL: parse, print, plan and evaluate over a [`Source`].
//!
//! This crate does no I/O and starts no thread. A program that holds logs implements [`Source`] (and, to use several
//! cores, [`Executor`]) and gets Loki's query language over its own data.
//!
//! # Parse and print
//!
//! ```
//! use narvi_logql::{caret, parse, pretty};
//!
//! let expr = parse(r#"sum by (status) (rate({app="web"} | json | status >= 500 [5m]))"#)?;
//! assert_eq!(expr.to_string(), r#"sum by (status)(rate({app="web"} | json | status>=500[5m]))"#);
//! println!("{}", pretty(&expr));
//!
//! // Errors are in Loki's words, and know their place.
//! let text = r#"{app="web"} | json |"#;
//! let error = parse(text).unwrap_err();
//! assert!(error.to_string().starts_with("parse error at line 1, col 21: syntax error: unexpected $end"));
//! assert!(caret(text, &error).ends_with("^\n"));
//! # Ok::<(), narvi_logql::Error>(())
//! ```
//!
//! # Evaluate
//!
//! Here over logs in memory; any other [`Source`] is asked in the same way. [`evaluate`] gives a whole answer,
//! [`for_each_row`] the lines of a log query one by one, in bounded memory.
//!
//! ```
//! use narvi_logql::{Budget, Data, Inline, Params, Query, evaluate, memory::MemorySource, parse};
//! use narvi_types::{Entry, Labels, Timestamp};
//!
//! let mut logs = MemorySource::new();
//! let web = Labels::from_pairs([("app", "web")])?;
//! for (second, line) in [(1, "status=200 took=5ms"), (2, "status=503 took=2s"), (3, "status=500 took=10ms")] {
//!     logs.push(&web, Entry::new(Timestamp::from_secs(second), line));
//! }
//!
//! let expr = parse(r#"{app="web"} | logfmt | took < 1s | line_format "{{.status}} after {{.took}}""#)?;
//! let query = Query::new(expr, Params::range(0, 60_000_000_000, 0));
//! let answer = evaluate(&query, &logs, &Inline, &Budget::unlimited())?;
//! let Data::Streams(streams) = answer.data else { unreachable!("a log query") };
//! let lines: Vec<_> = streams.iter().flat_map(|stream| &stream.entries).map(|entry| &entry.line[..]).collect();
//! assert_eq!(lines, [&b"200 after 5ms"[..], b"500 after 10ms"]);
//!
//! let expr = parse(r#"sum(count_over_time({app="web"} | logfmt | status >= 500 [1m]))"#)?;
//! let query = Query::new(expr, Params::instant(60_000_000_000));
//! let Data::Vector(vector) = evaluate(&query, &logs, &Inline, &Budget::unlimited())?.data else { unreachable!() };
//! assert_eq!(vector[0].value, 2.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Split and merge
//!
//! A [`Plan`] has leaves, which read logs, and a tree that merges what they give. A leaf can be cut by streams and by time; each
//! piece gives a [`Partial`], which can be encoded, and the merge of all is exactly what the whole would have given. An
//! expression for which that does not hold is not cut.
//!
//! ```
//! use narvi_logql::{Budget, Data, Inline, Params, Partial, Query, StreamShard, evaluate_leaf, memory::MemorySource, parse};
//! use narvi_types::{Entry, Labels, Timestamp};
//!
//! let mut logs = MemorySource::new();
//! for pod in ["a", "b", "c"] {
//!     logs.push(&Labels::from_pairs([("pod", pod)])?, Entry::new(Timestamp::from_secs(1), "ready"));
//! }
//! let query = Query::new(parse(r#"sum(count_over_time({pod=~".+"}[1m]))"#)?, Params::instant(60_000_000_000));
//! let (plan, budget) = (query.plan()?, Budget::unlimited());
//! let mut partials = Vec::new();
//! for leaf in plan.leaves() {
//!     for index in 0..2 {
//!         let piece = leaf.clone().with_shard(StreamShard { index, of: 2 });
//!         let bytes = evaluate_leaf(&piece, &logs, &Inline, &budget)?.encode();
//!         partials.push(Partial::decode(&bytes, &plan)?);
//!     }
//! }
//! let Data::Vector(vector) = plan.merge(partials, &budget)?.data else { unreachable!() };
//! assert_eq!(vector[0].value, 3.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! Every query has a [`Budget`]: memory, bytes read, time, and a way to cancel it from another thread. What would exceed it
//! fails with an error that says what to do; nothing is cut off in silence.
//!
//! ```
//! use narvi_logql::{Budget, BudgetError, BudgetLimits, Error, Inline, Params, Query, evaluate, memory::MemorySource, parse};
//! use narvi_types::{Entry, Labels, Timestamp};
//!
//! let mut logs = MemorySource::new();
//! logs.push(&Labels::from_pairs([("app", "web")])?, Entry::new(Timestamp::from_secs(1), "x".repeat(1 << 20)));
//! let query = Query::new(parse(r#"{app="web"}"#)?, Params::range(0, 60_000_000_000, 0));
//! let mut limits = BudgetLimits::default();
//! limits.memory_bytes = Some(1 << 19);
//! let error = evaluate(&query, &logs, &Inline, &Budget::new(limits)).unwrap_err();
//! assert!(matches!(error, Error::Budget(BudgetError::Memory { limit_bytes: 524_288 })));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod ast;
mod budget;
mod error;
mod eval;
pub mod memory;
mod pipeline;
mod source;
mod syntax;
pub mod template;
pub mod value;

pub use crate::budget::{Budget, BudgetError, BudgetLimits, Charge};
pub use crate::error::{Error, Position};
pub use crate::eval::{
    Answer, Data, Gathered, Leaf, LeafScope, MAX_POINTS, Params, Partial, Piece, Plan, Query, ResultEntry, Row,
    RowSummary, Sample, Series, Statistics, StreamResult, align_to_step, check_resolution, evaluate, evaluate_leaf,
    floor_to_step, for_each_row,
};
pub use crate::pipeline::{LabelNeeds, Needs, Pipeline, RowOut, Runner, SeriesLabels, ValueNeeds};
pub use crate::source::{
    AddedLabel, Batch, Columns, Executor, Inline, Lines, MetadataColumn, NeedleGroup, Needles, Part, ScanRequest,
    Segment, Source, SourceError, StreamShard,
};
pub use crate::syntax::{
    JsonPath, JsonSegment, PatternExpr, PatternPart, caret, parse, parse_label_pairs, parse_labels, parse_log,
    parse_selector, pretty, require_matcher,
};
