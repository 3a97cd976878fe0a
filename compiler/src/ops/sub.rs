use super::elementwise::prelude::*;
use super::elementwise::{alike, float_pair_cases, infer_number, int_pair_cases, right_unit, zip_number};
use super::RewriteCx;
use super::scaling::is_contraction;
use crate::graph::Expr;

op_struct! {
    /// Difference: `out[i] = a[i] - b[i]`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 integers wrap.
    /// - Gradient: `d_a = d_out`, `d_b = -d_out`.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: StableHLO `subtract`.
    Sub = "sub" {}
}

impl Elementwise for Sub {
    const NAME: &'static str = "sub";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "algebra", law: "x - 0 = x", apply: |_, cx| right_unit(cx, 0.0) },
        Rule { pass: "algebra", law: "x - x = 0 for integers", apply: minus_itself },
        Rule { pass: "fold-scales", law: "(x - a) * s = x * s + (-a) * s for a contraction x", apply: scaled },
    ];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_number(operands[0], operands[1], |a, b| a - b, i64::wrapping_sub)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent()), Gradient::Value(-cx.cotangent())]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.sub(x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_pair_cases(s, &Sub {}, (-2.0, 2.0), (-2.0, 2.0)), int_pair_cases(&Sub {})].concat()
    }
}

/// For floats it is not: the difference of two infinities or NaN is NaN.
fn minus_itself<'g>(_: &Sub, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let [a, b] = [cx.operands[0], cx.operands[1]];
    (a.dtype().is_int() && alike(a, b)).then(|| vec![a.full_like(0.0)])
}

fn scaled<'g>(_: &Sub, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let [x, a, factor] = cx.operands[..] else { return None };
    (is_contraction(x) && a.is_known()).then(|| vec![x * factor + -a * factor])
}
