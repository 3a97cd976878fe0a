use super::RewriteCx;
use super::elementwise::prelude::*;
use super::elementwise::{float_pair_cases, infer_number, int_pair_cases, right_unit, zip_number};
use crate::graph::Expr;

op_struct! {
    /// Power: `out[i] = a[i]^b[i]`.
    ///
    /// - C1 `a`, `b` and the result: one float or integer dtype, one shape.
    /// - C2 floats: as IEEE 754 `pow`, so that `a^0` is 1 for every `a`; within 1 ulp in evaluation. To the bit, compiled
    ///   and in evaluation, `a^1` is `a` and `a^2` is `a·a`.
    /// - C3 integers: repeated multiplication, wrapping; a negative exponent gives 0, except that 1 gives 1 and -1 gives ±1.
    /// - Gradient: `d_a = d_out · b·a^(b-1)`, 0 where `b` is 0; `d_b = d_out · out·log(a)`, 0 where `a` is not above 0.
    ///
    /// # Errors
    /// E0202 and E0203 if C1 fails.
    ///
    /// Reference: StableHLO `power`; IEEE 754-2019 `pow`.
    Pow = "pow" {}
}

impl Elementwise for Pow {
    const NAME: &'static str = "pow";
    const TRAITS: OpTraits = OpTraits::ELEMENTWISE;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "algebra", law: "x^0 = 1", apply: zeroth },
        Rule { pass: "algebra", law: "x^1 = x", apply: |_, cx| right_unit(cx, 1.0) },
        Rule { pass: "algebra", law: "x^2 = x * x", apply: square },
    ];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        infer_number(Self::NAME, operands, 2)
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        zip_number(operands[0], operands[1], float_power, power)
    }

    /// Where a factor is infinite or NaN and the gradient is not, the operands are replaced before the power is taken:
    /// a selection after it alone would leave NaN in the gradient of the gradient.
    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (a, b, d) = (cx.operand(0), cx.operand(1), cx.cotangent());
        let (zero, one) = (d.full_like(0.0), d.full_like(1.0));
        let constant = b.eq(0.0);
        let exponent = constant.select(one, b);
        let d_a = constant.select(zero, d * (exponent * a.pow(exponent - 1.0)));
        let positive = a.gt(0.0);
        let base = positive.select(a, one);
        let d_b = positive.select(d * (base.pow(b) * base.log()), zero);
        vec![Gradient::Value(d_a), Gradient::Value(d_b)]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.binary(BinaryOp::Pow, x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = float_pair_cases(s, &Pow {}, (0.25, 2.0), (-2.0, 2.0));
        cases.extend(int_pair_cases(&Pow {}));
        cases
    }
}

/// The product of two f32 is exact in f64, so it is rounded once for either dtype.
fn float_power(base: f64, exponent: f64) -> f64 {
    if exponent == 2.0 { base * base } else { libm::pow(base, exponent) }
}

/// By squaring, which multiplies the same factors modulo a power of two.
fn power(mut base: i64, exponent: i64) -> i64 {
    match (base, exponent) {
        (1, ..0) => return 1,
        (-1, ..0) => return if exponent % 2 == 0 { 1 } else { -1 },
        (_, ..0) => return 0,
        _ => {}
    }
    let (mut result, mut rest) = (1i64, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result = result.wrapping_mul(base);
        }
        base = base.wrapping_mul(base);
        rest >>= 1;
    }
    result
}

fn zeroth<'g>(_: &Pow, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let [a, b] = [cx.operands[0], cx.operands[1]];
    (b.is_splat(0.0) || b.is_splat(-0.0)).then(|| vec![a.full_like(1.0)])
}

fn square<'g>(_: &Pow, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let [a, b] = [cx.operands[0], cx.operands[1]];
    b.is_splat(2.0).then(|| vec![a * a])
}

#[cfg(test)]
mod tests {
    use super::power;

    #[test]
    fn integers_by_the_rules_of_c3() {
        assert_eq!(power(-3, 3), -27);
        assert_eq!(power(2, 64), 0);
        assert_eq!(power(3, 41), 3i64.wrapping_pow(41));
        assert_eq!(power(0, 0), 1);
        assert_eq!([power(1, -5), power(-1, -5), power(-1, i64::MIN), power(2, -1), power(0, -1)], [1, -1, 1, 0, 0]);
    }
}
