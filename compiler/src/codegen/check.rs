//! What must hold of a kernel and its schedule before code is emitted, besides what the verifier of Kernel IR checks:
//! - every dtype is one that code can be emitted for, and every function is a primitive one;
//! - a schedule names axes that exist, and vectors that the target has;
//! - the function that comes out is not too large.

use cranelift_entity::EntityRef;

use super::columns::Columns;
use super::fold::accumulators_fit;
use super::panel::PanelShape;
use super::plan::{dependencies, fold_operands, instruction_counts};
use super::{Target, Vectors, strip};
use crate::kernel::{
    Axis, BinaryOp, Body, Fold, FoldKind, InstKind, Kernel, MAX_AXES, Packed, ScalarId, Stage, StageSchedule,
    UnaryOp, most,
};
use crate::types::DType;

/// About how many values a function may have.
const MAX_VALUES: usize = 1_000_000;

/// Whether code can be emitted for a kernel with its schedule.
///
/// # Errors
/// The first thing that stands in the way.
pub(crate) fn check(kernel: &Kernel, target: &Target) -> Result<(), String> {
    if let Some(chunks) = kernel.schedule.chunks
        && (chunks.axis >= kernel.axes.len() || chunks.block == 0)
    {
        return Err(format!(
            "it has no chunks of {} on axis i{}: it has {} axes, and a chunk has at least one index",
            chunks.block,
            chunks.axis,
            kernel.axes.len()
        ));
    }
    if let Some(axis) = kernel.schedule.each.iter().find(|&&axis| axis >= kernel.axes.len()) {
        return Err(format!("it cannot be run for each i{axis}: it has {} axes", kernel.axes.len()));
    }
    for (n, stage) in kernel.stages.iter().enumerate() {
        let schedule = scheduled(kernel, n);
        let at = |what: String| format!("stage {n}: {what}");
        for body in stage.fold.iter().map(|f| &f.body).chain([&stage.body]) {
            check_body(body).map_err(at)?;
        }
        check_schedule(kernel, stage, schedule, target).map_err(at)?;
    }
    let values = estimates(kernel, target).fold(0, usize::saturating_add);
    if values > MAX_VALUES {
        return Err(format!(
            "its code would have about {values} values, more than {MAX_VALUES}: split it into smaller kernels or use \
             smaller tiles"
        ));
    }
    Ok(())
}

/// The stage that has most of the code, where a kernel's code would be too large.
pub(crate) fn largest_of_too_large(kernel: &Kernel, target: &Target) -> Option<usize> {
    let values: Vec<usize> = estimates(kernel, target).collect();
    let is_too_large = values.iter().copied().fold(0, usize::saturating_add) > MAX_VALUES;
    (0..values.len()).max_by_key(|&n| values[n]).filter(|_| is_too_large)
}

/// How a stage is run.
fn scheduled(kernel: &Kernel, stage: usize) -> &StageSchedule {
    kernel.schedule.stages.get(stage).unwrap_or(&StageSchedule::Scalar)
}

/// About how many values the code of each stage has at most.
fn estimates(kernel: &Kernel, target: &Target) -> impl Iterator<Item = usize> {
    let stages = kernel.stages.iter().enumerate();
    stages.map(|(n, stage)| estimate(kernel, stage, scheduled(kernel, n), target.vectors()))
}

fn check_body(body: &Body) -> Result<(), String> {
    for (value, inst) in body.insts.iter() {
        if matches!(inst.dtype, DType::F16 | DType::BF16) {
            return Err(format!("{value} is {}, which no instruction accepts yet", inst.dtype));
        }
        let primitive = match inst.kind {
            InstKind::Unary(op, _) => matches!(
                op,
                UnaryOp::Neg
                    | UnaryOp::Abs
                    | UnaryOp::Sqrt
                    | UnaryOp::Floor
                    | UnaryOp::Ceil
                    | UnaryOp::Round
                    | UnaryOp::Not
            ),
            InstKind::Binary(op, ..) => op != BinaryOp::Pow,
            InstKind::Philox { .. } => false,
            _ => true,
        };
        if !primitive {
            return Err(format!("{value} is not primitive: expand functions before code is emitted"));
        }
    }
    Ok(())
}

