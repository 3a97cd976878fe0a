//! What elementwise ops share: inference and evaluation of one element at a time.

use crate::diagnostic::Diagnostic;
use crate::tensor::{Element, Tensor, with_element};
use crate::types::{DType, TensorType};

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

/// Type of an elementwise op whose operands and result have one type, with a dtype that `allowed` accepts.
///
/// # Errors
/// E0201, E0202, or E0203 if the operands' types differ.
pub fn infer_same(
    op: &str,
    operands: &[TensorType],
    n: usize,
    allowed: fn(DType) -> bool,
    kind: &str,
) -> Result<Vec<TensorType>, Diagnostic> {
    expect_operands(op, operands, n)?;
    expect_same(op, operands)?;
    expect_dtype(op, &operands[0], allowed, kind)?;
    Ok(vec![operands[0].clone()])
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

/// Applies one function to floats, computed in f64, and another to integers, computed in i64 and wrapped.
pub fn zip_number(
    a: &Tensor,
    b: &Tensor,
    float: impl Fn(f64, f64) -> f64,
    int: impl Fn(i64, i64) -> i64,
) -> Tensor {
    if a.dtype().is_float() {
        return zip_float(a, b, float);
    }
    with_element!(a.dtype(), T => zip::<T, T>(a, b, |x, y| {
        T::convert(int(i64::convert(x.scalar()), i64::convert(y.scalar())).scalar())
    }))
}

/// Whether a dtype is a float or an integer.
pub fn is_number(dtype: DType) -> bool {
    dtype.is_float() || dtype.is_int()
}
