//! `narvi check`: verifies a store.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use narvi::CheckEvent;

use crate::{
    cli::CheckArgs,
    failure::{Failure, Outcome},
};

pub(crate) fn run(args: &CheckArgs) -> Outcome {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::no_length() } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {wide_msg}") {
        bar.set_style(style);
    }
    let report = narvi::check(&args.data_dir, &mut |event| match event {
        CheckEvent::Begin { bytes, .. } => bar.set_length(bytes),
        CheckEvent::File { key, bytes } => {
            bar.inc(bytes);
            bar.set_message(key.to_owned());
        }
        CheckEvent::Damage(text) => bar.suspend(|| println!("damaged: {text}")),
        _ => {}
    })?;
    bar.finish_and_clear();
    for key in &report.unnamed {
        println!("not named by the manifest, and deleted after a while: {key}");
    }
    let narvi::CheckReport { packs, tables, rows, bytes, problems, .. } = &report;
    println!("{packs} packs, {tables} index tables, {rows} rows, {bytes} bytes read");
    match problems.len() {
        0 => {
            println!("no damage found");
            Ok(())
        }
        count => Err(Failure(format!("{count} problems found in {}", args.data_dir.display()))),
    }
}
