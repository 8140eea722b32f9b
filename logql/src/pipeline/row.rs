//! One row on its way through the stages: its line, its labels in three categories, its error.
//!
//! A row allocates nothing: values are places in the line, in the text of the structured metadata or in one buffer that is
//! reused, and names are numbers. A label is looked up among those that stages made (parsed), then in structured metadata,
//! then in the labels of the stream; setting one hides the others of its name for good, as in Loki.

use narvi_types::{Labels, Pairs};

use super::keys::{Action, ERROR, ERROR_DETAILS, NO_NAME, Name, Names};

/// Where the bytes of a value lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) source: Source,
    pub(super) start: u32,
    pub(super) len: u32,
}

/// The buffer that a [`Span`] points into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The line as it is stored.
    Line,
    /// The row's own buffer.
    Values,
    /// The packed text of the structured metadata.
    Metadata,
}

impl Span {
    pub(super) const EMPTY: Self = Self { source: Source::Line, start: 0, len: 0 };

    pub(super) fn line(start: usize, end: usize) -> Self {
        Self { source: Source::Line, start: start as u32, len: (end - start) as u32 }
    }
}

/// Which kind of label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Category {
    /// Made by a stage.
    Parsed,
    /// Stored with the entry.
    Structured,
    /// The stream's.
    Stream,
}

/// A label that is not the stream's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// [`NO_NAME`] once deleted.
    pub(super) name: Name,
    pub(super) category: Category,
    pub(super) value: Span,
}

/// The labels of a stream with their names as numbers.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) labels: Labels,
    /// Name, and where the value lies in the packed text.
    pub(super) entries: Vec<(Name, u32, u32)>,
}

impl Stream {
    pub(super) fn new(labels: &Labels, names: &mut Names) -> Self {
        let text = labels.packed();
        let entries = labels
            .iter()
            .map(|(name, value)| {
                let start = offset_in(text, value);
                (names.intern(name.as_bytes()), start, value.len() as u32)
            })
            .collect();
        Self { labels: labels.clone(), entries }
    }

    pub(super) fn find(&self, name: Name) -> Option<usize> {
        self.entries.iter().position(|(n, _, _)| *n == name)
    }

    pub(super) fn value(&self, index: usize) -> &[u8] {
        let Some(&(_, start, len)) = self.entries.get(index) else { return &[] };
        bytes_at(self.labels.packed().as_bytes(), start, len)
    }
}

/// Where `part` begins in the text that it was cut from.
pub(super) fn offset_in(text: &str, part: &str) -> u32 {
    (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize) as u32
}

pub(super) fn bytes_at(text: &[u8], start: u32, len: u32) -> &[u8] {
    text.get(start as usize..start as usize + len as usize).unwrap_or(&[])
}

/// An error of a row: one of Loki's five, or what structured metadata said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    Fixed(&'static str),
    At(Span),
}

/// `__error__` of the parsers `json` and `unpack`.
pub(super) const JSON_ERROR: &str = "JSONParserErr";
/// `__error__` of the parser `logfmt`.
pub(super) const LOGFMT_ERROR: &str = "LogfmtParserErr";
/// `__error__` of label filters that cannot convert a value.
pub(super) const FILTER_ERROR: &str = "LabelFilterErr";
/// `__error__` of `unwrap`.
pub(super) const SAMPLE_ERROR: &str = "SampleExtractionErr";
/// `__error__` of templates.
pub(super) const TEMPLATE_ERROR: &str = "TemplateFormatErr";

/// Where the labels of one name stand, valid while the generation is the current one.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    generation: u32,
    /// Index into entries, plus 1.
    parsed: u32,
    structured: u32,
}

/// The part of a row that outlives it: buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) entries: Vec<Entry>,
    pub(super) values: Vec<u8>,
    slots: Vec<Slot>,
    generation: u32,
    /// Which of the stream's labels are deleted; empty if none is.
    pub(super) deleted: Vec<bool>,
    /// A label of structured metadata was deleted.
    structured_deleted: bool,
    pub(super) error: Option<Text>,
    pub(super) details: Option<Text>,
    pub(super) preserve_error: bool,
    /// The line, once a stage has rewritten it.
    pub(super) line: Vec<u8>,
    /// The next line while a stage writes it.
    pub(super) spare: Vec<u8>,
    pub(super) rewritten: bool,
    /// Labels that a parser has found but not set yet.
    pub(super) pending: Vec<(Action, Span)>,
    /// Which paths of a stage have a value.
    pub(super) paths_found: Vec<bool>,
    /// The keys of the objects that are open around a place of a line.
    pub(super) open_keys: Vec<OpenKey>,
    /// Label values from before the assignments of a stage; see [`super::format`].
    pub(super) saved: Vec<(Name, Option<Span>)>,
    /// Labels that are required and have been found.
    pub(super) found: usize,
    /// Parse exactly as Loki's JSON scanner does, because the line is not plain JSON.
    pub(super) exact: bool,
}

