//! The parameters of a query beside its text, and the arithmetic of steps.

use narvi_types::{
    Direction,
    wire::{Reader, WireError, Writer},
};

use crate::Error;

/// The most points that Loki gives per series.
pub const MAX_POINTS: i64 = 11_000;

/// What a query is evaluated with. Plain data; the default asks for one instant at the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Params {
    /// First instant of a metric query, first nanosecond of a log query. An instant query uses `end_ns` alone.
    pub start_ns: i64,
    /// Last instant of a metric query (inside), end of a log query (outside).
    pub end_ns: i64,
    /// Distance of the instants of a metric range query in nanoseconds.
    pub step_ns: i64,
    /// The most lines that a log query gives; `None` for all.
    pub limit: Option<usize>,
    /// The order of the lines of a log query.
    pub direction: Direction,
    /// A log query leaves out lines that follow the last one given sooner than this, in nanoseconds; 0 for none. As in
    /// Loki the limit is applied first.
    pub interval_ns: i64,
    /// Evaluate a metric query at `end_ns` only.
    pub instant: bool,
    /// Keep structured metadata and parsed labels apart from the labels of the stream.
    pub categorize: bool,
    /// The most series of a metric answer, and of those parts of it that Loki computes apart; `None` for no limit.
    pub max_series: Option<usize>,
    /// Give the first series and a warning, instead of an error, where there are more than `max_series`.
    pub partial_series: bool,
    /// Allow `variants(...)`; off in Loki by default.
    pub variants: bool,
    /// Allow `approx_topk`, which is exact here; off in Loki by default.
    pub approx_topk: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            start_ns: 0,
            end_ns: 0,
            step_ns: 0,
            limit: Some(100),
            direction: Direction::Backward,
            interval_ns: 0,
            instant: false,
            categorize: false,
            max_series: Some(500),
            partial_series: false,
            variants: false,
            approx_topk: false,
        }
    }
}

impl Params {
    /// A range query with Loki's defaults: 100 lines, newest first, 500 series.
    pub fn range(start_ns: i64, end_ns: i64, step_ns: i64) -> Self {
        Self { start_ns, end_ns, step_ns, ..Self::default() }
    }

    /// An instant query with Loki's defaults.
    pub fn instant(at_ns: i64) -> Self {
        Self { start_ns: at_ns, end_ns: at_ns, instant: true, ..Self::default() }
    }

    /// The instants of a metric query: the first, and how many.
    ///
    /// # Errors
    /// A step that is not positive, or an end before the start.
    pub(crate) fn steps(&self) -> Result<(i64, usize), Error> {
        if self.instant {
            return Ok((self.end_ns, 1));
        }
        if self.step_ns <= 0 {
            return Err(Error::Invalid(
                "zero or negative query resolution step widths are not accepted. Try a positive integer".into(),
            ));
        }
        if self.end_ns < self.start_ns {
            return Err(Error::Invalid("end timestamp must not be before or equal to start time".into()));
        }
        let points = (i128::from(self.end_ns) - i128::from(self.start_ns)) / i128::from(self.step_ns) + 1;
        // Alignment may add a point at either end to what was checked against Loki's maximum.
        if points > i128::from(MAX_POINTS) + 2 {
            return Err(too_many_points());
        }
        Ok((self.start_ns, usize::try_from(points).map_err(|_| too_many_points())?))
    }

    /// Appends the binary form, for sending a query to another process.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        for number in [self.start_ns, self.end_ns, self.step_ns, self.interval_ns] {
            out.put_zigzag(number);
        }
        for limit in [self.limit, self.max_series] {
            out.put_varint(limit.map_or(0, |n| (n as u64).saturating_add(1)));
        }
        let flags = [
            self.direction == Direction::Forward,
            self.instant,
            self.categorize,
            self.partial_series,
            self.variants,
            self.approx_topk,
        ];
        out.put_u8(flags.iter().enumerate().fold(0, |bits, (at, &flag)| bits | u8::from(flag) << at));
    }

    /// Reads what [`Params::encode`] wrote.
    ///
    /// # Errors
    /// The input is truncated, of another version, or holds an impossible value.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let unknown = reader.error("version of query parameters");
        if reader.u8("version of query parameters")? != VERSION {
            return Err(unknown);
        }
        let mut number = || reader.zigzag("time of query parameters");
        let (start_ns, end_ns, step_ns, interval_ns) = (number()?, number()?, number()?, number()?);
        let mut limit = || {
            let n = reader.varint("limit of query parameters")?;
            Ok(n.checked_sub(1).map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
        };
        let (limit, max_series) = (limit()?, limit()?);
        let unknown = reader.error("flags of query parameters");
        let flags = reader.u8("flags of query parameters")?;
        if flags >= 1 << 6 {
            return Err(unknown);
        }
        let flag = |at: u8| flags >> at & 1 == 1;
        Ok(Self {
            start_ns,
            end_ns,
            step_ns,
            limit,
            direction: if flag(0) { Direction::Forward } else { Direction::Backward },
            interval_ns,
            instant: flag(1),
            categorize: flag(2),
            max_series,
            partial_series: flag(3),
            variants: flag(4),
            approx_topk: flag(5),
        })
    }
}

