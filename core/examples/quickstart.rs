//! Opens a store, pushes a few lines, and asks LogQL questions of them.

use narvi::{Db, Entry, Labels, PushStream, Tenant, Timestamp, logql::Data};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("narvi-quickstart-{}", std::process::id()));
    let db = Db::open(&folder)?;

    let labels = Labels::from_pairs([("app", "api"), ("env", "prod")])?;
    let lines = (0..5).map(|n| {
        let line = format!("level={} path=/items/{n}", if n % 2 == 0 { "info" } else { "error" });
        Entry::new(Timestamp::from_secs(1_700_000_000 + n), line)
    });
    db.push(&Tenant::default(), vec![PushStream::new(labels, lines.collect())])?.wait()?;

    for row in db.query(r#"{app="api"} |= "level=error""#).forward().rows()? {
        let row = row?;
        println!("{} {} {}", row.ts, row.labels, String::from_utf8_lossy(&row.line));
    }

    let count = r#"sum by (level) (count_over_time({app="api"} | logfmt [1m]))"#;
    if let Data::Vector(samples) = db.query(count).at(Timestamp::from_secs(1_700_000_010)).run()?.data {
        samples.iter().for_each(|sample| println!("{} {}", sample.labels, sample.value));
    }

    db.close()?;
    drop(db);
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
