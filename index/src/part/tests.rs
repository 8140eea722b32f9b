//! Damage behind sound checksums: what a hostile file can say that bit flips in transit cannot.

use bytes::Bytes;
use narvi_types::{Labels, MatchOp, Matcher, TimeRange};
use proptest::{collection::vec, prelude::*, sample::Index};
use roaring::RoaringBitmap;

use super::Part;
use crate::{BlockRef, Result, Table, TableBuilder, check::check_part, format::Kind};

fn table() -> Table {
    let mut builder = TableBuilder::new();
    let pack = builder.pack("p");
    for n in 0..90u32 {
        let (pod, app) = (format!("pod-{n}"), format!("app-{}", n % 3));
        let labels = Labels::from_pairs([("app", app.as_str()), ("pod", pod.as_str())]).expect("valid");
        for m in 0..1 + n % 3 {
            let metadata_keys = builder.key_set(["k", "level"].into_iter().take(m as usize));
            let range = TimeRange::new(i64::from(n), i64::from(n + m));
            let block = BlockRef { pack, frame: m, first_row: n, rows: 1, line_bytes: 7, range, metadata_keys };
            builder.add("t", &labels, block).expect("valid");
        }
    }
    Table::open(builder.finish().expect("fits").into()).expect("opens")
}

fn read_all(part: &Part) -> Result<()> {
    let all = part.select(&[])?;
    let _ = part.series(&all).filter(Result::is_err).count();
    let _ = part.blocks_of(&all, TimeRange::ALL).filter(Result::is_err).count();
    for id in [0, 15, 16, 89] {
        let _ = part.labels(id);
        let _ = part.blocks(id).map(|blocks| blocks.filter(Result::is_err).count());
    }
    for set in 0..4 {
        let _ = part.key_set(set);
    }
    for matcher in matchers() {
        let name = matcher.name();
        let _ = (part.label_values(name, Some(&all)), part.cardinality(name));
        let _ = part.select(&[matcher]);
    }
    let _ = part.label_names(Some(&all));
    Ok(())
}

fn matchers() -> Vec<Matcher> {
    let matchers = [
        ("app", MatchOp::Equal, "app-1"),
        ("app", MatchOp::NotEqual, ""),
        ("pod", MatchOp::Regex, "pod-1.*"),
        ("pod", MatchOp::NotRegex, "pod-1.*"),
    ];
    matchers.map(|(name, op, value)| Matcher::new(name, op, value).expect("compiles")).into()
}

/// A part that passed the full check answers from its postings what its series say.
fn agrees(part: &Part) -> Result<bool> {
    let all = part.select(&[])?;
    let series = part.series(&all).collect::<Result<Vec<_>>>()?;
    for matcher in matchers() {
        let passes = |labels: &Labels| matcher.matches(labels.get(matcher.name()).unwrap_or(""));
        let expected: RoaringBitmap = series.iter().filter(|(_, labels)| passes(labels)).map(|(id, _)| *id).collect();
        if part.select(std::slice::from_ref(&matcher))? != expected {
            return Ok(false);
        }
    }
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn resealed_sections_never_panic(
        kind in proptest::sample::select(Kind::PART), changes in vec((any::<Index>(), any::<u8>()), 1..6),
    ) {
        let table = table();
        let entry = table.entry(0)?;
        let (bytes, mut directory) = table.part_directory(&entry)?;
        let mut bytes = bytes.to_vec();
        let section = directory.entries.iter_mut().find(|e| e.kind == kind.code()).expect("there");
        let range = section.offset as usize..(section.offset + section.length) as usize;
        for (at, value) in changes {
            bytes[range.clone()][at.index(section.length as usize)] = value;
        }
        section.crc = crc32fast::hash(&bytes[range]);
        if let Ok(part) = Part::open("t", &Bytes::from(bytes), &directory, table.packs().len()) {
            let _ = read_all(&part);
            prop_assert!(check_part(&part).is_err() || agrees(&part)?);
        }
    }
}
