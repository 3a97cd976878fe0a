//! Writes the networks of the examples in text form to `examples/models/NAME.bsm`.

mod models;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models");
    for (name, _) in models::NETWORKS {
        let path = folder.join(name).with_extension("bsm");
        let module = models::build(name).ok_or("the network is not known")??;
        std::fs::write(&path, format!("{module}\n"))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}
