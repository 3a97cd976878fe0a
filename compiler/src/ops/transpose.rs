use super::attributes::op_struct;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::Affine;
use crate::lower::LowerCx;
use crate::tensor::{Tensor, dispatch};
use crate::types::{Shape, TensorType};

op_struct! {
    /// Axes in another order: `out.shape[i] = a.shape[permutation[i]]`.
    ///
    /// - C1 `a`: any dtype; the result has its dtype.
    /// - C2 `permutation` holds each axis of `a` once.
    /// - Gradient: `d_a` is `d_out` with the inverse permutation.
    ///
    /// # Errors
    /// E0205 if C2 fails.
    ///
    /// Reference: StableHLO `transpose`.
    Transpose = "transpose" {
        /// For every axis of the result, the axis of the operand that it is.
        permutation: Vec<usize>,
    }
}

impl OpDef for Transpose {
    const NAME: &'static str = "transpose";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "canonicalize", law: "transpose by the identity = x", apply: identity },
        Rule { pass: "canonicalize", law: "transpose (transpose x) = transpose x", apply: twice },
    ];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let shape = &operands[0].shape;
        let mut sorted = self.permutation.clone();
        sorted.sort_unstable();
        if sorted != (0..shape.rank()).collect::<Vec<_>>() {
            let message = format!("`transpose` by {:?} does not fit {}", self.permutation, operands[0]);
            return Err(Diagnostic::new("E0205", message)
                .help(format!("`permutation` holds each of the axes 0 to {} once", shape.rank().max(1) - 1)));
        }
        let extents = self.permutation.iter().map(|&axis| shape.0[axis]).collect();
        Ok(vec![operands[0].with_shape(Shape(extents))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![dispatch!(operands[0], a => Tensor::from(a.clone().permuted_axes(self.permutation.clone())))])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        vec![Gradient::Value(cx.cotangent().transpose(&self.inverse()))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let index = self.inverse().into_iter().map(Affine::axis).collect();
        cx.map(|cx, b| cx.load(b, cx.operand(0), index));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let cases: [(&[usize], &[usize]); 6] = [
            (&[], &[]),
            (&[3], &[0]),
            (&[3, 17], &[1, 0]),
            (&[0, 4], &[1, 0]),
            (&[2, 3, 5], &[2, 0, 1]),
            (&[2, 1, 3, 4], &[0, 3, 2, 1]),
        ];
        let mut cases: Vec<Case> = cases
            .iter()
            .map(|(shape, permutation)| {
                Case::smooth(Transpose { permutation: permutation.to_vec() }, vec![s.floats(shape, -2.0, 2.0)])
            })
            .collect();
        cases.push(Case::smooth(Transpose { permutation: vec![1, 0] }, vec![s.ints(&[2, 5], -9, 9)]));
        cases
    }
}

impl Transpose {
    fn inverse(&self) -> Vec<usize> {
        let mut inverse = vec![0; self.permutation.len()];
        for (i, &axis) in self.permutation.iter().enumerate() {
            inverse[axis] = i;
        }
        inverse
    }
}

fn identity<'g>(op: &Transpose, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    op.permutation.is_sorted().then(|| cx.operands.clone())
}

fn twice<'g>(op: &Transpose, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (super::Op::Transpose(inner), operands) = cx.operands[0].def()? else { return None };
    let permutation: Vec<usize> = op.permutation.iter().map(|&axis| inner.permutation[axis]).collect();
    Some(vec![operands[0].transpose(&permutation)])
}
