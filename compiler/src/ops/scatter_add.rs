use super::attributes::op_struct;
use super::indexed::Indexing;
use super::elementwise::{expect_dtype, expect_operands, is_number};
use super::sample::{Case, Sampler};
use super::{EvalCx, Gather, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::{BodyBuilder, Fold, FoldKind, Indirect, Stage, Store};
use crate::lower::{LowerCx, store};
use crate::tensor::{Element, Tensor, with_element};
use crate::types::TensorType;

op_struct! {
    /// Additions to rows of a table: `base` with every `updates[b.., o.., i.., r..]` added at
    /// `[b.., o.., indices[b.., i..], r..]`, the gradient of an embedding lookup.
    ///
    /// - C1 `base`: float or integer, `[b.., o.., K, r..]`, where K stands on `axis` and `b..` are the first `batch_axes`
    ///   axes; `indices`: i32 or i64, `[b.., i..]`; `updates`: dtype of `base`, `[b.., o.., i.., r..]`; the result: the
    ///   type of `base`.
    /// - C2 `batch_axes ≤ axis`, and `base` and `indices` agree on the batch axes.
    /// - C3 every index is at least 0 and below K; another ends the entry point with an error that names the operand,
    ///   the position and the value. K is not 0 unless there are no indices.
    /// - C4 updates with one index are added in row-major order of the indices, whatever the number of threads.
    /// - Gradient: `d_base = d_out`, `d_updates = gather d_out`.
    ///
    /// # Errors
    /// E0201, E0202, E0217 if C1, C2 or the last sentence of C3 fails.
    ///
    /// Reference: StableHLO `scatter` with `add`.
    ScatterAdd = "scatter_add" {
        /// Axis of the table that indices count along.
        axis: usize,
        /// How many leading axes table and indices share.
        batch_axes: usize = 0,
    }
}

impl OpDef for ScatterAdd {
    const NAME: &'static str = "scatter_add";
    const TRAITS: OpTraits = OpTraits { checks_index: true, ..OpTraits::PLAIN };
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 3)?;
        expect_dtype(Self::NAME, &operands[0], is_number, "a float or integer dtype")?;
        let [base, updates] = [&operands[0], &operands[2]];
        let wanted = Indexing::infer(Self::NAME, self.axis, self.batch_axes, base, &operands[1])?;
        let wanted = base.with_shape(wanted);
        match *updates == wanted {
            true => Ok(vec![base.clone()]),
            false => Err(Diagnostic::new("E0217", format!("the updates of `scatter_add` must be {wanted}, found {updates}"))),
        }
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let indexing = Indexing::new(self.axis, self.batch_axes, operands[0].shape(), operands[1].shape());
        let at = indexing.positions(operands[1], 1)?;
        let is_float = operands[0].dtype().is_float();
        Ok(vec![with_element!(operands[0].dtype(), T => {
            let mut sums: Vec<_> = operands[0].scalars().collect();
            for (p, update) in at.into_iter().zip(operands[2].scalars()) {
                sums[p] = match is_float {
                    true => T::convert((f64::convert(sums[p]) + f64::convert(update)).scalar()).scalar(),
                    false => T::convert(i64::convert(sums[p]).wrapping_add(i64::convert(update)).scalar()).scalar(),
                };
            }
            Tensor::from_scalars(T::DTYPE, operands[0].shape(), sums)
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let gather = Gather { axis: self.axis, batch_axes: self.batch_axes };
        let d_updates = cx.graph.add(gather, &[cx.cotangent(), cx.operand(1)]);
        vec![Gradient::Value(cx.cotangent()), Gradient::Zero, Gradient::Value(d_updates)]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let indexing = Indexing::lowered(self.axis, self.batch_axes, cx);
        let site = cx.check_site(1, indexing.bound().max(1));
        let to = cx.result(0);
        // The kernel's axes are those that no index chooses: the same point owns a whole column of rows.
        let (whole, updated) = indexing.scatter_axes();
        let mut axes = cx.operand_extents(0);
        axes.remove(self.axis);
        let copy = {
            let b = BodyBuilder::new();
            let value = cx.load(&b, cx.operand(0), whole.clone());
            Stage { axes: vec![indexing.bound().into()], fold: None, body: b.finish(), stores: vec![store(value, to, whole)] }
        };
        let b = BodyBuilder::new();
        let index = cx.load(&b, cx.operand(1), indexing.indices_index(&updated));
        let row = b.check(index, site, indexing.position(&updated));
        let value = cx.load(&b, cx.operand(2), updated.clone());
        let put = Store {
            add: true,
            indirect: Some(Indirect { axis: self.axis, value: row }),
            ..store(value, to, indexing.table_index(&updated))
        };
        let fold = Fold {
            kind: FoldKind::Scan,
            axes: cx.operand_extents(1).split_off(self.batch_axes),
            lanes: 1,
            body: BodyBuilder::new().finish(),
            accumulators: vec![],
        };
        let add = Stage { axes: vec![], fold: Some(fold), body: b.finish(), stores: vec![put] };
        cx.kernel(axes, vec![copy, add]);
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        super::indexed::samples(s)
            .into_iter()
            .map(|(axis, batch_axes, table, indices, result)| {
                let updates = s.floats(&result, -2.0, 2.0);
                Case::smooth(ScatterAdd { axis, batch_axes }, vec![table, indices, updates])
            })
            .collect()
    }
}
