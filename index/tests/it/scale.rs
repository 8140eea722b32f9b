//! Many series and many tenants, at a size where postings become bitmaps, runs and bit sets. No timing.

use narvi_index::{BlockRef, Table, TableBuilder, verify};
use narvi_types::{Labels, MatchOp, Matcher, TimeRange};

fn block(n: u32) -> BlockRef {
    let range = TimeRange::new(i64::from(n), i64::from(n) + 1);
    BlockRef { pack: 0, frame: n / 100, first_row: n % 100, rows: 1, line_bytes: 9, range, metadata_keys: 0 }
}

#[test]
fn large_postings_agree_with_counting() {
    const SERIES: u32 = 30_000;
    let mut builder = TableBuilder::new();
    builder.pack("p");
    for n in 0..SERIES {
        let (pod, app, odd) = (format!("pod-{n:05}"), format!("app-{}", n % 300), format!("{}", n % 2));
        let mut labels = vec![("app", app.as_str()), ("odd", odd.as_str()), ("pod", pod.as_str())];
        if n % 10 == 0 {
            labels.push(("rare", "yes"));
        }
        builder.add("t", &Labels::from_pairs(labels).expect("valid"), block(n)).expect("valid");
    }
    let bytes = builder.finish().expect("fits").into();
    verify(&bytes).expect("sound");
    let table = Table::open(bytes).expect("opens");
    let part = table.part("t").expect("sound").expect("there");
    let count = |matchers: &[(&str, MatchOp, &str)]| {
        let matchers: Vec<_> =
            matchers.iter().map(|(name, op, value)| Matcher::new(*name, *op, *value).expect("compiles")).collect();
        part.select(&matchers).expect("sound").len()
    };
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    assert_eq!(count(&[("odd", Equal, "1")]), 15_000);
    assert_eq!(count(&[("odd", NotEqual, "1")]), 15_000);
    assert_eq!(count(&[("rare", Equal, "")]), 27_000);
    assert_eq!(count(&[("rare", NotEqual, "")]), 3_000);
    assert_eq!(count(&[("pod", Regex, "pod-0.*")]), 10_000);
    assert_eq!(count(&[("pod", NotRegex, "pod-0.*")]), 20_000);
    assert_eq!(count(&[("pod", Regex, "pod-.*7"), ("odd", Equal, "1"), ("app", Regex, "app-1.?7")]), 1_100);
    assert_eq!(count(&[("app", Regex, "app-[0-9]"), ("rare", Regex, "|no")]), 900);
    assert_eq!(count(&[("rare", NotRegex, "yes|no"), ("pod", Regex, "pod-0000.")]), 9);
    assert_eq!(count(&[("pod", Regex, "pod-0000.|")]), 10);
    let halves = part.select(&[Matcher::new("odd", Equal, "0").expect("compiles")]).expect("sound");
    assert_eq!(part.label_values("odd", Some(&halves)).expect("sound"), ["0"]);
    assert_eq!(part.label_values("app", Some(&halves)).expect("sound").len(), 150);
    assert_eq!(part.label_names(Some(&halves)).expect("sound"), ["app", "odd", "pod", "rare"]);
}

#[test]
fn many_tenants_take_little_each() {
    const TENANTS: u32 = 3_000;
    let mut builder = TableBuilder::new();
    builder.pack("p");
    for n in 0..TENANTS {
        let labels = Labels::from_pairs([("app", "a"), ("host", "h")]).expect("valid");
        builder.add(&format!("tenant-{n}"), &labels, block(n)).expect("valid");
    }
    let bytes = builder.finish().expect("fits");
    assert!(bytes.len() < 220 * TENANTS as usize, "{} bytes per tenant", bytes.len() / TENANTS as usize);
    let table = Table::open(bytes.into()).expect("opens");
    assert_eq!(table.tenant_count(), TENANTS as usize);
    let part = table.part("tenant-2999").expect("sound").expect("there");
    assert_eq!((part.stats().streams, part.range()), (1, TimeRange::new(2_999, 3_000)));
}
