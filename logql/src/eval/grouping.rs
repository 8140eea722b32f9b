//! Which labels a result keeps.

use std::sync::Arc;

use narvi_types::Labels;

use crate::{Error, LabelNeeds};

/// The labels that remain.
///
/// # Errors
/// Never for labels that could be stored; named for the type's sake.
pub(crate) fn group_labels(labels: &Labels, needs: &LabelNeeds) -> Result<Labels, Error> {
    let kept = |keep: &dyn Fn(&str) -> bool| {
        Labels::from_result_pairs(labels.iter().filter(|(name, _)| keep(name)))
            .map_err(|e| Error::Evaluation(e.to_string()))
    };
    match needs {
        LabelNeeds::All => Ok(labels.clone()),
        LabelNeeds::None => Ok(Labels::default()),
        LabelNeeds::By(names) => kept(&|name| names.iter().any(|n| n == name)),
        LabelNeeds::Without(names) => kept(&|name| names.iter().all(|n| n != name)),
    }
}

/// Whether structured metadata with these names shows in the labels that remain, or makes a row an error.
pub(crate) fn names_reach(metadata: &[Arc<str>], needs: &LabelNeeds) -> bool {
    // A name that the stream has too is told apart by a suffix.
    let is = |wanted: &str, name: &str| {
        wanted == name || wanted.strip_suffix("_extracted").is_some_and(|stripped| stripped == name)
    };
    metadata.iter().any(|name| {
        &**name == "__error__"
            || match needs {
                LabelNeeds::All => true,
                LabelNeeds::None => false,
                LabelNeeds::By(names) => names.iter().any(|n| is(n, name)),
                // Whether the suffix is needed depends on the stream, so both names must be left out.
                LabelNeeds::Without(names) => {
                    let left_out = |wanted: &str| names.iter().any(|n| n == wanted);
                    !(left_out(name) && left_out(&format!("{name}_extracted")))
                }
            }
    })
}
