//! The networks of the examples, compiled, against the evaluator: predictions, and every variable after a training step. They
//! are narrow and see small images, since the evaluator is slow.

#[path = "../examples/models/mod.rs"]
#[expect(dead_code, reason = "networks are built in other sizes than those of the examples")]
mod models;

use bessemer::artefact::{FOLD_SCALES, with_fixed_weights};
use bessemer::compile::{Model, options, target};
use bessemer::compiler::graph::eval::{State, evaluate};
use bessemer::compiler::tensor::Scalar;
use bessemer::graph::{Function, bind};
use bessemer::prelude::*;
use models::Size;

const SEED: u64 = 5;
const BATCH: usize = 4;

/// Largest part of themselves by which first values are changed to see what rounding may do: a few units in the last place of
/// f32. Results are rounded about as often as they depend on values, but sums of many products more often.
const NUDGE: f32 = 1e-6;
/// In how many directions: what happens to move little in one moves in another.
const NUDGES: usize = 2;
/// So many times what that changes, results may be off. It is the root of squares over a tensor that counts: a few elements may
/// be any, where relu or the largest of a window jumps, or the sign of a gradient, which a first step of Adam takes. Gradients that
/// all but cancel, as of a scale whose effect is normalised away, are off by 7 to 9 times, by the order of additions, and by up to
/// 14 where products are rounded before they are added, without FMA.
const FACTOR: f64 = 16.0;
/// Besides, they may be off by this part of a tensor: some units in the last place of f32.
const ROUNDING: f64 = 1e-6;
/// What has changed by less than this is nothing but rounding, such as the mean over channels that were centred just before.
const CANCELLED: f64 = 1e-6;
/// What is allowed is to be less than this part of what is checked, for three of four tensors: a check that allows as much as
/// there is would be none.
const SHARP: f64 = 0.25;

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

/// All variables, in the order of their names.
fn variables(session: &Session) -> Values {
    let names = session.variables().map(|v| v.name.clone());
    sorted(names.map(|name| (name.clone(), session.variable(&name).unwrap())))
}

fn sorted(values: impl Iterator<Item = (String, Tensor)>) -> Values {
    let mut values: Values = values.collect();
    values.sort_by(|a, b| a.0.cmp(&b.0));
    values
}

fn compiled(module: &Module, entry: &str, bound: &Function, threads: u32) -> Values {
    let session = Session::builder(module).threads(threads).build().unwrap_or_else(|e| panic!("{e}"));
    session.init(SEED).unwrap();
    let feeds = feeds(bound);
    let feeds: Vec<(&str, Feed<'_>)> = feeds.iter().map(|(name, t)| (name.as_str(), t.into())).collect();
    let outputs = session.run(entry, &feeds).unwrap_or_else(|e| panic!("{e}"));
    let results = outputs.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone()));
    results.chain(variables(&session)).collect()
}

fn evaluated(module: &Module, bound: &Function, mut state: State) -> Values {
    let feeds: Vec<Tensor> = feeds(bound).into_iter().map(|(_, tensor)| tensor).collect();
    let results = evaluate(module, bound, &feeds, &mut state).unwrap();
    let results = bound.results.iter().map(|r| r.name.clone()).zip(results);
    results.chain(sorted(state.variables.into_iter())).collect()
}

/// A tensor whose elements are each off by a part of themselves, up to [`NUDGE`].
fn nudged(tensor: &Tensor, numbers: &mut Numbers) -> Tensor {
    if tensor.dtype() != DType::F32 {
        return tensor.clone();
    }
    let elements = tensor.array::<f32>().iter().map(|x| x * (1.0 + NUDGE * numbers.next()));
    Tensor::from_vec(tensor.shape(), elements.collect::<Vec<f32>>())
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.scalars().map(|s| s.as_f64()).collect()
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// Root of the sum of squares.
fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// What is to be checked of a tensor: how far it is off, and by what that is measured.
struct Checked {
    name: String,
    /// Distance between what compiled code and the evaluator give.
    off: f64,
    /// What a result is, or by how much a variable has changed.
    change: f64,
    /// How much of that is another where first values are nudged.
    moved: f64,
    /// What a variable or result is.
    size: f64,
}

/// Compares what `predict` and `train_step` give and leave, at the highest level, with the evaluator.
fn check(name: &str, pixels: usize, narrower: usize) {
    let module = models::build_sized(name, Size { pixels, narrower }).unwrap().unwrap();
    let model = Model::new(&module, options(OptLevel::O3, &[], &[]).unwrap(), target("native").unwrap());
    let model = model.unwrap_or_else(|e| panic!("{e}"));
    let session = Session::builder(&module).threads(1).build().unwrap();
    session.init(SEED).unwrap();
    let first = State {
        variables: variables(&session).into_iter().collect(),
        seed: SEED,
        step: session.step().unwrap(),
    };
    let mut random = Numbers(1);
    let near = [(); NUDGES].map(|()| {
        let near = variables(&session).into_iter().map(|(name, t)| (name, nudged(&t, &mut random)));
        State { variables: near.collect(), ..first.clone() }
    });
    for entry in ["predict", "train_step"] {
        let (_, function) = model.entry_point(entry).unwrap();
        let bound = bind::bind(model.module(), function, BATCH).unwrap();
        let found = compiled(&module, entry, &bound, 1);
        let on_two = compiled(&module, entry, &bound, 2);
        let expected = evaluated(model.module(), &bound, first.clone());
        let moved = near.clone().map(|near| evaluated(model.module(), &bound, near));
        let names = |values: &Values| values.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected));
        let mut checked = Vec::new();
        for (n, (name, value)) in expected.iter().enumerate() {
            assert!(found[n].1.same_bits(&on_two[n].1), "`{name}` of `{entry}` differs on two threads");
            let [found, expected] = [&found[n].1, value].map(numbers);
            let start = |state: &State| state.variables.get(name).map_or(vec![0.0; expected.len()], numbers);
            let change = minus(&expected, &start(&first));
            let moved = moved
                .iter()
                .zip(&near)
                .map(|(moved, near)| norm(&minus(&minus(&numbers(&moved[n].1), &start(near)), &change)));
            let (off, size) = (norm(&minus(&found, &expected)), norm(&expected));
            checked.push(Checked {
                name: name.clone(),
                off,
                change: norm(&change),
                moved: moved.fold(0.0, f64::max),
                size,
            });
        }
        judge(&format!("`{entry}` of `{name}`"), &checked);
    }
}

