use super::attributes::op_struct;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::lower::LowerCx;
use crate::tensor::{Scalar, Tensor};
use crate::types::{DType, Extent, TensorType};

op_struct! {
    /// An extent as a number, such as the batch size: `extent {of=N}`.
    ///
    /// - C1 the result is i64[].
    ///
    /// Reference: StableHLO `get_dimension_size`.
    ExtentOf = "extent" {
        /// The extent.
        of: Extent,
    }
}

impl OpDef for ExtentOf {
    const NAME: &'static str = "extent";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "extent of a number = the number", apply: bound }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 0)?;
        Ok(vec![TensorType::scalar(DType::I64)])
    }

    fn eval(&self, _: &EvalCx<'_>, _: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![Tensor::from(self.number())])
    }

    fn vjp<'g>(&self, _: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        match cx.extent(self.of) {
            extent if extent.each().is_some() => cx.map(|_, b| b.extent(extent)),
            extent => {
                let buffer = cx.constant(Tensor::scalar(Scalar::I64(extent.most() as i64)));
                cx.set_result(0, buffer);
            }
        }
    }

    fn sample(_: &mut Sampler) -> Vec<Case> {
        [0, 1, 17].map(|c| Case::smooth(ExtentOf { of: Extent::Const(c) }, vec![])).into()
    }
}

impl ExtentOf {
    fn number(&self) -> i64 {
        self.of.as_const().expect("the batch size is bound before functions run") as i64
    }
}

fn bound<'g>(op: &ExtentOf, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    op.of.as_const().map(|c| vec![cx.graph.constant(c as i64)])
}
