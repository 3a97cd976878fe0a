//! The networks of the examples, compiled, against the evaluator: predictions, and every variable after a training step. They
//! are narrow and see small images, since the evaluator is slow.

#[path = "../examples/models/mod.rs"]
#[expect(dead_code, reason = "networks are built in other sizes than those of the examples")]
mod models;

use std::collections::HashMap;

use bessemer::artefact::{FOLD_SCALES, with_fixed_weights};
use bessemer::compile::{Model, options, target};
use bessemer::compiler::graph::eval::{State, evaluate};
use bessemer::compiler::tensor::Scalar;
use bessemer::graph::{Function, bind};
use bessemer::prelude::*;
use models::Size;

const SEED: u64 = 3;
const BATCH: usize = 4;

/// Largest of the changes of first values by which the error that rounding may make is measured: a few units in the last place
/// of f32.
const NUDGE: f32 = 1e-6;
/// So many times the change that this makes, results may be off: sums of a few thousand products are rounded as often.
const FACTOR: f64 = 32.0;
/// Besides, they may be off by this part of the largest element: some units in the last place of f32.
const ROUNDING: f64 = 2e-6;
/// And by this part of what the step changes: sums of a gradient cancel, in some directions more than in the one that is tried.
const CANCELLED: f64 = 1e-3;
/// Where relu or the largest of a window jumps, or the sign of a gradient, which a first step of Adam takes, an element may be
/// any: at most one in so many.
const JUMPS: usize = 500;

/// Numbers in -1..1 that look random.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let count = shape.iter().product();
        Tensor::from_vec(shape, (0..count).map(|_| self.next()).collect::<Vec<f32>>())
    }
}

/// Feeds for the parameters of a function for a batch: images, labels below ten, and a learning rate.
fn feeds(function: &Function) -> Vec<(String, Tensor)> {
    let mut numbers = Numbers(7);
    let feed = |&param: &_| {
        let ty = function.ty(param);
        let shape = ty.shape.bound();
        let tensor = match ty.dtype {
            DType::F32 if shape.is_empty() => Tensor::scalar(Scalar::F32(0.05)),
            DType::F32 => numbers.tensor(&shape),
            _ => {
                let labels = (0..shape.iter().product::<usize>()).map(|n| (n * 7 % 10) as i32);
                Tensor::from_vec(&shape, labels.collect::<Vec<i32>>())
            }
        };
        (function.value_name(param).to_string(), tensor)
    };
    function.params.iter().map(feed).collect()
}

/// What a call gives: results and then all variables, by name.
type Values = Vec<(String, Tensor)>;

fn variables(session: &Session) -> HashMap<String, Tensor> {
    let names = session.variables().map(|v| v.name.clone());
    names.map(|name| (name.clone(), session.variable(&name).unwrap())).collect()
}

