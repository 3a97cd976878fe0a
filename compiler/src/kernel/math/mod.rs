//! The pass that expands math functions into primitive operations, once, for every back end.
//!
//! Back ends know additions and selects but no exponential, so that all of them, and the evaluator on the expanded
//! function, give the same bits where they treat the fused multiply-add alike. Before and after:
//!
//! ```text
//! s1 = rsqrt s0 : f32                s1 = const 1.0 : f32
//!                                    s2 = sqrt s0 : f32
//!                                    s3 = div s1, s2 : f32
//! ```
//!
//! - At entry: any verified Kernel IR.
//! - At exit: of [`UnaryOp`] only `Neg`, `Abs`, `Sqrt`, `Floor`, `Ceil`, `Round`, `Not` are left; of [`BinaryOp`]
//!   all but `Pow`; no `Philox`. Values that nothing uses are gone. Everything else is as it was.
//! - An expansion has no branches, tables or conversions. That of a function of f32 has values of f32, i32 and bool
//!   alone, and that of f64 of f64, i64 and bool, so a vector of one width holds all of them.
//!
//! # Errors
//! The largest error found, in units of the last place of the exact result, rounded up; with a fused multiply-add, and
//! on levels where it rounds twice. In f32 `exp`, `log`, `tanh` and `erf` were run over all 2³² bit patterns, the others over
//! every third or fifth, and `pow` over 10 million pairs; in f64 over 200,000 arguments or more, against quadruple
//! precision. The last column counts the operations of the f32 expansion, without constants and bitcasts.
//!
//! | function | f32, fused | f32, not | f64, fused | f64, not | operations |
//! |---|---|---|---|---|---|
//! | `sign` | exact | exact | exact | exact | 5 |
//! | `rsqrt` | 1.5 | 1.5 | 1.5 | 1.5 | 2 |
//! | `exp` | 1.1 | 1.0 | 1.1 | 1.1 | 18 |
//! | `expm1` | 1.5 | 1.6 | 1.9 | 2.0 | 23 |
//! | `log` | 1.0 | 1.1 | 0.9 | 0.9 | 28 |
//! | `log1p` | 1.5 | 1.6 | 1.5 | 1.5 | 30 |
//! | `sin`, `cos` (small) | 1.3 | 1.5 | 1.3 | 1.5 | 33, 32 |
//! | `tanh` | 2.5 | 2.6 | 2.7 | 2.7 | 21 |
//! | `erf` | 2.8 | 3.9 | 2.6 | 3.4 | 19 |
//! | `erf_inv` | 3.4 | 3.4 | 2.7 | 2.7 | 55 |
//! | `sigmoid` | 2.5 | 2.5 | 2.5 | 2.5 | 18 |
//! | `pow` | 1.3 | 1.4 | 1.2 | 1.3 | 114 |
//!
//! - Subnormal operands count as zeros and subnormal results are zeros, each of its sign. `erf` of a
//!   number below 2.7 times the least normal number is 0.
//! - `sin` and `cos`: the bounds hold up to 6,433 (f64: 1.6e6). Up to 6.5e6 (1.6e9) the absolute error is below
//!   2e-6 (3e-16) with a fused multiply-add, and below an ulp of the argument without. Beyond, where neighbouring
//!   arguments are half a radian apart (f32), the argument counts as 0. The result is within -1 … 1 everywhere.
//! - `sigmoid`, `tanh` and `erf` never leave their range; `sin`, `tanh`, `erf`, `erf_inv` are odd and `cos` is even,
//!   bit for bit.
//! - `pow` gives every special value of IEEE 754 §9.2.1. On integers it is exact modulo 2ʷ.
//!
//! # Coefficients
//! They are those of minimax polynomials, found by the exchange algorithm of Remez in 90 digits (mpmath) under the weight
//! that makes the error relative to the function, and then rounded to nearest. The errors that stand beside them
//! are those after rounding. Those of `erf` in f32 were then moved by a few units of their last places, to where the errors
//! found were least. Reference: Muller, "Elementary Functions: Algorithms and Implementation", 3rd ed., 2016.

mod erf;
mod exp;
mod float;
mod hyperbolic;
mod log;
mod philox;
mod pow;
mod trig;

pub use trig::LARGEST_ANGLE;

use std::collections::HashMap;

