//! K0118 to K0121: what stages and kernels leave for one another in buffers.

use std::collections::HashMap;

use cranelift_entity::SecondaryMap;

use super::super::{Affine, BufferId, BufferKind, FoldKind, Indirect, Kernel, KernelFunction, Stage, most};
use super::body::updates;
use super::bounds::{Interval, range, whole};
use super::{Errors, MAX_STORES, in_stage};
use crate::diagnostic::Diagnostic;

/// How an access touches its buffer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Load,
    Store,
    Update,
}

/// A load or store, and where it stands.
#[derive(Clone, Copy)]
struct Touch<'a> {
    kernel: usize,
    stage: usize,
    how: Use,
    index: &'a [Affine],
    indirect: Option<Indirect>,
    /// Whether the buffer was named by an alias.
    aliased: bool,
}

pub(super) fn check(function: &KernelFunction, errors: &mut Errors) {
    let touches = touches(function);
    for (id, buffer) in &function.buffers {
        let of = &touches[id];
        let is_written = matches!(
            buffer.kind,
            BufferKind::Result(_) | BufferKind::Next(_) | BufferKind::Temp | BufferKind::Local
        );
        let must_be = matches!(buffer.kind, BufferKind::Result(_) | BufferKind::Next(_));
        if !is_written || (of.is_empty() && !must_be) {
            continue;
        }
        check_definition(function, id, of, errors);
        check_order(function, id, of, errors);
        check_sharing(function, id, of, errors);
        if buffer.kind == BufferKind::Local && of.iter().any(|t| t.kernel != of[0].kernel) {
            let note = format!("it is `{id}`, `{}`", buffer.name);
            errors.report(
                Diagnostic::new("K0121", "a local buffer is used in more than one kernel").note(note),
            );
        }
    }
}

/// Every access to every buffer that is not an alias, in order of the text.
fn touches(function: &KernelFunction) -> SecondaryMap<BufferId, Vec<Touch<'_>>> {
    let mut root: SecondaryMap<BufferId, Option<BufferId>> = SecondaryMap::new();
    for (id, buffer) in &function.buffers {
        if let BufferKind::Alias(of) = buffer.kind {
            root[id] = Some(root[of].unwrap_or(of));
        }
    }
    let mut touches: SecondaryMap<BufferId, Vec<Touch<'_>>> = SecondaryMap::new();
    for (kernel, k) in function.kernels.iter().enumerate() {
        for (stage, s) in k.stages.iter().enumerate() {
            let mut push = |buffer: BufferId, how, index, indirect| {
                let aliased = root[buffer].is_some();
                let to = root[buffer].unwrap_or(buffer);
                touches[to].push(Touch { kernel, stage, how, index, indirect, aliased });
            };
            for (_, access) in s.loads() {
                push(access.buffer, Use::Load, &access.index[..], access.indirect);
            }
            for store in &s.stores {
                let how = if updates(store) { Use::Update } else { Use::Store };
                push(store.buffer, how, &store.index, store.indirect);
            }
        }
    }
    touches
}

/// Extents of the axes whose points store.
fn stored_extents(kernel: &Kernel, stage: &Stage) -> Vec<usize> {
    let scan = stage.fold.as_ref().filter(|f| f.kind == FoldKind::Scan).map_or(&[][..], |f| &f.axes);
    most(&[&kernel.axes[..], &stage.axes, scan].concat())
}

