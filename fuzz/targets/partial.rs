//! Partial results: the first byte chooses a plan. What decodes encodes to what decodes again, and merges without a panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_fuzz::PARTIAL_QUERIES;
use narvi_logql::{Budget, BudgetLimits, Params, Partial, Plan, Query, parse};

static PLANS: LazyLock<Vec<Plan>> = LazyLock::new(|| {
    let plan = |text: &&str| {
        let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        Query::new(expr, Params::range(0, 600_000_000_000, 60_000_000_000)).plan().expect("plans")
    };
    PARTIAL_QUERIES.iter().map(plan).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let plan = &PLANS[usize::from(*first) % PLANS.len()];
    let Ok(partial) = Partial::decode(bytes, plan) else { return };
    let _ = partial.statistics();
    let encoded = partial.encode();
    let again = Partial::decode(&encoded, plan).expect("what was encoded decodes");
    assert_eq!(again.encode(), encoded);
    let mut limits = BudgetLimits::default();
    limits.memory_bytes = Some(256 << 20);
    let _ = plan.merge(vec![partial, again], &Budget::new(limits));
});
