use super::attributes::op_struct;
use super::elementwise::{expect_dtype, expect_operands, is_number};
use super::sample::{Case, Sampler};
use super::{EvalCx, Gradient, IndexFault, InferCx, OpDef, OpTraits, Rule, VjpCx};
use crate::diagnostic::Diagnostic;
use crate::kernel::{Affine, BodyBuilder, Extent, Fold, FoldKind, FoldOp, Stage};
use crate::lower::{LowerCx, accumulator, store};
use crate::tensor::{Element, Tensor, with_element};
use crate::types::TensorType;

op_struct! {
    /// Running sum along an axis: `out[i] = Σ_{j ≤ i} a[j]`.
    ///
    /// - C1 `a`: float or integer; the result has its type. Integers wrap.
    /// - C2 `a` has the axis `axis`.
    /// - C3 `exclusive` leaves the element itself out (`j < i`); `reverse` sums from the end (`j ≥ i`).
    /// - Gradient: `d_a` is the running sum of `d_out` from the other end.
    ///
    /// # Errors
    /// E0202 if C1 fails, E0214 if C2 fails.
    ///
    /// Reference: TensorFlow `Cumsum`.
    Cumsum = "cumsum" {
        /// The axis along which sums run.
        axis: usize,
        /// Whether the element itself is left out.
        exclusive: bool = false,
        /// Whether sums run from the end.
        reverse: bool = false,
    }
}

impl OpDef for Cumsum {
    const NAME: &'static str = "cumsum";
    const TRAITS: OpTraits = OpTraits::PLAIN;
    const RULES: &'static [Rule<Self>] = &[];

    fn infer(&self, _: &InferCx<'_>, operands: &[TensorType]) -> Result<Vec<TensorType>, Diagnostic> {
        expect_operands(Self::NAME, operands, 1)?;
        expect_dtype(Self::NAME, &operands[0], is_number, "a float or integer dtype")?;
        match self.axis < operands[0].rank() {
            true => Ok(operands.to_vec()),
            false => Err(Diagnostic::new("E0214", format!("{} has no axis {}", operands[0], self.axis))),
        }
    }

    fn eval(&self, _: &EvalCx<'_>, operands: &[&Tensor]) -> Result<Vec<Tensor>, IndexFault> {
        let is_float = operands[0].dtype().is_float();
        Ok(vec![with_element!(operands[0].dtype(), T => {
            let mut a = operands[0].array::<T>().clone();
            for mut lane in a.lanes_mut(ndarray::Axis(self.axis)) {
                let (mut float, mut int) = (0.0f64, 0i64);
                let order: Vec<usize> = match self.reverse {
                    false => (0..lane.len()).collect(),
                    true => (0..lane.len()).rev().collect(),
                };
                for i in order {
                    let (before_float, before_int) = (float, int);
                    float += f64::convert(lane[i].scalar());
                    int = int.wrapping_add(i64::convert(lane[i].scalar()));
                    let (f, n) = if self.exclusive { (before_float, before_int) } else { (float, int) };
                    lane[i] = T::convert(if is_float { f.scalar() } else { n.scalar() });
                }
            }
            Tensor::from(a)
        })])
    }

    fn vjp<'g>(&self, cx: &VjpCx<'g>) -> Vec<Gradient<'g>> {
        let back = Cumsum { reverse: !self.reverse, ..self.clone() };
        vec![Gradient::Value(cx.graph.add(back, &[cx.cotangent()]))]
    }

    fn lower(&self, cx: &mut LowerCx<'_>) {
        let (shape, dtype, to) = (cx.operand_extents(0), cx.result_dtype(0), cx.result(0));
        let axes: Vec<Extent> = (0..shape.len()).filter(|&d| d != self.axis).map(|d| shape[d]).collect();
        let along = Affine::axis(axes.len());
        let along = match self.reverse {
            false => along,
            true => along.times(-1).plus_constant(cx.fixed(shape[self.axis]) as i64 - 1),
        };
        let index: Vec<Affine> = (0..shape.len())
            .map(|d| if d == self.axis { along.clone() } else { Affine::axis(d - usize::from(d > self.axis)) })
            .collect();
        let (element, body) = (BodyBuilder::new(), BodyBuilder::new());
        let a = cx.load(&element, cx.operand(0), index.clone());
        let fold = Fold {
            kind: FoldKind::Scan,
            axes: vec![shape[self.axis]],
            lanes: 1,
            body: element.finish(),
            accumulators: vec![accumulator(FoldOp::Sum(a), dtype)],
        };
        let sum = body.acc(0, self.exclusive, dtype);
        let stores = vec![store(sum, to, index)];
        cx.kernel(axes, vec![Stage { axes: vec![], fold: Some(fold), body: body.finish(), stores }]);
    }

    fn sample(s: &mut Sampler) -> Vec<Case> {
        let shapes: [(&[usize], usize); 6] =
            [(&[1], 0), (&[17], 0), (&[0], 0), (&[3, 5], 0), (&[3, 5], 1), (&[2, 3, 4], 1)];
        let mut cases = Vec::new();
        for (shape, axis) in shapes {
            for (exclusive, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
                let op = Cumsum { axis, exclusive, reverse };
                cases.push(Case::smooth(op, vec![s.floats(shape, -2.0, 2.0)]));
            }
        }
        let op = Cumsum { axis: 0, exclusive: false, reverse: false };
        cases.push(Case::smooth(op, vec![s.ints(&[9], i64::from(i32::MIN), i64::from(i32::MAX))]));
        cases
    }
}
