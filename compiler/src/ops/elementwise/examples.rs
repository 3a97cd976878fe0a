//! What elementwise ops give at operands where a constraint or a gradient says something special.

use std::cell::RefCell;
use std::rc::Rc;

use crate::differentiate::differentiate;
use crate::graph::eval::{State, evaluate};
use crate::graph::{Expr, Function, Graph, Module};
use crate::tensor::{Scalar, Tensor};
use crate::types::DType;

/// A function of two values.
type Build = for<'g> fn(Expr<'g>, Expr<'g>) -> Expr<'g>;

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

/// Evaluates what `build` makes of two scalars, with its derivatives by the first, by the second, by the
/// first twice, and by the second and then the first.
fn evaluate_at(build: Build, x: Scalar, y: Scalar) -> [Option<Scalar>; 5] {
    let graph = Graph::over(Rc::new(RefCell::new(Module::default())), Function::default(), Rc::default());
    let operands = [("x", x), ("y", y)].map(|(name, v)| graph.placeholder(name, v.dtype(), [0; 0]));
    let value = build(operands[0], operands[1]);
    let derive = |value: Option<Expr<'_>>, by: Expr<'_>| {
        let value = value.filter(|v| v.dtype().is_float())?;
        let gradients = differentiate(&graph, &[(value, value.full_like(1.0))], &[by]).unwrap();
        gradients[0].map(|e| graph.expr(e.id()))
    };
    let first = operands.map(|by| derive(Some(value), by));
    let second = first.map(|first| derive(first, operands[0]));
    let values = [Some(value), first[0], first[1], second[0], second[1]];
    let wanted: Vec<Expr<'_>> = values.iter().flatten().copied().collect();
    for (n, &value) in wanted.iter().enumerate() {
        graph.result(&format!("r{n}"), value);
    }
    let params = [x, y].map(Tensor::scalar);
    let results = evaluate(&graph.module(), &graph.borrow(), &params, &mut State::default()).unwrap();
    let mut results = results.into_iter().map(|t| t.at(0));
    values.map(|v| v.and_then(|_| results.next()))
}

fn same(found: Scalar, expected: f64) -> bool {
    let expected = Scalar::F64(expected).convert(found.dtype());
    found == expected || (found.as_f64().is_nan() && expected.as_f64().is_nan())
}

/// Checks values of operators on f32 operands, each converted back from f64: zeros are told apart by their signs.
fn check_floats(build: Build, cases: &[([f64; 2], f64)]) {
    for &([x, y], expected) in cases {
        let [x, y] = [x, y].map(|v| Scalar::F64(v).convert(DType::F32));
        let found = evaluate_at(build, x, y)[0].unwrap();
        assert!(same(found, expected), "at {x}, {y}: expected {expected:?}, found {found}");
    }
}

#[test]
fn max_and_min_let_nan_win_and_order_zeros() {
    check_floats(
        |x, y| x.max(y),
        &[([0.0, -0.0], 0.0), ([-0.0, 0.0], 0.0), ([-0.0, -0.0], -0.0), ([1.0, 2.0], 2.0), ([NAN, INF], NAN)],
    );
    check_floats(
        |x, y| x.min(y),
        &[([0.0, -0.0], -0.0), ([-0.0, 0.0], -0.0), ([0.0, 0.0], 0.0), ([1.0, 2.0], 1.0), ([-INF, NAN], NAN)],
    );
}

#[test]
fn rounding_takes_halves_to_even_and_keeps_the_sign_of_zero() {
    check_floats(
        |x, _| x.round(),
        &[([0.5, 0.0], 0.0), ([1.5, 0.0], 2.0), ([2.5, 0.0], 2.0), ([-0.5, 0.0], -0.0)],
    );
    check_floats(|x, _| x.floor(), &[([-0.5, 0.0], -1.0), ([0.5, 0.0], 0.0), ([-0.0, 0.0], -0.0)]);
    check_floats(|x, _| x.ceil(), &[([-0.5, 0.0], -0.0), ([0.5, 0.0], 1.0), ([INF, 0.0], INF)]);
}

