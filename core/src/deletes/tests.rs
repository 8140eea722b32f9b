//! Files of marks: what is written is read, and anything else is refused.

use std::{collections::HashMap, sync::Arc};

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::{DeleteId, Marks};

fn marks(packs: HashMap<String, HashMap<u32, Vec<u32>>>) -> Marks {
    let mut marks = Marks::default();
    for (pack, frames) in packs {
        let frames = frames.into_iter().map(|(frame, rows)| (frame, Arc::new(RoaringBitmap::from_iter(rows))));
        marks.insert(&pack, frames.collect());
    }
    marks
}

fn example() -> Marks {
    let frames = HashMap::from([(0, vec![1, 2, 3]), (7, (0..100_000).step_by(3).collect())]);
    marks(HashMap::from([("packs/a.pack".to_owned(), frames), ("packs/b.pack".to_owned(), HashMap::new())]))
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        id: u32,
        packs in proptest::collection::hash_map(
            "[a-z/]{0,12}",
            proptest::collection::hash_map(any::<u32>(), proptest::collection::vec(0u32..200_000, 1..50), 0..4),
            0..4,
        ),
    ) {
        let marks = marks(packs);
        prop_assert_eq!(Marks::decode(&marks.encode(DeleteId(id)), DeleteId(id)), Ok(marks));
    }

    #[test]
    fn any_changed_byte_is_found(at: prop::sample::Index, by in 1u8..=255) {
        let mut bytes = example().encode(DeleteId(5));
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(Marks::decode(&bytes, DeleteId(5)).is_err());
    }

    #[test]
    fn random_bytes_are_refused(bytes: Vec<u8>, cut: prop::sample::Index) {
        prop_assert!(Marks::decode(&bytes, DeleteId(5)).is_err());
        // Right in front and behind, random in between.
        let whole = example().encode(DeleteId(5));
        let mut forged = whole[..16].to_vec();
        forged.extend(bytes);
        let crc = crc32fast::hash(&forged);
        forged.extend(crc.to_le_bytes());
        let _ = Marks::decode(&forged, DeleteId(5));
        prop_assert!(Marks::decode(&whole[..cut.index(whole.len())], DeleteId(5)).is_err());
    }
}

#[test]
fn marks_belong_to_one_request() {
    let bytes = example().encode(DeleteId(5));
    let error = Marks::decode(&bytes, DeleteId(6)).expect_err("another request's");
    assert_eq!(error.to_string(), "it belongs to another delete request");
    let found = Marks::decode(&bytes, DeleteId(5)).expect("right");
    assert!(found.of_pack("packs/b.pack").is_some_and(HashMap::is_empty));
    assert!(found.of_pack("packs/c.pack").is_none());
    assert_eq!(found.of_pack("packs/a.pack").and_then(|frames| frames.get(&7)).map(|rows| rows.len()), Some(33_334));
}
