use super::attributes::op_struct;
use super::def::result_shape;
use super::elementwise::{expect_dtype, expect_operands, is_number};
use super::sample::{Case, Sampler};
use super::windows::{SAMPLES, check_axes, check_lists, reach};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, VjpCx, Windows};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::lower::LowerCx;
use crate::lower::windows::{Walk, sum};
use crate::tensor::{Element, Tensor, with_element};
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Windows put back where they came from, and added where they overlap:
    /// `out[.., h, ..] = Σ a[.., o, .., k]` over all `o · strides + k · dilation = h + low`.
    ///
    /// - C1 `a`: float or integer; the result has its dtype. Its last axes, one per entry of `axes`, are those within the
    ///   windows; the others are those of the result.
    /// - C2 `axes` are of the others and do not depend on the batch size, in ascending order. Each of the other lists has an
    ///   entry for each of them; strides and dilation are at least 1. The axes and those within the windows are not empty.
    /// - C3 `extents` are the result's extents on `axes`, and `low` the first positions that it has. What lies outside is
    ///   dropped; where no window reaches is 0. Floats are added in a fixed order.
    /// - Gradient: `d_a` is [`Windows`] of `d_out`, with zeros for what was dropped.
    ///
    /// # Errors
    /// E0202 if the dtype does not fit C1, E0214 if the axes do not fit C2, E0219 if anything else fails.
    ///
    /// Reference: PyTorch `fold`, along any axes.
    SumWindows = "sum_windows" {
        /// The axes that windows walk along.
        axes: Vec<usize>,
        /// Extents of the result, per axis.
        extents: Vec<usize>,
        /// The positions that come first in the result, per axis.
        low: Vec<usize>,
        /// Elements from one window to the next, per axis.
        strides: Vec<usize>,
        /// Elements from one element of a window to the next, per axis.
        dilation: Vec<usize>,
    }
}

