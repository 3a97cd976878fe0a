use super::elementwise::prelude::*;
use super::elementwise::{float_pair_cases, idempotent, infer_number, int_pair_cases, zip_number};
use std::cmp::Ordering;

op_struct! {
    /// The smaller: `out[i] = min(a[i], b[i])`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 floats: NaN if either is; -0 is below 0.
    /// - Gradient: `d_a = d_out` where `a < b`, else 0; `d_b = d_out` where not, so that at ties all goes to `b`.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: IEEE 754-2019 `minimum`; StableHLO `minimum`.
    Min = "min" {}
}

impl Elementwise for Min {
    const NAME: &'static str = "min";
    const TRAITS: OpTraits = OpTraits::COMMUTATIVE;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "min x x = x", apply: |_, cx| idempotent(cx) },];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_number(operands[0], operands[1], smaller, i64::min)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        // The same as `a < b`, bit for bit, NaN and ties included; but `a`, often what an activation is applied to,
        // need not be kept for it.
        let (b, d) = (cx.operand(1), cx.cotangent());
        let (first, zero) = (cx.result(0).lt(b), d.full_like(0.0));
        vec![Gradient::Value(first.select(d, zero)), Gradient::Value(first.select(zero, d))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.min(x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_pair_cases(s, &Min {}, (-2.0, 2.0), (-2.0, 2.0)), int_pair_cases(&Min {})].concat()
    }
}

fn smaller(a: f64, b: f64) -> f64 {
    match a.partial_cmp(&b) {
        None => f64::NAN,
        Some(Ordering::Equal) if a.is_sign_negative() => a,
        Some(Ordering::Less) => a,
        Some(_) => b,
    }
}
