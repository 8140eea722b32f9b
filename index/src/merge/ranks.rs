//! A rising list of numbers in little memory: how one input's values are numbered in the output.

const RUN: usize = 128;

/// Never falling numbers, each found in constant time. An input that holds nearly all values of the output costs about
/// 1/8 byte per number, one that holds a random part 1 to 2 bytes: 48 inputs of a million values each stay small.
///
/// ```text
/// run of 128 numbers = first number of the run, then per number i:  number[i] - first - i, nothing stored if all are 0
///                      or, if numbers repeat so that this falls below 0:  number[i] - first
/// ```
#[derive(Debug, Default)]
pub(super) struct Ranks {
    runs: Vec<Run>,
    bytes: Vec<u8>,
    words: Vec<u16>,
    longs: Vec<u32>,
    pending: Vec<u32>,
}

/// Where a run's differences lie.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    /// What a number is expected to grow by: 1, or 0 in a run with repeats.
    slope: u32,
    width: Width,
    at: u32,
}

#[derive(Clone, Copy, Debug)]
enum Width {
    None,
    Byte,
    Word,
    Long,
}

impl Ranks {
    /// Appends a number.
    pub(super) fn push(&mut self, number: u32) {
        self.pending.push(number);
        if self.pending.len() == RUN {
            self.finish();
        }
    }

    /// Packs the numbers pushed last; to be called once all are in.
    pub(super) fn finish(&mut self) {
        let Some(first) = self.pending.first().copied() else { return };
        let slope = u32::from(self.pending.iter().zip(first..).all(|(number, expected)| *number >= expected));
        let differences = || self.pending.iter().zip(0..).map(|(number, i)| number - first - i * slope);
        let (width, at) = match differences().max().unwrap_or(0) {
            0 => (Width::None, 0),
            1..=0xff => (Width::Byte, append(&mut self.bytes, differences().map(|d| d as u8))),
            0x100..=0xffff => (Width::Word, append(&mut self.words, differences().map(|d| d as u16))),
            _ => (Width::Long, append(&mut self.longs, differences())),
        };
        self.runs.push(Run { first, slope, width, at });
        self.pending.clear();
    }

    /// The number at that place of the finished list.
    pub(super) fn get(&self, index: usize) -> u32 {
        let Some(run) = self.runs.get(index / RUN) else { return 0 };
        let inside = index % RUN;
        let at = run.at as usize + inside;
        let difference = match run.width {
            Width::None => Some(0),
            Width::Byte => self.bytes.get(at).map(|d| u32::from(*d)),
            Width::Word => self.words.get(at).map(|d| u32::from(*d)),
            Width::Long => self.longs.get(at).copied(),
        };
        run.first + inside as u32 * run.slope + difference.unwrap_or(0)
    }
}

fn append<T>(to: &mut Vec<T>, from: impl Iterator<Item = T>) -> u32 {
    let at = to.len() as u32;
    to.extend(from);
    at
}

#[cfg(test)]
mod tests {
    use super::Ranks;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn gives_back_what_it_was_given(repeats: bool, gaps in proptest::collection::vec(prop_oneof![
            6 => Just(1u32), 1 => Just(0u32), 3 => 1u32..40, 1 => 1u32..2_000, 1 => 1u32..300_000,
        ], 0..700)) {
            let mut ranks = Ranks::default();
            let mut numbers = vec![];
            let mut next = 0;
            for gap in gaps {
                next += if repeats { gap } else { gap.max(1) };
                numbers.push(next);
                ranks.push(next);
            }
            ranks.finish();
            let back: Vec<_> = (0..numbers.len()).map(|at| ranks.get(at)).collect();
            prop_assert_eq!(back, numbers);
        }
    }
}