impl OpDef for SumWindows {
    const NAME: &'static str = "sum_windows";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "sum_windows of every single element = reshape", apply: single }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        expect_dtype(Self::NAME, &operands[0], is_number, "a float or integer dtype")?;
        let refuse = |why: String| Diagnostic::new("E0219", format!("`sum_windows` does not fit {}", operands[0])).note(why);
        let Some(rank) = operands[0].rank().checked_sub(self.axes.len()) else {
            return Err(refuse("the last axes of the operand are those within the windows, one per entry of `axes`".into()));
        };
        let (outer, inner) = operands[0].shape.0.split_at(rank);
        let positions = operands[0].with_shape(Shape(outer.to_vec()));
        check_axes(Self::NAME, &positions, &self.axes)?;
        check_lists(self.axes.len(), &[("strides", &self.strides), ("dilation", &self.dilation)]).map_err(refuse)?;
        if [self.extents.len(), self.low.len()] != [self.axes.len(); 2] {
            return Err(refuse("`extents` and `low` have one entry per axis".into()));
        }
        let is_empty = |e: Extent| e.as_const().is_none_or(|e| e == 0);
        if self.axes.iter().map(|&a| outer[a]).chain(inner.iter().copied()).any(is_empty) {
            return Err(refuse("windows have elements, and there is one or more".into()));
        }
        let mut extents = outer.to_vec();
        for (n, &axis) in self.axes.iter().enumerate() {
            let covered = self.covered(n, &operands[0].shape);
            if self.low[n] >= covered {
                return Err(refuse(format!("axis {axis} starts at {}, where no window reaches", self.low[n])));
            }
            extents[axis] = Extent::Const(self.extents[n]);
        }
        Ok(vec![operands[0].with_shape(Shape(extents))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let a = operands[0];
        let shape = result_shape(self, &[a]);
        let is_float = a.dtype().is_float();
        Ok(vec![with_element!(a.dtype(), T => {
            let mut floats = ndarray::ArrayD::<f64>::zeros(shape.as_slice());
            let mut ints = ndarray::ArrayD::<i64>::zeros(shape.as_slice());
            'elements: for (at, &v) in a.array::<T>().indexed_iter() {
                let at = ndarray::Dimension::as_array_view(&at).to_vec();
                let mut to = at[..shape.len()].to_vec();
                for (n, &axis) in self.axes.iter().enumerate() {
                    let position = at[axis] * self.strides[n] + at[shape.len() + n] * self.dilation[n];
                    match position.checked_sub(self.low[n]) {
                        Some(h) if h < self.extents[n] => to[axis] = h,
                        _ => continue 'elements,
                    }
                }
                match is_float {
                    true => floats[to.as_slice()] += f64::convert(v.scalar()),
                    false => ints[to.as_slice()] = ints[to.as_slice()].wrapping_add(i64::convert(v.scalar())),
                }
            }
            match is_float {
                true => Tensor::from(floats.mapv(|v| T::convert(v.scalar()))),
                false => Tensor::from(ints.mapv(|v| T::convert(v.scalar()))),
            }
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let shape = cx.operand(0).shape();
        let rank = cx.result(0).rank();
        let mut d = cx.cotangent();
        for (n, &axis) in self.axes.iter().enumerate() {
            // The positions of all windows, no more and no less.
            let kept = self.extents[n].min(self.covered(n, &shape) - self.low[n]);
            if kept < self.extents[n] {
                d = d.slice_fixed(axis, 0, kept);
            }
            let behind = self.covered(n, &shape) - self.low[n] - kept;
            if self.low[n] + behind > 0 {
                d = d.pad_axis(axis, self.low[n], behind, 0.0);
            }
        }
        let windows = Windows {
            axes: self.axes.clone(),
            window: (0..self.axes.len()).map(|n| within(&shape, rank + n)).collect(),
            strides: self.strides.clone(),
            dilation: self.dilation.clone(),
        };
        vec![Gradient::Value(cx.graph.add(windows, &[d]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let walk = |n: usize| Walk {
            axis: self.axes[n],
            extent: self.extents[n],
            low: self.low[n],
            stride: self.strides[n],
            dilation: self.dilation[n],
        };
        sum(cx, (0..self.axes.len()).map(walk).collect());
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let mut cases = Vec::new();
        for (shape, axes, window, strides, dilation) in SAMPLES {
            let windows =
                Windows { axes: axes.into(), window: window.into(), strides: strides.into(), dilation: dilation.into() };
            let operand = TensorType::new(crate::types::DType::F32, shape);
            let inferred = windows.infer(&InferCx { module: &crate::graph::Module::default() }, &[operand]);
            let windowed = inferred.expect("samples are valid")[0].shape.bound();
            let sum = SumWindows {
                axes: axes.into(),
                extents: axes.iter().map(|&a| shape[a]).collect(),
                low: vec![0; axes.len()],
                strides: strides.into(),
                dilation: dilation.into(),
            };
            // All of it, a part that begins and ends within, and more than there is.
            let part = SumWindows {
                extents: sum.extents.iter().map(|size| size.saturating_sub(2)).collect(),
                low: sum.extents.iter().map(|size| usize::from(*size > 1)).collect(),
                ..sum.clone()
            };
            let more = SumWindows { extents: sum.extents.iter().map(|size| size + 3).collect(), ..sum.clone() };
            for op in [sum, part, more] {
                cases.push(Case::smooth(op, vec![s.floats(&windowed, -2.0, 2.0)]));
            }
        }
        let ints = SumWindows { axes: vec![0], extents: vec![6], low: vec![0], strides: vec![2], dilation: vec![1] };
        cases.push(Case::smooth(ints, vec![s.ints(&[2, 3], -99, 99)]));
        cases
    }
}

impl SumWindows {
    /// How many positions there are, from that of the first element of the first window to the last of the last, on the
    /// n-th of the axes of an operand of this shape.
    fn covered(&self, n: usize, shape: &Shape) -> usize {
        let windows = within(shape, self.axes[n]);
        let extent = within(shape, shape.rank() - self.axes.len() + n);
        (windows - 1) * self.strides[n] + reach(extent, self.dilation[n])
    }
}

/// The extent of an axis that does not depend on the batch size.
fn within(shape: &Shape, axis: usize) -> usize {
    shape.0[axis].as_const().expect("a walked axis does not depend on the batch size")
}

fn single<'g>(op: &SumWindows, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (from, to) = (cx.operands[0].shape(), &cx.results[0].shape);
    let single = from.0[to.rank()..].iter().all(|&e| e == Extent::Const(1));
    let every = op.strides.iter().all(|&s| s == 1) && op.low.iter().all(|&s| s == 0);
    (single && every && from.0[..to.rank()] == to.0).then(|| vec![cx.operands[0].reshape(to.clone())])
}
