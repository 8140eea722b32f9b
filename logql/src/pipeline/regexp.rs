//! `| regexp`: the named groups of the first match become labels. No match is no error.

use narvi_types::regex::{Groups, Regex};

use super::{
    parser::{Flow, Tools},
    row::{Row, Span, Verdict},
};

/// The compiled stage. The names of its groups are the first keys of its runner, in this order.
#[derive(Debug)]
pub(super) struct Regexp {
    pub(super) regex: Regex,
    /// Numbers of the named groups.
    pub(super) groups: Vec<usize>,
}

impl Regexp {
    /// Runs the stage on a row. `regex` is the runner's own clone.
    pub(super) fn run(&self, row: &mut Row<'_>, tools: &mut Tools<'_>, regex: &Regex, groups: &mut Groups) -> Verdict {
        if tools.nothing_left(row) {
            return Verdict::Keep;
        }
        row.with_line(|row, line, direct| {
            if !regex.captures(line, groups) {
                return Verdict::Keep;
            }
            for (index, &group) in self.groups.iter().enumerate() {
                let action = tools.action(index as u32 + 1, row);
                if !tools.wants(action, row) {
                    continue;
                }
                let span = groups.get(group).map_or(Span::EMPTY, |r| row.cut(line, direct, r.start, r.end));
                let flow = tools.set(action, span, row);
                if flow != Flow::Continue {
                    return flow.verdict();
                }
            }
            Verdict::Keep
        })
    }
}
