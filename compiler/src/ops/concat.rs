use super::attributes::op_struct;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::Affine;
use crate::lower::{LowerCx, identity};
use crate::tensor::{Tensor, with_element};
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Tensors one after the other along an axis.
    ///
    /// - C1 one operand or more, of one dtype; the result has that dtype.
    /// - C2 the operands have one rank, above `axis`, and agree on all extents but that of `axis`.
    /// - C3 the result's extent on `axis` is the sum of the operands', and is again `c` or `c·N`.
    /// - Gradient: each operand gets its slice of `d_out`.
    ///
    /// # Errors
    /// E0201 without operands, E0203 if C1 fails, E0209 if C2 or C3 fails.
    ///
    /// Reference: StableHLO `concatenate`.
    Concat = "concat" {
        /// The axis along which the operands follow one another.
        axis: usize,
    }
}

impl OpDef for Concat {
    const NAME: &'static str = "concat";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "canonicalize", law: "concat x = x", apply: single }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        let Some(first) = operands.first() else {
            return Err(Diagnostic::new("E0201", "`concat` takes one operand or more, found 0"));
        };
        if let Some(other) = operands.iter().find(|t| t.dtype != first.dtype) {
            let error = Diagnostic::new("E0203", format!("`concat` needs operands of one dtype, found {first} and {other}"));
            return Err(error.help(format!("use `cast {{to={}}}`", first.dtype)));
        }
        let axis = self.axis;
        let without = |t: &TensorType| {
            let mut extents = t.shape.0.clone();
            (axis < extents.len()).then(|| extents.remove(axis))?;
            Some(extents)
        };
        let refuse = |why: String| Diagnostic::new("E0209", format!("`concat` along axis {axis} {why}"));
        let Some(rest) = without(first) else { return Err(refuse(format!("does not fit {first}"))) };
        if let Some(other) = operands.iter().find(|t| without(t).as_ref() != Some(&rest)) {
            return Err(refuse(format!("needs operands that agree on the other axes, found {first} and {other}")));
        }
        let sum = operands.iter().try_fold(Extent::Const(0), |sum, t| sum.checked_add(t.shape.0[axis]));
        let Some(sum) = sum else {
            return Err(refuse("gives an extent that is no multiple of the batch size and no number".into())
                .note("an extent is `c` or `c*N`"));
        };
        let mut extents = first.shape.0.clone();
        extents[axis] = sum;
        Ok(vec![first.with_shape(Shape(extents))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        Ok(vec![with_element!(operands[0].dtype(), T => {
            let views: Vec<_> = operands.iter().map(|t| t.array::<T>().view()).collect();
            Tensor::from(ndarray::concatenate(ndarray::Axis(self.axis), &views).expect("C2 was checked"))
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let mut start = Extent::Const(0);
        cx.operands()
            .iter()
            .map(|operand| {
                let end = start.checked_add(operand.shape().0[self.axis]);
                let part = end.and_then(|end| cx.cotangent().slice_axis(self.axis, start, end));
                start = end.unwrap_or(start);
                part.map_or(Gradient::Missing("a part of a batch axis has no slice"), Gradient::Value)
            })
            .collect()
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let to = cx.result(0);
        let mut start = 0;
        for n in 0..cx.operand_count() {
            let shape = cx.operand_extents(n);
            let mut index = identity(shape.len());
            index[self.axis] = Affine::axis(self.axis).plus_constant(start);
            start += cx.fixed(shape[self.axis]) as i64;
            cx.map_to(shape.clone(), to, index, |cx, b| cx.load(b, cx.operand(n), identity(shape.len())));
        }
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let cases: [(usize, &[&[usize]]); 6] = [
            (0, &[&[3]]),
            (0, &[&[3], &[1], &[0], &[17]]),
            (1, &[&[2, 3], &[2, 5]]),
            (0, &[&[1, 3], &[4, 3]]),
            (1, &[&[0, 3], &[0, 5]]),
            (2, &[&[2, 3, 1], &[2, 3, 2], &[2, 3, 8]]),
        ];
        cases
            .iter()
            .map(|(axis, shapes)| {
                Case::smooth(Concat { axis: *axis }, shapes.iter().map(|sh| s.floats(sh, -2.0, 2.0)).collect())
            })
            .collect()
    }
}

fn single<'g>(_: &Concat, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    (cx.operands.len() == 1).then(|| cx.operands.clone())
}
