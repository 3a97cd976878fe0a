//! Training as compiled: against the evaluator in f64, and bit for bit between runs, levels and numbers of threads.

#[path = "support/compare.rs"]
mod compare;
mod support;

use std::sync::Arc;

use bessemer_compiler::codegen::Target;
use bessemer_compiler::graph::eval::{State, evaluate, in_f64};
use bessemer_compiler::graph::{Builder, Call, Function, Module, Train};
use bessemer_compiler::jit::{CallError, JitProgram};
use bessemer_compiler::ops::sample::Sampler;
use bessemer_compiler::pipeline::{OptLevel, Options, prepare};
use bessemer_compiler::tensor::Tensor;
use bessemer_compiler::types::DType;
use bessemer_compiler::{nn, optimizers};
use bessemer_runtime::abi::Status;
use bessemer_runtime::instance::Threads;
use bessemer_runtime::pool::Pool;
use compare::{same, variables};
use support::{call, compile};

const STEPS: usize = 200;
const EXAMPLES: usize = 33;
const FEATURES: usize = 5;
const CLASSES: usize = 3;

/// How far the losses in f32 may be from those in f64, relative to them, at every step.
const LOSS_TOLERANCE: f64 = 2e-5;

/// Two dense layers under softmax cross entropy, with `init` and the training step `step`.
fn module(optimizer: Call) -> Module {
    declared(Train::minimize("step", "loss", optimizer))
}

/// The same with any training step for the function `loss`.
fn declared(train: Train) -> Module {
    let builder = Builder::new("net");
    builder.function("loss", |f| {
        let x = f.placeholder("x", DType::F32, [EXAMPLES, FEATURES]);
        let labels = f.placeholder("labels", DType::I32, [EXAMPLES]);
        let hidden = nn::dense(x, "hidden", 17).tanh();
        f.result("loss", nn::sparse_softmax_cross_entropy(nn::dense(hidden, "out", CLASSES), labels));
    });
    builder.train(train);
    let module = builder.finish().unwrap_or_else(|e| panic!("{e}"));
    prepare(&module).unwrap_or_else(|e| panic!("{e}"))
}

/// Points around the centres of three classes, and their classes.
fn examples() -> Vec<Tensor> {
    let mut sampler = Sampler::new(3);
    let labels: Vec<i32> = (0..EXAMPLES).map(|i| (i % CLASSES) as i32).collect();
    let points = labels.iter().flat_map(|&label| {
        let centre = |feature: usize| if feature as i32 == label { 1.5 } else { 0.0 };
        (0..FEATURES).map(centre).collect::<Vec<_>>()
    });
    let points = points.map(|centre: f64| (centre + sampler.real(-1.5, 1.5)) as f32).collect();
    vec![Tensor::from_vec(&[EXAMPLES, FEATURES], points), Tensor::from_vec(&[EXAMPLES], labels)]
}

fn function<'m>(module: &'m Module, name: &str) -> &'m Function {
    &module.functions[module.function(name).expect("the module has it")]
}

fn program(module: &Module, level: OptLevel) -> Arc<JitProgram> {
    compile(module, &Options::new(level), &Target::host().expect("this machine is supported"))
}

/// Losses of all steps, and the variables at the end.
fn train(module: &Module, program: &Arc<JitProgram>, threads: Threads, seed: u64) -> (Vec<f64>, Vec<Tensor>) {
    let instance = program.instance(threads).expect("there is memory");
    instance.set_seed(seed).expect("nothing else uses the instance");
    call(program, &instance, function(module, "init"), &[]).expect("it checks nothing");
    let (step, examples) = (function(module, "step"), examples());
    let losses = (0..STEPS).map(|_| {
        let results = call(program, &instance, step, &examples).expect("labels are classes");
        results[0].at(0).as_f64()
    });
    (losses.collect(), variables(program, &instance))
}

/// Losses of all steps as evaluated in f64, from the same first values.
fn train_in_f64(module: &Module, seed: u64) -> Vec<f64> {
    let mut state = State { seed, ..State::default() };
    evaluate(module, function(module, "init"), &[], &mut state).expect("it checks nothing");
    let (wide, mut state) = (in_f64(module), state.in_f64());
    let examples: Vec<Tensor> = examples()
        .iter()
        .map(|t| if t.dtype() == DType::F32 { t.cast(DType::F64) } else { t.clone() })
        .collect();
    let step = function(&wide, "step");
    let mut loss =
        || evaluate(&wide, step, &examples, &mut state).expect("labels are classes")[0].at(0).as_f64();
    (0..STEPS).map(|_| loss()).collect()
}

#[test]
fn losses_are_those_of_f64() {
    for optimizer in [optimizers::sgd(0.3), optimizers::adam(0.01)] {
        let name = optimizer.name.clone();
        let module = module(optimizer);
        let (losses, _) = train(&module, &program(&module, OptLevel::O3), Threads::serial(), 1);
        let expected = train_in_f64(&module, 1);
        assert!(expected[STEPS - 1] < 0.5 * expected[0], "{name} learns: {expected:?}");
        let error = |(a, b): (&f64, &f64)| (a - b).abs() / b;
        let worst = losses.iter().zip(&expected).map(error).fold(0.0, f64::max);
        println!("{name}: losses {} to {}, error at most {worst:e}", losses[0], losses[STEPS - 1]);
        assert!(worst <= LOSS_TOLERANCE, "{name}: {worst:e}\n{losses:?}\n{expected:?}");
    }
}