impl Scratch {
    /// Bytes held by what templates and parsers write; the rest is small.
    pub(super) fn bytes(&self) -> usize {
        self.values.capacity() + self.line.capacity() + self.spare.capacity()
    }
}

/// A key as a place in the line: its start, its end, and whether it holds escapes.
pub(super) type OpenKey = (usize, usize, bool);

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    Drop,
    /// Begin again with [`Scratch::exact`].
    Restart,
}

/// One row.
pub(super) struct Row<'a> {
    pub(super) ts: i64,
    pub(super) original: &'a [u8],
    pub(super) metadata: &'a Pairs,
    pub(super) stream: &'a Stream,
    /// Which names the stream and the structured metadata take, as a number; see [`super::shapes`].
    pub(super) shape: u32,
    pub(super) s: &'a mut Scratch,
}

impl<'a> Row<'a> {
    /// Starts a row: no label but the stream's, no error.
    pub(super) fn begin(&mut self, exact: bool) {
        let s = &mut *self.s;
        s.entries.clear();
        s.values.clear();
        s.deleted.clear();
        s.structured_deleted = false;
        s.error = None;
        s.details = None;
        s.preserve_error = false;
        s.rewritten = false;
        s.found = 0;
        s.exact = exact;
        s.generation = s.generation.wrapping_add(1);
        if s.generation == 0 {
            s.slots.clear();
            s.generation = 1;
        }
    }

    /// Adds structured metadata under the names that its shape gives it.
    pub(super) fn add_structured(&mut self, targets: &[Name]) {
        let packed = self.metadata.packed();
        for (&name, (_, value)) in targets.iter().zip(self.metadata.iter()) {
            let start = offset_in(packed, value);
            let value = Span { source: Source::Metadata, start, len: value.len() as u32 };
            match name {
                ERROR => self.s.error = Some(Text::At(value)),
                ERROR_DETAILS => self.s.details = Some(Text::At(value)),
                _ => {
                    let index = self.s.entries.len() as u32 + 1;
                    let slot = self.s.slot_mut(name);
                    let old = std::mem::replace(&mut slot.structured, index);
                    if let Some(old) = old.checked_sub(1) {
                        self.s.entries[old as usize].name = NO_NAME;
                    }
                    self.s.entries.push(Entry { name, category: Category::Structured, value });
                }
            }
        }
    }

    pub(super) fn line(&self) -> &[u8] {
        if self.s.rewritten { &self.s.line } else { self.original }
    }

