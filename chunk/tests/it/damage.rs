//! Damaged packs: no panic, no huge allocation, damage found, and no more lost than what is damaged.

use bytes::Bytes;
use narvi_chunk::{ChunkError, DecodeLimits, FORMAT_VERSION, OpenOptions, Pack, PackOptions, verify, verify_with};
use narvi_types::Metadata;
use proptest::prelude::*;

use crate::model::{CODECS, Tenant, labels, metadata, read_frame, write};

/// Two tenants, several frames and pages, with metadata in some.
fn sample() -> Vec<Tenant> {
    let block = |app: &str, count: i64, with: bool| {
        let row = |n: i64| {
            let pairs = if with { metadata(&[("level", "info"), ("id", &n.to_string())]) } else { Metadata::default() };
            (n * 1_000_000, format!("{app}: request number {n} took {} ms", n * 37 % 101).into_bytes(), pairs)
        };
        (labels(&[("app", app), ("env", "prod")]), (0..count).map(row).collect())
    };
    vec![
        ("a".into(), vec![block("one", 40, false), block("three", 5, false), block("two", 30, true)]),
        ("b".into(), vec![block("one", 3, true)]),
    ]
}

fn file(codec: usize) -> Bytes {
    let options = PackOptions { compression: CODECS[codec], frame_bytes: 1500, frame_rows: 1000, page_rows: 16 };
    write(&sample(), &options).expect("writes").0
}

fn limits() -> OpenOptions {
    let limits = DecodeLimits { max_column_bytes: 1 << 20, max_frame_rows: 10_000, max_directory_bytes: 1 << 20 };
    OpenOptions { limits, ..OpenOptions::default() }
}

/// Whether everything could be read.
fn is_sound(file: Vec<u8>) -> bool {
    verify_with(&Bytes::from(file), &limits()).is_ok_and(|report| report.is_sound())
}

proptest! {
    #[test]
    fn any_flipped_bit_is_found(codec in 0..4_usize, at: proptest::sample::Index, bit in 0..8_u32) {
        let mut file = file(codec).to_vec();
        let at = at.index(file.len());
        file[at] ^= 1_u8 << bit;
        prop_assert!(!is_sound(file), "bit {} of byte {}", bit, at);
    }

    #[test]
    fn any_cut_is_found(codec in 0..4_usize, at: proptest::sample::Index) {
        let file = file(codec);
        prop_assert!(!is_sound(file[..at.index(file.len())].to_vec()));
    }

    #[test]
    fn random_bytes_do_no_harm(codec in 0..4_usize, patches in proptest::collection::vec(
        (any::<proptest::sample::Index>(), any::<u8>()), 1..20,
    )) {
        let mut file = file(codec).to_vec();
        for (at, byte) in patches {
            let at = at.index(file.len());
            file[at] = byte;
        }
        is_sound(file);
    }

    /// Checksums hide most of the decoders from random damage: here they are made right again.
    #[test]
    fn damage_under_valid_checksums_does_no_harm(codec in 0..4_usize, frame: proptest::sample::Index,
        column: proptest::sample::Index, patches in proptest::collection::vec(
            (any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let sound = file(codec);
        let pack = Pack::open(&sound)?;
        let info = frame.get(pack.frames());
        let column = column.get(&info.columns);
        let first = if column.pages.is_empty() { column.len } else { column.pages[0] } as usize;
        let start = info.offset as usize + column.offset as usize;
        let mut file = sound.to_vec();
        for (at, byte) in patches {
            file[start + at.index(first - 4)] = byte;
        }
        let crc = crc32fast::hash(&file[start..start + first - 4]);
        file[start + first - 4..start + first].copy_from_slice(&crc.to_le_bytes());
        is_sound(file);
    }

    #[test]
    fn a_directory_of_random_bytes_does_no_harm(patches in proptest::collection::vec(
        (any::<proptest::sample::Index>(), any::<u8>()), 1..6,
    )) {
        let mut file = file(0).to_vec();
        let footer = file.len() - 36;
        let directory = u64::from_le_bytes(file[footer..footer + 8].try_into()?) as usize;
        for (at, byte) in patches {
            let at = directory + at.index(footer - directory);
            file[at] = byte;
        }
        // The file is not compressed, so the directory is what it looks like.
        let crc = crc32fast::hash(&file[directory..footer]);
        file[footer + 16..footer + 20].copy_from_slice(&crc.to_le_bytes());
        let crc = crc32fast::hash(&file[footer..footer + 24]);
        file[footer + 24..footer + 28].copy_from_slice(&crc.to_le_bytes());
        is_sound(file);
    }
}

#[test]
fn a_corrupt_column_costs_its_frame_alone() {
    let sound = file(3);
    let pack = Pack::open(&sound).expect("opens");
    assert!(pack.frame_count() >= 3);
    let lines = pack.frame(1).expect("exists");
    let column = lines.columns.last().expect("lines");
    let offset = lines.offset + u64::from(column.offset);
    let mut bytes = sound.to_vec();
    bytes[offset as usize + 3] ^= 0x10;
    let damaged = Bytes::from(bytes);

    let pack = Pack::open(&damaged).expect("the directory is whole");
    let error = read_frame(&pack, 1, &damaged).expect_err("damaged");
    assert_eq!(error.to_string(), format!("corrupt lines of frame 1 at offset {offset}: checksum mismatch"));
    for frame in (0..pack.frame_count()).filter(|f| *f != 1) {
        assert_eq!(read_frame(&pack, frame, &damaged).ok(), read_frame(&pack, frame, &sound).ok());
        assert!(read_frame(&pack, frame, &damaged).is_ok());
    }
    let report = verify(&damaged).expect("opens");
    assert_eq!((report.problems.len(), report.frames), (1, pack.frame_count()));
}

#[test]
fn a_newer_version_is_refused_with_both_versions() {
    let mut file = file(3).to_vec();
    let at = file.len() - 8;
    file[at..at + 2].copy_from_slice(&7_u16.to_le_bytes());
    let error = Pack::open(&Bytes::from(file)).expect_err("refused");
    assert!(matches!(error, ChunkError::Unsupported { found: 7, .. }));
    let text = error.to_string();
    assert!(text.contains("version 7 is newer") && text.contains(&format!("to {FORMAT_VERSION}")), "{text}");
}

#[test]
fn other_files_are_no_packs() {
    for file in [&b""[..], b"short", &[b'x'; 1000]] {
        assert!(matches!(Pack::open(&Bytes::copy_from_slice(file)), Err(ChunkError::NotAPack { .. })));
    }
}
