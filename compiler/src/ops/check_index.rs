use super::attributes::op_struct;
use super::elementwise::{expect_dtype, expect_operands};
use super::indexed::row_major;
use super::sample::{Case, SHAPES, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::lower::{LowerCx, identity};
use crate::tensor::{Element as _, Tensor};
use crate::types::{DType, TensorType};

op_struct! {
    /// The operand itself, after a check that every index is at least 0 and below `bound`.
    ///
    /// - C1 `a`: i32 or i64; the result has its type.
    /// - C2 an index out of range ends the entry point with an error that names the operand, the position and the value.
    /// - C3 `bound` is at least 1.
    ///
    /// # Errors
    /// E0202 if C1 fails, E0217 if C3 fails.
    CheckIndex = "check_index" {
        /// Indices are below this.
        bound: usize,
    }
}

impl OpDef for CheckIndex {
    const NAME: &'static str = "check_index";
    const TRAITS: OpTraits = OpTraits { checks_index: true, ..OpTraits::ELEMENTWISE };
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let is_index = |d| matches!(d, DType::I32 | DType::I64);
        expect_dtype(Self::NAME, &operands[0], is_index, "indices of dtype i32 or i64")?;
        match self.bound {
            0 => Err(Diagnostic::new("E0217", "`check_index` with bound 0 lets nothing pass")),
            _ => Ok(operands.to_vec()),
        }
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let bound = self.bound;
        let outside = |v: &i64| usize::try_from(*v).map_or(true, |v| v >= bound);
        match operands[0].scalars().map(i64::convert).enumerate().find(|(_, v)| outside(v)) {
            Some((position, value)) => Err(IndexFault { operand: 0, position, value, bound }),
            None => Ok(vec![operands[0].clone()]),
        }
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let site = cx.check_site(0, self.bound);
        let shape = cx.row_major(&cx.result_extents(0));
        let axes = identity(shape.len());
        cx.map(|cx, b| b.check(cx.load(b, cx.operand(0), axes.clone()), site, row_major(&shape, &axes)));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases: Vec<Case> =
            SHAPES.iter().map(|shape| Case::smooth(CheckIndex { bound: 7 }, vec![s.ints(shape, 0, 7)])).collect();
        cases.push(Case::smooth(CheckIndex { bound: 1 }, vec![Tensor::zeros(DType::I64, &[3])]));
        cases
    }
}
