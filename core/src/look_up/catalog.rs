//! A catalog that asks others what the tables of its manifest hold.

use std::{collections::BTreeSet, sync::Arc};

use narvi_logql::Budget;
use narvi_types::{Matcher, Selector, Tenant, TimeRange};

use super::{IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, IndexWanted};
use crate::{
    Error, ErrorKind, Result,
    read::{Catalog, Finder, FoundBlocks, StoreCatalog, Watch},
};

/// The tables of one manifest, seen through others.
#[derive(Debug)]
pub(crate) struct AskedCatalog {
    /// The manifest, and how to open its tables here.
    pub(crate) own: StoreCatalog,
    pub(crate) others: Arc<dyn IndexLookUps>,
    /// Whether tables are opened here when nobody else answers.
    pub(crate) fallback: bool,
}

impl AskedCatalog {
    fn ask(
        &self,
        tenant: &Tenant,
        wanted: IndexWanted,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<(IndexTable, IndexAnswer)>> {
        let tables: Vec<IndexTable> = self
            .own
            .files(tenant, range)
            .map(|file| IndexTable { key: file.key.clone(), range: file.range.intersect(&range) })
            .collect();
        if tables.is_empty() {
            return Ok(Vec::new());
        }
        let question = IndexQuestion { tenant: tenant.clone(), wanted, matchers: matchers.to_vec() };
        let answers = self.others.look_up(&question, &tables, budget)?;
        if answers.len() != tables.len() {
            let text = format!("the index was asked about {} tables and told of {}", tables.len(), answers.len());
            return Err(Error::new(ErrorKind::Unavailable, text));
        }
        Ok(tables.into_iter().zip(answers).collect())
    }

    fn ask_blocks(
        &self,
        tenant: &Tenant,
        selector: &Selector,
        range: TimeRange,
        budget: &Budget,
    ) -> Result<FoundBlocks> {
        let answers = self.ask(tenant, IndexWanted::Blocks, selector.matchers(), range, budget)?;
        let bytes = answers.iter().map(|(_, answer)| answer.bytes().len() as u64).sum();
        let _charge = budget.charge(bytes).map_err(Error::from)?;
        let mut finder = Finder::new(answers.len());
        for (table, answer) in &answers {
            answer.blocks(table, &mut finder, budget)?;
        }
        Ok(finder.found)
    }

    fn ask_texts(
        &self,
        tenant: &Tenant,
        wanted: IndexWanted,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<BTreeSet<String>> {
        let mut texts = BTreeSet::new();
        for (table, answer) in self.ask(tenant, wanted, matchers, range, &Budget::unlimited())? {
            answer.texts(&table, &mut texts)?;
        }
        Ok(texts)
    }

    /// The own way where others cannot answer, if that is wanted. What a query used up is no reason.
    fn or_own<T>(&self, asked: Result<T>, own: impl FnOnce() -> Result<T>) -> Result<T> {
        match asked {
            Err(error) if self.fallback && error.kind() != ErrorKind::Query => own(),
            asked => asked,
        }
    }
}

impl Catalog for AskedCatalog {
    fn watch(&self) -> &Watch {
        self.own.watch()
    }

    fn find_blocks(
        &self,
        tenant: &Tenant,
        selector: &Selector,
        range: TimeRange,
        budget: &Budget,
    ) -> Result<FoundBlocks> {
        let asked = self.ask_blocks(tenant, selector, range, budget);
        self.or_own(asked, || self.own.find_blocks(tenant, selector, range, budget))
    }

    fn find_names(
        &self,
        tenant: &Tenant,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        let asked = self.ask_texts(tenant, IndexWanted::LabelNames, matchers, range);
        let asked = asked.map(|mut texts| out.append(&mut texts));
        self.or_own(asked, || self.own.find_names(tenant, matchers, range, out))
    }

    fn find_values(
        &self,
        tenant: &Tenant,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        out: &mut BTreeSet<String>,
    ) -> Result<()> {
        let asked = self.ask_texts(tenant, IndexWanted::LabelValues(name.to_owned()), matchers, range);
        let asked = asked.map(|mut texts| out.append(&mut texts));
        self.or_own(asked, || self.own.find_values(tenant, name, matchers, range, out))
    }
}
