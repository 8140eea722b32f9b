//! Go's `time.Time` as templates see it: an instant with a zone, its calendar, and the methods a template may call.

use std::fmt;
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::template::funcs::Outcome;
use crate::template::time_layout;
use crate::template::value::Value;

/// Seconds from year 1 to 1970, both at the start of January 1 UTC.
const YEAR_ONE_TO_UNIX_S: i64 = 62_135_596_800;
const DAY_S: i64 = 86_400;

/// Where a time is shown.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Utc,
    Named(TimeZone),
    /// An offset in seconds east with a name, which may be empty.
    Fixed(i64, String),
}

/// An instant, in a zone.
#[derive(Clone, Debug)]
pub(crate) struct GoTime {
    pub(crate) unix_s: i64,
    pub(crate) nanos: u32,
    pub(crate) zone: Zone,
}

impl PartialEq for GoTime {
    fn eq(&self, other: &Self) -> bool {
        self.unix_s == other.unix_s && self.nanos == other.nanos
    }
}

/// The calendar fields of a time in its zone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    /// 1 for January 1.
    pub(crate) year_day: u32,
    /// 0 for Sunday.
    pub(crate) week_day: u32,
}

impl Zone {
    /// The zone of the process, looked up once.
    pub(crate) fn local() -> Self {
        static LOCAL: OnceLock<TimeZone> = OnceLock::new();
        Zone::Named(LOCAL.get_or_init(TimeZone::system).clone())
    }

    /// A zone of the time zone database; `None` for a name that is not there.
    pub(crate) fn load(name: &str) -> Option<Self> {
        match name {
            "" | "UTC" => Some(Zone::Utc),
            "Local" => Some(Zone::local()),
            _ => TimeZone::get(name).ok().map(Zone::Named),
        }
    }

    /// Offset in seconds east of UTC and abbreviation at an instant.
    pub(crate) fn at(&self, unix_s: i64) -> (i64, String) {
        match self {
            Zone::Utc => (0, "UTC".to_owned()),
            Zone::Fixed(offset, name) => (*offset, name.clone()),
            Zone::Named(zone) => {
                let instant = Timestamp::from_second(unix_s).unwrap_or(Timestamp::UNIX_EPOCH);
                let info = zone.to_offset_info(instant);
                (i64::from(info.offset().seconds()), info.abbreviation().to_owned())
            }
        }
    }
}

impl GoTime {
    pub(crate) fn from_unix_ns(ns: i64, zone: Zone) -> Self {
        Self { unix_s: ns.div_euclid(1_000_000_000), nanos: ns.rem_euclid(1_000_000_000) as u32, zone }
    }

    /// Go's zero time: January 1 of year 1, UTC.
    pub(crate) fn zero() -> Self {
        Self { unix_s: -YEAR_ONE_TO_UNIX_S, nanos: 0, zone: Zone::Utc }
    }

    pub(crate) fn civil(&self) -> Civil {
        let (offset, _) = self.zone.at(self.unix_s);
        let local = self.unix_s.saturating_add(offset);
        let (days, rest) = (local.div_euclid(DAY_S), local.rem_euclid(DAY_S) as u32);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
            year_day: (days - days_from_civil(year, 1, 1)) as u32 + 1,
            week_day: (days + 4).rem_euclid(7) as u32,
        }
    }

    /// Nanoseconds since 1970; wraps where they do not fit, as in Go.
    pub(crate) fn unix_ns(&self) -> i64 {
        self.unix_s.wrapping_mul(1_000_000_000).wrapping_add(i64::from(self.nanos))
    }

    pub(crate) fn unix_ms(&self) -> i64 {
        self.unix_s.wrapping_mul(1000).wrapping_add(i64::from(self.nanos / 1_000_000))
    }

    /// The instant of calendar fields in a zone; in a gap or fold of its clock, what Go picks.
    pub(crate) fn from_civil(year: i64, month: u32, day: u32, second_of_day: i64, nanos: u32, zone: Zone) -> Self {
        let guess = days_from_civil(year, month, day) * DAY_S + second_of_day;
        let (offset, _) = zone.at(guess);
        let mut unix_s = guess - offset;
        let (actual, _) = zone.at(unix_s);
        if actual != offset {
            unix_s = guess - actual;
        }
        Self { unix_s, nanos, zone }
    }
}

impl fmt::Display for GoTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = time_layout::format(self, b"2006-01-02 15:04:05.999999999 -0700 MST");
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. After H. Hinnant's published algorithm: years begin in
/// March, eras have 400 years.
pub(crate) fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (i64::from(month) + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// Days of a month.
pub(crate) fn days_in(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

type Method = for<'a> fn(&GoTime, &[Value<'a>]) -> Outcome<'a>;

/// The method of `time.Time` with a name, and whether it takes a string. Those that give numbers, strings, booleans and
/// times are here.
pub(crate) fn method(name: &str) -> Option<(bool, Method)> {
    let method: Method = match name {
        "Format" => {
            return Some((true, |time, args| {
                let layout = args.first().and_then(Value::as_str).unwrap_or_default();
                Ok(Value::text(time_layout::format(time, layout)))
            }));
        }
        "String" => |time, _| Ok(Value::text(time.to_string().into_bytes())),
        "Unix" => |time, _| Ok(Value::Int64(time.unix_s)),
        "UnixMilli" => |time, _| Ok(Value::Int64(time.unix_ms())),
        "UnixMicro" => |time, _| Ok(Value::Int64(time.unix_s * 1_000_000 + i64::from(time.nanos / 1000))),
        "UnixNano" => |time, _| Ok(Value::Int64(time.unix_ns())),
        "Year" => |time, _| Ok(Value::Int(time.civil().year)),
        "Month" => |time, _| Ok(Value::Str(time_layout::month_name(time.civil().month).as_bytes())),
        "Weekday" => |time, _| Ok(Value::Str(time_layout::day_name(time.civil().week_day).as_bytes())),
        "Day" => |time, _| Ok(Value::Int(i64::from(time.civil().day))),
        "YearDay" => |time, _| Ok(Value::Int(i64::from(time.civil().year_day))),
        "Hour" => |time, _| Ok(Value::Int(i64::from(time.civil().hour))),
        "Minute" => |time, _| Ok(Value::Int(i64::from(time.civil().minute))),
        "Second" => |time, _| Ok(Value::Int(i64::from(time.civil().second))),
        "Nanosecond" => |time, _| Ok(Value::Int(i64::from(time.nanos))),
        "IsZero" => |time, _| Ok(Value::Bool(*time == GoTime::zero())),
        "UTC" => |time, _| Ok(Value::Time(GoTime { zone: Zone::Utc, ..time.clone() }.into())),
        "Local" => |time, _| Ok(Value::Time(GoTime { zone: Zone::local(), ..time.clone() }.into())),
        _ => return None,
    };
    Some((false, method))
}