const VERSION: u8 = 0;

/// Moves the start down and the end up to multiples of the step, as Loki does behind its frontend unless splitting is
/// off. A step of 0 or less changes nothing.
pub fn align_to_step(start_ns: i64, end_ns: i64, step_ns: i64) -> (i64, i64) {
    if step_ns <= 0 {
        return (start_ns, end_ns);
    }
    let end = match end_ns.rem_euclid(step_ns) {
        0 => end_ns,
        rest => end_ns.saturating_add(step_ns - rest),
    };
    (floor_to_step(start_ns, step_ns), end)
}

/// Moves a time down to a multiple of the step, as Loki does with `query_range.align_queries_with_step`. A step of 0 or
/// less changes nothing.
pub fn floor_to_step(time_ns: i64, step_ns: i64) -> i64 {
    if step_ns <= 0 { time_ns } else { time_ns.div_euclid(step_ns).saturating_mul(step_ns) }
}

/// Refuses ranges of more than [`MAX_POINTS`] steps; to be asked before [`align_to_step`], as Loki does.
///
/// # Errors
/// Loki's text.
pub fn check_resolution(start_ns: i64, end_ns: i64, step_ns: i64) -> Result<(), Error> {
    let span = i128::from(end_ns) - i128::from(start_ns);
    if step_ns > 0 && span / i128::from(step_ns) > i128::from(MAX_POINTS) {
        return Err(too_many_points());
    }
    Ok(())
}

fn too_many_points() -> Error {
    Error::Invalid(
        "exceeded maximum resolution of 11,000 points per time series. Try increasing the value of the step parameter"
            .into(),
    )
}

#[cfg(test)]
mod tests {
    use narvi_types::{Direction, wire::Reader};
    use proptest::prelude::*;

    use super::{Params, align_to_step, check_resolution, floor_to_step};

    const S: i64 = 1_000_000_000;

    #[test]
    fn steps_are_aligned_to_the_epoch() {
        assert_eq!(align_to_step(1_789_862_407 * S, 1_789_862_500 * S, 30 * S), (1_789_862_400 * S, 1_789_862_520 * S));
        assert_eq!(align_to_step(60 * S, 120 * S, 60 * S), (60 * S, 120 * S));
        assert_eq!(align_to_step(-1, 1, 10), (-10, 10));
        assert_eq!(align_to_step(3, 4, 0), (3, 4));
        assert_eq!([floor_to_step(-1, 10), floor_to_step(29, 10), floor_to_step(30, 10)], [-10, 20, 30]);
        assert_eq!(floor_to_step(3, 0), 3);
    }

    #[test]
    fn resolution_is_limited() {
        assert!(check_resolution(0, 11_000 * S, S).is_ok());
        assert!(check_resolution(0, 11_001 * S, S).is_err());
        assert!(Params::range(0, 20_000 * S, S).steps().is_err());
        assert!(Params::range(0, 1, 0).steps().is_err());
        assert_eq!(Params::range(0, 10, 3).steps(), Ok((0, 4)));
        assert_eq!(Params::instant(7).steps(), Ok((7, 1)));
    }

    proptest! {
        #[test]
        fn params_round_trip(numbers: [i64; 4], limit: Option<u32>, series: Option<u32>, flags: [bool; 6]) {
            let params = Params {
                start_ns: numbers[0],
                end_ns: numbers[1],
                step_ns: numbers[2],
                interval_ns: numbers[3],
                limit: limit.map(|n| n as usize),
                max_series: series.map(|n| n as usize),
                direction: if flags[0] { Direction::Forward } else { Direction::Backward },
                instant: flags[1],
                categorize: flags[2],
                partial_series: flags[3],
                variants: flags[4],
                approx_topk: flags[5],
            };
            let mut bytes = Vec::new();
            params.encode(&mut bytes);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(Params::decode(&mut reader)?, params);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Params::decode(&mut Reader::new(&bytes));
        }
    }
}
