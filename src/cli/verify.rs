//! `bessemer verify`: whether models are right.

use std::path::PathBuf;

use bessemer::compile::{Model, options, target};
use bessemer::prelude::OptLevel;

use super::{Failure, load, print};

/// Check models: the text, its types, and that every training step can be derived
///
/// Prints `ok` for each model that is right, and every error of the others. Exits with 1 if there is an error, with 2 if a
/// file cannot be read.
#[derive(clap::Args)]
pub struct Args {
    /// Texts of models
    #[arg(value_name = "MODEL.bsm", required = true)]
    models: Vec<PathBuf>,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for path in &args.models {
        match load(path).and_then(|module| {
            let options = options(OptLevel::default(), &[], &[])?;
            Ok(Model::new(&module, options, target("native")?)?)
        }) {
            Ok(_) => print(&format!("{}: ok\n", path.display()))?,
            Err(failure) => failures.push(failure),
        }
    }
    let Some(code) = failures.iter().map(|f| f.code).max() else { return Ok(()) };
    let texts: Vec<String> = failures.into_iter().map(|f| f.text).collect();
    Err(Failure { text: texts.join("\n\n"), code })
}
