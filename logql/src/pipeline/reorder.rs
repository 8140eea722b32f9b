//! The order in which stages run: Loki moves line filters in front of the stages that they stand behind, up to the last
//! label filter, `line_format` or `unpack`. So a line filter behind `decolorize` sees the colours.

use crate::ast::Stage;

/// The stages in the order in which they run.
pub(super) fn reorder(stages: &[Stage]) -> Vec<&Stage> {
    let mut ordered = Vec::with_capacity(stages.len());
    let mut filters = Vec::new();
    let mut others = Vec::new();
    for stage in stages {
        match stage {
            Stage::LineFilter(_) => filters.push(stage),
            Stage::LabelFilter(_) | Stage::LineFormat(_) | Stage::Unpack => {
                ordered.append(&mut filters);
                ordered.append(&mut others);
                ordered.push(stage);
            }
            _ => others.push(stage),
        }
    }
    ordered.append(&mut filters);
    ordered.append(&mut others);
    ordered
}

/// Whether a stage reads the line.
pub(super) fn reads_line(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::LineFilter(_)
            | Stage::Json(_)
            | Stage::Logfmt { .. }
            | Stage::Regexp(_)
            | Stage::Pattern(_)
            | Stage::Unpack
    )
}

/// Whether a stage takes labels out of the line.
pub(super) fn is_parser(stage: &Stage) -> bool {
    reads_line(stage) && !matches!(stage, Stage::LineFilter(_))
}

#[cfg(test)]
mod tests {
    use super::reorder;
    use crate::ast::{LineFilter, LineMatch, Stage};

    #[test]
    fn line_filters_move_to_the_front_of_their_run() {
        let filter = Stage::LineFilter(LineFilter { op: LineMatch::Contains, operands: Vec::new() });
        let stages =
            [Stage::Decolorize, filter.clone(), Stage::LineFormat("x".into()), Stage::Json(Vec::new()), filter.clone()];
        let expected =
            [filter.clone(), Stage::Decolorize, Stage::LineFormat("x".into()), filter, Stage::Json(Vec::new())];
        assert_eq!(reorder(&stages), expected.iter().collect::<Vec<_>>());
    }
}
