//! Rows of tiles that run along several axes as if these were one.
//!
//! The pixels of an image are two axes of a kernel, but where nothing lies between the last pixel of one line and the first of
//! the next, tiles of rows need not end there.

use crate::kernel::{Affine, Axis, Body, BufferId, InstKind, Stage};

/// Bytes or elements from one coordinate of an axis to the next, for an index of a buffer.
pub(crate) type Along<'a> = &'a dyn Fn(BufferId, &[Affine], Axis) -> i64;

/// The axes, the innermost first, that the points of a stage can run along together with `row`, of those that `may_join`
/// allows: with the axis's coordinate 0 and `row` running on, everything is read, written and computed at the same places.
pub(crate) fn joined(
    stage: &Stage,
    row: Axis,
    extents: &[usize],
    along: Along<'_>,
    may_join: impl Fn(Axis) -> bool,
) -> Vec<Axis> {
    let mut joined = Vec::new();
    let mut rows = extents[row];
    let next = |joined: &[Axis], rows: usize| {
        (0..extents.len()).find(|axis| {
            *axis != row
                && extents[*axis] > 1
                && !joined.contains(axis)
                && may_join(*axis)
                && continues(stage, *axis, row, rows as i64, along)
        })
    };
    while let Some(axis) = next(&joined, rows) {
        joined.push(axis);
        rows *= extents[axis];
    }
    joined
}

/// Whether one step on `outer` is as far as `rows` steps on `inner`, in all that a stage does.
fn continues(stage: &Stage, outer: Axis, inner: Axis, rows: i64, along: Along<'_>) -> bool {
    let is_affine = |expr: &Affine| expr.factor(outer) == rows * expr.factor(inner);
    let is_place =
        |buffer, index: &[Affine]| along(buffer, index, outer) == rows * along(buffer, index, inner);
    let is_body = |body: &Body| {
        body.insts.values().all(|inst| match &inst.kind {
            InstKind::Index(expr) | InstKind::Check { position: expr, .. } => is_affine(expr),
            InstKind::InBounds(guards) => guards.iter().all(|g| is_affine(&g.expr)),
            InstKind::Load(access) => {
                is_place(access.buffer, &access.index) && access.guards.iter().all(|g| is_affine(&g.expr))
            }
            _ => true,
        })
    };
    is_body(&stage.body)
        && stage.fold.as_ref().is_none_or(|fold| is_body(&fold.body))
        && stage.stores.iter().all(|store| is_place(store.buffer, &store.index))
}
