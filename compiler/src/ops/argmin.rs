use super::attributes::op_struct;
use super::reduction;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::FoldOp;
use crate::lower::{LowerCx, reduce};
use crate::tensor::Tensor;
use crate::types::TensorType;

op_struct! {
    /// Coordinate of the smallest element along an axis.
    ///
    /// - C1 `a`: float or integer; the result is i64, without the axis.
    /// - C2 `a` has the axis `axis`, and it is not empty.
    /// - C3 of equal elements the first counts; the first NaN counts as smallest.
    ///
    /// # Errors
    /// E0202 if C1 fails, E0214 if C2 fails.
    ///
    /// Reference: TensorFlow `ArgMin`.
    Argmin = "argmin" {
        /// The axis that is searched.
        axis: usize,
    }
}

impl OpDef for Argmin {
    const NAME: &'static str = "argmin";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        reduction::infer_arg(Self::NAME, operands, self.axis)
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![reduction::eval_arg(operands[0], self.axis, |a, b| a < b)])
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Zero]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        reduce::arg(cx, self.axis, FoldOp::ArgMin);
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        reduction::arg_samples(s).into_iter().map(|(axis, a)| Case::smooth(Argmin { axis }, vec![a])).collect()
    }
}
