//! What random ops share: from Philox words to numbers, in the evaluator and in kernels alike.

use super::elementwise::{expect_dtype, expect_operands};
use super::indexed::row_major;
use super::{ErfInv, EvalCx, OpDef as _};
use crate::diagnostic::Diagnostic;
use crate::kernel::{Affine, BodyBuilder, ScalarId, UnaryOp};
use crate::lower::{LowerCx, identity};
use crate::philox;
use crate::tensor::{Scalar, Tensor};
use crate::types::{DType, Shape, TensorType};

/// Which distribution.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Draw {
    /// From 0 to 1.
    Uniform,
    /// Mean 0, variance 1.
    Normal,
}

/// Bits of a number of this dtype.
fn precision(dtype: DType) -> u32 {
    if dtype == DType::F64 { 53 } else { 24 }
}

/// Type of a random tensor.
///
/// # Errors
/// E0201, E0202.
pub fn infer(
    op: &str,
    operands: &[TensorType],
    dtype: DType,
    shape: &Shape,
) -> Result<Vec<TensorType>, Diagnostic> {
    expect_operands(op, operands, 0)?;
    let ty = TensorType::new(dtype, shape.clone());
    expect_dtype(op, &ty, DType::is_float, "a float dtype")?;
    Ok(vec![ty])
}

/// The numbers, computed slowly.
pub fn eval(cx: &EvalCx<'_>, key: u64, dtype: DType, shape: &[usize], draw: Draw) -> Tensor {
    let bits = precision(dtype);
    let scale = (-f64::from(bits)).exp2();
    let numbers = (0..shape.iter().product::<usize>()).map(|element| {
        let [w0, w1, ..] = philox::block(cx.seed, cx.step, key, element as u64);
        let top = i64::from(w0 >> 8);
        let k = if bits == 53 { top << 29 | i64::from(w1 >> 3) } else { top };
        Scalar::F64(match draw {
            Draw::Uniform => k as f64 * scale,
            Draw::Normal => (2 * k + 1 - (1 << bits)) as f64 * scale,
        })
    });
    let tensor = Tensor::from_scalars(dtype, shape, numbers);
    match draw {
        Draw::Uniform => tensor,
        Draw::Normal => {
            let quantile = ErfInv {}.eval(cx, &[&tensor]).expect("erf_inv indexes nothing").remove(0);
            super::elementwise::map_float(&quantile, |v| std::f64::consts::SQRT_2 * v)
        }
    }
}

/// Adds the kernel that computes the numbers.
pub fn lower(cx: &mut LowerCx<'_>, key: u64, draw: Draw) {
    let (state, dtype) = (cx.random_state(), cx.result_dtype(0));
    let shape = cx.row_major(&cx.result_extents(0));
    let element = row_major(&shape, &identity(shape.len()));
    cx.map(|cx, b| {
        let word = |n: i64| cx.load(b, state, vec![Affine::constant(n)]);
        let (seed, step, element) = (word(0), word(1), b.index(element, DType::I64));
        let words = |n: u8| b.philox(key, seed, step, element, n);
        number(b, dtype, draw, &words)
    });
}

fn number(b: &BodyBuilder, dtype: DType, draw: Draw, words: &dyn Fn(u8) -> ScalarId) -> ScalarId {
    let bits = precision(dtype);
    let int = |v: i64| b.int(DType::I64, v);
    let top = b.shr_logical(words(0), int(8));
    let k = match bits {
        53 => b.or(b.shl(top, int(29)), b.shr_logical(words(1), int(3))),
        _ => top,
    };
    let scale = b.float(dtype, (-f64::from(bits)).exp2());
    match draw {
        Draw::Uniform => b.mul(b.convert(k, dtype), scale),
        Draw::Normal => {
            let odd = b.sub(b.add(b.add(k, k), int(1)), int(1 << bits));
            let quantile = b.unary(UnaryOp::ErfInv, b.mul(b.convert(odd, dtype), scale));
            b.mul(b.float(dtype, std::f64::consts::SQRT_2), quantile)
        }
    }
}
