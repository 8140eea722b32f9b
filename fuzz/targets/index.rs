//! Index tables: opening, look-ups, blocks, verification, description, merging; as given, and with right checksums.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use narvi_fuzz::repair_table;
use narvi_index::{KeepAll, Result, Table, describe, merge, verify};
use narvi_types::{MatchOp, Matcher, TimeRange};

/// Broken lists may be long; what follows is more of the same.
const MOST: usize = 2_000;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    let _ = read(Bytes::copy_from_slice(&bytes));
    repair_table(&mut bytes);
    let _ = read(bytes.into());
});

fn read(bytes: Bytes) -> Result<()> {
    let sound = verify(&bytes).is_ok();
    let described = describe(&bytes).map(|found| found.to_string());
    assert!(!sound || described.is_ok());
    let table = Table::open(bytes)?;
    let mut merged = Vec::new();
    let merging = merge(std::slice::from_ref(&table), &KeepAll, &mut merged);
    if sound {
        merging.expect("a sound table can be merged");
        verify(&merged.into()).expect("what was merged is sound");
    }
    for tenant in table.tenants().take(MOST) {
        let Some(part) = table.part(tenant?.0)? else { continue };
        let all = part.select(&[])?;
        let _ = part.series(&all).take(MOST).filter(Result::is_err).count();
        let _ = part.blocks_of(&all, TimeRange::ALL).take(MOST).filter(Result::is_err).count();
        for name in ["app", "b", "none"] {
            for (op, value) in [(MatchOp::Equal, "x"), (MatchOp::NotRegex, "a.*|z1.*"), (MatchOp::Regex, ".+")] {
                let _ = part.select(&[Matcher::new(name, op, value).expect("compiles")]);
            }
            let _ = (part.cardinality(name), part.label_values(name, None), part.label_values(name, Some(&all)));
        }
        let _ = part.label_names(Some(&all));
    }
    Ok(())
}
