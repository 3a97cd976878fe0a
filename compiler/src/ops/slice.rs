use ndarray::{Slice as Range, SliceInfoElem};

use super::attributes::op_struct;
use super::elementwise::expect_operands;
use super::sample::{Case, Sampler};
use super::{
    ConvTranspose, EvalCx, Gradient, IndexFault, InferCx, Op, OpDef, OpTraits, Pad, RewriteCx, Rule, VjpCx,
};
use crate::diagnostic::Diagnostic;
use crate::graph::Expr;
use crate::kernel::Affine;
use crate::lower::LowerCx;
use crate::tensor::{Tensor, dispatch};
use crate::types::{Extent, Shape, TensorType};

op_struct! {
    /// Elements from `starts` to below `limits`, every `strides`-th: `out[i] = a[starts + i · strides]`.
    ///
    /// - C1 `a`: any dtype; the result has its dtype.
    /// - C2 each list has one entry per axis, with `starts ≤ limits ≤ extent` and `strides ≥ 1`.
    /// - C3 an axis that depends on the batch size is taken whole: start 0, its extent as limit, stride 1.
    /// - Gradient: `d_a` is `d_out` padded with zeros.
    ///
    /// # Errors
    /// E0215 if C2 or C3 fails.
    ///
    /// Reference: StableHLO `slice`.
    Slice = "slice" {
        /// First index on every axis.
        starts: Vec<usize>,
        /// Index that ends every axis, excluded.
        limits: Vec<Extent>,
        /// Distance of two elements on every axis.
        strides: Vec<usize>,
    }
}

