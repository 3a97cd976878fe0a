//! K0122 to K0124: whether a schedule fits its kernel.

use super::super::{
    Access, Axis, Fold, FoldKind, FoldOp, InstKind, Kernel, KernelFunction, Stage, StageSchedule,
};
use super::{Errors, in_stage};

pub(super) fn check(function: &KernelFunction, errors: &mut Errors) {
    for kernel in &function.kernels {
        let schedule = &kernel.schedule;
        let place = || format!("in the schedule of kernel `{}`", kernel.name);
        if let Some(chunks) = schedule.chunks {
            let fits = chunks.axis < kernel.axes.len() && chunks.block >= 1;
            let message =
                || format!("chunks of {} along `i{}` do not cut the kernel", chunks.block, chunks.axis);
            errors.expect(fits, "K0122", message, place);
        }
        for (n, &axis) in schedule.each.iter().enumerate() {
            let fits = axis < kernel.axes.len()
                && !schedule.each[..n].contains(&axis)
                && schedule.chunks.is_none_or(|chunks| chunks.axis != axis);
            errors.expect(fits, "K0122", || format!("the kernel cannot be run for each `i{axis}`"), place);
        }
        let (stages, scheduled) = (kernel.stages.len(), schedule.stages.len());
        errors.expect(
            scheduled <= stages,
            "K0122",
            || format!("{scheduled} of {stages} stages are scheduled"),
            place,
        );
        for (n, (how, stage)) in schedule.stages.iter().zip(&kernel.stages).enumerate() {
            let (code, broken) = match how {
                StageSchedule::Scalar => continue,
                &StageSchedule::Strip { axis, lanes } => ("K0123", strip_error(kernel, stage, axis, lanes)),
                StageSchedule::Tile { .. } => ("K0124", tile_error(kernel, stage, how)),
            };
            if let Some(message) = broken {
                errors.expect(false, code, || message.into(), || format!("{}: `{how}`", in_stage(kernel, n)));
            }
        }
    }
}

fn strip_error(kernel: &Kernel, stage: &Stage, axis: Axis, lanes: usize) -> Option<&'static str> {
    if !lanes.is_power_of_two() {
        return Some("lanes of a strip are not a power of two");
    }
    let outer = kernel.axes.len() + stage.axes.len();
    match &stage.fold {
        _ if axis < outer => None,
        Some(fold) if axis + 1 == outer + fold.axes.len() => (fold.lanes % lanes != 0)
            .then_some("the lanes of the fold are not a multiple of those of the strip"),
        Some(fold) if axis < outer + fold.axes.len() => {
            Some("a strip is not along the innermost axis of the fold")
        }
        _ => Some("the stage has no such axis"),
    }
}

fn tile_error(kernel: &Kernel, stage: &Stage, tile: &StageSchedule) -> Option<&'static str> {
    let &StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, row_operand, .. } = tile else {
        return None;
    };
    let Some(operands) = stage.fold.as_ref().and_then(contraction) else {
        return Some("the stage does not reduce one `dot` of two loads with one lane");
    };
    let outer = kernel.axes.len() + stage.axes.len();
    if row_axis == col_axis || row_axis >= outer || col_axis >= outer {
        return Some("rows and columns are not different axes of the kernel or the stage");
    }
    if rows == 0 || !lanes.is_power_of_two() || cols == 0 || !cols.is_multiple_of(lanes) {
        return Some("rows, columns or lanes do not make a tile");
    }
    if row_operand > 1 {
        return Some("the broadcast operand is neither 0 nor 1");
    }
    let (row, col) = (operands[row_operand], operands[1 - row_operand]);
    if has_axis(row, col_axis) {
        return Some("the broadcast operand has the column axis");
    }
    has_axis(col, row_axis).then_some("the operand that is read by vectors has the row axis")
}

/// The operands of a fold that is a contraction.
fn contraction(fold: &Fold) -> Option<[&Access; 2]> {
    let [accumulator] = &fold.accumulators[..] else { return None };
    let FoldOp::Dot(a, b) = accumulator.op else { return None };
    let load = |s| match &fold.body.insts[s].kind {
        InstKind::Load(access) => Some(access),
        _ => None,
    };
    let operands = [load(a)?, load(b)?];
    (fold.kind == FoldKind::Reduce && fold.lanes == 1).then_some(operands)
}

fn has_axis(access: &Access, axis: Axis) -> bool {
    access.index.iter().chain(access.guards.iter().map(|g| &g.expr)).any(|expr| expr.factor(axis) != 0)
}
