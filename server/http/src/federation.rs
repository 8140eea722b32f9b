//! Questions to one tenant or to several at once: the rows of several are told apart by a label with the tenant's name.

use std::{collections::BTreeSet, ops::ControlFlow};

use narvi::{
    Labels, Matcher, Selector, StreamStats, Tenant, TimeRange,
    logql::{
        self, AddedLabel, Answer, Batch, Budget, LeafScope, Part, Query, ScanRequest, Segment, Source, SourceError,
    },
};
use narvi_logs::{Asking, LogsError, Read, View as TenantView};

use crate::{App, error::ApiError};

/// The label that names the tenant.
const TENANT_LABEL: &str = "__tenant_id__";
/// What a label of that name in the data becomes.
const ORIGINAL_LABEL: &str = "original___tenant_id__";

/// Rows of several tenants as one source. Of one tenant, nothing is added to its rows.
pub(crate) struct View {
    tenants: Vec<(Tenant, Box<dyn TenantView>)>,
}

impl App {
    /// A view of the rows of tenants.
    pub(crate) fn view(&self, tenants: &[Tenant]) -> Result<View, ApiError> {
        Ok(View::of(self.read()?, tenants))
    }

    /// Evaluates a query on the rows of tenants.
    pub(crate) fn evaluate(&self, tenants: &[Tenant], query: &Query, budget: &Budget) -> Result<Answer, ApiError> {
        self.evaluate_as(tenants, query, budget, &Asking::default())
    }

    /// Evaluates a query on the rows of tenants, here or by means of other processes.
    pub(crate) fn evaluate_as(
        &self,
        tenants: &[Tenant],
        query: &Query,
        budget: &Budget,
        asking: &Asking,
    ) -> Result<Answer, ApiError> {
        if let Some(queries) = &self.logs().queries {
            return Ok(queries.evaluate(tenants, query, budget, asking)?);
        }
        Ok(logql::evaluate(query, &self.view(tenants)?, &*self.read()?.executor(), budget)?)
    }

