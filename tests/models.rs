//! The networks kept as text are what the builder makes of them today.

#[path = "../examples/models/mod.rs"]
mod models;

use std::path::Path;

#[test]
fn kept_texts_are_what_write_models_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models");
    let mut kept = 0;
    for file in std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
        if file.extension().is_none_or(|e| e != "bsm") {
            continue;
        }
        let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap();
        let built = models::build(name).unwrap_or_else(|| panic!("no function builds `{name}`")).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("{built}\n"), "run `cargo run --example write_models`");
        for entry in ["predict", "loss", "eval"] {
            assert!(built.function(entry).is_some(), "`{name}` has no function `{entry}`");
        }
        assert!(built.trains.iter().any(|t| t.name == "train_step"), "`{name}` is not trained");
        kept += 1;
    }
    assert_eq!(kept, 3);
}
