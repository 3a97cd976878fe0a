//! What a stage costs, in cycles per point.
//!
//! A core of the kind that the project is measured on starts about four instructions in a cycle, of which two are loads
//! or two are floating-point. So an instruction counts [`INSTRUCTION`], whether it is over a scalar or a vector; division and
//! square root occupy their unit for longer; an element that is moved into or out of a lane counts on its own.

use crate::codegen::{Vectors, accumulators_fit, fold_operands, instruction_counts};
use crate::kernel::{
    self, Affine, Axis, BinaryOp, Body, BufferId, FoldKind, InstKind, Kernel, KernelFunction, ScalarId,
    Stage, UnaryOp,
};

/// Cycles of an instruction.
const INSTRUCTION: f64 = 0.4;
/// Cycles of a division or a square root.
const DIVISION: f64 = 5.0;
/// Cycles that it takes to load or store one lane of a vector on its own.
const LANE: f64 = 1.0;
/// Cycles of a turn of a loop.
const TURN: f64 = 1.0;

/// A stage and what it is part of.
pub(super) struct Model<'k> {
    pub(super) f: &'k KernelFunction,
    pub(super) kernel: &'k Kernel,
    pub(super) stage: &'k Stage,
    /// The target's.
    pub(super) vectors: Vectors,
}

/// How a stage's points are run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Leaf {
    /// One by one.
    Point,
    /// By vectors of points that are consecutive on an axis.
    Points(Axis, usize),
    /// One by one, by vectors of elements of the innermost axis of the fold.
    Elements(usize),
}

impl Model<'_> {
    /// Extents of the kernel's and the stage's axes.
    pub(super) fn extents(&self) -> Vec<usize> {
        self.kernel.axes.iter().chain(&self.stage.axes).map(|e| e.most()).collect()
    }

    /// Number of points of the stage.
    pub(super) fn points(&self) -> f64 {
        self.extents().iter().map(|&e| e as f64).product()
    }

    /// Axes that strips can be along: those of the points, and the innermost of a reduction.
    pub(super) fn strip_axes(&self) -> Vec<Axis> {
        let extents = self.extents();
        let mut axes: Vec<Axis> = (0..extents.len()).filter(|&a| extents[a] > 1).collect();
        if let Some(fold) = &self.stage.fold
            && fold.kind == FoldKind::Reduce
            && !fold.axes.is_empty()
        {
            axes.push(extents.len() + fold.axes.len() - 1);
        }
        axes
    }

    /// The leaf of strips along an axis with so many lanes, if there is one.
    pub(super) fn strip(&self, axis: Axis, lanes: usize) -> Option<Leaf> {
        let points = self.extents().len();
        let fold = self.stage.fold.as_ref();
        if !fold.is_none_or(|fold| accumulators_fit(fold, self.vectors, lanes)) {
            return None;
        }
        match fold {
            _ if axis < points => Some(Leaf::Points(axis, lanes)),
            Some(fold) if lanes > 1 && fold.lanes.is_multiple_of(lanes) => Some(Leaf::Elements(lanes)),
            _ => None,
        }
    }

    /// How many vectors, or points on their own, so many consecutive points take.
    pub(super) fn vectors_of(&self, points: usize, lanes: usize) -> usize {
        match self.vectors.has_partial() {
            true => points.div_ceil(lanes),
            false => points / lanes + points % lanes,
        }
    }

    /// Cycles per point of the stage.
    pub(super) fn leaf(&self, leaf: Leaf) -> f64 {
        let points = self.extents().len();
        let (axis, lanes) = match leaf {
            Leaf::Point => (usize::MAX, 1),
            Leaf::Points(axis, lanes) => (axis, lanes),
            Leaf::Elements(lanes) => {
                let fold_axes = self.stage.fold.as_ref().map_or(0, |f| f.axes.len());
                (points + fold_axes - 1, lanes)
            }
        };
        let extent = match leaf {
            Leaf::Point => 1,
            Leaf::Points(axis, _) => self.extents()[axis],
            Leaf::Elements(_) => self.stage.fold.as_ref().and_then(|f| f.axes.last()).map_or(1, |e| e.most()),
        };
        let share = |lanes: usize| self.vectors_of(extent, lanes) as f64 / extent.max(1) as f64;
        let fold = self.stage.fold.as_ref().map_or(0.0, |fold| {
            let roots: Vec<_> = fold.accumulators.iter().flat_map(|a| fold_operands(a.op)).collect();
            let element = self.body(&fold.body, &roots, axis, lanes)
                + INSTRUCTION * fold.accumulators.len() as f64
                + if fold.lanes == 1 && leaf == Leaf::Point { TURN } else { 0.0 };
            element * kernel::points(&fold.axes) as f64 * share(lanes)
        });
        let body_lanes = if matches!(leaf, Leaf::Elements(_)) { 1 } else { lanes };
        let stores = self.stage.stores.iter().map(|s| {
            let contiguous =
                body_lanes == 1 || (self.stride(s.buffer, &s.index, axis) == 1 && s.indirect.is_none());
            if contiguous { INSTRUCTION } else { LANE * body_lanes as f64 }
        });
        let body =
            self.body(&self.stage.body, &self.stage.stored(), axis, body_lanes) + stores.sum::<f64>() + TURN;
        let fold_share = if matches!(leaf, Leaf::Elements(_)) { 1.0 } else { share(lanes) };
        let scan = match &self.stage.fold {
            Some(fold) if fold.kind == FoldKind::Scan => kernel::points(&fold.axes) as f64,
            _ => 1.0,
        };
        fold + body * fold_share * scan
    }

    /// Cycles of a body for one vector of points that are consecutive on an axis.
    fn body(&self, body: &Body, roots: &[ScalarId], axis: Axis, lanes: usize) -> f64 {
        instruction_counts(body, roots, self.vectors, (axis, lanes))
            .into_iter()
            .map(|(value, times)| match &body.insts[value].kind {
                InstKind::Const(_) | InstKind::Acc { .. } => 0.0,
                InstKind::Unary(UnaryOp::Sqrt, _) | InstKind::Binary(BinaryOp::Div, ..) => {
                    DIVISION * times as f64
                }
                InstKind::Load(access) => {
                    let stride = self.stride(access.buffer, &access.index, axis);
                    let varying = access.guards.iter().filter(|g| g.expr.factor(axis) != 0).count();
                    match lanes == 1 || stride == 1 || stride == 0 && varying == 0 {
                        // A guard is two additions, two comparisons and a branch.
                        true => INSTRUCTION * (times + 5 * varying) as f64,
                        false => LANE * lanes as f64,
                    }
                }
                _ => INSTRUCTION * times as f64 + if times > 1 { LANE * times as f64 } else { 0.0 },
            })
            .sum()
    }

    /// Elements of a buffer from one point of an axis to the next.
    pub(super) fn stride(&self, buffer: BufferId, index: &[Affine], axis: Axis) -> i64 {
        let strides = self.f.buffers[buffer].strides();
        index.iter().zip(strides).map(|(e, stride)| e.factor(axis) * stride as i64).sum()
    }
}
