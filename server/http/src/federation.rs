//! Questions to one tenant or to several at once: the rows of several are told apart by a label with the tenant's name.

use std::collections::BTreeSet;

use narvi::{
    Labels, Matcher, Selector, Snapshot, StreamStats, Tenant, TimeRange,
    logql::{AddedLabel, Batch, Budget, Part, ScanRequest, Segment, Source, SourceError},
};

use crate::{App, error::ApiError};

/// The label that names the tenant.
const TENANT_LABEL: &str = "__tenant_id__";
/// What a label of that name in the data becomes.
const ORIGINAL_LABEL: &str = "original___tenant_id__";

/// Rows of several tenants as one source. Of one tenant, nothing is added to its rows.
pub(crate) struct View {
    tenants: Vec<(Tenant, Snapshot)>,
}

impl App {
    /// A view of the rows of tenants.
    pub(crate) fn view(&self, tenants: &[Tenant]) -> View {
        View { tenants: tenants.iter().map(|tenant| (tenant.clone(), self.db.snapshot(tenant))).collect() }
    }
}

impl Source for View {
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<Box<dyn Part>>, SourceError> {
        if let [(_, only)] = self.tenants.as_slice() {
            return only.parts(request, budget);
        }
        let mut all: Vec<Box<dyn Part>> = Vec::new();
        for (tenant, snapshot) in &self.tenants {
            let Some(selector) = narrow(request.selector.matchers(), tenant) else { continue };
            let mut of_tenant = request.clone();
            of_tenant.selector = Selector::new(selector);
            for part in snapshot.parts(&of_tenant, budget)? {
                all.push(Box::new(Named { inner: part, added: label(tenant) }));
            }
        }
        match request.direction {
            narvi::Direction::Forward => all.sort_by_key(|part| part.range().min),
            narvi::Direction::Backward => all.sort_by_key(|part| std::cmp::Reverse(part.range().max)),
        }
        Ok(all)
    }
}

/// A part whose rows bear the name of their tenant. As in Loki, stages do not see it.
struct Named {
    inner: Box<dyn Part>,
    added: AddedLabel,
}

impl Part for Named {
    fn range(&self) -> TimeRange {
        self.inner.range()
    }

    fn segments(&self) -> &[Segment] {
        self.inner.segments()
    }

    fn added(&self) -> Option<&AddedLabel> {
        Some(&self.added)
    }

    fn open(&self, budget: &Budget) -> Result<Box<dyn Batch + '_>, SourceError> {
        self.inner.open(budget)
    }
}

/// What a tenant is asked: the matchers without those on the tenant itself; `None` if those exclude it.
fn narrow(matchers: &[Matcher], tenant: &Tenant) -> Option<Vec<Matcher>> {
    let mut narrowed = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        match matcher.name() {
            TENANT_LABEL if matcher.matches(tenant.as_str()) => {}
            TENANT_LABEL => return None,
            // The same expression compiled before, so this does not fail.
            ORIGINAL_LABEL => narrowed.extend(Matcher::new(TENANT_LABEL, matcher.op(), matcher.value()).ok()),
            _ => narrowed.push(matcher.clone()),
        }
    }
    Some(narrowed)
}

/// The label with the tenant's name.
fn label(tenant: &Tenant) -> AddedLabel {
    AddedLabel { name: TENANT_LABEL.to_owned(), value: tenant.as_str().to_owned(), former: ORIGINAL_LABEL.to_owned() }
}

