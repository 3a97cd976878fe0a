//! Attention over long sequences, composed from ops: the same bits however it is run, and memory for few of its scores only.

#[path = "support/compare.rs"]
mod compare;
mod support;

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::{Builder, Function, Module, Train};
use bessemer_compiler::initializers;
use bessemer_compiler::optimizers;
use bessemer_compiler::pipeline::{OptLevel, Options, prepare};
use bessemer_compiler::types::DType;
use bessemer_runtime::instance::Threads;
use bessemer_runtime::pool::Pool;
use compare::{same, variables};
use support::{call, compile};

/// Heads, all variables so that a step changes them by their gradients, of so many positions and of `width` each.
fn module(heads: usize, length: usize, width: usize, causal: bool) -> Module {
    let builder = Builder::new("attention");
    let shape = [1, heads, length, width];
    builder.function("loss", |f| {
        let of = |name| f.variable(name, shape, initializers::normal(0.0, 1.0));
        let (queries, keys, values) = (of("queries"), of("keys"), of("values"));
        let scores = queries.matmul_transposed(keys, false, true) / (width as f64).sqrt();
        let at = |axis: usize| f.iota(DType::I32, [length, length], axis);
        let visible = at(1).le(at(0)).broadcast_to(scores.shape());
        let seen = if causal { visible.select(scores, scores.full_like(-1e9)) } else { scores };
        let gathered = bessemer_compiler::nn::softmax(seen).matmul(values);
        f.result("loss", (gathered * gathered).mean());
    });
    builder.train(Train::minimize("step", "loss", optimizers::sgd(100.0)));
    prepare(&builder.finish().unwrap_or_else(|e| panic!("{e}"))).unwrap_or_else(|e| panic!("{e}"))
}

fn function<'m>(module: &'m Module, name: &str) -> &'m Function {
    &module.functions[module.function(name).expect("the module has it")]
}

#[test]
fn steps_have_the_same_bits_however_scores_are_held() {
    let target = Target::host().expect("this machine is supported");
    let pool = Pool::new(2).expect("two threads can be had");
    // Odd lengths: the second one's scores, by head, are more than are held whole.
    for (length, causal) in [(77, true), (1100, false), (1101, true)] {
        let module = module(2, length, 3, causal);
        let trained = |options: &Options, threads: Threads| {
            let program = compile(&module, options, &target);
            let instance = program.instance(threads).expect("there is memory");
            instance.set_seed(7).expect("nothing else uses the instance");
            call(&program, &instance, function(&module, "init"), &[]).expect("it checks nothing");
            let first = variables(&program, &instance);
            for _ in 0..2 {
                call(&program, &instance, function(&module, "step"), &[]).expect("it checks nothing");
            }
            let last = variables(&program, &instance);
            assert!(first.iter().zip(&last).all(|(a, b)| !same(a, b)), "every variable has a gradient");
            last
        };
        let unfused = trained(&Options::new(OptLevel::O1), Threads::serial());
        let fused = Options::new(OptLevel::O3);
        let asked = fused.clone().enable("recompute").expect("the pass exists");
        for (what, options) in [("fused", &fused), ("computed again", &asked)] {
            for threads in [Threads::serial(), Threads::from(pool.clone())] {
                let all = unfused.iter().zip(&trained(options, threads)).all(|(a, b)| same(a, b));
                assert!(all, "{what}, {length} positions, causal: {causal}");
            }
        }
    }
}

/// A worker holds the scores of some queries of one head.
#[test]
fn forward_holds_scores_of_few_queries() {
    const LENGTH: usize = 4096;
    let module = module(4, LENGTH, 64, true);
    let target = Target::parse("x86_64-unknown-linux-gnu", "x86-64-v3").expect("it is a target");
    let program = compile(&module, &Options::new(OptLevel::O3), &target);
    let entries = &program.program().entries;
    let loss = entries.iter().find(|entry| entry.name == "loss").expect("the function was compiled");
    let scores_of_a_head = 4 * LENGTH * LENGTH;
    assert!(loss.memory.arena_bytes + loss.worker_bytes < scores_of_a_head, "{loss:?}");
    assert!(loss.worker_bytes < scores_of_a_head / 8, "{} bytes", loss.worker_bytes);
}
