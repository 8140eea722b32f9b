//! Not a target: writes the seeds of the binary formats to `corpus/`, made by the writers of this build, and ends. Run it with
//! `fuzz/run.sh seeds` after a format changed. The seeds that are text were written by hand.
#![no_main]

use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use narvi::{
    Builder, Db, IndexQuestion, IndexTable, IndexWanted, MemoryStore, PushStream, Reader, ReaderSettings, Store, Tenant,
};
use narvi_chunk::{BlockRows, Compression, PackOptions, PackWriter, SectionKind};
use narvi_fuzz::PARTIAL_QUERIES;
use narvi_index::{BlockRef, TableBuilder};
use narvi_logql::{Budget, Inline, Params, Query, evaluate_leaf, memory::MemorySource, parse};
use narvi_types::{Entry, Labels, Metadata, TimeRange, Timestamp, wire::Writer};

fuzz_target!(
    init: {
        packs();
        tables();
        database();
        partials();
        look_ups();
        pushes();
        std::process::exit(0);
    },
    |data: &[u8]| {
        let _ = data;
    }
);

fn save(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join(name), bytes).expect("the seed can be written");
}

fn golden(path: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).expect("the golden file is there")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
}

fn metadata(n: i64) -> Metadata {
    let id = n.to_string();
    Metadata::from_pairs([("level", if n % 3 == 0 { "error" } else { "info" }), ("trace_id", &id)]).expect("valid")
}

/// Lines of several kinds, some of them the same, one not text.
fn entries(count: i64, with_metadata: bool) -> Vec<Entry> {
    let line = |n: i64| match n % 5 {
        0 => format!("level=info method=GET path=/items/{n} took={}ms", n * 37 % 101).into_bytes(),
        1 => format!("{{\"level\":\"error\",\"n\":{n},\"x\":{}.5,\"y\":\"{}\"}}", n * 3, n % 4).into_bytes(),
        2 => b"10.0.0.1 - - [01/Jan/2024:00:00:00 +0000] \"GET / HTTP/1.1\" 200 612".to_vec(),
        3 => vec![0xff, 0x00, n as u8],
        _ => Vec::new(),
    };
    (0..count)
        .map(|n| {
            let mut entry = Entry::new(Timestamp::from_ns(n * 7_000_000_000 - 3), line(n));
            if with_metadata {
                entry.metadata = metadata(n);
            }
            entry
        })
        .collect()
}

fn packs() {
    for codec in ["none", "snappy", "lz4", "zstd"] {
        save("pack", &format!("golden-{codec}"), &golden(&format!("chunk/tests/golden/v0-{codec}.pack")));
    }
    let codecs = [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd(1)];
    for (name, compression) in ["none", "snappy", "lz4", "zstd"].iter().zip(codecs) {
        for (kind, rows, with_metadata) in
            [("empty", 0, false), ("one", 1, true), ("plain", 40, false), ("full", 60, true)]
        {
            let options = PackOptions { compression, frame_bytes: 1500, frame_rows: 1000, page_rows: 16 };
            let mut writer = PackWriter::new(options).expect("valid options");
            writer.tenant("a").expect("a first tenant");
            let entries = entries(rows, with_metadata);
            for app in ["x", "y"] {
                writer.block(&labels(&[("app", app)]), &entries[..]).expect("appends");
            }
            writer.tenant("b").expect("a second tenant");
            let rows = BlockRows { timestamps: &[1, 1, 2], lines: &["same", "same", "other"], metadata: &[] };
            writer.block(&labels(&[("job", "j"), ("pod", "p-1")]), &rows).expect("appends");
            writer.section(SectionKind(40_000), false, b"of a later version").expect("appends");
            let file: Vec<u8> = writer.finish().expect("finishes").into_iter().flatten().collect();
            save("pack", &format!("{kind}-{name}"), &file);
        }
    }
}

