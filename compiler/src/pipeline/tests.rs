//! Levels and names of passes, and what they make of a training step.

use super::*;
use crate::graph::bind::bind;
use crate::graph::eval::{State, evaluate};
use crate::graph::{Builder, Call, Train};
use crate::kernel::{self, BufferKind, KernelFunction, Memory};

use crate::nn::{dense, dropout, relu, sparse_softmax_cross_entropy};
use crate::ops::sample::Sampler;
use crate::tensor::Tensor;
use crate::types::{DType, Extent};

#[test]
fn passes_are_those_of_graphs_and_kernels() {
    assert!(PASSES.iter().map(|p| p.name).eq(passes::PASSES.into_iter().chain(fuse::PASSES)));
}

#[test]
fn levels_only_add_passes() {
    let runs = |level| PASSES.map(|p| Options::new(level).runs(p.name));
    assert_eq!(runs(OptLevel::O0), [false; PASSES.len()]);
    assert_eq!(runs(OptLevel::O3), PASSES.map(|pass| !pass.asked));
    let names =
        |level| PASSES.iter().map(|p| p.name).filter(|n| Options::new(level).runs(n)).collect::<Vec<_>>();
    let simple = ["canonicalize", "eliminate-common", "eliminate-dead", "drop-checks"];
    assert_eq!(names(OptLevel::O1), simple);
    assert!(!Options::new(OptLevel::O2).runs("fuse-stages"));
}

#[test]
fn some_passes_run_only_if_asked_for() {
    let options = Options::new(OptLevel::O3);
    assert!(!options.runs("recompute") && options.clone().enable("recompute").unwrap().runs("recompute"));
    assert!(!Options::new(OptLevel::O2).enable("recompute").unwrap().runs("recompute"));
    assert_eq!(options.enable("recomput").unwrap_err().code, "E0701");
}

#[test]
fn disabled_passes_do_not_run() {
    let options = Options::new(OptLevel::O3).disable("algebra").unwrap();
    assert!(!options.runs("algebra") && options.runs("canonicalize"));
    let error = options.disable("algebr").unwrap_err();
    assert_eq!((error.code, &*error.message), ("E0701", "there is no pass `algebr`"));
    assert!(error.helps.concat().contains("`fuse-stages`"));
}

#[test]
#[should_panic(expected = "`lower` broke a function")]
fn a_broken_function_names_the_pass() {
    let mut broken = KernelFunction { name: "f".into(), ..KernelFunction::default() };
    broken.checks.push(kernel::CheckSite { name: "i".into(), shape: vec![1], bound: 0 });
    watch("lower", &Options::default().verify_each(true), &"", &broken);
}

/// A network with dropout, and its training step with a clipped gradient.
fn network() -> Module {
    let builder = Builder::new("network");
    builder.function("loss", |f| {
        let x = f.placeholder("x", DType::F32, [Extent::N, 5.into()]);
        let y = f.placeholder("y", DType::I32, [Extent::N]);
        let hidden = dropout(relu(dense(x, "hidden", 7)), 0.25);
        let loss = sparse_softmax_cross_entropy(dense(hidden, "out", 3), y);
        f.result("loss", loss);
    });
    let adam = Call::word("adam").with("lr", 0.01);
    builder.train(Train::minimize("train_step", "loss", adam).with(Call::word("clip_norm").arg(1.0)));
    builder.finish().unwrap()
}

/// Results, and variables afterwards in the order of the module.
type Outcome = (Vec<Tensor>, Vec<Tensor>);

/// What a function makes of parameters and variables.
fn run_graph(module: &Module, function: &Function, params: &[Tensor], state: &State) -> Outcome {
    let mut state = state.clone();
    let results = evaluate(module, function, params, &mut state).unwrap();
    (results, module.variables.values().map(|v| state.variables[&v.name].clone()).collect())
}

/// The same of the function's kernels; variables that are not assigned are left out of account by being equal.
fn run_kernels(module: &Module, function: &KernelFunction, params: &[Tensor], state: &State) -> Outcome {
    let names: Vec<&String> = module.variables.values().map(|v| &v.name).collect();
    let mut memory = Memory::new(function);
    for (id, buffer) in &function.buffers {
        match buffer.kind {
            BufferKind::Param(n) => memory.set(id, &params[n]),
            BufferKind::Variable(n) => memory.set(id, &state.variables[names[n]]),
            BufferKind::RandomState => {
                memory.set(id, &Tensor::from_vec(&[2], vec![state.seed as i64, state.step as i64]));
            }
            _ => {}
        }
    }
    kernel::evaluate(function, &mut memory, kernel::Options { fused_multiply_add: true }).unwrap();
    let mut results = Vec::new();
    let mut variables: Vec<Tensor> = names.iter().map(|name| state.variables[*name].clone()).collect();
    for (id, buffer) in &function.buffers {
        match buffer.kind {
            BufferKind::Result(n) => results.push((n, memory.get(id))),
            BufferKind::Next(n) => variables[n] = memory.get(id),
            _ => {}
        }
    }
    results.sort_by_key(|(n, _)| *n);
    (results.into_iter().map(|(_, tensor)| tensor).collect(), variables)
}

#[test]
fn a_training_step_has_the_same_bits_at_every_level() {
    let module = prepare(&network()).unwrap();
    let zeros =
        module.variables.values().map(|v| (v.name.clone(), Tensor::zeros(v.ty.dtype, &v.ty.shape.bound())));
    let mut state = State { variables: zeros.collect(), seed: 3, step: 5 };
    let init = &module.functions[module.function("init").unwrap()];
    evaluate(&module, init, &[], &mut state).unwrap();
    let step = &module.functions[module.function("train_step").unwrap()];
    for n in [1, 3] {
        let bound = bind(&module, step, n).unwrap();
        let mut s = Sampler::new(n as u64);
        let params = [s.floats(&[n, 5], -1.0, 1.0), s.ints(&[n], 0, 3)];
        let expected = run_graph(&module, &bound, &params, &state);
        let mut kernels = Vec::new();
        for level in [OptLevel::O0, OptLevel::O1, OptLevel::O2, OptLevel::O3] {
            let (options, mut report) = (Options::new(level).verify_each(true), Report::default());
            let optimised = optimise(&module, &bound, &options, &mut report);
            assert_eq!(
                run_graph(&module, &optimised, &params, &state),
                expected,
                "graph at {level:?}, N = {n}"
            );
            let lowered = lower(&module, &optimised, &options, &mut report);
            kernels.push((lowered.kernels.len(), run_kernels(&module, &lowered, &params, &state)));
        }
        for (i, (count, outcome)) in kernels.iter().enumerate() {
            assert_eq!(*outcome, kernels[0].1, "kernels at O{i}, N = {n}");
            assert!(i == 0 || *count <= kernels[i - 1].0, "O{i} has {count} kernels");
        }
        assert!(kernels[3].0 * 4 < kernels[0].0, "{} kernels became {}", kernels[0].0, kernels[3].0);
    }
}

#[test]
fn preparing_adds_entry_points_once() {
    let module = network();
    let prepared = prepare(&module).unwrap();
    let names = |m: &Module| m.functions.values().map(|f| f.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&prepared), ["loss", "train_step", "init"]);
    assert!(prepared.trains.is_empty());
    assert_eq!(names(&prepare(&prepared).unwrap()), names(&prepared));
}
