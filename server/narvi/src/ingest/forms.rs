//! The forms in which log lines write times.

/// A form of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `2015-10-18T18:01:47.978Z` and its kin: a space for the T, slashes or dots in the date, a comma before the
    /// fraction.
    Iso,
    /// `10/Oct/2000:13:55:36 -0700`, `02-Jan-2006 15:04:05`.
    Access,
    /// `Sun Dec 04 04:47:44 2005`.
    Ctime,
    /// `17/06/09 20:11:11`: year, month, day.
    ShortDate,
    /// `Jun  9 06:06:20`.
    Syslog,
    /// Seconds, milli-, micro- or nanoseconds since 1970.
    Epoch,
    /// `081109 203615`.
    Packed,
    /// `20171223-22:15:29:606`.
    PackedDate,
    /// `10.30 16:49:06`, `03-17 16:13:38.811`.
    MonthDay,
    /// `I0921 12:34:56.123456`.
    Klog,
}

impl Form {
    /// All forms; those that could be taken for others come later.
    pub(super) const ALL: [Self; 10] = [
        Self::Iso,
        Self::Access,
        Self::Ctime,
        Self::ShortDate,
        Self::Syslog,
        Self::PackedDate,
        Self::MonthDay,
        Self::Klog,
        Self::Packed,
        Self::Epoch,
    ];
    /// Forms that are not taken for anything else wherever they stand.
    pub(super) const WITH_YEAR: [Self; 4] = [Self::Iso, Self::Access, Self::Ctime, Self::ShortDate];
    /// Forms of strings in JSON.
    pub(super) const IN_STRINGS: [Self; 6] =
        [Self::Iso, Self::Access, Self::Ctime, Self::ShortDate, Self::Syslog, Self::Epoch];

    /// Reads a time that begins at a position, in nanoseconds since 1970.
    pub(super) fn read(self, line: &[u8], at: usize, zone: &Zone) -> Option<i64> {
        let mut c = Cursor::new(line, at);
        match self {
            Self::Iso => iso(&mut c, zone),
            Self::Access => access(&mut c, zone),
            Self::Ctime => ctime(&mut c, zone),
            Self::ShortDate => short_date(&mut c, zone),
            Self::Syslog => syslog(&mut c, zone),
            Self::Epoch => epoch(&mut c),
            Self::Packed => packed(&mut c, zone),
            Self::PackedDate => packed_date(&mut c, zone),
            Self::MonthDay => month_day(&mut c, zone),
            Self::Klog => klog(&mut c, zone),
        }
    }
}

fn iso(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    let year = c.exactly(4)?;
    let separator = c.next()?;
    if !b"-/.".contains(&separator) {
        return None;
    }
    let month = c.exactly(2)?;
    c.expect(separator)?;
    let day = c.exactly(2)?;
    if !c.skip(b'T') && !c.skip(b't') {
        c.expect(b' ')?;
    }
    let clock = c.clock()?;
    let offset = c.zone();
    zone.at(Date { year, month, day }, clock, offset)
}

fn access(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    let day = c.digits(1, 2)?;
    let separator = c.next()?;
    if separator != b'/' && separator != b'-' {
        return None;
    }
    let month = c.month()?;
    c.expect(separator)?;
    let year = c.exactly(4)?;
    if !c.skip(b':') {
        c.expect(b' ')?;
    }
    let clock = c.clock()?;
    let offset = c.zone();
    zone.at(Date { year, month, day }, clock, offset)
}

