//! Every pass keeps what a function computes: all ops at all their samples, and random expressions of a few values.

use std::rc::Rc;

use super::*;
use crate::graph::Expr;
use crate::graph::Graph;
use crate::graph::eval::{State, evaluate};
use crate::graph::verify::verify_function;
use crate::ops::Op;
use crate::ops::sample::{Case, Sampler};
use crate::pipeline::{OptLevel, Options, Report, optimise};
use crate::tensor::{Scalar, Tensor};
use crate::types::DType;

type Shared = Rc<RefCell<Module>>;

fn build(build: impl FnOnce(&Graph)) -> (Shared, Function) {
    let (module, errors) = (Shared::default(), Rc::new(RefCell::new(Vec::new())));
    let function = Function { name: "f".into(), ..Function::default() };
    let graph = Graph::over(module.clone(), function, errors.clone());
    build(&graph);
    assert_eq!(errors.borrow().len(), 0, "{:?}", errors.borrow());
    (module, graph.into_function())
}

/// Whether the bits agree, where any NaN stands for any other.
fn same(a: &Tensor, b: &Tensor) -> bool {
    let nan = |s: Scalar| s.dtype().is_float() && s.as_f64().is_nan();
    a.ty() == b.ty() && a.scalars().zip(b.scalars()).all(|(x, y)| x == y || (nan(x) && nan(y)))
}

/// What regroups sums, and so changes bits.
const ROUNDS: &str = "fold-scales";

/// Runs every pass that keeps bits alone, and all together, and compares what the functions compute.
fn check(module: &Shared, function: &Function, params: &[Tensor], laws: &mut Laws) {
    let compute = |f: &Function| {
        let variables =
            |v: &crate::graph::Variable| (v.name.clone(), Tensor::zeros(v.ty.dtype, &v.ty.shape.bound()));
        let variables = module.borrow().variables.values().map(variables).collect();
        let mut state = State { variables, seed: 7, step: 3 };
        evaluate(&module.borrow(), f, params, &mut state)
    };
    verify_function(&module.borrow(), function).unwrap();
    let expected = compute(function);
    let compare = |name: &str, f: &Function| {
        verify_function(&module.borrow(), f).unwrap_or_else(|e| panic!("{name}: {e}\n{function}\n{f}"));
        let found = compute(f);
        let agree = match (&expected, &found) {
            (Ok(a), Ok(b)) => a.iter().zip(b).all(|(a, b)| same(a, b)),
            (a, b) => a.is_err() && b.is_err(),
        };
        assert!(agree, "{name} changed\n{function}\nto\n{f}\n{expected:?}\n{found:?}\nof {params:?}");
    };
    for pass in PASSES.into_iter().filter(|pass| *pass != ROUNDS) {
        compare(pass, &run(module, function, pass, laws));
    }
    for level in [OptLevel::O0, OptLevel::O1, OptLevel::O2, OptLevel::O3] {
        let mut report = Report::default();
        let optimised = optimise(&module.borrow(), function, &Options::new(level), &mut report);
        compare(&format!("{level:?}"), &optimised);
        for (law, count) in report.laws.counts {
            *laws.counts.entry(law).or_default() += count;
        }
    }
}

fn cases() -> impl Iterator<Item = Case> {
    Op::NAMES.iter().enumerate().flat_map(|(seed, name)| Op::samples(name, &mut Sampler::new(seed as u64)))
}

/// Samples of ops that read variables name some that no module here has.
fn is_alone(case: &Case) -> bool {
    case.op.symbols().is_empty()
}

#[test]
fn samples_of_ops_with_parameters_compute_the_same() {
    for case in cases().filter(is_alone) {
        let (module, function) = build(|g| {
            let operand = |(i, t): (usize, &Tensor)| g.placeholder(&format!("x{i}"), t.dtype(), t.shape());
            let operands: Vec<Expr<'_>> = case.operands.iter().enumerate().map(operand).collect();
            for (i, result) in g.add_many(case.op.clone(), &operands).into_iter().enumerate() {
                g.result(&format!("y{i}"), result);
            }
        });
        check(&module, &function, &case.operands, &mut Laws::default());
    }
}

