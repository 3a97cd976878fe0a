//! Training of a table of which a step looks up few rows: what SGD touches, and that other optimizers touch it all.

#[path = "support/compare.rs"]
mod compare;
mod support;

use std::sync::Arc;

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::eval::{State, evaluate, in_f64};
use bessemer_compiler::graph::{Builder, Call, Module, Train};
use bessemer_compiler::jit::{CallError, JitProgram};
use bessemer_compiler::ops::sample::Sampler;
use bessemer_compiler::pipeline::{OptLevel, Options, prepare};
use bessemer_compiler::program::Entry;
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType::{F32, F64, I32};
use bessemer_compiler::{nn, optimizers};
use bessemer_runtime::abi::Status;
use bessemer_runtime::instance::Threads;
use bessemer_runtime::pool::Pool;
use compare::{same, variables};
use support::{call, compile};

const WIDTH: usize = 17;

/// Sentences of 3 words out of `words` to points of 5 coordinates. If `tied`, the outputs are scores of the first 5
/// words.
fn module(words: usize, tied: bool, optimizer: Call) -> Module {
    let builder = Builder::new("net");
    builder.function("loss", |f| {
        let (ids, y) = (f.placeholder("ids", I32, [4, 3]), f.placeholder("y", F32, [4, 5]));
        let sum = nn::embedding(ids, "words", words, WIDTH).reduce_sum(&[1], false);
        let out = match tied {
            false => nn::dense(sum, "out", 5),
            true => {
                let table = f.read("words/table");
                sum.matmul(table.transpose(&[1, 0])).slice_fixed(1, 0, 5)
            }
        };
        f.result("loss", nn::mean_squared_error(out, y));
    });
    builder.train(Train::minimize("step", "loss", optimizer));
    prepare(&builder.finish().unwrap_or_else(|e| panic!("{e}"))).unwrap_or_else(|e| panic!("{e}"))
}

/// Words 1, 2, 3 and 7, some of them twice in one sentence or in several.
const IDS: [i32; 12] = [1, 2, 1, 7, 7, 7, 3, 1, 2, 2, 3, 7];

fn examples(ids: &[i32]) -> Vec<Tensor> {
    vec![Tensor::from_vec(&[4, 3], ids.to_vec()), Sampler::new(5).floats(&[4, 5], -2.0, 2.0)]
}

fn program(module: &Module, level: OptLevel) -> Arc<JitProgram> {
    compile(module, &Options::new(level), &Target::host().expect("this machine is supported"))
}

fn entry(module: &Module) -> Entry {
    let program = program(module, OptLevel::O3);
    program.entry("step").expect("the step was compiled").entry().clone()
}

/// The variables before and after some steps.
fn train(module: &Module, level: OptLevel, threads: Threads, steps: usize) -> [Vec<Tensor>; 2] {
    let program = program(module, level);
    let instance = program.instance(threads).expect("there is memory");
    let function = |name| &module.functions[module.function(name).expect("the module has it")];
    call(&program, &instance, function("init"), &[]).expect("it checks nothing");
    let before = variables(&program, &instance);
    for _ in 0..steps {
        call(&program, &instance, function("step"), &examples(&IDS)).expect("all words are known");
    }
    [before, variables(&program, &instance)]
}

/// The variables after some steps, evaluated in f64 from the same first values.
fn train_in_f64(module: &Module, steps: usize) -> Vec<Tensor> {
    let function = |m: &Module, name| m.functions[m.function(name).expect("the module has it")].clone();
    let mut state = State::default();
    evaluate(module, &function(module, "init"), &[], &mut state).expect("it checks nothing");
    let (wide, mut state) = (in_f64(module), state.in_f64());
    let examples = examples(&IDS);
    for _ in 0..steps {
        let params = [examples[0].clone(), examples[1].cast(F64)];
        evaluate(&wide, &function(&wide, "step"), &params, &mut state).expect("all words are known");
    }
    module.variables.values().map(|v| state.variables[&v.name].clone()).collect()
}