/// Accumulation, clipping and schedules of the learning rate, compiled, do what the evaluator makes of them in f64.
#[test]
fn modifiers_and_schedules_are_those_of_f64() {
    let sgd = |modifier: Option<Call>| {
        let train = Train::minimize("step", "loss", optimizers::sgd(0.5));
        declared(modifier.into_iter().fold(train, Train::with))
    };
    let scheduled = |name: &str, arguments: &[(&str, f64)]| {
        let rate = Call::word(name).with("rate", 0.5);
        module(optimizers::sgd(arguments.iter().fold(rate, |call, &(name, value)| call.with(name, value))))
    };
    let nested = Call::word("cosine").with("rate", 0.5).with("steps", 9.0).with("end", 0.01);
    let nested = Call::word("warmup").with("rate", nested).with("steps", 3.0);
    let plain = train_in_f64(&sgd(None), 1);
    for (what, module) in [
        ("accumulate", sgd(Some(Call::word("accumulate").with("calls", 3.0)))),
        ("clip_value", sgd(Some(Call::word("clip_value").arg(0.02)))),
        ("clip_norm", sgd(Some(Call::word("clip_norm").arg(0.1)))),
        ("step", scheduled("step", &[("every", 3.0), ("factor", 0.5)])),
        ("exponential", scheduled("exponential", &[("every", 4.0), ("factor", 0.25)])),
        ("cosine", scheduled("cosine", &[("steps", 8.0)])),
        ("warmup", scheduled("warmup", &[("steps", 5.0)])),
        ("a schedule of a schedule", module(optimizers::sgd(nested))),
    ] {
        let expected = train_in_f64(&module, 1);
        let by_then = expected.iter().zip(&plain).take(10);
        assert!(by_then.clone().any(|(a, b)| (a - b).abs() > 1e-2 * b), "{what} matters within ten steps");
        for level in [OptLevel::O0, OptLevel::O3] {
            let (losses, _) = train(&module, &program(&module, level), Threads::serial(), 1);
            for (step, (a, b)) in losses.iter().zip(&expected).enumerate() {
                assert!(
                    (a - b).abs() <= LOSS_TOLERANCE * b,
                    "{what} at {level:?}, step {step}: {a}, not {b}"
                );
            }
        }
    }
}

#[test]
fn runs_have_the_same_bits() {
    let pool = Pool::new(2).expect("two threads can be had");
    for optimizer in [optimizers::sgd(0.3), optimizers::adam(0.01)] {
        let name = optimizer.name.clone();
        let module = module(optimizer);
        let (fused, unfused) = (program(&module, OptLevel::O3), program(&module, OptLevel::O0));
        let first = train(&module, &fused, Threads::serial(), 1);
        let agrees = |other: (Vec<f64>, Vec<Tensor>), how: &str| {
            assert_eq!(first.0, other.0, "losses of {name} {how}");
            assert!(first.1.iter().zip(&other.1).all(|(a, b)| same(a, b)), "variables of {name} {how}");
        };
        agrees(train(&module, &fused, Threads::serial(), 1), "run again");
        agrees(train(&module, &fused, Threads::from(pool.clone()), 1), "on two threads");
        agrees(train(&module, &unfused, Threads::serial(), 1), "unfused");
        agrees(train(&module, &unfused, Threads::from(pool.clone()), 1), "unfused on two threads");
        let other = train(&module, &fused, Threads::serial(), 2);
        assert_ne!(first.0, other.0, "another seed gives {name} other first values");
    }
}

#[test]
fn a_label_out_of_range_changes_nothing() {
    let module = module(optimizers::adam(0.01));
    let step = function(&module, "step");
    for level in [OptLevel::O0, OptLevel::O3] {
        let program = program(&module, level);
        let instance = program.instance(Threads::serial()).expect("there is memory");
        call(&program, &instance, function(&module, "init"), &[]).expect("it checks nothing");
        call(&program, &instance, step, &examples()).expect("labels are classes");
        let (before, steps) = (variables(&program, &instance), instance.step());
        for (position, value) in [(0, CLASSES as i32), (7, -1), (EXAMPLES - 1, i32::MAX), (12, i32::MIN)] {
            let [x, labels] = &examples()[..] else { unreachable!("there are two parameters") };
            let mut labels: Vec<i32> = labels.array::<i32>().iter().copied().collect();
            labels[position] = value;
            let wrong = [x.clone(), Tensor::from_vec(&[EXAMPLES], labels)];
            let failed = call(&program, &instance, step, &wrong);
            let Err(CallError::Failed(failure)) = failed else { panic!("{level:?}: {failed:?}") };
            assert_eq!(failure.status, Status::IndexOutOfRange);
            let index = failure.index.expect("the failure says which index");
            assert_eq!((index.position, index.value), (position as u64, i64::from(value)), "{level:?}");
            let entry = program.entry("step").expect("the step was compiled");
            let site = &entry.entry().checks[index.site as usize];
            assert_eq!((&*site.name, &*site.shape, site.bound), ("labels", &[EXAMPLES][..], CLASSES));
            assert!(before.iter().zip(variables(&program, &instance)).all(|(a, b)| a.same_bits(&b)));
            assert_eq!(instance.step(), steps, "the failed call does not count");
        }
        call(&program, &instance, step, &examples()).expect("the instance is as good as before");
    }
}
