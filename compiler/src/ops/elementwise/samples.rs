//! Operands at which elementwise ops are tried.

use crate::ops::Op;
use crate::ops::sample::{Case, SHAPES, Sampler};
use crate::tensor::{Element, Tensor};

/// Floats at which functions do something special: zeros, ones, halves, the smallest and the largest normal numbers,
/// infinities and NaN.
pub(super) const SPECIAL: [f32; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    -2.5,
    3.0,
    f32::MIN_POSITIVE,
    -f32::MIN_POSITIVE,
    f32::MAX,
    f32::MIN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// Why special floats say nothing of gradients.
const SINGULAR: &str = "the operands are zeros, ties, infinities, NaN, or near the ends of the range";

/// Cases of an op of one float operand that is smooth for elements in `low .. high`, and one at special floats.
pub fn float_cases<O: Into<Op> + Clone>(s: &mut Sampler, op: &O, low: f64, high: f64) -> Vec<Case> {
    let mut cases: Vec<Case> =
        SHAPES.iter().map(|shape| Case::smooth(op.clone(), vec![s.floats(shape, low, high)])).collect();
    cases.push(Case::skip(op.clone(), vec![Tensor::from_vec(&[SPECIAL.len()], SPECIAL.to_vec())], SINGULAR));
    cases
}

/// Cases of an op of two float operands that is smooth for elements of the first in `a.0 .. a.1` and of the second in
/// `b.0 .. b.1`, and one at all pairs of special floats.
pub fn float_pair_cases<O: Into<Op> + Clone>(
    s: &mut Sampler,
    op: &O,
    a: (f64, f64),
    b: (f64, f64),
) -> Vec<Case> {
    let mut cases: Vec<Case> = SHAPES
        .iter()
        .map(|shape| Case::smooth(op.clone(), vec![s.floats(shape, a.0, a.1), s.floats(shape, b.0, b.1)]))
        .collect();
    cases.push(Case::skip(op.clone(), pairs(&SPECIAL), SINGULAR));
    cases
}

/// Cases of an op of one integer operand, at the ends of the range of every integer dtype and in between.
pub fn int_cases<O: Into<Op> + Clone>(op: &O) -> Vec<Case> {
    fn of<T: Element>(values: &[T]) -> Tensor {
        Tensor::from_vec(&[values.len()], values.to_vec())
    }
    [of(&I32), of(&I64), of(&U8)].into_iter().map(|x| Case::smooth(op.clone(), vec![x])).collect()
}

/// Cases of an op of two integer operands, at all pairs of the ends of the range of every integer dtype and in between.
pub fn int_pair_cases<O: Into<Op> + Clone>(op: &O) -> Vec<Case> {
    [pairs(&I32), pairs(&I64), pairs(&U8)].into_iter().map(|x| Case::smooth(op.clone(), x)).collect()
}

/// Cases of an op of two operands of dtype bool: all pairs.
pub fn bool_pair_cases<O: Into<Op> + Clone>(op: &O) -> Vec<Case> {
    vec![Case::smooth(op.clone(), pairs(&[false, true]))]
}

const I32: [i32; 9] = [i32::MIN, i32::MIN + 1, -7, -1, 0, 1, 2, 7, i32::MAX];
const I64: [i64; 9] = [i64::MIN, i64::MIN + 1, -7, -1, 0, 1, 2, 7, i64::MAX];
const U8: [u8; 6] = [0, 1, 2, 7, 128, 255];

/// Two tensors that hold all pairs of the values.
pub(super) fn pairs<T: Element>(values: &[T]) -> Vec<Tensor> {
    let n = values.len();
    let pick = |at: fn(usize, usize) -> usize| {
        Tensor::from_vec(&[n, n], (0..n * n).map(|i| values[at(i, n)]).collect())
    };
    vec![pick(|i, n| i / n), pick(|i, n| i % n)]
}
