//! Patterns of lines, where they are mined.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use narvi::{PushStream, Tenant};

use super::{
    Asked, json,
    labels::{bounds, selector},
};
use crate::{App, encode, error::ApiError};

const SECOND: i64 = 1_000_000_000;

impl App {
    /// Learns patterns from lines that were stored.
    pub(crate) fn learn_patterns(&self, tenant: &Tenant, streams: &[PushStream]) {
        let Some(patterns) = &self.patterns else { return };
        for stream in streams {
            patterns.learn(tenant, &stream.labels, &stream.entries);
        }
    }
}

/// Without patterns being mined, Loki answers 404 without a text.
pub(crate) async fn patterns(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    if app.patterns.is_none() {
        return Ok((StatusCode::NOT_FOUND, "").into_response());
    }
    let range = bounds(&app, &asked)?;
    let step = asked.form.step(range.min, range.max)? / SECOND;
    let selector = selector(asked.form.get("query"))?;
    let budget = app.budget(&asked.limits);
    let work = move |app: &App, _: &_| {
        let mut all: BTreeMap<(String, String), BTreeMap<i64, u64>> = BTreeMap::new();
        for tenant in &asked.tenants {
            let Some(store) = &app.patterns else { continue };
            for found in store.find(tenant, &selector, range.min, range.max, step) {
                let sums = all.entry((found.pattern, found.level)).or_default();
                found.samples.iter().for_each(|(at, count)| *sums.entry(*at).or_default() += count);
            }
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(_, samples)| std::cmp::Reverse(samples.values().sum::<u64>()));
        Ok(all)
    };
    let (found, _) = app.ask(budget, work).await?;
    let mut out = b"{\"status\":\"success\",\"data\":".to_vec();
    encode::list(&mut out, &found, |out, ((pattern, level), samples)| {
        out.extend_from_slice(b"{\"pattern\":");
        encode::string(out, pattern.as_bytes(), true);
        out.extend_from_slice(b",\"level\":");
        encode::string(out, level.as_bytes(), false);
        let samples: Vec<String> = samples.iter().map(|(at, count)| format!("[{at},{count}]")).collect();
        out.extend_from_slice(format!(",\"samples\":[{}]}}", samples.join(",")).as_bytes());
    });
    out.push(b'}');
    Ok(json(out))
}
