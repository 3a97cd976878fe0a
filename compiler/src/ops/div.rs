use super::elementwise::prelude::*;
use super::elementwise::{float_pair_cases, infer_number, int_pair_cases, right_unit, zip_number};
use super::RewriteCx;
use crate::graph::Expr;
use crate::types::DType;

op_struct! {
    /// Quotient: `out[i] = a[i] / b[i]`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 floats: correctly rounded.
    /// - C3 integers truncate toward zero; division by zero is 0; the least integer by -1 is itself.
    /// - Gradient: `d_a = d_out / b`, `d_b = -(d_out / b)·out`.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: StableHLO `divide`.
    Div = "div" {}
}

impl Elementwise for Div {
    const NAME: &'static str = "div";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "x / 1 = x", apply: |_, cx| right_unit(cx, 1.0) },Rule { pass: "algebra", law: "x / 2^k = x * 2^-k", apply: by_power_of_two },];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_number(operands[0], operands[1], |a, b| a / b, divide)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let d_a = cx.cotangent() / cx.operand(1);
        vec![Gradient::Value(d_a), Gradient::Value(-(d_a * cx.result(0)))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.div(x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_pair_cases(s, &Div {}, (-2.0, 2.0), (0.5, 2.0)), int_pair_cases(&Div {})].concat()
    }
}

/// Shared by evaluation of every width: i64 wraps as the narrower widths do when they are converted back.
fn divide(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}

/// Both sides round the same number, as long as `2^-k` is neither rounded nor flushed.
fn by_power_of_two<'g>(_: &Div, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (x, divisor) = (cx.operands[0], cx.operands[1].as_splat()?);
    let divisor = divisor.dtype().is_float().then(|| divisor.as_f64())?;
    let smallest = if x.dtype() == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
    let fraction = divisor.to_bits() << 12;
    let exact = fraction == 0 && divisor.is_normal() && divisor.recip().abs() >= smallest;
    exact.then(|| vec![x * divisor.recip()])
}
