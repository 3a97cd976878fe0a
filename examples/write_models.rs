//! Writes the networks of the examples in text form to `examples/models/NAME.bsm`, or some of them to another folder.

mod models;

use std::error::Error;
use std::path::{Path, PathBuf};

use clap::Parser;

#[derive(Parser)]
#[command(about = "Writes the networks of the examples in text form, each to NAME.bsm")]
struct Options {
    /// Which networks; default: all
    names: Vec<String>,
    /// Pixels a side of the images that the networks for images of any size take
    #[arg(long, default_value_t = models::PIXELS)]
    pixels: usize,
    /// Folder that they are written to; default: `examples/models`
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let folder = options.out.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models"));
    let all = models::NETWORKS.iter().map(|network| network.0.to_owned());
    let names = if options.names.is_empty() { all.collect() } else { options.names };
    for name in names {
        let built = models::build(&name, options.pixels);
        let module = built.ok_or_else(|| format!("`{name}` is no network of `examples/models`"))??;
        let path = folder.join(&name).with_extension("bsm");
        std::fs::write(&path, format!("{module}\n"))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
