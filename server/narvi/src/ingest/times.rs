//! Finds the time in a log line: the formats that programs commonly write, read byte by byte.

use super::forms::{Cursor, Form, Zone};

/// How far into a line times are looked for.
const SEARCHED_BYTES: usize = 256;

/// Keys of JSON lines whose values are times.
const JSON_KEYS: [&[u8]; 10] = [
    b"\"time\":",
    b"\"ts\":",
    b"\"timestamp\":",
    b"\"@timestamp\":",
    b"\"time_iso8601\":",
    b"\"datetime\":",
    b"\"eventTime\":",
    b"\"msec\":",
    b"\"date\":",
    b"\"$date\":",
];

/// Finds times in the lines of one file. Remembers where the last one was, since the next is most likely there too.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    zone: Zone,
    /// The form and position of the last time found.
    hint: Option<(Form, usize)>,
    /// The key of the last time found in a JSON line.
    key: usize,
}

impl Times {
    /// `reference` (nanoseconds) is about when the file was written: times without a year are of the last year that
    /// does not put them after it. `offset` (seconds) is that of times without a zone.
    pub(crate) fn new(reference: i64, offset: i64) -> Self {
        Self { zone: Zone::new(reference, offset), hint: None, key: 0 }
    }

    /// The time in a line, in nanoseconds since 1970.
    pub(crate) fn find(&mut self, line: &[u8]) -> Option<i64> {
        if let Some((form, at)) = self.hint
            && starts_token(line, at)
            && let Some(time) = form.read(line, at, &self.zone)
        {
            return Some(time);
        }
        if line.first() == Some(&b'{')
            && let Some(time) = self.find_json(line)
        {
            return Some(time);
        }
        self.hint = self.at_start(line).or_else(|| self.inside(line));
        let (form, at) = self.hint?;
        form.read(line, at, &self.zone)
    }

    fn find_json(&mut self, line: &[u8]) -> Option<i64> {
        let keys = std::iter::once(self.key).chain((0..JSON_KEYS.len()).filter(|key| *key != self.key));
        for key in keys.collect::<Vec<_>>() {
            let name = JSON_KEYS[key];
            let Some(found) = memchr::memmem::find(line, name) else { continue };
            let mut cursor = Cursor::new(line, found + name.len());
            while cursor.skip(b' ') {}
            let quoted = cursor.skip(b'"');
            let forms: &[Form] = if quoted { &Form::IN_STRINGS } else { &[Form::Epoch] };
            if let Some(time) = forms.iter().find_map(|form| form.read(line, cursor.at(), &self.zone)) {
                self.key = key;
                return Some(time);
            }
        }
        None
    }

    /// A time where the line begins, behind a bracket, or behind the dash of some cluster logs.
    fn at_start(&self, line: &[u8]) -> Option<(Form, usize)> {
        let at = match line {
            [b'[', ..] => 1,
            [b'-', b' ', ..] => 2,
            _ => 0,
        };
        Form::ALL.iter().find(|form| form.read(line, at, &self.zone).is_some()).map(|form| (*form, at))
    }

    /// A time anywhere: first those with a year, then those without, then numbers that can be times.
    fn inside(&self, line: &[u8]) -> Option<(Form, usize)> {
        let end = line.len().min(SEARCHED_BYTES);
        for forms in [&Form::WITH_YEAR[..], &[Form::Syslog], &[Form::Epoch]] {
            for at in 1..end {
                if !line[at].is_ascii_alphanumeric() || !starts_token(line, at) {
                    continue;
                }
                if let Some(form) = forms.iter().find(|form| form.read(line, at, &self.zone).is_some()) {
                    return Some((*form, at));
                }
            }
        }
        None
    }
}