/// K0118.
fn check_definition(function: &KernelFunction, id: BufferId, touches: &[Touch<'_>], errors: &mut Errors) {
    let note = || format!("it is `{id}`, `{}`", function.buffers[id].name);
    let stores: Vec<&Touch<'_>> = touches.iter().filter(|t| t.how == Use::Store).collect();
    if stores.is_empty() {
        return errors
            .report(Diagnostic::new("K0118", "nothing stores to a buffer that is used").note(note()));
    }
    if stores.len() > MAX_STORES {
        let message = format!("{} stores to one buffer, more than {MAX_STORES}", stores.len());
        return errors.report(Diagnostic::new("K0118", message).note(note()));
    }
    let mut stored = 0;
    let mut regions = Vec::new();
    for touch in stores {
        let kernel = &function.kernels[touch.kernel];
        let extents = stored_extents(kernel, &kernel.stages[touch.stage]);
        let Some(axes) = whole(&extents) else { continue };
        stored += extents.iter().product::<usize>();
        regions.push(touch.index.iter().map(|expr| Region::new(expr, &axes)).collect::<Vec<_>>());
    }
    let elements = function.buffers[id].elements();
    if stored != elements {
        let message = format!("{stored} elements are stored to a buffer of {elements}");
        return errors.report(Diagnostic::new("K0118", message).note(note()));
    }
    for (n, region) in regions.iter().enumerate() {
        let overlaps = |other: &Vec<Region>| region.iter().zip(other).all(|(a, b)| a.may_meet(b));
        if regions[..n].iter().any(overlaps) {
            return errors
                .report(Diagnostic::new("K0118", "two stores may meet in one element").note(note()));
        }
    }
}

/// Coordinates that a store has on one axis: within an interval, and one of every `step`.
struct Region {
    interval: Interval,
    step: u64,
}

impl Region {
    fn new(expr: &Affine, axes: &[Interval]) -> Region {
        let moving = expr.terms().iter().filter(|t| axes[t.0].1 > 0);
        Region { interval: range(expr, axes), step: moving.fold(0, |g, t| gcd(g, t.1.unsigned_abs())) }
    }

    /// Whether the two may have a coordinate in common.
    fn may_meet(&self, other: &Region) -> bool {
        let apart = self.interval.1 < other.interval.0 || other.interval.1 < self.interval.0;
        // Both are where they begin plus a multiple of this; of 0 if they do not move.
        let step = i128::from(gcd(self.step, other.step));
        let distance = self.interval.0 - other.interval.0;
        !apart && (if step == 0 { distance == 0 } else { distance % step == 0 })
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// K0119.
fn check_order(function: &KernelFunction, id: BufferId, touches: &[Touch<'_>], errors: &mut Errors) {
    let at = |t: &Touch<'_>| (t.kernel, t.stage);
    let Some(defined) = touches.iter().filter(|t| t.how == Use::Store).map(at).max() else { return };
    // The last stage of each kernel that stores or updates.
    let mut written = HashMap::new();
    for touch in touches.iter().filter(|t| t.how != Use::Load) {
        let last = written.entry(touch.kernel).or_insert(touch.stage);
        *last = touch.stage.max(*last);
    }
    for touch in touches.iter().filter(|t| t.how != Use::Store) {
        let is_late = at(touch) > defined
            && (touch.how == Use::Update
                || written.get(&touch.kernel).is_none_or(|&last| touch.stage > last));
        let kernel = &function.kernels[touch.kernel];
        errors.expect(
            is_late,
            "K0119",
            || format!("`{id}` is used before it is complete"),
            || in_stage(kernel, touch.stage),
        );
    }
}

/// K0120.
fn check_sharing(function: &KernelFunction, id: BufferId, touches: &[Touch<'_>], errors: &mut Errors) {
    for of_kernel in touches.chunk_by(|a, b| a.kernel == b.kernel) {
        let kernel = &function.kernels[of_kernel[0].kernel];
        let loads = of_kernel.iter().filter(|t| t.how == Use::Load).count();
        let plain = of_kernel.iter().filter(|t| t.how == Use::Store).count();
        let updated = of_kernel.len() - loads - plain;
        // Plain stores alone are disjoint by K0118, a lone update by K0117.
        let is_shared = loads + plain + updated > 1 && loads < of_kernel.len() && (loads + updated > 0);
        if !is_shared {
            continue;
        }
        let mut axes = (0..kernel.axes.len()).filter(|&a| kernel.axes[a].most() > 1);
        // Whether all have the axis as the same digit of the same coordinate.
        let first = &of_kernel[0].index;
        let own = |t: &Touch<'_>, axis: usize, d: usize| {
            let same = |of: fn(&Affine, usize) -> i64| of(&t.index[d], axis) == of(&first[d], axis);
            same(|expr, axis| expr.factor(axis))
                && same(|expr, _| expr.offset())
                && tells(&t.index[d], axis, &most(&kernel.axes_of(&kernel.stages[t.stage])))
                && t.indirect.is_none_or(|i| i.axis != d)
        };
        let rank = function.buffers[id].shape.len();
        // A kernel of one point shares with nobody, whatever its stages call the buffer.
        let by_name = of_kernel.iter().all(|t| !t.aliased);
        let agree = axes.all(|axis| by_name && (0..rank).any(|d| of_kernel.iter().all(|t| own(t, axis, d))));
        errors.expect(
            agree,
            "K0120",
            || format!("a point of the kernel may touch what another one stores in `{id}`"),
            || format!("in kernel `{}`", kernel.name),
        );
    }
}

/// Whether the value of an expression tells the coordinate on an axis, as a digit of it: what other terms add is a multiple
/// of all that the axis adds, or less than one step of it.
fn tells(expr: &Affine, axis: usize, extents: &[usize]) -> bool {
    let step = expr.factor(axis);
    let all = step.saturating_mul(extents[axis] as i64);
    let others = expr.terms().iter().filter(|(other, _)| *other != axis);
    let mut below = 0i64;
    step > 0
        && others.into_iter().filter(|(_, factor)| factor % all != 0).all(|&(other, factor)| {
            below = below.saturating_add(factor.saturating_mul(extents[other] as i64 - 1));
            factor > 0 && below < step
        })
}