    /// Evaluates parts of a query on the rows of tenants, here, for a frontend that splits queries: gives what each scope
    /// gives, in their order, until `give` breaks off. Blocks.
    ///
    /// # Errors
    /// As those of queries; a scope of a leaf that the query does not have; nothing is read in this process.
    pub fn evaluate_scopes(
        &self,
        tenants: &[Tenant],
        query: &Query,
        scopes: &[LeafScope],
        budget: &Budget,
        give: &mut dyn FnMut(ScopeAnswer) -> ControlFlow<()>,
    ) -> Result<(), LogsError> {
        let read = self.logs().read.as_deref().ok_or_else(|| LogsError::answer(500, "this process reads no logs"))?;
        let plan = query.plan()?;
        for scope in scopes {
            let unknown = || logql::Error::Evaluation(format!("the query has no leaf {}", scope.leaf));
            let leaf = plan.leaf(*scope).ok_or_else(unknown)?;
            // Before the view is taken, which then knows these requests to delete, or newer ones.
            let deletes = deletes_version(read, tenants)?;
            let (bytes, lines) = (budget.bytes_read(), budget.lines_read());
            let partial = logql::evaluate_leaf(&leaf, &View::of(read, tenants), &*read.executor(), budget)?;
            let answer = ScopeAnswer {
                partial: partial.encode(),
                bytes_read: budget.bytes_read().saturating_sub(bytes),
                lines_read: budget.lines_read().saturating_sub(lines),
                deletes,
            };
            if give(answer).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// What a part of a query gives; see [`App::evaluate_scopes`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct ScopeAnswer {
    /// A [`Partial`](logql::Partial) as bytes.
    pub partial: Vec<u8>,
    /// Bytes of lines that were read for it.
    pub bytes_read: u64,
    /// Lines that were read for it.
    pub lines_read: u64,
    /// What requests to delete the tenants had: another number for other requests, 0 for none.
    pub deletes: u64,
}

/// One number for the requests to delete of all tenants.
fn deletes_version(read: &dyn Read, tenants: &[Tenant]) -> Result<u64, LogsError> {
    if let [only] = tenants {
        return read.deletes_version(only);
    }
    let mut all = 0;
    for tenant in tenants {
        let version = read.deletes_version(tenant)?;
        if version != 0 {
            all = tenant
                .as_str()
                .bytes()
                .fold(all ^ version, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        }
    }
    Ok(all)
}

impl View {
    fn of(read: &dyn Read, tenants: &[Tenant]) -> Self {
        Self { tenants: tenants.iter().map(|tenant| (tenant.clone(), read.view(tenant))).collect() }
    }
}

impl Source for View {
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<Box<dyn Part>>, SourceError> {
        if let [(_, only)] = self.tenants.as_slice() {
            return only.parts(request, budget);
        }
        let mut all: Vec<Box<dyn Part>> = Vec::new();
        for (tenant, view) in &self.tenants {
            let Some(selector) = narrow(request.selector.matchers(), tenant) else { continue };
            let mut of_tenant = request.clone();
            of_tenant.selector = Selector::new(selector);
            for part in view.parts(&of_tenant, budget)? {
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
impl View {
    /// The names of labels.
    pub(crate) fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, ApiError> {
        if let [(_, only)] = self.tenants.as_slice() {
            return Ok(only.label_names(matchers, range, budget)?);
        }
        let mut names = BTreeSet::new();
        for (tenant, view) in &self.tenants {
            let Some(matchers) = narrow(matchers, tenant) else { continue };
            // As in Loki, a label of that name in the data is not told under its other name.
            names.extend(view.label_names(&matchers, range, budget)?);
        }
        if !names.is_empty() {
            names.insert(TENANT_LABEL.to_owned());
        }
        Ok(names.into_iter().collect())
    }

    /// The values of a label.
    pub(crate) fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, ApiError> {
        if let [(_, only)] = self.tenants.as_slice() {
            return Ok(only.label_values(name, matchers, range, budget)?);
        }
        let mut values = BTreeSet::new();
        for (tenant, view) in &self.tenants {
            let Some(matchers) = narrow(matchers, tenant) else { continue };
            match name {
                TENANT_LABEL => {
                    values.insert(tenant.as_str().to_owned());
                }
                ORIGINAL_LABEL => values.extend(view.label_values(TENANT_LABEL, &matchers, range, budget)?),
                _ => values.extend(view.label_values(name, &matchers, range, budget)?),
            }
        }
        Ok(values.into_iter().collect())
    }

    /// The streams that one of the selectors selects; without a selector all.
    pub(crate) fn series(
        &self,
        selectors: &[Selector],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<Labels>, ApiError> {
        if let [(_, only)] = self.tenants.as_slice() {
            return Ok(only.series(selectors, range, budget)?);
        }
        let mut all = BTreeSet::new();
        for (tenant, view) in &self.tenants {
            let narrowed = selectors.iter().filter_map(|s| narrow(s.matchers(), tenant)).map(Selector::new);
            let narrowed: Vec<Selector> = narrowed.collect();
            if narrowed.is_empty() && !selectors.is_empty() {
                continue;
            }
            let found = view.series(&narrowed, range, budget)?;
            let added = label(tenant);
            all.extend(found.iter().map(|labels| added.to(labels)));
        }
        Ok(all.into_iter().collect())
    }

    /// Counts of what a selector selects.
    pub(crate) fn stream_stats(
        &self,
        selector: &Selector,
        range: TimeRange,
        budget: &Budget,
    ) -> Result<StreamStats, ApiError> {
        if let [(_, only)] = self.tenants.as_slice() {
            return Ok(only.stream_stats(selector, range, budget)?);
        }
        let mut sum = StreamStats::default();
        for (tenant, view) in &self.tenants {
            let Some(matchers) = narrow(selector.matchers(), tenant) else { continue };
            let stats = view.stream_stats(&Selector::new(matchers), range, budget)?;
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
