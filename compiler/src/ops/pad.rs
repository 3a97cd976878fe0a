use super::attributes::op_struct;
use super::def::result_shape;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, Slice, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::lower::{LowerCx, pad};
use crate::tensor::{Element, Scalar, Tensor, with_element};
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// A constant around and between the elements: `out[low + i · (interior + 1)] = a[i]`, `value` elsewhere.
    ///
    /// - C1 `a`: any dtype; the result has its dtype, to which `value` is converted.
    /// - C2 each list has one entry per axis. The result's extent is `low + extent + (extent - 1) · interior + high`,
    ///   or `low + high` for an empty axis.
    /// - C3 an axis that depends on the batch size is not padded.
    /// - Gradient: `d_a` is the slice of `d_out` where the elements stand.
    ///
    /// # Errors
    /// E0216 if C2 or C3 fails, or if an extent overflows.
    ///
    /// Reference: StableHLO `pad`.
    Pad = "pad" {
        /// How many before the first element, per axis.
        low: Vec<usize>,
        /// How many behind the last element, per axis.
        high: Vec<usize>,
        /// How many between two elements, per axis.
        interior: Vec<usize>,
        /// What is put there.
        value: f64 = 0.0,
    }
}

impl OpDef for Pad {
    const NAME: &'static str = "pad";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] = &[Rule { pass: "canonicalize", law: "pad by nothing = x", apply: nothing }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let shape = &operands[0].shape;
        let refuse = |why: String| {
            Diagnostic::new("E0216", format!("`pad` does not fit {}", operands[0])).note(why)
        };
        if [self.low.len(), self.high.len(), self.interior.len()] != [shape.rank(); 3] {
            return Err(refuse("`low`, `high` and `interior` have one entry per axis".into()));
        }
        let extents = shape.0.iter().enumerate().map(|(d, &extent)| {
            let (low, high, interior) = (self.low[d], self.high[d], self.interior[d]);
            match extent {
                _ if (low, high, interior) == (0, 0, 0) => Ok(extent),
                Extent::Const(c) => c
                    .saturating_sub(1)
                    .checked_mul(interior)
                    .and_then(|v| v.checked_add(c)?.checked_add(low)?.checked_add(high))
                    .map(Extent::Const)
                    .ok_or_else(|| refuse(format!("axis {d} would be too large"))),
                Extent::Batch(_) => Err(refuse(format!("axis {d} depends on the batch size and cannot be padded"))),
            }
        });
        Ok(vec![operands[0].with_shape(Shape(extents.collect::<Result<_, _>>()?))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let a = operands[0];
        let shape = result_shape(self, &[a]);
        Ok(vec![with_element!(a.dtype(), T => {
            let fill = T::convert(Scalar::F64(self.value));
            let mut out = ndarray::ArrayD::from_elem(shape.as_slice(), fill);
            for (at, &v) in a.array::<T>().indexed_iter() {
                let at: Vec<usize> = ndarray::Dimension::as_array_view(&at)
                    .iter()
                    .enumerate()
                    .map(|(d, i)| self.low[d] + i * (self.interior[d] + 1))
                    .collect();
                out[at.as_slice()] = v;
            }
            Tensor::from(out)
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let shape = cx.operand(0).shape();
        let limits = (0..shape.rank())
            .map(|d| match shape.0[d] {
                Extent::Const(0) => Extent::Const(self.low[d]),
                Extent::Const(c) => Extent::Const(self.low[d] + (c - 1) * (self.interior[d] + 1) + 1),
                batch => batch,
            })
            .collect();
        let strides = self.interior.iter().map(|i| i + 1).collect();
        let slice = Slice { starts: self.low.clone(), limits, strides };
        vec![Gradient::Value(cx.graph.add(slice, &[cx.cotangent()]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (from, to) = ((cx.operand(0), cx.operand_extents(0)), cx.result(0));
        let fill = Scalar::F64(self.value).convert(cx.result_dtype(0));
        pad::pad(cx, from, [&self.low, &self.high, &self.interior], fill, to);
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        /// Shape, low, high, interior and value.
        type Sample = (&'static [usize], &'static [usize], &'static [usize], &'static [usize], f64);
        let cases: [Sample; 8] = [
            (&[], &[], &[], &[], 0.0),
            (&[3], &[0], &[0], &[0], 1.0),
            (&[3], &[2], &[1], &[0], -1.5),
            (&[0], &[2], &[1], &[3], 7.0),
            (&[17], &[0], &[5], &[2], 0.0),
            (&[1], &[1], &[1], &[4], 0.5),
            (&[3, 5], &[1, 0], &[0, 2], &[0, 0], f64::NEG_INFINITY),
            (&[2, 3], &[1, 1], &[2, 0], &[1, 2], 0.0),
        ];
        cases
            .iter()
            .map(|&(shape, low, high, interior, value)| {
                let op = Pad { low: low.into(), high: high.into(), interior: interior.into(), value };
                let a = s.floats(shape, -2.0, 2.0);
                match value.is_finite() {
                    true => Case::smooth(op, vec![a]),
                    false => Case::skip(op, vec![a], "differences of infinities are NaN"),
                }
            })
            .collect()
    }
}

fn nothing<'g>(_: &Pad, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    (cx.operands[0].ty() == cx.results[0]).then(|| cx.operands.clone())
}