fn starts_token(line: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| line.get(before));
    before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b".-_/".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::Times;

    /// 2026-11-21T00:00:00Z.
    const REFERENCE: i64 = 1_795_219_200_000_000_000;

    #[test]
    fn common_forms_are_found() {
        let cases = [
            ("2015-10-18 18:01:47,978 INFO [main] x", "2015-10-18T18:01:47.978Z"),
            ("2016-09-28 04:30:30, Info      CBS", "2016-09-28T04:30:30Z"),
            ("2003-10-11T22:14:15.003Z x", "2003-10-11T22:14:15.003Z"),
            ("<34>1 2003-10-11T22:14:15.000003-07:00 host", "2003-10-12T05:14:15.000003Z"),
            ("2020-01-01 00:00:00.5 +0200 x", "2019-12-31T22:00:00.5Z"),
            ("2023/01/02 03:04:05 [error] 1#1", "2023-01-02T03:04:05Z"),
            ("Jun  9 06:06:20 combo syslogd", "2026-06-09T06:06:20Z"),
            ("<13>Dec 10 06:55:46 LabSZ sshd", "2025-12-10T06:55:46Z"),
            ("[Sun Dec 04 04:47:44 2005] [notice] x", "2005-12-04T04:47:44Z"),
            ("[Sun Dec 04 04:47:44.123456 2005] [x]", "2005-12-04T04:47:44.123456Z"),
            ("127.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] \"GET /\"", "2000-10-10T20:55:36Z"),
            ("- 1117838570 2005.06.03 R02 2005-06-03-15.42.50.6 x", "2005-06-03T22:42:50Z"),
            ("- 1131566461 2005.11.09 dn228 Nov 9 12:01:01 x", "2005-11-09T20:01:01Z"),
            ("134681 node-246 unix.hw state 1077804742 1 Component", "2004-02-26T14:12:22Z"),
            ("081109 203615 148 INFO dfs", "2008-11-09T20:36:15Z"),
            ("20171223-22:15:29:606|Step_LSC|", "2017-12-23T22:15:29.606Z"),
            ("20171224-1:1:0:935|Step_LSC|", "2017-12-24T01:01:00.935Z"),
            ("[10.30 16:49:06] chrome.exe", "2026-10-30T16:49:06Z"),
            ("03-17 16:13:38.811  1702  2395 D x", "2026-03-17T16:13:38.811Z"),
            ("17/06/09 20:11:11 INFO x", "2017-06-09T20:11:11Z"),
            ("I0921 12:34:56.123456    1 main.go:1] x", "2026-09-21T12:34:56.123456Z"),
            ("a.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO", "2017-05-16T00:00:00.008Z"),
            ("{\"level\":\"info\",\"time\":\"2022-01-02T03:04:05Z\",\"x\":1}", "2022-01-02T03:04:05Z"),
            ("{\"msg\":\"x\", \"ts\": 1700000000.25}", "2023-11-14T22:13:20.25Z"),
            ("{\"timestamp\":1700000000123}", "2023-11-14T22:13:20.123Z"),
            ("{\"t\":{\"$date\":\"2022-01-02T03:04:05.678+00:00\"},\"s\":\"I\"}", "2022-01-02T03:04:05.678Z"),
            ("ts=2022-01-02T03:04:05.1Z level=info", "2022-01-02T03:04:05.1Z"),
            ("1700000000 x", "2023-11-14T22:13:20Z"),
            ("1700000000123 x", "2023-11-14T22:13:20.123Z"),
            ("1700000000123456789", "2023-11-14T22:13:20.123456789Z"),
            ("02-Jan-2006 15:04:05.123 INFO", "2006-01-02T15:04:05.123Z"),
        ];
        for (line, expected) in cases {
            let found = Times::new(REFERENCE, 0).find(line.as_bytes()).map(crate::times::print);
            assert_eq!(found.as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn lines_without_a_time_have_none() {
        let cases = [
            "",
            "\tat java.lang.Thread.run(Thread.java:745)",
            "2015-13-18 18:01:47 x",
            "2015-02-30 18:01:47 x",
            "2015-10-18 25:01:47 x",
            "id 12345678901 x",
            "Juno 9 06:06:20",
            "version 1.2.3-4",
            "{\"a\":1}",
            "081399 203615 x",
        ];
        for line in cases {
            assert_eq!(Times::new(REFERENCE, 0).find(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn the_place_of_the_last_time_is_only_a_hint() {
        let mut times = Times::new(REFERENCE, 3600);
        for (line, expected) in [
            ("10.0.0.1 [10/Oct/2000:13:55:36 +0000]", Some("2000-10-10T13:55:36Z")),
            ("10.0.0.100 [10/Oct/2000:13:55:37 +0000]", Some("2000-10-10T13:55:37Z")),
            ("continued", None),
            ("2000-10-10 13:00:00 now without a zone", Some("2000-10-10T12:00:00Z")),
        ] {
            assert_eq!(times.find(line.as_bytes()).map(crate::times::print).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut times = Times::new(REFERENCE, 0);
        let seed = b"[Sun Dec 04 04:47:44 2005] 2015-10-18 18:01:47,978 {\"ts\":17000000009999} \xff\x80";
        for start in 0..seed.len() {
            for end in start..seed.len() {
                times.find(&seed[start..end]);
            }
        }
    }
}
