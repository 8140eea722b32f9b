//! Packs: opening, every column of every frame, verification, description; as given, and with right checksums.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use narvi_chunk::{
    Contains, DecodeLimits, FrameReader, LinePredicate, Lines, OpenOptions, Pack, RowSet, describe, verify_with,
};
use narvi_fuzz::repair_pack;

fuzz_target!(|data: &[u8]| {
    let limits = DecodeLimits { max_column_bytes: 1 << 20, max_frame_rows: 100_000, max_directory_bytes: 1 << 20 };
    let options = OpenOptions { limits, ..OpenOptions::default() };
    let mut bytes = data.to_vec();
    let _ = verify_with(&Bytes::copy_from_slice(&bytes), &options);
    repair_pack(&mut bytes, &options);
    read(&bytes.into(), &options);
});

fn read(file: &Bytes, options: &OpenOptions) {
    let _ = verify_with(file, options);
    let Ok(pack) = Pack::open_with(file, options) else { return };
    let _ = describe(&pack).to_string();
    for section in pack.sections() {
        let _ = pack.section(section.kind, file);
    }
    for frame in 0..pack.frame_count() {
        let Ok(reader) = FrameReader::new(&pack, frame, file) else { continue };
        let rows = reader.info().rows;
        let _ = (reader.streams(), reader.timestamps(rows / 2..rows), reader.lengths(0..rows / 2));
        if let Ok(Some(metadata)) = reader.metadata() {
            assert_eq!(metadata.ids.len(), rows as usize);
            let _ = (0..metadata.ids.len()).map(|row| metadata.row(row).len()).sum::<usize>();
        }
        let (Ok(buffer), Ok(offsets)) = (reader.lines(), reader.offsets()) else { continue };
        let lines = Lines::new(&buffer, &offsets).expect("offsets that were decoded fit the lines");
        assert_eq!(lines.len(), rows as usize);
        let mut kept = RowSet::full(lines.len());
        Contains::new(b"a").retain(lines, &mut kept);
        for row in 0..lines.len() {
            assert_eq!(kept.contains(row), lines.line(row).contains(&b'a'));
        }
    }
}