fn judge(what: &str, checked: &[Checked]) {
    let mut parts: Vec<f64> =
        checked.iter().filter(|c| c.change >= CANCELLED).map(|c| c.moved / c.change).collect();
    parts.sort_by(f64::total_cmp);
    // A small tensor may happen to move little in the one direction that is tried.
    let usual = parts.get(parts.len() / 2).copied().unwrap_or(0.0);
    let cancelled = |c: &Checked| if c.change < CANCELLED { CANCELLED } else { 0.0 };
    let allowed = |c: &Checked| FACTOR * c.moved.max(usual * c.change) + ROUNDING * c.size + cancelled(c);
    let worst = checked.iter().map(|c| c.off / allowed(c).max(f64::MIN_POSITIVE)).fold(0.0, f64::max);
    let sharp = checked.iter().filter(|c| c.change >= CANCELLED && allowed(c) < SHARP * c.change).count();
    println!(
        "{what}: {sharp} of {} sharp, moved by {usual:e}, off by {worst:.3} of what is allowed",
        parts.len()
    );
    for c in checked {
        let (off, allowed) = (c.off, allowed(c));
        assert!(
            off <= allowed,
            "{what}: `{}` is off by {off:e} of {:e}; {allowed:e} is allowed",
            c.name,
            c.change
        );
    }
    assert!(!parts.is_empty() && 4 * sharp >= 3 * parts.len(), "{what}: {sharp} of {}", parts.len());
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
        let mut random = Numbers(5);
        let predict = module.function("predict").unwrap();
        let norms = module.functions[predict].reads().iter().filter(|v| v.ends_with("/variance")).count();
        // As if it were trained: batch norms that do something.
        for (variable, value) in variables(&session) {
            let (_, last) = variable.rsplit_once('/').unwrap();
            let value = match last {
                "mean" | "shift" => random.tensor(value.shape()),
                "variance" | "scale" => {
                    let near_one = random.tensor(value.shape());
                    let elements: Vec<f32> = near_one.array::<f32>().iter().map(|x| 1.0 + 0.5 * x).collect();
                    Tensor::from_vec(value.shape(), elements)
                }
                _ => continue,
            };
            session.set_variable(&variable, &value).unwrap();
        }
        let x = random.tensor(&[BATCH, 96, 96, 3]);
        let probabilities = |session: &Session| {
            let outputs = session.run("predict", &[("x", (&x).into())]).unwrap();
            outputs.tensor("probabilities").unwrap().clone()
        };
        // A network that is certain would hide what is off.
        let mut live = probabilities(&session);
        while live.scalars().any(|s| s.as_f64() > 0.1) {
            let halved = session.variable("logits/kernel").unwrap().array::<f32>().mapv(|w| w / 2.0);
            session.set_variable("logits/kernel", &Tensor::from(halved)).unwrap();
            live = probabilities(&session);
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

        let folded = probabilities(&Session::builder(&fixed).enable_pass(FOLD_SCALES).build().unwrap());
        let plain = probabilities(&Session::builder(&fixed).build().unwrap());
        let largest = |values: &[f64]| values.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        let off = largest(&minus(&numbers(&live), &numbers(&folded))) / largest(&numbers(&live));
        println!("`{name}`: {norms} batch norms; off by {off:e} of the largest probability");
        assert!(off <= FOLDED, "`{name}`: {off:e}");
        assert!(plain.same_bits(&live), "`{name}`");
    }
}