use self::float::FloatBuilder;
use super::sweep::sweep;
use super::{BinaryOp, Body, BodyBuilder, Inst, InstKind, KernelFunction, ScalarId, UnaryOp};
use crate::types::DType;

/// Replaces every function in the bodies of `f` by primitive operations, and drops values that nothing uses.
pub fn expand(f: &mut KernelFunction) {
    for stage in f.kernels.iter_mut().flat_map(|kernel| &mut kernel.stages) {
        if let Some(fold) = &mut stage.fold {
            let mut roots = Vec::new();
            for accumulator in &mut fold.accumulators {
                accumulator.op.each_operand_mut(|s| roots.push(*s));
            }
            let names = expand_body(&mut fold.body, &roots);
            for accumulator in &mut fold.accumulators {
                accumulator.op.each_operand_mut(|s| *s = names[s]);
            }
        }
        let mut roots = Vec::new();
        for store in &mut stage.stores {
            store.each_operand_mut(|s| roots.push(*s));
        }
        let names = expand_body(&mut stage.body, &roots);
        for store in &mut stage.stores {
            store.each_operand_mut(|s| *s = names[s]);
        }
    }
}

/// Expands the functions of a body; returns the new name of every value that `roots` need.
fn expand_body(body: &mut Body, roots: &[ScalarId]) -> HashMap<ScalarId, ScalarId> {
    let b = BodyBuilder::new();
    let mut expanded = HashMap::new();
    for (value, inst) in std::mem::take(&mut body.insts) {
        let Inst { mut kind, dtype } = inst;
        kind.each_operand_mut(|s| *s = expanded[s]);
        expanded.insert(value, expand_inst(&b, kind, dtype));
    }
    *body = b.finish();
    let roots: Vec<ScalarId> = roots.iter().map(|s| expanded[s]).collect();
    let names = sweep(body, &roots);
    expanded.into_iter().filter_map(|(old, new)| Some((old, *names.get(&new)?))).collect()
}

/// The value of an instruction in primitive operations; its operands are values of `b`.
fn expand_inst(b: &BodyBuilder, kind: InstKind, dtype: DType) -> ScalarId {
    match kind {
        InstKind::Unary(op, x) => expand_unary(b, op, x),
        InstKind::Binary(BinaryOp::Pow, x, y) if dtype.is_int() => pow::pow_int(b, x, y),
        InstKind::Binary(BinaryOp::Pow, x, y) => pow::pow(FloatBuilder::of(b, x), x, y),
        InstKind::Philox { key, seed, step, element, word } => {
            philox::philox(b, key, [seed, step, element], word)
        }
        primitive => b.inst(primitive, dtype),
    }
}

fn expand_unary(b: &BodyBuilder, op: UnaryOp, x: ScalarId) -> ScalarId {
    let function = match op {
        UnaryOp::Neg
        | UnaryOp::Abs
        | UnaryOp::Sqrt
        | UnaryOp::Floor
        | UnaryOp::Ceil
        | UnaryOp::Round
        | UnaryOp::Not => return b.unary(op, x),
        UnaryOp::Sign => return sign(b, x),
        UnaryOp::Rsqrt => rsqrt,
        UnaryOp::Exp => exp::exp,
        UnaryOp::Expm1 => exp::expm1,
        UnaryOp::Log => log::log,
        UnaryOp::Log1p => log::log1p,
        UnaryOp::Sin => trig::sin,
        UnaryOp::Cos => trig::cos,
        UnaryOp::Tanh => hyperbolic::tanh,
        UnaryOp::Erf => erf::erf,
        UnaryOp::ErfInv => erf::erf_inv,
        UnaryOp::Sigmoid => hyperbolic::sigmoid,
    };
    function(FloatBuilder::of(b, x), x)
}

/// -1, 0 or 1; NaN and zeros stay, and subnormals are zeros.
fn sign(b: &BodyBuilder, x: ScalarId) -> ScalarId {
    let dtype = b.dtype(x);
    let (zero, one, minus_one) = (b.number(dtype, 0.0), b.number(dtype, 1.0), b.number(dtype, -1.0));
    let neither = if dtype.is_float() { b.mul(x, one) } else { x };
    b.select(b.gt(x, zero), one, b.select(b.lt(x, zero), minus_one, neither))
}

/// `1 / √x`.
fn rsqrt(m: FloatBuilder, x: ScalarId) -> ScalarId {
    m.div(m.c(1.0), m.sqrt(x))
}

#[cfg(test)]
mod tests;
