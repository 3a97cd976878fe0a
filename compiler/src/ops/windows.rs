use super::attributes::op_struct;
use super::def::result_shape;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, RewriteCx, Rule, SumWindows, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::Affine;
use crate::lower::LowerCx;
use crate::tensor::{Tensor, dispatch};
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Every window along some axes: `out[.., o, .., k] = a[.., o · strides + k · dilation, ..]`.
    ///
    /// - C1 `a`: any dtype; the result has its dtype.
    /// - C2 `axes` are axes of `a` that do not depend on the batch size, in ascending order; the other lists have an entry,
    ///   of 1 or more, for each of them.
    /// - C3 a window of `(window - 1) · dilation + 1` elements fits into its axis. Of windows that would reach beyond the
    ///   last element there is none: so the result has `floor((extent - (window - 1) · dilation - 1) / strides) + 1` windows
    ///   on the axis; behind all axes it has one more per entry of `axes`, within the window.
    /// - Padding is that of `pad` before.
    /// - Gradient: `d_a` is [`SumWindows`] of `d_out`.
    ///
    /// # Errors
    /// E0214 if the axes do not fit C2, E0219 if the rest of C2 or C3 fails.
    ///
    /// Reference: PyTorch `unfold`, along several axes and with dilation.
    Windows = "windows" {
        /// The axes that windows walk along.
        axes: Vec<usize>,
        /// Elements of a window, per axis.
        window: Vec<usize>,
        /// Elements from one window to the next, per axis.
        strides: Vec<usize>,
        /// Elements from one element of a window to the next, per axis.
        dilation: Vec<usize>,
    }
}

