//! What reductions along axes share.

use ndarray::{ArrayD, Dimension as _, IxDyn};

use super::Reshape;
use super::elementwise::{expect_dtype, expect_operands, is_number};
use super::sample::Sampler;
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::ops::{Gradient, VjpCx};
use crate::tensor::{Element, Scalar, Tensor, with_element};
use crate::types::{DType, Extent, Shape, TensorType};

/// Shapes and axes that reductions are tried at: none, all, inner, outer and middle axes, and empty ones.
pub const SAMPLES: [(&[usize], &[usize]); 12] = [
    (&[], &[]),
    (&[3], &[]),
    (&[1], &[0]),
    (&[17], &[0]),
    (&[0], &[0]),
    (&[3, 17], &[1]),
    (&[17, 3], &[0]),
    (&[2, 3, 5], &[0, 2]),
    (&[2, 3, 5], &[1]),
    (&[2, 3, 2], &[0, 1, 2]),
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

/// The identity of max (or of min): the element that any other is at least (or at most).
pub fn extreme(dtype: DType, of_min: bool) -> Scalar {
    let infinite = if of_min { f64::INFINITY } else { f64::NEG_INFINITY };
    // Casting saturates only from floats, so integers get their limit from infinity too.
    Scalar::F64(infinite).convert(dtype)
}

/// The larger; NaN wins, and -0 is below 0 (IEEE 754-2019 `maximum`).
pub fn maximum(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    if a > b || a == b && b.is_sign_negative() { a } else { b }
}

/// The smaller; NaN wins, and -0 is below 0 (IEEE 754-2019 `minimum`).
pub fn minimum(a: f64, b: f64) -> f64 {
    -maximum(-a, -b)
}

/// The gradient of the largest or smallest element: the cotangent in equal parts where the operand equals the result.
pub fn share_among_ties<'g>(cx: &VjpCx<'g>, axes: &[usize], keep: bool) -> Expr<'g> {
    let a = cx.operand(0);
    let hit = a.eq(spread(cx.result(0), a, axes, keep)).cast(a.dtype());
    let count = hit.reduce_sum(axes, true).broadcast_to(a.shape());
    spread(cx.cotangent(), a, axes, keep) * hit / count
}

/// The gradient of the largest element: the cotangent where the first element that no other exceeds stands.
pub fn give_to_first_largest<'g>(cx: &VjpCx<'g>, axes: &[usize], keep: bool) -> Gradient<'g> {
    let a = cx.operand(0);
    let Some(positions) = positions(a, axes) else {
        return Gradient::Missing(
            "the first of so many elements, or of those of a batch axis, is not looked for",
        );
    };
    let smaller = a.lt(spread(cx.result(0), a, axes, keep));
    // The first is at most where the last element is, so what is put where smaller elements are changes nothing.
    let none = positions.full_like(i32::MAX.into());
    let first = smaller.select(none, positions).reduce_min(axes, true).broadcast_to(a.shape());
    let d = spread(cx.cotangent(), a, axes, keep);
    Gradient::Value(positions.eq(first).select(d, d.full_like(0.0)))
}

/// Row-major positions of the elements of `a` along axes, as i32 of its shape; `None` if i32 may not hold them.
fn positions<'g>(a: Expr<'g>, axes: &[usize]) -> Option<Expr<'g>> {
    let shape = a.shape();
    let along = |d: usize| if axes.contains(&d) { shape.0[d] } else { Extent::Const(1) };
    let along = Shape((0..shape.rank()).map(along).collect());
    match along.elements() {
        Some((count, 0)) if i32::try_from(count).is_ok() => {
            Some(a.graph().iota(DType::I32, [count], 0).reshape(along).broadcast_to(shape))
        }
        _ => None,
    }
}

/// Type of a search along an axis.
///
/// # Errors
/// E0201, E0202, E0214 if there is no such axis or it is empty.
pub fn infer_arg(op: &str, operands: &[TensorType], axis: usize) -> Result<Vec<TensorType>, Diagnostic> {
    expect_operands(op, operands, 1)?;
    expect_dtype(op, &operands[0], is_number, "a float or integer dtype")?;
    let refuse = |why: &str| {
        Err(Diagnostic::new("E0214", format!("`{op}` along axis {axis} of {} {why}", operands[0])))
    };
    match operands[0].shape.0.get(axis) {
        None => refuse("does not exist"),
        Some(Extent::Const(0)) => refuse("searches no element"),
        Some(_) => {
            let shape = reduced_shape(op, &operands[0], &[axis], false)?;
            Ok(vec![TensorType::new(DType::I64, shape)])
        }
    }
}

/// Coordinate of the first element along an axis than which no other is `better`; the first NaN beats all.
pub fn eval_arg(a: &Tensor, axis: usize, better: fn(f64, f64) -> bool) -> Tensor {
    let shape = reduced_shape("", &a.ty(), &[axis], false).expect("the axis was checked").bound();
    let search = |group: Vec<f64>| {
        if let Some(nan) = group.iter().position(|v| v.is_nan()) {
            return nan as i64;
        }
        (1..group.len()).fold(0, |best, i| if better(group[i], group[best]) { i } else { best }) as i64
    };
    // i64 elements beyond 2⁵³ would be compared rounded, which no sample or caller needs to tell apart.
    let elements = with_element!(a.dtype(), T => {
        let wide = a.array::<T>().mapv(|v| f64::convert(v.scalar()));
        groups(&wide, &[axis]).into_iter().map(search).collect()
    });
    Tensor::from_vec(&shape, elements)
}

/// Axes and operands to try searches at.
pub fn arg_samples(s: &mut Sampler) -> Vec<(usize, Tensor)> {
    let shapes: [(&[usize], usize); 6] =
        [(&[1], 0), (&[17], 0), (&[3, 5], 0), (&[3, 5], 1), (&[0, 4], 1), (&[2, 3, 4], 1)];
    let mut samples: Vec<_> = shapes.map(|(shape, axis)| (axis, s.distinct(shape))).into();
    samples.push((0, Tensor::from_vec(&[5], vec![1.0f32, f32::NAN, 7.0, f32::NAN, -2.0])));
    samples.push((1, Tensor::from_vec(&[2, 3], vec![4i32, 9, 9, -1, -1, -5])));
    samples
}
