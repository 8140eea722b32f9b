//! Repairs the checksums of a pack: directory and footer first, since they tell where the columns lie.

use bytes::Bytes;
use narvi_chunk::{OpenOptions, Pack};

use crate::{put_crc, u64_at};

const FOOTER: usize = 36;

/// Makes all checksums of a pack right, as far as its directory can be read.
pub fn repair_pack(bytes: &mut [u8], options: &OpenOptions) {
    let _ = repair(bytes, options);
}

fn repair(bytes: &mut [u8], options: &OpenOptions) -> Option<()> {
    let footer = bytes.len().checked_sub(FOOTER)?;
    let directory = u64_at(bytes, footer)?;
    let crc = crc32fast::hash(bytes.get(directory..footer)?);
    put_crc(bytes, footer + 16, crc)?;
    let crc = crc32fast::hash(bytes.get(footer..footer + 24)?);
    put_crc(bytes, footer + 24, crc)?;

    let pack = Pack::open_with(&Bytes::copy_from_slice(bytes), options).ok()?;
    for frame in pack.frames() {
        for column in &frame.columns {
            let mut start = usize::try_from(frame.offset).ok()?.checked_add(column.offset as usize)?;
            let whole = [column.len];
            let pages = if column.pages.is_empty() { &whole[..] } else { &column.pages[..] };
            for len in pages {
                let end = start.checked_add(*len as usize)?;
                if let Some(body) = end.checked_sub(4).and_then(|body_end| bytes.get(start..body_end)) {
                    let crc = crc32fast::hash(body);
                    put_crc(bytes, end - 4, crc);
                }
                start = end;
            }
        }
    }
    Some(())
}
