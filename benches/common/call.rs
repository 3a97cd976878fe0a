//! Compiled functions, to be called again and again, and how long that takes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bessemer_compiler::graph::Module;
use bessemer_compiler::initializers;
use bessemer_compiler::jit::CompiledEntry;
use bessemer_compiler::pipeline::Options;
use bessemer_compiler::program::{Entry, NamedType};
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType;
use bessemer_runtime::instance::{Instance, Threads};
use bessemer_runtime::pool::Pool;

use crate::program::{compile, expand};

/// A function of a program on one thread, with operands and room for its results.
pub struct Call {
    entry: CompiledEntry,
    instance: Instance,
    /// What it is called with.
    pub params: Vec<Tensor>,
    /// What the last run returned.
    pub results: Vec<Tensor>,
}

impl Call {
    /// Compiles a function of a module, to run on so many threads. Its variables have their first values; floats among
    /// its parameters are from -1 to 1, integers below 10.
    pub fn new(module: &Module, function: &str, n: usize, options: &Options, threads: u32) -> Call {
        let module = expand(module);
        let program = compile(&module, &[function, initializers::FUNCTION], n, options);
        let threads = Threads::from(Pool::new(threads).expect("there are threads"));
        let instance = program.instance(threads).expect("there is memory");
        instance.set_seed(1).expect("nothing runs");
        let init = program.entry(initializers::FUNCTION).expect("it was compiled");
        init.call(&instance, &[], &mut []).unwrap_or_else(|e| panic!("{e}"));
        let entry = program.entry(function).expect("it was compiled");
        let params = entry.entry().params.iter().map(operand).collect();
        let zeros = |r: &NamedType| Tensor::zeros(r.ty.dtype, &shape(r));
        let results = entry.entry().results.iter().map(zeros).collect();
        Call { entry, instance, params, results }
    }

    /// What there is to know of the function.
    pub fn entry(&self) -> &Entry {
        self.entry.entry()
    }

    /// Runs it once.
    pub fn run(&mut self) {
        let params: Vec<&Tensor> = self.params.iter().collect();
        self.entry.call(&self.instance, &params, &mut self.results).unwrap_or_else(|e| panic!("{e}"));
        black_box(&self.results);
    }
}

fn shape(of: &NamedType) -> Vec<usize> {
    of.ty.shape.as_fixed().expect("the batch size is bound")
}

/// Elements that look random, the same for every call.
fn operand(param: &NamedType) -> Tensor {
    let shape = shape(param);
    let count: usize = shape.iter().product();
    let words = (0..count as u32).map(|i| i.wrapping_mul(0x9e37_79b9) ^ i.wrapping_mul(0x85eb_ca6b) >> 15);
    match param.ty.dtype {
        DType::F32 => Tensor::from_vec(&shape, words.map(|w| w as f32 / 2f32.powi(31) - 1.0).collect()),
        DType::I32 => Tensor::from_vec(&shape, words.map(|w| (w % 10) as i32).collect()),
        dtype => panic!("no operand of type {dtype}"),
    }
}

/// Times of a run of each in seconds, the shortest first: `rounds` times every one in turn runs for at least `least`, after a run
/// that brings its data into the caches again. What disturbs the machine for a while disturbs all of them.
pub fn times<const N: usize>(rounds: usize, least: Duration, runs: [&mut dyn FnMut(); N]) -> [Vec<f64>; N] {
    let mut timed = runs.map(|run| {
        let once = time(1, run);
        let repeat = (least.as_secs_f64() / once.max(1e-9)).ceil().max(1.0) as u32;
        (run, repeat, Vec::with_capacity(rounds))
    });
    for _ in 0..rounds {
        for (run, repeat, times) in &mut timed {
            run();
            times.push(time(*repeat, run));
        }
    }
    timed.map(|(_, _, mut times)| {
        times.sort_by(f64::total_cmp);
        times
    })
}

/// Seconds per run.
fn time(repeat: u32, run: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    (0..repeat).for_each(|_| run());
    start.elapsed().as_secs_f64() / f64::from(repeat)
}
