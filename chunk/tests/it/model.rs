//! What the tests share: rows as plain vectors, and reading a whole pack back into them.

use bytes::Bytes;
use narvi_chunk::{BlockPlace, BlockRows, Compression, FrameReader, Lines, Pack, PackOptions, PackWriter, Result};
use narvi_types::{Labels, Metadata};

/// A row: timestamp, line, metadata.
pub(crate) type Row = (i64, Vec<u8>, Metadata);
/// A stream's rows.
pub(crate) type Block = (Labels, Vec<Row>);
/// A tenant's blocks, in order.
pub(crate) type Tenant = (String, Vec<Block>);

pub(crate) const CODECS: [Compression; 4] =
    [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd(1)];

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid labels")
}

pub(crate) fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    Metadata::from_pairs(pairs.iter().copied()).expect("valid metadata")
}

pub(crate) fn join(parts: Vec<Bytes>) -> Bytes {
    parts.into_iter().flatten().collect()
}

/// Writes blocks and keeps the places.
pub(crate) fn write(tenants: &[Tenant], options: &PackOptions) -> Result<(Bytes, Vec<BlockPlace>)> {
    let mut writer = PackWriter::new(options.clone())?;
    let mut places = Vec::new();
    let mut parts = Vec::new();
    for (name, blocks) in tenants {
        writer.tenant(name)?;
        for (labels, rows) in blocks {
            places.extend(write_block(&mut writer, labels, rows)?);
            parts.extend(writer.drain());
        }
    }
    parts.extend(writer.finish()?);
    Ok((join(parts), places))
}

pub(crate) fn write_block(writer: &mut PackWriter, labels: &Labels, rows: &[Row]) -> Result<Vec<BlockPlace>> {
    let timestamps: Vec<i64> = rows.iter().map(|r| r.0).collect();
    let lines: Vec<&[u8]> = rows.iter().map(|r| r.1.as_slice()).collect();
    let metadata: Vec<Metadata> = rows.iter().map(|r| r.2.clone()).collect();
    let bare = metadata.iter().all(|m| m.is_empty());
    let metadata = if bare { &[] } else { metadata.as_slice() };
    writer.block(labels, &BlockRows { timestamps: &timestamps, lines: &lines, metadata })
}

/// Reads the rows of a frame, split into its blocks.
pub(crate) fn read_frame(pack: &Pack, frame: u32, file: &Bytes) -> Result<Vec<Block>> {
    let reader = FrameReader::new(pack, frame, file)?;
    let rows = reader.info().rows;
    let (times, lengths) = (reader.timestamps(0..rows)?, reader.lengths(0..rows)?);
    let (buffer, offsets) = (reader.lines()?, reader.offsets()?);
    let lines = Lines::new(&buffer, &offsets).expect("offsets fit the buffer");
    let metadata = reader.metadata()?;
    let mut blocks = Vec::new();
    let mut row = 0;
    for (labels, count) in reader.streams()? {
        let block = (row..row + count as usize).map(|row| {
            assert_eq!(lines.line(row).len(), lengths[row] as usize);
            let pairs = metadata.as_ref().map(|m| m.row(row).clone()).unwrap_or_default();
            (times[row], lines.line(row).to_vec(), pairs)
        });
        blocks.push((labels, block.collect()));
        row += count as usize;
    }
    assert_eq!(row, rows as usize);
    Ok(blocks)
}

/// Reads a whole pack; blocks that were split over frames come back in one piece.
pub(crate) fn read(file: &Bytes) -> Result<Vec<Tenant>> {
    let pack = Pack::open(file)?;
    let mut tenants: Vec<Tenant> = Vec::new();
    for tenant in pack.tenants() {
        let mut blocks = Vec::new();
        for frame in tenant.frames.clone() {
            blocks.extend(read_frame(&pack, frame, file)?);
        }
        tenants.push((tenant.name.clone(), blocks));
    }
    Ok(tenants)
}

/// Joins neighbouring blocks of one stream, as splitting makes them.
pub(crate) fn joined(tenants: &[Tenant]) -> Vec<Tenant> {
    let join = |blocks: &[Block]| {
        let mut out: Vec<Block> = Vec::new();
        for (labels, rows) in blocks.iter().filter(|(_, rows)| !rows.is_empty()) {
            match out.last_mut() {
                Some((last, all)) if last == labels => all.extend(rows.iter().cloned()),
                _ => out.push((labels.clone(), rows.clone())),
            }
        }
        out
    };
    let tenants = tenants.iter().map(|(name, blocks)| (name.clone(), join(blocks)));
    tenants.filter(|(_, blocks)| !blocks.is_empty()).collect()
}

/// A small generator of pseudo-random numbers (xorshift64*), so that files are the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
