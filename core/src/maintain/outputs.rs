//! Where merged rows go: large parts of one tenant, period and retention class into files of their own, all others into shared ones.

use std::collections::BTreeSet;

use narvi_chunk::Rows;
use narvi_types::{Labels, Tenant};

use super::inputs::Section;
use crate::{
    Result,
    writer::{FileSettings, Files, Only, Output},
};

/// The files of one merge. At most two packs are held in memory.
pub(super) struct Outputs<'a> {
    settings: FileSettings<'a>,
    /// Bytes of lines from which on a part is split off.
    min_split_bytes: u64,
    /// Parts that are split off however small, since others were before: replicas must find each other.
    split: BTreeSet<Only>,
    /// What no other merge has in its keys.
    name: &'a str,
    /// How many tables were begun.
    begun: usize,
    shared: Option<Files<'a>>,
    /// The part that is being written, if it is split off.
    own: Option<Files<'a>>,
    done: Output,
}

impl<'a> Outputs<'a> {
    pub(super) fn new(settings: FileSettings<'a>, name: &'a str, min_split_bytes: u64, split: BTreeSet<Only>) -> Self {
        Self { settings, min_split_bytes, split, name, begun: 0, shared: None, own: None, done: Output::default() }
    }

    /// Begins the rows of a tenant in one period and class, of about so many bytes of lines.
    pub(super) fn begin_part(&mut self, tenant: &Tenant, section: &Section) -> Result<()> {
        self.end_part()?;
        let only = Only { tenant: tenant.clone(), period: section.period, class: section.class };
        if section.line_bytes >= self.min_split_bytes || self.split.contains(&only) {
            self.own = Some(self.files(Some(only)));
        } else if self.shared.is_none() {
            self.shared = Some(self.files(None));
        }
        Ok(())
    }

    fn files(&mut self, only: Option<Only>) -> Files<'a> {
        self.begun += 1;
        Files::new(self.settings, format!("{}-{}", self.name, self.begun), only)
    }

    /// Writes rows of the part that was begun.
    pub(super) fn block(&mut self, tenant: &Tenant, labels: &Labels, rows: &impl Rows) -> Result<()> {
        match self.own.as_mut().or(self.shared.as_mut()) {
            Some(files) => files.block(tenant, labels, rows),
            None => Ok(()),
        }
    }

    fn end_part(&mut self) -> Result<()> {
        self.own.take().map_or(Ok(()), |own| self.end(own))
    }

    fn end(&mut self, files: Files<'a>) -> Result<()> {
        let output = files.finish()?;
        self.done.packs.extend(output.packs);
        self.done.tables.extend(output.tables);
        Ok(())
    }

    /// Completes all files.
    pub(super) fn finish(mut self) -> Result<Output> {
        self.end_part()?;
        if let Some(shared) = self.shared.take() {
            self.end(shared)?;
        }
        Ok(self.done)
    }
}
