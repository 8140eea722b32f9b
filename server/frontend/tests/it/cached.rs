//! Results that are kept: used where they are sound, and not where they are not.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use narvi::{
    Entry, Labels, Tenant, Timestamp,
    logql::{Budget, Data, Params, Query},
};
use narvi_logs::{Asking, Evaluate};

use crate::queriers::{Fakes, Logs, Made, limits, made, query, seconds};

const S: i64 = 1_000_000_000;
const COUNT: &str = "sum(count_over_time({app=\"a\"}[10s]))";

/// How many jobs read rows for it.
fn reads(made: &Made, query: &Query) -> usize {
    made.fakes.read.lock().clear();
    made.ask(query).expect("answers");
    made.fakes.read.lock().len()
}

fn start() -> Made {
    made(Fakes::of(&seconds(1000), &[70, 30]), limits(100 * S as u64), true)
}

#[test]
fn pieces_are_used_again_also_where_the_query_has_moved() {
    let made = start();
    assert_eq!(reads(&made, &query(COUNT, Params::range(50 * S, 950 * S, 10 * S))), 10);
    // The first and the last piece are not whole.
    assert_eq!(reads(&made, &query(COUNT, Params::range(50 * S, 950 * S, 10 * S))), 2);
    assert_eq!(reads(&made, &query(COUNT, Params::range(70 * S, 990 * S, 10 * S))), 2);
    // Other steps are other pieces, and so is another query.
    assert_eq!(reads(&made, &query(COUNT, Params::range(55 * S, 950 * S, 10 * S))), 10);
    assert_eq!(reads(&made, &query(COUNT, Params::range(50 * S, 950 * S, 5 * S))), 10);
    assert_eq!(reads(&made, &query(&COUNT.replace("sum", "max"), Params::range(50 * S, 950 * S, 10 * S))), 10);
}

#[test]
fn who_wants_no_cache_gets_none() {
    let made = start();
    let query = query(COUNT, Params::range(50 * S, 950 * S, 10 * S));
    made.ask(&query).expect("answers");
    made.fakes.read.lock().clear();
    let asking = Asking { no_cache: true };
    made.frontend.evaluate(&[Tenant::default()], &query, &Budget::unlimited(), &asking).expect("answers");
    assert_eq!(made.fakes.read.lock().len(), 10);
}

#[test]
fn what_is_deleted_does_not_come_back() {
    let made = start();
    let sum = query("sum(count_over_time({app=\"a\"}[2000s]))", Params::range(1000 * S, 1900 * S, 100 * S));
    let value = |made: &Made| {
        let Data::Matrix(series) = made.ask(&sum).expect("answers").data else { panic!("not a matrix") };
        series.first().map_or(0.0, |one| one.points[0].1)
    };
    assert_eq!(value(&made), 1000.0);
    made.fakes.fill(&seconds(500), &[70]);
    assert_eq!(value(&made), 1000.0, "it was kept");
    made.fakes.deletes.store(7, Ordering::SeqCst);
    assert_eq!(value(&made), 500.0, "nothing of before");
    assert!(reads(&made, &sum) < 10, "kept anew");
    let other = Tenant::new("other").expect("valid");
    made.fakes.fill(&seconds(300), &[70]);
    let answer = made.frontend.evaluate(&[other], &sum, &Budget::unlimited(), &Asking::default()).expect("answers");
    assert!(matches!(answer.data, Data::Matrix(series) if series[0].points[0].1 == 300.0), "of another tenant");
}

#[test]
fn empty_pieces_of_log_queries_are_known() {
    let made = start();
    let mut params = Params::range(50 * S, 950 * S, 0);
    let none = query(r#"{app="a"} |= "absent""#, params.clone());
    assert_eq!(reads(&made, &none), 10);
    assert_eq!(reads(&made, &none), 2);
    params.limit = Some(7);
    params.direction = narvi::Direction::Forward;
    assert_eq!(reads(&made, &query(r#"{app="a"} |= "absent""#, params.clone())), 2);
    assert_eq!(reads(&made, &query(r#"{app="a"} |= "line 444""#, params.clone())), 10);
    assert_eq!(reads(&made, &query(r#"{app="a"} |= "line 444""#, params)), 3);
    made.fakes.deletes.store(1, Ordering::SeqCst);
    assert_eq!(reads(&made, &none), 10);
}

#[test]
fn what_is_young_is_not_kept() {
    let now = Timestamp::from_system(std::time::SystemTime::now()).as_ns() / S;
    let labels = Labels::from_pairs([("app", "a")]).expect("valid");
    let logs: Logs =
        (0..900).map(|n| (labels.clone(), Entry::new(Timestamp::from_secs(now - n), format!("line {n}")))).collect();
    let made = made(Fakes::of(&logs, &[70]), limits(10 * S as u64), true);
    let start = (now - 900) / 10 * 10 * S;
    let range = query(COUNT, Params::range(start, start + 800 * S, 10 * S));
    let all = reads(&made, &range);
    let again = reads(&made, &range);
    // Ten minutes are 60 pieces, of which some lie behind the end.
    assert!((45..70).contains(&again) && again < all, "{again} of {all}");
}

#[test]
fn damaged_values_are_read_anew() {
    let made = start();
    let range = query(COUNT, Params::range(50 * S, 950 * S, 10 * S));
    let whole = made.ask(&range).expect("answers");
    let cache = made.cache.clone().expect("there is one");
    // What another build keeps under the same keys, as far as a test can know them: everything is forgotten.
    cache.close_blocking();
    cache.set_many(vec![(Bytes::from_static(b"x"), Bytes::from_static(b"y"))]);
    assert_eq!(made.ask(&range).expect("answers").data, whole.data);
}
