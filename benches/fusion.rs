//! What fusion is worth: `cargo bench --bench fusion [FILTER]`.
//!
//! Every pattern is compiled twice with the same options, but for the passes that fuse (`fuse-*`): views are folded,
//! and schedules chosen, in both. Both run in turn on one thread, so what disturbs the machine disturbs both; times are
//! medians, and *ratio* is that of the fused program by that of the unfused one. *Bytes* are those of all stored
//! temporaries, without reuse. Results are compared bit for bit before anything is measured.

#[path = "common/call.rs"]
mod call;
#[path = "common/function.rs"]
mod function;
#[path = "common/networks.rs"]
mod networks;
#[path = "common/program.rs"]
mod program;

use std::time::Duration;

use bessemer_compiler::differentiate::differentiate;
use bessemer_compiler::graph::{Graph, Module};
use bessemer_compiler::pipeline::{OptLevel, Options, PASSES};
use bessemer_compiler::types::DType::{F32, I32};
use bessemer_compiler::{initializers, nn, optimizers};
use call::{Call, times};
use function::module;
use networks::classifier;

/// How often each of a pair is measured.
const ROUNDS: usize = 21;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    println!("{:32} {:>21} {:>9} {:>21} {:>6}", "", "µs", "kernels", "bytes", "");
    println!(
        "{:32} {:>10} {:>10} {:>4} {:>4} {:>10} {:>10} {:>6}",
        "pattern", "unfused", "fused", "un", "fu", "unfused", "fused", "ratio"
    );
    let patterns: [(&str, Module, &str); 7] = [
        ("dense + bias + relu", module(dense_relu), "f"),
        ("softmax 100x1024", module(softmax), "f"),
        ("layer norm 100x1024", module(layer_norm), "f"),
        ("softmax cross entropy, gradient", module(cross_entropy), "f"),
        ("adam update of 784x128", module(adam), "f"),
        ("784-128-10 sgd step", classifier(&[784, 128, 10], nn::relu, optimizers::sgd(0.1)), networks::STEP),
        (
            "784-1024-1024-10 adam step",
            classifier(&[784, 1024, 1024, 10], nn::relu, optimizers::adam(1e-3)),
            networks::STEP,
        ),
    ];
    for (name, module, function) in patterns.into_iter().filter(|p| p.0.contains(&filter)) {
        report(name, &module, function);
    }
}

fn report(name: &str, module: &Module, function: &str) {
    let fused = Options::new(OptLevel::O3).verify_each(false);
    let fusing = PASSES.iter().map(|pass| pass.name).filter(|pass| pass.starts_with("fuse-"));
    let unfused = fusing.fold(fused.clone(), |options, pass| options.disable(pass).expect("it is a pass"));
    let [mut unfused, mut fused] =
        [unfused, fused].map(|options| Call::new(module, function, networks::BATCH, &options, 1));
    unfused.run();
    fused.run();
    for (a, b) in unfused.results.iter().zip(&fused.results) {
        assert!(a.same_bits(b), "{name}: fused and unfused results differ");
    }
    let times = times(ROUNDS, Duration::from_millis(5), [&mut || unfused.run(), &mut || fused.run()]);
    let times = times.map(|times| times[ROUNDS / 2]);
    let [a, b] = [unfused.entry(), fused.entry()];
    println!(
        "{name:32} {:>10.1} {:>10.1} {:>4} {:>4} {:>10} {:>10} {:>6.2}",
        times[0] * 1e6,
        times[1] * 1e6,
        a.kernels,
        b.kernels,
        a.memory.without_reuse_bytes,
        b.memory.without_reuse_bytes,
        times[1] / times[0],
    );
}

fn dense_relu(f: &Graph) {
    let x = f.placeholder("x", F32, [100, 784]);
    f.result("y", nn::relu(nn::dense(x, "dense", 128)));
}

fn softmax(f: &Graph) {
    f.result("y", nn::softmax(f.placeholder("x", F32, [100, 1024])));
}

fn layer_norm(f: &Graph) {
    f.result("y", nn::layer_norm(f.placeholder("x", F32, [100, 1024]), "norm", 1e-5));
}

fn cross_entropy(f: &Graph) {
    let logits = f.placeholder("logits", F32, [100, 1024]);
    let labels = f.placeholder("labels", I32, [100]);
    let loss = nn::sparse_softmax_cross_entropy(logits, labels);
    f.result("loss", loss);
    let gradients = differentiate(f, &[(loss, loss.constant_like(1.0))], &[logits]);
    f.result("gradient", gradients.expect("it has one")[0].expect("it depends on the logits"));
}

/// Kingma and Ba, 2015, algorithm 1, at a step so late that the averages need no correction.
fn adam(f: &Graph) {
    let shape = [784, 128];
    let g = f.placeholder("g", F32, shape);
    let w = f.variable("w", shape, initializers::glorot_uniform());
    let [m, v] = ["m", "v"].map(|name| f.variable(name, shape, initializers::zeros()));
    let m = m * 0.9 + g * 0.1;
    let v = v * 0.999 + g * g * 0.001;
    f.assign("w", w - m * 1e-3 / (v.sqrt() + 1e-8));
    f.assign("m", m);
    f.assign("v", v);
}
