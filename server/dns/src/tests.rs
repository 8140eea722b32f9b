//! Tests of SRV look-ups, against a name server of the test's own.

use std::net::SocketAddr;

use proptest::{collection::vec, prelude::*};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, UdpSocket},
};

use super::{HEADER, Resolver, is_name, parse_srv, question};

/// The answer to a question: records whose targets end with the name that was asked for, by reference.
fn answer(question: &[u8], hosts: &[(&str, u16)]) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] = 0x81;
    message[7] = u8::try_from(hosts.len()).expect("few");
    for (host, port) in hosts {
        let length = u8::try_from(host.len()).expect("short");
        message.extend_from_slice(&[0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 60, 0, 9 + length]);
        message.extend_from_slice(&[0, 0, 0, 0]);
        message.extend_from_slice(&port.to_be_bytes());
        message.push(length);
        message.extend_from_slice(host.as_bytes());
        message.extend_from_slice(&[0xc0, 12]);
    }
    message
}

#[test]
fn the_machines_file_is_read() {
    let text = "# a\nnameserver 10.0.0.1\nnameserver ::1\nnameserver x\nsearch a.b c\noptions edns0 ndots:5\n";
    let resolver = Resolver::parse(text);
    assert_eq!(resolver.servers, ["10.0.0.1:53", "[::1]:53"].map(|a| a.parse::<SocketAddr>().expect("it is right")));
    assert_eq!(resolver.candidates("_m._tcp.x"), ["_m._tcp.x.a.b", "_m._tcp.x.c", "_m._tcp.x"]);
    assert_eq!(resolver.candidates("x."), ["x"]);
    assert_eq!(Resolver::parse("search a").candidates("_m._tcp.x"), ["_m._tcp.x", "_m._tcp.x.a"]);
}

#[tokio::test]
async fn records_are_asked_for_in_turn_and_long_answers_over_tcp() {
    let udp = UdpSocket::bind("127.0.0.1:0").await.expect("loopback");
    let address = udp.local_addr().expect("bound");
    let tcp = TcpListener::bind(address).await.expect("the same port");
    tokio::spawn(async move {
        let mut received = [0; 512];
        loop {
            let (length, from) = udp.recv_from(&mut received).await.expect("loopback");
            let question = &received[..length];
            let mut message = answer(question, &[("a", 1), ("b", 2)]);
            if question[HEADER..].starts_with(b"\x04none") {
                message = answer(question, &[]);
                message[3] = 3;
            } else if question[HEADER..].starts_with(b"\x04long") {
                message[2] |= 2;
            }
            // A late answer to another question first.
            let _ = udp.send_to(&[!message[0], 0, 0, 0], from).await;
            let _ = udp.send_to(&message, from).await;
        }
    });
    tokio::spawn(async move {
        let (mut stream, _) = tcp.accept().await.expect("loopback");
        let mut question = vec![0; usize::from(stream.read_u16().await.expect("it asks"))];
        stream.read_exact(&mut question).await.expect("it asks");
        let message = answer(&question, &[("c", 3)]);
        stream.write_u16(message.len() as u16).await.expect("it listens");
        stream.write_all(&message).await.expect("it listens");
    });
    let resolver = Resolver { servers: vec![address], search: vec!["x".to_owned()], ndots: 5 };
    let services = async |name: &str| resolver.services(name).await.map_err(|error| error.to_string());
    let some = |records: &[(&str, u16)]| Ok(records.iter().map(|(host, port)| ((*host).to_owned(), *port)).collect());
    assert_eq!(services("m").await, some(&[("a.m.x", 1), ("b.m.x", 2)]));
    assert_eq!(services("long.m").await, some(&[("c.long.m.x", 3)]));
    assert_eq!(services("none").await, Err("none has no SRV records".to_owned()));
}

#[test]
fn names_that_go_in_circles_are_damage() {
    let question = question(7, "a.b").expect("it is a name");
    assert_eq!(parse_srv(&answer(&question, &[("h", 5)])), Some(vec![("h.a.b".to_owned(), 5)]));
    let mut circle = answer(&question, &[("h", 5)]);
    let last = circle.len() - 2;
    circle[last + 1] = last as u8;
    assert_eq!(parse_srv(&circle), None);
    assert!(super::question(1, "a..b").is_err());
    assert!(super::question(1, &"a".repeat(64)).is_err());
}

proptest! {
    #[test]
    fn no_bytes_break_it(mut message in vec(any::<u8>(), 0..120), counts in any::<bool>()) {
        if counts && message.len() >= HEADER {
            message[4..8].copy_from_slice(&[0, 1, 0, 2]);
        }
        let _ = parse_srv(&message);
    }
}

#[test]
fn names_have_limits() {
    assert!(is_name("a") && is_name("_x._tcp.a-b.c."));
    let long = "a".repeat(64);
    assert!(!is_name("") && !is_name(".") && !is_name("a..b") && !is_name("a b") && !is_name(&long));
}
