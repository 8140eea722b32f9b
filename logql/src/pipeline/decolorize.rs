//! `| decolorize`: removes ANSI escape sequences from the line.

use memchr::memmem::Finder;
use narvi_types::regex::{Regex, RegexError, RegexOptions};

use super::row::Row;

/// Escape sequences: an introducer, then either text up to a bell (titles, links) or parameters and a final byte (colours,
/// cursor movements), as ECMA-48 and xterm define them.
const SEQUENCES: &str = "[\\x{1b}\\x{9b}][\\[\\]()#;?]*(?:(?:(?:[a-zA-Z0-9]*(?:;[a-zA-Z0-9]*)*)?\\x{07})|\
                         (?:(?:[0-9]{1,4}(?:;[0-9]{0,4})*)?[0-9A-PRZcf-ntqry=><~]))";

/// The compiled stage.
#[derive(Debug)]
pub(super) struct Decolorize {
    regex: Regex,
    introducer: Finder<'static>,
}

impl Decolorize {
    pub(super) fn new() -> Result<Self, RegexError> {
        Ok(Self { regex: Regex::new(SEQUENCES, RegexOptions::LINE)?, introducer: Finder::new("\u{9b}").into_owned() })
    }

    /// Runs the stage on a row.
    pub(super) fn run(&self, row: &mut Row<'_>) {
        let line = row.line();
        if memchr::memchr(0x1b, line).is_none() && self.introducer.find(line).is_none() {
            return;
        }
        let mut spare = std::mem::take(&mut row.s.spare);
        spare.clear();
        let line = row.line();
        let mut at = 0;
        for found in self.regex.find_iter(line) {
            spare.extend_from_slice(line.get(at..found.start).unwrap_or(&[]));
            at = found.end;
        }
        spare.extend_from_slice(line.get(at..).unwrap_or(&[]));
        row.s.spare = spare;
        row.take_spare_line();
    }
}
