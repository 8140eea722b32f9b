//! Puts partials together one by one, as they come, with the memory for what is held reserved.

use std::collections::HashMap;

use super::{
    answer::Answer,
    merge::unknown_leaf,
    partial::{Body, Partial},
    plan::{Plan, Root},
};
use crate::{Budget, Error};

/// What was put together so far of a query that is evaluated in pieces; see [`Plan::gather`].
#[derive(Debug)]
pub struct Gathered<'p> {
    plan: &'p Plan,
    budget: Budget,
    leaves: HashMap<u32, (Partial, Held)>,
}

/// What is known of the memory of a leaf without counting it.
#[derive(Debug, Default)]
struct Held {
    /// When it was last counted.
    counted: u64,
    /// What came to it since.
    added: u64,
}

/// What may come to a leaf before it is counted anew, besides as much as it had: merging finds equal series.
const UNCOUNTED_BYTES: u64 = 1 << 20;

impl Plan {
    /// Begins to put partials together. It is the same as [`Plan::merge`], but what is held grows with the answer and not
    /// with the number of partials, and all of it counts against the budget.
    pub fn gather(&self, budget: &Budget) -> Gathered<'_> {
        Gathered { plan: self, budget: budget.clone(), leaves: HashMap::new() }
    }
}

impl Gathered<'_> {
    /// Adds a partial; those of a leaf in the order of the rows that they share out.
    ///
    /// # Errors
    /// A partial of another plan; the budget is used up.
    pub fn add(&mut self, mut partial: Partial) -> Result<(), Error> {
        let leaf = self.plan.leaf_plan(partial.leaf).ok_or_else(|| unknown_leaf(partial.leaf))?;
        let bytes = partial.body.bytes();
        let Some((own, held)) = self.leaves.get_mut(&partial.leaf) else {
            partial.charges = vec![self.budget.charge(bytes)?];
            self.leaves.insert(partial.leaf, (partial, Held { counted: bytes, added: 0 }));
            return Ok(());
        };
        partial.charges = Vec::new();
        own.merge(partial, leaf.shape())?;
        held.added = held.added.saturating_add(bytes);
        let Some(charge) = own.charges.first_mut() else { return Ok(()) };
        let estimate = held.counted.saturating_add(held.added);
        if held.added <= held.counted.saturating_add(UNCOUNTED_BYTES) && charge.set(estimate).is_ok() {
            return Ok(());
        }
        *held = Held { counted: own.body.bytes(), added: 0 };
        Ok(charge.set(held.counted)?)
    }

    /// Whether a log query has as many lines as are wanted, so that rows beyond those that were added do not matter.
    pub fn is_full(&self) -> bool {
        let full = |limit: usize| {
            self.leaves.get(&0).is_some_and(|(partial, _)| match &partial.body {
                Body::Rows(rows) => rows.rows.len() >= limit,
                _ => false,
            })
        };
        matches!(self.plan.root, Root::Logs) && self.plan.params.limit.is_some_and(full)
    }

    /// The answer.
    ///
    /// # Errors
    /// As for [`Plan::merge`].
    pub fn finish(self) -> Result<Answer, Error> {
        let leaves = self.leaves.into_iter().map(|(number, (partial, _))| (number, partial)).collect();
        self.plan.answer(leaves, &self.budget)
    }
}
