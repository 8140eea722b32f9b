//! A memory budget holds: queries that need more than ten times as much fail with the error that says so, and the process
//! grows by little more than the budget. A process of its own, since its memory is what is measured.

use narvi::{
    Db, Entry, FlushSettings, Labels, PushStream, Settings, Tenant, Timestamp,
    logql::{Budget, BudgetError, BudgetLimits, Error, Params, Query, parse},
};

const MIB: u64 = 1 << 20;
const BUDGET: u64 = 64 * MIB;
const LINES: usize = 240_000;
const STREAMS: usize = 60;
const START: i64 = 1_700_000_000_000_000_000;
const HOUR: i64 = 3_600_000_000_000;

/// What there is to ask, each of which needs a lot of one thing.
fn queries() -> Vec<(&'static str, String)> {
    let long = "0123456789abcdef".repeat(256);
    let by_id = r#"sum by (id) (count_over_time({app="x"} | json [5m]))"#;
    vec![
        ("lines", r#"{app="x"} | json | line_format `{{repeat 40 .pad}}` | keep app"#.to_owned()),
        ("labels of lines", r#"{app="x"} | json | label_format big=`{{repeat 40 .pad}}`"#.to_owned()),
        ("series", r#"count_over_time({app="x"} | json [5m])"#.to_owned()),
        ("groups", by_id.to_owned()),
        ("samples", r#"quantile_over_time(0.9, {app="x"} | json | unwrap n [5m]) by (id)"#.to_owned()),
        ("points of an operator", format!("{by_id} / {by_id}")),
        ("points of a set", format!("{by_id} or {by_id}")),
        ("the best", format!("topk(100000, {by_id})")),
        (
            "replaced labels",
            format!(
                r#"label_replace(sum by (id) (count_over_time({{app="x"}} | json [1s])), "big", "{long}$1", "id", "(.*)")"#
            ),
        ),
    ]
}

fn database(folder: &std::path::Path) -> Db {
    let flush = FlushSettings { max_age_secs: u64::MAX, idle_secs: u64::MAX, ..FlushSettings::default() };
    let db = Db::builder(folder).settings(Settings { flush, ..Settings::default() }).open().expect("opened");
    for chunk in 0..STREAMS {
        let labels = Labels::from_pairs([("app", "x"), ("pod", &format!("p{chunk}"))]).expect("valid");
        let line = |n: usize| {
            let id = id(n);
            let (at, pad) = (START + (HOUR / LINES as i64) * n as i64, format!("{id:0128x}"));
            Entry::new(Timestamp::from_ns(at), format!(r#"{{"id":"{id:016x}","n":{},"pad":"{pad}"}}"#, n % 1000))
        };
        let entries = (0..LINES / STREAMS).map(|n| line(n * STREAMS + chunk)).collect();
        db.push(&tenant(), vec![PushStream::new(labels, entries)]).expect("pushed");
    }
    db.flush().expect("flushed");
    db
}

/// What tells line `n` from all others.
fn id(n: usize) -> u64 {
    (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn tenant() -> Tenant {
    Tenant::new("t").expect("valid")
}

fn run(db: &Db, text: &str, limit: usize, budget: &Budget) -> Result<(), Error> {
    let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut params = Params::range(START, START + HOUR, 1_000_000_000);
    params.limit = Some(limit);
    params.max_series = None;
    db.evaluate(&tenant(), &Query::new(expr, params), budget).map(|_| ())
}

/// A line of `/proc/self/status`, in bytes.
#[cfg(target_os = "linux")]
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("readable");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("there");
    let kib = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    kib.parse::<u64>().expect("a number") * 1024
}

/// By how much the process grew at the most while `work` ran.
#[cfg(target_os = "linux")]
fn growth(work: impl FnOnce()) -> u64 {
    // Makes the peak what is resident now.
    std::fs::write("/proc/self/clear_refs", "5").expect("the peak can be reset");
    let before = status("VmRSS");
    work();
    status("VmHWM").saturating_sub(before)
}

#[cfg(not(target_os = "linux"))]
fn growth(work: impl FnOnce()) -> u64 {
    work();
    0
}

#[test]
fn a_budget_holds_on_queries_that_need_ten_times_as_much() {
    let folder = tempfile::tempdir().expect("a folder");
    let db = database(folder.path());
    let only = std::env::var("NARVI_BUDGET_NEED").ok();
    for (what, text) in queries() {
        let mut limits = BudgetLimits::default();
        limits.memory_bytes = Some(BUDGET);
        let budget = Budget::new(limits);
        let mut result = Ok(());
        let grown = growth(|| result = run(&db, &text, LINES, &budget));
        println!("{what}: reserved {} MiB, the process grew by {} MiB", budget.memory_peak() / MIB, grown / MIB);
        let memory = matches!(result, Err(Error::Budget(BudgetError::Memory { limit_bytes: BUDGET })));
        assert!(memory, "{what}: {result:?}");
        let text_of_error = result.as_ref().expect_err("checked").to_string();
        assert!(text_of_error.contains("more than its memory limit of 67108864 bytes"), "{what}: {text_of_error}");
        assert!(budget.memory_peak() <= BUDGET, "{what}");
        assert!(grown <= 2 * BUDGET, "{what}: the process grew by {} MiB", grown / MIB);
        if only.is_some() {
            let budget = Budget::unlimited();
            let grown = growth(|| result = run(&db, &text, LINES, &budget));
            println!("  without a limit: reserved {} MiB, grew by {} MiB", budget.memory_peak() / MIB, grown / MIB);
        }
    }
    // One row must not hold much either: what its labels would need, 700 MB, they do not get.
    let assigned: Vec<_> = (0..90).map(|n| format!("l{n}=`{{{{repeat 60000 .pad}}}}`")).collect();
    let text = format!(r#"{{app="x"}} |= `{:016x}` | json | label_format {} | keep app"#, id(7), assigned.join(", "));
    let mut result = Ok(());
    let grown = growth(|| result = run(&db, &text, 1, &Budget::unlimited()));
    println!("the labels of one row: the process grew by {} MiB", grown / MIB);
    assert!(result.is_ok() && grown <= 2 * BUDGET, "{result:?}, the process grew by {} MiB", grown / MIB);
    db.close().expect("closed");
}