fn ctime(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    const DAYS: [&[u8; 3]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
    DAYS.iter().find(|day| c.skip_word(**day))?;
    c.skip(b',');
    c.expect(b' ')?;
    let month = c.month()?;
    let day = c.day()?;
    let clock = c.clock()?;
    c.expect(b' ')?;
    if c.skip_word(b"UTC") || c.skip_word(b"GMT") {
        c.expect(b' ')?;
    }
    let year = c.exactly(4)?;
    zone.at(Date { year, month, day }, clock, None)
}

fn short_date(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    let year = c.exactly(2)?;
    c.expect(b'/')?;
    let month = c.exactly(2)?;
    c.expect(b'/')?;
    let day = c.exactly(2)?;
    c.expect(b' ')?;
    let clock = c.clock()?;
    zone.at(Date { year: century(year), month, day }, clock, None)
}

fn syslog(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    let month = c.month()?;
    let day = c.day()?;
    // Some devices write the year.
    let mut with_year = c.clone();
    if let Some(year) = with_year.exactly(4)
        && with_year.skip(b' ')
        && let Some(clock) = with_year.clock()
    {
        return zone.at(Date { year, month, day }, clock, None);
    }
    let clock = c.clock()?;
    zone.without_year(month, day, clock)
}

fn epoch(c: &mut Cursor<'_>) -> Option<i64> {
    /// 2000 to 2100.
    const SECONDS: std::ops::Range<i64> = 946_684_800..4_102_444_800;
    let start = c.at;
    let number = c.digits(10, 19)?;
    let (seconds, ns) = match c.at - start {
        10 => {
            let fraction = c.fraction();
            (number, number.checked_mul(1_000_000_000)?.checked_add(fraction)?)
        }
        13 => (number / 1000, number.checked_mul(1_000_000)?),
        16 => (number / 1_000_000, number.checked_mul(1000)?),
        19 => (number / 1_000_000_000, number),
        _ => return None,
    };
    let ends = c.peek().is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"-_:".contains(&byte));
    (ends && SECONDS.contains(&seconds)).then_some(ns)
}

fn packed(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    let (year, month, day) = (c.exactly(2)?, c.exactly(2)?, c.exactly(2)?);
    c.expect(b' ')?;
    let (hour, minute, second) = (c.exactly(2)?, c.exactly(2)?, c.exactly(2)?);
    if c.peek().is_some_and(|byte| byte != b' ') {
        return None;
    }
    zone.at(Date { year: century(year), month, day }, Clock::new(hour, minute, second, 0)?, None)
}

fn packed_date(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    let (year, month, day) = (c.exactly(4)?, c.exactly(2)?, c.exactly(2)?);
    if !c.skip(b'-') && !c.skip(b'T') {
        c.expect(b' ')?;
    }
    let hour = c.digits(1, 2)?;
    c.expect(b':')?;
    let minute = c.digits(1, 2)?;
    c.expect(b':')?;
    let second = c.digits(1, 2)?;
    let fraction = if c.peek() == Some(b':') { c.fraction_after(b':') } else { c.fraction() };
    let offset = c.zone();
    zone.at(Date { year, month, day }, Clock::new(hour, minute, second, fraction)?, offset)
}

fn month_day(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    let month = c.exactly(2)?;
    if !c.skip(b'.') {
        c.expect(b'-')?;
    }
    let day = c.exactly(2)?;
    c.expect(b' ')?;
    let clock = c.clock()?;
    zone.without_year(month, day, clock)
}

fn klog(c: &mut Cursor<'_>, zone: &Zone) -> Option<i64> {
    if !b"IWEF".contains(&c.next()?) {
        return None;
    }
    let (month, day) = (c.exactly(2)?, c.exactly(2)?);
    c.expect(b' ')?;
    let clock = c.clock()?;
    zone.without_year(month, day, clock)
}

fn century(year: i64) -> i64 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

/// What times that do not say it themselves are relative to.
#[derive(Clone, Debug)]
pub(super) struct Zone {
    reference: i64,
    year: i64,
    offset: i64,
}

struct Date {
    year: i64,
    month: i64,
    day: i64,
}

#[derive(Clone, Copy)]
struct Clock {
    second_of_day: i64,
    ns: i64,
}

impl Clock {
    fn new(hour: i64, minute: i64, second: i64, ns: i64) -> Option<Self> {
        // 60 is a leap second.
        (hour < 24 && minute < 60 && second <= 60)
            .then_some(Self { second_of_day: hour * 3600 + minute * 60 + second, ns })
    }
}

impl Zone {
    pub(super) fn new(reference: i64, offset: i64) -> Self {
        let year = jiff::Timestamp::from_nanosecond(i128::from(reference)).unwrap_or_default();
        let year = year.to_zoned(jiff::tz::TimeZone::UTC).year();
        Self { reference, year: year.into(), offset }
    }

    fn at(&self, date: Date, clock: Clock, offset: Option<i64>) -> Option<i64> {
        let days = days_since_1970(&date)?;
        let seconds = days * 86_400 + clock.second_of_day - offset.unwrap_or(self.offset);
        seconds.checked_mul(1_000_000_000)?.checked_add(clock.ns)
    }

