use super::attributes::op_struct;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::lower::LowerCx;
use crate::tensor::{Tensor, dispatch};
use crate::types::{Shape, TensorType};

op_struct! {
    /// The same elements in row-major order under another shape.
    ///
    /// - C1 `a`: any dtype; the result has its dtype and the shape `shape`.
    /// - C2 both shapes have the same number of elements, for every batch size.
    /// - Gradient: `d_a` is `d_out` in the shape of `a`.
    ///
    /// # Errors
    /// E0207 if C2 fails.
    ///
    /// Reference: StableHLO `reshape`.
    Reshape = "reshape" {
        /// Shape of the result.
        shape: Shape,
    }
}

impl OpDef for Reshape {
    const NAME: &'static str = "reshape";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "canonicalize", law: "reshape to the same shape = x", apply: same_shape },
        Rule { pass: "canonicalize", law: "reshape (reshape x) = reshape x", apply: twice },
    ];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let counts = [operands[0].shape.elements(), self.shape.elements()];
        if counts[0] == counts[1] && counts[0].is_some() {
            return Ok(vec![operands[0].with_shape(self.shape.clone())]);
        }
        let count = |c: Option<(usize, u32)>| match c {
            None => "too many elements".to_owned(),
            Some((c, 0)) => format!("{c} elements"),
            Some((c, 1)) => format!("{c}*N elements"),
            Some((c, p)) => format!("{c}*N^{p} elements"),
        };
        let message = format!("{} does not reshape to {}", operands[0], self.shape);
        Err(Diagnostic::new("E0207", message)
            .note(format!("they have {} and {}", count(counts[0]), count(counts[1]))))
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let shape = self.shape.bound();
        Ok(vec![dispatch!(operands[0], a => {
            Tensor::from(a.clone().into_shape_with_order(shape).expect("C2 was checked"))
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let shape = cx.operand(0).shape();
        vec![Gradient::Value(cx.graph.add(Reshape { shape }, &[cx.cotangent()]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        crate::lower::reshape::reshape(cx);
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let pairs: [(&[usize], &[usize]); 9] = [
            (&[], &[]),
            (&[], &[1, 1]),
            (&[1], &[]),
            (&[0, 3], &[5, 0]),
            (&[2, 3, 5], &[30]),
            (&[30], &[2, 3, 5]),
            (&[2, 3, 5], &[6, 5]),
            (&[3, 4], &[4, 3]),
            (&[4, 1, 6], &[1, 4, 2, 3]),
        ];
        pairs
            .iter()
            .map(|(from, to)| Case::smooth(Reshape { shape: (*to).into() }, vec![s.floats(from, -2.0, 2.0)]))
            .collect()
    }
}

fn same_shape<'g>(op: &Reshape, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    (cx.operands[0].shape() == op.shape).then(|| cx.operands.clone())
}

fn twice<'g>(op: &Reshape, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (inner, operands) = cx.operands[0].def()?;
    matches!(inner, super::Op::Reshape(_)).then(|| vec![cx.graph.add(op.clone(), &operands)])
}
