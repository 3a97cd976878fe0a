use super::elementwise::prelude::*;
use super::RewriteCx;
use super::elementwise::{float_pair_cases, infer_number, int_pair_cases, unit, zip_number};
use super::scaling::is_contraction;
use crate::graph::Expr;

op_struct! {
    /// Sum: `out[i] = a[i] + b[i]`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 integers wrap.
    /// - Gradient: `d_a = d_out`, `d_b = d_out`.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: StableHLO `add`.
    Add = "add" {}
}

impl Elementwise for Add {
    const NAME: &'static str = "add";
    const TRAITS: OpTraits = OpTraits { associative: true, ..OpTraits::COMMUTATIVE };
    const RULES: &'static [Rule<Self>] = &[
        // For floats the zero is -0.0: 0.0 would turn -0.0 into 0.0.
        Rule { pass: "algebra", law: "x + -0 = x", apply: |_, cx| unit(cx, -0.0) },
        Rule { pass: "fold-scales", law: "(x + a) * s = x * s + a * s for a contraction x", apply: scaled },
    ];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_number(operands[0], operands[1], |a, b| a + b, i64::wrapping_add)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent()), Gradient::Value(cx.cotangent())]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.add(x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        [float_pair_cases(s, &Add {}, (-2.0, 2.0), (-2.0, 2.0)), int_pair_cases(&Add {})].concat()
    }
}

fn scaled<'g>(_: &Add, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let [a, b, factor] = cx.operands[..] else { return None };
    let fits = (is_contraction(a) && b.is_known()) || (a.is_known() && is_contraction(b));
    fits.then(|| vec![a * factor + b * factor])
}
