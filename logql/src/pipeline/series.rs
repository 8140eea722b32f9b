//! The label sets of results as numbers. A row's set is found by a key of what makes it up, so that a set that was met before
//! costs one look-up and no allocation.

use std::{borrow::Cow, collections::HashMap};

use narvi_types::{Labels, Metadata, Pairs};

use super::{
    compile::Program,
    keys::{ERROR, ERROR_DETAILS, NO_NAME, Name, Names, PRESERVE_ERROR},
    needs::{LabelNeeds, SeriesLabels},
    row::{Category, Row},
    table::ByteTable,
};
use crate::Error;

/// All series of a runner.
#[derive(Debug)]
pub(super) struct SeriesTable {
    list: Vec<Series>,
    by_labels: HashMap<SeriesLabels, u32>,
    keys: ByteTable,
    /// The series of each key.
    of_key: Vec<u32>,
    key: Vec<u8>,
    bytes: usize,
}

#[derive(Debug)]
struct Series {
    labels: SeriesLabels,
    error: bool,
}

impl SeriesTable {
    pub(super) fn new() -> Self {
        Self {
            list: Vec::new(),
            by_labels: HashMap::new(),
            keys: ByteTable::new(),
            of_key: Vec::new(),
            key: Vec::new(),
            bytes: 0,
        }
    }

    pub(super) fn get(&self, id: u32) -> &SeriesLabels {
        &self.list[id as usize].labels
    }

    /// Whether rows of the series fail a metric query.
    pub(super) fn has_error(&self, id: u32) -> bool {
        self.list.get(id as usize).is_some_and(|s| s.error)
    }

    pub(super) fn len(&self) -> u32 {
        self.list.len() as u32
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.keys.bytes()
    }

    /// Forgets the keys, whose numbers of names and streams are about to change. Series stay.
    pub(super) fn forget_keys(&mut self) {
        self.keys.clear();
        self.of_key.clear();
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.forget_keys();
        self.list.clear();
        self.by_labels.clear();
        self.bytes = 0;
    }

    /// The series of a row.
    ///
    /// # Errors
    /// Labels too long to be stored.
    pub(super) fn of(&mut self, row: &Row<'_>, stream_id: u32, program: &Program, names: &Names) -> Result<u32, Error> {
        let mut key = std::mem::take(&mut self.key);
        key.clear();
        let scope = Scope::of(row, program);
        scope.write_key(row, stream_id, program, &mut key);
        let (id, new) = self.keys.intern(&key);
        self.key = key;
        if !new {
            return Ok(self.of_key.get(id as usize).copied().unwrap_or(0));
        }
        let series = scope.labels(row, program, names).and_then(|labels| self.intern(labels, row));
        // A key without a series must not stay.
        if series.is_err() {
            self.forget_keys();
        }
        let series = series?;
        self.of_key.push(series);
        Ok(series)
    }

    fn intern(&mut self, labels: SeriesLabels, row: &Row<'_>) -> Result<u32, Error> {
        let error = labels.labels.get("__error__").is_some_and(|e| !e.is_empty()) && !row.s.preserve_error;
        if let Some(id) = self.by_labels.get(&labels) {
            return Ok(*id);
        }
        let id = u32::try_from(self.list.len())
            .map_err(|_| Error::Evaluation("too many series for one query; aggregate by fewer labels".into()))?;
        self.bytes += 2 * labels.labels.packed().len() + 128;
        self.by_labels.insert(labels.clone(), id);
        self.list.push(Series { labels, error });
        Ok(id)
    }
}

