//! What elementwise ops share: the frame of their rules, inference, evaluation of one element at a time, laws and samples.

use super::attributes::Attributes;
use super::sample::{Case, SHAPES, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, Op, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::{BodyBuilder, ScalarId};
use crate::lower::LowerCx;
use crate::tensor::{Element, Tensor, with_element};
use crate::types::{DType, TensorType};

/// What the file of an elementwise op names.
pub(crate) mod prelude {
    pub(crate) use super::super::attributes::op_struct;
    pub use super::super::sample::{Case, Sampler};
    pub use super::super::{Gradient, OpTraits, Rule, VjpCx};
    pub use super::Elementwise;
    pub use crate::diagnostic::Diagnostic;
    pub use crate::kernel::{BinaryOp, BodyBuilder, ScalarId, UnaryOp};
    pub use crate::tensor::Tensor;
    pub use crate::types::TensorType;
}

/// Everything that is true of an elementwise op: [`OpDef`] without what they all have in common, which is one result
/// of the shape that all operands have, no index that could fail, and one kernel over the elements. No item has a
/// default.
pub trait Elementwise: Attributes + Clone + std::fmt::Debug + Into<Op> + 'static {
    /// See [`OpDef::NAME`].
    const NAME: &'static str;
    /// See [`OpDef::TRAITS`].
    const TRAITS: OpTraits;
    /// See [`OpDef::RULES`].
    const RULES: &'static [Rule<Self>];

    /// The type of the result.
    ///
    /// # Errors
    /// As [`OpDef::infer`].
    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic>;

    /// The result; see [`OpDef::eval`].
    fn eval(&self, operands: &[&Tensor]) -> Tensor;

    /// See [`OpDef::vjp`].
    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>>;

    /// An element of the result from those of the operands.
    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId;

    /// See [`OpDef::sample`].
    fn sample(sampler: &mut Sampler) -> Vec<Case>;
}

impl<O: Elementwise> OpDef for O {
    const NAME: &'static str = <O as Elementwise>::NAME;
    const TRAITS: OpTraits = <O as Elementwise>::TRAITS;
    const RULES: &'static [Rule<O>] = <O as Elementwise>::RULES;

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        Ok(vec![Elementwise::infer(self, operands)?])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![Elementwise::eval(self, operands)])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        Elementwise::vjp(self, cx)
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        cx.elementwise(|b, x| Elementwise::lower(self, b, x));
    }

    fn sample(sampler: &mut Sampler) -> Vec<Case> {
        <O as Elementwise>::sample(sampler)
    }
}

/// Checks that there are `n` operands.
///
/// # Errors
/// E0201.
pub fn expect_operands(op: &str, operands: &[TensorType], n: usize) -> Result<(), Diagnostic> {
    match operands.len() == n {
        true => Ok(()),
        false => {
            let s = if n == 1 { "" } else { "s" };
            Err(Diagnostic::new("E0201", format!("`{op}` takes {n} operand{s}, found {}", operands.len())))
        }
    }
}

/// Checks that `allowed` accepts a dtype; `kind` says which it accepts: `a float dtype`.
///
/// # Errors
/// E0202.
pub fn expect_dtype(
    op: &str,
    ty: &TensorType,
    allowed: fn(DType) -> bool,
    kind: &str,
) -> Result<(), Diagnostic> {
    let held = matches!(ty.dtype, DType::F16 | DType::BF16);
    match allowed(ty.dtype) && !held {
        true => Ok(()),
        false => {
            let error = Diagnostic::new("E0202", format!("`{op}` needs {kind}, found {ty}"));
            Err(if held { error.note(format!("{} is not supported yet", ty.dtype)) } else { error })
        }
    }
}

/// Type of an elementwise op whose `n` operands and result have one type, of a float dtype.
///
/// # Errors
/// E0201, E0202, or E0203 if the operands' types differ.
pub fn infer_float(op: &str, operands: &[TensorType], n: usize) -> Result<TensorType, Diagnostic> {
    infer_same(op, operands, n, DType::is_float, "a float dtype")
}

/// Type of an elementwise op whose `n` operands and result have one type, of a float or integer dtype.
///
/// # Errors
/// As [`infer_float`].
pub fn infer_number(op: &str, operands: &[TensorType], n: usize) -> Result<TensorType, Diagnostic> {
    infer_same(op, operands, n, is_number, "a float or integer dtype")
}

/// Type of an elementwise op whose `n` operands and result have one type, of dtype bool or an integer dtype.
///
/// # Errors
/// As [`infer_float`].
pub fn infer_logical(op: &str, operands: &[TensorType], n: usize) -> Result<TensorType, Diagnostic> {
    infer_same(op, operands, n, |d| d == DType::Bool || d.is_int(), "dtype bool or an integer dtype")
}

/// Type of an elementwise op whose `n` operands and result have one type, with a dtype that `allowed` accepts.
fn infer_same(
    op: &str,
    operands: &[TensorType],
    n: usize,
    allowed: fn(DType) -> bool,
    kind: &str,
) -> Result<TensorType, Diagnostic> {
    expect_operands(op, operands, n)?;
    expect_same(op, operands)?;
    expect_dtype(op, &operands[0], allowed, kind)?;
    Ok(operands[0].clone())
}