impl OpDef for Slice {
    const NAME: &'static str = "slice";
    const TRAITS: OpTraits = OpTraits::VIEW;
    const RULES: &'static [Rule<Self>] = &[
        Rule { pass: "canonicalize", law: "slice of all = x", apply: whole },
        Rule { pass: "canonicalize", law: "slice (sum_windows x) = sum_windows x", apply: of_windows },
        Rule {
            pass: "canonicalize",
            law: "slice (conv_transpose y w) = less of conv_transpose y w",
            apply: of_conv_transpose,
        },
    ];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        let shape = &operands[0].shape;
        let refuse = |why: String| {
            Err(Diagnostic::new("E0215", format!("`slice` does not fit {}", operands[0])).note(why))
        };
        if [self.starts.len(), self.limits.len(), self.strides.len()] != [shape.rank(); 3] {
            return refuse("`starts`, `limits` and `strides` have one entry per axis".into());
        }
        let mut extents = Vec::new();
        for (d, &extent) in shape.0.iter().enumerate() {
            let (start, limit, stride) = (self.starts[d], self.limits[d], self.strides[d]);
            extents.push(match (extent, limit) {
                _ if (start, stride) == (0, 1) && limit == extent => extent,
                (Extent::Const(c), Extent::Const(limit)) if start <= limit && limit <= c && stride >= 1 => {
                    Extent::Const((limit - start).div_ceil(stride))
                }
                (Extent::Const(_), _) => {
                    return refuse(format!("axis {d}: start {start}, limit {limit} and stride {stride} do not fit"));
                }
                (Extent::Batch(_), _) => {
                    return refuse(format!("axis {d} depends on the batch size and can only be taken whole"));
                }
            });
        }
        Ok(vec![operands[0].with_shape(Shape(extents))])
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let limits = Shape(self.limits.clone()).bound();
        Ok(vec![dispatch!(operands[0], a => {
            let range = |d: usize| SliceInfoElem::from(Range {
                start: self.starts[d] as isize,
                end: Some(limits[d] as isize),
                step: self.strides[d] as isize,
            });
            let ranges: Vec<_> = (0..limits.len()).map(range).collect();
            Tensor::from(a.slice(ranges.as_slice()).to_owned())
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let (from, to) = (cx.operand(0).shape(), cx.result(0).shape());
        let (mut low, mut high, mut interior) = (Vec::new(), Vec::new(), Vec::new());
        for d in 0..from.rank() {
            // Elements of the operand behind the last one that was taken; a whole axis has none on either side.
            let behind = match (from.0[d].as_const(), to.0[d].as_const()) {
                (Some(extent), Some(0)) => extent - self.starts[d],
                (Some(extent), Some(n)) => extent - self.starts[d] - ((n - 1) * self.strides[d] + 1),
                _ => 0,
            };
            low.push(self.starts[d]);
            high.push(behind);
            interior.push(self.strides[d] - 1);
        }
        vec![Gradient::Value(cx.graph.add(Pad { low, high, interior, value: 0.0 }, &[cx.cotangent()]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let index = (0..self.starts.len())
            .map(|d| Affine::axis(d).times(self.strides[d] as i64).plus_constant(self.starts[d] as i64))
            .collect();
        cx.map(|cx, b| cx.load(b, cx.operand(0), index));
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        /// Shape, starts, limits and strides.
        type Sample = [&'static [usize]; 4];
        let cases: [Sample; 7] = [
            [&[], &[], &[], &[]],
            [&[5], &[1], &[4], &[1]],
            [&[5], &[3], &[3], &[2]],
            [&[17], &[0], &[17], &[3]],
            [&[3, 17], &[1, 2], &[3, 16], &[1, 5]],
            [&[0, 4], &[0, 1], &[0, 2], &[1, 1]],
            [&[2, 3, 5], &[1, 0, 0], &[2, 3, 5], &[1, 2, 4]],
        ];
        cases
            .iter()
            .map(|[shape, starts, limits, strides]| {
                let op = Slice {
                    starts: starts.to_vec(),
                    limits: Shape::fixed(limits).0,
                    strides: strides.to_vec(),
                };
                Case::smooth(op, vec![s.floats(shape, -2.0, 2.0)])
            })
            .collect()
    }
}

fn whole<'g>(_: &Slice, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    (cx.operands[0].ty() == cx.results[0]).then(|| cx.operands.clone())
}

/// A sum of windows makes only the positions that are asked for.
fn of_windows<'g>(op: &Slice, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (Op::SumWindows(mut sum), windows) = cx.operands[0].def()? else { return None };
    let shape = cx.operands[0].shape();
    for d in 0..shape.rank() {
        match sum.axes.iter().position(|&axis| axis == d) {
            Some(n) if op.strides[d] == 1 => {
                sum.low[n] += op.starts[d];
                sum.extents[n] = op.limits[d].as_const()? - op.starts[d];
            }
            _ if op.starts[d] == 0 && op.limits[d] == shape.0[d] && op.strides[d] == 1 => {}
            _ => return None,
        }
    }
    let sum: Op = sum.into();
    sum.infer(&InferCx { module: &cx.graph.module() }, &[windows[0].ty()]).ok()?;
    Some(vec![cx.graph.add(sum, &windows)])
}

/// Consecutive elements of a transposed convolution along spatial axes: the gradient of what was padded before a convolution.
fn of_conv_transpose<'g>(op: &Slice, cx: &RewriteCx<'g>) -> Option<Vec<Expr<'g>>> {
    let (Op::ConvTranspose(inner), operands) = cx.operands[0].def()? else { return None };
    let (from, to, rank) = (cx.operands[0].shape(), &cx.results[0].shape, inner.low.len());
    let is_dense = op.strides.iter().all(|&stride| stride == 1);
    if !is_dense || from.0[0] != to.0[0] || from.0[rank + 1] != to.0[rank + 1] {
        return None;
    }
    let low = (0..rank).map(|d| inner.low[d] + op.starts[d + 1]).collect();
    let extents = to.0[1..=rank].iter().filter_map(|e| e.as_const()).collect();
    let node = ConvTranspose { low, extents, ..inner };
    // What starts behind all windows is zeros, and no transposed convolution.
    node.infer(&InferCx { module: &cx.graph.module() }, &[operands[0].ty(), operands[1].ty()]).ok()?;
    Some(vec![cx.graph.add(node, &operands)])
}
