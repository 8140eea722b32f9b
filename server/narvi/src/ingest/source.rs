//! Reads files, plain or gzip, in batches of whole lines.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::SystemTime,
};

use bytes::{Bytes, BytesMut};
use flate2::bufread::MultiGzDecoder;
use indicatif::ProgressBar;

use crate::failure::{Failure, Outcome};

/// Bytes that are read before their lines are handed on.
const BATCH_BYTES: usize = 4 << 20;
/// The longest line.
const MAX_LINE_BYTES: usize = 64 << 20;

/// A file being read.
pub(super) struct Source {
    name: String,
    input: Box<dyn Read>,
    buffer: BytesMut,
    done: bool,
    /// When the file was last written, if that is known.
    pub(super) modified: Option<SystemTime>,
}

impl Source {
    /// Opens a file, or the standard input for `-`. The bar counts the bytes that are read from it, compressed or not.
    pub(super) fn open(path: &Path, bar: &ProgressBar) -> Outcome<Self> {
        let name = path.display().to_string();
        let failed = |error| Failure::of(format_args!("cannot read {name}"), error);
        let (raw, modified): (Box<dyn Read>, _) = if name == "-" {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path).map_err(failed)?;
            let about = file.metadata().map_err(failed)?;
            if about.is_dir() {
                return Err(Failure(format!("{name} is a folder; name the files in it")));
            }
            (Box::new(file), about.modified().ok())
        };
        let mut raw = BufReader::with_capacity(1 << 18, Counted { inner: raw, bar: bar.clone() });
        let is_gzip = raw.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]);
        let input: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(raw)) } else { Box::new(raw) };
        Ok(Self { name, input, buffer: BytesMut::new(), done: false, modified })
    }

    /// The next lines, each with its newline, but perhaps the last of the file; `None` at the end.
    pub(super) fn next(&mut self) -> Outcome<Option<Bytes>> {
        let mut searched = 0;
        loop {
            if self.done {
                let rest = self.buffer.split().freeze();
                return Ok((!rest.is_empty()).then_some(rest));
            }
            if self.buffer.len() >= BATCH_BYTES {
                if let Some(end) = memchr::memrchr(b'\n', &self.buffer[searched..]) {
                    return Ok(Some(self.buffer.split_to(searched + end + 1).freeze()));
                }
                searched = self.buffer.len();
                if searched > MAX_LINE_BYTES {
                    return Err(Failure(format!("{}: a line is longer than {} MiB", self.name, MAX_LINE_BYTES >> 20)));
                }
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Outcome {
        let before = self.buffer.len();
        self.buffer.resize(before + (1 << 20), 0);
        let read = loop {
            match self.input.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read = read.map_err(|error| Failure::of(format_args!("cannot read {}", self.name), error))?;
        self.buffer.truncate(before + read);
        self.done = read == 0;
        Ok(())
    }
}

/// Tells a bar of what is read.
struct Counted {
    inner: Box<dyn Read>,
    bar: ProgressBar,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(out)?;
        self.bar.inc(read as u64);
        Ok(read)
    }
}

/// Cuts a batch at its newlines, which are left out. Says of the last line whether it had one.
pub(super) fn lines(batch: &Bytes) -> impl Iterator<Item = (Bytes, bool)> + '_ {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = batch.get(start..).filter(|rest| !rest.is_empty())?;
        let (length, ended) = memchr::memchr(b'\n', rest).map_or((rest.len(), false), |end| (end, true));
        let line = batch.slice(start..start + length);
        start += length + usize::from(ended);
        Some((line, ended))
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::lines;

    #[test]
    fn lines_are_cut_at_newlines_alone() {
        let batch = Bytes::from_static(b"a\r\n\n\xff b\nend");
        let found: Vec<(Bytes, bool)> = lines(&batch).collect();
        let expected: [(&[u8], bool); 4] = [(b"a\r", true), (b"", true), (b"\xff b", true), (b"end", false)];
        assert_eq!(found.iter().map(|(line, ended)| (&line[..], *ended)).collect::<Vec<_>>(), expected);
        assert_eq!(lines(&Bytes::new()).count(), 0);
    }
}