fn tables() {
    save("index", "golden", &golden("index/tests/golden/v0.index"));
    for (name, tenants, series) in
        [("empty", 0, 0), ("one", 1, 1), ("some", 2, 20), ("many", 1, 150), ("tenants", 30, 2)]
    {
        let mut builder = TableBuilder::new();
        let packs = [builder.pack("packs/a.pack"), builder.pack("packs/b.pack")];
        let keys = [builder.key_set([]), builder.key_set(["level", "trace_id"])];
        for tenant in 0..tenants {
            for n in 0..series {
                let (pod, app) = (format!("z{n}"), ["x", "y", "abc"][n as usize % 3]);
                let labels = labels(&[("app", app), ("b", if n % 2 == 0 { "1" } else { "2" }), ("pod", &pod)]);
                for at in 0..=(n % 3) {
                    let time = i64::from(at) * 1_000_000 - i64::from(n);
                    let block = BlockRef {
                        pack: packs[(n % 2) as usize],
                        frame: n / 10,
                        first_row: n * 10,
                        rows: 1 + at,
                        line_bytes: 100,
                        range: TimeRange::new(time, time + 500),
                        metadata_keys: keys[(at % 2) as usize],
                    };
                    builder.add(&format!("t{tenant}"), &labels, block).expect("a valid block");
                }
            }
        }
        save("index", name, &builder.finish().expect("fits"));
    }
}

/// Segments and manifests, as a database leaves them behind.
fn database() {
    save("wal", "golden", &golden("core/tests/golden/wal-v0.bin"));
    save("manifest", "golden", &golden("core/tests/golden/manifest-v0.bin"));
    let folder = std::env::temp_dir().join(format!("narvi-seeds-{}", std::process::id()));
    let db = Db::open(&folder).expect("opens");
    for round in 0..4_i64 {
        for (tenant, count) in [("fake", 3), ("acme", round * 20), ("acme", 1)] {
            let tenant = Tenant::new(tenant).expect("valid");
            let streams =
                ["a", "b"].map(|app| PushStream::new(labels(&[("app", app)]), entries(count, round % 2 == 1)));
            db.push(&tenant, streams.into()).and_then(|ack| ack.wait()).expect("pushes");
        }
        collect(&folder, round);
        db.flush().expect("flushes");
        collect(&folder, round);
    }
    drop(db);
    let _ = fs::remove_dir_all(&folder);
}

fn collect(folder: &Path, round: i64) {
    for entry in fs::read_dir(folder).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, round);
            continue;
        }
        let bytes = fs::read(&path).unwrap_or_default();
        if bytes.get(1..7) == Some(b"NARWAL") && (33..20_000).contains(&bytes.len()) {
            save("wal", &format!("database-{round}"), &bytes);
            save("wal", &format!("cut-{round}"), &bytes[..bytes.len() * 3 / 4]);
        } else if bytes.get(1..7) == Some(b"NARMAN") {
            save("manifest", &format!("database-{round}"), &bytes);
            save("manifest", &format!("cut-{round}"), &bytes[..bytes.len() * 3 / 4]);
        }
    }
}

fn partials() {
    let mut source = MemorySource::with_part_rows(20);
    for entry in entries(60, true) {
        source.push(&labels(&[("a", "b")]), entry);
    }
    for (number, text) in PARTIAL_QUERIES.iter().enumerate() {
        let params = Params::range(0, 600_000_000_000, 60_000_000_000);
        let plan = Query::new(parse(text).expect("parses"), params).plan().expect("plans");
        for leaf in plan.leaves() {
            for (name, source) in [("full", &source), ("empty", &MemorySource::new())] {
                let Ok(partial) = evaluate_leaf(&leaf, source, &Inline, &Budget::unlimited()) else { continue };
                let mut seed = vec![number as u8];
                seed.extend(partial.encode());
                save("partial", &format!("{number}-{name}"), &seed);
            }
        }
    }
}

