//! Settings of a database: plain data with defaults.

/// How a database behaves. Everything that is a component (stores, for example) goes to the [`Builder`](crate::Builder).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct Settings {
    /// The write-ahead log.
    pub wal: WalSettings,
    /// When and how rows go from memory into files.
    pub flush: FlushSettings,
    /// How files are merged in the background.
    pub compaction: CompactionSettings,
    /// When rows that retention or requests to delete hide are removed.
    pub retention: RetentionSettings,
    /// Hours in a period of the index; blocks are cut at its ends. Must stay the same for the life of a store.
    pub period_hours: u32,
    /// The most bytes that one line may have, at most 64 MiB.
    pub max_line_bytes: usize,
    /// Whether [`Db::close`](crate::Db::close) flushes; otherwise the WAL is kept and replayed when the database is opened
    /// again. A database without WAL always flushes.
    pub flush_on_close: bool,
    /// How long files that no manifest names are kept for whoever writes them. In a store that other processes may read
    /// also how long files that a commit took out are kept; in the data directory these go with their last reader.
    pub garbage_grace_secs: u64,
    /// How many entries wait for a slow tail before further ones are dropped.
    pub tail_queue_entries: usize,
    /// On how many threads one query runs.
    pub query_threads: usize,
}

/// The write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct WalSettings {
    /// Whether there is one. Without it, rows that are not flushed are lost when the process ends.
    pub enabled: bool,
    /// What an acknowledgement promises.
    pub sync: WalSync,
    /// How often the WAL is synced with [`WalSync::Interval`].
    pub sync_interval_ms: u64,
    /// Bytes of one segment after which a flush begins.
    pub segment_bytes: u64,
}

/// What an acknowledged push survives. The death of the process in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum WalSync {
    /// Loss of power: [`Ack::wait`](crate::Ack::wait) returns once the disk has the rows. Pushes that wait share a sync.
    Always,
    /// Loss of power, but for the last interval.
    #[default]
    Interval,
    /// Loss of power, but for what the operating system has not written by itself.
    Never,
}

/// When and how rows go from memory into files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct FlushSettings {
    /// Bytes of rows (lines, metadata, times) that a generation has when it is flushed.
    pub generation_bytes: u64,
    /// Seconds after its first row that a generation is flushed.
    pub max_age_secs: u64,
    /// Seconds after its last row that a generation is flushed.
    pub idle_secs: u64,
    /// Bytes of rows that may wait to be flushed, beside one generation that is filled. Pushes beyond it wait.
    pub max_waiting_bytes: u64,
    /// Bytes of memory that rows and streams not yet flushed may take. At three quarters of it they are flushed; pushes
    /// beyond it wait. Counts where there are many streams of few rows.
    pub max_memory_bytes: u64,
    /// How long such a push waits before it is refused as [`ErrorKind::Busy`](crate::ErrorKind::Busy).
    pub push_timeout_ms: u64,
    /// The pause after a failed flush; it doubles up to the longest.
    pub retry_min_ms: u64,
    /// The longest pause after a failed flush.
    pub retry_max_ms: u64,
    /// Bytes of a pack after which the next one is begun.
    pub pack_bytes: u64,
    /// How packs are written.
    pub pack: narvi_chunk::PackOptions,
}

/// How files are merged in the background.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct CompactionSettings {
    /// Whether a thread does it. Without, and in every case in addition, [`Db::compact`](crate::Db::compact) does it on
    /// demand.
    pub enabled: bool,
    /// How often that thread looks whether there is something to merge.
    pub interval_ms: u64,
    /// How often that thread deletes files that are of no use any more.
    pub garbage_interval_secs: u64,
    /// How many tables of one level, and of one tenant and period if they are split, are merged into one of the next
    /// level. At least 2.
    pub tables_per_level: usize,
    /// Tables that overlap in time and to which none came for so many seconds are merged too, however few they are;
    /// `u64::MAX` for never. For stores that several processes write the same rows to.
    pub quiet_secs: u64,
    /// The most bytes of files that are merged at once; files of half of it are never merged again.
    pub max_merge_bytes: u64,
    /// Bytes of a pack after which the next one is begun. A pack is held in memory until it is complete.
    pub max_pack_bytes: u64,
    /// Bytes of lines that one tenant must have in one period to get packs and a table of its own.
    pub min_split_bytes: u64,
    /// Memory for decoded rows and for the index of what is merged; bounds how much is merged at once.
    pub memory_bytes: u64,
}

/// When rows that retention or requests to delete hide are removed from files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct RetentionSettings {
    /// How often the thread that compacts applies retention and completes requests to delete. Without that thread, and in
    /// every case in addition, [`Db::apply_retention`](crate::Db::apply_retention) does it on demand.
    pub interval_secs: u64,
    /// How long a request to delete may be cancelled; its lines are hidden meanwhile, and are removed thereafter.
    pub cancel_period_secs: u64,
    /// How long rows may lie in the memory of other processes that write the store before they are in files. Lines of a
    /// request to delete are removed, and the request is processed, only after this time: before, one of its lines could
    /// come back with a flush. Zero where this process alone writes.
    pub settle_secs: u64,
    /// Files are written anew when retention hides more than this part of their rows, in percent. Those of which it hides
    /// all are deleted unread.
    pub rewrite_percent: u8,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self { interval_secs: 600, cancel_period_secs: 24 * 3600, settle_secs: 0, rewrite_percent: 25 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            wal: WalSettings::default(),
            flush: FlushSettings::default(),
            compaction: CompactionSettings::default(),
            retention: RetentionSettings::default(),
            period_hours: 24,
            max_line_bytes: 16 << 20,
            flush_on_close: false,
            garbage_grace_secs: 3600,
            tail_queue_entries: 10_000,
            query_threads: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

impl Default for WalSettings {
    fn default() -> Self {
        Self { enabled: true, sync: WalSync::default(), sync_interval_ms: 1000, segment_bytes: 96 << 20 }
    }
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_ms: 10_000,
            garbage_interval_secs: 600,
            tables_per_level: 8,
            quiet_secs: u64::MAX,
            max_merge_bytes: 2 << 30,
            max_pack_bytes: 64 << 20,
            min_split_bytes: 32 << 20,
            memory_bytes: 256 << 20,
        }
    }
}

impl Default for FlushSettings {
    fn default() -> Self {
        Self {
            generation_bytes: 64 << 20,
            max_age_secs: 3600,
            idle_secs: 1800,
            max_waiting_bytes: 64 << 20,
            max_memory_bytes: 192 << 20,
            push_timeout_ms: 30_000,
            retry_min_ms: 500,
            retry_max_ms: 60_000,
            pack_bytes: 256 << 20,
            pack: narvi_chunk::PackOptions::default(),
        }
    }
}

impl Settings {
    /// The length of a period in nanoseconds.
    pub(crate) fn period_ns(&self) -> i64 {
        i64::from(self.period_hours.max(1)) * 3_600_000_000_000
    }
}
