//! What the operating system tells of this process, under the names that Prometheus' clients use.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::signed;

type Number = Gauge<f64, AtomicU64>;

/// The metrics of the process; brought up to date by [`ProcessMetrics::update`], where the system has `/proc`.
#[derive(Debug, Default)]
pub(super) struct ProcessMetrics {
    cpu_secs: Counter<f64, AtomicU64>,
    resident: Gauge,
    virtual_bytes: Gauge,
    started: Number,
    open_files: Gauge,
    most_files: Gauge,
}

/// Clock ticks are a hundredth of a second, whatever the kernel's own.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

impl ProcessMetrics {
    pub(super) fn register(&self, add: &mut Registry) {
        add.register("process_cpu_seconds", "User and system CPU seconds spent", self.cpu_secs.clone());
        add.register("process_resident_memory_bytes", "Resident memory", self.resident.clone());
        add.register("process_virtual_memory_bytes", "Virtual memory", self.virtual_bytes.clone());
        add.register("process_start_time_seconds", "When the process started", self.started.clone());
        add.register("process_open_fds", "Open files and sockets", self.open_files.clone());
        add.register("process_max_fds", "Most files and sockets that may be open", self.most_files.clone());
    }

    pub(super) fn update(&self) {
        if let Some(figures) = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Figures::read(&text)) {
            self.cpu_secs.inner().store(figures.cpu_secs.to_bits(), Ordering::Relaxed);
            self.resident.set(signed(figures.resident));
            self.virtual_bytes.set(signed(figures.virtual_bytes));
            if let Some(booted) = line("/proc/stat", "btime") {
                self.started.set(booted as f64 + figures.started_secs);
            }
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            // One of them is the folder that is being read.
            self.open_files.set(signed(files.count().saturating_sub(1) as u64));
        }
        if let Some(most) = line("/proc/self/limits", "Max open files") {
            self.most_files.set(signed(most));
        }
    }
}

/// The first number of the line of a file that begins with a word.
fn line(path: &str, word: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(word)?.split_whitespace().next()?.parse().ok())
}

/// What `/proc/self/stat` tells.
#[derive(Debug, PartialEq)]
struct Figures {
    cpu_secs: f64,
    resident: u64,
    virtual_bytes: u64,
    /// Since the system was booted.
    started_secs: f64,
}

impl Figures {
    fn read(stat: &str) -> Option<Self> {
        // The name of the process, in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            cpu_secs: (number(11)? + number(12)?) as f64 / TICKS_PER_SECOND,
            resident: number(21)?.saturating_mul(PAGE_BYTES),
            virtual_bytes: number(20)?,
            started_secs: number(19)? as f64 / TICKS_PER_SECOND,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 4 0 1234 8192 3 18446744073709551615 1";
        let expected = Figures { cpu_secs: 3.0, resident: 12_288, virtual_bytes: 8192, started_secs: 12.34 };
        assert_eq!(Figures::read(stat), Some(expected));
        assert_eq!(Figures::read("7 (a) S 1"), None);
    }
}
