//! How a query of much data could be split by streams: what Loki's frontend asks before it shards.

use std::{fmt::Write, sync::Arc};

use axum::{extract::State, response::Response};

use super::{
    Asked, json,
    labels::{bounds, selector},
};
use crate::{App, encode, error::ApiError};

/// The most shards that are told.
const MOST: u64 = 1024;

/// Ranges of equal width over the hashes of streams, as many as the target asks for.
pub(crate) async fn shards(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let target = asked.form.bytes("targetBytesPerShard")?;
    if target == 0 {
        return Err(ApiError::bad("targetBytesPerShard must be a positive value"));
    }
    let selector = selector(asked.form.get("query"))?;
    let budget = app.budget(&asked.limits);
    let work = move |app: &App, budget: &_| app.view(&asked.tenants)?.stream_stats(&selector, range, budget);
    let (stats, _) = app.ask(budget, work).await?;
    let count = stats.line_bytes.div_ceil(target).next_power_of_two().clamp(1, MOST);
    let width = u64::MAX / count;
    let mut out = String::from("{\"shards\":[");
    for at in 0..count {
        let comma = if at > 0 { "," } else { "" };
        let (min, max) =
            (if at == 0 { 0 } else { at * width + 1 }, if at + 1 == count { u64::MAX } else { (at + 1) * width });
        // Streams are taken to be spread evenly. Writing to a string cannot fail.
        let _ = write!(
            out,
            "{comma}{{\"bounds\":{{\"min\":{min},\"max\":{max}}},\"stats\":{{\"streams\":{},\"chunks\":{},\"bytes\":{},\
             \"entries\":{}}}}}",
            stats.streams.div_ceil(count),
            stats.blocks.div_ceil(count),
            stats.line_bytes.div_ceil(count),
            stats.entries.div_ceil(count),
        );
    }
    let mut out = out.into_bytes();
    out.extend_from_slice(b"],\"statistics\":");
    encode::no_stats(&mut out);
    out.extend_from_slice(b",\"chunkGroups\":null}");
    Ok(json(out))
}
