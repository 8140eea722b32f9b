//! Servers that talk nonsense, and addresses where nobody is.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
    time::Duration,
};

use crate::servers::{made, values, with_memcached, with_redis};

/// Answers everything that it is sent with the same bytes. It lives as long as the process.
fn babbles(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let address = listener.local_addr().expect("bound").to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            thread::spawn(move || {
                let mut received = [0; 4_096];
                while stream.read(&mut received).is_ok_and(|length| length > 0) && stream.write_all(answer).is_ok() {}
            });
        }
    });
    address
}

#[test]
fn nonsense_is_a_miss() {
    let answers: [&[u8]; 9] = [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"VALUE key-of-another 0 1\r\nx\r\nEND\r\n",
        b"VALUE a 0 18446744073709551615\r\n",
        b"STORED\r\n",
        b"ERROR\r\n",
        b"SERVER_ERROR backend is down\r\n",
        b"+OK\r\n",
        b"*1000000000\r\n",
        &[0; 5_000],
    ];
    let entries = values(20);
    for answer in answers {
        let mut redis = with_redis(babbles(answer));
        redis.redis.as_mut().expect("it is set").timeout = Duration::from_millis(100);
        for settings in [with_memcached(&[babbles(answer)]), redis] {
            let cache = made(&settings);
            assert_eq!(cache.found(&entries), 0, "{:?}", String::from_utf8_lossy(answer));
            cache.set(&entries);
            assert_eq!(cache.found(&entries), 0);
        }
    }
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    let mut settings = with_memcached(&[babbles(b"VALUE a 0 1000000\r\nabc")]);
    settings.memcached.as_mut().expect("it is set").timeout = Duration::from_millis(50);
    let cache = made(&settings);
    assert_eq!(cache.found(&values(20)), 0);
    assert!(cache.count("loki_memcache_request_duration_seconds_count", "status_code=\"500\"") > 0.0);
}

#[test]
fn nobody_there_is_a_miss() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback").port();
    let nobody = format!("127.0.0.1:{port}");
    let entries = values(50);
    for settings in [
        with_memcached(std::slice::from_ref(&nobody)),
        with_memcached(&["dns+no-such-name.invalid:11211".to_owned()]),
        with_memcached(&["no-such-name.invalid:11211".to_owned()]),
        with_redis(nobody.clone()),
        with_redis(format!("{nobody},{nobody}")),
    ] {
        let cache = made(&settings);
        assert_eq!(cache.found(&entries), 0, "{settings:?}");
        cache.set(&entries);
        assert_eq!(cache.found(&entries), 0);
        cache.cache.close_blocking();
    }
}
