//! Golden packs: files of format version 0, one per codec, that must stay readable and, while that version is written,
//! be what the writer writes.

use bytes::Bytes;
use narvi_chunk::{Compression, PackOptions, SectionKind, verify};
use narvi_types::Metadata;

use crate::model::{Random, Row, Tenant, join, labels, metadata, read, write_block};

const FILES: [(&str, Compression, &[u8]); 4] = [
    ("none", Compression::None, include_bytes!("../golden/v0-none.pack")),
    ("snappy", Compression::Snappy, include_bytes!("../golden/v0-snappy.pack")),
    ("lz4", Compression::Lz4, include_bytes!("../golden/v0-lz4.pack")),
    ("zstd", Compression::Zstd(3), include_bytes!("../golden/v0-zstd.pack")),
];

/// Everything the format has: several tenants, frames, pages and blocks; metadata of all kinds; odd lines and times.
fn contents() -> Vec<Tenant> {
    let mut random = Random(42);
    let access = (0..60_i64).map(|n| {
        let line = format!("GET /api/v1/users/{} 200 {}us", random.below(1000), random.below(100_000));
        let pairs = metadata(&[("detected_level", "info"), ("trace_id", &format!("{:032x}", random.next()))]);
        (1_700_000_000_000_000_000 + n * 15_000_000_000, line.into_bytes(), pairs)
    });
    let access: Vec<Row> = access.collect();
    let odd = |time, line: &[u8], pairs: &[(&str, &str)]| (time, line.to_vec(), metadata(pairs));
    let odd = vec![
        odd(i64::MIN, b"", &[]),
        odd(-1, b"\xff\x00 not text", &[("", ""), ("k", "1"), ("k", "1")]),
        odd(-1, b"again", &[("k", "2")]),
        odd(i64::MAX, "\u{e9}t\u{e9}".as_bytes(), &[]),
    ];
    let plain =
        (0..40).map(|n| (n * 1_000_000, format!("worker {n} idle").into_bytes(), Metadata::default())).collect();
    vec![
        (
            "acme".into(),
            vec![
                (labels(&[("app", "api"), ("pod", "api-5f7d-x2x9p")]), access.clone()),
                (labels(&[("app", "api"), ("pod", "api-5f7d-zzz01")]), access[..7].to_vec()),
                (labels(&[]), odd),
            ],
        ),
        ("\u{fc}ber".into(), vec![(labels(&[("job", "worker")]), plain)]),
    ]
}

fn produce(compression: Compression) -> Bytes {
    let options = PackOptions { compression, frame_bytes: 3000, frame_rows: 1000, page_rows: 32 };
    let mut writer = narvi_chunk::PackWriter::new(options).expect("valid options");
    for (tenant, blocks) in contents() {
        writer.tenant(&tenant).expect("new tenant");
        for (labels, rows) in blocks {
            write_block(&mut writer, &labels, &rows).expect("appends");
        }
    }
    writer.section(SectionKind(40_000), false, b"optional, optional, optional, of a later version").expect("appends");
    join(writer.finish().expect("finishes"))
}

#[test]
fn golden_packs_are_read() {
    for (name, _, file) in FILES {
        let file = Bytes::from_static(file);
        let report = verify(&file).expect("opens");
        assert!(report.is_sound(), "{name}: {:?}", report.problems);
        let tenants = crate::model::joined(&read(&file).expect("reads"));
        assert_eq!(tenants, crate::model::joined(&contents()), "{name}");
    }
}

/// If this fails after a compressor was upgraded and nothing else changed, the format is still the same: see that
/// `golden_packs_are_read` passes, then write the files of that codec anew. In all other cases the format has changed.
#[test]
fn the_writer_still_writes_golden_packs() {
    for (name, compression, file) in FILES {
        assert!(produce(compression) == file, "the pack written with {name} differs from the golden file");
    }
}

/// Writes the golden files; allowed until the first release only: `cargo test -p narvi-chunk -- --ignored
/// write_golden`.
#[test]
#[ignore = "changes golden files"]
fn write_golden() {
    for (name, compression, _) in FILES {
        let path = format!("{}/tests/golden/v0-{name}.pack", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, produce(compression)).expect("the directory is writable");
    }
}
