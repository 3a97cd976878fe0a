//! How close kernels come to what the machine can do: `cargo bench --bench roofline [FILTER]`.
//!
//! On one thread. The limits are measured first: the rate of fused multiply-adds at every vector width that the machine
//! has, in registers, and the bandwidth of copying (bytes read and bytes written). *Peak* is the share of the rate at the
//! widest vectors; *copy* is the share of the bandwidth of copying as many bytes as the kernel reads and
//! writes at the least. Times are the shortest of several rounds: this asks what is possible, not what is usual.

#[path = "common/call.rs"]
mod call;
#[path = "roofline/copy.rs"]
mod copy;
#[path = "common/function.rs"]
mod function;
#[path = "common/peak.rs"]
mod peak;
#[path = "common/program.rs"]
mod program;

use std::time::Duration;

use bessemer_compiler::graph::{Graph, Module};
use bessemer_compiler::nn;
use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::types::DType::F32;
use call::{Call, times};
use copy::Copy;
use function::module;

/// How often each kernel is measured.
const ROUNDS: usize = 11;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let mut peak = f64::NAN;
    for adds in peak::multiply_adds() {
        let [seconds] = times(21, Duration::from_millis(2), [&mut { adds.run }]);
        peak = adds.flops / seconds[0];
        println!("multiply-add, {:3} bits  {:8.1} GFLOP/s", adds.bits, peak / 1e9);
    }
    println!(
        "\n{:32} {:>10} {:>9} {:>6} {:>8} {:>8} {:>6}",
        "kernel", "µs", "GFLOP/s", "peak", "GB/s", "copying", "copy"
    );
    for (name, module) in kernels().into_iter().filter(|k| k.0.contains(&filter)) {
        let options = Options::new(OptLevel::O3).verify_each(false);
        let mut call = Call::new(&module, "f", 1, &options, 1);
        let bytes = call.params.iter().chain(&call.results).map(|t| t.len() * t.dtype().bytes()).sum();
        let mut copy = Copy::new(bytes);
        let [time, copying] =
            times(ROUNDS, Duration::from_millis(5), [&mut || call.run(), &mut || copy.run()])
                .map(|times| times[0]);
        let (flops, bytes) = (call.entry().flops as f64, bytes as f64);
        println!(
            "{name:32} {:>10.1} {:>9.1} {:>5.0}% {:>8.1} {:>8.1} {:>5.0}%",
            time * 1e6,
            flops / time / 1e9,
            flops / time / peak * 100.0,
            bytes / time / 1e9,
            bytes / copying / 1e9,
            copying / time * 100.0,
        );
    }
}

/// Adds the nodes of a function.
type Build = fn(&Graph);

/// The kernels of a dense layer, forward and backward, and one or two of every other class.
fn kernels() -> Vec<(String, Module)> {
    let mut kernels = Vec::new();
    for [m, k, n] in [[100, 784, 128], [100, 784, 10], [256, 256, 256], [100, 1024, 1024]] {
        let size = format!("{m}x{k}x{n}");
        let product = |a: [usize; 2], b: [usize; 2], transposed: [bool; 2]| {
            module(|f| {
                let (a, b) = (f.placeholder("a", F32, a), f.placeholder("b", F32, b));
                f.result("c", a.matmul_transposed(b, transposed[0], transposed[1]));
            })
        };
        kernels.push((format!("{size} forward"), product([m, k], [k, n], [false, false])));
        kernels.push((format!("{size} input gradient"), product([m, n], [k, n], [false, true])));
        kernels.push((format!("{size} weight gradient"), product([m, k], [m, n], [true, false])));
    }
    let others: [(&str, Build); 7] = [
        ("map x*a + b, 32 KiB", |f| map(f, 8)),
        ("map x*a + b, 32 MiB", |f| map(f, 8192)),
        ("map exp, 1 MiB", |f| f.result("y", f.placeholder("x", F32, [256, 1024]).exp())),
        ("map tanh, 1 MiB", |f| f.result("y", f.placeholder("x", F32, [256, 1024]).tanh())),
        ("reduce rows, 1 MiB", |f| reduce(f, 1)),
        ("reduce columns, 1 MiB", |f| reduce(f, 0)),
        ("softmax rows, 1 MiB", |f| f.result("y", nn::softmax(f.placeholder("x", F32, [256, 1024])))),
    ];
    kernels.extend(others.map(|(name, build)| (name.to_owned(), module(build))));
    kernels
}

fn map(f: &Graph, rows: usize) {
    f.result("y", f.placeholder("x", F32, [rows, 1024]) * 1.5 + 0.25);
}

fn reduce(f: &Graph, axis: usize) {
    f.result("y", f.placeholder("x", F32, [256, 1024]).reduce_sum(&[axis], false));
}