/// Which labels of a row make up its series.
enum Scope<'p> {
    /// All but these.
    AllBut(&'p [Name], Option<Name>),
    Only(&'p [Name]),
}

impl<'p> Scope<'p> {
    fn of(row: &Row<'_>, program: &'p Program) -> Self {
        // An error would be lost in a group, so such a row keeps all its labels, even the one that was unwrapped.
        if row.s.error.is_some() && !row.s.preserve_error {
            return Self::AllBut(&[], None);
        }
        let unwrapped = program.unwrap.as_ref().map(|u| u.name);
        match program.needs.labels {
            LabelNeeds::All => Self::AllBut(&[], unwrapped),
            LabelNeeds::Without(_) => Self::AllBut(&program.group, unwrapped),
            LabelNeeds::By(_) => Self::Only(&program.group),
            LabelNeeds::None => Self::Only(&[]),
        }
    }

    fn holds(&self, name: Name) -> bool {
        match self {
            Self::AllBut(names, unwrapped) => name != NO_NAME && Some(name) != *unwrapped && !names.contains(&name),
            Self::Only(names) => names.contains(&name),
        }
    }

    /// Writes what tells the series of this row from others.
    fn write_key(&self, row: &Row<'_>, stream_id: u32, program: &Program, key: &mut Vec<u8>) {
        let value = |key: &mut Vec<u8>, value: &[u8]| {
            key.extend_from_slice(&(value.len() as u32).to_le_bytes());
            key.extend_from_slice(value);
        };
        match self {
            Self::Only(names) => {
                key.push(1);
                for name in *names {
                    match self.value_of(row, *name) {
                        Some(text) => {
                            key.push(1);
                            value(key, text);
                        }
                        None => key.push(0),
                    }
                }
            }
            Self::AllBut(..) => {
                key.push(2 + u8::from(row.s.error.is_some() && program.unwrap.is_some()));
                key.extend_from_slice(&stream_id.to_le_bytes());
                for index in 0..row.stream.entries.len() {
                    if row.s.is_deleted(index) {
                        key.push(index as u8);
                    }
                }
                key.push(0xff);
                for entry in row.s.entries.iter().filter(|e| self.holds(e.name)) {
                    key.extend_from_slice(&entry.name.to_le_bytes());
                    key.push(u8::from(entry.category == Category::Parsed));
                    value(key, row.bytes(entry.value));
                }
                for text in [row.s.error, row.s.details] {
                    key.push(u8::from(text.is_some()) | 2);
                    value(key, text.map_or(&[], |t| row.text(t)));
                }
                key.push(u8::from(row.s.preserve_error));
            }
        }
    }

    /// The value of a label, or of the error and its details.
    fn value_of<'r>(&self, row: &'r Row<'_>, name: Name) -> Option<&'r [u8]> {
        match name {
            ERROR if row.s.error.is_some() => Some(row.error()),
            ERROR_DETAILS if row.s.details.is_some() => row.s.details.map(|d| row.text(d)),
            PRESERVE_ERROR if row.s.preserve_error => Some(b"true"),
            _ => row.get(name).map(|(value, _)| value),
        }
    }

    fn labels(&self, row: &Row<'_>, program: &Program, names: &Names) -> Result<SeriesLabels, Error> {
        let mut all: Vec<(Cow<'_, str>, Cow<'_, str>, Category)> = Vec::new();
        // In metric queries an empty value is no label, as in Prometheus.
        let empties = program.needs.lines;
        let mut add = |name: Name, value: &[u8], category| {
            if value.is_empty() && !empties {
                return;
            }
            all.push((text(names.bytes_of(name)).into(), text(value).into(), category));
        };
        match self {
            Self::Only(group) => {
                for name in *group {
                    if let Some(value) = self.value_of(row, *name) {
                        add(*name, value, Category::Parsed);
                    }
                }
            }
            Self::AllBut(..) => {
                let special = |name: Name| {
                    name == ERROR && row.s.error.is_some() || name == ERROR_DETAILS && row.s.details.is_some()
                };
                for name in [ERROR, ERROR_DETAILS, PRESERVE_ERROR] {
                    let set = special(name) || name == PRESERVE_ERROR && row.s.preserve_error;
                    if let Some(value) = self.value_of(row, name).filter(|_| set) {
                        add(name, value, Category::Parsed);
                    }
                }
                for entry in row.s.entries.iter().filter(|e| self.holds(e.name) && !special(e.name)) {
                    add(entry.name, row.bytes(entry.value), entry.category);
                }
                for (index, (name, _, _)) in row.stream.entries.iter().enumerate() {
                    if self.holds(*name) && !row.s.is_deleted(index) && !row.has_entry(*name) {
                        add(*name, row.stream.value(index), Category::Stream);
                    }
                }
            }
        }
        // A name of structured metadata may get a suffix that makes it the name of another label: the first counts.
        let mut seen = std::collections::HashSet::new();
        all.retain(|(name, _, _)| seen.insert(name.clone()));
        let too_long =
            |e: narvi_types::PairError| Error::Evaluation(format!("a label of the result cannot be kept: {e}"));
        let pairs = || all.iter().map(|(n, v, c)| (&**n, &**v, *c));
        let of = |category: Category| pairs().filter(move |(_, _, c)| *c == category).map(|(n, v, _)| (n, v));
        let mut series = SeriesLabels {
            labels: Labels::from_result_pairs(pairs().map(|(n, v, _)| (n, v))).map_err(too_long)?,
            ..SeriesLabels::default()
        };
        if program.needs.categorise {
            let sorted = |category| {
                let mut pairs: Vec<_> = of(category).collect();
                pairs.sort_unstable();
                pairs
            };
            series.stream = Labels::from_result_pairs(of(Category::Stream)).map_err(too_long)?;
            series.structured = Metadata::from_pairs(sorted(Category::Structured)).map_err(too_long)?;
            series.parsed = Pairs::new(sorted(Category::Parsed)).map_err(too_long)?;
        }
        Ok(series)
    }
}

/// Text for bytes, with U+FFFD for every byte that is not UTF-8, as Go decodes it.
fn text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}
