//! What all parsers share: tools at hand, and the way a value found under a key becomes a label.

use super::{
    hints::Hints,
    keys::{self, Action, Keys, NO_NAME, Name, Names},
    label_filter::Filter,
    row::{Row, Span, Verdict},
};

/// What a parser works with besides the row.
pub(super) struct Tools<'t> {
    pub(super) names: &'t mut Names,
    /// The keys that this stage has met.
    pub(super) keys: &'t mut Keys,
    pub(super) hints: &'t Hints,
    /// The filters that may run early.
    pub(super) early: &'t [Filter],
    /// Objects that are open, reused.
    pub(super) stack: &'t mut Vec<u32>,
}

/// Whether a parser goes on after a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    /// All required labels are found.
    Enough,
    /// An early filter refuses the line.
    Drop,
}

impl Flow {
    /// The verdict of a parser that stops here.
    pub(super) fn verdict(self) -> Verdict {
        if self == Self::Drop { Verdict::Drop } else { Verdict::Keep }
    }
}

impl Tools<'_> {
    /// Whether an earlier parser has found all labels already.
    pub(super) fn nothing_left(&self, row: &Row<'_>) -> bool {
        self.hints.required() != 0 && row.s.found >= self.hints.required()
    }

    /// What to do with the key.
    #[inline]
    pub(super) fn action(&mut self, node: u32, row: &Row<'_>) -> Action {
        let (names, hints) = (&mut *self.names, self.hints);
        if row.shape_holds() {
            self.keys.action(node, row.shape, |name| keys::resolve(name, names, |n| row.is_taken(n), hints))
        } else {
            let name = self.keys.name(node);
            Action { plain: false, ..keys::resolve(name, names, |n| row.is_taken(n), hints) }
        }
    }

    /// What to do with a name that is known without a key.
    pub(super) fn action_of_name(&mut self, name: Name, row: &Row<'_>) -> Action {
        let action = keys::resolve(name, self.names, |n| row.is_taken(n), self.hints);
        Action { plain: false, ..action }
    }

    /// Whether the value of a key is wanted: the first value of a name stays.
    #[inline]
    pub(super) fn wants(&self, action: Action, row: &Row<'_>) -> bool {
        action.target != NO_NAME && !row.has_parsed(action.target)
    }

    /// Sets the label that a key stands for and says whether to go on.
    #[inline]
    pub(super) fn set(&self, action: Action, value: Span, row: &mut Row<'_>) -> Flow {
        if action.plain {
            row.push_parsed(action.target, value);
        } else {
            row.set(action.target, value);
        }
        self.after_set(action, row)
    }

    /// Runs the early filter of a label that was just set and counts it.
    #[inline]
    pub(super) fn after_set(&self, action: Action, row: &mut Row<'_>) -> Flow {
        if action.early != 0
            && let Some(filter) = self.early.get(usize::from(action.early) - 1)
            && !filter.keeps(row)
        {
            return Flow::Drop;
        }
        if action.required {
            row.s.found += 1;
            if row.s.found >= self.hints.required() {
                return Flow::Enough;
            }
        }
        Flow::Continue
    }

    /// Marks the row with the error of a parser.
    pub(super) fn fail(&self, error: &'static str, details: Option<super::row::Text>, row: &mut Row<'_>) {
        row.set_error(error, details);
        row.s.preserve_error |= self.hints.preserve_error;
    }
}

impl Row<'_> {
    /// Calls a parser with the current line and whether spans may point into it.
    pub(super) fn with_line<T>(&mut self, parse: impl FnOnce(&mut Self, &[u8], bool) -> T) -> T {
        if self.s.rewritten {
            let line = std::mem::take(&mut self.s.line);
            let result = parse(self, &line, false);
            self.s.line = line;
            result
        } else {
            let line = self.original;
            parse(self, line, true)
        }
    }

    /// The value at a place of the line; copies it if the line is not the stored one.
    #[inline]
    pub(super) fn cut(&mut self, line: &[u8], direct: bool, start: usize, end: usize) -> Span {
        if direct { Span::line(start, end) } else { self.store(line.get(start..end).unwrap_or(&[])) }
    }
}
