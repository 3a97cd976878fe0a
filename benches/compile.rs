//! How long a training step takes to compile, from declared module to code in this process: `cargo bench --bench compile`.

#[path = "common/networks.rs"]
mod networks;
#[path = "common/program.rs"]
mod program;

use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::{nn, optimizers};
use divan::Bencher;
use networks::classifier;

fn main() {
    divan::main();
}

/// The networks of MNIST by name.
const NETWORKS: [&str; 3] = ["784-10 sgd", "784-128-10 sgd", "784-1024-1024-10 adam"];

#[divan::bench(args = NETWORKS, sample_count = 20, sample_size = 1)]
fn step(bencher: Bencher<'_, '_>, name: &str) {
    let build = || match name {
        "784-10 sgd" => classifier(&[784, 10], nn::relu, optimizers::sgd(0.5)),
        "784-128-10 sgd" => classifier(&[784, 128, 10], nn::relu, optimizers::sgd(0.1)),
        _ => classifier(&[784, 1024, 1024, 10], nn::relu, optimizers::adam(1e-3)),
    };
    let options = Options::new(OptLevel::O3).verify_each(false);
    bencher.with_inputs(build).bench_values(|module| {
        let expanded = program::expand(&module);
        program::compile(&expanded, &[networks::STEP], networks::BATCH, &options)
    });
}
