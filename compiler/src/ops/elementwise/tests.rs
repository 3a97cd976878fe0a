//! Every law of an elementwise op: what it rewrites, that it keeps every bit, and where it must not apply.

#![expect(clippy::eq_op, reason = "laws of an op with one value for both operands")]

use std::cell::RefCell;
use std::rc::Rc;

use super::samples::{SPECIAL, pairs};
use crate::graph::eval::{State, evaluate};
use crate::graph::{Expr, Function, Graph, Module};
use crate::ops::{Op, RewriteCx};
use crate::tensor::{Scalar, Tensor};
use crate::types::DType;

/// A function of two values.
type Build = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;

/// A law's op, its text, the dtype at which it is tried, its left and its right side.
struct Law(&'static str, &'static str, DType, Build, Build);

use DType::{Bool, F32, I32};

const LAWS: &[Law] = &[
    Law("add", "x + -0 = x", F32, |x, _| x + -0.0, |x, _| x),
    Law("add", "x + -0 = x", I32, |x, _| 0.0 + x, |x, _| x),
    Law("sub", "x - 0 = x", F32, |x, _| x - 0.0, |x, _| x),
    Law("sub", "x - x = 0 for integers", I32, |x, _| x - x, |x, _| x.full_like(0.0)),
    Law("mul", "x * 1 = x", F32, |x, _| x * 1.0, |x, _| x),
    Law("mul", "x * 1 = x", F32, |x, _| 1.0 * x, |x, _| x),
    Law("mul", "x * 0 = 0 for integers", I32, |x, _| x * 0.0, |x, _| x.full_like(0.0)),
    Law("div", "x / 1 = x", I32, |x, _| x / 1.0, |x, _| x),
    Law("div", "x / 2^k = x * 2^-k", F32, |x, _| x / 32.0, |x, _| x * 0.03125),
    Law("div", "x / 2^k = x * 2^-k", F32, |x, _| x / -0.25, |x, _| x * -4.0),
    Law("neg", "--x = x", F32, |x, _| -(-x), |x, _| x),
    Law("neg", "--x = x", I32, |x, _| -(-x), |x, _| x),
    Law("not", "not (not x) = x", Bool, |x, _| !!x, |x, _| x),
    Law("not", "not (not x) = x", I32, |x, _| !!x, |x, _| x),
    Law("max", "max x x = x", F32, |x, _| x.max(x), |x, _| x),
    Law("min", "min x x = x", F32, |x, _| x.min(x), |x, _| x),
    Law("and", "x and x = x", I32, |x, _| x & x, |x, _| x),
    Law("and", "x and true = x", Bool, |x, _| x & x.full_like(1.0), |x, _| x),
    Law("and", "x and false = false", Bool, |x, _| x & x.full_like(0.0), |x, _| x.full_like(0.0)),
    Law("or", "x or x = x", I32, |x, _| x | x, |x, _| x),
    Law("or", "x or false = x", Bool, |x, _| x.full_like(0.0) | x, |x, _| x),
    Law("or", "x or true = true", Bool, |x, _| x | x.full_like(1.0), |x, _| x.full_like(1.0)),
    Law("pow", "x^0 = 1", F32, |x, _| x.pow(-0.0), |x, _| x.full_like(1.0)),
    Law("pow", "x^0 = 1", I32, |x, _| x.pow(0.0), |x, _| x.full_like(1.0)),
    Law("pow", "x^1 = x", F32, |x, _| x.pow(1.0), |x, _| x),
    Law("pow", "x^2 = x * x", F32, |x, _| x.pow(2.0), |x, _| x * x),
    Law("pow", "x^2 = x * x", I32, |x, _| x.pow(2.0), |x, _| x * x),
    Law("cast", "cast to the same dtype = x", F32, |x, _| unchanged_cast(x), |x, _| x),
    Law("stop_gradient", "stop_gradient x = x", F32, |x, _| x.stop_gradient(), |x, _| x),
    Law(
        "select",
        "select true a b = a, select false a b = b",
        F32,
        |x, y| x.lt(y).full_like(0.0).select(x, y),
        |_, y| y,
    ),
    Law("select", "select c x x = x", F32, |x, y| x.lt(y).select(x, x), |x, _| x),
    Law(
        "select",
        "select (not c) a b = select c b a",
        F32,
        |x, y| (!x.lt(y)).select(x, y),
        |x, y| x.lt(y).select(y, x),
    ),
];

