use super::RewriteCx;
use super::elementwise::prelude::*;
use super::elementwise::{expect_dtype, expect_operands, float_cases, int_cases};
use crate::graph::Expr;
use crate::types::DType;

op_struct! {
    /// Conversion to another dtype: `out[i]` is `a[i]` as `to`.
    ///
    /// - C1 `a`: any dtype; the result: dtype `to`, the shape of `a`.
    /// - C2 to a float: rounded to nearest, halves to even; out of range becomes an infinity.
    /// - C3 float to integer: truncated toward zero; out of range becomes the nearest end of it; NaN becomes 0.
    /// - C4 between integers: wraps. bool counts as 0 and 1; to bool: whether it is not 0, which NaN is not.
    /// - Gradient: between floats, `d_a` is `d_out` cast back; else zero, for the result changes only in jumps.
    ///
    /// # Errors
    /// E0202 if a dtype is not supported.
    ///
    /// Reference: StableHLO `convert`; Rust's `as` for C3.
    Cast = "cast" {
        /// Dtype of the result.
        to: DType,
    }
}

impl Elementwise for Cast {
    const NAME: &'static str = "cast";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "cast to the same dtype = x", apply: same_dtype }];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let result = operands[0].with_dtype(self.to);
        for ty in [&operands[0], &result] {
            expect_dtype(Self::NAME, ty, |_| true, "dtypes that are supported")?;
        }
        Ok(result)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        operands[0].cast(self.to)
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let from = cx.operand(0).dtype();
        vec![match from.is_float() && self.to.is_float() {
            true => Gradient::Value(cx.cotangent().cast(from)),
            false => Gradient::Zero,
        }]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.convert(x[0], self.to)
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let supported = |d: &DType| !matches!(d, DType::F16 | DType::BF16);
        let mut cases = Vec::new();
        for to in DType::ALL.into_iter().filter(supported) {
            let op = Cast { to };
            cases.extend(float_cases(s, &op, -300.0, 300.0));
            cases.extend(int_cases(&op));
            cases.push(Case::smooth(op, vec![s.bools(&[17])]));
        }
        cases
    }
}

fn same_dtype<'g>(op: &Cast, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    (cx.operands[0].dtype() == op.to).then(|| cx.operands.clone())
}
