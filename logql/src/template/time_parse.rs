//! Go's `time.ParseInLocation`: reads a text by a layout. Mistakes give no error text, since templates never show one.

use crate::template::time::{GoTime, Zone, days_in};
use crate::template::time_layout::{Element, Offset, find_name, next_element};

/// The fields read so far.
#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<u32>,
    day: Option<u32>,
    year_day: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    nanos: u32,
    afternoon: Option<bool>,
    utc: bool,
    offset: Option<i64>,
    zone_name: Option<String>,
}

/// Reads `text` by `layout`; without a zone in it, it is a time of `zone`.
pub(crate) fn parse(layout: &[u8], text: &[u8], zone: &Zone) -> Option<GoTime> {
    let mut fields = Fields::default();
    let (mut layout, mut text) = (layout, text);
    while let Some((before, element, length)) = next_element(layout) {
        text = skip(text, &layout[..before])?;
        layout = &layout[before + length..];
        text = read(&mut fields, element, text, layout)?;
    }
    if !skip(text, layout)?.is_empty() {
        return None;
    }
    build(fields, zone)
}

/// Skips the text of a layout; a space there stands for any number of them.
fn skip<'t>(text: &'t [u8], prefix: &[u8]) -> Option<&'t [u8]> {
    let (mut text, mut prefix) = (text, prefix);
    while let Some((&expected, rest)) = prefix.split_first() {
        if expected == b' ' {
            if text.first().is_some_and(|b| *b != b' ') {
                return None;
            }
            prefix = prefix.trim_ascii_start();
            while let Some(rest) = text.strip_prefix(b" ") {
                text = rest;
            }
            continue;
        }
        text = text.split_first().filter(|(b, _)| **b == expected)?.1;
        prefix = rest;
    }
    Some(text)
}

fn digit(text: &[u8], at: usize) -> Option<u32> {
    text.get(at).filter(|b| b.is_ascii_digit()).map(|b| u32::from(b - b'0'))
}

/// Two digits, or one where the layout allows that.
fn number(text: &[u8], fixed: bool) -> Option<(u32, &[u8])> {
    let first = digit(text, 0)?;
    match digit(text, 1) {
        Some(second) => Some((first * 10 + second, &text[2..])),
        None if fixed => None,
        None => Some((first, &text[1..])),
    }
}

/// Up to three digits; all three where the layout wants them.
fn number3(text: &[u8], fixed: bool) -> Option<(u32, &[u8])> {
    let count = (0..3).take_while(|n| digit(text, *n).is_some()).count();
    if count == 0 || (fixed && count != 3) {
        return None;
    }
    let value = (0..count).fold(0, |n, at| n * 10 + digit(text, at).unwrap_or(0));
    Some((value, &text[count..]))
}

fn below(parsed: Option<(u32, &[u8])>, limit: u32) -> Option<(u32, &[u8])> {
    parsed.filter(|(n, _)| *n < limit)
}

