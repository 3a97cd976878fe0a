//! Attention over long sequences, composed from ops: the same bits however it is run, and memory for few of its scores only.

#[path = "support/compare.rs"]
mod compare;
mod support;

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::{Builder, Function, Module, Train};
use bessemer_compiler::initializers;
use bessemer_compiler::ops::sample::Sampler;
use bessemer_compiler::optimizers;
use bessemer_compiler::pipeline::{OptLevel, Options, prepare};
use bessemer_compiler::types::DType;
use bessemer_runtime::instance::Threads;
use bessemer_runtime::pool::Pool;
use compare::{same, variables};
use support::{call, compile};

/// Heads of so many positions, of `width` numbers each, made of `x` by three matrices that a step changes by their gradients.
fn module(heads: usize, length: usize, width: usize, causal: bool) -> Module {
    let builder = Builder::new("attention");
    builder.function("loss", |f| {
        let x = f.placeholder("x", DType::F32, [1, heads, length, width]);
        let of =
            |name| x.matmul(f.variable(name, [width, width], initializers::normal(0.0, 1.0 / width as f64)));
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
    // Odd lengths: scores of all heads are kept for the pass backward, those of a head are held, those of a few queries or keys.
    for (heads, length, causal) in [(2, 77, true), (5, 301, false), (8, 1029, true)] {
        let module = module(heads, length, 3, causal);
        let x = Sampler::new(3).floats(&[1, heads, length, 3], -2.0, 2.0);
        let trained = |options: &Options, threads: Threads| {
            let program = compile(&module, options, &target);
            let instance = program.instance(threads).expect("there is memory");
            instance.set_seed(7).expect("nothing else uses the instance");
            call(&program, &instance, function(&module, "init"), &[]).expect("it checks nothing");
            let first = variables(&program, &instance);
            let step = function(&module, "step");
            call(&program, &instance, step, std::slice::from_ref(&x)).expect("it checks nothing");
            let last = variables(&program, &instance);
            assert!(first.iter().zip(&last).all(|(a, b)| !same(a, b)), "every variable has a gradient");
            let entry = program.program().entries.iter().find(|entry| entry.name == "step");
            (last, entry.expect("it was compiled").memory.arena_bytes)
        };
        let (unfused, _) = trained(&Options::new(OptLevel::O1), Threads::serial());
        let fused = Options::new(OptLevel::O3);
        let asked = fused.clone().enable("recompute").expect("the pass exists");
        for (what, options) in [("fused", &fused), ("computed again", &asked)] {
            for threads in [Threads::serial(), Threads::from(pool.clone())] {
                let (variables, arena) = trained(options, threads);
                let all = unfused.iter().zip(&variables).all(|(a, b)| same(a, b));
                assert!(all, "{what}, {length} positions, causal: {causal}");
                assert!(length < 300 || arena < 4 * length * length, "{what}: {arena} bytes");
            }
        }
    }
}

/// Neither a pass forward nor a whole step stores the scores of all heads: not their arena and what two threads have beside it.
#[test]
fn scores_of_all_heads_are_stored_nowhere() {
    let target = Target::parse("x86_64-unknown-linux-gnu", "x86-64-v3").expect("it is a target");
    for length in [2048, 4096] {
        let module = module(4, length, 64, true);
        let program = compile(&module, &Options::new(OptLevel::O3), &target);
        let scores_of_a_head = 4 * length * length;
        let held = |name: &str| {
            let entries = &program.program().entries;
            let entry = entries.iter().find(|entry| entry.name == name).expect("it was compiled");
            assert!(entry.worker_bytes < scores_of_a_head / 4, "@{name}: {} bytes", entry.worker_bytes);
            entry.memory.arena_bytes + 2 * entry.worker_bytes
        };
        assert!(held("loss") < scores_of_a_head, "{} bytes, {length} positions", held("loss"));
        assert!(held("step") < 2 * scores_of_a_head, "{} bytes, {length} positions", held("step"));
        // The limit is not met by chance: without the pass, what is kept alone is more.
        let without = Options::new(OptLevel::O3).disable("recompute-slices").expect("the pass exists");
        let program = compile(&module, &without, &target);
        let step = program.program().entries.iter().find(|entry| entry.name == "step");
        let kept = step.expect("it was compiled").memory.arena_bytes;
        assert!(kept > 4 * scores_of_a_head, "{kept} bytes");
    }
}