/// Questions about streams, to one tenant or several.
impl App {
    /// The names of labels.
    pub(crate) fn label_names(
        &self,
        tenants: &[Tenant],
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>, ApiError> {
        if let [tenant] = tenants {
            return Ok(self.db.label_names(tenant, matchers, range)?);
        }
        let mut names = BTreeSet::new();
        for tenant in tenants {
            let Some(matchers) = narrow(matchers, tenant) else { continue };
            // As in Loki, a label of that name in the data is not told under its other name.
            names.extend(self.db.label_names(tenant, &matchers, range)?);
        }
        if !names.is_empty() {
            names.insert(TENANT_LABEL.to_owned());
        }
        Ok(names.into_iter().collect())
    }

    /// The values of a label.
    pub(crate) fn label_values(
        &self,
        tenants: &[Tenant],
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<String>, ApiError> {
        if let [tenant] = tenants {
            return Ok(self.db.label_values(tenant, name, matchers, range)?);
        }
        let mut values = BTreeSet::new();
        for tenant in tenants {
            let Some(matchers) = narrow(matchers, tenant) else { continue };
            match name {
                TENANT_LABEL => {
                    values.insert(tenant.as_str().to_owned());
                }
                ORIGINAL_LABEL => values.extend(self.db.label_values(tenant, TENANT_LABEL, &matchers, range)?),
                _ => values.extend(self.db.label_values(tenant, name, &matchers, range)?),
            }
        }
        Ok(values.into_iter().collect())
    }

    /// The streams that one of the selectors selects; without a selector all.
    pub(crate) fn series(
        &self,
        tenants: &[Tenant],
        selectors: &[Selector],
        range: TimeRange,
    ) -> Result<Vec<Labels>, ApiError> {
        if let [tenant] = tenants {
            return Ok(self.db.series(tenant, selectors, range)?);
        }
        let mut all = BTreeSet::new();
        for tenant in tenants {
            let narrowed = selectors.iter().filter_map(|s| narrow(s.matchers(), tenant)).map(Selector::new);
            let narrowed: Vec<Selector> = narrowed.collect();
            if narrowed.is_empty() && !selectors.is_empty() {
                continue;
            }
            let found = self.db.series(tenant, &narrowed, range)?;
            let added = label(tenant);
            all.extend(found.iter().map(|labels| added.to(labels)));
        }
        Ok(all.into_iter().collect())
    }

    /// Counts of what a selector selects.
    pub(crate) fn stream_stats(
        &self,
        tenants: &[Tenant],
        selector: &Selector,
        range: TimeRange,
    ) -> Result<StreamStats, ApiError> {
        if let [tenant] = tenants {
            return Ok(self.db.stream_stats(tenant, selector, range)?);
        }
        let mut sum = StreamStats::default();
        for tenant in tenants {
            let Some(matchers) = narrow(selector.matchers(), tenant) else { continue };
            let stats = self.db.stream_stats(tenant, &Selector::new(matchers), range)?;
            sum.streams += stats.streams;
            sum.blocks += stats.blocks;
            sum.entries += stats.entries;
            sum.line_bytes += stats.line_bytes;
        }
        Ok(sum)
    }
}

#[cfg(test)]
mod tests {
    use narvi::{Labels, MatchOp, Matcher, Tenant};

    use super::{label, narrow};

    #[test]
    fn matchers_on_the_tenant_choose_tenants() {
        let matcher = |name: &str, op, value: &str| Matcher::new(name, op, value).expect("valid");
        let tenant = Tenant::new("a").expect("valid");
        let app = matcher("app", MatchOp::Equal, "x");
        assert_eq!(narrow(&[matcher("__tenant_id__", MatchOp::Equal, "b"), app.clone()], &tenant), None);
        let asked = [matcher("__tenant_id__", MatchOp::Regex, "a|b"), app.clone()];
        assert_eq!(narrow(&asked, &tenant), Some(vec![app]));
        let asked = [matcher("original___tenant_id__", MatchOp::Equal, "z")];
        assert_eq!(narrow(&asked, &tenant), Some(vec![matcher("__tenant_id__", MatchOp::Equal, "z")]));
    }

    #[test]
    fn rows_bear_their_tenant() {
        let tenant = Tenant::new("a").expect("valid");
        let labels = Labels::from_pairs([("__tenant_id__", "faked"), ("app", "x")]).expect("valid");
        let named = r#"{__tenant_id__="a", app="x", original___tenant_id__="faked"}"#;
        assert_eq!(label(&tenant).to(&labels).to_string(), named);
    }
}
