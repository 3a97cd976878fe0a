//! What reductions along axes share.

use ndarray::{ArrayD, Dimension as _, IxDyn};

use super::Reshape;
use super::elementwise::{expect_dtype, expect_operands, is_number};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::tensor::{Element, Tensor, with_element};
use crate::types::{Extent, Shape, TensorType};

/// Shapes and axes that reductions are tried at: none, all, inner, outer and middle axes, and empty ones.
pub const SAMPLES: [(&[usize], &[usize]); 11] = [
    (&[], &[]),
    (&[3], &[]),
    (&[1], &[0]),
    (&[17], &[0]),
    (&[0], &[0]),
    (&[3, 17], &[1]),
    (&[17, 3], &[0]),
    (&[2, 3, 5], &[0, 2]),
    (&[2, 3, 5], &[1]),
    (&[0, 3], &[1]),
    (&[2, 100], &[0, 1]),
];

/// Type of a reduction of numbers to their own dtype.
///
/// # Errors
/// E0201, E0202 for another dtype, E0206 for axes that do not fit.
pub fn infer(
    op: &str,
    operands: &[TensorType],
    axes: &[usize],
    keep: bool,
) -> Result<Vec<TensorType>, Diagnostic> {
    expect_operands(op, operands, 1)?;
    expect_dtype(op, &operands[0], is_number, "a float or integer dtype")?;
    Ok(vec![operands[0].with_shape(reduced_shape(op, &operands[0], axes, keep)?)])
}

/// Shape after a reduction.
///
/// # Errors
/// E0206 for axes that do not fit.
pub fn reduced_shape(op: &str, ty: &TensorType, axes: &[usize], keep: bool) -> Result<Shape, Diagnostic> {
    let rank = ty.rank();
    if !axes.is_sorted_by(|a, b| a < b) || axes.last().is_some_and(|&a| a >= rank) {
        return Err(Diagnostic::new("E0206", format!("`{op}` over axes {axes:?} does not fit {ty}"))
            .help(format!("`axes` are below {rank}, in ascending order, each once")));
    }
    let extents = ty.shape.0.iter().enumerate();
    Ok(Shape(match keep {
        true => extents.map(|(d, &e)| if axes.contains(&d) { Extent::Const(1) } else { e }).collect(),
        false => extents.filter(|(d, _)| !axes.contains(d)).map(|(_, &e)| e).collect(),
    }))
}

/// Groups of elements: for every element of the result, in order, those that are combined, in row-major order.
pub fn groups<T: Element>(a: &ArrayD<T>, axes: &[usize]) -> Vec<Vec<T>> {
    let kept: Vec<usize> = (0..a.ndim()).filter(|d| !axes.contains(d)).collect();
    let extents: Vec<usize> = kept.iter().map(|&d| a.shape()[d]).collect();
    let mut groups = vec![Vec::new(); extents.iter().product()];
    for (index, &value) in a.indexed_iter() {
        let at =
            kept.iter().zip(&extents).fold(0, |at, (&d, &extent)| at * extent + index.as_array_view()[d]);
        groups[at].push(value);
    }
    groups
}

/// Combines numbers along axes, floats in f64 and integers in i64, in row-major order.
pub fn eval(
    a: &Tensor,
    axes: &[usize],
    keep: bool,
    float_init: f64,
    float: impl Fn(f64, f64) -> f64,
    int_init: i64,
    int: impl Fn(i64, i64) -> i64,
) -> Tensor {
    let shape = reduced_shape("", &a.ty(), axes, keep).expect("the axes were checked").bound();
    let is_float = a.dtype().is_float();
    with_element!(a.dtype(), T => {
        let combine = |group: Vec<T>| match is_float {
            true => T::convert(group.iter().map(|v| f64::convert(v.scalar())).fold(float_init, &float).scalar()),
            false => T::convert(group.iter().map(|v| i64::convert(v.scalar())).fold(int_init, &int).scalar()),
        };
        let elements = groups(a.array::<T>(), axes).into_iter().map(combine).collect();
        Tensor::from(ArrayD::from_shape_vec(IxDyn(&shape), elements).expect("one element per group"))
    })
}

/// A value of the shape of a reduction's result, repeated along the axes to the shape of its operand `like`.
pub fn spread<'g>(value: Expr<'g>, like: Expr<'g>, axes: &[usize], keep: bool) -> Expr<'g> {
    let kept = match keep {
        true => value,
        false => {
            let shape = reduced_shape("", &like.ty(), axes, true).expect("the axes were checked");
            like.graph().add(Reshape { shape }, &[value])
        }
    };
    kept.broadcast_to(like.shape())
}
