//! What is asked arrives, and what is answered: rows, texts, errors, time and tenants.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use narvi::{Entry, Labels, PushStream, Selector, Tenant, TimeRange, Timestamp};
use narvi_rpc::{
    CallOptions, ClientPool, ClientSettings, Compression, LabelTexts, RpcError, RpcErrorKind, ServerLimits,
};

use crate::server::{Fake, Running, pool};

fn tenant() -> Tenant {
    Tenant::new("acme").expect("valid")
}

fn lines(count: usize, bytes: usize) -> PushStream {
    let labels = Labels::from_pairs([("app", "x")]).expect("valid");
    let entry = |at: usize| Entry::new(Timestamp::from_ns(at as i64), vec![b'a' + (at % 26) as u8; bytes]);
    PushStream::new(labels, (0..count).map(entry).collect())
}

fn taking(pushed: &Arc<Mutex<Vec<PushStream>>>) -> Fake {
    let pushed = pushed.clone();
    let push = move |call: &narvi_rpc::Call, streams| {
        assert_eq!(call.tenant().expect("one").as_str(), "acme");
        pushed.lock().expect("no panic").extend::<Vec<PushStream>>(streams);
        Ok(())
    };
    Fake { push: Box::new(push), ..Fake::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_beyond_the_size_of_a_message_arrives() {
    for compression in [Compression::None, Compression::Gzip] {
        let pushed = Arc::new(Mutex::new(Vec::new()));
        let server = Running::start(taking(&pushed), ServerLimits::default()).await;
        let pool = ClientPool::new(ClientSettings { compression, ..ClientSettings::default() });
        let client = pool.ingester(&server.address).expect("an address");
        let stream = lines(150, 64 << 10);
        let options = CallOptions::of(&tenant()).within(Duration::from_secs(60));
        client.push(&tenant(), &options, std::slice::from_ref(&stream)).await.expect("taken");
        let got = std::mem::take(&mut *pushed.lock().expect("no panic"));
        assert!(got.len() > 1, "ten megabytes are more than a message");
        let entries: Vec<_> = got.into_iter().flat_map(|stream| stream.entries).collect();
        assert!(entries == stream.entries);
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_refused_by_name() {
    let server = Running::start(Fake::default(), ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    // A line cannot be cut.
    let push = client.push(&tenant(), &CallOptions::of(&tenant()), &[lines(1, 5 << 20)]).await;
    let error = push.expect_err("too large");
    assert_eq!(error.kind(), RpcErrorKind::TooLarge, "{error}");
    assert!(!error.is_retryable());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_texts_than_a_message_holds_arrive() {
    let texts: Vec<String> = (0..60_000).map(|n| format!("{n:0100}")).collect();
    let all = texts.clone();
    let fake = Fake {
        texts: Box::new(move |_, name| {
            assert_eq!(name, "pod");
            Ok(LabelTexts { texts: all.clone(), manifest: 3 })
        }),
        ..Fake::default()
    };
    let server = Running::start(fake, ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let got = client.label_values(&CallOptions::of(&tenant()), "pod", &[], TimeRange::ALL).await.expect("answered");
    assert_eq!(got, LabelTexts { texts, manifest: 3 });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_keep_kind_text_and_hope() {
    let error = RpcError::new(RpcErrorKind::Full, "no space left \u{2013} free some\nplease").with_retryable(false);
    let told = error.clone();
    let fake = Fake { push: Box::new(move |_, _| Err(told.clone())), ..Fake::default() };
    let server = Running::start(fake, ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let options = CallOptions::of(&tenant());
    assert_eq!(client.push(&tenant(), &options, &[lines(1, 1)]).await.expect_err("refused"), error);
    let other = client.push(&Tenant::default(), &options, &[lines(1, 1)]).await.expect_err("of another");
    assert_eq!(other.to_string(), "the lines are of tenant fake, the call is for acme");
    let nobody = client.push(&tenant(), &CallOptions::of_none(), &[lines(1, 1)]).await.expect_err("no tenant");
    assert_eq!((nobody.kind(), nobody.message()), (RpcErrorKind::Invalid, "no org id"));
    assert_eq!(client.flush(&options).await, Ok(7));
    let notes = server.notes.0.lock().expect("no panic").clone();
    let push = "/logproto.Pusher/Push";
    assert_eq!(notes, [(push, "5xx"), (push, "4xx"), (push, "4xx"), ("/narvi.v1.Ingester/Flush", "success")]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_of_a_service_is_an_error_of_its_call_alone() {
    let fake = Fake {
        texts: Box::new(|_, name| if name.is_empty() { panic!("a defect") } else { Ok(LabelTexts::default()) }),
        ..Fake::default()
    };
    let server = Running::start(fake, ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let options = CallOptions::of(&tenant());
    let error = client.label_names(&options, &[], TimeRange::ALL).await.expect_err("a defect");
    assert_eq!(error.kind(), RpcErrorKind::Internal, "{error}");
    client.label_values(&options, "a", &[], TimeRange::ALL).await.expect("answered");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tails_end_when_the_server_stops() {
    let server = Running::start(Fake::default(), ServerLimits::default()).await;
    let client = pool().ingester(&server.address).expect("an address");
    let mut tail = client.tail(&tenant(), &Selector::new(Vec::new())).await.expect("followed");
    let reading = tokio::spawn(async move { while let Ok(Some(_)) = tail.next().await {} });
    server.stop().await;
    reading.await.expect("ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_peers_are_dropped_and_found_again() {
    let fake = Arc::new(Fake::default());
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = Running::start_at(any, fake.clone(), ServerLimits::default()).await;
    let (pool, address) = (pool(), server.address.clone());
    let client = pool.ingester(&address).expect("an address");
    let options = CallOptions::of(&tenant());
    client.flush(&options).await.expect("answered");
    assert_eq!(pool.is_ready(&address).await, Ok(true));
    fake.ready.store(false, Ordering::Relaxed);
    assert_eq!(pool.is_ready(&address).await, Ok(false));
    assert!(pool.check().await.is_empty(), "it lives");
    server.stop().await;
    let error = client.flush(&options).await.expect_err("nobody there");
    assert!(error.kind() == RpcErrorKind::Unavailable && error.is_retryable(), "{error}");
    assert_eq!(pool.check().await, std::slice::from_ref(&address));
    assert!(pool.addresses().is_empty());
    let again = Running::start_at(address.parse().expect("an address"), fake, ServerLimits::default()).await;
    // The client that was kept connects again by itself.
    client.flush(&options).await.expect("answered");
    pool.ingester(&address).expect("an address").flush(&options).await.expect("answered");
    again.stop().await;
}
