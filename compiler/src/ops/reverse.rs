use super::attributes::op_struct;
use super::elementwise::expect_operands;
use super::reduction::reduced_shape;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::Affine;
use crate::lower::LowerCx;
use crate::tensor::{Tensor, dispatch};
use crate::types::TensorType;

op_struct! {
    /// Elements in the opposite order along axes.
    ///
    /// - C1 `a`: any dtype; the result has its type.
    /// - C2 `axes` are axes of `a`, each once, in ascending order.
    /// - Gradient: `d_a` is `d_out` reversed.
    ///
    /// # Errors
    /// E0206 if C2 fails.
    ///
    /// Reference: StableHLO `reverse`.
    Reverse = "reverse" {
        /// The axes that are turned round.
        axes: Vec<usize>,
    }
}

impl OpDef for Reverse {
    const NAME: &'static str = "reverse";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "canonicalize", law: "reverse over no axes = x", apply: no_axes },
        Rule { pass: "canonicalize", law: "reverse (reverse x) = x", apply: twice },
    ];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        reduced_shape(Self::NAME, &operands[0], &self.axes, true)?;
        Ok(operands.to_vec())
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![dispatch!(operands[0], a => {
            let mut a = a.clone();
            self.axes.iter().for_each(|&axis| a.invert_axis(ndarray::Axis(axis)));
            Tensor::from(a)
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.graph.add(self.clone(), &[cx.cotangent()]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let shape = cx.operand_extents(0);
        let index = (0..shape.len())
            .map(|d| match self.axes.contains(&d) {
                true => Affine::axis(d).times(-1).plus_constant(cx.fixed(shape[d]) as i64 - 1),
                false => Affine::axis(d),
            })
            .collect();
        cx.map(|cx, b| cx.load(b, cx.operand(0), index));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let cases: [(&[usize], &[usize]); 6] =
            [(&[], &[]), (&[1], &[0]), (&[17], &[0]), (&[3, 5], &[0, 1]), (&[0, 2], &[1]), (&[2, 3, 4], &[1])];
        cases
            .iter()
            .map(|(shape, axes)| Case::smooth(Reverse { axes: axes.to_vec() }, vec![s.floats(shape, -2.0, 2.0)]))
            .collect()
    }
}

fn no_axes<'g>(op: &Reverse, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    op.axes.is_empty().then(|| cx.operands.clone())
}

fn twice<'g>(op: &Reverse, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (inner, operands) = cx.operands[0].def()?;
    (inner == op.clone().into()).then_some(operands)
}
