//! How long a training step takes to compile, from declared module to code in this process: `cargo bench --bench compile`.
//!
//! Dense networks of MNIST, networks of real size, and chains of layers: twice as many layers should take twice as long.

#[path = "../examples/models/mod.rs"]
mod models;
#[path = "common/networks.rs"]
mod networks;
#[path = "common/program.rs"]
mod program;

use bessemer_compiler::graph::Module;
use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::{nn, optimizers};
use divan::Bencher;
use networks::classifier;

fn main() {
    divan::main();
}

/// The networks of MNIST by name.
const NETWORKS: [&str; 3] = ["784-10 sgd", "784-128-10 sgd", "784-1024-1024-10 adam"];

/// Networks of `examples/models`, with hundreds of kernels.
const LARGE: [&str; 6] = ["mnist_cnn", "gpt", "resnet18", "mobilenet_v2", "googlenet", "resnet50"];

/// Examples in a batch of those.
const BATCH: usize = 16;

/// Width of the layers of a chain.
const WIDTH: usize = 64;

#[divan::bench(args = NETWORKS, sample_count = 20, sample_size = 1)]
fn step(bencher: Bencher<'_, '_>, name: &str) {
    compile(bencher, networks::BATCH, || match name {
        "784-10 sgd" => classifier(&[784, 10], nn::relu, optimizers::sgd(0.5)),
        "784-128-10 sgd" => classifier(&[784, 128, 10], nn::relu, optimizers::sgd(0.1)),
        _ => classifier(&[784, 1024, 1024, 10], nn::relu, optimizers::adam(1e-3)),
    });
}

#[divan::bench(args = LARGE, sample_count = 3, sample_size = 1)]
fn large(bencher: Bencher<'_, '_>, name: &str) {
    let build = || {
        models::build(name, models::PIXELS)
            .and_then(Result::ok)
            .unwrap_or_else(|| panic!("there is no `{name}`"))
    };
    compile(bencher, BATCH, build);
}

#[divan::bench(args = [50, 100, 200, 400], sample_count = 3, sample_size = 1)]
fn chain(bencher: Bencher<'_, '_>, layers: usize) {
    compile(bencher, BATCH, || classifier(&vec![WIDTH; layers + 1], nn::relu, optimizers::adam(1e-3)));
}

/// Measures what becomes of a module: its training step as code for a batch size.
fn compile(bencher: Bencher<'_, '_>, batch: usize, build: impl Fn() -> Module + Sync) {
    let options = Options::new(OptLevel::O3).verify_each(false);
    bencher.with_inputs(build).bench_values(|module| {
        let expanded = program::expand(&module);
        program::compile(&expanded, &[networks::STEP], batch, &options)
    });
}
