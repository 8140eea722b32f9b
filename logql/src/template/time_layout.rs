//! Go's time layouts, written as the reference time `Mon Jan 2 15:04:05 MST 2006`: splitting them and formatting.

use crate::template::time::GoTime;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Name of a month from 1 to 12.
pub(crate) fn month_name(month: u32) -> &'static str {
    MONTHS.get(month.wrapping_sub(1) as usize).copied().unwrap_or("%!Month")
}

/// Name of a day of the week, 0 for Sunday.
pub(crate) fn day_name(day: u32) -> &'static str {
    DAYS.get(day as usize).copied().unwrap_or("%!Weekday")
}

/// Looks a name up at the start of a text, in any case: its position and length. Short names have three letters.
pub(crate) fn find_name(month: bool, short: bool, text: &[u8]) -> Option<(u32, usize)> {
    let names: &[&str] = if month { &MONTHS } else { &DAYS };
    names.iter().enumerate().find_map(|(n, name)| {
        let name = if short { &name[..3] } else { name };
        let head = text.get(..name.len())?;
        head.eq_ignore_ascii_case(name.as_bytes()).then_some((n as u32, name.len()))
    })
}

/// An element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperPm,
    LowerPm,
    ZoneName,
    /// A numeric zone.
    Offset(Offset),
    /// Decimals of the second, as many as given: with trailing zeros or without.
    Fraction {
        digits: usize,
        trim: bool,
    },
}

/// How a numeric zone is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offset {
    /// UTC is `Z`.
    pub(crate) z: bool,
    pub(crate) colons: bool,
    pub(crate) minutes: bool,
    pub(crate) seconds: bool,
}

/// The forms of numeric zones behind their sign or `Z`, longest first.
const OFFSETS: [(&[u8], bool, bool, bool); 5] = [
    (b"07:00:00", true, true, true),
    (b"070000", false, true, true),
    (b"07:00", true, true, false),
    (b"0700", false, true, false),
    (b"07", false, false, false),
];

/// Finds the first element of a layout: the length of the text before it, the element, and the length of its own text.
pub(crate) fn next_element(layout: &[u8]) -> Option<(usize, Element, usize)> {
    (0..layout.len()).find_map(|at| {
        let (skip, element, length) = element_at(layout, at)?;
        Some((at + skip, element, length))
    })
}

fn element_at(layout: &[u8], at: usize) -> Option<(usize, Element, usize)> {
    use Element::{
        Day, Hour, Hour12, LongMonth, LongWeekDay, LongYear, LowerPm, Minute, Month, NumMonth, Second, UnderDay,
        UnderYearDay, UpperPm, WeekDay, Year, ZeroDay, ZeroHour12, ZeroMinute, ZeroMonth, ZeroSecond, ZeroYearDay,
        ZoneName,
    };
    let rest = layout.get(at..)?;
    let starts = |text: &[u8]| rest.starts_with(text);
    let lower_at = |n: usize| rest.get(n).is_some_and(u8::is_ascii_lowercase);
    let (element, length) = match *rest.first()? {
        b'J' if starts(b"January") => (LongMonth, 7),
        b'J' if starts(b"Jan") && !lower_at(3) => (Month, 3),
        b'M' if starts(b"Monday") => (LongWeekDay, 6),
        b'M' if starts(b"Mon") && !lower_at(3) => (WeekDay, 3),
        b'M' if starts(b"MST") => (ZoneName, 3),
        b'0' if starts(b"002") => (ZeroYearDay, 3),
        b'0' => {
            let element = match rest.get(1)? {
                b'1' => ZeroMonth,
                b'2' => ZeroDay,
                b'3' => ZeroHour12,
                b'4' => ZeroMinute,
                b'5' => ZeroSecond,
                b'6' => Year,
                _ => return None,
            };
            (element, 2)
        }
        b'1' if starts(b"15") => (Hour, 2),
        b'1' => (NumMonth, 1),
        b'2' if starts(b"2006") => (LongYear, 4),
        b'2' => (Day, 1),
        // The underscore is text there.
        b'_' if starts(b"_2006") => return Some((1, LongYear, 4)),
        b'_' if starts(b"_2") => (UnderDay, 2),
        b'_' if starts(b"__2") => (UnderYearDay, 3),
        b'3' => (Hour12, 1),
        b'4' => (Minute, 1),
        b'5' => (Second, 1),
        b'P' if starts(b"PM") => (UpperPm, 2),
        b'p' if starts(b"pm") => (LowerPm, 2),
        sign @ (b'-' | b'Z') => {
            let (text, colons, minutes, seconds) = *OFFSETS.iter().find(|(text, ..)| rest[1..].starts_with(text))?;
            (Element::Offset(Offset { z: sign == b'Z', colons, minutes, seconds }), text.len() + 1)
        }
        b'.' | b',' => {
            let digit = *rest.get(1).filter(|b| matches!(b, b'0' | b'9'))?;
            let digits = rest[1..].iter().take_while(|b| **b == digit).count();
            // The run of digits must end there.
            if rest.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            (Element::Fraction { digits, trim: digit == b'9' }, digits + 1)
        }
        _ => return None,
    };
    Some((0, element, length))
}