fn read<'t>(fields: &mut Fields, element: Element, text: &'t [u8], layout: &[u8]) -> Option<&'t [u8]> {
    let rest = match element {
        Element::Year => {
            let (year, rest) = number(text, true)?;
            fields.year = i64::from(year) + if year >= 69 { 1900 } else { 2000 };
            rest
        }
        Element::LongYear => {
            fields.year = (0..4).try_fold(0, |n, at| Some(n * 10 + i64::from(digit(text, at)?)))?;
            &text[4..]
        }
        Element::Month | Element::LongMonth => {
            let (month, length) = find_name(true, element == Element::Month, text)?;
            fields.month = Some(month + 1);
            &text[length..]
        }
        Element::NumMonth | Element::ZeroMonth => {
            let (month, rest) = number(text, element == Element::ZeroMonth)?;
            fields.month = Some(month).filter(|m| (1..=12).contains(m));
            fields.month?;
            rest
        }
        Element::WeekDay | Element::LongWeekDay => {
            let (_, length) = find_name(false, element == Element::WeekDay, text)?;
            &text[length..]
        }
        Element::Day | Element::UnderDay | Element::ZeroDay => {
            let text = if element == Element::UnderDay { text.strip_prefix(b" ").unwrap_or(text) } else { text };
            let (day, rest) = number(text, element == Element::ZeroDay)?;
            fields.day = Some(day);
            rest
        }
        Element::UnderYearDay | Element::ZeroYearDay => {
            let fixed = element == Element::ZeroYearDay;
            let spaces = if fixed { 0 } else { text.iter().take(2).take_while(|b| **b == b' ').count() };
            let (day, rest) = number3(&text[spaces..], fixed)?;
            fields.year_day = Some(day);
            rest
        }
        Element::Hour => {
            let (hour, rest) = below(number(text, false), 24)?;
            fields.hour = hour;
            rest
        }
        Element::Hour12 | Element::ZeroHour12 => {
            let (hour, rest) = below(number(text, element == Element::ZeroHour12), 13)?;
            fields.hour = hour;
            rest
        }
        Element::Minute | Element::ZeroMinute => {
            let (minute, rest) = below(number(text, element == Element::ZeroMinute), 60)?;
            fields.minute = minute;
            rest
        }
        Element::Second | Element::ZeroSecond => {
            let (second, rest) = below(number(text, element == Element::ZeroSecond), 60)?;
            fields.second = second;
            undeclared_fraction(fields, rest, layout)?
        }
        Element::UpperPm | Element::LowerPm => {
            let (pm, am) = if element == Element::UpperPm { (b"PM", b"AM") } else { (b"pm", b"am") };
            let head = text.get(..2)?;
            fields.afternoon = Some(head == pm);
            if head != pm && head != am {
                return None;
            }
            &text[2..]
        }
        Element::ZoneName => zone_name(fields, text)?,
        Element::Offset(form) => offset(fields, text, form)?,
        Element::Fraction { digits, trim: false } => {
            let decimals = text.get(1..=digits)?;
            fields.nanos = nanos(text, decimals)?;
            &text[digits + 1..]
        }
        Element::Fraction { trim: true, .. } => optional_fraction(fields, text)?,
    };
    Some(rest)
}

/// Decimals of the second behind a dot or comma, as nanoseconds.
fn nanos(text: &[u8], decimals: &[u8]) -> Option<u32> {
    if !matches!(text.first(), Some(b'.' | b',')) || !decimals.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = decimals.iter().chain(b"000000000").take(9).fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    Some(value)
}

/// Decimals if there are any, as many as there are.
fn optional_fraction<'t>(fields: &mut Fields, text: &'t [u8]) -> Option<&'t [u8]> {
    if !matches!(text.first(), Some(b'.' | b',')) || digit(text, 1).is_none() {
        return Some(text);
    }
    let count = text[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    fields.nanos = nanos(text, &text[1..=count])?;
    Some(&text[count + 1..])
}

/// Seconds may have decimals that the layout does not mention, unless its next element is one for decimals.
fn undeclared_fraction<'t>(fields: &mut Fields, text: &'t [u8], layout: &[u8]) -> Option<&'t [u8]> {
    if let Some((_, Element::Fraction { .. }, _)) = next_element(layout) {
        return Some(text);
    }
    optional_fraction(fields, text)
}

fn offset<'t>(fields: &mut Fields, text: &'t [u8], form: Offset) -> Option<&'t [u8]> {
    if form.z
        && let Some(rest) = text.strip_prefix(b"Z")
    {
        fields.utc = true;
        return Some(rest);
    }
    let negative = match text.first()? {
        b'+' => false,
        b'-' => true,
        _ => return None,
    };
    let (hours, mut rest) = number(&text[1..], true).filter(|(n, _)| *n <= 24)?;
    let mut seconds = i64::from(hours) * 3600;
    for (present, unit) in [(form.minutes, 60), (form.seconds, 1)] {
        if present {
            let digits = if form.colons { rest.strip_prefix(b":")? } else { rest };
            let (n, tail) = number(digits, true).filter(|(n, _)| *n <= 60)?;
            seconds += i64::from(n) * unit;
            rest = tail;
        }
    }
    fields.offset = Some(if negative { -seconds } else { seconds });
    Some(rest)
}