#[test]
fn functions_at_the_ends_of_their_domains() {
    check_floats(
        |x, _| x.sign(),
        &[([-0.0, 0.0], -0.0), ([-3.0, 0.0], -1.0), ([INF, 0.0], 1.0), ([NAN, 0.0], NAN)],
    );
    check_floats(
        |x, _| x.log(),
        &[([-0.0, 0.0], -INF), ([-1.0, 0.0], NAN), ([INF, 0.0], INF), ([1.0, 0.0], 0.0)],
    );
    check_floats(|x, _| x.log1p(), &[([-1.0, 0.0], -INF), ([-2.0, 0.0], NAN), ([1e-30, 0.0], 1e-30)]);
    check_floats(|x, _| x.sqrt(), &[([-0.0, 0.0], -0.0), ([-1.0, 0.0], NAN)]);
    check_floats(
        |x, _| x.rsqrt(),
        &[([-0.0, 0.0], -INF), ([0.0, 0.0], INF), ([INF, 0.0], 0.0), ([-1.0, 0.0], NAN)],
    );
    check_floats(|x, _| x.exp(), &[([-INF, 0.0], 0.0), ([1000.0, 0.0], INF), ([NAN, 0.0], NAN)]);
    check_floats(|x, _| x.expm1(), &[([-INF, 0.0], -1.0), ([1e-30, 0.0], 1e-30)]);
    check_floats(
        |x, _| x.erf_inv(),
        &[([1.0, 0.0], INF), ([-1.0, 0.0], -INF), ([1.5, 0.0], NAN), ([-0.0, 0.0], -0.0)],
    );
    check_floats(|x, _| x.sigmoid(), &[([-INF, 0.0], 0.0), ([INF, 0.0], 1.0), ([0.0, 0.0], 0.5)]);
    check_floats(
        |x, y| x.pow(y),
        &[([NAN, 0.0], 1.0), ([1.0, NAN], 1.0), ([-2.0, 0.5], NAN), ([-0.0, -1.0], -INF)],
    );
}

#[test]
fn comparisons_with_nan_hold_only_for_ne() {
    let all: [Build; 6] =
        [|x, y| x.eq(y), |x, y| x.ne(y), |x, y| x.lt(y), |x, y| x.le(y), |x, y| x.gt(y), |x, y| x.ge(y)];
    let expected = [
        ([NAN, NAN], [false, true, false, false, false, false]),
        ([0.0, -0.0], [true, false, false, true, false, true]),
        ([1.0, 2.0], [false, true, true, true, false, false]),
    ];
    for (operands, holds) in expected {
        for (build, holds) in all.iter().zip(holds) {
            check_floats(*build, &[(operands, f64::from(u8::from(holds)))]);
        }
    }
}

#[test]
fn integers_wrap_and_divide_by_zero() {
    let check = |build: Build, x: Scalar, y: Scalar, expected: Scalar| {
        let found = evaluate_at(build, x, y)[0].unwrap();
        assert_eq!(found, expected, "at {x}, {y}");
    };
    let (i, l, u) = (Scalar::I32, Scalar::I64, Scalar::U8);
    check(|x, y| x / y, i(7), i(0), i(0));
    check(|x, y| x / y, i(-7), i(2), i(-3));
    check(|x, y| x / y, i(i32::MIN), i(-1), i(i32::MIN));
    check(|x, y| x / y, l(i64::MIN), l(-1), l(i64::MIN));
    check(|x, y| x * y, l(i64::MAX), l(2), l(-2));
    check(|x, y| x - y, u(1), u(2), u(255));
    check(|x, _| -x, u(1), u(0), u(255));
    check(|x, _| x.abs(), i(i32::MIN), i(0), i(i32::MIN));
    check(|x, _| x.abs(), u(200), u(0), u(200));
    check(|x, y| x.pow(y), i(3), i(21), i(3i32.wrapping_pow(21)));
    check(|x, y| x.pow(y), u(255), u(2), u(1));
    check(|x, _| !x, u(1), u(0), u(254));
    check(|x, y| x & y, i(6), i(-4), i(4));
    check(|x, y| x | y, i(6), i(8), i(14));
    check(|x, _| x.cast(DType::U8), i(-1), i(0), u(255));
}