impl OpDef for Windows {
    const NAME: &'static str = "windows";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] =
        &[Rule { pass: "canonicalize", law: "windows of every single element = reshape", apply: single }];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let refuse = |why: String| Diagnostic::new("E0219", format!("`windows` does not fit {}", operands[0])).note(why);
        check_axes(Self::NAME, &operands[0], &self.axes)?;
        let lists = [("window", &self.window), ("strides", &self.strides), ("dilation", &self.dilation)];
        check_lists(self.axes.len(), &lists).map_err(refuse)?;
        let mut extents = operands[0].shape.0.clone();
        for (n, &axis) in self.axes.iter().enumerate() {
            let Extent::Const(extent) = extents[axis] else { unreachable!("`check_axes` refuses batch axes") };
            let reach = reach(self.window[n], self.dilation[n]);
            let Some(last) = extent.checked_sub(reach) else {
                return Err(refuse(format!("a window of {reach} elements does not fit into axis {axis} of {extent}"))
                    .help("use `pad` before it, or smaller windows"));
            };
            extents[axis] = Extent::Const(last / self.strides[n] + 1);
        }
        extents.extend(self.window.iter().map(|&e| Extent::Const(e)));
        Ok(vec![operands[0].with_shape(Shape(extents))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let rank = operands[0].shape().len();
        let shape = result_shape(self, &[operands[0]]);
        Ok(vec![dispatch!(operands[0], a => Tensor::from(ndarray::ArrayD::from_shape_fn(shape, |at| {
            let mut from: Vec<usize> = (0..rank).map(|d| at[d]).collect();
            for (n, &axis) in self.axes.iter().enumerate() {
                from[axis] = at[axis] * self.strides[n] + at[rank + n] * self.dilation[n];
            }
            a[from.as_slice()]
        })))])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let shape = cx.operand(0).shape();
        let sum = SumWindows {
            axes: self.axes.clone(),
            extents: self.axes.iter().map(|&a| shape.0[a].as_const().expect("batch axes have no windows")).collect(),
            low: vec![0; self.axes.len()],
            strides: self.strides.clone(),
            dilation: self.dilation.clone(),
        };
        vec![Gradient::Value(cx.graph.add(sum, &[cx.cotangent()]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let rank = cx.operand_rank(0);
        let mut index = crate::lower::identity(rank);
        for (n, &axis) in self.axes.iter().enumerate() {
            let within = Affine::axis(rank + n).times(self.dilation[n] as i64);
            index[axis] = Affine::axis(axis).times(self.strides[n] as i64).plus(&within);
        }
        cx.map(|cx, b| cx.load(b, cx.operand(0), index));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        SAMPLES
            .iter()
            .map(|&(shape, axes, window, strides, dilation)| {
                let op = Windows {
                    axes: axes.into(),
                    window: window.into(),
                    strides: strides.into(),
                    dilation: dilation.into(),
                };
                Case::smooth(op, vec![s.floats(shape, -2.0, 2.0)])
            })
            .collect()
    }
}

/// Shape of an operand, axes, window, strides and dilation.
pub(super) type Sample = (&'static [usize], &'static [usize], &'static [usize], &'static [usize], &'static [usize]);

/// Windows that are tried: of no axis, of a single element, side by side, with gaps, overlapping, dilated, in up to three
/// axes, the innermost one too, and with an empty axis beside.
pub(super) const SAMPLES: [Sample; 14] = [
    (&[], &[], &[], &[], &[]),
    (&[5], &[], &[], &[], &[]),
    (&[1], &[0], &[1], &[1], &[1]),
    (&[6], &[0], &[1], &[1], &[1]),
    (&[8], &[0], &[2], &[2], &[1]),
    (&[17], &[0], &[3], &[2], &[1]),
    (&[17], &[0], &[2], &[5], &[1]),
    (&[11], &[0], &[3], &[1], &[2]),
    (&[19], &[0], &[3], &[2], &[3]),
    (&[3, 9], &[1], &[5], &[1], &[1]),
    (&[0, 7, 3], &[1], &[3], &[2], &[1]),
    (&[2, 6, 5, 3], &[1, 2], &[2, 3], &[2, 1], &[1, 1]),
    (&[1, 7, 9, 17], &[1, 2], &[3, 3], &[2, 2], &[1, 1]),
    (&[4, 3, 5], &[0, 1, 2], &[2, 3, 2], &[1, 1, 3], &[3, 1, 1]),
];

/// Elements of an axis from the first one of a window to the last, both included.
pub(super) fn reach(extent: usize, dilation: usize) -> usize {
    (extent - 1) * dilation + 1
}

/// Checks that axes are there, in order, and do not depend on the batch size.
///
/// # Errors
/// E0214.
pub(super) fn check_axes(op: &str, ty: &TensorType, axes: &[usize]) -> Result<(), Diagnostic> {
    let refuse = |why: &str| Diagnostic::new("E0214", format!("`{op}` along axes {axes:?} does not fit {ty}")).help(why);
    if !axes.is_sorted_by(|a, b| a < b) || axes.last().is_some_and(|&a| a >= ty.rank()) {
        return Err(refuse("`axes` are axes of the operand, in ascending order, each once"));
    }
    match axes.iter().all(|&a| ty.shape.0[a].as_const().is_some()) {
        true => Ok(()),
        false => Err(refuse("leave out the axes that depend on the batch size")),
    }
}

/// The largest entry of a list, so that what is computed of them does not overflow.
const LARGEST: usize = 1 << 20;

/// Checks that each list has an entry per axis, of 1 to [`LARGEST`]; says what is wrong.
pub(super) fn check_lists(axes: usize, lists: &[(&str, &Vec<usize>)]) -> Result<(), String> {
    match lists.iter().find(|(_, list)| list.len() != axes || list.iter().any(|v| !(1..=LARGEST).contains(v))) {
        Some((name, _)) => Err(format!("`{name}` has one entry per axis, from 1 to {LARGEST}")),
        None => Ok(()),
    }
}

fn single<'g>(op: &Windows, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let every = op.window.iter().chain(&op.strides).all(|&v| v == 1);
    every.then(|| vec![cx.operands[0].reshape(cx.results[0].shape.clone())])
}
