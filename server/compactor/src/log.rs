//! What upkeep has done, as lines of the server's log.

use narvi::{Db, MaintenanceStats};

/// Tells of upkeep what it has not told yet. The store does its upkeep on a thread of its own and counts; this looks at the
/// counts.
#[derive(Debug, Default)]
pub struct UpkeepLog {
    told: MaintenanceStats,
}

impl UpkeepLog {
    /// Logs merges, runs of retention that took something out, files found damaged and failures since the last call. To be
    /// called every few seconds.
    pub fn tell(&mut self, db: &Db) {
        let stats = db.maintenance_stats();
        let (new, told) = (&stats, &self.told);
        for damage in new.merged.damaged.iter().skip(told.merged.damaged.len()) {
            tracing::error!(detail = damage.as_str(), "a file is damaged, and is not merged");
        }
        let failures = new.failures.saturating_sub(told.failures);
        if let (1.., Some(error)) = (failures, &new.last_error) {
            tracing::warn!(failures, %error, "upkeep failed and is tried again");
        }
        if new.compactions > told.compactions {
            tracing::info!(
                tables = new.merged.tables_in.saturating_sub(told.merged.tables_in),
                into = new.merged.tables_out.saturating_sub(told.merged.tables_out),
                rows = new.merged.rows_in.saturating_sub(told.merged.rows_in),
                kept = new.merged.rows_out.saturating_sub(told.merged.rows_out),
                bytes = new.merged.bytes_in.saturating_sub(told.merged.bytes_in),
                bytes_kept = new.merged.bytes_out.saturating_sub(told.merged.bytes_out),
                "merged files"
            );
        }
        let (retention, before) = (&new.retention, &told.retention);
        let (dropped, rewritten) = (
            retention.tables_dropped.saturating_sub(before.tables_dropped),
            retention.rewritten.tables_in.saturating_sub(before.rewritten.tables_in),
        );
        if dropped + rewritten > 0 {
            tracing::info!(dropped, rewritten, "removed rows by retention and requests to delete");
        }
        self.told = stats;
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        sync::{Arc, Mutex, PoisonError},
    };

    use narvi::{CompactionSettings, Db, Entry, Labels, PushStream, Settings, Tenant, Timestamp};

    use super::UpkeepLog;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn take(&self) -> String {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            String::from_utf8(bytes).expect("text")
        }
    }

    #[test]
    fn merges_and_damage_are_told_once() {
        let compaction =
            CompactionSettings { enabled: false, tables_per_level: 2, min_split_bytes: 1 << 20, ..Default::default() };
        let folder = tempfile::tempdir().expect("a folder");
        let builder = Db::builder(folder.path()).settings(Settings { compaction, ..Settings::default() });
        let db = builder.open().expect("opens");
        let flushed = |at| {
            let labels = Labels::from_pairs([("app", "x")]).expect("valid");
            let stream = PushStream::new(labels, vec![Entry::new(Timestamp::from_secs(at), "line".to_owned())]);
            db.push(&Tenant::default(), vec![stream]).expect("pushed");
            db.flush().expect("flushed");
        };
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let mut log = UpkeepLog::default();
        tracing::subscriber::with_default(subscriber, || {
            flushed(1);
            flushed(2);
            log.tell(&db);
            assert_eq!(lines.take(), "");
            assert_eq!(db.compact().expect("merged").tables_in, 2);
            log.tell(&db);
            let text = lines.take();
            assert!(text.contains("merged files tables=2 into=1 rows=2 kept=2"), "{text}");
            flushed(3);
            flushed(4);
            let tables = walk(&folder.path().join("index"));
            let newest = tables.iter().max_by_key(|path| path.metadata().and_then(|m| m.modified()).ok());
            std::fs::write(newest.expect("a table"), b"no table").expect("written");
            assert_eq!(db.compact().expect("left out").tables_in, 0);
            log.tell(&db);
            let text = lines.take();
            assert!(text.contains("ERROR") && text.contains("is damaged") && text.lines().count() == 1, "{text}");
            log.tell(&db);
            assert_eq!(lines.take(), "");
        });
    }

    fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() { found.extend(walk(&entry)) } else { found.push(entry) }
        }
        found
    }
}
