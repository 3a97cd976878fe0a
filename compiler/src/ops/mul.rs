use super::elementwise::prelude::*;
use super::elementwise::{float_pair_cases, infer_number, int_pair_cases, unit, zero, zip_number};
use super::RewriteCx;
use crate::graph::Expr;

op_struct! {
    /// Product: `out[i] = a[i] · b[i]`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 integers wrap.
    /// - Gradient: `d_a = d_out · b`, `d_b = d_out · a`.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: StableHLO `multiply`.
    Mul = "mul" {}
}

impl Elementwise for Mul {
    const NAME: &'static str = "mul";
    const TRAITS: OpTraits = OpTraits { product: true, associative: true, ..OpTraits::COMMUTATIVE };
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "x * 1 = x", apply: |_, cx| unit(cx, 1.0) },Rule { pass: "algebra", law: "x * 0 = 0 for integers", apply: times_zero },];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_number(operands[0], operands[1], |a, b| a * b, i64::wrapping_mul)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let d = cx.cotangent();
        vec![Gradient::Value(d * cx.operand(1)), Gradient::Value(d * cx.operand(0))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.mul(x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_pair_cases(s, &Mul {}, (-2.0, 2.0), (-2.0, 2.0)), int_pair_cases(&Mul {})].concat()
    }
}

/// For floats it is not: infinities, NaN and negative numbers do not give 0.
fn times_zero<'g>(_: &Mul, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    if cx.operands[0].dtype().is_int() { zero(cx, 0.0) } else { None }
}