/// Close to laws, but with other bits.
const NOT_LAWS: &[(DType, Build)] = &[
    (F32, |x, _| x + 0.0),
    (F32, |x, _| x - -0.0),
    (F32, |x, _| 0.0 - x),
    (F32, |x, _| x - x),
    (F32, |x, _| x * 0.0),
    (F32, |x, _| x / 3.0),
    (F32, |x, _| x / 0.0),
    (F32, |x, _| x / f64::INFINITY),
    // 2^127: its reciprocal is subnormal, and so would be flushed.
    (F32, |x, _| x / 170_141_183_460_469_231_731_687_303_715_884_105_728.0),
    (I32, |x, _| 1.0 / x),
    (I32, |x, _| x / 2.0),
    (F32, |x, _| 1.0 - x),
    (F32, |x, y| x.max(y)),
    (F32, |x, _| x.pow(0.5)),
    (F32, |x, _| 1.0 + x),
    (I32, |x, _| x & x.full_like(1.0)),
    (I32, |x, _| x | x.full_like(1.0)),
    (F32, |x, y| x.lt(y).select(x, y)),
];

/// [`Expr::cast`] adds no node here, so the node is added as text could.
fn unchanged_cast(x: Expr<'_>) -> Expr<'_> {
    x.graph().add(crate::ops::Cast { to: x.dtype() }, &[x])
}

/// Runs `test` on two parameters that hold all pairs of special values of `dtype`.
fn with_operands(dtype: DType, test: impl for<'g> FnOnce(&'g Graph, Expr<'g>, Expr<'g>, &[Tensor])) {
    let operands = match dtype {
        F32 => pairs(&SPECIAL),
        I32 => pairs(&[i32::MIN, -7, -1, 0, 1, 2, i32::MAX]),
        _ => pairs(&[false, true]),
    };
    let graph = Graph::over(Rc::new(RefCell::new(Module::default())), Function::default(), Rc::default());
    let [x, y] = ["x", "y"].map(|name| graph.placeholder(name, dtype, operands[0].shape()));
    test(&graph, x, y, &operands);
}

/// What the first law that applies makes of a value, with the law.
fn rewrite(value: Expr<'_>) -> Option<(&'static str, Expr<'_>)> {
    let (op, operands) = value.def()?;
    let read_once = vec![true; operands.len()];
    let cx = RewriteCx { graph: value.graph(), operands, results: vec![value.ty()], read_once };
    let (law, values) = ["canonicalize", "algebra"].iter().find_map(|pass| op.rewrite(pass, &cx))?;
    Some((law, values[0]))
}

/// The expression as a tree of ops.
fn tree(value: Expr<'_>) -> String {
    match value.def() {
        None => format!("{:?}", value.id()),
        Some((op, operands)) => {
            let operands: Vec<String> = operands.into_iter().map(tree).collect();
            format!("{} {:?}({})", op.name(), op.attributes(), operands.join(", "))
        }
    }
}

#[test]
fn laws_rewrite_and_keep_every_bit() {
    for Law(name, text, dtype, left, right) in LAWS {
        with_operands(*dtype, |graph, x, y, operands| {
            let (left, right) = (left(x, y), right(x, y));
            assert_eq!(left.def().unwrap().0.name(), *name, "{text}");
            let (law, rewritten) =
                rewrite(left).unwrap_or_else(|| panic!("{text} does not apply to {dtype}"));
            assert_eq!(law, *text);
            assert_eq!(tree(rewritten), tree(right), "{text}");
            for (name, value) in [("left", left), ("right", right)] {
                graph.result(name, value);
            }
            let results =
                evaluate(&graph.module(), &graph.borrow(), operands, &mut State::default()).unwrap();
            for (i, (l, r)) in results[0].scalars().zip(results[1].scalars()).enumerate() {
                let both_nan = |l: Scalar, r: Scalar| l.as_f64().is_nan() && r.as_f64().is_nan();
                assert!(l == r || both_nan(l, r), "{text} at {}: {l} is not {r}", operands[0].at(i));
            }
        });
    }
}

#[test]
fn every_law_is_tried() {
    let elementwise = |name: &str| {
        let mut sampler = crate::ops::sample::Sampler::new(0);
        Op::samples(name, &mut sampler)[0].op.traits().elementwise
    };
    // The laws that round are tried with their pass.
    let exact = Op::laws().into_iter().filter(|(name, pass, _)| elementwise(name) && *pass != "fold-scales");
    for (name, _, text) in exact {
        assert!(LAWS.iter().any(|law| (law.0, law.1) == (name, text)), "`{name}`: {text}");
    }
}

#[test]
fn laws_do_not_apply_where_bits_would_change() {
    for (i, (dtype, build)) in NOT_LAWS.iter().enumerate() {
        with_operands(*dtype, |_, x, y, _| {
            let value = build(x, y);
            assert!(
                rewrite(value).is_none(),
                "case {i}: {} was rewritten by {:?}",
                tree(value),
                rewrite(value).map(|r| r.0)
            );
        });
    }
}
