//! How close kernels come to what the machine can do: `cargo bench --bench roofline [FILTER]`.
//!
//! On one thread. The limits are measured in turns with the kernels: the rate of fused multiply-adds of the widest vectors
//! that the machine has, in registers, and the bandwidth of memory. *Peak* is the share of that rate. *Memory* is the bandwidth
//! of reading as many bytes as the kernel reads at the least, one after the other, and writing as many as it writes: of copying,
//! where these are as many; *share* is what the kernel has of it.
//! *El/cycle* is how many elements of its largest tensor a kernel takes in a cycle: half the time of a multiply-add of 256
//! bits, of which CPUs start two in a cycle. Times are the shortest of several rounds: this asks what is possible, not what
//! is usual.

#[path = "common/call.rs"]
mod call;
#[path = "common/function.rs"]
mod function;
#[path = "common/peak.rs"]
mod peak;
#[path = "common/program.rs"]
mod program;
#[path = "roofline/traffic.rs"]
mod traffic;

use std::time::Duration;

use bessemer_compiler::graph::{Expr, Graph, Module};
use bessemer_compiler::nn;
use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType::F32;
use call::{Call, times};
use function::module;
use peak::MultiplyAdds;
use traffic::Traffic;

/// How often each kernel is measured.
const ROUNDS: usize = 11;

/// Operations of the multiply-adds of 256 bits that start in a cycle.
const CYCLE_FLOPS: f64 = 2.0 * 2.0 * 8.0;

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let adds = peak::multiply_adds();
    for adds in &adds {
        let [seconds] = times(21, Duration::from_millis(2), [&mut { adds.run }]);
        println!("multiply-add, {:3} bits  {:8.1} GFLOP/s", adds.bits, adds.flops / seconds[0] / 1e9);
    }
    println!(
        "\n{:32} {:>10} {:>9} {:>6} {:>8} {:>8} {:>6} {:>8}",
        "kernel", "µs", "GFLOP/s", "peak", "GB/s", "memory", "share", "el/cycle"
    );
    for (name, module) in kernels().into_iter().filter(|k| k.0.contains(&filter)) {
        let options = Options::new(OptLevel::O3).verify_each(false);
        let mut call = Call::new(&module, "f", 1, &options, 1);
        let bytes = |tensors: &[Tensor]| tensors.iter().map(|t| t.len() * t.dtype().bytes()).sum();
        let (read, written) = (bytes(&call.params), bytes(&call.results));
        let tensors = call.params.iter().chain(&call.results);
        let elements = tensors.map(Tensor::len).max().unwrap_or(0) as f64;
        let mut traffic = Traffic::new(read, written);
        let (widest, of_256) = (adds.last(), adds.iter().find(|adds| adds.bits == 256));
        let run = |adds: Option<&MultiplyAdds>| adds.iter().for_each(|adds| (adds.run)());
        let runs: [&mut dyn FnMut(); 4] =
            [&mut || call.run(), &mut || traffic.run(), &mut || run(widest), &mut || run(of_256)];
        let [time, moving, adding, adding_256] =
            times(ROUNDS, Duration::from_millis(5), runs).map(|times| times[0]);
        let peak = widest.map_or(f64::NAN, |adds| adds.flops / adding);
        let cycle = of_256.map_or(f64::NAN, |adds| adding_256 / adds.flops * CYCLE_FLOPS);
        let (flops, bytes) = (call.entry().flops as f64, (read + written) as f64);
        println!(
            "{name:32} {:>10.1} {:>9.1} {:>5.0}% {:>8.1} {:>8.1} {:>5.0}% {:>8.2}",
            time * 1e6,
            flops / time / 1e9,
            flops / time / peak * 100.0,
            bytes / time / 1e9,
            bytes / moving / 1e9,
            moving / time * 100.0,
            elements * cycle / time,
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
    let others: [(&str, Build); 8] = [
        ("map x*a + b, 32 KiB", |f| map(f, 8)),
        ("map x*a + b, 32 MiB", |f| map(f, 8192)),
        ("reduce rows, 1 MiB", |f| reduce(f, [256, 1024], 1)),
        ("reduce columns, 1 MiB", |f| reduce(f, [256, 1024], 0)),
        ("reduce columns, 50 KiB", |f| reduce(f, [100, 128], 0)),
        ("reduce columns, 400 KiB", |f| reduce(f, [100, 1024], 0)),
        ("reduce columns, 16 MiB", |f| reduce(f, [4096, 1024], 0)),
        ("softmax rows, 1 MiB", |f| f.result("y", nn::softmax(f.placeholder("x", F32, [256, 1024])))),
    ];
    kernels.extend(others.map(|(name, build)| (name.to_owned(), module(build))));
    // Operand and result of 2 rows stay in the first-level cache, those of 32 in the second.
    for (name, function) in functions() {
        for (size, rows) in [("8 KiB", 2), ("128 KiB", 32)] {
            let map = module(|f| f.result("y", function(f.placeholder("x", F32, [rows, 1024]))));
            kernels.push((format!("map {name}, {size}"), map));
        }
    }
    kernels
}

/// A function of every element.
type Map = for<'g> fn(Expr<'g>) -> Expr<'g>;

fn functions() -> [(&'static str, Map); 9] {
    [
        ("exp", |x| x.exp()),
        ("expm1", |x| x.expm1()),
        ("log", |x| x.log()),
        ("log1p", |x| x.log1p()),
        ("tanh", |x| x.tanh()),
        ("sigmoid", |x| x.sigmoid()),
        ("erf", |x| x.erf()),
        ("gelu", nn::gelu),
        ("gelu by tanh", nn::gelu_tanh),
    ]
}

fn map(f: &Graph, rows: usize) {
    f.result("y", f.placeholder("x", F32, [rows, 1024]) * 1.5 + 0.25);
}

fn reduce(f: &Graph, shape: [usize; 2], axis: usize) {
    f.result("y", f.placeholder("x", F32, shape).reduce_sum(&[axis], false));
}
