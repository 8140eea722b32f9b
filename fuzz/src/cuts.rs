//! What the targets for stages share: queries over lines, whose answer must be the same however the lines are cut into parts.

use narvi_logql::{Budget, Inline, Params, Query, evaluate, memory::MemorySource, parse};
use narvi_types::{Entry, Labels, Timestamp};

/// The queries of one target.
pub struct Queries {
    texts: &'static [&'static str],
    parsed: Vec<Query>,
}

impl Queries {
    /// Parses all, once, over every line that [`Queries::check`] makes.
    pub fn new(texts: &'static [&'static str]) -> Self {
        let params = || {
            let mut params = Params::range(0, 1_000_000_000_000, 1_000_000_000_000);
            params.limit = None;
            params
        };
        let parsed = |text: &&str| Query::new(parse(text).unwrap_or_else(|error| panic!("{text}: {error}")), params());
        Self { texts, parsed: texts.iter().map(parsed).collect() }
    }

    /// The first byte of `data` chooses the query, the rest are its lines. Panics if the answer depends on how the lines are
    /// cut into parts.
    pub fn check(&self, data: &[u8]) {
        let Some((first, text)) = data.split_first() else { return };
        let chosen = usize::from(*first) % self.parsed.len();
        let labels = Labels::from_pairs([("a", "b"), ("y", "stream")]).expect("valid");
        let answer = |part_rows: usize| {
            let mut source = MemorySource::with_part_rows(part_rows);
            for (n, line) in text.split(|b| *b == b'\n').take(200).enumerate() {
                source.push(&labels, Entry::new(Timestamp::from_secs(n as i64), line.to_vec()));
            }
            evaluate(&self.parsed[chosen], &source, &Inline, &Budget::unlimited()).map(|answer| answer.data)
        };
        let (one, many) = (answer(1), answer(10_000));
        // As text: a NaN is not equal to itself.
        assert_eq!(format!("{one:?}"), format!("{many:?}"), "{:?}", self.texts[chosen]);
    }
}
