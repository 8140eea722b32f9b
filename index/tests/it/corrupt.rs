//! Damaged tables give errors: no panic, no endless loop, no huge allocation; and `verify` finds every flipped bit.

use narvi_index::{IndexError, KeepAll, Result, Table, describe, merge, verify};
use narvi_types::{MatchOp, Matcher, TimeRange};
use proptest::{prelude::*, strategy::ValueTree};

use crate::model::{build, entries};

/// Reads all there is to read; whether it succeeds does not matter.
fn exercise(bytes: Vec<u8>) -> Result<()> {
    let bytes = bytes.into();
    let _ = verify(&bytes);
    let _ = describe(&bytes).map(|d| d.to_string());
    let table = Table::open(bytes)?;
    let _ = merge(std::slice::from_ref(&table), &KeepAll, &mut vec![]);
    for tenant in table.tenants() {
        let Some(part) = table.part(tenant?.0)? else { continue };
        let all = part.select(&[])?;
        let _ = part.series(&all).filter(Result::is_err).count();
        let _ = part.blocks_of(&all, TimeRange::ALL).filter(Result::is_err).count();
        for name in ["app", "b", "none"] {
            for (op, value) in [(MatchOp::Equal, "x"), (MatchOp::NotRegex, "z1.*"), (MatchOp::Regex, ".+")] {
                let _ = part.select(&[Matcher::new(name, op, value).expect("compiles")]);
            }
            let _ = (part.cardinality(name), part.label_values(name, None), part.label_values(name, Some(&all)));
        }
        let _ = part.label_names(Some(&all));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn flipped_bits_never_panic(
        entries in entries(100), flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u8), 1..12),
    ) {
        let mut bytes = build(&entries);
        for (at, bit) in flips {
            // Most of the file; header and footer are checked by their own test.
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let _ = exercise(bytes);
    }

    #[test]
    fn truncated_files_never_open(entries in entries(40), cut: prop::sample::Index) {
        let mut bytes = build(&entries);
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(Table::open(bytes.into()).is_err());
    }

    #[test]
    fn random_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), entries in entries(2)) {
        let _ = exercise(bytes.clone());
        // With a sound beginning and end around them.
        let sound = build(&entries);
        let mut framed = sound[..16].to_vec();
        framed.append(&mut bytes);
        framed.extend_from_slice(&sound[sound.len() - 24..]);
        let _ = exercise(framed);
    }
}

#[test]
fn verify_finds_every_flipped_bit() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let entries = entries(30).new_tree(&mut runner).expect("generates").current();
    let sound = build(&entries);
    verify(&sound.clone().into()).expect("sound");
    for at in 0..sound.len() {
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[at] ^= 1 << bit;
            assert!(verify(&bytes.into()).is_err(), "bit {bit} of byte {at} of {}", sound.len());
        }
    }
}

#[test]
fn errors_name_what_is_wrong() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let sound = build(&entries(5).new_tree(&mut runner).expect("generates").current());
    let open = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = sound.clone();
        change(&mut bytes);
        Table::open(bytes.into()).map(|_| ()).expect_err("damaged")
    };
    assert!(matches!(open(&|b| b.clear()), IndexError::NotATable { place: "header" }));
    assert!(matches!(open(&|b| b[0] = b'x'), IndexError::NotATable { place: "header" }));
    assert!(matches!(open(&|b| b.truncate(b.len() - 1)), IndexError::NotATable { place: "footer" }));
    assert!(matches!(open(&|b| b[8] = 7), IndexError::Version { found: 7 }));
    let message = open(&|b| b[8] = 7).to_string();
    assert!(message.contains("version 7") && message.contains("reads 0 to 0"), "{message}");
    let last = sound.len() - 24 - 1;
    assert!(matches!(open(&|b| b[last] ^= 1), IndexError::Checksum { section: "directory", .. }));
}
