use super::attributes::op_struct;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::Affine;
use crate::lower::LowerCx;
use crate::tensor::{Tensor, with_element};
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Repetition along new axes and axes of extent 1, by NumPy's rules: shapes are aligned at the last axis.
    ///
    /// - C1 `a`: any dtype; the result has its dtype and the shape `shape`.
    /// - C2 `shape` has at least the rank of `a`; aligned at the last axis, each extent of `a` equals that of `shape` or is 1.
    /// - Gradient: `d_a` sums `d_out` over the axes that were repeated.
    ///
    /// # Errors
    /// E0204 if C2 fails.
    ///
    /// Reference: NumPy user guide, "Broadcasting"; StableHLO `broadcast_in_dim`.
    Broadcast = "broadcast" {
        /// Shape of the result.
        shape: Shape,
    }
}

impl OpDef for Broadcast {
    const NAME: &'static str = "broadcast";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "canonicalize", law: "broadcast to the same shape = x", apply: same_shape },
        Rule { pass: "canonicalize", law: "broadcast (broadcast x) = broadcast x", apply: twice },
    ];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let (from, to) = (&operands[0].shape, &self.shape);
        let fits = from.rank() <= to.rank()
            && from.0.iter().rev().zip(to.0.iter().rev()).all(|(a, b)| a == b || *a == Extent::Const(1));
        match fits {
            true => Ok(vec![operands[0].with_shape(to.clone())]),
            false => Err(Diagnostic::new("E0204", format!("{} does not broadcast to {to}", operands[0]))
                .note("aligned at the last axis, each extent must equal the wanted one or be 1")
                .help("use `reshape` to add axes of extent 1 where they are missing")),
        }
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let shape = self.shape.bound();
        Ok(vec![with_element!(operands[0].dtype(), T => {
            let view = operands[0].array::<T>().broadcast(shape).expect("C2 was checked");
            Tensor::from(view.to_owned())
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (from, cotangent) = (cx.operand(0).shape(), cx.cotangent());
        let new = self.shape.rank() - from.rank();
        let stretched = (0..from.rank()).filter(|&d| from.0[d] != self.shape.0[new + d]).map(|d| new + d);
        let summed = cotangent.reduce_sum(&stretched.collect::<Vec<_>>(), true);
        vec![Gradient::Value(summed.reduce_sum(&(0..new).collect::<Vec<_>>(), false))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (from, to) = (cx.operand_extents(0), cx.result_extents(0));
        let new = to.len() - from.len();
        let index = (0..from.len())
            .map(|d| if from[d] == to[new + d] { Affine::axis(new + d) } else { Affine::constant(0) })
            .collect();
        cx.map(|cx, b| cx.load(b, cx.operand(0), index));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let pairs: [(&[usize], &[usize]); 8] = [
            (&[], &[]),
            (&[], &[3, 17]),
            (&[1], &[0]),
            (&[1], &[5]),
            (&[17], &[3, 17]),
            (&[3, 1], &[3, 17]),
            (&[1, 3, 1], &[2, 4, 3, 1]),
            (&[0, 1], &[2, 0, 3]),
        ];
        let mut cases: Vec<Case> = pairs
            .iter()
            .map(|(from, to)| Case::smooth(Broadcast { shape: (*to).into() }, vec![s.floats(from, -2.0, 2.0)]))
            .collect();
        cases.push(Case::smooth(Broadcast { shape: [2, 3].into() }, vec![s.bools(&[3])]));
        cases
    }
}

fn same_shape<'g>(op: &Broadcast, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    (cx.operands[0].shape() == op.shape).then(|| cx.operands.clone())
}

fn twice<'g>(op: &Broadcast, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (inner, operands) = cx.operands[0].def()?;
    matches!(inner, super::Op::Broadcast(_)).then(|| vec![cx.graph.add(op.clone(), &operands)])
}
