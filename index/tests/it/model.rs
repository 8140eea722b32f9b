//! A naive index, strategies for what goes in, and the comparison of a table with it.

use std::collections::{BTreeMap, BTreeSet};

use narvi_index::{BlockRef, Part, Table, TableBuilder};
use narvi_types::{Labels, MatchOp, Matcher, Selector, TimeRange};
use proptest::{collection::vec, prelude::*};

/// A block with names instead of numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) pack: String,
    pub(crate) place: (u32, u32, u32, u64),
    pub(crate) keys: Vec<String>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) tenant: String,
    pub(crate) labels: Labels,
    pub(crate) block: Block,
}

/// Tenants, their streams, their blocks: sorted, each once.
pub(crate) type Model = BTreeMap<String, BTreeMap<Labels, BTreeSet<Block>>>;

pub(crate) fn model<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Model {
    let mut model = Model::new();
    for entry in entries {
        let streams = model.entry(entry.tenant.clone()).or_default();
        streams.entry(entry.labels.clone()).or_default().insert(entry.block.clone());
    }
    model
}

pub(crate) fn build<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Vec<u8> {
    let mut builder = TableBuilder::new();
    for Entry { tenant, labels, block } in entries {
        let pack = builder.pack(&block.pack);
        let metadata_keys = builder.key_set(block.keys.iter().rev().map(String::as_str));
        let (frame, first_row, rows, line_bytes) = block.place;
        let range = TimeRange::new(block.min, block.max);
        let block = BlockRef { pack, frame, first_row, rows, line_bytes, range, metadata_keys };
        builder.add(tenant, labels, block).expect("valid block");
    }
    builder.finish().expect("fits")
}

/// Translates a reference back into names.
pub(crate) fn named(table: &Table, part: &Part, block: &BlockRef) -> Block {
    let keys = part.key_set(block.metadata_keys).expect("known set");
    Block {
        min: block.range.min,
        max: block.range.max,
        pack: table.packs()[block.pack as usize].clone(),
        place: (block.frame, block.first_row, block.rows, block.line_bytes),
        keys: keys.into_iter().map(str::to_owned).collect(),
    }
}

/// Everything that a table says, as a model.
pub(crate) fn read(table: &Table) -> Model {
    let mut model = Model::new();
    for tenant in table.tenants() {
        let (tenant, range) = tenant.expect("sound");
        let part = table.part(tenant).expect("sound").expect("listed");
        assert_eq!(part.range(), range);
        let all = part.select(&[]).expect("sound");
        let mut streams = BTreeMap::new();
        for series in part.series(&all) {
            let (id, labels) = series.expect("sound");
            let blocks: Vec<_> =
                part.blocks(id).expect("exists").map(|b| named(table, &part, &b.expect("sound"))).collect();
            let times: Vec<_> = blocks.iter().map(|b| (b.min, b.max)).collect();
            assert!(times.is_sorted(), "blocks come by time");
            let count = blocks.len();
            let blocks: BTreeSet<_> = blocks.into_iter().collect();
            assert_eq!(blocks.len(), count, "each block once");
            streams.insert(labels, blocks);
        }
        assert_eq!(streams.len() as u64, part.stats().streams);
        model.insert(tenant.to_owned(), streams);
    }
    model
}

/// The streams that pass, by asking each.
pub(crate) fn select<'a>(streams: &'a BTreeMap<Labels, BTreeSet<Block>>, matchers: &[Matcher]) -> Vec<&'a Labels> {
    let selector = Selector::new(matchers.to_vec());
    streams.keys().filter(|labels| selector.matches(labels)).collect()
}

pub(crate) fn entries(max: usize) -> impl Strategy<Value = Vec<Entry>> {
    let tenant = prop_oneof![8 => Just("acme"), 1 => Just(""), 1 => Just("zeta")];
    vec((tenant, labels(), block()), 1..max)
        .prop_map(|all| all.into_iter().map(|(t, labels, block)| Entry { tenant: t.into(), labels, block }).collect())
}

fn labels() -> impl Strategy<Value = Labels> {
    let value = || {
        prop_oneof![
            3 => Just(String::new()),
            3 => Just("x".to_owned()),
            1 => Just("y\n".to_owned()),
            1 => Just("xy".to_owned()),
            1 => "[\u{e9}-\u{ef}]{1,2}",
            3 => (0..400u32).prop_map(|n| format!("z{n}")),
        ]
    };
    (value(), value(), value(), value()).prop_map(|(a, b, c, d)| {
        let pairs = [("app", a), ("b", b), ("cluster", c), ("dd", d)];
        Labels::from_pairs(pairs.iter().map(|(n, v)| (*n, v.as_str()))).expect("valid")
    })
}

fn block() -> impl Strategy<Value = Block> {
    let time = prop_oneof![8 => 0..1_000i64, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let place = prop_oneof![
        4 => (0..3u32, 0..3u32, 1..3u32, 0..1_000u64),
        1 => (any::<u32>(), 0..u32::MAX / 2, 1..u32::MAX / 2, any::<u64>()),
    ];
    let keys = proptest::sample::subsequence(vec!["k1", "k2", "level"], 0..=3);
    (time, prop_oneof![0..1_000u64, any::<u64>()], 0..3u8, place, keys).prop_map(|(min, length, pack, place, keys)| {
        let max = min.saturating_add_unsigned(length);
        let keys = keys.into_iter().map(str::to_owned).collect();
        Block { min, max, pack: format!("pack-{pack}"), place, keys }
    })
}

pub(crate) fn matchers() -> impl Strategy<Value = Vec<Matcher>> {
    let name = proptest::sample::select(vec!["app", "b", "cluster", "dd", "none"]);
    let op = proptest::sample::select(vec![MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]);
    let value = proptest::sample::select(vec![
        "",
        "x",
        "xy",
        "x|y\n",
        ".*",
        ".+",
        "z1",
        "z1.*",
        "z[0-9]",
        "z[0-9]+|",
        "(x|)",
        "nope",
        ".",
        "x.*|.*1",
        "y.",
        "[^x]*",
        "z1|z2|x",
        "z2[0-9]*",
        "|x|z3",
        "z(1|3).*|z2",
    ]);
    let matcher = (name, op, value).prop_map(|(name, op, value)| Matcher::new(name, op, value).expect("compiles"));
    vec(matcher, 0..5)
}
