use super::attributes::op_struct;
use super::indexed::Indexing;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{Addition, EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, ScatterAdd, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::{Access, Indirect};
use crate::lower::LowerCx;
use crate::tensor::{Scalar, Tensor, with_element};
use crate::types::TensorType;

op_struct! {
    /// Rows of a table: `out[b.., o.., i.., r..] = table[b.., o.., indices[b.., i..], r..]`, an embedding lookup.
    ///
    /// - C1 `table`: any dtype, `[b.., o.., K, r..]`, where K stands on `axis` and `b..` are the first `batch_axes` axes;
    ///   `indices`: i32 or i64, `[b.., i..]`; the result: dtype of the table, `[b.., o.., i.., r..]`.
    /// - C2 `batch_axes ≤ axis`, and both operands agree on the batch axes.
    /// - C3 every index is at least 0 and below K; another ends the entry point with an error that names the operand,
    ///   the position and the value. K is not 0 unless there are no indices.
    /// - Gradient: `d_table` is `scatter_add` of `d_out` into zeros, or into what else flows back to the table.
    ///
    /// # Errors
    /// E0201, E0202, E0217 if C1, C2 or the last sentence of C3 fails.
    ///
    /// Reference: TensorFlow `gather` with `batch_dims`.
    Gather = "gather" {
        /// Axis of the table that indices count along.
        axis: usize,
        /// How many leading axes table and indices share.
        batch_axes: usize = 0,
    }
}

impl OpDef for Gather {
    const NAME: &'static str = "gather";
    const TRAITS: OpTraits = OpTraits { checks_index: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 2)?;
        let indexing = Indexing::infer(Self::NAME, self.axis, self.batch_axes, &operands[0], &operands[1])?;
        Ok(vec![operands[0].with_shape(indexing)])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let indexing = Indexing::new(self.axis, self.batch_axes, operands[0].shape(), operands[1].shape());
        let at = indexing.positions(operands[1], 1)?;
        Ok(vec![with_element!(operands[0].dtype(), T => {
            let table = operands[0].array::<T>().as_slice().expect("tensors are dense");
            Tensor::from_vec(&indexing.result_shape(), at.into_iter().map(|p| table[p]).collect())
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let scatter = ScatterAdd { axis: self.axis, batch_axes: self.batch_axes };
        let d_table = Addition { op: scatter.into(), chosen_by: vec![cx.operand(1)], added: cx.cotangent() };
        vec![Gradient::Addition(d_table), Gradient::Zero]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let indexing = Indexing::lowered(self.axis, self.batch_axes, cx);
        let axes = indexing.result_axes();
        let site = cx.check_site(1, indexing.bound().max(1));
        let dtype = cx.result_dtype(0);
        cx.map(|cx, b| {
            let index = cx.load(b, cx.operand(1), indexing.indices_index(&axes));
            let value = b.check(index, site, indexing.position(&axes));
            b.load(
                Access {
                    buffer: cx.operand(0),
                    index: indexing.table_index(&axes),
                    indirect: Some(Indirect { axis: self.axis, value }),
                    guards: vec![],
                    fill: Scalar::zero(dtype),
                },
                dtype,
            )
        });
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        super::indexed::samples(s)
            .into_iter()
            .map(|(axis, batch_axes, table, indices, _)| Case::smooth(Gather { axis, batch_axes }, vec![table, indices]))
            .collect()
    }
}
