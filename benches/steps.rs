//! Training steps of dense networks on one thread and on two: `cargo bench --bench steps [FILTER]`.
//!
//! A step is forward, backward and update. *GFLOP/s* counts what the compiler counts, and *peak* is the share of the rate of
//! fused multiply-adds of the machine's widest vectors, of one thread in both cases. *Flops* of batch 33 may take at most 1.3
//! times as long as those of batch 32, and squares of different widths should run alike: there should be no cliffs. *Speedup*
//! is that of the step on two threads; *machine* is that of the multiply-adds, which need nothing but the core: what two
//! threads could reach at most, for the cores of a virtual machine may be less than two. Runs on one and on two threads and
//! the measurements of the peak take turns; figures are medians.

#[path = "common/call.rs"]
mod call;
#[path = "common/networks.rs"]
mod networks;
#[path = "common/peak.rs"]
mod peak;
#[path = "common/program.rs"]
mod program;

use std::time::Duration;

use bessemer_compiler::graph::{Call as Optimizer, Expr};
use bessemer_compiler::pipeline::{OptLevel, Options};
use bessemer_compiler::{nn, optimizers};
use bessemer_runtime::pool::Pool;
use call::{Call, times};
use networks::{Activation, BATCH};

/// How often each step is measured.
const ROUNDS: usize = 11;

/// A network, by its extents, what its activation and optimizer are called, and how many examples a step takes.
type Step = (Vec<usize>, &'static str, &'static str, usize);

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    let peak = peak::multiply_adds().pop();
    println!("peak: of vectors of {} bits\n", peak.map_or(0, |p| p.bits));
    let columns = format!("{:>10} {:>8} {:>5}", "µs", "GFLOP/s", "peak");
    println!("{:42} {:>25} {:>25}", "", "1 thread", "2 threads");
    println!("{:42} {columns} {columns} {:>7} {:>7}", "network, batch", "speedup", "machine");
    let pool = Pool::new(2).expect("there are threads");
    for (extents, activation, optimizer, batch) in steps() {
        let sizes: Vec<String> = extents.iter().map(usize::to_string).collect();
        let name = format!("{} {activation} {optimizer}, {batch}", sizes.join("-"));
        if !name.contains(&filter) {
            continue;
        }
        let module = networks::classifier(&extents, function(activation), update(optimizer));
        let options = Options::new(OptLevel::O3).verify_each(false);
        let [mut one, mut two] =
            [1, 2].map(|threads| Call::new(&module, networks::STEP, batch, &options, threads));
        let flops = one.entry().flops as f64;
        let peak_run = || peak.iter().for_each(|p| (p.run)());
        let two_peaks = || pool.for_each_chunk(2, |chunks, _| chunks.for_each(|_| peak_run()));
        let runs: [&mut dyn FnMut(); 4] =
            [&mut { peak_run }, &mut { two_peaks }, &mut || one.run(), &mut || two.run()];
        let [of_peak, of_two, steps @ ..] =
            times(ROUNDS, Duration::from_millis(10), runs).map(|t| t[ROUNDS / 2]);
        let rate = peak.map_or(f64::NAN, |p| p.flops / of_peak);
        let cells = steps.map(|time| {
            let share = flops / time / rate * 100.0;
            format!("{:>10.1} {:>8.1} {share:>4.0}%", time * 1e6, flops / time / 1e9)
        });
        let (speedup, machine) = (steps[0] / steps[1], 2.0 * of_peak / of_two);
        println!("{name:42} {} {speedup:>7.2} {machine:>7.2}", cells.join(" "));
    }
}

fn function(name: &str) -> Activation {
    match name {
        "relu" => nn::relu,
        "tanh" => |x: Expr<'_>| x.tanh(),
        "sigmoid" => |x: Expr<'_>| x.sigmoid(),
        "gelu" => nn::gelu,
        name => panic!("no activation is called {name}"),
    }
}

fn update(name: &str) -> Optimizer {
    match name {
        "sgd" => optimizers::sgd(0.01),
        "adam" => optimizers::adam(1e-3),
        name => panic!("no optimizer is called {name}"),
    }
}

fn steps() -> Vec<Step> {
    let mut steps: Vec<Step> = vec![(vec![784, 1024, 1024, 10], "relu", "adam", BATCH)];
    for batch in [1, 7, 32, 33, 100, 256] {
        steps.push((vec![784, 10], "relu", "sgd", batch));
        steps.push((vec![784, 128, 10], "relu", "sgd", batch));
        steps.push((vec![784, 512, 10], "relu", "sgd", batch));
    }
    for activation in ["tanh", "sigmoid", "gelu"] {
        steps.push((vec![784, 512, 10], activation, "sgd", BATCH));
    }
    for extents in [vec![20, 50, 10], vec![300, 300, 300, 10], vec![1000, 500, 250, 10]] {
        steps.push((extents, "relu", "adam", BATCH));
    }
    for width in [256, 384, 512, 768, 1000, 1024, 1536, 2048, 3072, 4096] {
        steps.push((vec![width; 3], "relu", "sgd", 128));
    }
    for width in [256, 1024] {
        for activation in ["tanh", "sigmoid", "gelu"] {
            steps.push((vec![width; 3], activation, "sgd", 128));
        }
        for batch in [1, 7, 32, 33, 256] {
            steps.push((vec![width; 3], "relu", "sgd", batch));
        }
    }
    steps
}