fn check_schedule(
    kernel: &Kernel,
    stage: &Stage,
    schedule: &StageSchedule,
    target: &Target,
) -> Result<(), String> {
    let points = kernel.axes.len() + stage.axes.len();
    let axes = points + stage.fold.as_ref().map_or(0, |f| f.axes.len());
    if axes > MAX_AXES {
        return Err(format!("it has {axes} axes, more than {MAX_AXES}"));
    }
    let vectors = |lanes: usize| match lanes == 1 || target.vectors().lane_counts().contains(&lanes) {
        true => Ok(()),
        false => Err(format!("`{target}` has no vectors of {lanes} lanes")),
    };
    match *schedule {
        StageSchedule::Scalar => Ok(()),
        StageSchedule::Strip { axis, lanes } => {
            vectors(lanes)?;
            let along = axis >= points;
            match &stage.fold {
                _ if !along => Ok(()),
                Some(fold)
                    if axis + 1 == axes && fold.kind == FoldKind::Reduce && fold.lanes % lanes == 0 =>
                {
                    Ok(())
                }
                _ => Err(format!(
                    "strips along axis i{axis} need a reduction whose innermost axis it is, with a multiple of {lanes} \
                     partial results"
                )),
            }
        }
        StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, row_operand, pack } => {
            vectors(lanes)?;
            let axis_exists = |axis: Axis| axis < points;
            let contracts = stage.fold.as_ref().is_some_and(|fold| {
                fold.kind == FoldKind::Reduce
                    && fold.accumulators.len() == 1
                    && fold_operands(fold.accumulators[0].op).len() == 2
            });
            if !contracts || row_operand > 1 {
                return Err("a tile needs a contraction of two operands".into());
            }
            if !axis_exists(row_axis) || !axis_exists(col_axis) || row_axis == col_axis {
                return Err(format!("a tile needs two different axes: found i{row_axis} and i{col_axis}"));
            }
            let packed = |operand, axis| operand_depends_on(stage.fold.as_ref(), operand, axis);
            if matches!(pack, Packed::Vectors | Packed::Both) && packed(1 - row_operand, row_axis) {
                return Err(format!("the operand that is packed depends on the rows, axis i{row_axis}"));
            }
            if pack == Packed::Both && packed(row_operand, col_axis) {
                return Err(format!("the operand that is packed depends on the columns, axis i{col_axis}"));
            }
            if rows == 0 || cols == 0 || cols % lanes != 0 {
                return Err(format!("a tile of {rows} rows and {cols} columns does not fit {lanes} lanes"));
            }
            let extents = most(&kernel.axes_of_points(stage));
            let joined =
                Columns::new(stage, schedule, &extents).filter(|columns| columns.axis != columns.along);
            match joined {
                Some(columns) if kernel.schedule.parts().any(|(axis, _)| axis == columns.axis) => {
                    Err(format!("the columns of a panel are cut, along axis i{}", columns.axis))
                }
                _ => Ok(()),
            }
        }
    }
}

/// Whether an operand differs along an axis, so that no panel can serve several coordinates of it.
fn operand_depends_on(fold: Option<&Fold>, operand: usize, axis: Axis) -> bool {
    fold.is_some_and(|fold| {
        let depends = dependencies(&fold.body);
        let operands = fold.accumulators.iter().flat_map(|a| fold_operands(a.op)).collect::<Vec<_>>();
        operands.get(operand).is_some_and(|s| depends[s.index()] & (1 << axis) != 0)
    })
}

/// About how many values a stage's code has at most.
fn estimate(kernel: &Kernel, stage: &Stage, schedule: &StageSchedule, vectors: Vectors) -> usize {
    // A leaf for full blocks, and what remains of a chunk and of the last chunk.
    const BLOCKS: usize = 3;
    let single = leaf_size(stage, vectors, (0, 1), 1);
    let vector = |axis, lanes| {
        let fits = stage.fold.as_ref().is_none_or(|fold| accumulators_fit(fold, vectors, lanes));
        if fits { (leaf_size(stage, vectors, (axis, lanes), lanes), lanes) } else { (single, 1) }
    };
    // What fills no vector.
    let tail = |(vector, lanes): (usize, usize)| match vectors.has_partial() {
        true => vector,
        false => single.saturating_mul(lanes - 1),
    };
    match *schedule {
        StageSchedule::Scalar => single,
        StageSchedule::Strip { axis, lanes } if axis >= kernel.axes.len() + stage.axes.len() => {
            leaf_size(stage, vectors, (axis, lanes), 1).saturating_add(single)
        }
        // Large leaves have one vector.
        StageSchedule::Strip { axis, lanes } => {
            let vector = vector(axis, lanes);
            let kept = strip::kept(stage, schedule, &most(&kernel.axes_of_points(stage)));
            let parts = if kept.is_some() { 2 } else { 1 };
            vector.0.saturating_add(tail(vector)).saturating_mul(BLOCKS * parts)
        }
        StageSchedule::Tile { col_axis, rows, cols, lanes, .. } => {
            let vector = vector(col_axis, lanes);
            let row = vector.0.saturating_mul(cols / vector.1).saturating_add(tail(vector));
            // Also for parts of the fold and of the rows.
            let panel = PanelShape::new(stage, schedule, &most(&kernel.axes_of_points(stage)));
            let parts = if panel.is_some_and(|panel| panel.parts) { 4 } else { 1 };
            row.saturating_mul(rows).saturating_mul(BLOCKS * BLOCKS * parts)
        }
    }
}

/// About how many values the code of a stage has at most for one vector along an axis, of which `body_lanes` are points.
fn leaf_size(stage: &Stage, vectors: Vectors, along: (Axis, usize), body_lanes: usize) -> usize {
    let size = |body: &Body, roots: &[ScalarId], lanes: usize| -> usize {
        let counts = instruction_counts(body, roots, vectors, (along.0, lanes));
        // Loads may be strided.
        let load = |value: ScalarId| matches!(body.insts[value].kind, InstKind::Load(_));
        counts.into_iter().map(|(value, times)| if load(value) { lanes } else { times }).sum()
    };
    // A round of all partial results in a loop, one before it and what remains; unrolling adds a little to small ones.
    let fold = stage.fold.as_ref().map_or(0, |fold| {
        let roots: Vec<_> = fold.accumulators.iter().flat_map(|a| fold_operands(a.op)).collect();
        let element = size(&fold.body, &roots, along.1) + 4 * fold.accumulators.len();
        element.saturating_mul(fold.lanes.saturating_mul(body_lanes) / along.1).saturating_mul(3)
    });
    let stores = 4 * stage.stores.len() * body_lanes;
    fold.saturating_add(size(&stage.body, &stage.stored(), body_lanes) + stores)
}