    /// The last year in which the time exists and does not lie after the reference by more than a day.
    fn without_year(&self, month: i64, day: i64, clock: Clock) -> Option<i64> {
        const DAY_NS: i64 = 86_400_000_000_000;
        let last = self.reference.saturating_add(DAY_NS);
        // February 29th comes every four years, or eight around some turns of centuries. The year after is for New
        // Year's Eve.
        (self.year - 8..=self.year + 1)
            .rev()
            .filter_map(|year| self.at(Date { year, month, day }, clock, None))
            .find(|time| *time <= last)
    }
}

/// Days of a date in the Gregorian calendar, counted in eras of 400 years that begin on March 1st, so that the leap day
/// is the last of its year.
fn days_since_1970(date: &Date) -> Option<i64> {
    let &Date { year, month, day } = date;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..=2261).contains(&year) || !(1..=length).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468)
}

/// A position in a line.
#[derive(Clone, Debug)]
pub(super) struct Cursor<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a [u8], at: usize) -> Self {
        Self { line, at }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    pub(super) fn skip(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip(byte).then_some(())
    }

    fn skip_word(&mut self, word: &[u8]) -> bool {
        let is_there = self.line.get(self.at..).is_some_and(|rest| rest.starts_with(word));
        self.at += if is_there { word.len() } else { 0 };
        is_there
    }

    /// A number of that many digits, with no further one behind it.
    fn digits(&mut self, least: usize, most: usize) -> Option<i64> {
        let mut number = 0i64;
        let start = self.at;
        while let Some(byte) = self.peek().filter(u8::is_ascii_digit) {
            number = number.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
            self.at += 1;
            if self.at - start > most {
                return None;
            }
        }
        (self.at - start >= least).then_some(number)
    }

    /// A number of that many digits, whatever is behind it.
    fn exactly(&mut self, count: usize) -> Option<i64> {
        let digits = self.line.get(self.at..self.at + count)?;
        self.at += count;
        digits.iter().try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
    }

    fn month(&mut self) -> Option<i64> {
        const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
        let name = self.line.get(self.at..self.at + 3)?;
        let month = MONTHS.chunks_exact(3).position(|month| month == name)?;
        self.at += 3;
        i64::try_from(month + 1).ok()
    }

    /// ` 9 `, `  9 ` or ` 09 `, as syslog and ctime write it.
    fn day(&mut self) -> Option<i64> {
        self.expect(b' ')?;
        self.skip(b' ');
        let day = self.digits(1, 2)?;
        self.expect(b' ')?;
        Some(day)
    }

    /// `18:01:47`, with a fraction perhaps.
    fn clock(&mut self) -> Option<Clock> {
        let hour = self.digits(1, 2)?;
        self.expect(b':')?;
        let minute = self.exactly(2)?;
        self.expect(b':')?;
        let second = self.digits(2, 2)?;
        Clock::new(hour, minute, second, self.fraction())
    }

    fn fraction(&mut self) -> i64 {
        match self.peek() {
            Some(separator @ (b'.' | b',')) => self.fraction_after(separator),
            _ => 0,
        }
    }

    /// Nanoseconds; digits beyond are passed over.
    fn fraction_after(&mut self, separator: u8) -> i64 {
        let digits = self.line.get(self.at + 1..).unwrap_or_default();
        let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if self.peek() != Some(separator) || length == 0 {
            return 0;
        }
        self.at += 1 + length;
        (0..9).fold(0, |ns, at| ns * 10 + digits[..length].get(at).map_or(0, |byte| i64::from(byte - b'0')))
    }

    /// `Z`, `+02:00`, ` -0700`, ` UTC`: seconds east of Greenwich.
    fn zone(&mut self) -> Option<i64> {
        if self.skip(b'Z') || self.skip_word(b" UTC") || self.skip_word(b" GMT") {
            return Some(0);
        }
        let mut c = self.clone();
        c.skip(b' ');
        let sign = match c.next()? {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = c.exactly(2)?;
        c.skip(b':');
        let minutes = c.exactly(2)?;
        if hours > 18 || minutes > 59 || c.peek().is_some_and(|byte| byte.is_ascii_alphanumeric()) {
            return None;
        }
        *self = c;
        Some(sign * (hours * 3600 + minutes * 60))
    }
}
