//! Look-ups in the tables that this process opens itself, for others.

use std::sync::Arc;

use narvi_index::{IndexError, Part};
use narvi_logql::Budget;

use super::{IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, IndexWanted};
use crate::{
    Error, ErrorKind, Result,
    read::{Finder, FoundBlocks, IndexStats, Tables, index_error},
};

/// The folder of tables: no other object is opened for whoever asks.
const FOLDER: &str = "index/";

/// Answers from the tables that a [`Reader`](crate::Reader) opens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct IndexTables(Arc<Tables>);

impl IndexTables {
    pub(crate) fn new(tables: Arc<Tables>) -> Self {
        Self(tables)
    }

    /// What one table holds.
    ///
    /// # Errors
    /// It cannot be read, is damaged or gone; the budget is used up.
    pub fn answer(&self, question: &IndexQuestion, table: &IndexTable, budget: &Budget) -> Result<IndexAnswer> {
        budget.check().map_err(Error::from)?;
        match question.wanted {
            IndexWanted::Blocks => {
                let look_up = || self.blocks(question, table, budget);
                self.0.watch.measure(|stats| &mut stats.blocks, look_up)
            }
            IndexWanted::LabelNames => {
                self.0.watch.measure(|stats| &mut stats.label_names, || self.texts(question, table))
            }
            IndexWanted::LabelValues(_) => {
                self.0.watch.measure(|stats| &mut stats.label_values, || self.texts(question, table))
            }
        }
    }

    /// What look-ups have taken: one for each table.
    pub fn stats(&self) -> IndexStats {
        self.0.stats()
    }

    #[cfg(test)]
    pub(super) fn is_unused(&self) -> bool {
        self.0.open_count() == 0
    }

    /// The part of a table that may hold something of the question.
    fn part(&self, question: &IndexQuestion, table: &IndexTable) -> Result<Option<(narvi_index::Table, Part)>> {
        if !table.key.starts_with(FOLDER) {
            return Err(Error::new(ErrorKind::Invalid, format!("{} is no index table", table.key.escape_default())));
        }
        let open = self.0.open(&table.key)?;
        let part = open.part(question.tenant.as_str()).map_err(|error| index_error(&table.key, &error))?;
        Ok(part.filter(|part| part.range().overlaps(&table.range)).map(|part| (open, part)))
    }

    fn blocks(&self, question: &IndexQuestion, table: &IndexTable, budget: &Budget) -> Result<IndexAnswer> {
        let mut found = FoundBlocks::default();
        if let Some((open, part)) = self.part(question, table)? {
            let mut finder = Finder::new(1);
            let added = finder.add_table(&open, &part, &question.matchers, table.range, budget);
            added.map_err(|why| why.of(&table.key))?;
            found = finder.found;
        }
        Ok(IndexAnswer::of_blocks(question, table, &found))
    }

    fn texts(&self, question: &IndexQuestion, table: &IndexTable) -> Result<IndexAnswer> {
        let failed = |error: IndexError| index_error(&table.key, &error);
        let Some((_, part)) = self.part(question, table)? else {
            return Ok(IndexAnswer::of_texts(question, table, &[]));
        };
        let series = (!question.matchers.is_empty()).then(|| part.select(&question.matchers)).transpose();
        let series = series.map_err(failed)?;
        let texts = match &question.wanted {
            IndexWanted::LabelValues(name) => part.label_values(name, series.as_ref()),
            _ => part.label_names(series.as_ref()),
        };
        Ok(IndexAnswer::of_texts(question, table, &texts.map_err(failed)?))
    }
}

impl IndexLookUps for IndexTables {
    fn look_up(&self, question: &IndexQuestion, tables: &[IndexTable], budget: &Budget) -> Result<Vec<IndexAnswer>> {
        tables.iter().map(|table| self.answer(question, table, budget)).collect()
    }
}