/// Answers of a table, without their checksums, behind what chooses the question.
fn look_ups() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let db = Builder::in_memory().store(store.clone()).open().expect("opens");
    for app in ["x", "y"] {
        let stream = PushStream::new(labels(&[("app", app), ("pod", "p-1")]), entries(30, true));
        db.push(&Tenant::default(), vec![stream]).expect("pushed");
    }
    db.flush().expect("flushed");
    let tables = Reader::open(store.clone(), ReaderSettings::default()).expect("opens").index_tables();
    let key = store.list("index").expect("lists")[0].key.clone();
    let table = IndexTable { key, range: TimeRange::ALL };
    let wanted = [IndexWanted::Blocks, IndexWanted::LabelNames, IndexWanted::LabelValues("app".to_owned())];
    for (kind, wanted) in (0u8..).zip(wanted) {
        let question = IndexQuestion { tenant: Tenant::default(), wanted, matchers: Vec::new() };
        let answer = tables.answer(&question, &table, &Budget::unlimited()).expect("an answer");
        save("look_up", &format!("answer-{kind}"), &[&[kind][..], &answer.bytes()[9..]].concat());
        save("look_up", &format!("question-{kind}"), &[&[3][..], &question.encode(&[table.clone()])].concat());
    }
}

/// A field with a length: a string, bytes or a message.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_varint(number << 3 | 2);
    out.put_varint(bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

fn varint(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_varint(number << 3);
    out.put_varint(value);
    out
}

fn fixed64(number: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_varint(number << 3 | 1);
    out.put_u64(value);
    out
}

fn pushes() {
    let entry = |seconds: u64, line: &[u8], pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(n, v)| field(3, &[field(1, n.as_bytes()), field(2, v.as_bytes())].concat()));
        let time = [varint(1, seconds), varint(2, 5)].concat();
        field(2, &[field(1, &time), field(2, line), pairs.collect::<Vec<_>>().concat()].concat())
    };
    let stream = |labels: &str, entries: &[Vec<u8>]| {
        field(1, &[field(1, labels.as_bytes()), entries.concat(), varint(3, 77)].concat())
    };
    let one = stream(r#"{app="a"}"#, &[entry(1, b"hello", &[])]);
    let two = stream(
        r#"{app="a", pod="p\"1"}"#,
        &[entry(2, b"x", &[("level", "info"), ("id", "1")]), entry(u64::MAX, b"\xff", &[])],
    );
    let bodies = [
        ("empty", Vec::new()),
        ("one", one.clone()),
        ("two", [one.clone(), two.clone()].concat()),
        ("unknown-fields", [varint(9, 1), fixed64(10, 2), one.clone(), field(11, b"x")].concat()),
        ("no-entries", stream("{", &[])),
        ("bad-labels", stream("{app=}", &[entry(1, b"x", &[])])),
        ("many", (0..40).flat_map(|n| stream(&format!("{{n=\"{n}\"}}"), &[entry(n, b"line of text", &[])])).collect()),
    ];
    for (name, body) in bodies {
        save("push_proto", name, &body);
        let packed = snap::raw::Encoder::new().compress_vec(&body).expect("small");
        save("push_proto", &format!("{name}-snappy"), &packed);
    }
    otlp();
}

fn otlp() {
    let text = |value: &str| field(1, value.as_bytes());
    let pair = |name: &str, value: Vec<u8>| [field(1, name.as_bytes()), field(2, &value)].concat();
    let resource = [
        field(1, &pair("service.name", text("api"))),
        field(1, &pair("host.name", text("h1"))),
        field(1, &pair("n", varint(3, 5))),
    ];
    let list = field(5, &[field(1, &text("a")), field(1, &varint(2, 1)), field(1, &fixed64(4, 0x3ff8 << 48))].concat());
    let map = field(6, &field(1, &pair("k", list.clone())));
    let record = |body: Vec<u8>| {
        let parts = [
            fixed64(1, 1_700_000_000_000_000_000),
            varint(2, 9),
            field(3, b"INFO"),
            field(5, &body),
            field(6, &pair("user", text("u"))),
            field(9, &[1; 16]),
            field(10, &[2; 8]),
            fixed64(11, 7),
        ];
        field(2, &parts.concat())
    };
    let scope = field(1, &[field(1, b"lib"), field(2, b"1.0"), field(3, &pair("s", text("t")))].concat());
    for (name, body) in [("text", text("hello")), ("list", list), ("map", map), ("bytes", field(7, b"\x00\xff"))] {
        let logs = field(2, &[scope.clone(), record(body.clone()), record(body)].concat());
        let request = field(1, &[field(1, &resource.concat()), logs].concat());
        save("otlp", &format!("proto-{name}"), &Bytes::from(request));
    }
    save("otlp", "proto-empty", &[]);
}
