//! What elementwise ops share: the frame of their rules, inference and evaluation of one element at a time.

#[cfg(test)]
mod examples;
mod laws;
mod samples;
#[cfg(test)]
mod tests;

pub use laws::{alike, idempotent, right_unit, unit, zero};
pub use samples::{bool_pair_cases, float_cases, float_pair_cases, int_cases, int_pair_cases};

use super::attributes::Attributes;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, Op, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
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

/// A function of angles that takes those too large to be reduced for 0, as compiled code does.
pub fn angle(dtype: DType, f: fn(f64) -> f64) -> impl Fn(f64) -> f64 {
    let (f32, f64) = crate::kernel::math::LARGEST_ANGLE;
    let largest = if dtype == DType::F64 { f64 } else { f32 };
    move |x| if x.is_finite() && x.abs() > largest { f(0.0) } else { f(x) }
}
