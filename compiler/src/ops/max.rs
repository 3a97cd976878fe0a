use super::elementwise::prelude::*;
use super::elementwise::{float_pair_cases, idempotent, infer_number, int_pair_cases, zip_number};
use std::cmp::Ordering;

op_struct! {
    /// The larger: `out[i] = max(a[i], b[i])`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 floats: NaN if either is; -0 is below 0.
    /// - Gradient: `d_a = d_out` where `a > b`, else 0; `d_b = d_out` where not, so that at ties all goes to `b`.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: IEEE 754-2019 `maximum`; StableHLO `maximum`.
    Max = "max" {}
}

impl Elementwise for Max {
    const NAME: &'static str = "max";
    const TRAITS: OpTraits = OpTraits::COMMUTATIVE;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "algebra", law: "max x x = x", apply: |_, cx| idempotent(cx) },];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_number(operands[0], operands[1], larger, i64::max)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        // The same as `a > b`, bit for bit, NaN and ties included; but `a`, often what an activation is applied to,
        // need not be kept for it.
        let (b, d) = (cx.operand(1), cx.cotangent());
        let (first, zero) = (cx.result(0).gt(b), d.full_like(0.0));
        vec![Gradient::Value(first.select(d, zero)), Gradient::Value(first.select(zero, d))]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.max(x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_pair_cases(s, &Max {}, (-2.0, 2.0), (-2.0, 2.0)), int_pair_cases(&Max {})].concat()
    }
}

fn larger(a: f64, b: f64) -> f64 {
    match a.partial_cmp(&b) {
        None => f64::NAN,
        Some(Ordering::Equal) if a.is_sign_positive() => a,
        Some(Ordering::Greater) => a,
        Some(_) => b,
    }
}