fn rows(table: &Tensor) -> Vec<Vec<u32>> {
    table.array::<f32>().rows().into_iter().map(|row| row.iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn variables_are_those_of_f64_at_every_level_and_number_of_threads() {
    let pool = Pool::new(2).expect("two threads can be had");
    for tied in [false, true] {
        for optimizer in [optimizers::sgd(0.1), optimizers::momentum(0.05), optimizers::adam(0.01)] {
            let name = optimizer.name.clone();
            let module = module(9, tied, optimizer);
            let expected = train_in_f64(&module, 20);
            let [_, first] = train(&module, OptLevel::O3, Threads::serial(), 20);
            for (a, b) in first.iter().zip(&expected) {
                for (a, b) in a.scalars().zip(b.scalars()) {
                    let (a, b) = (a.as_f64(), b.as_f64());
                    assert!((a - b).abs() <= 2e-5 * (1.0 + b.abs()), "{name}, tied: {tied}: {a} ≠ {b}");
                }
            }
            for level in [OptLevel::O0, OptLevel::O1, OptLevel::O2, OptLevel::O3] {
                for threads in [Threads::serial(), Threads::from(pool.clone())] {
                    let [_, again] = train(&module, level, threads, 20);
                    assert!(first.iter().zip(&again).all(|(a, b)| same(a, b)), "{name} at {level:?}");
                }
            }
        }
    }
}

#[test]
fn sgd_touches_only_the_rows_that_are_looked_up() {
    let module = module(9, false, optimizers::sgd(0.1));
    for level in [OptLevel::O0, OptLevel::O3] {
        let [before, after] = train(&module, level, Threads::serial(), 2);
        for (word, (before, after)) in rows(&before[0]).into_iter().zip(rows(&after[0])).enumerate() {
            assert_eq!(before != after, IDS.contains(&(word as i32)), "{level:?}: word {word}");
        }
    }
}

#[test]
fn what_sgd_moves_does_not_grow_with_the_table() {
    let [small, large] = [100, 100_000].map(|words| entry(&module(words, false, optimizers::sgd(0.1))));
    assert_eq!(small.bytes_moved, large.bytes_moved);
    assert_eq!(small.memory, large.memory);
    assert_eq!(small.memory.copied, [""; 0]);
    let [small, large] = [100, 100_000].map(|words| entry(&module(words, false, optimizers::adam(0.1))));
    assert!(large.bytes_moved > 100 * small.bytes_moved, "{} {}", small.bytes_moved, large.bytes_moved);
}

#[test]
fn momentum_moves_rows_that_were_looked_up_before() {
    let module = module(9, false, optimizers::momentum(0.1));
    let program = program(&module, OptLevel::O3);
    let instance = program.instance(Threads::serial()).expect("there is memory");
    let function = |name| &module.functions[module.function(name).expect("the module has it")];
    call(&program, &instance, function("init"), &[]).expect("it checks nothing");
    let table = || rows(&variables(&program, &instance)[0]);
    call(&program, &instance, function("step"), &examples(&IDS)).expect("all words are known");
    let once = table();
    call(&program, &instance, function("step"), &examples(&[0; 12])).expect("all words are known");
    let twice = table();
    for word in 0..9 {
        let moves = word == 0 || IDS.contains(&(word as i32));
        assert_eq!(once[word] != twice[word], moves, "word {word}");
    }
}

#[test]
fn an_unknown_word_changes_nothing() {
    let module = module(9, false, optimizers::sgd(0.1));
    let step = &module.functions[module.function("step").expect("the module has it")];
    for level in [OptLevel::O0, OptLevel::O1, OptLevel::O3] {
        let program = program(&module, level);
        let instance = program.instance(Threads::serial()).expect("there is memory");
        let init = &module.functions[module.function("init").expect("the module has it")];
        call(&program, &instance, init, &[]).expect("it checks nothing");
        let before = variables(&program, &instance);
        for (position, value) in [(0, 9), (5, -1), (11, i32::MAX), (7, i32::MIN)] {
            let mut ids = IDS;
            ids[position] = value;
            let failed = call(&program, &instance, step, &examples(&ids));
            let Err(CallError::Failed(failure)) = failed else { panic!("{level:?}: {failed:?}") };
            assert_eq!(failure.status, Status::IndexOutOfRange);
            let index = failure.index.expect("the failure says which index");
            assert_eq!((index.position, index.value), (position as u64, i64::from(value)), "{level:?}");
            assert!(before.iter().zip(variables(&program, &instance)).all(|(a, b)| same(a, &b)));
        }
    }
}
