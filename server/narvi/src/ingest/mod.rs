//! `narvi ingest`: loads files.

mod forms;
mod order;
mod sink;
mod source;
mod times;

use std::{
    io::IsTerminal,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use narvi::{Entry, Labels, LabelsBuilder, Metadata, Timestamp};

use self::{order::Order, source::Source, times::Times};
use crate::{
    cli::IngestArgs,
    failure::{Failure, Outcome},
    place::Place,
};

/// Structured metadata of the last line of a file that ends without a newline, so that it can be given back as it was.
pub(crate) const NO_FINAL_NEWLINE: &str = "no_final_newline";

pub(crate) fn run(args: &IngestArgs) -> Outcome {
    let labels = read_labels(&args.labels)?;
    let offset = read_offset(&args.utc_offset)?;
    let place = Place::to_load(&args.place)?;
    let started = Instant::now();
    let mut load = Load { place, args, labels, offset, bar: bar(args), total: Summary::default() };
    let done = args.files.iter().try_for_each(|path| load.file(path));
    // What was loaded before an error stays.
    if let Place::Directory(db, _) = &load.place {
        load.bar.set_message("writing packs and the index");
        db.flush()?;
        db.close()?;
    }
    load.bar.finish_and_clear();
    if !args.quiet {
        load.total.print(started.elapsed());
    }
    done
}

/// Loading of several files.
struct Load<'a> {
    place: Place,
    args: &'a IngestArgs,
    labels: Vec<(String, String)>,
    /// Seconds east of Greenwich.
    offset: i64,
    bar: ProgressBar,
    total: Summary,
}

/// What was loaded.
#[derive(Debug, Default)]
struct Summary {
    files: u64,
    lines: u64,
    bytes: u64,
    without_time: u64,
    backwards: u64,
    true_times: bool,
    range: Option<(i64, i64)>,
}

impl Load<'_> {
    fn file(&mut self, path: &Path) -> Outcome {
        let mut source = Source::open(path, &self.bar)?;
        let labels = self.labels_of(path)?;
        let written = source.modified.unwrap_or_else(std::time::SystemTime::now);
        let reference = Timestamp::from_system(written).as_ns();
        let mut times = Times::new(reference, self.offset);
        let mut order: Option<Order> = None;
        self.total.files += 1;
        self.total.true_times = self.args.true_times;
        while let Some(batch) = source.next()? {
            // Lines before the first time have that time; without any, that of the file.
            let order = order.get_or_insert_with(|| {
                let first = source::lines(&batch).find_map(|(line, _)| times.find(&line));
                Order::new(first.unwrap_or(reference), !self.args.true_times)
            });
            let mut entries = Vec::new();
            for (line, ended) in source::lines(&batch) {
                entries.push(self.entry(line, ended, &mut times, order));
            }
            sink::push(&self.place, &labels, entries)?;
            self.total.bytes += batch.len() as u64;
            self.bar.set_message(format!("{} lines, {}", HumanCount(self.total.lines), path.display()));
        }
        self.total.backwards += order.map_or(0, |order| order.backwards);
        Ok(())
    }

    fn entry(&mut self, line: Bytes, ended: bool, times: &mut Times, order: &mut Order) -> Entry {
        let found = times.find(&line);
        let ts = order.next(found);
        let total = &mut self.total;
        total.lines += 1;
        total.without_time += u64::from(found.is_none());
        total.range = Some(total.range.map_or((ts, ts), |(first, last)| (first.min(ts), last.max(ts))));
        let mut entry = Entry::new(Timestamp::from_ns(ts), line);
        if !ended {
            entry.metadata = Metadata::from_pairs([(NO_FINAL_NEWLINE, "true")]).unwrap_or_default();
        }
        entry
    }

    fn labels_of(&self, path: &Path) -> Outcome<Labels> {
        let mut labels = LabelsBuilder::new();
        let name = if path.as_os_str() == "-" { "stdin".to_owned() } else { path.display().to_string() };
        labels.set("filename", name);
        for (name, value) in &self.labels {
            labels.set(name.as_str(), value.as_str());
        }
        labels.build().map_err(|error| Failure::of("--label", error))
    }
}

impl Summary {
    fn print(&self, elapsed: Duration) {
        let Self { files, lines, bytes, .. } = self;
        let seconds = elapsed.as_secs_f64();
        let speed = *bytes as f64 / 1e6 / seconds.max(1e-9);
        println!(
            "{files} files, {} lines, {} ({bytes} bytes) in {seconds:.2} s, {speed:.1} MB/s",
            HumanCount(*lines),
            HumanBytes(*bytes)
        );
        if let Some((first, last)) = self.range {
            println!("times from {} to {}", crate::times::print(first), crate::times::print(last));
        }
        if self.without_time > 0 {
            println!("{} lines without a time have that of the line before them", HumanCount(self.without_time));
        }
        if self.backwards > 0 {
            let lines = HumanCount(self.backwards);
            match self.true_times {
                true => println!("{lines} lines are older than the line before them and come back before it"),
                false => println!(
                    "{lines} lines are older than the line before them and have its time, to come back in the order of the \
                     file; --true-times keeps the times they hold"
                ),
            }
        }
    }
}

/// A bar on a terminal, nothing elsewhere.
fn bar(args: &IngestArgs) -> ProgressBar {
    if args.quiet || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let sizes = args.files.iter().map(|path| path.metadata().map(|about| about.len()).ok());
    let total: Option<u64> = sizes.sum();
    let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

fn read_labels(labels: &[String]) -> Outcome<Vec<(String, String)>> {
    let split = |text: &String| {
        let (name, value) = text.split_once('=').filter(|(name, _)| is_label_name(name)).ok_or_else(|| {
            Failure(format!("--label {text}: write NAME=VALUE, the name of letters, digits and underscores"))
        })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    labels.iter().map(split).collect()
}

fn is_label_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(inner) && name.chars().next().is_some_and(|c| !c.is_ascii_digit())
}

/// Reads `+02:00`, `-0700` or `Z`.
fn read_offset(text: &str) -> Outcome<i64> {
    let wrong = || Failure(format!("--utc-offset {text}: write for example +02:00"));
    if text.eq_ignore_ascii_case("z") || text.eq_ignore_ascii_case("utc") {
        return Ok(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.chars().skip(1).filter(|c| *c != ':').collect();
    let number: i64 = digits.parse().map_err(|_| wrong())?;
    let (hours, minutes) = (number / 100, number % 100);
    let is_right = text.starts_with(['+', '-']) && digits.len() == 4 && hours <= 18 && minutes < 60;
    if is_right { Ok(sign * (hours * 3600 + minutes * 60)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::{read_labels, read_offset};

    #[test]
    fn options_are_read() {
        assert_eq!(read_offset("+02:00").expect("it is right"), 7200);
        assert_eq!(read_offset("-0730").expect("it is right"), -27_000);
        assert_eq!(read_offset("Z").expect("it is right"), 0);
        for wrong in ["2", "+2", "02:00", "+25:00", "+02:60", ""] {
            assert!(read_offset(wrong).is_err(), "{wrong}");
        }
        let labels = |text: &str| read_labels(&[text.to_owned()]);
        assert_eq!(labels("a=b=c").expect("it is right"), [("a".to_owned(), "b=c".to_owned())]);
        for wrong in ["a", "=b", "1a=b", "a-b=c"] {
            assert!(labels(wrong).is_err(), "{wrong}");
        }
    }
}