#[test]
fn samples_of_ops_with_constants_compute_the_same() {
    let mut laws = Laws::default();
    for case in cases().filter(is_alone) {
        let (module, function) = build(|g| {
            let operands: Vec<Expr<'_>> = case.operands.iter().map(|t| g.constant(t.clone())).collect();
            for (i, result) in g.add_many(case.op.clone(), &operands).into_iter().enumerate() {
                g.result(&format!("y{i}"), result);
            }
        });
        check(&module, &function, &[], &mut laws);
    }
    for law in [("fold-constants", fold_constants::CONSTANTS), ("fold-constants", fold_constants::SPLATS)] {
        assert!(laws.counts.contains_key(&law), "{law:?} was never applied");
    }
}

/// Numbers that are the units and zeros of some law, and that are none of any.
const NUMBERS: [f64; 10] = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 1e-40, f64::INFINITY, f64::NAN];

/// A node over random earlier values: an elementwise op of one of the samples, or a move of elements.
fn grow<'g>(g: &'g Graph, s: &mut Sampler, values: &[Expr<'g>], ops: &[Op]) -> Vec<Expr<'g>> {
    let pick = |s: &mut Sampler| values[s.int(0, values.len() as i64) as usize];
    match s.int(0, 8) {
        0 => {
            let number = |s: &mut Sampler| NUMBERS[s.int(0, NUMBERS.len() as i64) as usize] as f32;
            let constant = Tensor::from_vec(&[2, 2], (0..4).map(|_| number(s)).collect());
            vec![pick(s).full_like(f64::from(number(s))), g.constant(constant)]
        }
        1 => {
            let x = pick(s);
            let reversed: Vec<usize> = (0..x.rank()).rev().collect();
            vec![x.transpose(&reversed)]
        }
        _ => {
            let op = &ops[s.int(0, ops.len() as i64) as usize];
            // Most ops take one to three operands; what an op refuses is drawn again.
            for count in 1..=3 {
                let operands: Vec<Expr<'g>> = (0..count).map(|_| pick(s)).collect();
                let types: Vec<_> = operands.iter().map(|e| e.ty()).collect();
                if op.infer(&crate::ops::InferCx { module: &g.module() }, &types).is_ok() {
                    return g.add_many(op.clone(), &operands);
                }
            }
            vec![]
        }
    }
}

#[test]
fn random_functions_compute_the_same() {
    let mut ops: Vec<Op> = Vec::new();
    for case in cases().filter(|c| is_alone(c) && c.op.traits().elementwise) {
        if !ops.contains(&case.op) {
            ops.push(case.op);
        }
    }
    let mut laws = Laws::default();
    for seed in 0..400 {
        let mut s = Sampler::new(seed);
        let dtypes = [DType::F32, DType::I32, DType::Bool];
        let params = [s.floats(&[2, 2], -2.0, 2.0), s.ints(&[2, 2], -9, 9), s.bools(&[2, 2])];
        let (module, function) = build(|g| {
            let param = |(i, d): (usize, &DType)| g.placeholder(&format!("x{i}"), *d, [2, 2]);
            let mut values: Vec<Expr<'_>> = dtypes.iter().enumerate().map(param).collect();
            for _ in 0..24 {
                values.extend(grow(g, &mut s, &values, &ops));
            }
            for (i, &value) in values.iter().rev().take(4).enumerate() {
                g.result(&format!("y{i}"), value);
            }
        });
        check(&module, &function, &params, &mut laws);
    }
    for (pass, law) in LAWS.into_iter().filter(|(pass, _)| *pass != ROUNDS) {
        assert!(laws.counts.contains_key(&(pass, law)), "`{pass}` never applied `{law}`");
    }
}

#[test]
fn values_keep_their_names_and_places() {
    let (module, function) = build(|g| {
        let x = g.placeholder("x", DType::F32, [2]);
        let (a, b) = (x.exp().named("a"), x.exp().named("b"));
        g.result("y", (a + b).named("sum"));
    });
    let mut laws = Laws::default();
    let merged = run(&module, &function, "eliminate-common", &mut laws);
    let text = merged.to_string();
    assert!(text.contains("%sum = add %a, %a") && !text.contains("%b"), "{text}");
    for (old, new) in function
        .nodes
        .values()
        .filter(|n| function.value_name(n.results[0]) != "b")
        .zip(merged.nodes.values())
    {
        assert_eq!(old.place, new.place);
    }
    assert_eq!(laws.total(), 1);
}

/// A contraction, then sums and products with known values, and what reads its result twice now and then. What is left
/// differs by rounding, and has fewer nodes.
#[test]
fn folded_scales_differ_by_rounding() {
    let mut laws = Laws::default();
    for seed in 0..60 {
        let mut s = Sampler::new(seed);
        let channels = [1, 3, 17][seed as usize % 3];
        let x = s.floats(&[2, 5, 4], -1.0, 1.0);
        let weights = match seed % 4 {
            0 => s.floats(&[2, 4, channels], -1.0, 1.0),
            1 => s.floats(&[2, channels, 4], -1.0, 1.0),
            2 => s.floats(&[4, channels], -1.0, 1.0),
            _ => s.floats(&[channels, 4], -1.0, 1.0),
        };
        let (module, function) = build(|g| {
            let (x, w) = (g.placeholder("x", DType::F32, [2, 5, 4]), g.constant(weights.clone()));
            let mut y = match seed % 4 {
                0 => g.add(crate::ops::Conv { strides: vec![1], dilation: vec![1], groups: 1 }, &[x, w]),
                1 => {
                    let (low, extents) = (vec![0], vec![6]);
                    let (strides, dilation) = (vec![1], vec![1]);
                    g.add(crate::ops::ConvTranspose { strides, dilation, low, extents, groups: 1 }, &[x, w])
                }
                2 => x.matmul(w),
                _ => x.matmul_transposed(w, false, true),
            };
            for n in 0..s.int(1, 7) {
                let shape: &[usize] = if s.int(0, 4) == 0 { &[1] } else { &[channels] };
                let known = g.constant(s.floats(shape, 0.5, 2.0));
                let known = if s.int(0, 2) == 0 { (known + 0.5).rsqrt() } else { known };
                y = match s.int(0, 6) {
                    0 => y + known,
                    1 => y - known,
                    2 => known * y,
                    3 => y.max(known),
                    4 => {
                        g.result(&format!("early{n}"), y);
                        y
                    }
                    _ => y * known,
                };
            }
            g.result("y", y);
        });
        let compute = |f: &Function| {
            let (module, params) = (module.borrow(), std::slice::from_ref(&x));
            evaluate(&module, f, params, &mut State::default()).unwrap()
        };
        let options = Options::new(OptLevel::O2).enable(ROUNDS).unwrap();
        let mut report = Report::default();
        let folded = optimise(&module.borrow(), &function, &options, &mut report);
        let plain =
            optimise(&module.borrow(), &function, &Options::new(OptLevel::O2), &mut Report::default());
        assert!(folded.nodes.len() <= plain.nodes.len(), "{plain}\n{folded}");
        for (a, b) in compute(&function).iter().zip(&compute(&folded)) {
            for (a, b) in a.scalars().zip(b.scalars()) {
                let (a, b) = (a.as_f64(), b.as_f64());
                // Eight products and few scales, each at most 2, of values below 16 in size.
                assert!((a - b).abs() <= 1e-5 * (16.0 + a.abs()), "{a} {b}\n{function}\n{folded}");
            }
        }
        for (law, count) in report.laws.counts {
            *laws.counts.entry(law).or_default() += count;
        }
    }
    let own = Op::laws().into_iter().map(|(_, pass, law)| (pass, law)).chain(LAWS);
    for law in own.filter(|(pass, _)| *pass == ROUNDS) {
        assert!(laws.counts.contains_key(&law), "{law:?} was never applied");
    }
}