fn zone_name<'t>(fields: &mut Fields, text: &'t [u8]) -> Option<&'t [u8]> {
    if let Some(rest) = text.strip_prefix(b"UTC") {
        fields.utc = true;
        return Some(rest);
    }
    let length = zone_name_length(text)?;
    fields.zone_name = Some(String::from_utf8_lossy(&text[..length]).into_owned());
    Some(&text[length..])
}

/// How many bytes at the start look like the name of a zone: three to five capital letters, `GMT+3`, or an offset.
fn zone_name_length(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if text.starts_with(b"GMT") {
        return Some(3 + signed_hours(&text[3..]));
    }
    if matches!(text.first(), Some(b'+' | b'-')) {
        return Some(signed_hours(text)).filter(|n| *n > 0);
    }
    let letters = text.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count();
    match letters {
        5 if text[4] == b'T' => Some(5),
        4 if text[3] == b'T' || text.starts_with(b"WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// Length of a sign and hours below 24, or 0.
fn signed_hours(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'+' | b'-')) {
        return 0;
    }
    let digits = text[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let hours = std::str::from_utf8(&text[1..=digits]).ok().and_then(|d| d.parse::<u32>().ok());
    if hours.is_some_and(|h| h <= 23) { digits + 1 } else { 0 }
}

fn build(mut fields: Fields, zone: &Zone) -> Option<GoTime> {
    match fields.afternoon {
        Some(true) if fields.hour < 12 => fields.hour += 12,
        Some(false) if fields.hour == 12 => fields.hour = 0,
        _ => {}
    }
    if let Some(year_day) = fields.year_day {
        let (month, day) = date_of_year_day(fields.year, year_day)?;
        if fields.month.is_some_and(|m| m != month) || fields.day.is_some_and(|d| d != day) {
            return None;
        }
        (fields.month, fields.day) = (Some(month), Some(day));
    }
    let (year, month, day) = (fields.year, fields.month.unwrap_or(1), fields.day.unwrap_or(1));
    if day < 1 || day > days_in(year, month) {
        return None;
    }
    let second = i64::from(fields.hour * 3600 + fields.minute * 60 + fields.second);
    let date = |zone| GoTime::from_civil(year, month, day, second, fields.nanos, zone);
    if fields.utc {
        return Some(date(Zone::Utc));
    }
    if let Some(offset) = fields.offset {
        let mut time = date(Zone::Utc);
        time.unix_s -= offset;
        // The zone asked for is kept if it has that offset then, and the name if one was given.
        let (actual, name) = zone.at(time.unix_s);
        let same = actual == offset && fields.zone_name.as_ref().is_none_or(|n| *n == name);
        time.zone = if same { zone.clone() } else { Zone::Fixed(offset, fields.zone_name.unwrap_or_default()) };
        return Some(time);
    }
    if let Some(wanted) = fields.zone_name {
        let mut time = date(Zone::Utc);
        if let Some(offset) = offset_of_name(zone, &wanted, time.unix_s) {
            time.unix_s -= offset;
            time.zone = zone.clone();
            return Some(time);
        }
        let hours = wanted.strip_prefix("GMT").and_then(|h| h.parse::<i64>().ok()).unwrap_or(0);
        time.zone = Zone::Fixed(hours * 3600, wanted);
        return Some(time);
    }
    Some(date(zone.clone()))
}

fn date_of_year_day(year: i64, year_day: u32) -> Option<(u32, u32)> {
    let mut day = year_day;
    for month in 1..=12 {
        let length = days_in(year, month);
        if (1..=length).contains(&day) {
            return Some((month, day));
        }
        day = day.checked_sub(length)?;
    }
    None
}

/// The offset that an abbreviation has in the zone, near the time.
fn offset_of_name(zone: &Zone, name: &str, unix_s: i64) -> Option<i64> {
    const QUARTER_S: i64 = 91 * 86_400;
    [0, 1, -1, 2, -2].into_iter().find_map(|quarters| {
        let at = unix_s + quarters * QUARTER_S;
        let (offset, found) = zone.at(at);
        (found == name).then_some(offset)
    })
}
