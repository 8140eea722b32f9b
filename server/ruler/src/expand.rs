//! Labels and annotations of alerts: their templates run over what a query gave.

use std::collections::{BTreeMap, HashSet};

use narvi::{
    Labels, LabelsBuilder, Tenant,
    logql::{
        Sample,
        template::{AlertData, Fields, QuerySample, Template},
    },
};
use tokio::runtime::Handle;

use crate::{Evaluate, Rule, RuleKind, alert::Found, times::Nanos};

/// What templates see beside the sample.
pub(crate) struct Context<'a> {
    pub(crate) evaluate: &'a dyn Evaluate,
    pub(crate) tenant: &'a Tenant,
    pub(crate) at: Nanos,
    pub(crate) external_labels: &'a [(String, String)],
    pub(crate) external_url: &'a str,
    /// Where the queries of templates run; the caller must be allowed to block.
    pub(crate) runtime: &'a Handle,
}

struct LabelFields<'a>(&'a Labels);

impl Fields for LabelFields<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(str::as_bytes)
    }

    fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&'a str, &'a [u8])) {
        for (name, value) in self.0.iter() {
            visitor(name, value.as_bytes());
        }
    }
}

/// The alerts of a rule for the samples of its query. Blocks.
///
/// # Errors
/// Two alerts have the same labels.
pub(crate) fn alerts(
    rule: &Rule,
    group_labels: &BTreeMap<String, String>,
    samples: &[Sample],
    context: &Context<'_>,
) -> Result<Vec<Found>, String> {
    let RuleKind::Alert { name, annotations, .. } = &rule.kind else { return Ok(Vec::new()) };
    let template_name = format!("__alert_{name}");
    let parse = |texts: &BTreeMap<String, String>| -> Vec<(String, Result<Template, String>)> {
        let parse = |text: &str| {
            Template::parse_alert(&template_name, text)
                .map_err(|error| format!("<error expanding template: error parsing template {template_name}: {error}>"))
        };
        texts.iter().map(|(key, text)| (key.clone(), parse(text))).collect()
    };
    let mut own = group_labels.clone();
    own.extend(rule.labels.clone());
    let (labels, annotations) = (parse(&own), parse(annotations));
    let mut seen = HashSet::with_capacity(samples.len());
    let mut found = Vec::with_capacity(samples.len());
    for sample in samples {
        let expand = |template: &Result<Template, String>| run(template, &template_name, sample, context);
        let mut built = LabelsBuilder::from_labels(&sample.labels);
        built.remove("__name__");
        for (key, template) in &labels {
            match expand(template) {
                value if value.is_empty() => drop(built.remove(key)),
                value => drop(built.set(key, value)),
            };
        }
        built.set("alertname", name);
        let labels = built.build().map_err(|error| format!("labels of the alert: {error}"))?;
        if !seen.insert(labels.clone()) {
            return Err("vector contains metrics with the same labelset after applying alert labels".to_owned());
        }
        let annotations = annotations.iter().map(|(key, template)| (key.clone(), expand(template))).collect();
        found.push(Found { labels, annotations, value: sample.value });
    }
    Ok(found)
}

fn run(template: &Result<Template, String>, name: &str, sample: &Sample, context: &Context<'_>) -> String {
    let template = match template {
        Ok(template) => template,
        Err(text) => return text.clone(),
    };
    let query = |text: &str| -> Result<Vec<QuerySample>, String> {
        let samples = context.runtime.block_on(context.evaluate.instant(context.tenant, text, context.at))?;
        let pairs = |labels: &Labels| labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(samples.iter().map(|sample| (pairs(&sample.labels), sample.value)).collect())
    };
    let data = AlertData {
        labels: &LabelFields(&sample.labels),
        value: sample.value,
        external_labels: context.external_labels,
        external_url: context.external_url,
        query: &query,
    };
    template
        .run_alert(&data)
        .unwrap_or_else(|error| format!("<error expanding template: error executing template {name}: {error}>"))
}

/// The series of a recording rule for the samples of its query.
///
/// # Errors
/// Two series have the same labels.
pub(crate) fn series(
    rule: &Rule,
    group_labels: &BTreeMap<String, String>,
    samples: &[Sample],
) -> Result<Vec<(Labels, f64)>, String> {
    let mut seen = HashSet::with_capacity(samples.len());
    let mut all = Vec::with_capacity(samples.len());
    for sample in samples {
        let mut built = LabelsBuilder::from_labels(&sample.labels);
        for (name, value) in group_labels.iter().chain(&rule.labels) {
            if value.is_empty() {
                built.remove(name)
            } else {
                built.set(name, value)
            };
        }
        built.set("__name__", rule.name());
        let labels = built.build().map_err(|error| format!("labels of the series: {error}"))?;
        if !seen.insert(labels.clone()) {
            return Err("vector contains metrics with the same labelset after applying rule labels".to_owned());
        }
        all.push((labels, sample.value));
    }
    Ok(all)
}
