use super::attributes::{Attribute, AttributeValue};
use super::elementwise::prelude::*;
use super::elementwise::{
    bool_pair_cases, expect_dtype, expect_operands, expect_same, float_pair_cases, int_pair_cases, zip,
};
use crate::kernel::CompareOp;
use crate::tensor::{Element, with_element};
use crate::types::DType;

op_struct! {
    /// Comparison: `out[i] = a[i] ∘ b[i]`, where `∘` is `=`, `≠`, `<`, `≤`, `>` or `≥`.
    ///
    /// - C1 `a` and `b`: one dtype, one shape; the result: bool of that shape.
    /// - C2 floats: with NaN only `ne` holds; -0 equals 0.
    /// - C3 bools: false is below true.
    /// - Gradient: none; the result is no float.
    ///
    /// # Errors
    /// E0203 if C1 fails.
    ///
    /// Reference: StableHLO `compare`; IEEE 754-2019 §5.11.
    Compare = "compare" {
        /// Which comparison: `eq`, `ne`, `lt`, `le`, `gt` or `ge`.
        direction: CompareOp,
    }
}

/// The directions with their words.
const DIRECTIONS: [(CompareOp, &str); 6] = [
    (CompareOp::Eq, "eq"),
    (CompareOp::Ne, "ne"),
    (CompareOp::Lt, "lt"),
    (CompareOp::Le, "le"),
    (CompareOp::Gt, "gt"),
    (CompareOp::Ge, "ge"),
];

impl AttributeValue for CompareOp {
    const EXPECTED: &'static str = "`eq`, `ne`, `lt`, `le`, `gt` or `ge`";

    fn to_attribute(&self) -> Attribute {
        let (_, word) = DIRECTIONS.iter().find(|(op, _)| op == self).expect("every direction has a word");
        Attribute::Word((*word).to_owned())
    }

    fn from_attribute(attribute: &Attribute) -> Option<CompareOp> {
        let Attribute::Word(found) = attribute else { return None };
        DIRECTIONS.iter().find(|(_, word)| word == found).map(|&(op, _)| op)
    }
}

impl Elementwise for Compare {
    const NAME: &'static str = "compare";
    const TRAITS: OpTraits = OpTraits::EXACT;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, operands: &[TensorType]) -> Result<TensorType, Diagnostic> {
        expect_operands(Self::NAME, operands, 2)?;
        expect_same(Self::NAME, operands)?;
        expect_dtype(Self::NAME, &operands[0], |_| true, "any dtype")?;
        Ok(operands[0].with_dtype(DType::Bool))
    }

    fn eval(&self, operands: &[&Tensor]) -> Tensor {
        with_element!(operands[0].dtype(), T => zip::<T, bool>(operands[0], operands[1], holds(self.direction)))
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero, Gradient::Zero]
    }

    fn lower(&self, b: &BodyBuilder, x: &[ScalarId]) -> ScalarId {
        b.compare(self.direction, x[0], x[1])
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        for (direction, _) in DIRECTIONS {
            let op = Compare { direction };
            cases.extend(float_pair_cases(s, &op, (-2.0, 2.0), (-2.0, 2.0)));
            cases.extend(int_pair_cases(&op));
            cases.extend(bool_pair_cases(&op));
        }
        cases
    }
}

fn holds<T: Element>(direction: CompareOp) -> fn(T, T) -> bool {
    match direction {
        CompareOp::Eq => |a, b| a == b,
        CompareOp::Ne => |a, b| a != b,
        CompareOp::Lt => |a, b| a < b,
        CompareOp::Le => |a, b| a <= b,
        CompareOp::Gt => |a, b| a > b,
        CompareOp::Ge => |a, b| a >= b,
    }
}
