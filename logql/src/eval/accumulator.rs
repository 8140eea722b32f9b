//! What a cell remembers of its samples: one type per family of range aggregations, each mergeable and encodable.

use narvi_types::wire::{Reader, WireError, Writer};

/// Remembers samples. `Default` has seen none. Merging is associative; where the order of samples matters, `later` holds
/// samples that come after one's own, at the same time at the earliest.
pub(crate) trait Accumulator: Clone + Default + Send {
    /// Whether whole runs of rows can be added without reading their lines or labels.
    const RUNS: Runs = Runs::No;

    /// Adds a sample.
    fn add(&mut self, ts: i64, value: f64);

    /// Adds rows of which only the number and the bytes of their lines are known; see [`Accumulator::RUNS`].
    fn add_run(&mut self, _rows: u64, _line_bytes: u64) {}

    /// Whether there was no sample.
    fn is_empty(&self) -> bool;

    /// Adds all that another has seen.
    fn merge(&mut self, later: &Self);

    /// Bytes held outside the value itself, per sample.
    const SAMPLE_BYTES: u64 = 0;

    /// How many samples are held outside the value itself.
    fn samples(&self) -> u64 {
        0
    }

    /// Appends the binary form.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads the binary form.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError>;
}

/// What a run of rows must be known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// Values are needed.
    No,
    /// How many rows there are.
    Rows,
    /// And the bytes of their lines.
    Bytes,
}

/// How many samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Count(pub(crate) u64);

impl Accumulator for Count {
    const RUNS: Runs = Runs::Rows;

    fn add(&mut self, _ts: i64, _value: f64) {
        self.0 += 1;
    }

    fn add_run(&mut self, rows: u64, _line_bytes: u64) {
        self.0 += rows;
    }

    fn is_empty(&self) -> bool {
        self.0 == 0
    }

    fn merge(&mut self, later: &Self) {
        self.0 = self.0.saturating_add(later.0);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.0);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self(reader.varint("count")?))
    }
}

/// How many samples, and the bytes of their lines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Bytes {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Accumulator for Bytes {
    const RUNS: Runs = Runs::Bytes;

    fn add(&mut self, _ts: i64, value: f64) {
        self.rows += 1;
        self.bytes = self.bytes.saturating_add(value as u64);
    }

    fn add_run(&mut self, rows: u64, line_bytes: u64) {
        self.rows += rows;
        self.bytes = self.bytes.saturating_add(line_bytes);
    }

    fn is_empty(&self) -> bool {
        self.rows == 0
    }

    fn merge(&mut self, later: &Self) {
        self.rows = self.rows.saturating_add(later.rows);
        self.bytes = self.bytes.saturating_add(later.bytes);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.rows);
        out.put_varint(self.bytes);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { rows: reader.varint("count")?, bytes: reader.varint("bytes")? })
    }
}

/// How many samples and their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) sum: f64,
}

impl Accumulator for Sum {
    fn add(&mut self, _ts: i64, value: f64) {
        self.count += 1;
        self.sum += value;
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn merge(&mut self, later: &Self) {
        self.count = self.count.saturating_add(later.count);
        self.sum += later.sum;
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.count);
        put_f64(out, self.sum);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { count: reader.varint("count")?, sum: f64_from(reader)? })
    }
}

/// The least sample. As in Prometheus anything replaces NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Min(pub(crate) Option<f64>);

/// The greatest sample. As in Prometheus anything replaces NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Max(pub(crate) Option<f64>);

macro_rules! extreme {
    ($name:ident, $better:tt) => {
        impl Accumulator for $name {
            fn add(&mut self, _ts: i64, value: f64) {
                if self.0.is_none_or(|held| value $better held || held.is_nan()) {
                    self.0 = Some(value);
                }
            }

            fn is_empty(&self) -> bool {
                self.0.is_none()
            }

            fn merge(&mut self, later: &Self) {
                if let Some(value) = later.0 {
                    self.add(0, value);
                }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                put_f64(out, self.0.unwrap_or(f64::NAN));
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self(Some(f64_from(reader)?)))
            }
        }
    };
}

extreme!(Min, <);
extreme!(Max, >);

/// Number, mean and sum of squared distances from the mean, merged after Chan, Golub and LeVeque (1979).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    pub(crate) m2: f64,
}

