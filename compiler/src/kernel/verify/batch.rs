//! K0125: where extents may depend on the batch size.

use std::collections::HashSet;

use super::super::{Buffer, BufferId, BufferKind, Extent, Fold, FoldOp, KernelFunction};
use super::{Errors, in_stage};

pub(super) fn check(function: &KernelFunction, errors: &mut Errors) {
    let mut all = function.clone();
    let mut fits = true;
    all.each_extent(|extent| {
        let stated =
            extent.each().zip(function.largest).map(|(each, n)| (each.checked_mul(n), extent.most()));
        fits &= extent.each().is_none() || stated.is_some_and(|(product, most)| product == Some(most));
    });
    errors.expect(
        fits && function.largest != Some(0),
        "K0125",
        || "extents depend on a batch size of which the function does not say how large it is".into(),
        || format!("in function `{}`", function.name),
    );
    let aliased: HashSet<BufferId> = (function.buffers.values())
        .filter_map(|buffer| match buffer.kind {
            BufferKind::Alias(of) => Some(of),
            _ => None,
        })
        .collect();
    for (id, buffer) in &function.buffers {
        errors.expect(
            may_depend(buffer, aliased.contains(&id)),
            "K0125",
            || format!("`{id}` has an extent that must not depend on the batch size"),
            || format!("in buffer `{id}`, `{}`", function.buffers[id].name),
        );
    }
    for kernel in &function.kernels {
        for (n, stage) in kernel.stages.iter().enumerate() {
            let fits = stage.fold.as_ref().is_none_or(fold_fits);
            errors.expect(
                fits,
                "K0125",
                || "the fold has an axis that must not depend on the batch size".into(),
                || in_stage(kernel, n),
            );
        }
    }
}

fn depends(extent: &Extent) -> bool {
    extent.each().is_some()
}

/// Whether all but the outermost of some axes are fixed.
fn inner_are_fixed(extents: &[Extent]) -> bool {
    !extents.iter().skip(1).any(depends)
}

fn may_depend(buffer: &Buffer, aliased: bool) -> bool {
    let shape = &buffer.shape;
    match buffer.kind {
        BufferKind::Temp | BufferKind::Local => !aliased || inner_are_fixed(shape),
        BufferKind::Param(_) | BufferKind::Result(_) | BufferKind::Alias(_) => inner_are_fixed(shape),
        BufferKind::Variable(_) | BufferKind::Next(_) | BufferKind::Constant(_) | BufferKind::RandomState => {
            !shape.iter().any(depends)
        }
    }
}

fn fold_fits(fold: &Fold) -> bool {
    let finds = |op: &FoldOp| matches!(op, FoldOp::ArgMax(_) | FoldOp::ArgMin(_));
    let innermost = fold.axes.last().is_some_and(depends);
    (fold.lanes == 1 || !innermost)
        && (!fold.accumulators.iter().any(|a| finds(&a.op)) || inner_are_fixed(&fold.axes))
}
