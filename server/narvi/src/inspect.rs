//! `narvi inspect`: explains files of a store.

use crate::{cli::InspectArgs, failure::Outcome};

pub(crate) fn run(args: &InspectArgs) -> Outcome {
    for (at, path) in args.files.iter().enumerate() {
        let text = narvi::inspect(path)?;
        if args.files.len() > 1 {
            println!("{}{}:", if at > 0 { "\n" } else { "" }, path.display());
        }
        print!("{text}");
    }
    Ok(())
}