    /// Replaces the line by what was written to [`Scratch::spare`].
    pub(super) fn take_spare_line(&mut self) {
        std::mem::swap(&mut self.s.line, &mut self.s.spare);
        self.s.rewritten = true;
    }

    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        let from = match span.source {
            Source::Line => self.original,
            Source::Values => &self.s.values,
            Source::Metadata => self.metadata.packed().as_bytes(),
        };
        bytes_at(from, span.start, span.len)
    }

    pub(super) fn text(&self, text: Text) -> &[u8] {
        match text {
            Text::Fixed(text) => text.as_bytes(),
            Text::At(span) => self.bytes(span),
        }
    }

    /// The error, empty if there is none.
    pub(super) fn error(&self) -> &[u8] {
        self.s.error.map_or(&[], |e| self.text(e))
    }

    /// The value of a label and its category. Does not know the error.
    pub(super) fn get(&self, name: Name) -> Option<(&[u8], Category)> {
        if let Some(entry) = self.s.find(name) {
            return Some((self.bytes(entry.value), entry.category));
        }
        let index = self.stream.find(name)?;
        (!self.s.is_deleted(index)).then(|| (self.stream.value(index), Category::Stream))
    }

    /// The value of a label as label filters see it: `__error__` is the error of the row.
    pub(super) fn get_or_error(&self, name: Name) -> Option<&[u8]> {
        if name == ERROR {
            return self.s.error.map(|e| self.text(e));
        }
        self.get(name).map(|(value, _)| value)
    }

    /// Whether the stream or the structured metadata uses that name, so that a parser must take another.
    pub(super) fn is_taken(&self, name: Name) -> bool {
        self.stream.find(name).is_some() || self.s.slot(name).structured != 0
    }

    /// Whether names can be resolved by the shape alone.
    pub(super) fn shape_holds(&self) -> bool {
        !self.s.structured_deleted
    }

    /// Whether a stage has made a label of that name.
    #[inline]
    pub(super) fn has_parsed(&self, name: Name) -> bool {
        self.s.slot(name).parsed != 0
    }

    /// Where among the entries the label stands that a stage made under that name.
    pub(super) fn parsed_place(&self, name: Name) -> Option<usize> {
        self.s.slot(name).parsed.checked_sub(1).map(|place| place as usize)
    }

    /// Sets a label, hiding those of structured metadata and the stream.
    pub(super) fn set(&mut self, name: Name, value: Span) {
        let slot = self.s.slot(name);
        if let Some(old) = slot.parsed.checked_sub(1) {
            self.s.entries[old as usize].value = value;
            return;
        }
        if slot.structured != 0 {
            self.delete_structured(name);
        }
        if let Some(index) = self.stream.find(name) {
            self.s.delete_stream(index, self.stream.entries.len());
        }
        self.push_parsed(name, value);
    }

    /// Sets a label whose name is known to be unused.
    #[inline]
    pub(super) fn push_parsed(&mut self, name: Name, value: Span) {
        self.s.entries.push(Entry { name, category: Category::Parsed, value });
        let index = self.s.entries.len() as u32;
        self.s.slot_mut(name).parsed = index;
    }

    /// Removes a label from all categories.
    pub(super) fn delete(&mut self, name: Name) {
        let slot = self.s.slot(name);
        if let Some(index) = slot.parsed.checked_sub(1) {
            self.s.entries[index as usize].name = NO_NAME;
            self.s.slot_mut(name).parsed = 0;
        }
        if slot.structured != 0 {
            self.delete_structured(name);
        }
        if let Some(index) = self.stream.find(name) {
            self.s.delete_stream(index, self.stream.entries.len());
        }
    }

    /// Whether the label is one of structured metadata or made by a stage.
    pub(super) fn has_entry(&self, name: Name) -> bool {
        let slot = self.s.slot(name);
        slot.parsed != 0 || slot.structured != 0
    }

    /// Removes the label at that place in the entries.
    pub(super) fn delete_entry(&mut self, index: usize) {
        let Some(entry) = self.s.entries.get_mut(index) else { return };
        let name = std::mem::replace(&mut entry.name, NO_NAME);
        let structured = entry.category == Category::Structured;
        if name == NO_NAME {
            return;
        }
        let slot = self.s.slot_mut(name);
        if structured {
            slot.structured = 0;
            self.s.structured_deleted = true;
        } else {
            slot.parsed = 0;
        }
    }

    fn delete_structured(&mut self, name: Name) {
        let slot = self.s.slot_mut(name);
        if let Some(index) = std::mem::take(&mut slot.structured).checked_sub(1) {
            self.s.entries[index as usize].name = NO_NAME;
            self.s.structured_deleted = true;
        }
    }

    /// Copies a value into the row's own buffer.
    pub(super) fn store(&mut self, value: &[u8]) -> Span {
        let start = self.s.values.len();
        self.s.values.extend_from_slice(value);
        self.stored_since(start)
    }

    /// A span with the value of a label; copies it only if it is the stream's.
    pub(super) fn span_of(&mut self, name: Name) -> Option<Span> {
        if let Some(entry) = self.s.find(name) {
            return Some(entry.value);
        }
        let index = self.stream.find(name).filter(|i| !self.s.is_deleted(*i))?;
        let start = self.s.values.len();
        self.s.values.extend_from_slice(self.stream.value(index));
        Some(self.stored_since(start))
    }

    /// What was appended to [`Scratch::values`] since it was that long.
    pub(super) fn stored_since(&self, start: usize) -> Span {
        Span { source: Source::Values, start: start as u32, len: (self.s.values.len() - start) as u32 }
    }

    /// Sets an error with details; a later one replaces it.
    pub(super) fn set_error(&mut self, error: &'static str, details: Option<Text>) {
        self.s.error = Some(Text::Fixed(error));
        self.s.details = details;
    }
}

impl Scratch {
    fn slot(&self, name: Name) -> Slot {
        match self.slots.get(name as usize) {
            Some(slot) if slot.generation == self.generation => *slot,
            _ => Slot::default(),
        }
    }

    fn slot_mut(&mut self, name: Name) -> &mut Slot {
        let at = name as usize;
        if at >= self.slots.len() {
            self.slots.resize((at + 1).next_power_of_two(), Slot::default());
        }
        let slot = &mut self.slots[at];
        if slot.generation != self.generation {
            *slot = Slot { generation: self.generation, parsed: 0, structured: 0 };
        }
        slot
    }

    fn find(&self, name: Name) -> Option<&Entry> {
        let slot = self.slot(name);
        let index = if slot.parsed != 0 { slot.parsed } else { slot.structured };
        self.entries.get(index.checked_sub(1)? as usize)
    }

    pub(super) fn is_deleted(&self, index: usize) -> bool {
        self.deleted.get(index).copied().unwrap_or(false)
    }

    pub(super) fn delete_stream(&mut self, index: usize, len: usize) {
        if self.deleted.is_empty() {
            self.deleted.resize(len, false);
        }
        if let Some(deleted) = self.deleted.get_mut(index) {
            *deleted = true;
        }
    }
}