fn compiled(module: &Module, entry: &str, bound: &Function, threads: u32) -> Values {
    let session = Session::builder(module).threads(threads).build().unwrap_or_else(|e| panic!("{e}"));
    session.init(SEED).unwrap();
    let feeds = feeds(bound);
    let feeds: Vec<(&str, Feed<'_>)> = feeds.iter().map(|(name, t)| (name.as_str(), t.into())).collect();
    let outputs = session.run(entry, &feeds).unwrap_or_else(|e| panic!("{e}"));
    let results = outputs.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    let mut variables: Values = variables(&session).into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    results.chain(variables).collect()
}

fn evaluated(module: &Module, bound: &Function, mut state: State) -> Values {
    let feeds: Vec<Tensor> = feeds(bound).into_iter().map(|(_, tensor)| tensor).collect();
    let results = evaluate(module, bound, &feeds, &mut state).unwrap();
    let results = bound.results.iter().map(|r| r.name.clone()).zip(results);
    let mut variables: Values = state.variables.into_iter().collect();
    variables.sort_by(|a, b| a.0.cmp(&b.0));
    results.chain(variables).collect()
}

/// A tensor whose elements are each off by a part of themselves, up to [`NUDGE`].
fn nudged(tensor: &Tensor, numbers: &mut Numbers) -> Tensor {
    if tensor.dtype() != DType::F32 {
        return tensor.clone();
    }
    let elements = tensor.array::<f32>().iter().map(|x| x * (1.0 + NUDGE * numbers.next()));
    Tensor::from_vec(tensor.shape(), elements.collect::<Vec<f32>>())
}

fn differences(a: &Tensor, b: &Tensor) -> Vec<f64> {
    a.scalars().zip(b.scalars()).map(|(a, b)| (a.as_f64() - b.as_f64()).abs()).collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Compares what `predict` and `train_step` give and leave, at the highest level, with the evaluator.
fn check(name: &str, pixels: usize, narrower: usize) {
    let module = models::build_sized(name, Size { pixels, narrower }).unwrap().unwrap();
    let model = Model::new(&module, options(OptLevel::O3, &[], &[]).unwrap(), target("native").unwrap());
    let model = model.unwrap_or_else(|e| panic!("{e}"));
    let session = Session::builder(&module).threads(1).build().unwrap();
    session.init(SEED).unwrap();
    let first = State { variables: variables(&session), seed: SEED, step: session.step().unwrap() };
    let mut numbers = Numbers(1);
    let near = first.variables.iter().map(|(name, t)| (name.clone(), nudged(t, &mut numbers)));
    let near = State { variables: near.collect(), ..first.clone() };
    for entry in ["predict", "train_step"] {
        let (_, function) = model.entry_point(entry).unwrap();
        let bound = bind::bind(model.module(), function, BATCH).unwrap();
        let found = compiled(&module, entry, &bound, 1);
        let on_two = compiled(&module, entry, &bound, 2);
        let expected = evaluated(model.module(), &bound, first.clone());
        let moved = evaluated(model.module(), &bound, near.clone());
        assert_eq!(found.len(), expected.len());
        let (mut changed, mut sharp) = (0, 0);
        for (((what, found), (_, on_two)), ((_, expected), (_, moved))) in
            found.iter().zip(&on_two).zip(expected.iter().zip(&moved))
        {
            let what = format!("`{what}` of `{entry}` of `{name}`");
            assert!(found.same_bits(on_two), "{what} differs on two threads");
            // Of variables, what the step has changed: their first values are known.
            let zeros = Tensor::zeros(expected.dtype(), expected.shape());
            let key = what.split('`').nth(1).unwrap();
            let (old, old_near) = match (first.variables.get(key), near.variables.get(key)) {
                (Some(old), Some(near)) => (old, near),
                _ => (&zeros, &zeros),
            };
            let step = largest(&differences(expected, old));
            let change = |a: &Tensor, old: &Tensor| -> Vec<f64> {
                a.scalars().zip(old.scalars()).map(|(a, o)| a.as_f64() - o.as_f64()).collect()
            };
            let (here, there) = (change(expected, old), change(moved, old_near));
            let sensitive: Vec<f64> = here.iter().zip(&there).map(|(a, b)| (a - b).abs()).collect();
            let size = expected.scalars().map(|s| s.as_f64().abs()).fold(0.0, f64::max);
            let bound = FACTOR * largest(&sensitive) + ROUNDING * size + CANCELLED * step;
            let off = differences(found, expected);
            let outside = off.iter().filter(|&&off| off > bound || off.is_nan()).count();
            assert!(
                outside <= off.len() / JUMPS,
                "{what}: {outside} of {} elements are off by up to {:e}; {bound:e} is allowed, the step is {step:e}",
                off.len(),
                largest(&off)
            );
            changed += usize::from(step > 0.0);
            sharp += usize::from(step > 0.0 && bound < 0.1 * step);
        }
        // A check that allows as much as there is to be checked would be none.
        println!("`{entry}` of `{name}`: {sharp} of {changed} values are known to a tenth or better");
        assert!(changed > 0 && 4 * sharp >= 3 * changed, "`{entry}` of `{name}`: {sharp} of {changed}");
    }
}

#[test]
fn mnist_cnn_agrees_with_the_evaluator() {
    check("mnist_cnn", models::PIXELS, 16);
}

#[test]
fn gpt_agrees_with_the_evaluator() {
    check("gpt", models::PIXELS, 8);
}

#[test]
fn resnet18_agrees_with_the_evaluator() {
    check("resnet18", 64, 16);
}

#[test]
fn resnet50_agrees_with_the_evaluator() {
    check("resnet50", 64, 16);
}

#[test]
fn mobilenet_v2_agrees_with_the_evaluator() {
    check("mobilenet_v2", 64, 8);
}

#[test]
fn googlenet_agrees_with_the_evaluator() {
    check("googlenet", 96, 16);
}

/// Largest part of the largest probability by which predictions of fixed weights may differ from those of live ones.
const FOLDED: f64 = 1e-5;

/// With weights as constants every batch norm is folded into the convolution before it; predictions differ by rounding, and
/// not at all without the pass.
#[test]
fn fixed_weights_predict_what_live_ones_do() {
    for name in ["googlenet", "mobilenet_v2", "resnet18", "resnet50"] {
        let module = models::build_sized(name, Size { pixels: 96, narrower: 16 }).unwrap().unwrap();
        let session = Session::builder(&module).build().unwrap();
        session.init(SEED).unwrap();
        let mut numbers = Numbers(5);
        let predict = module.function("predict").unwrap();
        let norms = module.functions[predict].reads().iter().filter(|v| v.ends_with("/variance")).count();
        // As if it were trained: batch norms that do something.
        let mut known: Values = variables(&session).into_iter().collect();
        known.sort_by(|a, b| a.0.cmp(&b.0));
        for (variable, value) in known {
            let (_, last) = variable.rsplit_once('/').unwrap();
            let value = match last {
                "mean" | "shift" => numbers.tensor(value.shape()),
                "variance" | "scale" => {
                    let near_one = numbers.tensor(value.shape());
                    let elements: Vec<f32> = near_one.array::<f32>().iter().map(|x| 1.0 + 0.5 * x).collect();
                    Tensor::from_vec(value.shape(), elements)
                }
                _ => continue,
            };
            session.set_variable(&variable, &value).unwrap();
        }
        let fixed = with_fixed_weights(&module, &[], |name| session.variable(name)).unwrap();
        assert_eq!((fixed.variables.len(), fixed.trains.len()), (0, 0));
        // Each has two factors: of the variance, and the scale.
        let products = |enabled: &[String]| {
            let options = options(OptLevel::O3, enabled, &[]).unwrap();
            let model = Model::new(&fixed, options, target("native").unwrap()).unwrap();
            let lowered = model.lower(model.entry_point("predict").unwrap().1, BATCH).unwrap();
            lowered.optimised.nodes.values().filter(|node| node.op.traits().product).count()
        };
        assert!(norms > 10);
        assert_eq!(products(&[]) - products(&[FOLD_SCALES.to_owned()]), 2 * norms, "`{name}`");

        let x = numbers.tensor(&[BATCH, 96, 96, 3]);
        let probabilities = |session: &Session| {
            let outputs = session.run("predict", &[("x", (&x).into())]).unwrap();
            outputs.tensor("probabilities").unwrap().clone()
        };
        let live = probabilities(&session);
        let folded = probabilities(&Session::builder(&fixed).enable_pass(FOLD_SCALES).build().unwrap());
        let plain = probabilities(&Session::builder(&fixed).build().unwrap());
        let size = live.scalars().map(|s| s.as_f64()).fold(0.0, f64::max);
        let off = largest(&differences(&live, &folded)) / size;
        println!("`{name}`: {norms} batch norms; off by {off:e} of the largest probability");
        assert!(off <= FOLDED, "`{name}`: {off:e}");
        assert!(plain.same_bits(&live), "`{name}`");
    }
}