#[test]
fn casts_from_floats_saturate_and_take_nan_to_zero() {
    check_floats(
        |x, _| x.cast(DType::I32),
        &[([NAN, 0.0], 0.0), ([-1.9, 0.0], -1.0), ([1e30, 0.0], 2_147_483_647.0)],
    );
    check_floats(|x, _| x.cast(DType::U8), &[([-5.0, 0.0], 0.0), ([300.0, 0.0], 255.0)]);
    check_floats(|x, _| x.cast(DType::Bool), &[([NAN, 0.0], 1.0), ([-0.0, 0.0], 0.0)]);
}

/// Derivatives in the order of [`evaluate_at`], where `None` is zero.
#[test]
fn gradients_at_kinks_and_poles() {
    type Row = (&'static str, Build, [f64; 2], [Option<f64>; 4]);
    let rows: &[Row] = &[
        ("relu at 0", |x, _| x.max(0.0), [0.0, 0.0], [Some(0.0), None, None, None]),
        ("relu above", |x, _| x.max(0.0), [2.0, 0.0], [Some(1.0), None, None, None]),
        ("max at a tie", |x, y| x.max(y), [1.0, 1.0], [Some(0.0), Some(1.0), None, None]),
        ("min at a tie", |x, y| x.min(y), [1.0, 1.0], [Some(0.0), Some(1.0), None, None]),
        ("min", |x, y| x.min(y), [0.5, 1.0], [Some(1.0), Some(0.0), None, None]),
        ("abs at 0", |x, _| x.abs(), [0.0, 0.0], [Some(0.0), None, None, None]),
        ("abs below", |x, _| x.abs(), [-2.0, 0.0], [Some(-1.0), None, None, None]),
        ("sqrt at 0", |x, _| x.sqrt(), [0.0, 0.0], [Some(INF), None, Some(-INF), None]),
        ("floor", |x, _| x.floor(), [0.5, 0.0], [None, None, None, None]),
        ("stop_gradient", |x, _| x * x.stop_gradient(), [3.0, 0.0], [Some(3.0), None, None, None]),
        ("x^2 at 0", |x, _| x.pow(2.0), [0.0, 0.0], [Some(0.0), None, Some(2.0), None]),
        ("x^3 below 0", |x, _| x.pow(3.0), [-2.0, 0.0], [Some(12.0), None, Some(-12.0), None]),
        ("x^1 at 0", |x, _| x.pow(1.0), [0.0, 0.0], [Some(1.0), None, Some(0.0), None]),
        ("x^y below 0", |x, y| x.pow(y), [-2.0, 3.0], [Some(12.0), Some(0.0), Some(-12.0), Some(0.0)]),
        ("x^y at 0, 0", |x, y| x.pow(y), [0.0, 0.0], [Some(0.0), Some(0.0), Some(0.0), Some(0.0)]),
        ("x^y at 0, 2", |x, y| x.pow(y), [0.0, 2.0], [Some(0.0), Some(0.0), Some(2.0), Some(0.0)]),
        ("x^y at 0, -1", |x, y| x.pow(y), [0.0, -1.0], [Some(-INF), Some(0.0), Some(INF), Some(0.0)]),
        // What is not chosen leaves no NaN behind.
        (
            "guarded log",
            |x, _| x.gt(0.0).select(x.gt(0.0).select(x, 1.0).log(), 0.0),
            [-1.0, 0.0],
            [Some(0.0), None, Some(0.0), None],
        ),
    ];
    for (name, build, [x, y], expected) in rows {
        let [_, found @ ..] = evaluate_at(*build, Scalar::F64(*x), Scalar::F64(*y));
        for (n, (found, expected)) in found.into_iter().zip(expected).enumerate() {
            let agrees = match (found, expected) {
                (Some(found), Some(expected)) => found.as_f64() == *expected,
                (None, None) => true,
                _ => false,
            };
            assert!(agrees, "{name}, derivative {n}: expected {expected:?}, found {found:?}");
        }
    }
}