/// Checks that all operands have one type.
///
/// # Errors
/// E0203, with a way to mend it.
pub fn expect_same(op: &str, operands: &[TensorType]) -> Result<(), Diagnostic> {
    let Some(other) = operands.iter().find(|t| **t != operands[0]) else { return Ok(()) };
    let first = &operands[0];
    let error =
        Diagnostic::new("E0203", format!("`{op}` needs operands of one type, found {first} and {other}"));
    Err(match first.dtype == other.dtype {
        true => error.help("use `broadcast` to make the shapes equal"),
        false => error.help(format!("use `cast {{to={}}}` on one of them", first.dtype)),
    })
}

/// Applies a function to every element.
pub fn map<T: Element, R: Element>(a: &Tensor, f: impl Fn(T) -> R) -> Tensor {
    Tensor::from(a.array::<T>().mapv(f))
}

/// Applies a function to the elements at the same coordinates of two tensors.
pub fn zip<T: Element, R: Element>(a: &Tensor, b: &Tensor, f: impl Fn(T, T) -> R) -> Tensor {
    let (x, y) = (a.array::<T>(), b.array::<T>());
    Tensor::from_vec(x.shape(), x.iter().zip(y).map(|(&x, &y)| f(x, y)).collect())
}

/// Applies a function of f64 to every element of a float tensor; f32 results are rounded from f64.
pub fn map_float(a: &Tensor, f: impl Fn(f64) -> f64) -> Tensor {
    with_element!(a.dtype(), T => map::<T, T>(a, |x| T::convert(f(f64::convert(x.scalar())).scalar())))
}

/// Applies a function of f64 to the elements of two float tensors; f32 results are rounded from f64.
pub fn zip_float(a: &Tensor, b: &Tensor, f: impl Fn(f64, f64) -> f64) -> Tensor {
    with_element!(a.dtype(), T => zip::<T, T>(a, b, |x, y| {
        T::convert(f(f64::convert(x.scalar()), f64::convert(y.scalar())).scalar())
    }))
}

/// Applies a function of i64 to the elements of two tensors of integers or bools; results are wrapped, and are true
/// where they are not 0.
pub fn zip_int(a: &Tensor, b: &Tensor, f: impl Fn(i64, i64) -> i64) -> Tensor {
    with_element!(a.dtype(), T => zip::<T, T>(a, b, |x, y| {
        T::convert(f(i64::convert(x.scalar()), i64::convert(y.scalar())).scalar())
    }))
}

/// Applies one function to floats, computed in f64, and another to integers, computed in i64 and wrapped.
pub fn zip_number(
    a: &Tensor,
    b: &Tensor,
    float: impl Fn(f64, f64) -> f64,
    int: impl Fn(i64, i64) -> i64,
) -> Tensor {
    if a.dtype().is_float() { zip_float(a, b, float) } else { zip_int(a, b, int) }
}

/// Applies one function to floats, computed in f64, and another to integers, computed in i64 and wrapped.
pub fn map_number(a: &Tensor, float: impl Fn(f64) -> f64, int: impl Fn(i64) -> i64) -> Tensor {
    if a.dtype().is_float() {
        return map_float(a, float);
    }
    with_element!(a.dtype(), T => map::<T, T>(a, |x| T::convert(int(i64::convert(x.scalar())).scalar())))
}

/// Whether a dtype is a float or an integer.
pub fn is_number(dtype: DType) -> bool {
    dtype.is_float() || dtype.is_int()
}

/// The first operand, if every element of the second is `number`: the law `x ∘ number = x`.
pub fn right_unit<'g>(cx: &RewriteCx<'g>, number: f64) -> Option<Vec<Expr<'g>>> {
    cx.operands[1].is_splat(number).then(|| vec![cx.operands[0]])
}

/// The other operand, if every element of one is `number`: the laws `x ∘ number = x` and `number ∘ x = x`.
pub fn unit<'g>(cx: &RewriteCx<'g>, number: f64) -> Option<Vec<Expr<'g>>> {
    right_unit(cx, number).or_else(|| cx.operands[0].is_splat(number).then(|| vec![cx.operands[1]]))
}

/// The operand every element of which is `number`: the laws `x ∘ number = number` and `number ∘ x = number`.
pub fn zero<'g>(cx: &RewriteCx<'g>, number: f64) -> Option<Vec<Expr<'g>>> {
    cx.operands.iter().find(|x| x.is_splat(number)).map(|&x| vec![x])
}

/// The operand, if both are one value: the law `x ∘ x = x`.
pub fn idempotent<'g>(cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    alike(cx.operands[0], cx.operands[1]).then(|| vec![cx.operands[0]])
}

/// Whether both are one value.
pub fn alike(a: Expr<'_>, b: Expr<'_>) -> bool {
    a.id() == b.id()
}

/// Floats at which functions do something special: zeros, ones, halves, the smallest and the largest normal numbers,
/// infinities and NaN.
const SPECIAL: [f32; 16] = [
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
fn pairs<T: Element>(values: &[T]) -> Vec<Tensor> {
    let n = values.len();
    let pick = |at: fn(usize, usize) -> usize| {
        Tensor::from_vec(&[n, n], (0..n * n).map(|i| values[at(i, n)]).collect())
    };
    vec![pick(|i, n| i / n), pick(|i, n| i % n)]
}
