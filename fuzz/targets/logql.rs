//! LogQL text: what parses prints as text that parses to the same, and plans without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narvi_logql::{Params, Query, parse, parse_labels, parse_selector, pretty};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = (parse_selector(text).is_ok(), parse_labels(text).is_ok());
    let Ok(expr) = parse(text) else { return };
    let printed = expr.to_string();
    let again = match parse(&printed) {
        Ok(again) => again,
        Err(error) => panic!("{text:?} prints as {printed:?}, which does not parse: {error}"),
    };
    // Text, not trees: a NaN is not equal to itself.
    assert_eq!(again.to_string(), printed, "printed from {text:?}");
    let _ = pretty(&expr);
    for params in [Params::range(0, 1_000_000_000_000, 60_000_000_000), Params::instant(1_000_000_000_000)] {
        let _ = Query::new(expr.clone(), params).plan();
    }
});