impl Moments {
    /// The population variance.
    pub(crate) fn variance(&self) -> f64 {
        self.m2 / self.count as f64
    }
}

impl Accumulator for Moments {
    fn add(&mut self, _ts: i64, value: f64) {
        self.count += 1;
        let distance = value - self.mean;
        self.mean += distance / self.count as f64;
        self.m2 += distance * (value - self.mean);
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn merge(&mut self, later: &Self) {
        if self.count == 0 || later.count == 0 {
            if self.count == 0 {
                *self = *later;
            }
            return;
        }
        let (a, b) = (self.count as f64, later.count as f64);
        let distance = later.mean - self.mean;
        self.count = self.count.saturating_add(later.count);
        self.mean += distance * (b / (a + b));
        self.m2 += later.m2 + distance * distance * (a * b / (a + b));
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.count);
        put_f64(out, self.mean);
        put_f64(out, self.m2);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        Ok(Self { count: reader.varint("count")?, mean: f64_from(reader)?, m2: f64_from(reader)? })
    }
}

/// The sample with the least time; of several the first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct First(pub(crate) Option<(i64, f64)>);

/// The sample with the greatest time; of several the last seen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Last(pub(crate) Option<(i64, f64)>);

macro_rules! edge {
    ($name:ident, $better:tt) => {
        impl Accumulator for $name {
            fn add(&mut self, ts: i64, value: f64) {
                if self.0.is_none_or(|(held, _)| ts $better held) {
                    self.0 = Some((ts, value));
                }
            }

            fn is_empty(&self) -> bool {
                self.0.is_none()
            }

            fn merge(&mut self, later: &Self) {
                if let Some((ts, value)) = later.0 {
                    self.add(ts, value);
                }
            }

            fn encode(&self, out: &mut Vec<u8>) {
                let (ts, value) = self.0.unwrap_or_default();
                out.put_zigzag(ts);
                put_f64(out, value);
            }

            fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
                Ok(Self(Some((reader.zigzag("time")?, f64_from(reader)?))))
            }
        }
    };
}

edge!(First, <);
edge!(Last, >=);

/// All samples, for quantiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Values(pub(crate) Vec<f64>);

impl Accumulator for Values {
    const SAMPLE_BYTES: u64 = 8;

    fn samples(&self) -> u64 {
        self.0.len() as u64
    }

    fn add(&mut self, _ts: i64, value: f64) {
        self.0.push(value);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn merge(&mut self, later: &Self) {
        self.0.extend_from_slice(&later.0);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.0.len() as u64);
        for &value in &self.0 {
            put_f64(out, value);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count(8, "number of samples")?;
        (0..count).map(|_| f64_from(reader)).collect::<Result<_, _>>().map(Self)
    }
}

/// All samples with their times, for counters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Points(pub(crate) Vec<(i64, f64)>);

impl Accumulator for Points {
    const SAMPLE_BYTES: u64 = 16;

    fn samples(&self) -> u64 {
        self.0.len() as u64
    }

    fn add(&mut self, ts: i64, value: f64) {
        self.0.push((ts, value));
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn merge(&mut self, later: &Self) {
        self.0.extend_from_slice(&later.0);
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.0.len() as u64);
        for &(ts, value) in &self.0 {
            out.put_zigzag(ts);
            put_f64(out, value);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let count = reader.count(9, "number of samples")?;
        (0..count).map(|_| Ok((reader.zigzag("time")?, f64_from(reader)?))).collect::<Result<_, _>>().map(Self)
    }
}

fn put_f64(out: &mut Vec<u8>, value: f64) {
    out.put_u64(value.to_bits());
}

fn f64_from(reader: &mut Reader<'_>) -> Result<f64, WireError> {
    reader.u64("number").map(f64::from_bits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Accumulator, Moments};

    proptest! {
        #[test]
        fn moments_merge_as_if_added_one_by_one(a: Vec<i16>, b: Vec<i16>) {
            let of = |values: &[i16]| {
                let mut moments = Moments::default();
                values.iter().for_each(|&v| moments.add(0, f64::from(v)));
                moments
            };
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let all = of(&[a, b].concat());
            prop_assert_eq!(merged.count, all.count);
            if all.count > 0 {
                prop_assert!((merged.variance() - all.variance()).abs() <= 1e-9 * all.variance().max(1.0));
            }
        }
    }
}