/// Formats a time by a layout.
pub(crate) fn format(time: &GoTime, layout: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(layout.len() + 10);
    let mut rest = layout;
    while let Some((before, element, length)) = next_element(rest) {
        let (text, tail) = rest.split_at(before);
        let (shown, tail) = tail.split_at(length);
        out.extend_from_slice(text);
        write_element(&mut out, time, element, shown);
        rest = tail;
    }
    out.extend_from_slice(rest);
    out
}

fn write_element(out: &mut Vec<u8>, time: &GoTime, element: Element, shown: &[u8]) {
    let civil = time.civil();
    let hour12 = if civil.hour.is_multiple_of(12) { 12 } else { civil.hour % 12 };
    let text = match element {
        Element::LongMonth => month_name(civil.month).to_owned(),
        Element::Month => month_name(civil.month)[..3].to_owned(),
        Element::NumMonth => civil.month.to_string(),
        Element::ZeroMonth => format!("{:02}", civil.month),
        Element::LongWeekDay => day_name(civil.week_day).to_owned(),
        Element::WeekDay => day_name(civil.week_day)[..3].to_owned(),
        Element::Day => civil.day.to_string(),
        Element::UnderDay => format!("{:2}", civil.day),
        Element::ZeroDay => format!("{:02}", civil.day),
        Element::UnderYearDay => format!("{:3}", civil.year_day),
        Element::ZeroYearDay => format!("{:03}", civil.year_day),
        Element::Hour => format!("{:02}", civil.hour),
        Element::Hour12 => hour12.to_string(),
        Element::ZeroHour12 => format!("{hour12:02}"),
        Element::Minute => civil.minute.to_string(),
        Element::ZeroMinute => format!("{:02}", civil.minute),
        Element::Second => civil.second.to_string(),
        Element::ZeroSecond => format!("{:02}", civil.second),
        Element::LongYear if civil.year < 0 => format!("-{:04}", -civil.year),
        Element::LongYear => format!("{:04}", civil.year),
        Element::Year => format!("{:02}", civil.year.max(0) % 100),
        Element::UpperPm => if civil.hour >= 12 { "PM" } else { "AM" }.to_owned(),
        Element::LowerPm => if civil.hour >= 12 { "pm" } else { "am" }.to_owned(),
        Element::ZoneName => {
            let (offset, name) = time.zone.at(time.unix_s);
            if name.is_empty() {
                let form = Offset { z: false, colons: false, minutes: true, seconds: false };
                offset_text(offset, form)
            } else {
                name
            }
        }
        Element::Offset(form) => offset_text(time.zone.at(time.unix_s).0, form),
        Element::Fraction { digits, trim } => fraction_text(time.nanos, digits, trim, shown),
    };
    out.extend_from_slice(text.as_bytes());
}

fn offset_text(offset: i64, form: Offset) -> String {
    if form.z && offset == 0 {
        return "Z".to_owned();
    }
    let sign = if offset < 0 { '-' } else { '+' };
    let seconds = offset.abs();
    let colon = if form.colons { ":" } else { "" };
    let mut text = format!("{sign}{:02}", seconds / 3600);
    if form.minutes {
        text.push_str(&format!("{colon}{:02}", seconds / 60 % 60));
    }
    if form.seconds {
        text.push_str(&format!("{colon}{:02}", seconds % 60));
    }
    text
}

fn fraction_text(nanos: u32, digits: usize, trim: bool, shown: &[u8]) -> String {
    let mut decimals = format!("{nanos:09}");
    if digits > decimals.len() {
        decimals.push_str(&"0".repeat(digits - decimals.len()));
    }
    decimals.truncate(digits);
    if trim {
        decimals.truncate(decimals.trim_end_matches('0').len());
        if decimals.is_empty() {
            return decimals;
        }
    }
    let separator = if shown.first() == Some(&b',') { ',' } else { '.' };
    format!("{separator}{decimals}")
}
