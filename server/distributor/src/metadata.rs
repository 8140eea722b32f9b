//! Structured metadata as it is stored: names made valid, pairs without a value left out, one value per name.

use std::borrow::Cow;

use narvi_types::{Metadata, PairError};

/// A name as a label name: every character outside `[A-Za-z0-9_]` becomes `_`, runs of `_` that this makes or finds inside
/// become one, a leading digit gets `key_` before it. Leading and trailing `__` stay.
pub(crate) fn sanitize(name: &str) -> Cow<'_, str> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let fine = name.bytes().all(valid)
        && !name.bytes().next().is_some_and(|b| b.is_ascii_digit())
        && !name.trim_matches('_').contains("__");
    if fine {
        return Cow::Borrowed(name);
    }
    let replaced: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let core = replaced.trim_matches('_');
    let start = replaced.len() - replaced.trim_start_matches('_').len();
    let end = replaced.len() - replaced.trim_end_matches('_').len();
    let mut out = String::with_capacity(name.len() + 4);
    if start == 0 && core.starts_with(|c: char| c.is_ascii_digit()) {
        out.push_str("key_");
    }
    out.push_str(&replaced[..start]);
    let mut last = ' ';
    for c in core.chars() {
        if c != '_' || last != '_' {
            out.push(c);
        }
        last = c;
    }
    if !core.is_empty() {
        out.push_str(&replaced[replaced.len() - end..]);
    }
    Cow::Owned(out)
}

/// Normalises pairs and adds the level. Of several pairs that end up with one name, the first by the name sent wins; pairs
/// come out sorted by name.
pub(crate) fn normalize(raw: &Metadata, level: Option<&str>) -> Result<Metadata, PairError> {
    let mut pairs: Vec<(Cow<'_, str>, &str)> = Vec::with_capacity(raw.len() + 1);
    let mut sent: Vec<_> = raw.iter().filter(|(_, v)| !v.is_empty()).collect();
    sent.sort_by_key(|(name, _)| *name);
    for (name, value) in sent {
        let name = sanitize(name);
        if !pairs.iter().any(|(n, _)| *n == name) {
            pairs.push((name, value));
        }
    }
    if let Some(level) = level {
        match pairs.iter_mut().find(|(n, _)| n == crate::level::LABEL) {
            Some(pair) => pair.1 = level,
            None => pairs.push((Cow::Borrowed(crate::level::LABEL), level)),
        }
    }
    pairs.sort();
    Metadata::from_pairs(pairs.iter().map(|(n, v)| (n.as_ref(), *v)))
}

#[cfg(test)]
mod tests {
    use super::{normalize, sanitize};
    use narvi_types::Metadata;

    #[test]
    fn of_names_that_become_one_the_first_wins() {
        let raw = Metadata::from_pairs([("a.b", "1"), ("a-b", "2"), ("a_b", "3")]).expect("valid");
        let normal = normalize(&raw, Some("info")).expect("fits");
        assert_eq!(normal.iter().collect::<Vec<_>>(), [("a_b", "2"), ("detected_level", "info")]);
    }

    #[test]
    fn names_become_label_names() {
        for (name, expected) in [
            ("plain", "plain"),
            ("a.b", "a_b"),
            ("9", "key_9"),
            ("a__b", "a_b"),
            ("__x__", "__x__"),
            ("x y", "x_y"),
            ("\u{dc}n\u{ef}", "_n_"),
            ("a..b", "a_b"),
        ] {
            assert_eq!(sanitize(name), expected);
        }
    }
}
